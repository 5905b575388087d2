/* SPDX-License-Identifier: MIT */
/* Attention with AMX's tiles. tests/unit/attention_tiles_plain.c runs the same algorithm with tiles
 * in plain C. */
#include "kernels/avx512/tiles_amx.h"

#include "kernels/avx512/attention_tiles.h"

void tg__kernels_init_amx(tg__kernels *kernels) { kernels->attention_bf16 = attention; }
