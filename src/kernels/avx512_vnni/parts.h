/* SPDX-License-Identifier: MIT */
/* What the folder's files fill in for its level. */
#ifndef TG_KERNELS_AVX512_VNNI_PARTS_H
#define TG_KERNELS_AVX512_VNNI_PARTS_H

#include "kernels/kernels.h"

void tg__avx512_vnni_int8(tg__kernels *kernels);
void tg__avx512_vnni_winograd(tg__kernels *kernels);

#endif
