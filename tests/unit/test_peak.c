/* SPDX-License-Identifier: MIT */
/* The machine's peaks: numbers where there is an instruction, 0 where there is none. What the
 * figures are is the machine's affair; a hundredth of what any CPU does is expected at least. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <math.h>

#include "core/parallel.h"
#include "kernels/peak.h"
#include "skip.h"

static const double seconds = 0.01;

static void assert_speed(double speed)
{
    assert_true(isfinite(speed));
    assert_true(speed > 0.001);
}

static void test_multiplications(void **state)
{
    (void)state;
    int before = tg__threads_enter(2);
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++) {
        tg__kernels kernels;
        tg__kernels_init(&kernels, (tg_cpu)level);
        assert_speed(tg__peak_gmac(kernels.peak_f32, seconds));
        assert_speed(tg__peak_gmac(kernels.peak_bf16, seconds));
        assert_speed(tg__peak_gmac_all(kernels.peak_f32, seconds));
        if (level < TG_CPU_AVX512)
            assert_null(kernels.peak_int8);
        if (level == TG_CPU_AMX)
            assert_non_null(kernels.peak_int8);
        if (kernels.peak_int8)
            assert_speed(tg__peak_gmac_all(kernels.peak_int8, seconds));
    }
    assert_true(tg__peak_gmac(NULL, seconds) == 0);
    assert_true(tg__peak_gmac_all(NULL, seconds) == 0);
    tg__threads_leave(before);
}

/* A loop says how many multiplications it made: as many again for as many rounds again. */
static void test_counts(void **state)
{
    (void)state;
    tg__kernels kernels;
    tg__kernels_init(&kernels, TG_CPU_AUTO);
    double (*const loops[])(size_t) = {kernels.peak_f32, kernels.peak_bf16, kernels.peak_int8};
    for (int i = 0; i < 3; i++) {
        if (!loops[i]) {
            tg_skip_part("int8's loop: this CPU has no AVX512-VNNI");
            continue;
        }
        double one = loops[i](1);
        assert_true(one >= 32 && loops[i](7) == 7 * one);
    }
}

static void test_reads(void **state)
{
    (void)state;
    int before = tg__threads_enter(2);
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++) {
        tg__kernels kernels;
        tg__kernels_init(&kernels, (tg_cpu)level);
        assert_speed(tg__peak_gb(&kernels, 16 << 10, seconds));
        assert_speed(tg__peak_gb(&kernels, 1, seconds)); /* rounded up to one piece */
        assert_true(tg__peak_gb(&kernels, SIZE_MAX / 4, seconds) == 0);
    }
    tg__threads_leave(before);
}

static void test_sizes(void **state)
{
    (void)state;
    for (int level = 1; level <= 3; level++)
        assert_in_range(tg__cache_bytes(level), 1 << 10, (size_t)4 << 30);
    assert_true(tg__cache_bytes(1) <= tg__cache_bytes(2));
    assert_in_range(tg__beyond_caches(1), 128 << 20, 1 << 30);
    assert_int_equal(tg__beyond_caches(4), tg__beyond_caches(1) / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multiplications),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, tg_skip_levels, NULL);
}
