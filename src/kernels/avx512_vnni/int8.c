/* SPDX-License-Identifier: MIT */
#include "kernels/avx512_vnni/int8.h"
#include "kernels/avx512_vnni/parts.h"

void tg__avx512_vnni_int8(tg__kernels *kernels) { init_int8(kernels); }
