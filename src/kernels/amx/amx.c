/* SPDX-License-Identifier: MIT */
/* Products of tiles (AMX): attention in bf16 and int8 products, and here the peaks of both kinds,
 * from tile registers alone: four sums of 16 x 16, two tiles of each factor. */
#include <string.h>

#include "kernels/amx/parts.h"
#include "kernels/amx/tiles.h"

enum { ROWS = 16, ROW_BYTES = 64, ROW_BF16 = 32, SUMS = 4 };

/* Factors are neither zero, which might be cheaper, nor denormal, in either format. */
static void begin(void)
{
    uint8_t factor[ROWS * ROW_BYTES];
    memset(factor, 0x3F, sizeof factor);
    tiles_begin();
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    tile_load(4, factor, ROW_BYTES);
    tile_load(5, factor, ROW_BYTES);
    tile_load(6, factor, ROW_BYTES);
    tile_load(7, factor, ROW_BYTES);
}

/* A tile's number is part of an instruction, so a function cannot be handed over. */
#define PEAK(name, multiply, depth)                           \
    static double name(size_t rounds)                         \
    {                                                         \
        begin();                                              \
        for (size_t round = 0; round < rounds; round++) {     \
            multiply(0, 4, 6);                                \
            multiply(1, 4, 7);                                \
            multiply(2, 5, 6);                                \
            multiply(3, 5, 7);                                \
        }                                                     \
        tiles_end();                                          \
        return (double)rounds * SUMS * ROWS * ROWS * (depth); \
    }
PEAK(peak_bf16, tile_multiply, ROW_BF16)
PEAK(peak_int8, tile_multiply_bytes, ROW_BYTES)

void tg__kernels_init_amx(tg__kernels *kernels)
{
    tg__amx_attention(kernels);
    tg__amx_int8(kernels);
    kernels->bf16_fast = true;
    kernels->peak_bf16 = peak_bf16;
    kernels->peak_int8 = peak_int8;
}
