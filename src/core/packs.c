/* SPDX-License-Identifier: MIT */
#include "core/packs.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/process.h"

enum { BUCKETS = 1024, ALIGNMENT = 64, HUGE_PAGE = 1 << 21 };

/* Packs of middling size share pieces of memory in huge pages, which take fewer faults to fill and
 * fewer entries of the address cache to read; where each begins a page of its own, much is wasted.
 */
enum { LEAST_SHARED = 1 << 16, SLAB_BYTES = 1 << 25 };

struct tg__slab {
    struct tg__slab *next;
    char *memory;
    size_t bytes, used;
};

tg__identity tg__identity_new(void)
{
    static atomic_ullong named; /* the process's, so that a name is never given again */
    return (tg__identity){.source = atomic_fetch_add(&named, 1) + 1};
}

static tg__pack **bucket_of(const tg__packs *packs, tg__pack_key key)
{
    static const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = key.parts[0].source * factor + key.parts[0].at + (uint64_t)key.first * 31;
    hash = (hash ^ hash >> 29) * factor;
    return (tg__pack **)&packs->buckets[hash >> 54];
}

static bool same(tg__pack_key a, tg__pack_key b)
{
    return memcmp(a.parts, b.parts, sizeof a.parts) == 0 && a.rows == b.rows &&
           a.first == b.first && a.count == b.count && a.form == b.form && a.variant == b.variant;
}

tg__pack *tg__packs_find(const tg__packs *packs, tg__pack_key key, int n)
{
    for (tg__pack *pack = *bucket_of(packs, key); pack; pack = pack->next)
        if (pack->ready && same(pack->key, key) && n-- == 0)
            return pack;
    return NULL;
}

/* A new slab for bytes. It becomes the first, unless most of it is taken at once. */
static struct tg__slab *add_slab(tg__packs *packs, size_t bytes)
{
    struct tg__slab *slab = calloc(1, sizeof *slab);
    if (!slab)
        return NULL;
    slab->bytes = bytes < SLAB_BYTES ? SLAB_BYTES : bytes;
    slab->memory = tg__aligned(slab->bytes);
    if (!slab->memory) {
        free(slab);
        return NULL;
    }
    bool behind = packs->slabs && bytes > SLAB_BYTES / 2;
    struct tg__slab **link = behind ? &packs->slabs->next : &packs->slabs;
    slab->next = *link;
    *link = slab;
    return slab;
}

static void *find_room(tg__packs *packs, tg__pack *pack, size_t bytes)
{
    pack->owned = bytes < LEAST_SHARED;
    if (pack->owned)
        return tg__aligned(bytes);
    struct tg__slab *slab = packs->slabs;
    if (!slab || slab->bytes - slab->used < bytes)
        slab = add_slab(packs, bytes);
    if (!slab)
        return NULL;
    slab->used += bytes;
    return slab->memory + slab->used - bytes;
}

/* What counts is what packs fill: the rest of a slab is not in memory before it is touched. */
static void *take(tg__packs *packs, tg__pack *pack, tg__error *error)
{
    size_t bytes = (pack->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    bool fits = pack->bytes <= PTRDIFF_MAX / 2;
    if (fits && !tg__memory_take(bytes)) {
        tg__fail_budget(error, "a packed weight", bytes);
        return NULL;
    }
    void *data = fits ? find_room(packs, pack, bytes) : NULL;
    if (data)
        packs->counted += bytes;
    else if (fits)
        tg__memory_give(bytes);
    return data;
}

static void free_pack(tg__pack *pack)
{
    if (pack->stored)
        tg__drop_pages(pack->data, pack->bytes);
    if (pack->owned)
        free(pack->data);
    free(pack->layout);
    free(pack);
}

/* The store's data, or memory for it. */
static void *find_data(tg__packs *packs, tg__pack *pack, tg__error *error)
{
    const void *data = packs->store.find ? packs->store.find(packs->store.context, pack) : NULL;
    pack->ready = pack->stored = data != NULL;
    packs->made += !data;
    return data ? (void *)(uintptr_t)data : take(packs, pack, error);
}

tg__pack *tg__packs_add(tg__packs *packs, tg__pack_key key, size_t bytes, const void *layout,
                        size_t layout_bytes, tg__error *error)
{
    tg__pack *pack = calloc(1, sizeof *pack);
    void *copy = malloc(layout_bytes ? layout_bytes : 1);
    if (!pack || !copy) {
        free(pack);
        free(copy);
        tg__fail_memory(error);
        return NULL;
    }
    if (layout_bytes)
        memcpy(copy, layout, layout_bytes);
    *pack = (tg__pack){.key = key, .bytes = bytes, .layout = copy, .layout_bytes = layout_bytes};
    pack->data = find_data(packs, pack, error);
    if (!pack->data) {
        free_pack(pack);
        tg__fail_memory(error);
        return NULL;
    }
    tg__pack **bucket = bucket_of(packs, key);
    while (*bucket)
        bucket = &(*bucket)->next;
    *bucket = pack;
    pack->order = packs->added++;
    packs->bytes += bytes;
    return pack;
}

const void *tg__packs_get(tg__packs *packs, tg__pack_key key, size_t bytes, tg__pack_fill fill,
                          void *context, tg__error *error)
{
    tg__pack *pack = tg__packs_find(packs, key, 0);
    if (!pack)
        pack = tg__packs_add(packs, key, bytes, NULL, 0, error);
    if (pack && !pack->ready)
        pack->ready = fill(context, pack->data, error);
    return pack && pack->ready ? pack->data : NULL;
}

void tg__packs_free(tg__packs *packs)
{
    for (int i = 0; i < BUCKETS; i++) {
        while (packs->buckets[i]) {
            tg__pack *next = packs->buckets[i]->next;
            free_pack(packs->buckets[i]);
            packs->buckets[i] = next;
        }
    }
    while (packs->slabs) {
        struct tg__slab *next = packs->slabs->next;
        free(packs->slabs->memory);
        free(packs->slabs);
        packs->slabs = next;
    }
    tg__memory_give(packs->counted);
    packs->bytes = 0;
    packs->counted = 0;
}

void *tg__aligned(size_t bytes)
{
    if (bytes > PTRDIFF_MAX / 2)
        return NULL;
    size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, bytes ? bytes : ALIGNMENT) != 0)
        return NULL;
    /* Fewer faults, fewer misses of the address cache. Not for the end, which would become a whole
     * huge page: a network has hundreds of ends. */
    if (alignment == HUGE_PAGE)
        madvise(memory, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return memory;
}

void tg__drop_pages(const void *data, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)data + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)data + bytes) / page * page;
    if (end > first)
        madvise((void *)first, end - first, MADV_DONTNEED);
}
