/* SPDX-License-Identifier: MIT */
/* The int8 kernel of AMX, its tiles in plain C: so its arithmetic and its division of rows are
 * tested wherever there is AVX-512. Where there is AMX, test_int8 runs the real one on the same
 * cases. */
#include "int8_checks.h"
#include "int8_tiles_plain.h"
#include "skip.h"
#include "tiles_plain.h"

/* 2 x 8 times 8 x 3, four rows of the second interleaved, in tiles of just that size; bytes beyond
 * 127 have no sign on the left and one on the right. */
static void test_tile_product(void **state)
{
    (void)state;
    enum { M = 2, K = 8, N = 3 };
    int32_t sums[M][N + 1] = {{1, -2, 3, 99}, {INT32_MAX, 5, INT32_MIN, 99}};
    int64_t expected[M][N];
    uint8_t a[M][K], b[K / 4][4 * N];
    for (int i = 0; i < M * K; i++)
        a[i / K][i % K] = (uint8_t)(255 - 31 * i);
    for (int i = 0; i < K * N; i++)
        b[i / N / 4][i % N * 4 + i / N % 4] = (uint8_t)(128 + 17 * i);
    for (int i = 0; i < M * N; i++) {
        expected[i / N][i % N] = sums[i / N][i % N];
        for (int k = 0; k < K; k++) {
            int right = (128 + 17 * (k * N + i % N)) % 256;
            expected[i / N][i % N] += a[i / N][k] * (right > 127 ? right - 256 : right);
        }
    }
    plain_configure(0, M, sizeof(int32_t) * N);
    plain_configure(5, M, sizeof *a);
    plain_configure(7, K / 4, sizeof *b);
    plain_load(0, sums, sizeof *sums);
    plain_load(5, a, sizeof *a);
    plain_load(7, b, sizeof *b);
    plain_multiply_bytes(0, 5, 7);
    plain_store(0, sums, sizeof *sums);
    for (int i = 0; i < M * N; i++)
        assert_int_equal((uint32_t)sums[i / N][i % N], (uint32_t)expected[i / N][i % N]);
    for (int m = 0; m < M; m++)
        assert_int_equal(sums[m][N], 99);
    plain_release();
}

/* Skips without AVX-512, which the kernel's other half is written in. */
static void take_plain_tiles(tg__kernels *kernels)
{
    tg_skip_without_avx512();
    tg__kernels_init(kernels, TG_CPU_AUTO);
    int8_tiles_plain(kernels);
}

static void test_products(void **state)
{
    (void)state;
    tg__kernels kernels;
    take_plain_tiles(&kernels);
    int8_passes(&kernels, "amx in plain C");
}

static void test_largest_sums(void **state)
{
    (void)state;
    tg__kernels kernels;
    take_plain_tiles(&kernels);
    largest_sums_pass(&kernels, "amx in plain C");
}

/* Each number of rows up to several pairs of tiles, of every height. */
static void test_heights(void **state)
{
    (void)state;
    tg__kernels kernels;
    take_plain_tiles(&kernels);
    for (size_t rows = 1; rows <= 140; rows++) {
        int8_case t = {.rows = rows,
                       .out = 40,
                       .taps = 4,
                       .depth = 64,
                       .scale_step = rows % 2,
                       .dst_step = 1,
                       .stride = 1 + rows / 2 % 2,
                       .residual = IN_PLACE,
                       .filling = EDGES};
        int8_at(&t, &kernels, "amx in plain C");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tile_product),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_largest_sums),
        cmocka_unit_test(test_heights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
