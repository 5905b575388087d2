/* SPDX-License-Identifier: MIT */
/* What the folder's files fill in for its level. */
#ifndef TG_KERNELS_AVX512_BF16_PARTS_H
#define TG_KERNELS_AVX512_BF16_PARTS_H

#include "kernels/kernels.h"

void tg__avx512_bf16_int8(tg__kernels *kernels);
void tg__avx512_bf16_winograd(tg__kernels *kernels);

#endif
