/* SPDX-License-Identifier: MIT */
/* A kernel of int8 products against exact arithmetic: sizes that are odd in every way, and sums as
 * large as they may become. */
#ifndef TG_TEST_INT8_CHECKS_H
#define TG_TEST_INT8_CHECKS_H

#include <stdlib.h>

#include "kernel_memory.h"
#include "kernels/kernels.h"

enum residual_kind { NO_RESIDUAL, SEPARATE, IN_PLACE };

/* What the bytes and weights are. */
enum filling {
    RANDOM,
    EDGES, /* 0, 255 and -127, 127 at random */
    FULL,  /* almost 255 and 127 all over: the sum is near its bound */
    BACK   /* the same, but weights are below 0 from half of a sum on: it is small in the end */
};

typedef struct int8_case {
    size_t rows, depth, scale_step, dst_step, stride;
    int out, taps;
    enum residual_kind residual;
    enum filling filling;
    bool bias, bf16, glu;
} int8_case;

/* A case in memory. */
typedef struct int8_memory {
    tg__int8_product p;
    size_t tap[9], first_row; /* of dst */
    size_t outputs;           /* of the layer: out, or twice as many with glu */
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

/* Where an output of the layer is in the kernel's order. */
static inline size_t place_of(const tg__int8_product *p, size_t output)
{
    size_t half = TG__INT8_BLOCK / 2, out = (size_t)p->out, gate = output >= out;
    if (!p->glu)
        return output;
    output -= gate * out;
    return output / half * TG__INT8_BLOCK + gate * half + output % half;
}

static inline int8_t *weight_at(const tg__int8_product *p, size_t place, size_t tap, size_t k)
{
    enum { N = TG__INT8_BLOCK };
    size_t first = place / N, row = place % N, depth = p->depth;
    return (int8_t *)p->weights + ((first * (size_t)p->taps + tap) * depth / 4 + k / 4) * N * 4 +
           row * 4 + k % 4;
}

static inline int32_t fill_output(const int8_memory *m, const int8_case *t, size_t place)
{
    int32_t sum = 0;
    size_t n = (size_t)t->taps * t->depth;
    for (size_t i = 0; i < n; i++) {
        int8_t w = some_weight(t->filling);
        w = t->filling == BACK && i >= n / 2 ? (int8_t)-w : w;
        *weight_at(&m->p, place, i / t->depth, i % t->depth) = w;
        sum += w;
    }
    return sum;
}

/* In places without an output weights are 0, and what goes by output is no number, which nobody may
 * see. */
static inline void fill_weights(int8_memory *m, const int8_case *t)
{
    size_t width = t->glu ? TG__INT8_BLOCK / 2 : TG__INT8_BLOCK;
    size_t places = ((size_t)t->out + width - 1) / width * TG__INT8_BLOCK;
    block *by_output[] = {&m->sums, &m->scales, &m->bias};
    m->weights = block_new(places * (size_t)t->taps * t->depth, 64);
    memset(m->weights.data, 0, m->weights.bytes);
    for (size_t i = 0; i < COUNT(by_output); i++) {
        *by_output[i] = values_new(places, false);
        for (size_t j = 0; j < places; j++)
            set_value(by_output[i]->data, j, (double)NAN, false);
    }
    m->p.weights = (const int8_t *)m->weights.data;
    m->p.weight_sum = (const float *)(const void *)m->sums.data;
    m->p.weight_scale = (const float *)(const void *)m->scales.data;
    m->p.bias = t->bias ? (const float *)(const void *)m->bias.data : NULL;
    for (size_t o = 0; o < m->outputs; o++) {
        size_t place = place_of(&m->p, o);
        bool unit = t->filling >= FULL;
        set_value(m->sums.data, place, fill_output(m, t, place), false);
        /* so that gates are of the size that a curve has */
        double size = t->glu ? 1e-6 : 1;
        set_value(m->scales.data, place, unit ? 1 : size * (1 + random_value() / 2), false);
        set_value(m->bias.data, place, (t->glu ? 3 : 1e4) * random_value(), false);
    }
}

/* Taps as of a square kernel, lines apart by what a row of dst needs; the last row ends where the
 * forbidden page begins. */
static inline void fill_source(int8_memory *m, const int8_case *t)
{
    size_t k = t->taps == 1 ? 1 : t->taps == 4 ? 2 : 3;
    size_t step = t->stride * t->depth, line = t->rows * step + k * t->depth;
    for (size_t i = 0; i < (size_t)t->taps; i++)
        m->tap[i] = i / k * line + i % k * t->depth;
    m->src = block_new(m->tap[t->taps - 1] + (t->rows - 1) * step + t->depth, 1);
    for (size_t i = 0; i < m->src.bytes; i++)
        m->src.data[i] = (char)some_byte(t->filling);
    size_t scales = t->scale_step ? t->rows : 1;
    m->row_scale = values_new(scales, false);
    m->row_zero = values_new(scales, false);
    for (size_t i = 0; i < scales; i++) {
        bool unit = t->filling >= FULL;
        set_value(m->row_scale.data, i, unit ? 1 : 1 + random_value() / 2, false);
        ((int32_t *)(void *)m->row_zero.data)[i] = unit ? 0 : some_byte(t->filling);
    }
    m->p.step = step;
}

/* dst begins with a row that is not written, and so do the gaps between rows. */
static inline int8_memory memory_of(const int8_case *t)
{
    int8_memory m = {.first_row = 1, .outputs = (size_t)t->out * (t->glu ? 2 : 1)};
    m.p = (tg__int8_product){.out = t->out,
                             .glu = t->glu,
                             .dst_step = t->dst_step,
                             .bf16 = t->bf16,
                             .taps = t->taps,
                             .depth = t->depth};
    fill_weights(&m, t);
    fill_source(&m, t);
    size_t n = (m.first_row + (t->rows - 1) * t->dst_step + 1) * (size_t)t->out;
    m.dst = values_new(n, t->bf16);
    m.residual = random_block(n, 0, t->glu ? 3 : 1e5, t->bf16);
    if (t->residual == IN_PLACE)
        memcpy(m.dst.data, m.residual.data, m.dst.bytes);
    return m;
}

/* A value, and how far off it may be. */
typedef struct interval {
    double value, tolerance;
} interval;

/* One output of the layer, without what is added. The sum and what is taken off it become f32 each,
 * and so do their difference, the product of the scales, its product with the difference, and the
 * result with the bias. */
static inline interval exact_output(const int8_memory *m, const int8_case *t, size_t row,
                                    size_t output)
{
    size_t i = t->scale_step ? row : 0, place = place_of(&m->p, output);
    double factor = value(m->row_scale.data, i, false) * value(m->scales.data, place, false);
    int64_t sum = 0, of_zero = 0, zero = ((const int32_t *)(const void *)m->row_zero.data)[i];
    for (size_t tap = 0; tap < (size_t)m->p.taps; tap++) {
        const uint8_t *q = (const uint8_t *)m->src.data + row * m->p.step + m->tap[tap];
        for (size_t k = 0; k < m->p.depth; k++) {
            int64_t w = *weight_at(&m->p, place, tap, k);
            sum += q[k] * w;
            of_zero += zero * w;
        }
    }
    double bias = t->bias ? value(m->bias.data, place, false) : 0;
    double x = (double)(sum - of_zero) * factor;
    double rounded = fabs((double)sum * factor) + fabs((double)of_zero * factor);
    return (interval){x + bias, (rounded + 4 * fabs(x) + fabs(bias)) * ULP};
}

/* x[h] gelu(x[g]): the curve is nowhere steeper than 1.13, and its own error is as in test_kernels.
 */
static inline interval gated(interval h, interval g)
{
    double curve = 0.5 * g.value * erfc(-g.value / sqrt(2));
    double tolerance = 1.13 * g.tolerance + 1e-6 + 4 * fabs(curve) * ULP;
    return (interval){h.value * curve, fabs(h.value) * tolerance +
                                           h.tolerance * (fabs(curve) + tolerance) +
                                           fabs(h.value * curve) * ULP};
}

static inline void check_row(const int8_memory *m, const int8_case *t, size_t row, const char *name)
{
    size_t at = (m->first_row + row * t->dst_step) * (size_t)t->out;
    for (size_t o = 0; o < (size_t)t->out; o++, at++) {
        interval x = exact_output(m, t, row, o);
        if (t->glu)
            x = gated(x, exact_output(m, t, row, o + (size_t)t->out));
        if (t->filling >= FULL) /* nothing is rounded but the exact sum, to f32 */
            x = (interval){(double)(float)x.value, 0};
        double residual = t->residual ? value(m->residual.data, at, t->bf16) : 0;
        x.value += residual;
        x.tolerance += t->residual ? fabs(x.value) * ULP : 0;
        x.tolerance += t->bf16 ? fabs(x.value) * BF16_ULP : 0;
        check_close(value(m->dst.data, at, t->bf16), x.value, x.tolerance, name, at);
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

static inline void int8_at(const int8_case *t, const tg__kernels *kernels, const char *name)
{
    int8_memory m = memory_of(t);
    m.p.tap = m.tap;
    m.p.dst = m.dst.data;
    m.p.residual = t->residual == IN_PLACE   ? m.dst.data
                   : t->residual == SEPARATE ? m.residual.data
                                             : NULL;
    if (kernels->int8_begin)
        kernels->int8_begin(t->rows);
    int width = t->glu ? TG__INT8_BLOCK / 2 : TG__INT8_BLOCK;
    for (int b = 0; b < (t->out + width - 1) / width; b++)
        kernels->int8_product(
            &m.p, (const uint8_t *)m.src.data, (const float *)(const void *)m.row_scale.data,
            (const int32_t *)(const void *)m.row_zero.data, t->scale_step, m.first_row, t->rows, b);
    if (kernels->int8_end)
        kernels->int8_end();
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
static inline void int8_passes(const tg__kernels *kernels, const char *name)
{
    static const int taps[] = {1, 4, 9};
    for (size_t i = 0; i < 240; i++) {
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
                       .bf16 = pick(2),
                       .glu = pick(3) == 0};
        int8_at(&t, kernels, name);
    }
}

/* Sums up to 255 * 127 * TG__INT8_DEPTH, and half of that and back to a number of which not one
 * bit may be lost. */
static inline void largest_sums_pass(const tg__kernels *kernels, const char *name)
{
    for (int i = 0; i < 4; i++) {
        int taps = i % 2 ? 4 : 1;
        int8_case t = {.rows = 18,
                       .out = 3,
                       .taps = taps,
                       .depth = TG__INT8_DEPTH / (size_t)taps,
                       .dst_step = 1,
                       .stride = 1,
                       .filling = i < 2 ? FULL : BACK};
        int8_at(&t, kernels, name);
    }
}

#endif
