/* SPDX-License-Identifier: MIT */
/* The .safetensors reader. The header is parsed once and kept: names and metadata point into it.
 * A file is accepted only if its tensors cover the data without overlap or hole; what comes out
 * cannot point outside the mapping, whatever the header says. */
#include "io/safetensors.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "io/json.h"

/* The length in front, and the format's own limit for what follows it. */
enum { LENGTH_BYTES = 8, MOST_HEADER_BYTES = 100000000 };

struct tg__safetensors {
    char where[TG__WHERE_BYTES];
    char *path;
    struct timespec written, changed; /* its data; its data or its names and rights */
    tg__identity identity;            /* of its first byte */
    const unsigned char *map;
    size_t size;
    const unsigned char *data; /* in map, behind the header */
    size_t data_bytes;
    tg__json_text *header;
    const tg__json *metadata; /* NULL: none */
    tg__weight *tensors;      /* in the order of their data */
    const tg__weight **by_name;
    size_t count;
};

typedef struct format {
    const char *name;
    size_t bits;
    tg__dtype dtype;
} format;

/* Every number format that a file may hold; TG__OTHER is accepted because files have surplus
 * tensors. */
static const format formats[] = {
    {"F32", 32, TG__F32},          {"F16", 16, TG__F16},      {"BF16", 16, TG__BF16},
    {"F64", 64, TG__F64},          {"I64", 64, TG__OTHER},    {"U64", 64, TG__OTHER},
    {"C64", 64, TG__OTHER},        {"I32", 32, TG__OTHER},    {"U32", 32, TG__OTHER},
    {"I16", 16, TG__OTHER},        {"U16", 16, TG__OTHER},    {"I8", 8, TG__OTHER},
    {"U8", 8, TG__OTHER},          {"BOOL", 8, TG__OTHER},    {"F8_E4M3", 8, TG__F8_E4M3},
    {"F8_E5M2", 8, TG__F8_E5M2},   {"F8_E8M0", 8, TG__OTHER}, {"F8_E4M3FNUZ", 8, TG__OTHER},
    {"F8_E5M2FNUZ", 8, TG__OTHER}, {"F6_E2M3", 6, TG__OTHER}, {"F6_E3M2", 6, TG__OTHER},
    {"F4", 4, TG__OTHER},
};

/* ------------------------------------------------------------------------------- one tensor */

/* "WHERE: NAME WHAT"; always false. */
__attribute__((format(printf, 4, 5))) static bool refuse(const tg__safetensors *file,
                                                         const char *name, tg__error *error,
                                                         const char *what, ...)
{
    char shown[TG__WHERE_BYTES], text[512];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    tg__fail(error, TG_ERROR_FORMAT, "%s: %s %s", file->where,
             tg__printable(shown, sizeof shown, name), text);
    return false;
}

/* The same for a value that is not what it should be; NULL: it is not there. */
static bool refuse_value(const tg__safetensors *file, const char *name, tg__error *error,
                         const char *key, const tg__json *value, const char *expected)
{
    char shown[100];
    if (!value)
        return refuse(file, name, error, "has no %s, expected %s", key, expected);
    return refuse(file, name, error, "has %s %s, expected %s", key,
                  tg__json_show(value, shown, sizeof shown), expected);
}

static const format *find_format(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}

static bool is_count(const tg__json *value)
{
    return value->type == TG__JSON_INTEGER && value->integer >= 0;
}

static bool read_shape(const tg__json *shape, tg__weight *tensor)
{
    if (!shape || shape->type != TG__JSON_LIST || shape->count > TG__MAX_RANK)
        return false;
    tensor->rank = (int)shape->count;
    for (uint32_t i = 0; i < shape->count; i++) {
        if (!is_count(&shape->items[i]))
            return false;
        tensor->shape[i] = shape->items[i].integer;
    }
    return true;
}

/* The bytes that the shape takes; false if they are not a whole number that fits. */
static bool needed_bytes(const tg__weight *tensor, const format *stored, size_t *bytes)
{
    size_t bits = stored->bits;
    for (int i = 0; i < tensor->rank; i++)
        if (__builtin_mul_overflow(bits, (size_t)tensor->shape[i], &bits))
            return false;
    *bytes = bits / 8;
    return bits % 8 == 0;
}

static bool read_offsets(const tg__safetensors *file, const tg__json *offsets, tg__weight *tensor)
{
    if (!offsets || offsets->type != TG__JSON_LIST || offsets->count != 2 ||
        !is_count(&offsets->items[0]) || !is_count(&offsets->items[1]))
        return false;
    size_t begin = (size_t)offsets->items[0].integer, end = (size_t)offsets->items[1].integer;
    if (begin > end || end > file->data_bytes)
        return false;
    tensor->data = file->data + begin;
    tensor->bytes = end - begin;
    tensor->identity = file->identity;
    tensor->identity.at = (uint64_t)(file->data - file->map) + begin;
    return true;
}

static void drop(const tg__weight *tensor) { tg__drop_pages(tensor->data, tensor->bytes); }

static const tg__weight_source mapped = {tg__weight_read_stored, drop};

static bool read_tensor(const tg__safetensors *file, const tg__json *entry, tg__weight *tensor,
                        tg__error *error)
{
    char expected[96];
    if (entry->type != TG__JSON_OBJECT)
        return refuse(file, entry->key, error,
                      "is no object, expected one with dtype, shape and data_offsets");
    const tg__json *dtype = tg__json_member(entry, "dtype");
    const tg__json *shape = tg__json_member(entry, "shape");
    const tg__json *offsets = tg__json_member(entry, "data_offsets");
    const format *stored =
        dtype && dtype->type == TG__JSON_STRING ? find_format(dtype->string) : NULL;
    if (!stored)
        return refuse_value(file, entry->key, error, "dtype", dtype, "F32, F16, BF16 or the like");
    *tensor = (tg__weight){.name = entry->key,
                           .file = file->where,
                           .dtype = stored->dtype,
                           .dtype_name = stored->name,
                           .source = &mapped};
    if (!read_shape(shape, tensor)) {
        snprintf(expected, sizeof expected, "a list of at most %d sizes, none negative",
                 TG__MAX_RANK);
        return refuse_value(file, entry->key, error, "shape", shape, expected);
    }
    if (!read_offsets(file, offsets, tensor)) {
        snprintf(expected, sizeof expected, "[begin, end] within the %zu bytes of data",
                 file->data_bytes);
        return refuse_value(file, entry->key, error, "data_offsets", offsets, expected);
    }
    size_t bytes;
    snprintf(expected, sizeof expected, "one of %s that takes its %zu bytes", stored->name,
             tensor->bytes);
    if (!needed_bytes(tensor, stored, &bytes) || bytes != tensor->bytes)
        return refuse_value(file, entry->key, error, "shape", shape, expected);
    return true;
}

/* ----------------------------------------------------------------------------- all of them */

static int by_place(const void *a, const void *b)
{
    const tg__weight *x = a, *y = b;
    const char *p = x->data, *q = y->data;
    if (p != q)
        return p < q ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const tg__weight *const *)a)->name, (*(const tg__weight *const *)b)->name);
}

/* Each tensor has to begin where the one before it ends, the last to end with the file. */
static bool check_cover(const tg__safetensors *file, tg__error *error)
{
    size_t end = 0;
    for (size_t i = 0; i < file->count; i++) {
        const tg__weight *tensor = &file->tensors[i];
        size_t begin = (size_t)((const unsigned char *)tensor->data - file->data);
        if (begin != end)
            return refuse(file, tensor->name, error, "begins at byte %zu of the data, expected %zu",
                          begin, end);
        end += tensor->bytes;
    }
    if (end == file->data_bytes)
        return true;
    tg__fail(error, TG_ERROR_FORMAT,
             "%s: its tensors take %zu bytes, expected all %zu behind the "
             "header",
             file->where, end, file->data_bytes);
    return false;
}

static bool check_metadata(const tg__safetensors *file, const tg__json *metadata, tg__error *error)
{
    if (metadata->type != TG__JSON_OBJECT)
        return refuse(file, metadata->key, error, "is no object, expected one of strings");
    for (uint32_t i = 0; i < metadata->count; i++) {
        char key[128];
        if (metadata->items[i].type != TG__JSON_STRING)
            return refuse_value(file, metadata->key, error,
                                tg__printable(key, sizeof key, metadata->items[i].key),
                                &metadata->items[i], "a string");
    }
    return true;
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t length = name ? strlen(name) : 0, tail = strlen(suffix);
    return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

/* Numbers of 8 bits that a tensor beside them scales mean nothing alone: they are none that is
 * read. The marks are those of ComfyUI, and of what quantises for compressed-tensors. */
static void mark_scaled(tg__safetensors *file)
{
    static const char *const marks[] = {"scaled_fp8", ".scale_weight", ".weight_scale"};
    bool scaled = false;
    for (size_t i = 0; i < file->count && !scaled; i++)
        for (size_t j = 0; j < sizeof marks / sizeof *marks; j++)
            scaled = scaled || ends_in(file->tensors[i].name, marks[j]);
    for (size_t i = 0; i < file->count && scaled; i++) {
        tg__weight *tensor = &file->tensors[i];
        if (tensor->dtype == TG__F8_E4M3 || tensor->dtype == TG__F8_E5M2) {
            tensor->dtype = TG__OTHER;
            tensor->dtype_name = "scaled fp8";
        }
    }
}

static bool read_tensors(tg__safetensors *file, tg__error *error)
{
    const tg__json *root = tg__json_root(file->header);
    if (root->type != TG__JSON_OBJECT) {
        char shown[100];
        tg__fail(error, TG_ERROR_FORMAT, "%s: its header is %s, expected a JSON object",
                 file->where, tg__json_show(root, shown, sizeof shown));
        return false;
    }
    const tg__json *metadata = tg__json_member(root, "__metadata__");
    if (metadata && metadata->type != TG__JSON_NULL) {
        if (!check_metadata(file, metadata, error))
            return false;
        file->metadata = metadata;
    }
    file->tensors = calloc((size_t)root->count + 1, sizeof *file->tensors);
    file->by_name = calloc((size_t)root->count + 1, sizeof *file->by_name);
    if (!file->tensors || !file->by_name) {
        tg__fail_memory(error);
        return false;
    }
    for (uint32_t i = 0; i < root->count; i++)
        if (&root->items[i] != metadata &&
            !read_tensor(file, &root->items[i], &file->tensors[file->count++], error))
            return false;
    mark_scaled(file);
    qsort(file->tensors, file->count, sizeof *file->tensors, by_place);
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->count, sizeof *file->by_name, by_name);
    return check_cover(file, error);
}

/* ----------------------------------------------------------------- what is mistaken for it */

bool tg__is_pickle_name(const char *name)
{
    static const char *const suffixes[] = {".bin", ".ckpt", ".pt", ".pth", ".pkl"};
    size_t length = strlen(name);
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t tail = strlen(suffixes[i]);
        if (length > tail && strcasecmp(name + length - tail, suffixes[i]) == 0)
            return true;
    }
    return false;
}

bool tg__fail_pickle(const char *where, tg__error *error)
{
    tg__fail(error, TG_ERROR_UNSUPPORTED,
             "%s: is a pickle, expected .safetensors: reading a pickle can run any code that its "
             "author put in; to convert a model that you trust, load it with diffusers and call "
             "save_pretrained(folder, safe_serialization=True)",
             where);
    return false;
}

/* torch's own format is a zip archive with a pickle inside as its first file, an older one begins
 * as pickles do. */
static bool is_pickle(const tg__safetensors *file)
{
    enum { NAME_AT = 30, LONGEST = 256 };
    static const char inner[] = "data.pkl";
    size_t most = file->size < LONGEST ? file->size : LONGEST;
    if (file->map[0] == 0x80 && file->map[1] >= 2 && file->map[1] <= 5)
        return true;
    return memcmp(file->map, "PK\3\4", 4) == 0 && most > NAME_AT &&
           memmem(file->map + NAME_AT, most - NAME_AT, inner, sizeof inner - 1) != NULL;
}

/* How other files begin, and what is said of them. */
static const struct beginning {
    const char *bytes, *what;
} beginnings[] = {
    {"version https://git-lfs",
     "is a pointer of git-lfs, expected the file that it stands for (git lfs pull)"},
    {"GGUF", "is a GGUF file, expected .safetensors"},
    {"<!DOCTYPE", "is a web page (HTML), expected the file that it leads to"},
    {"<html", "is a web page (HTML), expected the file that it leads to"},
    {"PK\3\4", "is a zip archive, expected .safetensors (unpack it)"},
    {"7z\xBC\xAF", "is a 7z archive, expected .safetensors (unpack it)"},
    {"Rar!", "is a rar archive, expected .safetensors (unpack it)"},
    {"\x1F\x8B", "is a gzip archive, expected .safetensors (unpack it)"},
    {"\x89PNG", "is a picture, expected .safetensors"},
    {"\xFF\xD8\xFF", "is a picture, expected .safetensors"},
    {"\x89HDF", "is a HDF5 file, expected .safetensors"},
    {"{", "is a JSON text, expected .safetensors"},
};

/* The case of letters aside, and blank lines before. */
static bool begins_with(const tg__safetensors *file, const char *bytes)
{
    size_t at = 0, n = strlen(bytes);
    while (*bytes == '<' && at + n < file->size && strchr(" \t\r\n", file->map[at]))
        at++;
    return file->size >= at + n && strncasecmp((const char *)file->map + at, bytes, n) == 0;
}

/* For a file whose first bytes are no length. */
static bool fail_length(const tg__safetensors *file, uint64_t length, size_t most, tg__error *error)
{
    if (is_pickle(file))
        return tg__fail_pickle(file->where, error);
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (begins_with(file, beginnings[i].bytes))
            tg__fail(error, TG_ERROR_FORMAT, "%s: %s", file->where, beginnings[i].what);
    tg__fail(error, TG_ERROR_FORMAT, "%s: its header is %llu bytes long, expected at most %zu",
             file->where, (unsigned long long)length, most);
    return false;
}

/* ------------------------------------------------------------------------------- the file */

/* What tells the file from others and from itself after a change. */
static bool note_identity(tg__safetensors *file, int fd, const char *path, tg__error *error)
{
    struct stat status;
    if (fstat(fd, &status) == 0) {
        file->written = status.st_mtim;
        file->changed = status.st_ctim;
    }
    file->path = realpath(path, NULL);
    if (!file->path)
        file->path = strdup(path);
    if (!file->path)
        tg__fail_memory(error);
    return file->path != NULL;
}

static bool map_file(tg__safetensors *file, const char *path, tg__error *error)
{
    int fd = tg__file_open(path, file->where, &file->size, error);
    if (fd < 0)
        return false;
    if (file->size < LENGTH_BYTES) {
        tg__fail(error, TG_ERROR_FORMAT, "%s: is %zu bytes long, expected at least %d", file->where,
                 file->size, LENGTH_BYTES);
    } else if (note_identity(file, fd, path, error)) {
        void *map = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            tg__fail(error, errno == ENOMEM ? TG_ERROR_MEMORY : TG_ERROR_IO,
                     "%s: its %zu bytes cannot be mapped (%s)", file->where, file->size,
                     strerror(errno));
        else
            file->map = map;
    }
    close(fd);
    return file->map != NULL;
}

static bool read_header(tg__safetensors *file, tg__error *error)
{
    uint64_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--)
        length = length << 8 | file->map[i];
    size_t most = file->size - LENGTH_BYTES;
    most = most < MOST_HEADER_BYTES ? most : MOST_HEADER_BYTES;
    if (length > most)
        return fail_length(file, length, most, error);
    file->data = file->map + LENGTH_BYTES + length;
    file->data_bytes = file->size - LENGTH_BYTES - (size_t)length;
    char *text = malloc((size_t)length + 1);
    if (!text) {
        tg__fail_memory(error);
        return false;
    }
    memcpy(text, file->map + LENGTH_BYTES, (size_t)length);
    text[length] = '\0';
    char where[TG__WHERE_BYTES + 16];
    snprintf(where, sizeof where, "%s: header", file->where);
    /* The six values or more of a tensor take over fifty bytes: an honest header has fewer. */
    file->header = tg__json_parse(text, (size_t)length, (size_t)length / 4 + 16, where, error);
    return file->header != NULL;
}

tg__safetensors *tg__safetensors_open(const char *path, tg__error *error)
{
    tg__safetensors *file = calloc(1, sizeof *file);
    if (!file) {
        tg__fail_memory(error);
        return NULL;
    }
    file->identity = tg__identity_new();
    tg__path_where(file->where, sizeof file->where, path);
    if (map_file(file, path, error) && read_header(file, error) && read_tensors(file, error))
        return file;
    tg__safetensors_close(file);
    return NULL;
}

void tg__safetensors_close(tg__safetensors *file)
{
    if (!file)
        return;
    if (file->map)
        munmap((void *)file->map, file->size);
    tg__json_free(file->header);
    free(file->tensors);
    free(file->by_name);
    free(file->path);
    free(file);
}

size_t tg__safetensors_count(const tg__safetensors *file) { return file->count; }

const tg__weight *tg__safetensors_at(const tg__safetensors *file, size_t index)
{
    return &file->tensors[index];
}

const tg__weight *tg__safetensors_find(const tg__safetensors *file, const char *name)
{
    const tg__weight wanted = {.name = name}, *key = &wanted;
    const tg__weight **found =
        bsearch(&key, file->by_name, file->count, sizeof *file->by_name, by_name);
    return found ? *found : NULL;
}

bool tg__safetensors_holds(const tg__safetensors *file, tg__identity identity, uint64_t *offset)
{
    *offset = identity.at;
    return identity.source == file->identity.source;
}

const char *tg__safetensors_path(const tg__safetensors *file) { return file->path; }

void tg__safetensors_stamp(const tg__safetensors *file, char *dst, size_t size)
{
    snprintf(dst, size, "%zu bytes, %lld.%09ld, %lld.%09ld", file->size,
             (long long)file->written.tv_sec, file->written.tv_nsec,
             (long long)file->changed.tv_sec, file->changed.tv_nsec);
}

void tg__safetensors_drop(const tg__safetensors *file) { tg__drop_pages(file->map, file->size); }

const char *tg__safetensors_metadata(const tg__safetensors *file, const char *key)
{
    const tg__json *value = file->metadata ? tg__json_member(file->metadata, key) : NULL;
    return value ? value->string : NULL;
}
