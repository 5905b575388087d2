/* SPDX-License-Identifier: MIT */
/* Convolutions and linear layers in int8: what the layer reads becomes unsigned bytes
 * (ops/bytes.h) with a scale for each row of a linear layer, for each image of a convolution; its
 * weights are signed ones with a scale for each output. For the operators' files only. */
#ifndef TG_OPS_INT8_H
#define TG_OPS_INT8_H

#include "ops/bytes.h"

/* Whether a plan that allows int8 computes this product so. What stays as it is: the first and last
 * convolution and whatever else has few channels, what has but one position (the time embedding),
 * and what is told to be exact. It depends on nothing that differs between the plans of one request
 * (not on n), for they share weights. */
bool tg__int8_takes(const tg__plan *plan, tg__tensor x, const tg__layer *layer,
                    const tg__product_options *options);

/* Records the product as spec says; n, h, w and in_count are x's. dst of a phase is the whole map
 * of twice the sides, of which it makes its quarter. */
void tg__int8_record(tg__plan *plan, const tg__byte_map *x, tg__product_spec spec,
                     tg__tensor residual, tg__tensor dst);

/* ------------------------------------------------------------------------------------- weights */

/* A layer's weights as tg__int8_product has them, and what goes by output; bias NULL: none. */
typedef struct tg__int8_weights {
    const int8_t *weights;
    const float *bias, *scale, *sum;
} tg__int8_weights;

/* Outputs of whole blocks. */
static inline size_t tg__int8_outputs(const tg__layer *layer)
{
    return ((size_t)layer->out + TG__INT8_BLOCK - 1) / TG__INT8_BLOCK * TG__INT8_BLOCK;
}

/* Packed once for all plans of the network; weights NULL fails the plan. */
tg__int8_weights tg__int8_weights_of(tg__plan *plan, const tg__product_spec *spec);

#endif
