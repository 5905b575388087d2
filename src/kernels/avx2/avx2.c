/* SPDX-License-Identifier: MIT */
/* All kernels for AVX2 with FMA and F16C. Two vectors of queries times six keys are the twelve sums
 * that sixteen registers hold beside the factors. */
#include "kernels/avx2/vector.h"
#include "kernels/kernels.h"

enum { QUERIES = 2, TILES = 6 };

#include "kernels/vector/attention_f32.h"
#include "kernels/vector/elementwise.h"
#include "kernels/vector/norm.h"
#include "kernels/vector/peak.h"
#include "kernels/vector/winograd_f32.h"

static double peak_f32(size_t rounds) { return multiply_rounds(rounds, vec_fma, 1); }

void tg__kernels_init_avx2(tg__kernels *kernels)
{
    kernels->attention_f32 = kernels->attention_bf16 = attention;
    kernels->peak_f32 = kernels->peak_bf16 = peak_f32;
    kernels->read = read_bytes;
    init_elementwise(kernels);
    init_norm(kernels);
    kernels->winograd_f32 = kernels->winograd_bf16 = winograd;
}
