/* SPDX-License-Identifier: MIT */
/* Attention with AMX's tiles. tests/unit/attention_tiles_plain.c runs the same algorithm with tiles
 * in plain C. */
#include "kernels/avx512/tiles_amx.h"

#include "kernels/avx512/attention_tiles.h"

/* Six independent sums hide a product's latency. */
static double peak_bf16(size_t rounds)
{
    enum { SUMS = 6, PRODUCTS = TILE * TILE * PAIRED };
    tiles_begin();
    for (size_t i = 0; i < rounds; i++) {
        tile_multiply(0, 6, 7);
        tile_multiply(1, 6, 7);
        tile_multiply(2, 6, 7);
        tile_multiply(3, 6, 7);
        tile_multiply(4, 6, 7);
        tile_multiply(5, 6, 7);
    }
    tiles_end();
    return (double)rounds * SUMS * PRODUCTS;
}

void tg__kernels_init_amx(tg__kernels *kernels)
{
    kernels->attention_bf16 = attention;
    kernels->peak_bf16 = peak_bf16;
}
