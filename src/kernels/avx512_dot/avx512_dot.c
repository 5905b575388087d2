/* SPDX-License-Identifier: MIT */
/* Attention with bf16 dot products, where these are fast (kernels.c says where). */
#include "kernels/avx512/vector.h"

enum { SCORE_UNIT = 2 };
typedef vec score_sum;

#include "kernels/avx512_dot/attention_pairs.h"
#include "kernels/avx512_dot/parts.h"
#include "kernels/vector/peak.h"

TG_SPECIALISED vec score_value(score_sum score) { return score; }

static float unit_factor(const void *src, size_t i, size_t n, bool bf16, float *scale)
{
    (void)src, (void)i, (void)n, (void)bf16, (void)scale;
    return 1;
}

static vec unit_load(const void *src, size_t i, size_t left, bool bf16, float factor)
{
    (void)bf16, (void)factor;
    size_t n = left < 2 * LANES ? left : 2 * LANES;
    return _mm512_castsi512_ps(
        _mm512_maskz_loadu_epi16((__mmask32)((1ull << n) - 1), (const tg__bf16 *)src + i));
}

TG_SPECIALISED vec unit_score(vec a, vec b, vec sum) { return unit_multiply(a, b, sum); }

static float unit_pack_keys(float *dst, const void *src, size_t stride, const key_list *list,
                            size_t n, bool bf16)
{
    (void)bf16;
    const tg__bf16 *from = src;
    size_t row_units = units(n);
    for (int row = 0; row < list->count; row++, dst += row_units) {
        dst[row_units - 1] = 0;
        memcpy(dst, from + (size_t)list->rows[row] * stride, n * sizeof *from);
    }
    return 1;
}

static vec multiply_pairs(vec a, vec b, vec c) { return unit_multiply(a, b, c); }

static double peak_bf16(size_t rounds) { return multiply_rounds(rounds, multiply_pairs, UNIT); }

void tg__kernels_init_avx512_dot(tg__kernels *kernels)
{
    tg__avx512_dot_attention_int8(kernels);
    kernels->bf16_fast = true;
    kernels->attention_bf16 = attention;
    kernels->peak_bf16 = peak_bf16;
}
