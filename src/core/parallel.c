/* SPDX-License-Identifier: MIT */
#include "core/parallel.h"

#include <omp.h>
#include <sched.h>
#include <time.h>

void tg__parallel_for(size_t n, void (*body)(void *context, size_t i, int thread), void *context)
{
    if (n == 1) {
        body(context, 0, 0);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < n; i++)
        body(context, i, omp_get_thread_num());
}

int tg__threads_enter(int threads)
{
    int before = omp_get_max_threads();
    omp_set_num_threads(threads);
    return before;
}

void tg__threads_leave(int before) { omp_set_num_threads(before); }

int tg__threads(void) { return omp_get_max_threads(); }

int tg__cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return CPU_COUNT(&set);
}

double tg__seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
