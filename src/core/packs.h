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
    void *layout; /* the maker's description of the form, layout_bytes zeroed bytes */
    struct tg__pack *next;
} tg__pack;

typedef struct tg__packs {
    tg__pack *buckets[1024];
    size_t bytes;
} tg__packs;

/* The n-th pack (from 0) made for this key, NULL if there are no more. */
tg__pack *tg__packs_find(const tg__packs *packs, tg__pack_key key, int n);
/* A new pack with uninitialised data; NULL and an error without memory. */
tg__pack *tg__packs_add(tg__packs *packs, tg__pack_key key, size_t bytes, size_t layout_bytes,
                        tg__error *error);
void tg__packs_free(tg__packs *packs);

/* Memory aligned to 64 bytes; NULL if there is none. free() it. */
void *tg__aligned(size_t bytes);

/* The pages that lie wholly inside [data, data + bytes) of a read-only file mapping leave memory;
 * they are read again if they are touched again. */
void tg__drop_pages(const void *data, size_t bytes);

#endif
