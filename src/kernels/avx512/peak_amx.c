/* SPDX-License-Identifier: MIT */
/* Products of tiles (AMX) from tile registers alone: four sums of 16 x 16, two tiles of each
 * factor. */
#include <immintrin.h>

#include "kernels/kernels.h"

enum { ROWS = 16, ROW_BYTES = 64, ROW_BF16 = 32, TILES = 8, SUMS = 4 };

/* What ldtilecfg reads. */
typedef struct tile_config {
    uint8_t palette, start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

/* Products are of ones' bit patterns: neither zero, which might be cheaper, nor denormal. */
static void begin(void)
{
    tile_config config = {.palette = 1};
    uint8_t factor[ROWS * ROW_BYTES];
    for (int i = 0; i < TILES; i++) {
        config.row_bytes[i] = ROW_BYTES;
        config.rows[i] = ROWS;
    }
    for (size_t i = 0; i < sizeof factor; i++)
        factor[i] = 0x3F;
    _tile_loadconfig(&config);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, factor, ROW_BYTES);
    _tile_loadd(5, factor, ROW_BYTES);
    _tile_loadd(6, factor, ROW_BYTES);
    _tile_loadd(7, factor, ROW_BYTES);
}

static double peak_bf16(size_t rounds)
{
    begin();
    for (size_t round = 0; round < rounds; round++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return (double)rounds * SUMS * ROWS * ROWS * ROW_BF16;
}

static double peak_int8(size_t rounds)
{
    begin();
    for (size_t round = 0; round < rounds; round++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_release();
    return (double)rounds * SUMS * ROWS * ROWS * ROW_BYTES;
}

void tg__kernels_init_amx_peaks(tg__kernels *kernels)
{
    kernels->peak_bf16 = peak_bf16;
    kernels->peak_int8 = peak_int8;
}
