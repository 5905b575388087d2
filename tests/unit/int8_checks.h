/* SPDX-License-Identifier: MIT */
/* A kernel of int8 products against exact arithmetic: sizes that are odd in every way, and sums as
 * large as they may become. */
#ifndef TG_TEST_INT8_CHECKS_H
#define TG_TEST_INT8_CHECKS_H

#include <stdlib.h>

#include "kernel_memory.h"
#include "kernels/kernels.h"

typedef void (*int8_kernel)(const tg__int8_product *p, const uint8_t *src, const float *scale,
                            const int32_t *zero, size_t scale_step, size_t row, size_t rows,
                            int block);

enum residual_kind { NO_RESIDUAL, SEPARATE, IN_PLACE };

/* What the bytes and weights are. */
enum filling {
    RANDOM,
    EDGES, /* 0, 255 and -127, 127 at random */
    FULL   /* 255 and 127 all over, but for a few: each part of a sum is near the bound */
};

typedef struct int8_case {
    size_t rows, depth, scale_step, dst_step, stride;
    int out, taps;
    enum residual_kind residual;
    enum filling filling;
    bool bias, bf16;
} int8_case;

/* A case in memory. */
typedef struct int8_memory {
    tg__int8_product p;
    size_t tap[9], first_row; /* of dst */
    block src, weights, sums, scales, bias, row_scale, row_zero, dst, residual;
} int8_memory;

static inline uint8_t some_byte(enum filling filling)
{
    double x = random_value();
    if (filling == RANDOM)
        return (uint8_t)(127.5 + 127 * x);
    return filling == EDGES ? (x < 0 ? 0 : 255) : (x < 0.99 ? 255 : 254);
}

static inline int8_t some_weight(enum filling filling)
{
    double x = random_value();
    if (filling == RANDOM)
        return (int8_t)(127 * x);
    return filling == EDGES ? (x < 0 ? -127 : 127) : (x < 0.99 ? 127 : 126);
}

/* The weight of one output: as the kernel's order says. */
static inline int8_t *weight_at(const tg__int8_product *p, size_t out, size_t tap, size_t k)
{
    enum { N = TG__INT8_BLOCK };
    size_t first = out / N, row = out % N, depth = p->depth;
    return (int8_t *)p->weights + ((first * (size_t)p->taps + tap) * depth / 4 + k / 4) * N * 4 +
           row * 4 + k % 4;
}

/* Weights of outputs that are not there are 0 and so are their sums; scales and bias are not
 * numbers there, which nobody may see. */
static inline void fill_weights(int8_memory *m, const int8_case *t)
{
    size_t blocks = ((size_t)t->out + TG__INT8_BLOCK - 1) / TG__INT8_BLOCK;
    size_t outputs = blocks * TG__INT8_BLOCK;
    m->weights = block_new(outputs * (size_t)t->taps * t->depth, 64);
    m->sums = values_new(outputs, false);
    m->scales = values_new(outputs, false);
    m->bias = values_new(outputs, false);
    m->p.weights = (const int8_t *)m->weights.data;
    m->p.weight_sum = (const int32_t *)(const void *)m->sums.data;
    m->p.weight_scale = (const float *)(const void *)m->scales.data;
    m->p.bias = t->bias ? (const float *)(const void *)m->bias.data : NULL;
    memset(m->weights.data, 0, m->weights.bytes);
    for (size_t o = 0; o < outputs; o++) {
        int32_t sum = 0;
        bool there = o < (size_t)t->out;
        for (size_t i = 0; there && i < (size_t)t->taps * t->depth; i++) {
            int8_t w = some_weight(t->filling);
            *weight_at(&m->p, o, i / t->depth, i % t->depth) = w;
            sum += w;
        }
        ((int32_t *)(void *)m->sums.data)[o] = sum;
        bool unit = t->filling == FULL;
        set_value(m->scales.data, o, there ? unit ? 1 : 1 + random_value() / 2 : (double)NAN,
                  false);
        set_value(m->bias.data, o, there ? 1e4 * random_value() : (double)NAN, false);
    }
}

/* Taps as of a square kernel, lines apart by what a row of dst needs; the last tile of 16 rows ends
 * where the forbidden page begins. */
static inline void fill_source(int8_memory *m, const int8_case *t)
{
    size_t k = t->taps == 1 ? 1 : t->taps == 4 ? 2 : 3, tiled = (t->rows + 15) / 16 * 16;
    size_t step = t->stride * t->depth, line = tiled * step + k * t->depth;
    for (size_t i = 0; i < (size_t)t->taps; i++)
        m->tap[i] = i / k * line + i % k * t->depth;
    m->src = block_new(m->tap[t->taps - 1] + (tiled - 1) * step + t->depth, 1);
    for (size_t i = 0; i < m->src.bytes; i++)
        m->src.data[i] = (char)some_byte(t->filling);
    size_t scales = t->scale_step ? t->rows : 1;
    m->row_scale = values_new(scales, false);
    m->row_zero = values_new(scales, false);
    for (size_t i = 0; i < scales; i++) {
        bool full = t->filling == FULL;
        set_value(m->row_scale.data, i, full ? 1 : 1 + random_value() / 2, false);
        ((int32_t *)(void *)m->row_zero.data)[i] = full ? 255 : some_byte(t->filling);
    }
    m->p.step = step;
}

/* dst begins with a row that is not written, and so do the gaps between rows. */
static inline int8_memory memory_of(const int8_case *t)
{
    int8_memory m = {.first_row = 1};
    m.p = (tg__int8_product){.out = t->out,
                             .dst_step = t->dst_step,
                             .bf16 = t->bf16,
                             .taps = t->taps,
                             .depth = t->depth};
    fill_weights(&m, t);
    fill_source(&m, t);
    size_t n = (m.first_row + (t->rows - 1) * t->dst_step + 1) * (size_t)t->out;
    m.dst = values_new(n, t->bf16);
    m.residual = random_block(n, 0, 1e5, t->bf16);
    if (t->residual == IN_PLACE)
        memcpy(m.dst.data, m.residual.data, m.dst.bytes);
    return m;
}

static inline int64_t exact_sum(const int8_memory *m, size_t row, size_t out, int32_t zero)
{
    int64_t sum = 0;
    for (size_t tap = 0; tap < (size_t)m->p.taps; tap++) {
        const uint8_t *q = (const uint8_t *)m->src.data + row * m->p.step + m->tap[tap];
        for (size_t k = 0; k < m->p.depth; k++)
            sum += (q[k] - zero) * *weight_at(&m->p, out, tap, k);
    }
    return sum;
}

/* Tolerance: the sum becomes an f32, is multiplied by the product of two scales (three roundings),
 * and two numbers are added (two more); bf16 rounds once again. Where both scales are 1 and nothing
 * is added, nothing but the first rounding remains. */
static inline void check_row(const int8_memory *m, const int8_case *t, size_t row, const char *name)
{
    size_t i = t->scale_step ? row : 0, at = (m->first_row + row * t->dst_step) * (size_t)t->out;
    double scale = value(m->row_scale.data, i, false);
    int32_t zero = ((const int32_t *)(const void *)m->row_zero.data)[i];
    for (size_t o = 0; o < (size_t)t->out; o++, at++) {
        double x = (double)exact_sum(m, row, o, zero), bias = 0, residual = 0;
        bool plain = t->filling == FULL && !t->bias && !t->residual && !t->bf16;
        x *= scale * value(m->scales.data, o, false);
        if (t->bias)
            bias = value(m->bias.data, o, false);
        if (t->residual)
            residual = value(m->residual.data, at, t->bf16);
        double tolerance = (3 * fabs(x) + 2 * (fabs(x) + fabs(bias) + fabs(residual))) * ULP;
        x += bias + residual;
        tolerance += t->bf16 ? fabs(x) * BF16_ULP : 0;
        check_close(value(m->dst.data, at, t->bf16), plain ? (double)(float)x : x,
                    plain ? 0 : tolerance, name, at);
    }
}

static inline void check_gaps(const int8_memory *m, const int8_case *t)
{
    size_t bytes = (size_t)t->out * (t->bf16 ? 2 : 4);
    const char *was = t->residual == IN_PLACE ? m->residual.data : NULL;
    for (size_t at = 0; at < m->dst.bytes; at++) {
        size_t row = at / bytes;
        if (row >= m->first_row && (row - m->first_row) % t->dst_step == 0)
            continue;
        assert_int_equal((unsigned char)m->dst.data[at], was ? (unsigned char)was[at] : CANARY);
    }
}

static inline void int8_at(const int8_case *t, int8_kernel kernel, const char *name)
{
    int8_memory m = memory_of(t);
    m.p.tap = m.tap;
    m.p.dst = m.dst.data;
    m.p.residual = t->residual == IN_PLACE   ? m.dst.data
                   : t->residual == SEPARATE ? m.residual.data
                                             : NULL;
    for (int b = 0; b < (t->out + TG__INT8_BLOCK - 1) / TG__INT8_BLOCK; b++)
        kernel(&m.p, (const uint8_t *)m.src.data, (const float *)(const void *)m.row_scale.data,
               (const int32_t *)(const void *)m.row_zero.data, t->scale_step, m.first_row, t->rows,
               b);
    for (size_t row = 0; row < t->rows; row++)
        check_row(&m, t, row, name);
    check_gaps(&m, t);
    FINISH(&m.src, &m.weights, &m.sums, &m.scales, &m.bias, &m.row_scale, &m.row_zero, &m.dst,
           &m.residual);
}

/* A number from 0 to n - 1. */
static inline size_t pick(size_t n) { return (size_t)((random_value() + 1) / 2 * (double)n) % n; }

/* Every number of rows up to 40 and, between them, every number of outputs up to 100; the rest at
 * random. */
static inline void int8_passes(int8_kernel kernel, const char *name)
{
    static const int taps[] = {1, 4, 9};
    for (size_t i = 0; i < 600; i++) {
        int8_case t = {.rows = 1 + i % 40,
                       .out = 1 + (int)(i * 37 % 100),
                       .taps = taps[pick(3)],
                       .depth = 64 * (1 + pick(4)),
                       .scale_step = pick(2),
                       .dst_step = 1 + pick(2),
                       .stride = 1 + pick(2),
                       .residual = (enum residual_kind)pick(3),
                       .filling = (enum filling)pick(2),
                       .bias = pick(2),
                       .bf16 = pick(2)};
        int8_at(&t, kernel, name);
    }
}

/* Sums up to 255 * 127 * TG__INT8_DEPTH on both sides of the difference, which is small and must be
 * exact. */
static inline void largest_sums_pass(int8_kernel kernel, const char *name)
{
    for (int taps = 1; taps <= 4; taps += 3) {
        int8_case t = {.rows = 5,
                       .out = 33,
                       .taps = taps,
                       .depth = TG__INT8_DEPTH / (size_t)taps,
                       .dst_step = 1,
                       .stride = 1,
                       .filling = FULL};
        int8_at(&t, kernel, name);
    }
}

#endif
