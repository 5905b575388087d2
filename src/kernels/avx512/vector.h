/* SPDX-License-Identifier: MIT */
/* The vector that src/kernels/vector/ is written in, here 16 floats wide. AVX-512 F, BW, DQ, VL. */
#ifndef TG_KERNELS_AVX512_VECTOR_H
#define TG_KERNELS_AVX512_VECTOR_H

#include <immintrin.h>
#include <stddef.h>

#include "core/dtype.h"

typedef __m512 vec;
enum { LANES = 16 };

static inline vec vec_zero(void) { return _mm512_setzero_ps(); }
static inline vec vec_set(float x) { return _mm512_set1_ps(x); }
static inline vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
static inline vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
/* b where either is not a number */
static inline vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
static inline vec vec_abs(vec a) { return _mm512_abs_ps(a); }
/* a * b + c, and c - a * b, rounded once */
static inline vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec vec_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
static inline float vec_sum(vec a) { return _mm512_reduce_add_ps(a); }

/* a < b ? x : y, lane by lane */
static inline vec vec_less(vec a, vec b, vec x, vec y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}

/* x = whole + fraction, fraction in [0, 1); of an infinity the fraction is 0. */
static inline vec vec_fraction(vec x)
{
    return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}

/* y * 2^floor(x) with overflow to infinity and gradual underflow; y in [1, 2] */
static inline vec vec_scale2(vec y, vec x) { return _mm512_scalef_ps(y, x); }

/* ---------------------------------------------------------------------- memory, any alignment.
 * The _n forms touch n elements alone, 0 to LANES; missing lanes are loaded as 0. */

static inline __mmask16 vec_lanes(size_t n) { return (__mmask16)((1u << n) - 1); }

/* x with 0 in lanes n and beyond */
static inline vec vec_first(vec x, size_t n) { return _mm512_maskz_mov_ps(vec_lanes(n), x); }

static inline vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline vec vec_load_n(const float *p, size_t n)
{
    return _mm512_maskz_loadu_ps(vec_lanes(n), p);
}
static inline void vec_store(float *p, vec x) { _mm512_storeu_ps(p, x); }
static inline void vec_store_n(float *p, vec x, size_t n)
{
    _mm512_mask_storeu_ps(p, vec_lanes(n), x);
}

static inline vec vec_from_bf16(__m256i x)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16));
}
static inline vec vec_load_bf16(const tg__bf16 *p)
{
    return vec_from_bf16(_mm256_loadu_si256((const __m256i *)p));
}
static inline vec vec_load_bf16_n(const tg__bf16 *p, size_t n)
{
    return vec_from_bf16(_mm256_maskz_loadu_epi16(vec_lanes(n), p));
}

/* As tg__to_bf16, but that AVX512-BF16's one instruction for it turns denormals into 0. */
static inline __m256i vec_to_bf16(vec x)
{
#ifdef __AVX512BF16__
    return (__m256i)_mm512_cvtneps_pbh(x);
#else
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
#endif
}
static inline void vec_store_bf16(tg__bf16 *p, vec x)
{
    _mm256_storeu_si256((__m256i *)p, vec_to_bf16(x));
}
static inline void vec_store_bf16_n(tg__bf16 *p, vec x, size_t n)
{
    _mm256_mask_storeu_epi16(p, vec_lanes(n), vec_to_bf16(x));
}

static inline vec vec_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline vec vec_load_f16_n(const void *p, size_t n)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(vec_lanes(n), p));
}

static inline void vec_store_f16(void *p, vec x)
{
    _mm256_storeu_si256((__m256i *)p,
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

static inline void vec_add_to_doubles(double *p, vec x, size_t n)
{
    __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
    __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
    __mmask8 first = (__mmask8)vec_lanes(n), second = (__mmask8)(vec_lanes(n) >> 8);
    _mm512_mask_storeu_pd(p, first, _mm512_add_pd(_mm512_maskz_loadu_pd(first, p), low));
    _mm512_mask_storeu_pd(p + 8, second, _mm512_add_pd(_mm512_maskz_loadu_pd(second, p + 8), high));
}

/* ---------------------------------------------------------------------------------- transpose */

static inline __m512d vec_pairs(vec x) { return _mm512_castps_pd(x); }

/* t as a 16 x 16 matrix of 32-bit values: first within the 4 x 4 blocks, then the blocks. */
static inline void vec_transpose(vec t[LANES])
{
    vec u[LANES];
    for (int i = 0; i < LANES; i += 4) {
        vec a = _mm512_unpacklo_ps(t[i], t[i + 1]), b = _mm512_unpackhi_ps(t[i], t[i + 1]);
        vec c = _mm512_unpacklo_ps(t[i + 2], t[i + 3]), d = _mm512_unpackhi_ps(t[i + 2], t[i + 3]);
        u[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(vec_pairs(a), vec_pairs(c)));
        u[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(vec_pairs(a), vec_pairs(c)));
        u[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(vec_pairs(b), vec_pairs(d)));
        u[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(vec_pairs(b), vec_pairs(d)));
    }
    for (int i = 0; i < 4; i++) {
        vec a = _mm512_shuffle_f32x4(u[i], u[i + 4], 0x88);
        vec b = _mm512_shuffle_f32x4(u[i], u[i + 4], 0xDD);
        vec c = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0x88);
        vec d = _mm512_shuffle_f32x4(u[i + 8], u[i + 12], 0xDD);
        t[i] = _mm512_shuffle_f32x4(a, c, 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(b, d, 0x88);
        t[i + 8] = _mm512_shuffle_f32x4(a, c, 0xDD);
        t[i + 12] = _mm512_shuffle_f32x4(b, d, 0xDD);
    }
}

#endif
