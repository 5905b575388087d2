/* SPDX-License-Identifier: MIT */
/* The kernels of int8 at every level this CPU has: ranges and bytes against their definition,
 * products against exact arithmetic. */
#include "int8_checks.h"
#include "skip.h"

typedef struct variant {
    const char *name;
    tg__kernels kernels;
} variant;

/* Plain C, and each level that overrides it. */
static size_t variants(variant list[8])
{
    size_t n = 0;
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++) {
        tg__kernels_init(&list[n].kernels, (tg_cpu)level);
        list[n].name = tg_cpu_name((tg_cpu)level);
        if (n == 0 || list[n].kernels.int8_product != list[n - 1].kernels.int8_product)
            n++;
    }
    return n;
}

static void test_levels(void **state)
{
    (void)state;
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++) {
        tg__kernels kernels;
        tg__kernels_init(&kernels, (tg_cpu)level);
        bool expected = level >= TG_CPU_AVX512 && __builtin_cpu_supports("avx512vnni");
        assert_int_equal(kernels.int8_fast, expected);
    }
    if (tg__cpu_level() >= TG_CPU_AVX512 && !tg_has_vnni())
        tg_skip_part("vectors, in all tests: this CPU has no AVX512-VNNI");
}

/* -------------------------------------------------------------------------------------- range */

/* All values beyond one side of 0: lanes that are missing must not count as 0. Before is far away,
 * or in between. */
static void range_at(const variant *v, size_t n, bool bf16)
{
    static const float before[][2] = {{0, 0}, {1e9f, -1e9f}, {-7, 7}};
    for (int side = -1; side <= 1; side++) {
        block src = random_block(n, 50 * side, side ? 20 : 90, bf16);
        for (size_t b = 0; b < COUNT(before); b++) {
            float low = before[b][0], high = before[b][1];
            double least = (double)low, most = (double)high;
            for (size_t i = 0; i < n; i++) {
                least = fmin(least, value(src.data, i, bf16));
                most = fmax(most, value(src.data, i, bf16));
            }
            v->kernels.range(&low, &high, src.data, n, bf16);
            check_close((double)low, least, 0, v->name, n);
            check_close((double)high, most, 0, v->name, n);
        }
        FINISH(&src);
    }
}

/* One value that is not finite, wherever it is. */
static void broken_range_at(const variant *v, size_t n, bool bf16)
{
    static const double broken[] = {NAN, INFINITY, -INFINITY};
    block src = random_block(n, 0, 1, bf16);
    for (size_t i = 0; i < n; i++) {
        for (size_t b = 0; b < COUNT(broken); b++) {
            float low = 0, high = 0;
            double was = value(src.data, i, bf16);
            set_value(src.data, i, broken[b], bf16);
            v->kernels.range(&low, &high, src.data, n, bf16);
            if (isfinite(low) && isfinite(high))
                fail_msg("%s: %g at %zu of %zu is lost", v->name, broken[b], i, n);
            set_value(src.data, i, was, bf16);
        }
    }
    FINISH(&src);
}

static void test_range(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++) {
        for (int bf16 = 0; bf16 < 2; bf16++) {
            for (size_t n = 0; n < 5000; n += n < 70 ? 1 : 977) {
                range_at(&list[v], n, bf16);
                if (n < 70)
                    broken_range_at(&list[v], n, bf16);
            }
        }
    }
}

/* ----------------------------------------------------------------------------------- quantize */

/* Ties to even, what is beyond a byte, what is no number. */
static void test_known_bytes(void **state)
{
    (void)state;
    static const struct {
        float x, factor, zero;
        uint8_t byte;
    } known[] = {
        {0, 1, 0, 0},           {0.5f, 1, 0, 0},       {1.5f, 1, 0, 2},
        {2.5f, 1, 0, 2},        {253.5f, 1, 0, 254},   {254.5f, 1, 0, 254},
        {255.49f, 1, 0, 255},   {255.5f, 1, 0, 255},   {256, 1, 0, 255},
        {-0.5f, 1, 0, 0},       {-0.51f, 1, 0, 0},     {-1, 1, 0, 0},
        {-1, 2, 3, 1},          {-1.25f, 2, 3, 0},     {-1.75f, 2, 5, 2},
        {3, 0.5f, 128, 130},    {5, 0.5f, 128, 130},   {7, 0.5f, 128, 132},
        {1e30f, 1, 0, 255},     {-1e30f, 1, 0, 0},     {3e38f, 10, 0, 255},
        {-3e38f, 10, 255, 0},   {INFINITY, 1, 7, 255}, {-INFINITY, 1, 7, 0},
        {NAN, 1, 7, 0},         {1, NAN, 7, 0},        {INFINITY, 0, 7, 0},
        {0, INFINITY, 7, 0},    {1e-40f, 1, 9, 9},     {-0.0f, 1, 0, 0},
        {1, 0, 0, 0},           {5e-39f, 1e38f, 0, 0}, {0.49999997f, 1, 0, 0},
        {0.50000006f, 1, 0, 1},
    };
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++) {
        for (size_t i = 0; i < COUNT(known); i++) {
            uint8_t byte = CANARY;
            list[v].kernels.quantize(&byte, &known[i].x, 1, known[i].factor, known[i].zero, false);
            if (byte != known[i].byte)
                fail_msg("%s: %g * %g + %g is %d, expected %d", list[v].name, (double)known[i].x,
                         (double)known[i].factor, (double)known[i].zero, byte, known[i].byte);
        }
    }
}

/* The definition, rounded once to f32 before it is rounded to a whole number. */
static int byte_of(double x, float factor, float zero)
{
    float y = nearbyintf(fmaf((float)x, factor, zero));
    return y >= 255 ? 255 : y > 0 ? (int)y : 0;
}

static void quantize_at(const variant *v, size_t n, bool bf16)
{
    const float factor = 12.75f, zero = 101;
    block src = random_block(n, 2, 14, bf16), dst = block_new(n, 1);
    if (n > 3)
        set_value(src.data, n / 2, NAN, bf16);
    v->kernels.quantize((uint8_t *)dst.data, src.data, n, factor, zero, bf16);
    for (size_t i = 0; i < n; i++)
        assert_int_equal((uint8_t)dst.data[i], byte_of(value(src.data, i, bf16), factor, zero));
    FINISH(&src, &dst);
}

static void test_quantize(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++)
        for (int bf16 = 0; bf16 < 2; bf16++)
            for (size_t n = 0; n < 5000; n += n < 70 ? 1 : 977)
                quantize_at(&list[v], n, bf16);
}

/* ----------------------------------------------------------------------------------- products */

static void test_products(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++)
        int8_passes(&list[v].kernels, list[v].name);
}

static void test_largest_sums(void **state)
{
    (void)state;
    variant list[8];
    size_t count = variants(list);
    for (size_t v = 0; v < count; v++)
        largest_sums_pass(&list[v].kernels, list[v].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),      cmocka_unit_test(test_range),
        cmocka_unit_test(test_known_bytes), cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_products),    cmocka_unit_test(test_largest_sums),
    };
    return cmocka_run_group_tests(tests, tg_skip_levels, NULL);
}
