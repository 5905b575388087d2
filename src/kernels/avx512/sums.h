/* SPDX-License-Identifier: MIT */
/* Vectors of integers: what products are added up in, and their factors. */
#ifndef TG_KERNELS_AVX512_SUMS_H
#define TG_KERNELS_AVX512_SUMS_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/vector.h"

/* 16 of 32 bits; not __m512i, which may alias everything, so that gcc leaves arrays of it in memory
 */
typedef int32_t sums __attribute__((vector_size(64)));

/* The first 16 of left >= 1 bytes. */
static inline void store_bytes(uint8_t *dst, __m128i bytes, size_t left)
{
    if (left >= LANES)
        _mm_storeu_si128((__m128i *)(void *)dst, bytes);
    else /* a masked store takes many times as long */
        _mm_mask_storeu_epi8(dst, vec_lanes(left), bytes);
}

#endif
