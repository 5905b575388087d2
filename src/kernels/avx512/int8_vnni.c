/* SPDX-License-Identifier: MIT */
#include "kernels/avx512/int8.h"

void tg__kernels_init_avx512_vnni(tg__kernels *kernels) { init_int8(kernels); }
