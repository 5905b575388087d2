/* SPDX-License-Identifier: MIT */
/* From the sums of an int8 product to its result. The includer is compiled with or without
 * AVX512-BF16. */
#ifndef TG_KERNELS_AVX512_INT8_FINISH_H
#define TG_KERNELS_AVX512_INT8_FINISH_H

#include "kernels/avx512/sums.h"
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

/* The arguments of int8_product. */
static inline piece piece_of(const tg__int8_product *p, const uint8_t *src, const float *scale,
                             const int32_t *zero, size_t scale_step, size_t row, int block)
{
    size_t block_bytes = (size_t)p->taps * p->depth * TG__INT8_BLOCK;
    return (piece){.p = p,
                   .src = src,
                   .weights = (const char *)p->weights + (size_t)block * block_bytes,
                   .scale = scale,
                   .zero = zero,
                   .scale_step = scale_step,
                   .row = row,
                   .block = (size_t)block};
}

/* What goes by output, of a block's 32: read once for all rows of a piece. */
typedef struct by_output {
    vec sum[2], scale[2], bias[2];
} by_output;

TG_SPECIALISED by_output by_output_of(const piece *s)
{
    const tg__int8_product *p = s->p;
    by_output o;
    TG_UNROLL
    for (int v = 0; v < 2; v++) {
        size_t output = s->block * TG__INT8_BLOCK + (size_t)v * LANES;
        o.sum[v] = vec_load(p->weight_sum + output);
        o.scale[v] = vec_load(p->weight_scale + output);
        o.bias[v] = p->bias ? vec_load(p->bias + output) : vec_zero();
    }
    return o;
}

/* One row's vector of dst channels from `channel` on. */
TG_SPECIALISED void finish(const tg__int8_product *p, vec x, size_t row, size_t channel, bool bf16)
{
    size_t out = (size_t)p->out, at = row * out + channel, left = out - channel;
    if (p->residual)
        x = vec_add(x, get(p->residual, at, left, bf16));
    put(p->dst, at, x, left, bf16);
}

TG_SPECIALISED vec product_value(const by_output *o, int v, sums sum, vec zero, vec scale)
{
    vec x = vec_fnma(zero, o->sum[v], _mm512_cvtepi32_ps((__m512i)sum));
    return vec_fma(x, vec_mul(scale, o->scale[v]), o->bias[v]);
}

/* Row i of a piece, of whose outputs these are the first 16 sums and the others. */
TG_SPECIALISED void finish_row(const piece *s, const by_output *o, sums first, sums second,
                               size_t i, bool bf16)
{
    const tg__int8_product *p = s->p;
    size_t row = s->row + i * p->dst_step, output = s->block * TG__INT8_BLOCK;
    vec zero = vec_set((float)s->zero[i * s->scale_step]);
    vec scale = vec_set(s->scale[i * s->scale_step]);
    vec a = product_value(o, 0, first, zero, scale), b = product_value(o, 1, second, zero, scale);
    if (p->glu) {
        finish(p, vec_mul(a, vec_gelu(b)), row, s->block * LANES, bf16);
        return;
    }
    finish(p, a, row, output, bf16);
    if ((size_t)p->out > output + LANES)
        finish(p, b, row, output + LANES, bf16);
}

#endif
