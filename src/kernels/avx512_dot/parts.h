/* SPDX-License-Identifier: MIT */
/* What the folder's files fill in for its level. */
#ifndef TG_KERNELS_AVX512_DOT_PARTS_H
#define TG_KERNELS_AVX512_DOT_PARTS_H

#include "kernels/kernels.h"

void tg__avx512_dot_attention_int8(tg__kernels *kernels);

#endif
