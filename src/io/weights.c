/* SPDX-License-Identifier: MIT */
/* The weights of a network: finds the file, or the shards and their index, in a model's folder, and
 * looks tensors up by name. */
#include "io/weights.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/config.h"
#include "io/file.h"

enum { MOST_SHARDS = 1000, SHOWN_BYTES = 200 };

struct tg__weights {
    char where[TG__WHERE_BYTES];
    tg__weights_lookup lookup; /* NULL: the files below */
    const void *context;
    tg__safetensors **files;
    int file_count;
    bool borrowed;              /* the files are the caller's */
    const tg__weight **tensors; /* by name; NULL where there is one file alone */
    size_t tensor_count;
};

static tg__weights *new_weights(const char *where, tg__error *error)
{
    tg__weights *weights = calloc(1, sizeof *weights);
    if (weights)
        snprintf(weights->where, sizeof weights->where, "%s", where);
    else
        tg__fail_memory(error);
    return weights;
}

tg__weights *tg__weights_from(tg__weights_lookup lookup, const void *context, const char *where,
                              tg__error *error)
{
    tg__weights *weights = new_weights(where, error);
    if (weights) {
        weights->lookup = lookup;
        weights->context = context;
    }
    return weights;
}

tg__weights *tg__weights_in_file(tg__safetensors *file, tg__weights_lookup lookup,
                                 const void *context, const char *where, tg__error *error)
{
    tg__weights *weights = tg__weights_from(lookup, context, where, error);
    tg__safetensors **files = weights ? malloc(sizeof *files) : NULL;
    if (!files) {
        tg__fail_memory(error);
        tg__weights_close(weights);
        return NULL;
    }
    *files = file;
    weights->files = files;
    weights->file_count = 1;
    weights->borrowed = true;
    return weights;
}

void tg__weights_close(tg__weights *weights)
{
    if (!weights)
        return;
    for (int i = 0; i < weights->file_count && !weights->borrowed; i++)
        tg__safetensors_close(weights->files[i]);
    free(weights->files);
    free(weights->tensors);
    free(weights);
}

/* --------------------------------------------------------------------- one file, or shards */

/* Opens one more file; NULL on failure. */
static tg__safetensors *add_file(tg__weights *weights, const char *path, tg__error *error)
{
    size_t room = (size_t)weights->file_count + 1;
    tg__safetensors **larger = realloc(weights->files, room * sizeof *larger);
    if (!larger) {
        tg__fail_memory(error);
        return NULL;
    }
    weights->files = larger;
    tg__safetensors *file = tg__safetensors_open(path, error);
    if (file)
        weights->files[weights->file_count++] = file;
    return file;
}

static bool open_single(tg__weights *weights, const char *path, tg__error *error)
{
    return add_file(weights, path, error) != NULL;
}

/* A file beside the index, and no pickle. */
static bool is_shard_name(const char *name)
{
    static const char suffix[] = ".safetensors";
    size_t length = strlen(name);
    return length >= sizeof suffix && length <= NAME_MAX && !strpbrk(name, "/\\") &&
           strcmp(name + length - (sizeof suffix - 1), suffix) == 0;
}

/* The shards that are open, by the name that the index gives them. */
typedef struct shards {
    tg__weights *weights;
    const char *folder;
    const char *names[MOST_SHARDS];
} shards;

/* The shard of this name, opened when it is first asked for; NULL on failure. */
static tg__safetensors *shard(shards *open, const char *name, tg__error *error)
{
    char path[PATH_MAX];
    tg__weights *weights = open->weights;
    for (int i = weights->file_count - 1; i >= 0; i--)
        if (strcmp(open->names[i], name) == 0)
            return weights->files[i];
    if (weights->file_count == MOST_SHARDS) {
        tg__fail(error, TG_ERROR_FORMAT, "%s: names more than %d files", weights->where,
                 MOST_SHARDS);
        return NULL;
    }
    if (!tg__path_join(path, sizeof path, open->folder, name, error))
        return NULL;
    open->names[weights->file_count] = name;
    return add_file(weights, path, error);
}

/* The tensor that the index names; NULL on failure. */
static const tg__weight *indexed_tensor(shards *open, tg__config *map, const char *name,
                                        tg__error *error)
{
    char shown[SHOWN_BYTES], where[TG__WHERE_BYTES], path[PATH_MAX];
    const char *file_name = tg__config_string(map, name, "");
    if (tg__failed(error))
        return NULL;
    if (!is_shard_name(file_name)) {
        char value[SHOWN_BYTES];
        tg__fail(error, TG_ERROR_FORMAT, "%s: %s is %s, expected a .safetensors file beside it",
                 tg__config_where(map), tg__printable(shown, sizeof shown, name),
                 tg__config_show(map, name, value, sizeof value));
        return NULL;
    }
    tg__safetensors *file = shard(open, file_name, error);
    const tg__weight *tensor = file ? tg__safetensors_find(file, name) : NULL;
    if (file && !tensor && tg__path_join(path, sizeof path, open->folder, file_name, error))
        tg__fail(error, TG_ERROR_FORMAT, "%s: %s is missing, expected it as the index says",
                 tg__path_where(where, sizeof where, path),
                 tg__printable(shown, sizeof shown, name));
    return tensor;
}

static bool read_map(shards *open, tg__config *map, tg__error *error)
{
    tg__weights *weights = open->weights;
    size_t count = 0;
    while (tg__config_key(map, (int)count))
        count++;
    weights->tensors = calloc(count + 1, sizeof *weights->tensors);
    if (!weights->tensors) {
        tg__fail_memory(error);
        return false;
    }
    /* The keys come sorted, so the tensors are. */
    for (size_t i = 0; i < count; i++) {
        const char *name = tg__config_key(map, (int)i);
        weights->tensors[i] = indexed_tensor(open, map, name, error);
        if (!weights->tensors[i])
            return false;
    }
    weights->tensor_count = count;
    return true;
}

static bool open_shards(tg__weights *weights, const char *folder, const char *path,
                        tg__error *error)
{
    shards open = {.weights = weights, .folder = folder};
    tg__config *index = tg__config_open(path, weights->where, error);
    if (!index)
        return false;
    tg__config *map = tg__config_object(index, "weight_map");
    if (!map)
        tg__fail(error, TG_ERROR_FORMAT, "%s: weight_map is missing", weights->where);
    bool ok = map && read_map(&open, map, error);
    tg__config_close(index);
    return ok;
}

/* ------------------------------------------------------------------------ finding the file */

/* FOLDER/BASE.safetensors or the like in path, and what messages call it in where. */
typedef struct candidate {
    char path[PATH_MAX];
    char where[TG__WHERE_BYTES];
} candidate;

/* variant: "" or ".fp16". False if it is not there, or on failure. What cannot be looked at, or is
 * a link that leads nowhere, counts as there: opening it will say what is wrong. */
static bool find(candidate *found, const char *folder, const char *base, const char *middle,
                 const char *variant, const char *suffix, tg__error *error)
{
    char name[NAME_MAX + 1];
    struct stat status;
    int length = snprintf(name, sizeof name, "%s%s%s%s", base, middle, variant, suffix);
    if (length < 0 || (size_t)length >= sizeof name) {
        tg__fail_about(error, TG_ERROR_ARGUMENT, "variant",
                       "the variant's name is too long for a file's");
        return false;
    }
    if (!tg__path_join(found->path, sizeof found->path, folder, name, error))
        return false;
    tg__path_where(found->where, sizeof found->where, found->path);
    return lstat(found->path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static bool ends_in(const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length > tail && strcmp(name + length - tail, suffix) == 0;
}

/* The first pickle of a folder, in the order of names; "" if there is none, or if there are
 * .safetensors files beside it. */
static void find_pickle(const char *folder, char pickle[NAME_MAX + 1], tg__error *error)
{
    pickle[0] = '\0';
    errno = 0;
    DIR *entries = opendir(folder);
    if (!entries && (errno == ENOMEM || errno == 0)) /* not every malloc() sets it */
        tg__fail_memory(error);
    if (!entries)
        return;
    bool safe = false;
    for (struct dirent *entry; !safe && (entry = readdir(entries));) {
        const char *name = entry->d_name;
        safe = ends_in(name, ".safetensors");
        if (tg__is_pickle_name(name) && (!pickle[0] || strcmp(name, pickle) < 0))
            snprintf(pickle, NAME_MAX + 1, "%s", name);
    }
    closedir(entries);
    if (safe)
        pickle[0] = '\0';
}

/* wanted: the file that was looked for first. */
static void fail_not_found(const char *folder, const candidate *wanted, tg__error *error)
{
    char pickle[NAME_MAX + 1], path[PATH_MAX], where[TG__WHERE_BYTES];
    find_pickle(folder, pickle, error);
    if (!pickle[0]) {
        tg__fail(error, TG_ERROR_NOT_FOUND, "%s: there is no such file", wanted->where);
    } else if (tg__path_join(path, sizeof path, folder, pickle, error)) {
        tg__fail_pickle(tg__path_where(where, sizeof where, path), error);
    }
}

/* Opens the file or the index of one variant, "" or ".fp16"; NULL with no error if it has neither.
 * *single is where the file is, or would be. */
static tg__weights *open_variant(const char *folder, const char *base, const char *variant,
                                 candidate *single, tg__error *error)
{
    candidate index;
    bool is_single = find(single, folder, base, variant, "", ".safetensors", error);
    if (!is_single && (tg__failed(error) ||
                       !find(&index, folder, base, ".safetensors.index", variant, ".json", error)))
        return NULL;
    tg__weights *weights = new_weights(is_single ? single->where : index.where, error);
    if (!weights)
        return NULL;
    if (is_single ? open_single(weights, single->path, error)
                  : open_shards(weights, folder, index.path, error))
        return weights;
    tg__weights_close(weights);
    return NULL;
}

tg__weights *tg__weights_open(const char *folder, const char *base, const char *variant,
                              tg__error *error)
{
    char middle[NAME_MAX + 1] = "";
    candidate wanted, other;
    if (variant && strchr(variant, '/')) {
        char shown[SHOWN_BYTES];
        tg__fail_about(error, TG_ERROR_ARGUMENT, "variant",
                       "the variant is \"%s\", expected a name without '/'",
                       tg__printable(shown, sizeof shown, variant));
        return NULL;
    }
    if (variant)
        snprintf(middle, sizeof middle, ".%s", variant);
    tg__weights *weights = open_variant(folder, base, middle, &wanted, error);
    if (!weights && !variant && !tg__failed(error))
        weights = open_variant(folder, base, ".fp16", &other, error);
    if (!weights && !tg__failed(error))
        fail_not_found(folder, &wanted, error);
    return weights;
}

/* --------------------------------------------------------------------- looking tensors up */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const tg__weight *const *)a)->name, (*(const tg__weight *const *)b)->name);
}

/* rank -1: any shape. */
static bool find_as(const tg__weights *weights, const char *name, int rank, const int64_t *shape,
                    tg__weight *found)
{
    if (weights->lookup)
        return weights->lookup(weights->context, name, rank, shape, found);
    const tg__weight wanted = {.name = name}, *key = &wanted, *tensor = NULL;
    if (!weights->tensors) {
        tensor = tg__safetensors_find(weights->files[0], name);
    } else {
        const tg__weight **at = bsearch(&key, weights->tensors, weights->tensor_count,
                                        sizeof *weights->tensors, by_name);
        tensor = at ? *at : NULL;
    }
    if (tensor)
        *found = *tensor;
    return tensor != NULL;
}

bool tg__weights_find(const tg__weights *weights, const char *name, tg__weight *found)
{
    return find_as(weights, name, -1, NULL, found);
}

tg__weight tg__weights_get(const tg__weights *weights, const char *name, int rank,
                           const int64_t *shape, tg__error *error)
{
    static const tg__weight none = {0};
    tg__weight tensor = none;
    char shown[SHOWN_BYTES], found[TG__MAX_RANK * 21 + 3], expected[sizeof found];
    if (!find_as(weights, name, rank, shape, &tensor)) {
        tg__fail(error, TG_ERROR_FORMAT, "%s: %s%s is missing, expected it with shape %s",
                 weights->where, weights->lookup ? "what diffusers calls " : "",
                 tg__printable(shown, sizeof shown, name),
                 tg__show_shape(expected, sizeof expected, rank, shape));
        return none;
    }
    if (tensor.dtype == TG__OTHER) {
        tg__fail(error, TG_ERROR_UNSUPPORTED,
                 "%s: %s is %s, expected F64, F32, F16, BF16 or plain F8", tensor.file,
                 tg__printable(shown, sizeof shown, tensor.name), tensor.dtype_name);
        return none;
    }
    if (tensor.rank != rank || memcmp(tensor.shape, shape, (size_t)rank * sizeof *shape) != 0) {
        tg__fail(error, TG_ERROR_FORMAT, "%s: %s is %s, expected %s", tensor.file,
                 tg__printable(shown, sizeof shown, tensor.name),
                 tg__show_shape(found, sizeof found, tensor.rank, tensor.shape),
                 tg__show_shape(expected, sizeof expected, rank, shape));
        return none;
    }
    return tensor;
}

void tg__weights_drop(const tg__weights *weights)
{
    for (int i = 0; weights && i < weights->file_count; i++)
        tg__safetensors_drop(weights->files[i]);
}

tg__safetensors *const *tg__weights_files(const tg__weights *weights, int *count)
{
    *count = weights->file_count;
    return weights->files;
}
