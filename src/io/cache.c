/* SPDX-License-Identifier: MIT */
/* The file: a head (what the file is, the identity as text, a table of entries, their layouts),
 * then the packs' data. Numbers are as this machine has them. */
#include "io/cache.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/parallel.h"
#include "io/file.h"

/* FORMAT is raised whenever a form's data come out differently. */
enum { FORMAT = 3, ALIGNMENT = 64, PIECE = 1 << 20, MOST_HEAD_BYTES = 64 << 20 };

static const char magic[8] = "TGPACKS";

typedef struct head {
    char magic[8];
    uint64_t sum; /* of the head's bytes behind it */
    uint64_t head_bytes, file_bytes, identity_bytes, entries;
    uint64_t zero[2];
} head;

typedef struct entry {
    uint64_t source[TG__MAX_PARTS]; /* the key's parts: a byte of each one's file */
    uint64_t data, bytes, sum;
    uint64_t layout; /* in the head */
    uint32_t layout_bytes;
    int32_t file[TG__MAX_PARTS]; /* -1: there is no such part */
    int32_t rows, first, count, form, variant, zero;
} entry;

/* A file that was found good. Packs may point into an older one after a new one was written. */
typedef struct image {
    struct image *older;
    unsigned char *head; /* a copy: it stays as it was checked */
    const entry *entries;
    size_t count;
    const unsigned char *map;
    size_t bytes;
} image;

struct tg__cache {
    char where[TG__WHERE_BYTES];
    char *folder, *path, *identity;
    size_t identity_bytes;
    tg__safetensors *const *files;
    int file_count;
    const tg__log_sink *log;
    bool opened;
    image *images;
    /* Packs that were asked for in vain, and how many had been when the file was last written.
     * Others, of patched weights say, are made too, but give no reason to write. */
    size_t missed, written;
};

static size_t align(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* ------------------------------------------------------------------------------------- sums */

/* A changed word changes its lane, whatever the others are. */
static uint64_t sum_of_piece(const unsigned char *data, size_t bytes, uint64_t seed)
{
    static const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t lanes[4] = {seed, seed + 1, seed + 2, seed + 3}, words[4];
    for (; bytes >= sizeof words; data += sizeof words, bytes -= sizeof words) {
        memcpy(words, data, sizeof words);
        for (int i = 0; i < 4; i++)
            lanes[i] = (lanes[i] ^ words[i]) * factor;
    }
    memset(words, 0, sizeof words);
    memcpy(words, data, bytes);
    uint64_t sum = bytes;
    for (int i = 0; i < 4; i++) {
        sum = (sum ^ lanes[i] ^ lanes[i] >> 32) * factor;
        sum = (sum ^ words[i] ^ sum >> 29) * factor;
    }
    return sum ^ sum >> 32;
}

typedef struct sum_job {
    const unsigned char *data;
    size_t bytes;
    atomic_ullong sum;
} sum_job;

static void add_piece(void *context, size_t i, int thread)
{
    (void)thread;
    sum_job *job = context;
    size_t first = i * PIECE, left = job->bytes - first;
    atomic_fetch_add(&job->sum, sum_of_piece(job->data + first, left < PIECE ? left : PIECE, i));
}

static uint64_t sum_of(const void *data, size_t bytes)
{
    sum_job job = {.data = data, .bytes = bytes};
    tg__parallel_for((bytes + PIECE - 1) / PIECE, add_piece, &job);
    return atomic_load(&job.sum);
}

/* ----------------------------------------------------------------------------------- reading */

static bool read_at(int fd, void *dst, size_t bytes)
{
    char *to = dst;
    size_t got = 0;
    while (got < bytes) {
        ssize_t n = pread(fd, to + got, bytes - got, (off_t)got);
        if (n == 0 || (n < 0 && errno != EINTR))
            return false;
        got += n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* Whether [first, first + bytes) lies in [least, end). */
static bool inside(uint64_t first, uint64_t bytes, uint64_t least, uint64_t end)
{
    return first >= least && first <= end && bytes <= end - first;
}

static bool check_entries(const head *h, const entry *entries)
{
    for (uint64_t i = 0; i < h->entries; i++) {
        const entry *e = &entries[i];
        if (!inside(e->layout, e->layout_bytes, 0, h->head_bytes) || e->data % ALIGNMENT != 0 ||
            !inside(e->data, e->bytes, h->head_bytes, h->file_bytes))
            return false;
    }
    return true;
}

/* Fills the image from its head; NULL, or what is wrong with it. */
static const char *check_head(const tg__cache *cache, image *file)
{
    const head *h = (const head *)(const void *)file->head;
    const size_t unsummed = offsetof(head, head_bytes);
    size_t table = sizeof *h + align(cache->identity_bytes, ALIGNMENT);
    if (h->file_bytes != file->bytes ||
        h->sum != sum_of(file->head + unsummed, h->head_bytes - unsummed))
        return "is damaged";
    if (h->identity_bytes != cache->identity_bytes || h->head_bytes < table ||
        memcmp(file->head + sizeof *h, cache->identity, cache->identity_bytes) != 0)
        return "was made from other weights or by another version";
    file->entries = (const entry *)(const void *)(file->head + table);
    file->count = h->entries;
    if (h->entries > (h->head_bytes - table) / sizeof(entry) || !check_entries(h, file->entries))
        return "is damaged";
    return NULL;
}

/* Reads the head; NULL, or what is wrong. */
static const char *read_head(const tg__cache *cache, image *file, int fd)
{
    head h;
    if (file->bytes < sizeof h || !read_at(fd, &h, sizeof h) ||
        memcmp(h.magic, magic, sizeof magic) != 0)
        return "is no file of packs";
    size_t most = file->bytes < MOST_HEAD_BYTES ? file->bytes : MOST_HEAD_BYTES;
    if (h.head_bytes < sizeof h || h.head_bytes > most || h.head_bytes % ALIGNMENT != 0)
        return "is damaged";
    file->head = malloc(h.head_bytes);
    if (!file->head)
        return "cannot be read (out of memory)";
    if (!read_at(fd, file->head, h.head_bytes))
        return "cannot be read";
    /* It may have changed meanwhile. */
    if (((const head *)(const void *)file->head)->head_bytes != h.head_bytes)
        return "is damaged";
    return check_head(cache, file);
}

static const char *read_image(const tg__cache *cache, image *file, int fd)
{
    const char *fault = read_head(cache, file, fd);
    if (fault)
        return fault;
    void *map = mmap(NULL, file->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return "cannot be mapped";
    madvise(map, file->bytes, MADV_WILLNEED);
    file->map = map;
    return NULL;
}

static void free_image(image *file)
{
    if (file->map)
        munmap((void *)(uintptr_t)file->map, file->bytes);
    free(file->head);
    free(file);
}

/* The file becomes the newest image, if there is one and it is good. */
static void open_image(tg__cache *cache)
{
    tg__error error = {0};
    image *file = calloc(1, sizeof *file);
    if (!file)
        return;
    int fd = tg__file_open(cache->path, cache->where, &file->bytes, &error);
    if (fd < 0) {
        if (error.status != TG_ERROR_NOT_FOUND)
            tg__log(cache->log, TG_LOG_INFO, "%s", error.message);
        free(file);
        return;
    }
    const char *fault = read_image(cache, file, fd);
    close(fd);
    if (fault) {
        tg__log(cache->log, TG_LOG_INFO, "%s: %s; it is made anew", cache->where, fault);
        free_image(file);
        return;
    }
    file->older = cache->images;
    cache->images = file;
}

/* ------------------------------------------------------------------------------- looking up */

/* Finds a part's file and place; false if it lies in none of the files, so that a later run could
 * not tell it again: a caller's memory, a patched weight. */
static bool describe_part(const tg__cache *cache, tg__identity part, int32_t *file, uint64_t *place)
{
    *file = -1;
    *place = 0;
    if (part.source == 0)
        return true;
    for (*file = 0; *file < cache->file_count; ++*file)
        if (tg__safetensors_holds(cache->files[*file], part, place))
            return true;
    return false;
}

/* The entry that a pack has or would have, as far as the pack says; false if it is none that a file
 * keeps. */
static bool describe(const tg__cache *cache, const tg__pack *pack, entry *e)
{
    const tg__pack_key *key = &pack->key;
    *e = (entry){.bytes = pack->bytes,
                 .layout_bytes = (uint32_t)pack->layout_bytes,
                 .rows = key->rows,
                 .first = key->first,
                 .count = key->count,
                 .form = (int32_t)key->form,
                 .variant = key->variant};
    for (int p = 0; p < TG__MAX_PARTS; p++)
        if (!describe_part(cache, key->parts[p], &e->file[p], &e->source[p]))
            return false;
    return e->file[0] >= 0 && pack->layout_bytes <= UINT32_MAX;
}

static bool same(const entry *a, const void *layout_a, const entry *b, const void *layout_b)
{
    return memcmp(a->source, b->source, sizeof a->source) == 0 &&
           memcmp(a->file, b->file, sizeof a->file) == 0 && a->bytes == b->bytes &&
           a->layout_bytes == b->layout_bytes && a->rows == b->rows && a->first == b->first &&
           a->count == b->count && a->form == b->form && a->variant == b->variant &&
           memcmp(layout_a, layout_b, a->layout_bytes) == 0;
}

static const void *find(void *context, const tg__pack *wanted)
{
    tg__cache *cache = context;
    entry e;
    if (!describe(cache, wanted, &e))
        return NULL;
    if (!cache->opened)
        open_image(cache);
    cache->opened = true;
    for (const image *file = cache->images; file; file = file->older) {
        for (size_t i = 0; i < file->count; i++) {
            const entry *found = &file->entries[i];
            const unsigned char *data = file->map + found->data;
            if (!same(found, file->head + found->layout, &e, wanted->layout))
                continue;
            if (sum_of(data, found->bytes) == found->sum)
                return data;
            tg__log(cache->log, TG_LOG_INFO, "%s: is damaged; a part of it is made anew",
                    cache->where);
        }
    }
    cache->missed++;
    return NULL;
}

tg__pack_store tg__cache_store(tg__cache *cache) { return (tg__pack_store){find, cache}; }

/* ----------------------------------------------------------------------------------- writing */

typedef struct item {
    entry e;
    const void *layout, *data;
    size_t order;
} item;

typedef struct items {
    item *all;
    size_t count;
} items;

static int by_order(const void *a, const void *b)
{
    size_t x = ((const item *)a)->order, y = ((const item *)b)->order;
    return x < y ? -1 : x > y;
}

static bool has(const items *list, const entry *e, const void *layout)
{
    for (size_t i = 0; i < list->count; i++)
        if (same(&list->all[i].e, list->all[i].layout, e, layout))
            return true;
    return false;
}

/* In the order of their making, in which they will be asked for. */
static void add_packs(const tg__cache *cache, const tg__packs *packs, items *list)
{
    for (size_t b = 0; b < sizeof packs->buckets / sizeof *packs->buckets; b++) {
        for (const tg__pack *pack = packs->buckets[b]; pack; pack = pack->next) {
            item *next = &list->all[list->count];
            *next = (item){.layout = pack->layout, .data = pack->data, .order = pack->order};
            list->count += pack->ready && describe(cache, pack, &next->e);
        }
    }
    qsort(list->all, list->count, sizeof *list->all, by_order);
    for (size_t i = 0; i < list->count; i++)
        list->all[i].e.sum = sum_of(list->all[i].data, list->all[i].e.bytes);
}

static void add_old(const tg__cache *cache, items *list)
{
    for (const image *file = cache->images; file; file = file->older) {
        for (size_t i = 0; i < file->count; i++) {
            const entry *e = &file->entries[i];
            const void *layout = file->head + e->layout;
            if (!has(list, e, layout))
                list->all[list->count++] =
                    (item){.e = *e, .layout = layout, .data = file->map + e->data};
        }
    }
}

/* All that the new file shall hold; false without memory. */
static bool collect(const tg__cache *cache, const tg__packs *packs, items *list)
{
    size_t most = 1;
    for (size_t b = 0; b < sizeof packs->buckets / sizeof *packs->buckets; b++)
        for (const tg__pack *pack = packs->buckets[b]; pack; pack = pack->next)
            most++;
    for (const image *file = cache->images; file; file = file->older)
        most += file->count;
    list->all = malloc(most * sizeof *list->all);
    if (!list->all)
        return false;
    add_packs(cache, packs, list);
    add_old(cache, list);
    return true;
}

/* Gives everything its place; returns the new head, NULL without memory. */
static head *lay_out(const tg__cache *cache, items *list)
{
    size_t table = sizeof(head) + align(cache->identity_bytes, ALIGNMENT);
    size_t bytes = table + list->count * sizeof(entry);
    for (size_t i = 0; i < list->count; i++) {
        list->all[i].e.layout = bytes;
        bytes += list->all[i].e.layout_bytes;
    }
    bytes = align(bytes, ALIGNMENT);
    unsigned char *memory = calloc(1, bytes);
    if (!memory)
        return NULL;
    size_t end = bytes;
    memcpy(memory + sizeof(head), cache->identity, cache->identity_bytes);
    for (size_t i = 0; i < list->count; i++) {
        entry *e = &list->all[i].e;
        e->data = end;
        end += align(e->bytes, ALIGNMENT);
        memcpy(memory + table + i * sizeof *e, e, sizeof *e);
        memcpy(memory + e->layout, list->all[i].layout, e->layout_bytes);
    }
    head *h = (head *)(void *)memory;
    memcpy(h->magic, magic, sizeof magic);
    h->head_bytes = bytes;
    h->file_bytes = end;
    h->identity_bytes = cache->identity_bytes;
    h->entries = list->count;
    const size_t unsummed = offsetof(head, head_bytes);
    h->sum = sum_of(memory + unsummed, bytes - unsummed);
    return h;
}

static void write_file(const tg__cache *cache, const head *h, const items *list, tg__error *error)
{
    static const char zeros[ALIGNMENT];
    mkdir(cache->folder, 0777);
    tg__output *output = tg__output_open(cache->path, true, error);
    tg__output_write(output, h, h->head_bytes);
    for (size_t i = 0; i < list->count; i++) {
        size_t bytes = list->all[i].e.bytes;
        tg__output_write(output, list->all[i].data, bytes);
        tg__output_write(output, zeros, align(bytes, ALIGNMENT) - bytes);
    }
    tg__output_commit(output, error);
}

bool tg__cache_save(tg__cache *cache, const tg__packs *packs)
{
    if (!cache || cache->missed == cache->written)
        return true;
    tg__error error = {0};
    items list = {0};
    head *h = collect(cache, packs, &list) ? lay_out(cache, &list) : NULL;
    if (!h)
        tg__fail_memory(&error);
    else
        write_file(cache, h, &list, &error);
    free(h);
    free(list.all);
    cache->written = cache->missed;
    if (tg__failed(&error))
        tg__log(cache->log, TG_LOG_WARNING, "%s; the next start will not be faster", error.message);
    else
        open_image(cache); /* for packs that are freed and asked for again */
    return !tg__failed(&error);
}

/* ------------------------------------------------------------------------------- a new cache */

/* Text that differs whenever packs might. */
static char *identify(const tg__cache_spec *spec, size_t *bytes)
{
    char stamp[128], *text = NULL;
    FILE *out = open_memstream(&text, bytes);
    if (!out)
        return NULL;
    fprintf(out, "tgate %s, format %d\n%s\n%s\n", tg_version(), FORMAT, spec->name, spec->maker);
    for (int i = 0; i < spec->file_count; i++) {
        tg__safetensors_stamp(spec->files[i], stamp, sizeof stamp);
        fprintf(out, "%s: %s\n", tg__safetensors_path(spec->files[i]), stamp);
    }
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* The file's name follows from what the packs are and where their weights lie: when these change,
 * the file is replaced. */
static bool name_file(tg__cache *cache, const tg__cache_spec *spec, tg__error *error)
{
    char name[NAME_MAX + 1], path[PATH_MAX];
    uint64_t sum = 0;
    for (int i = 0; i < spec->file_count; i++) {
        const char *file = tg__safetensors_path(spec->files[i]);
        sum = sum_of_piece((const unsigned char *)file, strlen(file), sum);
    }
    snprintf(name, sizeof name, "%s-%016llx.packs", spec->name, (unsigned long long)sum);
    if (!tg__path_join(path, sizeof path, spec->folder, name, error))
        return false;
    tg__path_where(cache->where, sizeof cache->where, path);
    cache->path = strdup(path);
    cache->folder = strdup(spec->folder);
    cache->identity = identify(spec, &cache->identity_bytes);
    if (!cache->path || !cache->folder || !cache->identity)
        tg__fail_memory(error);
    return !tg__failed(error);
}

tg__cache *tg__cache_new(const tg__cache_spec *spec, tg__error *error)
{
    tg__cache *cache = calloc(1, sizeof *cache);
    if (!cache) {
        tg__fail_memory(error);
        return NULL;
    }
    cache->files = spec->files;
    cache->file_count = spec->file_count;
    cache->log = spec->log;
    if (name_file(cache, spec, error))
        return cache;
    tg__cache_free(cache);
    return NULL;
}

void tg__cache_free(tg__cache *cache)
{
    if (!cache)
        return;
    while (cache->images) {
        image *older = cache->images->older;
        free_image(cache->images);
        cache->images = older;
    }
    free(cache->folder);
    free(cache->path);
    free(cache->identity);
    free(cache);
}
