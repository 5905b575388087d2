/* SPDX-License-Identifier: MIT */
/* Normal numbers as torch draws them, so that the same seed gives the same picture. */
#ifndef TG_CORE_RNG_H
#define TG_CORE_RNG_H

#include <stddef.h>
#include <stdint.h>

#include "tgate.h"

typedef struct tg__rng {
    tg_rng kind;
    uint64_t seed;
    uint32_t draw; /* Philox: how many draws were made */
    uint32_t mt[624];
    int mt_at;    /* next word of mt */
    double spare; /* the second normal of a pair, for draws of fewer than 16 */
    int has_spare;
} tg__rng;

void tg__rng_seed(tg__rng *rng, tg_rng kind, uint64_t seed);

/* One draw: the n values that torch.randn(n, generator=…) gives next. */
void tg__rng_normal(tg__rng *rng, float *dst, size_t n);

/* Philox4x32-10: turns the counter (word 0 the lowest) into four random words. */
void tg__philox(uint32_t counter[4], uint64_t key);

#endif
