/* SPDX-License-Identifier: MIT */
/* The vectors of integers that products are added up in. */
#ifndef TG_KERNELS_AVX512_SUMS_H
#define TG_KERNELS_AVX512_SUMS_H

#include <immintrin.h>
#include <stdint.h>

#include "kernels/avx512/vector.h"

/* 16 of 32 bits; not __m512i, which may alias everything, so that gcc leaves arrays of it in memory
 */
typedef int32_t sums __attribute__((vector_size(64)));

#endif
