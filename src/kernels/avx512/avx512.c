/* SPDX-License-Identifier: MIT */
/* All kernels for AVX-512 (F, BW, DQ, VL) but products of bf16. Four vectors of queries times six
 * keys are 24 sums, which leaves eight registers for the factors. */
#include "kernels/avx512/vector.h"
#include "kernels/kernels.h"

enum { QUERIES = 4, TILES = 12 };

#include "kernels/vector/attention_f32.h"
#include "kernels/vector/elementwise.h"
#include "kernels/vector/norm.h"
#include "kernels/vector/peak.h"
#include "kernels/vector/winograd_f32.h"

static double peak_f32(size_t rounds) { return multiply_rounds(rounds, vec_fma, 1); }

void tg__kernels_init_avx512(tg__kernels *kernels)
{
    kernels->attention_f32 = kernels->attention_bf16 = attention;
    kernels->peak_f32 = kernels->peak_bf16 = peak_f32;
    kernels->read = read_bytes;
    init_elementwise(kernels);
    init_norm(kernels);
    kernels->winograd_f32 = kernels->winograd_bf16 = winograd;
}
