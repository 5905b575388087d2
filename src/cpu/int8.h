/* SPDX-License-Identifier: MIT */
/* Convolutions and linear layers in int8: what the layer reads becomes unsigned bytes
 * (ops/bytes.h) with a scale for each row of a linear layer, for each image of a convolution; its
 * weights are signed ones with a scale for each output. For the operators' files only. */
#ifndef TG_CPU_INT8_H
#define TG_CPU_INT8_H

#include "cpu/bytes.h"

/* Whether a program that allows int8 computes this product so. What stays as it is: the first and
 * last convolution and whatever else has few channels, what has but one position (the time
 * embedding), and what is told to be exact. It depends on nothing that differs between the programs
 * of one request (not on n), for they share weights. */
bool tg__int8_takes(const tg__program *program, tg__tensor x, const tg__layer *layer,
                    const tg__product_options *options);

/* Records the product as spec says; n, h, w and in_count are x's. dst of a phase is the whole map
 * of twice the sides, of which it makes its quarter. */
void tg__int8_record(tg__program *program, const tg__byte_map *x, tg__product_spec spec,
                     tg__tensor residual, tg__tensor dst);

#endif
