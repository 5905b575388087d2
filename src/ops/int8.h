/* SPDX-License-Identifier: MIT */
/* Products in int8: what a convolution or linear layer reads becomes unsigned bytes, its weights
 * are signed ones with a scale for each output. Scales are taken anew at every run: for a linear
 * layer one a row, for a convolution one an image. For the operators' files only. */
#ifndef TG_OPS_INT8_H
#define TG_OPS_INT8_H

#include "ops/record.h"

/* A map in bytes, with a border of zeros around each image. */
typedef struct tg__byte_map {
    tg__tensor tensor; /* a flat buffer: scales, zero points, then the bytes */
    int n, h, w, c;
    int border;
    size_t pixel;  /* bytes of a pixel: its channels, filled up with zeros */
    size_t scales; /* how many: n * h * w or n */
    size_t first;  /* where the bytes begin */
} tg__byte_map;

/* Whether a plan that allows int8 computes this product so. What stays in the plan's own dtype: the
 * first and last convolution and whatever else has few channels, what has but one position (the
 * time embedding), and what is told to be exact. It depends on nothing that differs between the
 * plans of one request (not on n), for they share weights. */
bool tg__int8_takes(const tg__plan *plan, tg__tensor x, const tg__layer *layer,
                    const tg__product_options *options);

/* Records x in bytes, with a scale for each row (border 0) or for each image. */
tg__byte_map tg__to_bytes(tg__plan *plan, const char *name, tg__tensor x, int border, bool by_row);

/* The product as spec says; n, h, w and in_count are x's. dst of a phase is the whole map of twice
 * the sides, of which it makes its quarter. */
void tg__int8_record(tg__plan *plan, const tg__byte_map *x, tg__product_spec spec,
                     tg__tensor residual, tg__tensor dst);

#endif
