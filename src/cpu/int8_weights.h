/* SPDX-License-Identifier: MIT */
/* The weights of a product in int8. For the operators' files only. */
#ifndef TG_CPU_INT8_WEIGHTS_H
#define TG_CPU_INT8_WEIGHTS_H

#include "cpu/record.h"

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

/* Packed once for all programs of the network; weights NULL fails the program. */
tg__int8_weights tg__int8_weights_of(tg__program *program, const tg__product_spec *spec);

#endif
