/* SPDX-License-Identifier: MIT */
/* Weights in the form that computing wants, made once and shared by all plans of a network.
 *
 * Locks. Packs have none: whoever shares them between threads holds one lock of theirs while any
 * function here that takes a tg__packs runs, and while a pack is filled: from the search for it
 * until it is ready, so that nobody makes it twice. That is all of tg__program_finish but its
 * hooks, and tg__cache_save. The data of a pack that is ready neither move nor change until
 * tg__packs_free: running a program takes no lock. Two tg__packs have nothing in common, nor have
 * two threads that fill packs of different ones. */
#ifndef TG_CORE_PACKS_H
#define TG_CORE_PACKS_H

#include <stdatomic.h>

#include "core/error.h"

/* What names a weight's data. No two that may differ have the same, not even one after the other:
 * an address would be given again. All zeros: no data. */
typedef struct tg__identity {
    uint64_t source; /* a file that is open, or what else tg__identity_new named */
    uint64_t at;     /* a byte of it */
} tg__identity;

/* Differs from all others of this process; at is 0. Any thread. */
tg__identity tg__identity_new(void);

/* Every form of pack there is. Each has its layout in memory; what else decides how the data come
 * out is the key's variant. io/cache.c's FORMAT is raised where one of them changes. */
typedef enum tg__form {
    TG__FORM_VALUES,     /* f32, one behind the other: norms, biases */
    TG__FORM_PLAIN,      /* f32, (k, k, in, out): plain C */
    TG__FORM_DNNL_F32,   /* as the pack's layout says; variant: the phase */
    TG__FORM_DNNL_BF16,  /* the same */
    TG__FORM_INT8,       /* cpu/int8_weights.c; variant: the phase */
    TG__FORM_INT8_GATED, /* its outputs in pairs with their gates */
    TG__FORM_WINOGRAD,   /* the kernel's; variant: its panel, and what its numbers are */
} tg__form;

enum { TG__MAX_PARTS = 3 };

/* What a pack was made from, and which form it has. */
typedef struct tg__pack_key {
    tg__identity parts[TG__MAX_PARTS]; /* of stacked layers every one: any may be elsewhere too */
    int rows;                          /* outputs: a part of a weight may begin where it does */
    int first, count;                  /* input channels */
    tg__form form;
    int variant;
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
    atomic_size_t bytes;  /* of all; may be read without the lock */
    size_t counted;       /* of these against the process's budget: all but the store's */
    size_t added, made;   /* ever; made: those that the store did not have */
    tg__pack_store store; /* find NULL: none */
    struct tg__slab *slabs;
} tg__packs;

/* The n-th pack (from 0) made for this key, NULL if there are no more. */
tg__pack *tg__packs_find(const tg__packs *packs, tg__pack_key key, int n);
/* A new pack. Ready if the store has it; else its data is uninitialised, and the caller fills it
 * and sets ready, before which nobody finds it. layout is copied. NULL and an error without memory,
 * or where the process's budget of it is spent (core/process.h). */
tg__pack *tg__packs_add(tg__packs *packs, tg__pack_key key, size_t bytes, const void *layout,
                        size_t layout_bytes, tg__error *error);

/* Fills a pack's data; false and an error if that fails. */
typedef bool (*tg__pack_fill)(void *context, void *data, tg__error *error);
/* The data of the pack that this key has alone: found, or added and filled. NULL and an error on
 * failure. */
const void *tg__packs_get(tg__packs *packs, tg__pack_key key, size_t bytes, tg__pack_fill fill,
                          void *context, tg__error *error);
/* Frees all packs; the store stays. */
void tg__packs_free(tg__packs *packs);

/* Memory aligned to 64 bytes; NULL if there is none. free() it. */
void *tg__aligned(size_t bytes);

/* The pages that lie wholly inside [data, data + bytes) of a read-only file mapping leave memory;
 * they are read again if they are touched again. */
void tg__drop_pages(const void *data, size_t bytes);

#endif
