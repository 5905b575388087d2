/* SPDX-License-Identifier: MIT */
/* int8 products with AVX512-VNNI; the includer is compiled with or without AVX512-BF16. */
#ifndef TG_KERNELS_AVX512_INT8_H
#define TG_KERNELS_AVX512_INT8_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>

/* 16 of 32 bits; not __m512i, which may alias everything, so that gcc leaves arrays of it in memory
 */
typedef int32_t sums __attribute__((vector_size(64)));

#include "kernels/avx512/product.h"

/* ------------------------------------------------------------------------------- quantization */

TG_SPECIALISED void range_of(float *low, float *high, const void *src, size_t n, bool bf16)
{
    vec least = vec_set(*low), most = vec_set(*high), finite = vec_zero();
    for (size_t i = 0; i < n; i += LANES) {
        size_t left = n - i < LANES ? n - i : LANES;
        vec x = get(src, i, left, bf16); /* lanes that are missing are 0, so: */
        least = _mm512_mask_min_ps(least, vec_lanes(left), x, least);
        most = _mm512_mask_max_ps(most, vec_lanes(left), x, most);
        finite = vec_fma(x, vec_zero(), finite); /* a NaN stays, where min and max drop it */
    }
    bool good = vec_sum(finite) == 0;
    *low = good ? _mm512_reduce_min_ps(least) : NAN;
    *high = good ? _mm512_reduce_max_ps(most) : NAN;
}

static void range(float *low, float *high, const void *src, size_t n, bool bf16)
{
    if (bf16)
        range_of(low, high, src, n, true);
    else
        range_of(low, high, src, n, false);
}

TG_SPECIALISED void quantize_values(uint8_t *dst, const void *src, size_t n, float factor,
                                    float zero, bool bf16)
{
    vec scale = vec_set(factor), offset = vec_set(zero);
    for (size_t i = 0; i < n; i += LANES) {
        size_t left = n - i < LANES ? n - i : LANES;
        vec x = vec_fma(get(src, i, n - i, bf16), scale, offset);
        x = vec_min(vec_max(x, vec_zero()), vec_set(255)); /* what is not a number becomes 0 */
        _mm512_mask_cvtusepi32_storeu_epi8(dst + i, vec_lanes(left), _mm512_cvtps_epi32(x));
    }
}

static void quantize(uint8_t *dst, const void *src, size_t n, float factor, float zero, bool bf16)
{
    if (bf16)
        quantize_values(dst, src, n, factor, zero, true);
    else
        quantize_values(dst, src, n, factor, zero, false);
}

/* ----------------------------------------------------------------------------------- products */

TG_SPECIALISED sums product_step(sums sum, __m512i x, __m512i weights)
{
    return (sums)_mm512_dpbusd_epi32((__m512i)sum, x, weights);
}

TG_SPECIALISED vec product_value(const piece *s, size_t i, sums sum, size_t output)
{
    const tg__packed_product *p = s->p;
    vec zero = vec_set((float)s->zero[i * s->scale_step]);
    vec scale = vec_set(s->scale[i * s->scale_step]);
    vec x = vec_fnma(zero, vec_load(p->weight_sum + output), _mm512_cvtepi32_ps((__m512i)sum));
    return vec_fma(x, vec_mul(scale, vec_load(p->weight_scale + output)),
                   p->bias ? vec_load(p->bias + output) : vec_zero());
}

static void init_int8(tg__kernels *kernels)
{
    kernels->int8_fast = true;
    kernels->range = range;
    kernels->quantize = quantize;
    kernels->int8_product = packed_product;
}

#endif
