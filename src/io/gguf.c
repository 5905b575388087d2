/* SPDX-License-Identifier: MIT */
#include "io/gguf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/arena.h"
#include "io/file.h"
#include "io/gguf_quants.h"

enum {
    MOST_NAME_BYTES = 255,
    MOST_STRING_BYTES = 4096, /* of one that is kept */
    MOST_DIMENSIONS = 4,
    MOST_DEPTH = 4, /* of arrays in arrays */
    USUAL_ALIGNMENT = 32,
    SHOWN_BYTES = 200,
};

/* A tensor: the weight's data lead here. */
typedef struct tensor {
    tg__weight weight;
    const tg__gguf_format *format;
    const unsigned char *data;
    uint64_t offset;
} tensor;

typedef struct text_value {
    const char *key, *value;
} text_value;

struct tg__gguf {
    char where[TG__WHERE_BYTES];
    const unsigned char *map;
    size_t size;
    tg__identity identity;
    tg__arena arena;
    uint64_t alignment;
    text_value *texts;
    size_t text_count, text_room;
    tensor *tensors; /* by name */
    size_t count;
};

/* --------------------------------------------------------------------------------- reading bytes
 */

/* The header on its way. */
typedef struct reader {
    tg__gguf *file;
    size_t at;
    tg__error *error;
} reader;

static size_t left(const reader *r) { return r->file->size - r->at; }

static bool fail_short(reader *r, const char *what)
{
    tg__fail(r->error, TG_ERROR_FORMAT, "%s: ends within %s at byte %zu of %zu", r->file->where,
             what, r->at, r->file->size);
    return false;
}

/* A number of `bytes` bytes, little endian. */
static bool read_number(reader *r, int bytes, const char *what, uint64_t *value)
{
    *value = 0;
    if (left(r) < (size_t)bytes)
        return fail_short(r, what);
    for (int i = bytes - 1; i >= 0; i--)
        *value = *value << 8 | r->file->map[r->at + (size_t)i];
    r->at += (size_t)bytes;
    return true;
}

/* Where a string lies. */
static bool read_string(reader *r, const char *what, const char **text, size_t *length)
{
    uint64_t bytes;
    if (!read_number(r, 8, what, &bytes))
        return false;
    if (bytes > left(r)) {
        tg__fail(r->error, TG_ERROR_FORMAT,
                 "%s: %s at byte %zu is %llu bytes long, expected at "
                 "most the %zu that are left",
                 r->file->where, what, r->at, (unsigned long long)bytes, left(r));
        return false;
    }
    *text = (const char *)r->file->map + r->at;
    *length = (size_t)bytes;
    r->at += (size_t)bytes;
    return true;
}

/* A copy of a string of 1 to most bytes without a zero byte; NULL with an error. */
static const char *keep_string(reader *r, const char *what, size_t most)
{
    const char *text;
    size_t length;
    if (!read_string(r, what, &text, &length))
        return NULL;
    if (length == 0 || length > most || memchr(text, '\0', length)) {
        tg__fail(r->error, TG_ERROR_FORMAT,
                 "%s: %s before byte %zu is %zu bytes long, expected 1 to %zu without a zero byte",
                 r->file->where, what, r->at, length, most);
        return NULL;
    }
    char *copy = tg__arena_take(&r->file->arena, length + 1, 1);
    if (copy)
        memcpy(copy, text, length);
    else
        tg__fail_memory(r->error);
    return copy;
}

/* --------------------------------------------------------------------------------------- metadata
 */

enum { UINT32 = 4, STRING = 8, ARRAY = 9, VALUE_TYPES = 13 };

static const int value_bytes[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

static bool check_type(reader *r, uint64_t type)
{
    if (type < VALUE_TYPES)
        return true;
    tg__fail(r->error, TG_ERROR_FORMAT,
             "%s: a value before byte %zu has the type %llu, expected 0 to %d", r->file->where,
             r->at, (unsigned long long)type, VALUE_TYPES - 1);
    return false;
}

static bool skip_array(reader *r, int depth);

static bool skip_values(reader *r, uint64_t type, uint64_t count, int depth)
{
    static const char what[] = "its metadata";
    if (type != STRING && type != ARRAY) {
        if (count > left(r) / (size_t)value_bytes[type])
            return fail_short(r, what);
        r->at += (size_t)count * (size_t)value_bytes[type];
        return true;
    }
    for (uint64_t i = 0; i < count; i++) { /* each takes 8 bytes at least, or the file ends */
        const char *text;
        size_t length;
        if (type == STRING ? !read_string(r, what, &text, &length) : !skip_array(r, depth + 1))
            return false;
    }
    return true;
}

static bool skip_array(reader *r, int depth)
{
    uint64_t type, count;
    if (!read_number(r, 4, "its metadata", &type) || !check_type(r, type) ||
        !read_number(r, 8, "its metadata", &count))
        return false;
    if (depth >= MOST_DEPTH) {
        tg__fail(r->error, TG_ERROR_FORMAT, "%s: has arrays in arrays deeper than %d",
                 r->file->where, MOST_DEPTH);
        return false;
    }
    return skip_values(r, type, count, depth);
}

static bool keep_text(reader *r, const char *key)
{
    tg__gguf *f = r->file;
    size_t before = r->at, length;
    const char *text, *value = "";
    if (!read_string(r, "its metadata", &text, &length))
        return false;
    if (length == 0 || length > MOST_STRING_BYTES)
        return true; /* of no interest */
    r->at = before;
    value = keep_string(r, key, MOST_STRING_BYTES);
    if (!value)
        return false;
    if (!tg__grow((void **)&f->texts, f->text_count, &f->text_room, sizeof *f->texts)) {
        tg__fail_memory(r->error);
        return false;
    }
    f->texts[f->text_count++] = (text_value){key, value};
    return true;
}

static bool read_alignment(reader *r)
{
    uint64_t value;
    if (!read_number(r, 4, "general.alignment", &value))
        return false;
    r->file->alignment = value;
    if (value >= 8 && value <= 1 << 20 && (value & (value - 1)) == 0)
        return true;
    tg__fail(r->error, TG_ERROR_FORMAT,
             "%s: general.alignment is %llu, expected a power of two from 8 to %d", r->file->where,
             (unsigned long long)value, 1 << 20);
    return false;
}

static bool read_metadata(reader *r, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t type;
        const char *key = keep_string(r, "a key", MOST_STRING_BYTES);
        if (!key || !read_number(r, 4, "its metadata", &type) || !check_type(r, type))
            return false;
        bool ok = strncmp(key, "general.", 8) == 0 && type == STRING        ? keep_text(r, key)
                  : strcmp(key, "general.alignment") == 0 && type == UINT32 ? read_alignment(r)
                  : type == ARRAY                                           ? skip_array(r, 0)
                                  : skip_values(r, type, 1, 0);
        if (!ok)
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------------------------------- tensors
 */

static bool fail_tensor(reader *r, const char *name, const char *what)
{
    char shown[SHOWN_BYTES];
    tg__fail(r->error, TG_ERROR_FORMAT, "%s: %s: %s", r->file->where,
             tg__printable(shown, sizeof shown, name), what);
    return false;
}

static void read_values(const tg__weight *weight, void *dst, tg__dtype dtype, size_t first,
                        size_t count, const tg__conversions *c)
{
    const tensor *t = weight->data;
    const tg__gguf_format *f = t->format;
    size_t size = tg__dtype_size(dtype), values = (size_t)f->values;
    float block[TG__MOST_BLOCK_VALUES];
    for (size_t done = 0, n; done < count; done += n) {
        size_t at = (first + done) % values;
        n = count - done < values - at ? count - done : values - at;
        f->unpack(block, t->data + (first + done) / values * (size_t)f->bytes);
        if (dtype == TG__BF16)
            c->bf16_from_f32((tg__bf16 *)dst + done, block + at, n);
        else
            memcpy((char *)dst + done * size, block + at, n * size);
    }
}

static void drop_values(const tg__weight *weight)
{
    tg__drop_pages(((const tensor *)weight->data)->data, weight->bytes);
}

static void drop_stored(const tg__weight *weight) { tg__drop_pages(weight->data, weight->bytes); }

static const tg__weight_source quantized = {read_values, drop_values};
static const tg__weight_source stored = {tg__weight_read_stored, drop_stored};

/* The shape, and how many blocks that is. */
static bool read_shape(reader *r, tensor *t, uint64_t *blocks)
{
    uint64_t rank, sizes[MOST_DIMENSIONS], count = 1;
    if (!read_number(r, 4, "its tensors", &rank))
        return false;
    if (rank < 1 || rank > MOST_DIMENSIONS)
        return fail_tensor(r, t->weight.name, "has no or too many dimensions, expected 1 to 4");
    for (uint64_t i = 0; i < rank; i++)
        if (!read_number(r, 8, "its tensors", &sizes[i]))
            return false;
    for (uint64_t i = 0; i < rank; i++) {
        if (sizes[i] == 0 || sizes[i] > INT32_MAX || count > (UINT64_C(1) << 48) / sizes[i])
            return fail_tensor(r, t->weight.name,
                               "has a dimension of no size or is too large, expected at most 2^48 "
                               "elements in dimensions of 1 to 2147483647");
        count *= sizes[i];
        t->weight.shape[rank - 1 - i] = (int64_t)sizes[i];
    }
    t->weight.rank = (int)rank;
    uint64_t type;
    if (!read_number(r, 4, "its tensors", &type) || !read_number(r, 8, "its tensors", &t->offset))
        return false;
    t->format = type <= UINT32_MAX ? tg__gguf_format_of((uint32_t)type) : NULL;
    if (!t->format)
        return fail_tensor(r, t->weight.name,
                           "is of no known type, expected F32, F16, BF16, Q8_0, "
                           "Q4_K, Q5_K or Q6_K");
    if (t->format->bytes > 0 && sizes[0] % (uint64_t)t->format->values != 0)
        return fail_tensor(r, t->weight.name,
                           "has rows that its type's blocks do not divide, expected whole blocks");
    *blocks = t->format->bytes > 0 ? count / (uint64_t)t->format->values : 0;
    return true;
}

static bool read_tensor(reader *r, tensor *t)
{
    uint64_t blocks = 0;
    *t = (tensor){.weight = {.file = r->file->where}};
    t->weight.name = keep_string(r, "a tensor's name", MOST_NAME_BYTES);
    if (!t->weight.name || !read_shape(r, t, &blocks))
        return false;
    t->weight.bytes = (size_t)blocks * (size_t)t->format->bytes;
    t->weight.dtype_name = t->format->name;
    t->weight.dtype = t->format->bytes > 0 ? t->format->dtype : TG__OTHER;
    t->weight.source = t->format->unpack ? &quantized : &stored;
    return true;
}

/* Once all of the header is read: where the data begin is known only then. */
static bool place(reader *r, tensor *t, size_t begin)
{
    const tg__gguf *f = r->file;
    char what[SHOWN_BYTES];
    size_t room = f->size - begin;
    if (t->offset % f->alignment != 0 || t->offset > room || t->weight.bytes > room - t->offset) {
        snprintf(
            what, sizeof what,
            "%zu bytes at %llu of the data, expected a multiple of %llu within their %zu bytes",
            t->weight.bytes, (unsigned long long)t->offset, (unsigned long long)f->alignment, room);
        return fail_tensor(r, t->weight.name, what);
    }
    t->data = f->map + begin + t->offset;
    t->weight.identity = f->identity;
    t->weight.identity.at = begin + t->offset;
    t->weight.data = t->weight.source == &quantized ? (const void *)t : t->data;
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tensor *)a)->weight.name, ((const tensor *)b)->weight.name);
}

static int by_offset(const void *a, const void *b)
{
    const tensor *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool check_apart(reader *r)
{
    const tg__gguf *f = r->file;
    qsort(f->tensors, f->count, sizeof *f->tensors, by_offset);
    for (size_t i = 1; i < f->count; i++)
        if (f->tensors[i].offset - f->tensors[i - 1].offset < f->tensors[i - 1].weight.bytes)
            return fail_tensor(r, f->tensors[i].weight.name, "overlaps another tensor");
    qsort(f->tensors, f->count, sizeof *f->tensors, by_name);
    for (size_t i = 1; i < f->count; i++)
        if (strcmp(f->tensors[i].weight.name, f->tensors[i - 1].weight.name) == 0)
            return fail_tensor(r, f->tensors[i].weight.name, "is there twice");
    return true;
}

static bool read_tensors(reader *r, uint64_t count)
{
    enum { LEAST_BYTES = 33 }; /* of one in the header */
    tg__gguf *f = r->file;
    if (count > left(r) / LEAST_BYTES) {
        tg__fail(r->error, TG_ERROR_FORMAT,
                 "%s: has %llu tensors, expected at most as many as %zu bytes describe", f->where,
                 (unsigned long long)count, left(r));
        return false;
    }
    f->tensors = calloc((size_t)count + 1, sizeof *f->tensors);
    if (!f->tensors) {
        tg__fail_memory(r->error);
        return false;
    }
    for (; f->count < count; f->count++)
        if (!read_tensor(r, &f->tensors[f->count]))
            return false;
    size_t begin = (r->at + (size_t)f->alignment - 1) & ~((size_t)f->alignment - 1);
    if (begin > f->size)
        return count == 0 || fail_short(r, "its header");
    if (!check_apart(r))
        return false;
    for (size_t i = 0; i < f->count; i++)
        if (!place(r, &f->tensors[i], begin))
            return false;
    return true;
}

/* ------------------------------------------------------------------------------------- the file */

static bool read_header(tg__gguf *f, tg__error *error)
{
    reader r = {.file = f, .error = error};
    uint64_t magic, version, tensors, values;
    if (!read_number(&r, 4, "its header", &magic) || !read_number(&r, 4, "its header", &version))
        return false;
    if (magic != 0x46554747) {
        tg__fail(error, TG_ERROR_FORMAT, "%s: does not begin with GGUF, expected a .gguf file",
                 f->where);
        return false;
    }
    if (version != 2 && version != 3) {
        tg__fail(error, TG_ERROR_UNSUPPORTED, "%s: is of version %llu%s, expected 2 or 3", f->where,
                 (unsigned long long)version, version & 0xFFFF ? "" : " or big endian");
        return false;
    }
    return read_number(&r, 8, "its header", &tensors) &&
           read_number(&r, 8, "its header", &values) && read_metadata(&r, values) &&
           read_tensors(&r, tensors);
}

static bool map_file(tg__gguf *f, const char *path, tg__error *error)
{
    int fd = tg__file_open(path, f->where, &f->size, error);
    if (fd < 0)
        return false;
    void *map = f->size > 0 ? mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (f->size == 0)
        tg__fail(error, TG_ERROR_FORMAT, "%s: is empty, expected a .gguf file", f->where);
    else if (map == MAP_FAILED)
        tg__fail(error, errno == ENOMEM ? TG_ERROR_MEMORY : TG_ERROR_IO,
                 "%s: its %zu bytes cannot be mapped (%s)", f->where, f->size, strerror(errno));
    else
        f->map = map;
    close(fd);
    return f->map != NULL;
}

tg__gguf *tg__gguf_open(const char *path, tg__error *error)
{
    tg__gguf *f = calloc(1, sizeof *f);
    if (!f) {
        tg__fail_memory(error);
        return NULL;
    }
    f->identity = tg__identity_new();
    f->alignment = USUAL_ALIGNMENT;
    tg__path_where(f->where, sizeof f->where, path);
    if (map_file(f, path, error) && read_header(f, error))
        return f;
    tg__gguf_close(f);
    return NULL;
}

void tg__gguf_close(tg__gguf *f)
{
    if (!f)
        return;
    if (f->map)
        munmap((void *)(uintptr_t)f->map, f->size);
    free(f->texts);
    free(f->tensors);
    tg__arena_free(&f->arena);
    free(f);
}

const char *tg__gguf_where(const tg__gguf *f) { return f->where; }
size_t tg__gguf_count(const tg__gguf *f) { return f->count; }

const tg__weight *tg__gguf_at(const tg__gguf *f, size_t index) { return &f->tensors[index].weight; }

const tg__weight *tg__gguf_find(const tg__gguf *f, const char *name)
{
    const tensor wanted = {.weight = {.name = name}};
    const tensor *found = bsearch(&wanted, f->tensors, f->count, sizeof *f->tensors, by_name);
    return found ? &found->weight : NULL;
}

const char *tg__gguf_string(const tg__gguf *f, const char *key)
{
    for (size_t i = 0; i < f->text_count; i++)
        if (strcmp(f->texts[i].key, key) == 0)
            return f->texts[i].value;
    return NULL;
}

void tg__gguf_drop(const tg__gguf *f) { tg__drop_pages(f->map, f->size); }
