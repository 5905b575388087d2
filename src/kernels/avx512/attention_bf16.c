/* SPDX-License-Identifier: MIT */
/* Attention with bf16 dot products (AVX512-BF16): a unit is two bf16, weights too become bf16.
 * Their sums are taken before, in f32. */
#include "kernels/avx512/vector.h"
#include "kernels/kernels.h"

enum { UNIT = 2, QUERIES = 4 };

#include "kernels/vector/attention.h"
#include "kernels/vector/peak.h"

static vec unit_load(const void *src, size_t i, size_t left, bool bf16, float scale)
{
    (void)bf16, (void)scale;
    size_t n = left < 2 * LANES ? left : 2 * LANES;
    return _mm512_castsi512_ps(
        _mm512_maskz_loadu_epi16((__mmask32)((1ull << n) - 1), (const tg__bf16 *)src + i));
}

TG_SPECIALISED vec unit_multiply(vec a, vec b, vec sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* Here and not in the queries: it is not to be rounded to bf16. */
TG_SPECIALISED vec unit_exponent(vec score, vec scale) { return vec_mul(score, scale); }

TG_SPECIALISED vec unit_exp2(vec x) { return vec_exp2_rough(x); }

/* Two rows of values that become pairs: lane i of the result is a[i] below b[i]. */
TG_SPECIALISED __m512i interleave(vec a, vec b)
{
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

/* The sum is that of the rounded weights. */
TG_SPECIALISED vec unit_store(float *dst, const vec weights[KEYS], vec sum)
{
    const vec ones = _mm512_castsi512_ps(_mm512_set1_epi16(0x3F80));
    TG_UNROLL
    for (int i = 0; i < KEYS; i += 2) {
        __m512i pairs = interleave(weights[i], weights[i + 1]);
        _mm512_storeu_si512(dst + i / 2 * ROWS, pairs);
        sum = unit_multiply(_mm512_castsi512_ps(pairs), ones, sum);
    }
    return sum;
}

static void unit_pack_keys(float *dst, const void *src, size_t stride, size_t rows, size_t n,
                           bool bf16)
{
    (void)bf16;
    const tg__bf16 *from = src;
    size_t row_units = units(n);
    for (size_t row = 0; row < rows; row++, from += stride, dst += row_units) {
        dst[row_units - 1] = 0;
        memcpy(dst, from, n * sizeof *from);
    }
}

static void unit_pack_values(float *dst, const void *src, size_t stride, size_t rows, size_t n,
                             bool bf16)
{
    (void)bf16;
    const tg__bf16 *from = src;
    for (size_t row = 0; row < rows; row += 2, from += 2 * stride, dst += n) {
        for (size_t i = 0; i < n; i += LANES) {
            size_t left = n - i < LANES ? n - i : LANES;
            __m256i even = _mm256_maskz_loadu_epi16(vec_lanes(left), from + i);
            __m256i odd = row + 1 < rows
                              ? _mm256_maskz_loadu_epi16(vec_lanes(left), from + stride + i)
                              : _mm256_setzero_si256();
            __m512i pairs = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                            _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
            vec_store_n(dst + i, _mm512_castsi512_ps(pairs), left);
        }
    }
}

static vec multiply_pairs(vec a, vec b, vec c) { return unit_multiply(a, b, c); }

static double peak_bf16(size_t rounds) { return multiply_rounds(rounds, multiply_pairs, UNIT); }

void tg__kernels_init_avx512_bf16(tg__kernels *kernels)
{
    kernels->attention_bf16 = attention;
    kernels->peak_bf16 = peak_bf16;
}
