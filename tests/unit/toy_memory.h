/* SPDX-License-Identifier: MIT */
/* The toy backend's memory (unit/toy_backend.h): a table, a handle being the number of an entry;
 * and the weights that lie in it. */
#ifndef TG_TEST_TOY_MEMORY_H
#define TG_TEST_TOY_MEMORY_H

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/backend.h"
#include "io/weight.h"

/* -------------------------------------------------------------------------------------- memory */

enum { BLOCKS = 60000 }; /* all handles lie in the first 64 KiB, where nothing is ever mapped */

typedef struct block {
    char *data; /* NULL: given back; no number is given again */
    size_t bytes;
} block;

/* Weights of a network as the operators read them. */
typedef struct packed {
    int network;
    tg__identity parts[TG__MAX_PARTS];
    tg__memory memory;
    size_t bytes;
    struct packed *next;
} packed;

typedef struct toy {
    tg__backend base;
    tg__conversions conversions;
    pthread_mutex_t table; /* of the blocks */
    block blocks[BLOCKS];
    int block_count, live;
    pthread_mutex_t packing; /* of what follows; never held while a hook is asked */
    packed *packed;
    int programs[TG__MAX_GROUPS];
} toy;

/* What the tests see of the backend that is open. */
static toy *opened;
static int open_count, opened_count;
static long fail_in;   /* the allocation that fails, from now; 0: none */
static int stopped_at; /* operators that a run had done when a hook stopped it */
static int stopped_of; /* operators that it has */

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    abort();
}

static toy *toy_of(const tg__backend *backend) { return (toy *)(uintptr_t)backend; }

static char *data_of(const toy *t, tg__memory memory, size_t first, size_t bytes)
{
    if (memory < 1 || memory > BLOCKS || !t->blocks[memory - 1].data)
        die("memory %ju is not there", (uintmax_t)memory);
    const block *b = &t->blocks[memory - 1];
    if (first > b->bytes || bytes > b->bytes - first)
        die("memory %ju has %zu bytes, not %zu from %zu", (uintmax_t)memory, b->bytes, bytes,
            first);
    return b->data + first;
}

/* Filled with what is not a number, as all memory that nobody has written is. */
static tg__memory allocate(tg__backend *backend, size_t bytes)
{
    toy *t = toy_of(backend);
    tg__memory memory = 0;
    pthread_mutex_lock(&t->table);
    bool fails = fail_in > 0 && --fail_in == 0;
    char *data = fails || t->block_count == BLOCKS ? NULL : malloc(bytes);
    if (data) {
        memset(data, 0xFF, bytes);
        t->blocks[t->block_count++] = (block){data, bytes};
        t->live++;
        memory = (tg__memory)t->block_count;
    }
    pthread_mutex_unlock(&t->table);
    return memory;
}

static void release(tg__backend *backend, tg__memory memory)
{
    toy *t = toy_of(backend);
    if (!memory)
        return;
    free(data_of(t, memory, 0, 0));
    pthread_mutex_lock(&t->table);
    t->blocks[memory - 1].data = NULL;
    t->live--;
    pthread_mutex_unlock(&t->table);
}

static void upload(tg__backend *backend, tg__memory dst, const void *src, size_t bytes)
{
    memcpy(data_of(toy_of(backend), dst, 0, bytes), src, bytes);
}

static void download(tg__backend *backend, void *dst, tg__memory src, size_t bytes)
{
    memcpy(dst, data_of(toy_of(backend), src, 0, bytes), bytes);
}

/* ------------------------------------------------------------------------------------- weights */

static packed *find_packed(const toy *t, int network, const tg__weight *w, int parts)
{
    for (packed *p = t->packed; p; p = p->next) {
        int same = 0;
        while (same < parts && p->parts[same].source == w[same].identity.source &&
               p->parts[same].at == w[same].identity.at)
            same++;
        if (p->network == network && same == parts)
            return p;
    }
    return NULL;
}

/* One part (out, in, taps) among `all` outputs of dst (taps, in, all), from `first` on; returns its
 * outputs. */
static size_t turn_part(const toy *t, float *dst, const tg__weight *w, size_t in, size_t taps,
                        size_t first, size_t all, float *values)
{
    size_t each = in * taps, out = tg__weight_count(w) / each;
    for (size_t o = 0; o < out; o++) {
        tg__weight_read(w, values, TG__F32, o * each, each, &t->conversions);
        for (size_t i = 0; i < each; i++)
            dst[(i % taps * in + i / taps) * all + first + o] = values[i];
    }
    return out;
}

/* New memory with the parts' outputs behind one another; 0 if there is none. */
static tg__memory upload_parts(toy *t, const tg__weight *w, int parts, size_t in, size_t taps,
                               size_t count)
{
    float *all = malloc(count * sizeof *all), *values = malloc(in * taps * sizeof *values);
    tg__memory memory = all && values ? allocate(&t->base, count * sizeof *all) : 0;
    size_t first = 0;
    for (int i = 0; memory && i < parts; i++)
        first += turn_part(t, all, &w[i], in, taps, first, count / in / taps, values);
    if (memory)
        upload(&t->base, memory, all, count * sizeof *all);
    free(all);
    free(values);
    return memory;
}

/* The weights (out, in, taps) as (taps, in, out), made once for a network; 0: there are none, or an
 * error. */
static tg__memory pack(toy *t, int network, const tg__weight *w, int parts, int in, int taps,
                       tg__error *error)
{
    size_t count = 0;
    if (!w || !w->data || tg__failed(error))
        return 0;
    packed *p = find_packed(t, network, w, parts);
    if (p)
        return p->memory;
    for (int i = 0; i < parts; i++)
        count += tg__weight_count(&w[i]);
    p = calloc(1, sizeof *p);
    tg__memory memory = p ? upload_parts(t, w, parts, (size_t)in, (size_t)taps, count) : 0;
    if (!memory) {
        free(p);
        tg__fail_memory(error);
        return 0;
    }
    *p = (packed){network, {{0}}, memory, count * sizeof(float), t->packed};
    for (int i = 0; i < parts; i++)
        p->parts[i] = w[i].identity;
    t->packed = p;
    return memory;
}

static void free_packed(toy *t, int network)
{
    for (packed **link = &t->packed; *link;) {
        packed *p = *link;
        if (p->network != network) {
            link = &p->next;
            continue;
        }
        *link = p->next;
        release(&t->base, p->memory);
        free(p);
    }
}

static void forget(tg__backend *backend, int network)
{
    toy *t = toy_of(backend);
    pthread_mutex_lock(&t->packing);
    if (t->programs[network] == 0)
        free_packed(t, network);
    pthread_mutex_unlock(&t->packing);
}

static size_t packed_bytes(const tg__backend *backend, int network)
{
    toy *t = toy_of(backend);
    size_t bytes = 0;
    pthread_mutex_lock(&t->packing);
    for (const packed *p = t->packed; p; p = p->next)
        bytes += p->network == network ? p->bytes : 0;
    pthread_mutex_unlock(&t->packing);
    return bytes;
}

#endif
