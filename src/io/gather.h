/* SPDX-License-Identifier: MIT */
/* A layer's weights as packers read them, whatever they come from: the one way from a source to any
 * packed form. */
#ifndef TG_IO_GATHER_H
#define TG_IO_GATHER_H

#include "io/layer.h"

/* The part of a layer that one product takes. */
typedef struct tg__layer_part {
    const tg__layer *layer;
    int first, count; /* input channels */
    /* 0, or 1 + 2 * py + px: the outputs at (2y + py, 2x + px) of the layer's 3x3 convolution after
     * a nearest doubling of its source. Taps that meet the same source pixel are added beforehand,
     * which leaves a 2x2 convolution on the small map. */
    int phase;
} tg__layer_part;

/* The kernel's width: the layer's, or 2 for a phase. */
static inline int tg__part_kernel(const tg__layer_part *part)
{
    return part->phase ? 2 : part->layer->kernel;
}

/* The weights of output `row`: (count, k, k) with k = tg__part_kernel(part), in dtype (f32 or
 * bf16). Any thread. */
void tg__gather_row(void *dst, tg__dtype dtype, const tg__layer_part *part, size_t row,
                    const tg__conversions *c);
/* layer->out values; only of a layer that has a bias. */
void tg__gather_bias(float *dst, const tg__layer *layer, const tg__conversions *c);

tg__pack_key tg__part_key(const tg__layer_part *part, tg__form form, int variant);

/* Packs in f32 of a layer's bias and of one weight; NULL where there is none, and on failure. */
const float *tg__packed_bias(tg__packs *packs, const tg__layer *layer, const tg__conversions *c,
                             tg__error *error);
const float *tg__packed_values(tg__packs *packs, const tg__weight *weight, const tg__conversions *c,
                               tg__error *error);

#endif
