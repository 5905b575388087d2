/* SPDX-License-Identifier: MIT */
/* Weights in the form that computing wants, made once and shared by all plans of a network. */
#ifndef TG_CORE_PACKS_H
#define TG_CORE_PACKS_H

#include "core/error.h"

/* What a packed weight was made from: the data on disk, and which part of it in which form. */
typedef struct tg__pack_key {
    const void *data;
    int first, count; /* input channels */
    int form;         /* the maker's own number */
} tg__pack_key;

typedef struct tg__pack {
    tg__pack_key key;
    void *data; /* 64-byte aligned */
    size_t bytes;
    void *layout; /* the maker's description of the form, compared byte by byte */
    size_t layout_bytes;
    bool ready;   /* the data is what it should be: set by the maker, or it came from the store */
    bool stored;  /* the data is the store's, and read-only */
    bool owned;   /* the data is the pack's own, not part of a larger piece of memory */
    size_t order; /* how many were added before */
    struct tg__pack *next;
} tg__pack;

/* Where packs of an earlier run are kept. find: the data of a pack with this key, layout and number
 * of bytes, which lives as long as the store; NULL if there is none. */
typedef struct tg__pack_store {
    const void *(*find)(void *context, const tg__pack *wanted);
    void *context;
} tg__pack_store;

typedef struct tg__packs {
    tg__pack *buckets[1024];
    size_t bytes;
    size_t added, made;   /* ever; made: those that the store did not have */
    tg__pack_store store; /* find NULL: none */
    struct tg__slab *slabs;
} tg__packs;

/* The n-th pack (from 0) made for this key, NULL if there are no more. */
tg__pack *tg__packs_find(const tg__packs *packs, tg__pack_key key, int n);
/* A new pack. Ready if the store has it; else its data is uninitialised, and the caller fills it
 * and sets ready, before which nobody finds it. layout is copied. NULL and an error without memory.
 */
tg__pack *tg__packs_add(tg__packs *packs, tg__pack_key key, size_t bytes, const void *layout,
                        size_t layout_bytes, tg__error *error);
/* Frees all packs; the store stays. */
void tg__packs_free(tg__packs *packs);

/* Memory aligned to 64 bytes; NULL if there is none. free() it. */
void *tg__aligned(size_t bytes);

/* The pages that lie wholly inside [data, data + bytes) of a read-only file mapping leave memory;
 * they are read again if they are touched again. */
void tg__drop_pages(const void *data, size_t bytes);

#endif
