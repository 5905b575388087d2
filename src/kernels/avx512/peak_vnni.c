/* SPDX-License-Identifier: MIT */
/* The dot product of int8 (AVX512-VNNI): four products a lane. */
#include "kernels/avx512/vector.h"
#include "kernels/kernels.h"
#include "kernels/vector/peak.h"

static vec multiply_bytes(vec a, vec b, vec c)
{
    return _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(c), _mm512_castps_si512(a),
                                                   _mm512_castps_si512(b)));
}

static double peak_int8(size_t rounds) { return multiply_rounds(rounds, multiply_bytes, 4); }

void tg__kernels_init_avx512_vnni(tg__kernels *kernels) { kernels->peak_int8 = peak_int8; }
