/* SPDX-License-Identifier: MIT */
/* Products of bf16 (AVX512-BF16). */
#include <immintrin.h>

typedef __m512 sums;

#include "kernels/avx512/product.h"

TG_SPECIALISED sums product_step(sums sum, __m512i x, __m512i weights)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)weights);
}

TG_SPECIALISED vec product_value(const piece *s, size_t i, sums sum, size_t output)
{
    (void)i;
    return s->p->bias ? vec_add(sum, vec_load(s->p->bias + output)) : sum;
}

void tg__kernels_init_avx512_bf16_product(tg__kernels *kernels)
{
    kernels->bf16_product = packed_product;
}
