/* SPDX-License-Identifier: MIT */
/* Attention with AMX's tiles. tests/unit/attention_tiles_plain.c runs the same algorithm with tiles
 * in plain C. */
#include "kernels/amx/tiles.h"

#include "kernels/amx/attention_tiles.h"
#include "kernels/amx/parts.h"

void tg__amx_attention(tg__kernels *kernels) { kernels->attention_bf16 = attention; }
