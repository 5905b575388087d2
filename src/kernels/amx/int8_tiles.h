/* SPDX-License-Identifier: MIT */
/* int8 products on tiles: a block of 32 outputs is two tiles of weights as they are packed, rows of
 * 64 bytes that are 128 apart; rows of the source are a tile as they lie, 64 bytes of each. Two of
 * these times two of those are four products for four loads, and all eight tiles.
 *
 * A product takes as many cycles as its sums have rows. So rows are divided into tiles of one
 * height, a pair for every 32 of them, and the last tiles begin as much earlier as they are too
 * long. Few rows, up to 16, are one tile: then the loads of weights take longer than the products.
 *
 * Included behind vector.h and the operations on tiles:
 *
 *   tiles_begin_rows(n)             this thread's tiles 0 to 5 get n rows of 64 bytes, 6 and 7 16
 *   tiles_end()                     gives the tiles back
 *   tile_zero(t)                    t, a, b, sum are literal numbers
 *   tile_load(t, pointer, stride)   its rows, stride bytes apart
 *   tile_store(t, pointer, stride)
 *   tile_multiply_bytes(sum, a, b)  adds a[i][4k + m] b[k][4j + m] to sum[i][j], for all k and for
 *                                   m from 0 to 3; bytes of a have no sign, those of b have one */
#ifndef TG_KERNELS_AMX_INT8_TILES_H
#define TG_KERNELS_AMX_INT8_TILES_H

#include "kernels/avx512/int8_finish.h"

enum {
    TILE_ROWS_MOST = 16,
    TILE_DEPTH = TG__INT8_PIXEL,              /* bytes of a row */
    WEIGHT_STRIDE = 4 * TG__INT8_BLOCK,       /* from one row of a tile of weights to the next */
    STEP_BYTES = TG__INT8_BLOCK * TILE_DEPTH, /* weights of a step: two tiles */
    SUMS_STRIDE = TG__INT8_BLOCK * sizeof(int32_t),
};

static size_t tile_height(size_t rows)
{
    enum { PAIR = 2 * TILE_ROWS_MOST };
    size_t tiles = rows <= TILE_ROWS_MOST ? 1 : (rows + PAIR - 1) / PAIR * 2;
    return (rows + tiles - 1) / tiles;
}

static void int8_begin(size_t rows) { tiles_begin_rows((int)tile_height(rows)); }
static void int8_end(void) { tiles_end(); }

/* Two tiles of rows: sums get the first one's rows, then the second one's. */
static void multiply_pair(int32_t *result, size_t height, const piece *s, const uint8_t *first,
                          const uint8_t *second)
{
    const char *weights = s->weights;
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (int tap = 0; tap < s->p->taps; tap++) {
        size_t at = s->p->tap[tap], end = at + s->p->depth;
        for (; at < end; at += TILE_DEPTH, weights += STEP_BYTES) {
            tile_load(4, first + at, s->p->step);
            tile_load(6, weights, WEIGHT_STRIDE);
            tile_multiply_bytes(0, 4, 6);
            tile_load(7, weights + WEIGHT_STRIDE / 2, WEIGHT_STRIDE);
            tile_multiply_bytes(1, 4, 7);
            tile_load(5, second + at, s->p->step);
            tile_multiply_bytes(2, 5, 6);
            tile_multiply_bytes(3, 5, 7);
        }
    }
    tile_store(0, result, SUMS_STRIDE);
    tile_store(1, result + LANES, SUMS_STRIDE);
    tile_store(2, result + height * TG__INT8_BLOCK, SUMS_STRIDE);
    tile_store(3, result + height * TG__INT8_BLOCK + LANES, SUMS_STRIDE);
}

static void multiply_one(int32_t *result, const piece *s, const uint8_t *first)
{
    const char *weights = s->weights;
    tile_zero(0);
    tile_zero(1);
    for (int tap = 0; tap < s->p->taps; tap++) {
        size_t at = s->p->tap[tap], end = at + s->p->depth;
        for (; at < end; at += TILE_DEPTH, weights += STEP_BYTES) {
            tile_load(4, first + at, s->p->step);
            tile_load(6, weights, WEIGHT_STRIDE);
            tile_multiply_bytes(0, 4, 6);
            tile_load(7, weights + WEIGHT_STRIDE / 2, WEIGHT_STRIDE);
            tile_multiply_bytes(1, 4, 7);
        }
    }
    tile_store(0, result, SUMS_STRIDE);
    tile_store(1, result + LANES, SUMS_STRIDE);
}

/* Row i, whose sums are in line `line` of result. */
static void finish_line(const piece *s, const by_output *o, const int32_t *result, size_t line,
                        size_t i)
{
    sums first, second;
    memcpy(&first, result + line * TG__INT8_BLOCK, sizeof first);
    memcpy(&second, result + line * TG__INT8_BLOCK + LANES, sizeof second);
    if (s->p->bf16)
        finish_row(s, o, first, second, i, true);
    else
        finish_row(s, o, first, second, i, false);
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static void int8_product(const tg__int8_product *p, const uint8_t *src, const float *scale,
                         const int32_t *zero, size_t scale_step, size_t row, size_t rows, int block)
{
    _Alignas(64) int32_t result[2 * TILE_ROWS_MOST * TG__INT8_BLOCK];
    size_t height = tile_height(rows);
    piece s = piece_of(p, src, scale, zero, scale_step, row, block);
    by_output o = by_output_of(&s);
    if (rows <= TILE_ROWS_MOST) {
        multiply_one(result, &s, src);
        for (size_t i = 0; i < rows; i++)
            finish_line(&s, &o, result, i, i);
        return;
    }
    for (size_t done = 0; done < rows; done += 2 * height) {
        size_t first = smaller(done, rows - height), second = smaller(done + height, rows - height);
        multiply_pair(result, height, &s, src + first * p->step, src + second * p->step);
        for (size_t i = done; i < smaller(done + 2 * height, rows); i++)
            finish_line(&s, &o, result, i < first + height ? i - first : i - second + height, i);
    }
}

#endif
