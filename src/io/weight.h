/* SPDX-License-Identifier: MIT */
/* One weight: what it is called, its shape, and the source that its elements come from. */
#ifndef TG_IO_WEIGHT_H
#define TG_IO_WEIGHT_H

#include "core/dtype.h"
#include "core/packs.h"

enum { TG__MAX_RANK = 8 };

typedef struct tg__weight tg__weight;

/* Sources: a mapped file's tensor (io/safetensors.h), a caller's memory (below), another weight
 * with what is added to it (io/patch.h). */
typedef struct tg__weight_source {
    /* dst = elements [first, first + count), in dtype f32 or bf16. Any thread. */
    void (*read)(const tg__weight *weight, void *dst, tg__dtype dtype, size_t first, size_t count,
                 const tg__conversions *c);
    /* Pages of a mapped file leave memory until they are read again. NULL: they are in none, and
     * would not come back. */
    void (*drop)(const tg__weight *weight);
} tg__weight_source;

/* A small value; what it points to belongs to the source. */
struct tg__weight {
    const char *name;
    const char *file;       /* the file's name, for messages */
    tg__dtype dtype;        /* TG__OTHER: integers, …; dtype_name says which */
    const char *dtype_name; /* as in the file: "F32", "I64", … */
    int rank;
    int64_t shape[TG__MAX_RANK];
    size_t bytes; /* what the elements take where they lie */
    tg__identity identity;
    const tg__weight_source *source;
    const void *data; /* the source's own; may be unaligned. NULL: there is no such weight */
};

/* The caller's memory, which outlives the weight and does not change; data may be unaligned. Each
 * call gives an identity of its own, which copies keep. dtype: not TG__OTHER. */
tg__weight tg__weight_in_memory(const char *name, const void *data, tg__dtype dtype, int rank,
                                const int64_t *shape);

static inline size_t tg__weight_count(const tg__weight *weight)
{
    size_t count = 1;
    for (int i = 0; i < weight->rank; i++)
        count *= (size_t)weight->shape[i];
    return count;
}

/* dst = elements [first, first + count), in dtype f32 or bf16; not of a TG__OTHER. */
static inline void tg__weight_read(const tg__weight *weight, void *dst, tg__dtype dtype,
                                   size_t first, size_t count, const tg__conversions *c)
{
    weight->source->read(weight, dst, dtype, first, count, c);
}

/* What of it is a file's mapping leaves memory until it is read again. */
static inline void tg__weight_drop(const tg__weight *weight)
{
    if (weight->data && weight->source->drop)
        weight->source->drop(weight);
}

/* Where the elements lie at data as dtype says: what a source's read is then. */
void tg__weight_read_stored(const tg__weight *weight, void *dst, tg__dtype dtype, size_t first,
                            size_t count, const tg__conversions *c);

/* Such a weight becomes part `part` of `parts` equal ones along its first dimension; no change
 * where that does not divide. */
void tg__weight_take_part(tg__weight *weight, int part, int parts);

/* Such a weight of two dimensions becomes its transpose; no change of another. */
void tg__weight_transpose(tg__weight *weight);

/* "[320,4,3,3]" */
const char *tg__show_shape(char *dst, size_t size, int rank, const int64_t *shape);

#endif
