/* SPDX-License-Identifier: MIT */
/* int8 products with AMX's tiles. tests/unit/int8_tiles_plain.c runs the same algorithm with tiles
 * in plain C. */
#include "kernels/amx/tiles.h"

#include "kernels/amx/int8_tiles.h"
#include "kernels/amx/parts.h"

void tg__amx_int8(tg__kernels *kernels)
{
    kernels->int8_fast = true;
    kernels->int8_begin = int8_begin;
    kernels->int8_product = int8_product;
    kernels->int8_end = int8_end;
}
