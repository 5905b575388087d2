/* SPDX-License-Identifier: MIT */
/* The vector that src/kernels/vector/ is written in, here 8 floats wide. AVX2, FMA, F16C. */
#ifndef TG_KERNELS_AVX2_VECTOR_H
#define TG_KERNELS_AVX2_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#include "core/dtype.h"

typedef __m256 vec;
enum { LANES = 8 };

static inline vec vec_zero(void) { return _mm256_setzero_ps(); }
static inline vec vec_set(float x) { return _mm256_set1_ps(x); }
static inline vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
static inline vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
static inline vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
static inline vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
/* b where either is not a number */
static inline vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }
static inline vec vec_abs(vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.f), a); }
/* a * b + c, and c - a * b, rounded once */
static inline vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec vec_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }

static inline float vec_sum(vec a)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* a < b ? x : y, lane by lane */
static inline vec vec_less(vec a, vec b, vec x, vec y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

/* x = whole + fraction, fraction in [0, 1). */
static inline vec vec_fraction(vec x) { return _mm256_sub_ps(x, _mm256_floor_ps(x)); }

/* y * 2^floor(x), y in [1, 2]: 0 below 2^-126 (whatever y is there), infinity from 2^128 on. */
static inline vec vec_scale2(vec y, vec x)
{
    __m256i whole = _mm256_cvtps_epi32(_mm256_floor_ps(x));
    vec scaled =
        _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(y), _mm256_slli_epi32(whole, 23)));
    scaled = _mm256_blendv_ps(scaled, _mm256_set1_ps(__builtin_inff()),
                              _mm256_cmp_ps(x, _mm256_set1_ps(128), _CMP_GE_OQ));
    /* not below, so that a NaN stays one */
    return _mm256_and_ps(scaled, _mm256_cmp_ps(x, _mm256_set1_ps(-126), _CMP_NLT_UQ));
}

/* ---------------------------------------------------------------------- memory, any alignment.
 * The _n forms touch n elements alone, 0 to LANES; missing lanes are loaded as 0. */

static inline __m256i vec_lanes(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* x with 0 in lanes n and beyond */
static inline vec vec_first(vec x, size_t n)
{
    return _mm256_and_ps(x, _mm256_castsi256_ps(vec_lanes(n)));
}

static inline vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline vec vec_load_n(const float *p, size_t n)
{
    return _mm256_maskload_ps(p, vec_lanes(n));
}
static inline void vec_store(float *p, vec x) { _mm256_storeu_ps(p, x); }
static inline void vec_store_n(float *p, vec x, size_t n)
{
    _mm256_maskstore_ps(p, vec_lanes(n), x);
}

static inline __m128i vec_load_16bit_n(const void *p, size_t n)
{
    uint16_t values[LANES] = {0};
    memcpy(values, p, n * sizeof *values);
    return _mm_loadu_si128((const __m128i *)values);
}

static inline vec vec_from_bf16(__m128i x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16));
}
static inline vec vec_load_bf16(const tg__bf16 *p)
{
    return vec_from_bf16(_mm_loadu_si128((const __m128i *)p));
}
static inline vec vec_load_bf16_n(const tg__bf16 *p, size_t n)
{
    return vec_from_bf16(vec_load_16bit_n(p, n));
}

/* As tg__to_bf16. */
static inline __m128i vec_to_bf16(vec x)
{
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    rounded = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
}
static inline void vec_store_bf16(tg__bf16 *p, vec x)
{
    _mm_storeu_si128((__m128i *)p, vec_to_bf16(x));
}
static inline void vec_store_bf16_n(tg__bf16 *p, vec x, size_t n)
{
    tg__bf16 values[LANES];
    vec_store_bf16(values, x);
    memcpy(p, values, n * sizeof *values);
}

static inline vec vec_load_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline vec vec_load_f16_n(const void *p, size_t n)
{
    return _mm256_cvtph_ps(vec_load_16bit_n(p, n));
}

static inline void vec_store_f16(void *p, vec x)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}

static inline void vec_add_to_doubles(double *p, vec x, size_t n)
{
    float values[LANES];
    vec_store(values, x);
    for (size_t i = 0; i < n; i++)
        p[i] += (double)values[i];
}

/* ---------------------------------------------------------------------------------- transpose */

/* t as an 8 x 8 matrix: first within the 4 x 4 blocks, then the blocks. */
static inline void vec_transpose(vec t[LANES])
{
    vec u[LANES];
    for (int i = 0; i < LANES; i += 4) {
        vec a = _mm256_unpacklo_ps(t[i], t[i + 1]), b = _mm256_unpackhi_ps(t[i], t[i + 1]);
        vec c = _mm256_unpacklo_ps(t[i + 2], t[i + 3]), d = _mm256_unpackhi_ps(t[i + 2], t[i + 3]);
        u[i] = _mm256_shuffle_ps(a, c, 0x44);
        u[i + 1] = _mm256_shuffle_ps(a, c, 0xEE);
        u[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        u[i + 3] = _mm256_shuffle_ps(b, d, 0xEE);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
}

#endif
