/* SPDX-License-Identifier: MIT */
#include "core/parallel.h"

#include <omp.h>
#include <sched.h>
#include <time.h>

static _Thread_local tg__work *current;

tg__work *tg__work_begin(tg__work *work)
{
    tg__work *before = current;
    current = work;
    return before;
}

void tg__work_end(tg__work *before) { current = before; }

bool tg__work_goes_on(tg__work *work)
{
    const double interval = 0.02; /* seconds: a person does not notice it, nor does the work */
    if (atomic_load_explicit(&work->stopped, memory_order_relaxed))
        return false;
    double now = work->go_on ? tg__seconds() : 0;
    if (!work->go_on || now - work->asked < interval)
        return true;
    bool go_on = work->go_on(work->context);
    work->asked = tg__seconds();
    if (!go_on)
        atomic_store_explicit(&work->stopped, true, memory_order_relaxed);
    return go_on;
}

/* Whether a piece is to be done by this thread of a team. */
static bool wanted(tg__work *work, int thread)
{
    if (!work)
        return true;
    return thread == 0 ? tg__work_goes_on(work)
                       : !atomic_load_explicit(&work->stopped, memory_order_relaxed);
}

void tg__parallel_for(size_t n, void (*body)(void *context, size_t i, int thread), void *context)
{
    tg__work *work = current;
    if (n == 1) {
        body(context, 0, 0);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1)
    for (size_t i = 0; i < n; i++) {
        int thread = omp_get_thread_num();
        if (wanted(work, thread))
            body(context, i, thread);
    }
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
