/* SPDX-License-Identifier: MIT */
#include "kernels/avx512/winograd_int16.h"

void tg__kernels_init_winograd_vnni(tg__kernels *kernels) { kernels->winograd_bf16 = winograd; }
