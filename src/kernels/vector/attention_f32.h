/* SPDX-License-Identifier: MIT */
/* Attention with f32 products, of f32 data or of bf16 data (which become f32 when packed). */
#ifndef TG_KERNELS_VECTOR_ATTENTION_F32_H
#define TG_KERNELS_VECTOR_ATTENTION_F32_H

enum { UNIT = 1, SCORE_UNIT = 1 };
typedef vec score_sum;

#include "kernels/vector/attention.h"

/* The scale is put into the queries. */
static float unit_factor(const void *src, size_t i, size_t n, bool bf16, float *scale)
{
    (void)src, (void)i, (void)n, (void)bf16;
    return *scale;
}

static vec unit_load(const void *src, size_t i, size_t left, bool bf16, float factor)
{
    return vec_mul(bf16 ? get(src, i, left, true) : get(src, i, left, false), vec_set(factor));
}

TG_SPECIALISED vec unit_score(vec a, vec b, vec sum) { return vec_fma(a, b, sum); }
TG_SPECIALISED vec unit_multiply(vec a, vec b, vec sum) { return vec_fma(a, b, sum); }

TG_SPECIALISED void unit_weigh(float *dst, const score_sum scores[KEYS], vec scale, vec base,
                               vec *top, vec *sum, vec visible, const float *bias, bool special)
{
    (void)scale; /* is in the queries */
    TG_UNROLL
    for (int i = 0; i < KEYS; i++) {
        vec x = scores[i];
        if (special && bias)
            x = vec_add(x, vec_load(bias + i * ROWS));
        if (special)
            x = vec_less(vec_set((float)i), visible, x, vec_set(-INFINITY));
        *top = vec_max(*top, x);
        vec weight = vec_exp2(vec_sub(x, base));
        vec_store(dst + i * ROWS, weight);
        *sum = vec_add(*sum, weight);
    }
}

TG_SPECIALISED void copy_rows(float *dst, const void *src, size_t stride, const key_list *list,
                              size_t n, bool bf16)
{
    for (int row = 0; row < list->count; row++, dst += n)
        for (size_t i = 0; i < n; i += LANES)
            put(dst, i, get(src, (size_t)list->rows[row] * stride + i, n - i, bf16), n - i, false);
}

static void unit_pack_values(float *dst, const void *src, size_t stride, const key_list *list,
                             size_t n, bool bf16)
{
    if (bf16)
        copy_rows(dst, src, stride, list, n, true);
    else
        copy_rows(dst, src, stride, list, n, false);
}

static float unit_pack_keys(float *dst, const void *src, size_t stride, const key_list *list,
                            size_t n, bool bf16)
{
    unit_pack_values(dst, src, stride, list, n, bf16);
    return 1;
}

#endif
