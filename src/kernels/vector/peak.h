/* SPDX-License-Identifier: MIT */
/* The bare loops of kernels/peak.h. */
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

TG_SPECIALISED void read_bytes(const void *data, size_t bytes)
{
    enum { STEP = 8 };
    const float *from = data;
    for (size_t i = 0; i < bytes / sizeof *from; i += STEP * LANES) {
        TG_UNROLL
        for (size_t j = 0; j < STEP; j++) {
            vec x = vec_load(from + i + j * LANES);
            __asm__ volatile("" ::"v"(x)); /* or the compiler drops all of it */
        }
    }
}

#endif
