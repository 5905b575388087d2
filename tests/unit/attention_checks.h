/* SPDX-License-Identifier: MIT */
/* An attention kernel against naive arithmetic in double precision: sizes that are odd in every
 * way, scores that are extreme, masks and biases. */
#ifndef TG_TEST_ATTENTION_CHECKS_H
#define TG_TEST_ATTENTION_CHECKS_H

#include <stdio.h>
#include <stdlib.h>

#include "kernel_memory.h"
#include "kernels/kernels.h"

/* Which keys of an image are seen. */
typedef enum seen_keys {
    ALL_KEYS,
    SOME_KEYS,  /* at random */
    FIRST_KEYS, /* the others are padding */
    LAST_KEYS,  /* where attention is causal, the first rows see none then */
    ONE_KEY,
    NO_KEY, /* of the second image; one of the first */
    SEEN_KINDS,
} seen_keys;

typedef struct attention_case {
    int q_rows, kv_rows, heads, head_dim;
    bool causal;
    double spread; /* of q and k */
} attention_case;

static const attention_case attention_cases[] = {
    {1, 1, 1, 1, false, 1},      {5, 3, 2, 7, false, 1},        {64, 64, 1, 160, false, 1},
    {65, 77, 2, 40, false, 1},   {33, 100, 1, 64, false, 2},    {130, 193, 2, 40, false, 2},
    {77, 77, 2, 64, true, 1},    {77, 77, 1, 33, true, 3},      {100, 40, 1, 17, true, 1},
    {40, 300, 1, 20, true, 1},   {200, 200, 1, 8, true, 2},     {17, 35, 1, 512, false, 0.5},
    {16, 97, 1, 511, false, 1},  {49, 96, 3, 80, false, 1},     {70, 288, 1, 40, false, 40},
    {66, 250, 1, 5, true, 80},   {64, 101, 1, 40, false, 0},    {48, 192, 1, 1, false, 4},
    {31, 6, 1, 2, false, 1},     {97, 13, 2, 15, false, 1e-20}, {20, 64, 1, 16, false, 1e-38},
    {9, 4, 1, 3, false, 100},    {129, 65, 1, 32, false, 1},    {260, 130, 1, 33, true, 2},
    {128, 128, 1, 48, false, 8}, {161, 224, 2, 97, false, 30},  {33, 127, 1, 24, false, 1},
};

/* Sizes that masks and biases are tried on: all kinds of vectors, panels, blocks and chunks. */
static const attention_case seen_sizes[] = {
    {5, 3, 2, 7, false, 1},     {65, 77, 2, 40, false, 1},  {33, 100, 1, 64, true, 2},
    {130, 193, 2, 8, false, 2}, {77, 77, 3, 33, true, 1},   {100, 40, 1, 17, true, 1},
    {40, 300, 1, 20, true, 1},  {17, 35, 1, 512, false, 1}, {200, 200, 1, 16, true, 20},
    {1, 13, 4, 3, false, 1},
};

static inline bool row_sees(const tg__attention *a, int image, int row, int key)
{
    bool masked = a->mask && !a->mask[(size_t)image * (size_t)a->kv_rows + (size_t)key];
    return !masked && (!a->causal || key <= row);
}

static inline double bias_of(const tg__attention *a, int head, int row, int key)
{
    size_t at = (size_t)head * (size_t)a->q_rows + (size_t)row;
    return a->bias ? (double)a->bias[at * (size_t)a->kv_rows + (size_t)key] : 0;
}

/* Weights of one row (normalised; 0 where it sees no key), and the largest sum of absolute terms
 * behind a score. */
static inline double reference_weights(double *weights, const tg__attention *a, int image, int head,
                                       int row)
{
    double top = -INFINITY, sum = 0, largest = 0;
    size_t q = ((size_t)image * (size_t)a->q_rows + (size_t)row) * a->q_stride;
    for (int i = 0; i < a->kv_rows; i++) {
        size_t k = ((size_t)image * (size_t)a->kv_rows + (size_t)i) * a->k_stride;
        double score = bias_of(a, head, row, i), absolute = fabs(score);
        weights[i] = -INFINITY;
        if (!row_sees(a, image, row, i))
            continue;
        for (int c = head * a->head_dim; c < (head + 1) * a->head_dim; c++) {
            double product = value(a->q, q + (size_t)c, a->bf16) *
                             value(a->k, k + (size_t)c, a->bf16) * (double)a->scale;
            score += product;
            absolute += fabs(product);
        }
        weights[i] = score;
        top = fmax(top, score);
        largest = fmax(largest, absolute);
    }
    for (int i = 0; i < a->kv_rows; i++)
        sum += weights[i] = row_sees(a, image, row, i) ? exp(weights[i] - top) : 0;
    for (int i = 0; i < a->kv_rows; i++)
        weights[i] = sum > 0 ? weights[i] / sum : 0;
    return largest;
}

/* Tolerances relative to the sum of |weight * value|. An exponent's error is the weight's relative
 * one: products and sums of a score lose a few ULP of what was added up, and it may be `rounding`
 * off. bf16: the dot-product kernel rounds the weights, and every kernel the result. These cancel
 * where many keys count; with a bias it may be two, whose weights are 0.66 % off each. */
static inline void check_attention(const tg__attention *a, double rounding, const char *name)
{
    double *weights = malloc((size_t)a->kv_rows * sizeof *weights);
    for (int i = 0; i < a->images * a->heads * a->q_rows; i++) {
        int image = i / (a->heads * a->q_rows), head = i / a->q_rows % a->heads;
        int row = i % a->q_rows;
        double score = reference_weights(weights, a, image, head, row);
        size_t at = ((size_t)image * (size_t)a->q_rows + (size_t)row) * a->dst_stride;
        for (int c = head * a->head_dim; c < (head + 1) * a->head_dim; c++) {
            double output = 0, magnitude = 0;
            for (int k = 0; k < a->kv_rows; k++) {
                if (!row_sees(a, image, row, k))
                    continue;
                size_t v = ((size_t)image * (size_t)a->kv_rows + (size_t)k) * a->v_stride;
                double x = weights[k] * value(a->v, v + (size_t)c, a->bf16);
                output += x;
                magnitude += fabs(x);
            }
            double tolerance = magnitude * (24 + 12 * score) * ULP;
            tolerance += a->bf16 ? magnitude * (a->bias ? 4.5 : 2) * BF16_ULP : 0;
            tolerance += magnitude * expm1(2 * rounding);
            check_close(value(a->dst, at + (size_t)c, a->bf16), output, tolerance + 1e-44, name,
                        at + (size_t)c);
        }
    }
    free(weights);
}

/* Memory holds what is not a number before a kernel fills it. */
static inline void run_attention(const tg__attention *a, const tg__attention_kernel *kernel)
{
    block packed = block_new(kernel->packed_bytes(a), 64);
    block scratch = block_new(kernel->scratch_bytes(a), 64);
    for (int i = 0; i < a->images * a->heads; i++) {
        memset(packed.data, 0xFF, packed.bytes);
        kernel->pack(packed.data, a, i / a->heads, i % a->heads);
        for (int row = 0; row < a->q_rows; row += kernel->q_block) {
            int left = a->q_rows - row;
            memset(scratch.data, 0xFF, scratch.bytes);
            kernel->run(a, packed.data, scratch.data, i / a->heads, i % a->heads, row,
                        left < kernel->q_block ? left : kernel->q_block);
        }
    }
    FINISH(&packed, &scratch);
}

static inline bool key_is_seen(seen_keys kind, int image, int key, int keys)
{
    switch (kind) {
    case SOME_KEYS:
        return random_value() > 0;
    case FIRST_KEYS:
        return key <= keys * (image + 1) / 3;
    case LAST_KEYS:
        return key >= keys * (image + 1) / 3;
    case ONE_KEY:
    case NO_KEY:
        return key == keys / 2 && (image == 0 || kind == ONE_KEY);
    default:
        return true;
    }
}

static inline block mask_new(seen_keys kind, int images, int keys)
{
    block mask = block_new((size_t)images * (size_t)keys, 1);
    for (int i = 0; i < images * keys; i++)
        mask.data[i] = (char)(key_is_seen(kind, i / keys, i % keys, keys) ? 1 + i % 255 : 0);
    return mask;
}

/* Rows of k or v that a mask leaves out hold what would spoil every result. */
static inline void spoil_masked(block *rows, const block *mask, bool bf16)
{
    size_t n = rows->bytes / (bf16 ? 2 : 4) / mask->bytes;
    for (size_t i = 0; i < mask->bytes * n; i++)
        if (!mask->data[i / n])
            set_value(rows->data, i, i % n % 2 ? NAN : -INFINITY, bf16);
}

/* q is a slice of one matrix, k and v of another, dst has gaps between its rows. biases: how far
 * they spread; 0: there are none. */
static inline void attention_at(const attention_case *t, seen_keys seen, double biases,
                                const tg__attention_kernel *kernel, bool bf16, const char *level)
{
    enum { IMAGES = 2, GAP = 3 };
    size_t c = (size_t)t->heads * (size_t)t->head_dim, size = bf16 ? 2 : 4;
    size_t q_rows = IMAGES * (size_t)t->q_rows, kv_rows = IMAGES * (size_t)t->kv_rows;
    block q = random_block(q_rows * 3 * c, 0, t->spread, bf16);
    block kv = random_block(kv_rows * 3 * c, 0, t->spread, bf16);
    for (size_t row = 0; row < kv_rows; row++)
        for (size_t i = 2 * c; i < 3 * c; i++)
            set_value(kv.data, row * 3 * c + i, 2 * random_value(), bf16);
    block dst = values_new(q_rows * (c + GAP) - GAP, bf16);
    block mask = mask_new(seen, IMAGES, t->kv_rows);
    spoil_masked(&kv, &mask, bf16);
    block bias = random_block((size_t)(t->heads * t->q_rows * t->kv_rows), 0, biases, false);
    tg__attention a = {.dst = dst.data,
                       .q = q.data,
                       .k = kv.data + c * size,
                       .v = kv.data + 2 * c * size,
                       .dst_stride = c + GAP,
                       .q_stride = 3 * c,
                       .k_stride = 3 * c,
                       .v_stride = 3 * c,
                       .images = IMAGES,
                       .heads = t->heads,
                       .head_dim = t->head_dim,
                       .q_rows = t->q_rows,
                       .kv_rows = t->kv_rows,
                       .scale = 1 / sqrtf((float)t->head_dim),
                       .causal = t->causal,
                       .bf16 = bf16,
                       .mask = seen != ALL_KEYS ? (const uint8_t *)mask.data : NULL,
                       .bias = biases != 0 ? (const float *)bias.data : NULL};
    run_attention(&a, kernel);
    char name[128];
    snprintf(name, sizeof name, "attention %s %s %dx%dx%d%s, mask %d, bias %g", level,
             bf16 ? "bf16" : "f32", t->q_rows, t->kv_rows, t->head_dim, t->causal ? " causal" : "",
             (int)seen, biases);
    check_attention(&a, 0, name);
    for (size_t row = 0; row + 1 < q_rows; row++)
        for (size_t i = (row * (c + GAP) + c) * size; i < (row + 1) * (c + GAP) * size; i++)
            assert_int_equal((unsigned char)dst.data[i], CANARY);
    FINISH(&q, &kv, &dst, &mask, &bias);
}

/* Scores that are all alike, huge, hugely negative, or climb by thousands from block to block, four
 * alike at a time: the output is then the mean of `winners` values from `winner` on. f32 may lose
 * what check_attention allows for sums. */
static inline void extreme_at(const tg__attention_kernel *kernel, bool bf16, const char *level,
                              double first, double step, size_t winner, size_t winners)
{
    enum { KEYS = 319, QUERIES = 70, HEAD = 8 };
    block q = values_new(QUERIES * HEAD, bf16), k = values_new(KEYS * HEAD, bf16);
    block values = values_new(KEYS * HEAD, bf16), dst = values_new(QUERIES * HEAD, bf16);
    double output = 0;
    for (size_t i = 0; i < QUERIES * HEAD; i++)
        set_value(q.data, i, i % HEAD == 0, bf16);
    for (size_t i = 0; i < KEYS * HEAD; i++) {
        set_value(k.data, i, i % HEAD == 0 ? first + step * (double)(i / HEAD / 4) : 7, bf16);
        set_value(values.data, i, (double)(i / HEAD % 128), bf16);
    }
    for (size_t i = winner; i < winner + winners; i++)
        output += value(values.data, i * HEAD, bf16) / (double)winners;
    tg__attention a = {.dst = dst.data,
                       .q = q.data,
                       .k = k.data,
                       .v = values.data,
                       .dst_stride = HEAD,
                       .q_stride = HEAD,
                       .k_stride = HEAD,
                       .v_stride = HEAD,
                       .images = 1,
                       .heads = 1,
                       .head_dim = HEAD,
                       .q_rows = QUERIES,
                       .kv_rows = KEYS,
                       .scale = 1,
                       .bf16 = bf16};
    run_attention(&a, kernel);
    for (size_t i = 0; i < QUERIES * HEAD; i++)
        check_close(value(dst.data, i, bf16), output, output * (bf16 ? BF16_ULP : 24 * ULP), level,
                    i);
    FINISH(&q, &k, &values, &dst);
}

/* A level's kernel for one format. */
static inline void attention_passes(const tg__attention_kernel *kernel, bool bf16,
                                    const char *level)
{
    for (size_t i = 0; i < COUNT(attention_cases); i++)
        attention_at(&attention_cases[i], ALL_KEYS, 0, kernel, bf16, level);
}

/* Masks and biases of every kind together. */
static inline void seen_keys_pass(const tg__attention_kernel *kernel, bool bf16, const char *level)
{
    static const double biases[] = {0, 1, 60};
    for (size_t i = 0; i < COUNT(seen_sizes); i++)
        for (int seen = ALL_KEYS; seen < SEEN_KINDS; seen++)
            for (size_t k = 0; k < COUNT(biases); k++)
                attention_at(&seen_sizes[i], (seen_keys)seen, biases[k], kernel, bf16, level);
}

static inline void extremes_pass(const tg__attention_kernel *kernel, bool bf16, const char *level)
{
    extreme_at(kernel, bf16, level, 10000, 0, 0, 319);
    extreme_at(kernel, bf16, level, -10000, 0, 0, 319);
    extreme_at(kernel, bf16, level, 0, 0, 0, 319);
    extreme_at(kernel, bf16, level, -10, 0, 0, 319); /* what pads the keys would count more */
    extreme_at(kernel, bf16, level, 1e30, 0, 0, 319);
    extreme_at(kernel, bf16, level, -1e30, 0, 0, 319);
    extreme_at(kernel, bf16, level, -10240, 1024, 316, 3);
    extreme_at(kernel, bf16, level, 10240, -1024, 0, 4);
    extreme_at(kernel, bf16, level, -16384 * 79, 16384, 316, 3);
}

#endif
