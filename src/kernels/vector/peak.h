/* SPDX-License-Identifier: MIT */
/* Multiplications in registers alone, for tg__kernels_peak. */
#ifndef TG_KERNELS_VECTOR_PEAK_H
#define TG_KERNELS_VECTOR_PEAK_H

#include "kernels/vector/math.h"

/* `multiply` (a * b + c) on as many independent sums as hide its latency; `factors` products a
 * lane. */
TG_SPECIALISED double multiply_rounds(size_t rounds, vec (*multiply)(vec, vec, vec), int factors)
{
    enum { SUMS = LANES == 16 ? 24 : 12 }; /* of 32 registers, of 16 */
    vec sums[SUMS], total = vec_zero(), factor = vec_set(0.5f);
    TG_UNROLL
    for (int i = 0; i < SUMS; i++)
        sums[i] = vec_set((float)i);
    for (size_t round = 0; round < rounds; round++) {
        TG_UNROLL
        for (int i = 0; i < SUMS; i++)
            sums[i] = multiply(factor, factor, sums[i]);
    }
    TG_UNROLL
    for (int i = 0; i < SUMS; i++)
        total = vec_add(total, sums[i]);
    volatile float used = vec_sum(total); /* or the compiler drops all of it */
    (void)used;
    return (double)rounds * SUMS * LANES * factors;
}

#endif
