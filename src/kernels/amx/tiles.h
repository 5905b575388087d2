/* SPDX-License-Identifier: MIT */
/* The operations of attention_tiles.h and int8_tiles.h in AMX's instructions. */
#ifndef TG_KERNELS_AMX_TILES_H
#define TG_KERNELS_AMX_TILES_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/vector.h"
#include "kernels/vector/math.h"

/* What ldtilecfg reads; palette 1. */
typedef struct tile_shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

static inline void tiles_begin(void)
{
    static const tile_shapes full = {.palette = 1,
                                     .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                                     .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    _tile_loadconfig(&full);
}

static inline void tiles_begin_rows(int rows)
{
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.row_bytes[i] = 64;
        shapes.rows[i] = i < 6 ? (uint8_t)rows : 16;
    }
    _tile_loadconfig(&shapes);
}

static inline void tiles_end(void) { _tile_release(); }

/* Macros, since a tile's number is part of an instruction. gcc 12 does not know that a load reads
 * memory, and would move stores behind it. */
#define tile_zero(t) _tile_zero(t)
#define tile_load(t, from, stride)         \
    do {                                   \
        __asm__ volatile("" ::: "memory"); \
        _tile_loadd(t, from, stride);      \
    } while (0)
#define tile_store(t, to, stride) _tile_stored(t, to, stride)
#define tile_multiply(sum, a, b) _tile_dpbf16ps(sum, a, b)
#define tile_multiply_bytes(sum, a, b) _tile_dpbusd(sum, a, b)

TG_SPECIALISED __m512i pairs_of(vec low, vec high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

TG_SPECIALISED vec pairs_add(vec sum, __m512i pairs)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)pairs, (__m512bh)_mm512_set1_epi16(0x3F80));
}

#endif
