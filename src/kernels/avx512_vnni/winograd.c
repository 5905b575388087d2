/* SPDX-License-Identifier: MIT */
#include "kernels/avx512_vnni/parts.h"
#include "kernels/avx512_vnni/winograd_int16.h"

void tg__avx512_vnni_winograd(tg__kernels *kernels) { kernels->winograd_bf16 = winograd; }
