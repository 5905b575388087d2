/* SPDX-License-Identifier: MIT */
#include "int8_tiles_plain.h"

#include "tiles_plain.h"

static void tiles_begin_rows(int rows)
{
    for (int i = 0; i < TILE_COUNT; i++)
        plain_configure(i, i < 6 ? rows : TILE_ROWS, TILE_ROW_BYTES);
}

static void tiles_end(void) { plain_release(); }

#define tile_zero plain_zero
#define tile_load plain_load
#define tile_store plain_store
#define tile_multiply_bytes plain_multiply_bytes

#include "kernels/amx/int8_tiles.h"

void int8_tiles_plain(tg__kernels *kernels)
{
    kernels->int8_begin = int8_begin;
    kernels->int8_product = int8_product;
    kernels->int8_end = int8_end;
}
