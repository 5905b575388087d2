/* SPDX-License-Identifier: MIT */
/* AMX's tiles in plain C: what the instructions are documented to do, rounding included. */
#ifndef TG_TEST_TILES_PLAIN_H
#define TG_TEST_TILES_PLAIN_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/dtype.h"

enum { TILE_COUNT = 8, TILE_ROWS = 16, TILE_ROW_BYTES = 64 };

/* All rows 0: not configured; an instruction would then be an illegal one, and here it aborts. */
typedef struct plain_tile {
    int rows, row_bytes;
    unsigned char data[TILE_ROWS][TILE_ROW_BYTES];
} plain_tile;

static plain_tile plain_tiles[TILE_COUNT];

static inline plain_tile *plain_tile_at(int i)
{
    if (!plain_tiles[i].rows)
        abort();
    return &plain_tiles[i];
}

/* Palette 1. */
static inline void plain_configure(int i, int rows, int row_bytes)
{
    plain_tiles[i] = (plain_tile){.rows = rows, .row_bytes = row_bytes};
}

static inline void plain_release(void) { memset(plain_tiles, 0, sizeof plain_tiles); }

static inline void plain_zero(int i)
{
    memset(plain_tile_at(i)->data, 0, sizeof plain_tiles[i].data);
}

static inline void plain_load(int i, const void *from, size_t stride)
{
    plain_zero(i);
    for (int row = 0; row < plain_tiles[i].rows; row++)
        memcpy(plain_tiles[i].data[row], (const char *)from + (size_t)row * stride,
               (size_t)plain_tiles[i].row_bytes);
}

static inline void plain_store(int i, void *to, size_t stride)
{
    const plain_tile *t = plain_tile_at(i);
    for (int row = 0; row < t->rows; row++)
        memcpy((char *)to + (size_t)row * stride, t->data[row], (size_t)t->row_bytes);
}

/* Denormals become 0, before and behind every operation. */
static inline float flushed(float x) { return fabsf(x) < FLT_MIN ? copysignf(0, x) : x; }

/* A row of factors. */
static inline void plain_factors(float factors[TILE_ROW_BYTES / 2], const unsigned char *row)
{
    tg__bf16 halves[TILE_ROW_BYTES / 2];
    memcpy(halves, row, sizeof halves);
    for (int i = 0; i < TILE_ROW_BYTES / 2; i++)
        factors[i] = flushed(tg__from_bf16(halves[i]));
}

/* tdpbf16ps: the even factors' products and the odd ones' are summed apart, each from 0 on and
 * rounded once an addition; then the two sums, then the tile's value. */
static inline void plain_multiply(int sum, int a, int b)
{
    enum { PARTS = TILE_ROW_BYTES / 2 };
    plain_tile *t = plain_tile_at(sum);
    const plain_tile *left = plain_tile_at(a), *right = plain_tile_at(b);
    if (left->rows != t->rows || right->row_bytes != t->row_bytes ||
        left->row_bytes != 4 * right->rows)
        abort();
    float factors[TILE_ROWS][PARTS];
    for (int k = 0; k < right->rows; k++)
        plain_factors(factors[k], right->data[k]);
    for (int m = 0; m < t->rows; m++) {
        float parts[PARTS] = {0}, row[PARTS], values[PARTS / 2];
        plain_factors(row, left->data[m]);
        for (int k = 0; k < right->rows; k++)
            for (int n = 0; n < PARTS; n++)
                parts[n] = flushed(fmaf(row[2 * k + n % 2], factors[k][n], parts[n]));
        memcpy(values, t->data[m], sizeof values);
        for (int n = 0; n < PARTS / 2; n++)
            values[n] = flushed(flushed(values[n]) + flushed(parts[2 * n] + parts[2 * n + 1]));
        memcpy(t->data[m], values, (size_t)t->row_bytes);
    }
}

/* tdpbusd: bytes without a sign by bytes with one, four at a time; sums wrap. */
static inline void plain_multiply_bytes(int sum, int a, int b)
{
    plain_tile *t = plain_tile_at(sum);
    const plain_tile *left = plain_tile_at(a), *right = plain_tile_at(b);
    if (left->rows != t->rows || right->row_bytes != t->row_bytes ||
        left->row_bytes != 4 * right->rows)
        abort();
    for (int m = 0; m < t->rows; m++) {
        uint32_t values[TILE_ROW_BYTES / 4];
        memcpy(values, t->data[m], sizeof values);
        for (int k = 0; k < left->row_bytes; k++)
            for (int n = 0; n < t->row_bytes / 4; n++)
                values[n] +=
                    (uint32_t)(left->data[m][k] * (int8_t)right->data[k / 4][4 * n + k % 4]);
        memcpy(t->data[m], values, (size_t)t->row_bytes);
    }
}

#endif
