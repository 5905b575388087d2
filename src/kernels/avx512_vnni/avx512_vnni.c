/* SPDX-License-Identifier: MIT */
/* Products of integers (AVX512-VNNI): four bytes or two 16-bit words a lane. */
#include "kernels/avx512/vector.h"
#include "kernels/avx512_vnni/parts.h"
#include "kernels/vector/peak.h"

/* Not _mm512_dpbusd_epi32, for which gcc 12 moves every sum through memory: half the speed. */
static vec multiply_bytes(vec a, vec b, vec c)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(c) : "v"(a), "v"(b));
    return c;
}

static double peak_int8(size_t rounds) { return multiply_rounds(rounds, multiply_bytes, 4); }

void tg__kernels_init_avx512_vnni(tg__kernels *kernels)
{
    tg__avx512_vnni_int8(kernels);
    tg__avx512_vnni_winograd(kernels);
    kernels->peak_int8 = peak_int8;
}
