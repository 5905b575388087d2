/* SPDX-License-Identifier: MIT */
/* Attention whose weights and values are bf16 pairs (AVX512-BF16); the includer decides how scores
 * come about. Weights' sums are those of the rounded weights, in f32. Needs AVX512-VBMI too, which
 * every CPU has whose dot product is fast.
 *
 * Included behind enum { SCORE_UNIT } and typedef score_sum; the includer defines score_value,
 * unit_factor, unit_load, unit_score and unit_pack_keys. */
#ifndef TG_KERNELS_AVX512_DOT_ATTENTION_PAIRS_H
#define TG_KERNELS_AVX512_DOT_ATTENTION_PAIRS_H

#include "kernels/avx512/vector.h"
#include "kernels/kernels.h"

enum { UNIT = 2, QUERIES = 4 };

#include "kernels/vector/attention.h"

/* A vector of scores as floats. */
TG_SPECIALISED vec score_value(score_sum score);

TG_SPECIALISED vec unit_multiply(vec a, vec b, vec sum)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* The bits of a bf16 are those of a fixed-point number: its exponent, then 128ths. So 2^x is
 * (x + 127) * 128 as a whole number whose last seven bits, f, are exchanged for the mantissa of
 * 2^(f / 128): a table of 128 bytes, in two registers. x is then within 1/256, the weight within
 * 0.27 % before it is rounded to bf16 (another 0.2 to 0.4 %), and errors of both kinds cancel in
 * the sums of many keys. It takes half as many instructions as a polynomial, and few of them where
 * products are computed. */
enum { ONE = 128, BIAS = 127 };

static const uint8_t mantissas[ONE] = {
    /* round(128 * (2^(i / 128) - 1)) */
    0,   1,   1,   2,   3,   4,   4,   5,   6,   6,   7,   8,   9,   9,   10,  11,  12,  12,  13,
    14,  15,  15,  16,  17,  18,  19,  19,  20,  21,  22,  23,  23,  24,  25,  26,  27,  28,  28,
    29,  30,  31,  32,  33,  34,  34,  35,  36,  37,  38,  39,  40,  41,  42,  43,  43,  44,  45,
    46,  47,  48,  49,  50,  51,  52,  53,  54,  55,  56,  57,  58,  59,  60,  61,  62,  63,  64,
    65,  66,  67,  68,  69,  70,  72,  73,  74,  75,  76,  77,  78,  79,  80,  82,  83,  84,  85,
    86,  87,  88,  90,  91,  92,  93,  94,  96,  97,  98,  99,  100, 102, 103, 104, 105, 107, 108,
    109, 111, 112, 113, 115, 116, 117, 118, 120, 121, 123, 124, 125, 127,
};

/* Two vectors of exponents, in 128ths, to rows of pairs: lane i of the result has the bf16 of a[i]
 * below that of b[i]. What is below 2^-127 becomes 0. */
TG_SPECIALISED __m512i powers(vec a, vec b, __m512i low_half, __m512i high_half)
{
    const __m512i pairs =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    __m512i fixed = _mm512_packs_epi32(_mm512_cvtps_epi32(a), _mm512_cvtps_epi32(b));
    fixed = _mm512_adds_epi16(_mm512_shuffle_epi8(fixed, pairs), _mm512_set1_epi16(BIAS * ONE));
    fixed = _mm512_max_epi16(fixed, _mm512_setzero_si512());
    __m512i mantissa = _mm512_permutex2var_epi8(low_half, fixed, high_half);
    enum { SELECT = 0xCA }; /* where the mask has ones the second, else the third */
    return _mm512_ternarylogic_epi32(_mm512_set1_epi16(ONE - 1), mantissa, fixed, SELECT);
}

TG_SPECIALISED void unit_weigh(float *dst, const score_sum scores[KEYS], vec scale, vec base,
                               vec *top, vec *sum, vec visible, const float *bias, bool special)
{
    const vec ones = _mm512_castsi512_ps(_mm512_set1_epi16(0x3F80)), one = vec_set(ONE);
    const __m512i low = _mm512_loadu_si512(mantissas), high = _mm512_loadu_si512(mantissas + 64);
    vec factor = vec_mul(scale, one), zero = vec_mul(base, one);
    vec x[KEYS], most = vec_mul(*top, one);
    TG_UNROLL
    for (int i = 0; i < KEYS; i++) {
        /* rounded before the base is taken off: the largest exponent of all is 0 then exactly */
        x[i] = vec_mul(score_value(scores[i]), factor);
        if (special && bias)
            x[i] = vec_fma(vec_load(bias + i * ROWS), one, x[i]);
        if (special)
            x[i] = vec_less(vec_set((float)i), visible, x[i], vec_set(-INFINITY));
        most = vec_max(most, x[i]);
        x[i] = vec_sub(x[i], zero);
    }
    TG_UNROLL
    for (int i = 0; i < KEYS; i += 2) {
        __m512i pairs = powers(x[i], x[i + 1], low, high);
        _mm512_storeu_si512(dst + i / 2 * ROWS, pairs);
        *sum = unit_multiply(_mm512_castsi512_ps(pairs), ones, *sum);
    }
    *top = vec_mul(most, vec_set(1.f / ONE));
}

static void unit_pack_values(float *dst, const void *src, size_t stride, const key_list *list,
                             size_t n, bool bf16)
{
    (void)bf16;
    for (int row = 0; row < list->count; row += 2, dst += n) {
        const tg__bf16 *from = (const tg__bf16 *)src + (size_t)list->rows[row] * stride;
        const tg__bf16 *next = row + 1 < list->count
                                   ? (const tg__bf16 *)src + (size_t)list->rows[row + 1] * stride
                                   : NULL;
        for (size_t i = 0; i < n; i += LANES) {
            size_t left = n - i < LANES ? n - i : LANES;
            __m256i even = _mm256_maskz_loadu_epi16(vec_lanes(left), from + i);
            __m256i odd =
                next ? _mm256_maskz_loadu_epi16(vec_lanes(left), next + i) : _mm256_setzero_si256();
            __m512i pairs = _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                            _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16));
            vec_store_n(dst + i, _mm512_castsi512_ps(pairs), left);
        }
    }
}

#endif
