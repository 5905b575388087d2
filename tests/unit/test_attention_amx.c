/* SPDX-License-Identifier: MIT */
/* The attention kernel of AMX, its tiles in plain C: so its arithmetic, packing and pipeline are
 * tested wherever there is AVX-512. Where there is AMX, test_kernels runs the real one on the same
 * cases. */
#include "attention_checks.h"
#include "attention_tiles_plain.h"
#include "skip.h"
#include "tiles_plain.h"

/* 2 x 4 times 4 x 3, the second with pairs of its rows interleaved, in tiles of just that size.
 * What lies behind a tile's rows and columns stays as it is. */
static void test_tile_product(void **state)
{
    (void)state;
    enum { M = 2, K = 4, N = 3 };
    float sums[M][N + 1] = {{1, 2, 3, 99}, {4, 5, 6, 99}};
    tg__bf16 a[M][K], b[K / 2][2 * N];
    for (int k = 0; k < K; k++) {
        for (int m = 0; m < M; m++)
            a[m][k] = tg__to_bf16((float)(1 + 5 * m - k));
        for (int n = 0; n < N; n++)
            b[k / 2][2 * n + k % 2] = tg__to_bf16((float)(k * k - 3 * n));
    }
    plain_configure(0, M, sizeof(float) * N);
    plain_configure(5, M, sizeof *a);
    plain_configure(7, K / 2, sizeof *b);
    plain_load(0, sums, sizeof *sums);
    plain_load(5, a, sizeof *a);
    plain_load(7, b, sizeof *b);
    plain_multiply(0, 5, 7);
    plain_store(0, sums, sizeof *sums);
    for (int m = 0; m < M; m++) {
        for (int n = 0; n < N; n++) {
            int expected = 1 + 3 * m + n;
            for (int k = 0; k < K; k++)
                expected += (1 + 5 * m - k) * (k * k - 3 * n);
            assert_true(sums[m][n] == (float)expected);
        }
        assert_true(sums[m][N] == 99);
    }
    plain_release();
}

/* One product of a pair, added to sum. */
static float pair_product(float sum, float a0, float b0, float a1, float b1)
{
    tg__bf16 a[] = {tg__to_bf16(a0), tg__to_bf16(a1)}, b[] = {tg__to_bf16(b0), tg__to_bf16(b1)};
    plain_configure(0, 1, 4);
    plain_configure(1, 1, 4);
    plain_configure(2, 1, 4);
    plain_load(0, &sum, 4);
    plain_load(1, a, 4);
    plain_load(2, b, 4);
    plain_multiply(0, 1, 2);
    plain_store(0, &sum, 4);
    plain_release();
    return sum;
}

/* A pair is added up before the sum, and denormals are 0: as factors, products and sums. */
static void test_tile_rounding(void **state)
{
    (void)state;
    assert_true(pair_product(-0x1p24f, 0x1p12f, 0x1p12f, 1, 1) == 0);
    assert_true(pair_product(-0x1p24f, 0x1p12f, 0x1p12f, 2, 1) == 2);
    assert_true(pair_product(0, 0x1p-127f, 0x1p100f, 1, 1) == 1);
    assert_true(pair_product(0, 0x1p-80f, 0x1p-50f, 0, 0) == 0);
    assert_true(pair_product(0x1p-127f, 0x1p-127f, 1, 0x1p-126f, 1) == 0x1p-126f);
}

static void test_attention(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    attention_passes(attention_tiles_plain, true, "amx in plain C");
}

static void test_seen_keys(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    seen_keys_pass(attention_tiles_plain, true, "amx in plain C");
}

static void test_extremes(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    extremes_pass(attention_tiles_plain, true, "amx in plain C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tile_product), cmocka_unit_test(test_tile_rounding),
        cmocka_unit_test(test_attention),    cmocka_unit_test(test_seen_keys),
        cmocka_unit_test(test_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
