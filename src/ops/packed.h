/* SPDX-License-Identifier: MIT */
/* Convolutions and linear layers by our own kernels over packed weights (tg__packed_product).
 *
 * int8: what the layer reads becomes unsigned bytes (ops/bytes.h) with a scale for each row of a
 * linear layer, for each image of a convolution; its weights are signed ones with a scale for each
 * output. bf16: linear layers alone, where our kernel is faster than oneDNN's.
 * For the operators' files only. */
#ifndef TG_OPS_PACKED_H
#define TG_OPS_PACKED_H

#include "ops/bytes.h"

typedef enum tg__packed_form { TG__PACKED_NOT, TG__PACKED_INT8, TG__PACKED_BF16 } tg__packed_form;

/* How a product is computed. What stays as it is in a plan that allows int8: the first and last
 * convolution and whatever else has few channels, what has but one position (the time embedding),
 * and what is told to be exact. It depends on nothing that differs between the plans of one request
 * (not on n), for they share weights. */
tg__packed_form tg__packed_form_of(const tg__plan *plan, tg__tensor x, const tg__layer *layer,
                                   const tg__product_options *options);

/* Products as spec says; n, h, w and in_count are x's. dst of a phase is the whole map of twice the
 * sides, of which it makes its quarter. */
void tg__packed_record_int8(tg__plan *plan, const tg__byte_map *x, tg__product_spec spec,
                            tg__tensor residual, tg__tensor dst);
void tg__packed_record_bf16(tg__plan *plan, tg__tensor x, tg__product_spec spec,
                            tg__tensor residual, tg__tensor dst);

/* ------------------------------------------------------------------------------------- weights */

/* A layer's weights as tg__packed_product has them, and what goes by output; NULL: none. */
typedef struct tg__packed_weights {
    const void *weights;
    const float *bias, *scale, *sum;
} tg__packed_weights;

enum { TG__PACKED_DEPTH = 64 }; /* a tap's bytes are a multiple of it */

/* Outputs of whole blocks. */
static inline size_t tg__packed_outputs(const tg__layer *layer)
{
    return ((size_t)layer->out + TG__BLOCK - 1) / TG__BLOCK * TG__BLOCK;
}

/* Packed once for all plans of the network; weights NULL fails the plan. */
tg__packed_weights tg__packed_weights_of(tg__plan *plan, const tg__product_spec *spec, bool int8);

#endif
