/* SPDX-License-Identifier: MIT */
#include "core/packs.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BUCKETS = 1024, ALIGNMENT = 64, HUGE_PAGE = 1 << 21 };

static tg__pack **bucket_of(const tg__packs *packs, tg__pack_key key)
{
    uint64_t hash = (uint64_t)(uintptr_t)key.data + (uint64_t)key.first * 31;
    hash = (hash ^ hash >> 29) * UINT64_C(0x9E3779B97F4A7C15);
    return (tg__pack **)&packs->buckets[hash >> 54];
}

static bool same(tg__pack_key a, tg__pack_key b)
{
    return a.data == b.data && a.first == b.first && a.count == b.count && a.form == b.form;
}

tg__pack *tg__packs_find(const tg__packs *packs, tg__pack_key key, int n)
{
    for (tg__pack *pack = *bucket_of(packs, key); pack; pack = pack->next)
        if (same(pack->key, key) && n-- == 0)
            return pack;
    return NULL;
}

tg__pack *tg__packs_add(tg__packs *packs, tg__pack_key key, size_t bytes, size_t layout_bytes,
                        tg__error *error)
{
    tg__pack *pack = calloc(1, sizeof *pack);
    if (!pack)
        goto fail;
    pack->key = key;
    pack->bytes = bytes;
    pack->data = tg__aligned(bytes);
    pack->layout = calloc(1, layout_bytes ? layout_bytes : 1);
    if (!pack->data || !pack->layout)
        goto fail;
    tg__pack **bucket = bucket_of(packs, key);
    while (*bucket)
        bucket = &(*bucket)->next;
    *bucket = pack;
    packs->bytes += bytes;
    return pack;
fail:
    if (pack) {
        free(pack->data);
        free(pack->layout);
        free(pack);
    }
    tg__fail_memory(error);
    return NULL;
}

void tg__packs_free(tg__packs *packs)
{
    for (int i = 0; i < BUCKETS; i++) {
        while (packs->buckets[i]) {
            tg__pack *next = packs->buckets[i]->next;
            free(packs->buckets[i]->data);
            free(packs->buckets[i]->layout);
            free(packs->buckets[i]);
            packs->buckets[i] = next;
        }
    }
    packs->bytes = 0;
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
