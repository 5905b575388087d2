/* SPDX-License-Identifier: MIT */
/* From the sums of an int8 product to its result. The includer is compiled with or without
 * AVX512-BF16. */
#ifndef TG_KERNELS_AVX512_INT8_FINISH_H
#define TG_KERNELS_AVX512_INT8_FINISH_H

#include <immintrin.h>
#include <stdint.h>

/* 16 of 32 bits; not __m512i, which may alias everything, so that gcc leaves arrays of it in memory
 */
typedef int32_t sums __attribute__((vector_size(64)));

#include "kernels/avx512/vector.h"
#include "kernels/kernels.h"
#include "kernels/vector/math.h"

/* Some rows of dst, and a block of outputs. */
typedef struct piece {
    const tg__int8_product *p;
    const uint8_t *src;
    const char *weights;
    const float *scale;
    const int32_t *zero;
    size_t scale_step, row, block;
} piece;

/* Sums of row i of a piece as numbers with their bias; `output` is their place in the packed order.
 */
TG_SPECIALISED vec product_value(const piece *s, size_t i, sums sum, size_t output)
{
    const tg__int8_product *p = s->p;
    vec zero = vec_set((float)s->zero[i * s->scale_step]);
    vec scale = vec_set(s->scale[i * s->scale_step]);
    vec x = vec_fnma(zero, vec_load(p->weight_sum + output), _mm512_cvtepi32_ps((__m512i)sum));
    return vec_fma(x, vec_mul(scale, vec_load(p->weight_scale + output)),
                   p->bias ? vec_load(p->bias + output) : vec_zero());
}

/* One row's vector of dst channels from `channel` on. */
TG_SPECIALISED void finish(const tg__int8_product *p, vec x, size_t row, size_t channel, bool bf16)
{
    size_t out = (size_t)p->out, at = row * out + channel, left = out - channel;
    if (p->residual)
        x = vec_add(x, get(p->residual, at, left, bf16));
#ifdef __AVX512BF16__ /* one instruction for the many that vec_to_bf16 takes */
    if (bf16) {
        __mmask16 lanes = vec_lanes(left < LANES ? left : LANES);
        _mm256_mask_storeu_epi16((tg__bf16 *)p->dst + at, lanes, (__m256i)_mm512_cvtneps_pbh(x));
        return;
    }
#endif
    put(p->dst, at, x, left, bf16);
}

/* Row i of a piece, of whose outputs these are the first 16 sums and the others. */
TG_SPECIALISED void finish_row(const piece *s, sums first, sums second, size_t i, bool bf16)
{
    const tg__int8_product *p = s->p;
    size_t row = s->row + i * p->dst_step, output = s->block * TG__INT8_BLOCK;
    vec a = product_value(s, i, first, output);
    vec b = product_value(s, i, second, output + LANES);
    if (p->glu) {
        finish(p, vec_mul(a, vec_gelu(b)), row, s->block * LANES, bf16);
        return;
    }
    finish(p, a, row, output, bf16);
    if ((size_t)p->out > output + LANES)
        finish(p, b, row, output + LANES, bf16);
}

#endif
