/* SPDX-License-Identifier: MIT */
/* What avx512_vnni/ does, with AVX512-BF16's instruction for results in bf16. */
#include "kernels/avx512_bf16/parts.h"

void tg__kernels_init_avx512_bf16(tg__kernels *kernels)
{
    tg__avx512_bf16_int8(kernels);
    tg__avx512_bf16_winograd(kernels);
}
