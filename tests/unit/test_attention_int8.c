/* SPDX-License-Identifier: MIT */
/* Attention with scores in int8: where queries and keys are whole numbers that it holds exactly, it
 * is as precise as attention in bf16; elsewhere no score is further off than their rounding brings
 * it. */
#include "attention_checks.h"
#include "skip.h"

typedef struct sizes {
    int q_rows, kv_rows, heads, head_dim;
    bool causal;
} sizes;

static const sizes all_sizes[] = {
    {1, 1, 1, 1, false},    {5, 3, 2, 7, false},     {64, 64, 1, 160, false},
    {65, 77, 2, 40, false}, {130, 193, 2, 40, true}, {33, 300, 1, 64, false},
    {77, 77, 1, 33, true},  {17, 35, 1, 512, false}, {16, 97, 1, 511, false},
    {49, 96, 3, 80, false}, {66, 250, 1, 5, true},   {48, 192, 1, 1, false},
};

enum { IMAGES = 2 };

typedef struct numbers {
    block q, k, v, dst, mask, bias;
    tg__attention a;
} numbers;

static numbers numbers_new(const sizes *t, double scale, seen_keys seen, double biases)
{
    size_t c = (size_t)t->heads * (size_t)t->head_dim;
    size_t q_rows = IMAGES * (size_t)t->q_rows, kv_rows = IMAGES * (size_t)t->kv_rows;
    numbers x = {.q = random_block(q_rows * c, 0, 1, true),
                 .k = random_block(kv_rows * c, 3, 2, true),
                 .v = random_block(kv_rows * c, 0, 2, true),
                 .dst = values_new(q_rows * c, true),
                 .mask = mask_new(seen, IMAGES, t->kv_rows)};
    x.bias =
        random_block((size_t)t->heads * (size_t)t->q_rows * (size_t)t->kv_rows, 0, biases, false);
    x.a = (tg__attention){.dst = x.dst.data,
                          .q = x.q.data,
                          .k = x.k.data,
                          .v = x.v.data,
                          .dst_stride = c,
                          .q_stride = c,
                          .k_stride = c,
                          .v_stride = c,
                          .images = IMAGES,
                          .heads = t->heads,
                          .head_dim = t->head_dim,
                          .q_rows = t->q_rows,
                          .kv_rows = t->kv_rows,
                          .scale = (float)(scale / sqrt(t->head_dim)),
                          .causal = t->causal,
                          .bf16 = true,
                          .mask = seen != ALL_KEYS ? (const uint8_t *)x.mask.data : NULL,
                          .bias = biases != 0 ? (const float *)x.bias.data : NULL};
    return x;
}

static void numbers_check(numbers *x, const tg__attention_kernel *kernel, double rounding)
{
    char name[64];
    snprintf(name, sizeof name, "%dx%dx%d%s", x->a.q_rows, x->a.kv_rows, x->a.head_dim,
             x->a.causal ? " causal" : "");
    run_attention(&x->a, kernel);
    check_attention(&x->a, rounding, name);
    FINISH(&x->q, &x->k, &x->v, &x->dst, &x->mask, &x->bias);
}

/* Whole numbers up to 127, which every query and the keys of every channel reach. */
static void exact_at(const sizes *t, const tg__attention_kernel *kernel)
{
    enum { LARGEST = 127 };
    numbers x = numbers_new(t, 8. / (LARGEST * LARGEST), ALL_KEYS, 0);
    size_t c = x.a.q_stride, head_dim = (size_t)t->head_dim;
    for (size_t i = 0; i < IMAGES * (size_t)t->q_rows * c; i++) {
        double whole = round(LARGEST * random_value());
        set_value(x.q.data, i, i % head_dim ? whole : LARGEST, true);
    }
    for (size_t i = 0; i < IMAGES * (size_t)t->kv_rows * c; i++) {
        size_t row = i / c % (size_t)t->kv_rows;
        double whole = round(LARGEST * random_value());
        set_value(x.k.data, i, row == 0 ? -LARGEST : row == 1 ? LARGEST : whole, true);
    }
    numbers_check(&x, kernel, 0);
}

/* The most that rounding takes from or adds to a score, of a query to 127ths of its largest value
 * and of keys to 127ths of half the widest range. */
static double most_rounding(const numbers *x)
{
    const tg__attention *a = &x->a;
    size_t c = a->q_stride;
    double q = 0, widest = 0;
    for (size_t i = 0; i < IMAGES * (size_t)a->q_rows * c; i++)
        q = fmax(q, fabs(value(a->q, i, true)));
    for (size_t channel = 0; channel < IMAGES * c; channel++) {
        double low = INFINITY, high = -INFINITY;
        for (size_t row = 0; row < (size_t)a->kv_rows; row++) {
            size_t at = (channel / c * (size_t)a->kv_rows + row) * c + channel % c;
            low = fmin(low, value(a->k, at, true));
            high = fmax(high, value(a->k, at, true));
        }
        widest = fmax(widest, high - low);
    }
    double k = widest / 2, step = 1. / 254;
    return (double)a->scale * a->head_dim * q * k * (2 * step + step * step) * 1.001;
}

static void rounded_at(const sizes *t, const tg__attention_kernel *kernel, seen_keys seen,
                       double biases)
{
    numbers x = numbers_new(t, 0.3, seen, biases);
    double rounding = most_rounding(&x);
    spoil_masked(&x.k, &x.mask, true);
    spoil_masked(&x.v, &x.mask, true);
    numbers_check(&x, kernel, rounding);
}

static const tg__attention_kernel *kernel_of(tg__kernels *kernels)
{
    tg__kernels_init(kernels, TG_CPU_AUTO);
    if (!kernels->attention_int8.run)
        tg_skip("int8 scores are for AMD's CPUs with AVX512-BF16");
    return &kernels->attention_int8;
}

static void test_exact(void **state)
{
    (void)state;
    tg__kernels kernels;
    const tg__attention_kernel *kernel = kernel_of(&kernels);
    for (size_t i = 0; i < COUNT(all_sizes); i++)
        exact_at(&all_sizes[i], kernel);
}

static void test_rounded(void **state)
{
    (void)state;
    tg__kernels kernels;
    const tg__attention_kernel *kernel = kernel_of(&kernels);
    for (size_t i = 0; i < COUNT(all_sizes); i++)
        for (int seen = ALL_KEYS; seen < SEEN_KINDS; seen++)
            for (int biases = 0; biases < 3; biases++)
                rounded_at(&all_sizes[i], kernel, (seen_keys)seen, 3 * biases);
}

static void test_extremes(void **state)
{
    (void)state;
    tg__kernels kernels;
    const tg__attention_kernel *kernel = kernel_of(&kernels);
    extremes_pass(kernel, true, "int8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exact), cmocka_unit_test(test_rounded),
                                       cmocka_unit_test(test_extremes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
