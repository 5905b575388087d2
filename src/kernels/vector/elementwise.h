/* SPDX-License-Identifier: MIT */
/* Activations, sums and conversions: one pass over memory, whole vectors and then the rest. */
#ifndef TG_KERNELS_VECTOR_ELEMENTWISE_H
#define TG_KERNELS_VECTOR_ELEMENTWISE_H

#include "kernels/vector/math.h"

typedef enum operation {
    ADD,
    MEAN,
    GATED_GELU,
    GATED_GELU_TANH,
    SILU,
    GELU,
    GELU_TANH,
    QUICK_GELU,
} operation;

TG_SPECIALISED vec operate(operation op, vec a, vec b)
{
    switch (op) {
    case ADD:
        return vec_add(a, b);
    case MEAN:
        return vec_mul(vec_add(a, b), vec_set(0.5f));
    case GATED_GELU:
        return vec_mul(a, vec_gelu(b));
    case GATED_GELU_TANH:
        return vec_mul(a, vec_gelu_tanh(b));
    case SILU:
        return vec_silu(a);
    case GELU:
        return vec_gelu(a);
    case GELU_TANH:
        return vec_gelu_tanh(a);
    case QUICK_GELU:
        return vec_quick_gelu(a);
    }
    return a;
}

TG_SPECIALISED void operate_array(operation op, void *dst, const void *a, const void *b, size_t n,
                                  bool bf16)
{
    for (size_t i = 0; i < n; i += LANES)
        put(dst, i, operate(op, get(a, i, n - i, bf16), get(b, i, n - i, bf16)), n - i, bf16);
}

/* An operation of one operand reads it twice, and the compiler drops the second. */
TG_SPECIALISED void operate_either(operation op, void *dst, const void *a, const void *b, size_t n,
                                   bool bf16)
{
    if (bf16)
        operate_array(op, dst, a, b, n, true);
    else
        operate_array(op, dst, a, b, n, false);
}

static void add(void *dst, const void *a, const void *b, size_t n, bool bf16)
{
    operate_either(ADD, dst, a, b, n, bf16);
}

static void mean(void *dst, const void *a, const void *b, size_t n, bool bf16)
{
    operate_either(MEAN, dst, a, b, n, bf16);
}

static void silu(void *dst, const void *src, size_t n, bool bf16)
{
    operate_either(SILU, dst, src, src, n, bf16);
}

static void gelu(void *dst, const void *src, size_t n, bool bf16)
{
    operate_either(GELU, dst, src, src, n, bf16);
}

static void gelu_tanh(void *dst, const void *src, size_t n, bool bf16)
{
    operate_either(GELU_TANH, dst, src, src, n, bf16);
}

static void quick_gelu(void *dst, const void *src, size_t n, bool bf16)
{
    operate_either(QUICK_GELU, dst, src, src, n, bf16);
}

TG_SPECIALISED void gate_rows(operation op, void *dst, const void *src, size_t rows, int c,
                              bool bf16)
{
    size_t row_bytes = (size_t)c * (bf16 ? sizeof(tg__bf16) : sizeof(float));
    char *to = dst;
    const char *from = src;
    for (size_t row = 0; row < rows; row++, to += row_bytes, from += 2 * row_bytes)
        operate_either(op, to, from, from + row_bytes, (size_t)c, bf16);
}

static void geglu(void *dst, const void *src, size_t rows, int c, bool bf16)
{
    gate_rows(GATED_GELU, dst, src, rows, c, bf16);
}

static void geglu_tanh(void *dst, const void *src, size_t rows, int c, bool bf16)
{
    gate_rows(GATED_GELU_TANH, dst, src, rows, c, bf16);
}

TG_SPECIALISED void gated_add_rows(void *dst, const void *residual, const void *x,
                                   const float *gate, size_t rows, size_t c, bool bf16)
{
    for (size_t at = 0; at < rows * c; at += c) {
        for (size_t i = 0; i < c; i += LANES) {
            vec sum = vec_fma(get(x, at + i, c - i, bf16), get(gate, i, c - i, false),
                              get(residual, at + i, c - i, bf16));
            put(dst, at + i, sum, c - i, bf16);
        }
    }
}

static void gated_add(void *dst, const void *residual, const void *x, const float *gate,
                      size_t rows, int c, bool bf16)
{
    if (bf16)
        gated_add_rows(dst, residual, x, gate, rows, (size_t)c, true);
    else
        gated_add_rows(dst, residual, x, gate, rows, (size_t)c, false);
}

static void bf16_from_f32(tg__bf16 *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        put(dst, i, get(src, i, n - i, false), n - i, true);
}

static void f32_from_bf16(float *dst, const tg__bf16 *src, size_t n)
{
    for (size_t i = 0; i < n; i += LANES)
        put(dst, i, get(src, i, n - i, true), n - i, false);
}

static void f32_from_f16(float *dst, const void *src, size_t n)
{
    const char *from = src;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vec_store(dst + i, vec_load_f16(from + 2 * i));
    if (i < n)
        vec_store_n(dst + i, vec_load_f16_n(from + 2 * i, n - i), n - i);
}

static void init_elementwise(tg__kernels *kernels)
{
    kernels->add = add;
    kernels->mean = mean;
    kernels->silu = silu;
    kernels->gelu = gelu;
    kernels->gelu_tanh = gelu_tanh;
    kernels->quick_gelu = quick_gelu;
    kernels->geglu = geglu;
    kernels->geglu_tanh = geglu_tanh;
    kernels->gated_add = gated_add;
    kernels->bf16_from_f32 = bf16_from_f32;
    kernels->f32_from_bf16 = f32_from_bf16;
    kernels->f32_from_f16 = f32_from_f16;
}

#endif
