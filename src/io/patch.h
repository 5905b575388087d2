/* SPDX-License-Identifier: MIT */
/* Weights that are another plus low-rank patches, as LoRA has them. */
#ifndef TG_IO_PATCH_H
#define TG_IO_PATCH_H

#include "core/arena.h"
#include "io/weight.h"

/* Adds scale * up @ down: up (out, rank), down (rank, elements of a row); both of any source, and
 * with ones or an input's kernel as further dimensions. */
typedef struct tg__patch {
    tg__weight up, down;
    float scale;
} tg__patch;

/* base and all patches, one after the other, summed in f32 as they are read; base may be patched
 * itself. Weights and patches are copied into the arena, what they read from outlives it. Its name
 * and dtype are base's, its identity follows from base, patches and scales: of the same it is the
 * same, of none that differ. It is no file's, so that no cache keeps packs of it.
 * Shapes that do not fit are an error; a zeroed value then. */
tg__weight tg__weight_patched(tg__arena *arena, const tg__weight *base, const tg__patch *patches,
                              int count, tg__error *error);

#endif
