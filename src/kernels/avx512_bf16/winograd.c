/* SPDX-License-Identifier: MIT */
#include "kernels/avx512_bf16/parts.h"
#include "kernels/avx512_vnni/winograd_int16.h"

void tg__avx512_bf16_winograd(tg__kernels *kernels) { kernels->winograd_bf16 = winograd; }
