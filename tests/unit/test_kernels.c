/* SPDX-License-Identifier: MIT */
/* Every kernel at every level this CPU has, against naive arithmetic in double precision. What a
 * kernel reads ends at a page that cannot be touched; what it writes ends there too and has
 * canaries in front and in the gaps between rows.
 *
 * Tolerances. f32 kernels compute in f32: a few times 2^-24 of the largest number involved. bf16
 * kernels do the same and round the result: 2^-8 of it more. Plain C rounds once, at the end. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attention_checks.h"
#include "skip.h"

/* ------------------------------------------------------------------------------------- levels */

typedef struct variant {
    const char *name;
    tg__kernels kernels;
} variant;

/* Every level, and the bf16 dot product where the CPU has it but the table prefers f32. */
static size_t variants(variant list[8])
{
    size_t n = 0;
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++, n++) {
        tg__kernels_init(&list[n].kernels, (tg_cpu)level);
        list[n].name = tg_cpu_name((tg_cpu)level);
    }
    if (tg__cpu_level() >= TG_CPU_AVX512_BF16 && __builtin_cpu_supports("avx512vbmi")) {
        list[n] = list[n - 1];
        tg__kernels_init_avx512_dot(&list[n].kernels);
        list[n++].name = "bf16 dot product";
    }
    return n;
}

static void test_levels(void **state)
{
    (void)state;
    tg_cpu level = tg__cpu_level();
    tg__kernels kernels;
    tg__kernels_init(&kernels, TG_CPU_AUTO);
    assert_int_equal(kernels.level, level);
    for (int cap = TG_CPU_C; cap <= TG_CPU_AMX; cap++) {
        tg__kernels_init(&kernels, (tg_cpu)cap);
        assert_int_equal(kernels.level, cap < (int)level ? cap : (int)level);
        if (cap < TG_CPU_AVX512_BF16)
            assert_false(kernels.bf16_fast);
    }
    if (level >= TG_CPU_AVX512_BF16 && !__builtin_cpu_supports("avx512vbmi"))
        tg_skip_part("the bf16 dot product, in all tests: this CPU has no AVX512-VBMI");
}

/* ---------------------------------------------------------------------------------- attention */

static void test_attention(void **state)
{
    (void)state;
    variant list[8];
    size_t n = variants(list);
    for (size_t v = 0; v < n; v++) {
        attention_passes(&list[v].kernels.attention_f32, false, list[v].name);
        attention_passes(&list[v].kernels.attention_bf16, true, list[v].name);
    }
}

static void test_attention_kernel_for(void **state)
{
    (void)state;
    tg__kernels k;
    tg__kernels_init(&k, TG_CPU_AUTO);
    const tg__attention_kernel *bf16 = &k.attention_bf16;
    const tg__attention_kernel *int8 = k.attention_int8.run ? &k.attention_int8 : bf16;
    tg__attention a = {.kv_rows = 256};
    assert_ptr_equal(tg__attention_kernel_for(&k, &a, false), &k.attention_f32);
    assert_ptr_equal(tg__attention_kernel_for(&k, &a, true), &k.attention_f32);
    a.bf16 = true;
    assert_ptr_equal(tg__attention_kernel_for(&k, &a, false), bf16);
    assert_ptr_equal(tg__attention_kernel_for(&k, &a, true), int8);
    a.kv_rows = 255;
    assert_ptr_equal(tg__attention_kernel_for(&k, &a, true), bf16);
}

static void test_attention_seen_keys(void **state)
{
    (void)state;
    variant list[8];
    size_t n = variants(list);
    for (size_t v = 0; v < n; v++) {
        seen_keys_pass(&list[v].kernels.attention_f32, false, list[v].name);
        seen_keys_pass(&list[v].kernels.attention_bf16, true, list[v].name);
    }
}

static void test_attention_extremes(void **state)
{
    (void)state;
    variant list[8];
    size_t n = variants(list);
    for (size_t v = 0; v < n; v++) {
        extremes_pass(&list[v].kernels.attention_f32, false, list[v].name);
        extremes_pass(&list[v].kernels.attention_bf16, true, list[v].name);
    }
}

/* -------------------------------------------------------------------------------------- norms */

typedef struct group_norm_case {
    int a_c, b_c, groups;
    size_t rows, slice;
    bool vector, weighted, biased, silu;
    double mean, spread;
} group_norm_case;

static const group_norm_case group_norm_cases[] = {
    {1, 0, 1, 1, 1, false, false, false, false, 0, 1},
    {64, 0, 32, 100, 33, false, true, true, true, 0, 1},
    {32, 0, 32, 130, 130, true, true, true, false, 1, 2},
    {40, 24, 4, 65, 13, true, true, true, true, 0, 1}, /* groups of 16: one spans both sources */
    {33, 15, 3, 201, 70, true, true, true, true, -3, 1},
    {17, 7, 1, 9, 2, false, true, true, false, 0, 1},
    {5, 31, 6, 77, 77, true, false, false, true, 0, 5},
    {320, 0, 32, 70, 64, true, true, true, true, 0, 1},
    {48, 16, 8, 128, 50, false, true, true, false, 1000, 0.01}, /* std 1e-5 of the mean */
    {35, 0, 5, 500, 100, true, true, true, true, 1000, 0.01},
    {24, 9, 3, 50, 20, true, true, false, true, 1, 1},
    {24, 9, 3, 50, 20, false, false, true, false, 1, 1},
    {16, 0, 2, 40, 40, false, true, true, false, 5, 0}, /* no variance at all */
};

static double silu_of(double x) { return x / (1 + exp(-x)); }

static double group_norm_input(const tg__group_norm *g, size_t row, size_t channel)
{
    size_t a_c = (size_t)g->a_c, b_c = (size_t)g->b_c;
    double x = channel < a_c ? value(g->a, row * a_c + channel, g->bf16)
                             : value(g->b, row * b_c + channel - a_c, g->bf16);
    return x + (g->vector ? (double)g->vector[channel] : 0);
}

/* The result is x * scale + offset in f32: it loses an ULP of both, and what the sums of 16 rows in
 * f32 have lost. The scale itself is to be right whatever the mean. */
static void check_group(const tg__group_norm *g, const float *scale, size_t first, size_t n,
                        const char *name)
{
    size_t c = (size_t)(g->a_c + g->b_c);
    double sum = 0, squares = 0, count = (double)(g->rows * n);
    for (size_t i = 0; i < g->rows * n; i++)
        sum += group_norm_input(g, i / n, first + i % n);
    double mean = sum / count;
    for (size_t i = 0; i < g->rows * n; i++) {
        double x = group_norm_input(g, i / n, first + i % n) - mean;
        squares += x * x;
    }
    double factor = 1 / sqrt(squares / count + (double)g->eps);
    for (size_t i = 0; i < g->rows * n; i++) {
        size_t channel = first + i % n, at = i / n * c + channel;
        double weight = g->weight ? (double)g->weight[channel] : 1;
        double bias = g->bias ? (double)g->bias[channel] : 0;
        double x = group_norm_input(g, i / n, channel);
        double y = (x - mean) * factor * weight + bias, size = fabs(x * factor * weight);
        double tolerance = (16 + 12 * size + 4 * fabs(mean * factor * weight)) * ULP;
        y = g->silu ? silu_of(y) : y;
        tolerance += g->bf16 ? fabs(y) * BF16_ULP : 8 * fabs(y) * ULP;
        check_close(value(g->dst, at, g->bf16), y, tolerance, name, at);
        check_close((double)scale[channel], factor * weight, fabs(factor * weight) * 1e-6, name,
                    channel);
    }
}

static void group_norm_at(const group_norm_case *t, const variant *v, bool bf16)
{
    size_t c = (size_t)(t->a_c + t->b_c), slices = (t->rows + t->slice - 1) / t->slice;
    block a = random_block(t->rows * (size_t)t->a_c, t->mean, t->spread, bf16);
    block b = random_block(t->rows * (size_t)t->b_c, t->mean, t->spread, bf16);
    block dst = values_new(t->rows * c, bf16), vector = random_block(c, 0, 1, false);
    block weight = random_block(c, 1, 0.5, false), bias = random_block(c, 0, 1, false);
    block sums = block_new(slices * 2 * c * sizeof(double), sizeof(double));
    block scale = values_new(c, false), offset = values_new(c, false);
    tg__group_norm g = {.dst = dst.data,
                        .a = a.data,
                        .b = t->b_c ? b.data : NULL,
                        .a_c = t->a_c,
                        .b_c = t->b_c,
                        .groups = t->groups,
                        .rows = t->rows,
                        .vector = t->vector ? (const float *)vector.data : NULL,
                        .weight = t->weighted ? (const float *)weight.data : NULL,
                        .bias = t->biased ? (const float *)bias.data : NULL,
                        .eps = 1e-6f,
                        .silu = t->silu,
                        .bf16 = bf16};
    for (size_t i = 0; i < slices; i++) {
        size_t rows = t->rows - i * t->slice < t->slice ? t->rows - i * t->slice : t->slice;
        v->kernels.group_norm_sums((double *)sums.data + i * 2 * c, &g, i * t->slice, rows);
    }
    tg__group_norm_fold((float *)scale.data, (float *)offset.data, (double *)sums.data, slices, &g);
    for (size_t i = 0; i < slices; i++) {
        size_t rows = t->rows - i * t->slice < t->slice ? t->rows - i * t->slice : t->slice;
        v->kernels.group_norm_apply(&g, (float *)scale.data, (float *)offset.data, i * t->slice,
                                    rows);
    }
    char name[96];
    snprintf(name, sizeof name, "group_norm %s %s %d+%d", v->name, bf16 ? "bf16" : "f32", t->a_c,
             t->b_c);
    size_t n = c / (size_t)t->groups;
    for (size_t first = 0; first < c; first += n)
        check_group(&g, (const float *)scale.data, first, n, name);
    for (size_t i = 0; !t->b_c && i < slices; i++) { /* the same in the source's place */
        size_t rows = t->rows - i * t->slice < t->slice ? t->rows - i * t->slice : t->slice;
        g.dst = a.data;
        v->kernels.group_norm_apply(&g, (float *)scale.data, (float *)offset.data, i * t->slice,
                                    rows);
    }
    if (!t->b_c)
        assert_memory_equal(a.data, dst.data, dst.bytes);
    FINISH(&a, &b, &dst, &vector, &weight, &bias, &sums, &scale, &offset);
}

static void test_group_norm(void **state)
{
    (void)state;
    variant list[8];
    size_t n = variants(list);
    for (size_t v = 0; v < n; v++)
        for (size_t i = 0; i < COUNT(group_norm_cases); i++)
            for (int bf16 = 0; bf16 < 2; bf16++)
                group_norm_at(&group_norm_cases[i], &list[v], bf16);
}

static void check_layer_norm(const void *dst, const double *x, const float *weight,
                             const float *bias, size_t rows, size_t c, bool bf16, const char *name)
{
    for (size_t row = 0; row < rows; row++, x += c) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < c; i++)
            sum += x[i];
        for (size_t i = 0; i < c; i++)
            squares += (x[i] - sum / (double)c) * (x[i] - sum / (double)c);
        double factor = 1 / sqrt(squares / (double)c + 1e-5);
        for (size_t i = 0; i < c; i++) {
            double y = (x[i] - sum / (double)c) * factor;
            double result = y * (weight ? (double)weight[i] : 1) + (bias ? (double)bias[i] : 0);
            double tolerance = (16 + 16 * fabs(y)) * ULP + (bf16 ? fabs(result) * BF16_ULP : 0);
            check_close(value(dst, row * c + i, bf16), result, tolerance, name, row * c + i);
        }
    }
}

static void layer_norm_at(const variant *v, size_t c, double mean, bool weighted, bool biased,
                          bool in_place, bool bf16)
{
    enum { ROW_COUNT = 3 };
    block src = random_block(ROW_COUNT * c, mean, mean != 0 ? 0.01 : 1, bf16);
    block dst = values_new(ROW_COUNT * c, bf16);
    block weight = random_block(c, 1, 0.5, false), bias = random_block(c, 0, 1, false);
    double *x = malloc(ROW_COUNT * c * sizeof *x);
    for (size_t i = 0; i < ROW_COUNT * c; i++)
        x[i] = value(src.data, i, bf16);
    void *to = in_place ? src.data : dst.data;
    const float *w = weighted ? (const float *)weight.data : NULL;
    const float *b = biased ? (const float *)bias.data : NULL;
    v->kernels.layer_norm(to, src.data, ROW_COUNT, (int)c, w, b, 1e-5f, bf16);
    check_layer_norm(to, x, w, b, ROW_COUNT, c, bf16, v->name);
    free(x);
    FINISH(&src, &dst, &weight, &bias);
}

static void test_layer_norm(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 100, 320, 1281};
    variant list[8];
    size_t n = variants(list);
    for (size_t v = 0; v < n; v++)
        for (size_t i = 0; i < COUNT(sizes); i++)
            for (int mode = 0; mode < 32; mode++)
                layer_norm_at(&list[v], sizes[i], mode & 1 ? 1000 : 0, mode & 2, mode & 4, mode & 8,
                              mode & 16);
}

/* A row's squares are added up in f32: the root loses half of what they do. */
static void rms_norm_at(const variant *v, size_t c, double spread, bool weighted, bool in_place,
                        bool bf16)
{
    enum { ROW_COUNT = 3 };
    const float eps = 1e-6f;
    block src = random_block(ROW_COUNT * c, 0, spread, bf16), dst = values_new(ROW_COUNT * c, bf16);
    block weight = random_block(c, 1, 0.5, false);
    double *x = malloc(ROW_COUNT * c * sizeof *x);
    for (size_t i = 0; i < ROW_COUNT * c; i++)
        x[i] = value(src.data, i, bf16);
    void *to = in_place ? src.data : dst.data;
    v->kernels.rms_norm(to, src.data, ROW_COUNT, (int)c,
                        weighted ? (const float *)weight.data : NULL, eps, bf16);
    for (size_t i = 0; i < ROW_COUNT * c; i++) {
        double squares = 0;
        for (size_t k = i / c * c; k < (i / c + 1) * c; k++)
            squares += x[k] * x[k];
        double y = x[i] / sqrt(squares / (double)c + (double)eps);
        y *= weighted ? value(weight.data, i % c, false) : 1;
        check_close(value(to, i, bf16), y, fabs(y) * (16 * ULP + (bf16 ? BF16_ULP : 0)), v->name,
                    i);
    }
    free(x);
    FINISH(&src, &dst, &weight);
}

static void test_rms_norm(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 33, 64, 100, 768, 4097};
    static const double spreads[] = {1, 1e-4, 3e4};
    variant list[8];
    size_t n = variants(list);
    for (size_t v = 0; v < n; v++)
        for (size_t i = 0; i < COUNT(sizes) * COUNT(spreads); i++)
            for (int mode = 0; mode < 8; mode++)
                rms_norm_at(&list[v], sizes[i / COUNT(spreads)], spreads[i % COUNT(spreads)],
                            mode & 1, mode & 2, mode & 4);
}

/* -------------------------------------------------------------------------------- elementwise */

static double gelu_of(double x) { return isinf(x) && x < 0 ? 0 : 0.5 * x * erfc(-x / sqrt(2)); }
static double gelu_tanh_of(double x)
{
    return x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
static double quick_gelu_of(double x) { return x / (1 + exp(-1.702 * x)); }

/* Values that reach every part of a curve, then the ones that go wrong. */
static double curve_value(size_t i)
{
    static const double special[] = {0,    -0.0, 1e-40, -1e-40, 1e-30, 88,       -88, 127,
                                     -127, 1e5,  -1e5,  3e38,   -3e38, INFINITY, NAN};
    return i % 3 == 0 ? special[i / 3 % COUNT(special)] : 12 * random_value();
}

typedef void (*unary)(void *, const void *, size_t, bool);

/* The exponential loses an ULP for each unit of its argument, but where that is large the result is
 * small or the argument itself: 1e-6 holds for all, and relative to large ones. */
static void unary_at(unary kernel, double (*expected)(double), size_t n, bool in_place, bool bf16,
                     const char *name)
{
    block src = values_new(n, bf16), dst = values_new(n, bf16);
    double *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        set_value(src.data, i, curve_value(i), bf16);
        x[i] = value(src.data, i, bf16);
    }
    void *to = in_place ? src.data : dst.data;
    kernel(to, src.data, n, bf16);
    for (size_t i = 0; i < n; i++) {
        double y = expected(x[i]);
        check_close(value(to, i, bf16), y, 1e-6 + fabs(y) * (bf16 ? BF16_ULP : 4 * ULP), name, i);
    }
    FINISH(&src, &dst);
    free(x);
}

static void test_activations(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++) {
        for (size_t n = 0; n < 20000; n += n < 60 ? 1 : 9970) {
            for (int mode = 0; mode < 4; mode++) {
                const tg__kernels *k = &list[v].kernels;
                unary_at(k->silu, silu_of, n, mode & 1, mode & 2, list[v].name);
                unary_at(k->gelu, gelu_of, n, mode & 1, mode & 2, list[v].name);
                unary_at(k->gelu_tanh, gelu_tanh_of, n, mode & 1, mode & 2, list[v].name);
                unary_at(k->quick_gelu, quick_gelu_of, n, mode & 1, mode & 2, list[v].name);
            }
        }
    }
}

typedef void (*gated)(void *, const void *, size_t, int, bool);

static void gated_at(gated kernel, double (*function)(double), size_t rows, size_t c, bool bf16,
                     const char *name)
{
    block src = random_block(rows * 2 * c, 0, 5, bf16), dst = values_new(rows * c, bf16);
    kernel(dst.data, src.data, rows, (int)c, bf16);
    for (size_t i = 0; i < rows * c; i++) {
        size_t at = i / c * 2 * c + i % c;
        double y = value(src.data, at, bf16) * function(value(src.data, at + c, bf16));
        check_close(value(dst.data, i, bf16), y, 5e-6 + fabs(y) * (bf16 ? BF16_ULP : 4 * ULP), name,
                    i);
    }
    FINISH(&src, &dst);
}

static void test_geglu(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++)
        for (size_t c = 1; c < 70; c += c < 36 ? 1 : 11)
            for (int bf16 = 0; bf16 < 2; bf16++) {
                gated_at(list[v].kernels.geglu, gelu_of, 3, c, bf16, list[v].name);
                gated_at(list[v].kernels.geglu_tanh, gelu_tanh_of, 3, c, bf16, list[v].name);
            }
}

/* to: 0 a place of its own, 1 the residual's, 2 x's. */
static void gated_add_at(const variant *v, size_t rows, size_t c, int to, bool bf16)
{
    size_t n = rows * c;
    block residual = random_block(n, 0, 3, bf16), x = random_block(n, 0, 5, bf16);
    block gate = random_block(c, 0, 2, false), dst = values_new(n, bf16);
    double *expected = malloc(n * sizeof *expected), *largest = malloc(n * sizeof *largest);
    for (size_t i = 0; i < n; i++) {
        double product = value(x.data, i, bf16) * value(gate.data, i % c, false);
        expected[i] = value(residual.data, i, bf16) + product;
        largest[i] = fabs(value(residual.data, i, bf16)) + fabs(product);
    }
    void *place = to == 0 ? dst.data : to == 1 ? residual.data : x.data;
    v->kernels.gated_add(place, residual.data, x.data, (const float *)gate.data, rows, (int)c,
                         bf16);
    for (size_t i = 0; i < n; i++)
        check_close(value(place, i, bf16), expected[i],
                    largest[i] * 2 * ULP + fabs(expected[i]) * (bf16 ? BF16_ULP : 0), v->name, i);
    free(expected);
    free(largest);
    FINISH(&residual, &x, &gate, &dst);
}

static void test_gated_add(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++)
        for (size_t c = 1; c < 70; c += c < 36 ? 1 : 11)
            for (int mode = 0; mode < 6; mode++)
                gated_add_at(&list[v], 3, c, mode / 2, mode % 2);
}

/* Sums of two are exact up to one rounding: the levels agree to the bit. */
static void sum_at(const variant *v, size_t n, bool bf16)
{
    block a = random_block(n, 0, 3, bf16), b = random_block(n, 0, 1e-3, bf16);
    block sum = values_new(n, bf16), mean = values_new(n, bf16);
    v->kernels.add(sum.data, a.data, b.data, n, bf16);
    v->kernels.mean(mean.data, a.data, b.data, n, bf16);
    for (size_t i = 0; i < n; i++) {
        float exact = (float)(value(a.data, i, bf16) + value(b.data, i, bf16));
        float half = exact * 0.5f;
        exact = bf16 ? tg__from_bf16(tg__to_bf16(exact)) : exact;
        half = bf16 ? tg__from_bf16(tg__to_bf16(half)) : half;
        check_close(value(sum.data, i, bf16), (double)exact, 0, v->name, i);
        check_close(value(mean.data, i, bf16), (double)half, 0, v->name, i);
    }
    v->kernels.add(a.data, a.data, b.data, n, bf16);
    assert_memory_equal(a.data, sum.data, n * (bf16 ? 2 : 4));
    FINISH(&a, &b, &sum, &mean);
}

static void test_sums(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++)
        for (size_t n = 0; n < 70; n++)
            for (int bf16 = 0; bf16 < 2; bf16++)
                sum_at(&list[v], n, bf16);
}

/* -------------------------------------------------------------------------------- conversions */

/* Ties both ways, denormals, what rounds up to infinity, infinities and NaNs, over all exponents.
 */
static void test_bf16(void **state)
{
    (void)state;
    enum { N = 65536 * 4 + 5 };
    static const uint32_t low[] = {0x8000, 0x7FFF, 0x8001, 0};
    variant list[8];
    size_t count = variants(list);
    block floats = values_new(N, false), halves = values_new(N, true), back = values_new(N, false);
    for (uint32_t i = 0; i < N; i++) {
        uint32_t bits = (i / 4 & 0xFFFF) << 16 | low[i % 4];
        memcpy(floats.data + 4 * i, &bits, sizeof bits);
    }
    for (size_t v = 0; v < count; v++) {
        list[v].kernels.bf16_from_f32((tg__bf16 *)halves.data, (float *)floats.data, N);
        list[v].kernels.f32_from_bf16((float *)back.data, (tg__bf16 *)halves.data, N);
        for (size_t i = 0; i < N; i++) {
            tg__bf16 half = ((tg__bf16 *)halves.data)[i];
            assert_int_equal(half, tg__to_bf16(((float *)floats.data)[i]));
            uint32_t bits;
            memcpy(&bits, back.data + 4 * i, sizeof bits);
            assert_int_equal(bits, (uint32_t)half << 16);
        }
    }
    FINISH(&floats, &halves, &back);
}

/* All 65536, from an odd address: a signalling NaN may become a quiet one. */
static void test_f16(void **state)
{
    (void)state;
    enum { N = 65536 };
    variant list[8];
    size_t count = variants(list);
    block halves = block_new(2 * N + 1, 1), floats = values_new(N, false);
    for (uint32_t i = 0; i < N; i++) {
        uint16_t half = (uint16_t)i;
        memcpy(halves.data + 1 + 2 * i, &half, sizeof half);
    }
    for (size_t v = 0; v < count; v++) {
        for (size_t n = 0; n < 40; n++)
            list[v].kernels.f32_from_f16((float *)floats.data + N - n,
                                         halves.data + 1 + 2 * (N - n), n);
        list[v].kernels.f32_from_f16((float *)floats.data, halves.data + 1, N);
        for (uint32_t i = 0; i < N; i++) {
            float expected = tg__from_f16((uint16_t)i), found = ((float *)floats.data)[i];
            if (isnan(expected))
                assert_true(isnan(found));
            else
                assert_memory_equal(&expected, &found, sizeof found);
        }
    }
    FINISH(&halves, &floats);
}

/* The last elements of short arrays. */
static void test_short_conversions(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++) {
        for (size_t n = 0; n < 70; n++) {
            block floats = random_block(n, 0, 1, false), halves = values_new(n, true);
            block back = values_new(n, false);
            list[v].kernels.bf16_from_f32((tg__bf16 *)halves.data, (float *)floats.data, n);
            list[v].kernels.f32_from_bf16((float *)back.data, (tg__bf16 *)halves.data, n);
            for (size_t i = 0; i < n; i++)
                assert_true(value(back.data, i, false) == value(halves.data, i, true) &&
                            value(halves.data, i, true) ==
                                (double)tg__from_bf16(tg__to_bf16(((float *)floats.data)[i])));
            FINISH(&floats, &halves, &back);
        }
    }
}

/* ----------------------------------------------------------------------------------- products */

typedef struct conv_case {
    int h, w, c, dst_h, dst_w, dst_c, k, stride, pad_top, pad_left;
} conv_case;

/* One output, summed in another order than the kernel's. */
static double reference_conv(const conv_case *t, const float *src, const float *weight, int y,
                             int x, int o)
{
    double sum = 0;
    for (int i = 0; i < t->c; i++) {
        for (int from_x = 0; from_x < t->w; from_x++) {
            for (int from_y = 0; from_y < t->h; from_y++) {
                int tap_y = from_y - y * t->stride + t->pad_top;
                int tap_x = from_x - x * t->stride + t->pad_left;
                if (tap_y >= 0 && tap_y < t->k && tap_x >= 0 && tap_x < t->k)
                    sum += (double)src[(from_y * t->w + from_x) * t->c + i] *
                           (double)weight[((tap_y * t->k + tap_x) * t->c + i) * t->dst_c + o];
            }
        }
    }
    return sum;
}

static void test_conv2d(void **state)
{
    (void)state;
    static const conv_case cases[] = {
        {5, 7, 3, 5, 7, 5, 3, 1, 1, 1}, {8, 6, 4, 4, 3, 9, 3, 2, 1, 1},
        {7, 9, 2, 3, 4, 3, 3, 2, 0, 0}, {4, 5, 6, 4, 5, 7, 1, 1, 0, 0},
        {1, 1, 1, 1, 1, 1, 3, 1, 1, 1}, {8, 8, 3, 2, 2, 4, 4, 4, 0, 0},
    };
    tg__kernels kernels;
    tg__kernels_init(&kernels, TG_CPU_AUTO);
    for (size_t n = 0; n < COUNT(cases); n++) {
        const conv_case *t = &cases[n];
        block src = random_block((size_t)(t->h * t->w * t->c), 0, 1, false);
        block weight = random_block((size_t)(t->k * t->k * t->c * t->dst_c), 0, 1, false);
        block bias = random_block((size_t)t->dst_c, 0, 1, false);
        block dst = values_new((size_t)(t->dst_w * t->dst_c), false);
        for (int i = 0; i < 2 * t->dst_h * t->dst_w * t->dst_c; i++) {
            int y = i / 2 / (t->dst_w * t->dst_c), at = i / 2 % (t->dst_w * t->dst_c),
                o = at % t->dst_c;
            const float *b = i % 2 ? (const float *)bias.data : NULL;
            kernels.conv2d_row((float *)dst.data, (float *)src.data, (float *)weight.data, b, t->h,
                               t->w, t->c, t->dst_w, t->dst_c, t->k, t->stride, t->pad_top,
                               t->pad_left, y);
            double expected =
                reference_conv(t, (float *)src.data, (float *)weight.data, y, at / t->dst_c, o) +
                (b ? (double)b[o] : 0);
            check_close(value(dst.data, (size_t)at, false), expected, 1e-5, "conv2d", (size_t)i);
        }
        FINISH(&src, &weight, &bias, &dst);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_kernel_for),
        cmocka_unit_test(test_attention_seen_keys),
        cmocka_unit_test(test_attention_extremes),
        cmocka_unit_test(test_group_norm),
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_rms_norm),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_geglu),
        cmocka_unit_test(test_gated_add),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_short_conversions),
        cmocka_unit_test(test_conv2d),
    };
    return cmocka_run_group_tests(tests, tg_skip_levels, NULL);
}
