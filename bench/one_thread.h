/* SPDX-License-Identifier: MIT */
/* What the benchmarks of single kernels share: they run on one thread, and exit where there is no
 * memory. */
#ifndef TG_BENCH_ONE_THREAD_H
#define TG_BENCH_ONE_THREAD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/dtype.h"
#include "core/packs.h"

enum { MAX_RUNS = 101 };

/* Bytes of zeros. */
static inline void *memory(size_t bytes)
{
    void *data = tg__aligned(bytes);
    if (!data)
        exit(1);
    memset(data, 0, bytes);
    return data;
}

/* count values from about -1.7 to 1.7 with variance 1, as they are behind a norm. */
static inline void *random_values(size_t count, bool bf16)
{
    void *data = memory(count * 4);
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        float x = ((float)(state >> 8) * 0x1p-24f - 0.5f) * 3.4641f;
        if (bf16)
            ((tg__bf16 *)data)[i] = tg__to_bf16(x);
        else
            ((float *)data)[i] = x;
    }
    return data;
}

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Ends a line: the median of `runs` times, what that makes of gmac, its share of the peak. */
static inline void print_times(double *seconds, int runs, double gmac, double peak)
{
    qsort(seconds, (size_t)runs, sizeof *seconds, by_value);
    double median = seconds[runs / 2];
    printf("%.2f ms, %.1f GMAC/s, %.1f %% (best %.1f %%)\n", median * 1e3, gmac / median,
           100 * gmac / median / peak, 100 * gmac / seconds[0] / peak);
}

#endif
