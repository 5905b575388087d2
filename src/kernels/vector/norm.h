/* SPDX-License-Identifier: MIT */
/* GroupNorm's two passes, LayerNorm and RMSNorm. */
#ifndef TG_KERNELS_VECTOR_NORM_H
#define TG_KERNELS_VECTOR_NORM_H

#include <math.h>

#include "kernels/vector/math.h"

/* Channels first to first + LANES (left >= 1 of them exist) of rows [row, row + rows), which are c
 * values apart. f32 holds the sums of FEW rows, doubles those of all. */
TG_SPECIALISED void sum_channels(double *sums, double *squares, const void *src, size_t first,
                                 size_t left, size_t row, size_t rows, size_t c, bool bf16)
{
    enum { FEW = 16 };
    size_t n = left < LANES ? left : LANES;
    vec shift = get(src, first, n, bf16);
    for (size_t end = row + rows; row < end;) {
        size_t stop = end - row < FEW ? end : row + FEW;
        vec sum = vec_zero(), square = vec_zero();
        for (; row < stop; row++) {
            vec x = vec_sub(get(src, row * c + first, n, bf16), shift);
            sum = vec_add(sum, x);
            square = vec_fma(x, x, square);
        }
        vec_add_to_doubles(sums + first, sum, n);
        vec_add_to_doubles(squares + first, square, n);
    }
}

TG_SPECIALISED void sum_sources(double *sums, const tg__group_norm *g, size_t row, size_t rows,
                                bool bf16)
{
    size_t a_c = (size_t)g->a_c, b_c = (size_t)g->b_c, c = a_c + b_c;
    for (size_t i = 0; i < a_c; i += LANES)
        sum_channels(sums, sums + c, g->a, i, a_c - i, row, rows, a_c, bf16);
    for (size_t i = 0; i < b_c; i += LANES)
        sum_channels(sums + a_c, sums + c + a_c, g->b, i, b_c - i, row, rows, b_c, bf16);
}

/* The vector of g is in x and in the shift alike, and so in neither. */
static void group_norm_sums(double *sums, const tg__group_norm *g, size_t row, size_t rows)
{
    memset(sums, 0, 2 * ((size_t)g->a_c + (size_t)g->b_c) * sizeof *sums);
    if (g->bf16)
        sum_sources(sums, g, row, rows, true);
    else
        sum_sources(sums, g, row, rows, false);
}

/* One row's channels of one source. */
TG_SPECIALISED void apply_row(void *dst, size_t to, const void *src, size_t from, size_t c,
                              const float *scale, const float *offset, bool silu, bool bf16)
{
    for (size_t i = 0; i < c; i += LANES) {
        size_t left = c - i;
        vec y = vec_fma(get(src, from + i, left, bf16), get(scale, i, left, false),
                        get(offset, i, left, false));
        put(dst, to + i, silu ? vec_silu(y) : y, left, bf16);
    }
}

TG_SPECIALISED void apply_rows(const tg__group_norm *g, const float *scale, const float *offset,
                               size_t row, size_t rows, bool silu, bool bf16)
{
    size_t a_c = (size_t)g->a_c, b_c = (size_t)g->b_c, c = a_c + b_c;
    for (size_t end = row + rows; row < end; row++) {
        apply_row(g->dst, row * c, g->a, row * a_c, a_c, scale, offset, silu, bf16);
        apply_row(g->dst, row * c + a_c, g->b, row * b_c, b_c, scale + a_c, offset + a_c, silu,
                  bf16);
    }
}

static void group_norm_apply(const tg__group_norm *g, const float *scale, const float *offset,
                             size_t row, size_t rows)
{
    if (g->bf16 && g->silu)
        apply_rows(g, scale, offset, row, rows, true, true);
    else if (g->bf16)
        apply_rows(g, scale, offset, row, rows, false, true);
    else if (g->silu)
        apply_rows(g, scale, offset, row, rows, true, false);
    else
        apply_rows(g, scale, offset, row, rows, false, false);
}

/* The row's first value is taken off before anything is summed, so that nothing is lost where the
 * mean is far from 0. */
TG_SPECIALISED void normalise_row(void *dst, const void *src, size_t at, size_t c,
                                  const float *weight, const float *bias, float eps, bool bf16)
{
    vec shift =
        vec_set(bf16 ? tg__from_bf16(((const tg__bf16 *)src)[at]) : ((const float *)src)[at]);
    vec sum = vec_zero(), square = vec_zero();
    for (size_t i = 0; i < c; i += LANES) {
        vec x = vec_sub(get(src, at + i, c - i, bf16), shift);
        sum = vec_add(sum, c - i < LANES ? vec_first(x, c - i) : x);
    }
    vec mean = vec_set(vec_sum(sum) / (float)c);
    for (size_t i = 0; i < c; i += LANES) {
        vec x = vec_sub(vec_sub(get(src, at + i, c - i, bf16), shift), mean);
        x = c - i < LANES ? vec_first(x, c - i) : x;
        square = vec_fma(x, x, square);
    }
    vec factor = vec_set(1 / sqrtf(vec_sum(square) / (float)c + eps));
    for (size_t i = 0; i < c; i += LANES) {
        vec x = vec_sub(vec_sub(get(src, at + i, c - i, bf16), shift), mean);
        x = vec_mul(x, factor);
        vec w = weight ? get(weight, i, c - i, false) : vec_set(1);
        vec b = bias ? get(bias, i, c - i, false) : vec_zero();
        put(dst, at + i, vec_fma(x, w, b), c - i, bf16);
    }
}

static void layer_norm(void *dst, const void *src, size_t rows, int c, const float *weight,
                       const float *bias, float eps, bool bf16)
{
    for (size_t row = 0; row < rows; row++) {
        if (bf16)
            normalise_row(dst, src, row * (size_t)c, (size_t)c, weight, bias, eps, true);
        else
            normalise_row(dst, src, row * (size_t)c, (size_t)c, weight, bias, eps, false);
    }
}

TG_SPECIALISED void rms_norm_row(void *dst, const void *src, size_t at, size_t c,
                                 const float *weight, float eps, bool bf16)
{
    vec square = vec_zero(); /* lanes that are missing are 0 */
    for (size_t i = 0; i < c; i += LANES) {
        vec x = get(src, at + i, c - i, bf16);
        square = vec_fma(x, x, square);
    }
    vec factor = vec_set(1 / sqrtf(vec_sum(square) / (float)c + eps));
    for (size_t i = 0; i < c; i += LANES) {
        vec y = vec_mul(get(src, at + i, c - i, bf16), factor);
        put(dst, at + i, weight ? vec_mul(y, get(weight, i, c - i, false)) : y, c - i, bf16);
    }
}

static void rms_norm(void *dst, const void *src, size_t rows, int c, const float *weight, float eps,
                     bool bf16)
{
    for (size_t at = 0; at < rows * (size_t)c; at += (size_t)c) {
        if (bf16)
            rms_norm_row(dst, src, at, (size_t)c, weight, eps, true);
        else
            rms_norm_row(dst, src, at, (size_t)c, weight, eps, false);
    }
}

static void init_norm(tg__kernels *kernels)
{
    kernels->group_norm_sums = group_norm_sums;
    kernels->group_norm_apply = group_norm_apply;
    kernels->layer_norm = layer_norm;
    kernels->rms_norm = rms_norm;
}

#endif
