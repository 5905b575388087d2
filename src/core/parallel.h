/* SPDX-License-Identifier: MIT */
/* The only place that starts threads of ours: OpenMP's, which oneDNN uses too, so that both share
 * one pool. */
#ifndef TG_CORE_PARALLEL_H
#define TG_CORE_PARALLEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Calls body(context, i, thread) for each i in [0, n), spread over the threads that
 * tg__threads_enter set; thread is below that number. Calls with a larger i start no earlier than
 * calls with a smaller one (dynamic, one at a time): put the large pieces first. */
void tg__parallel_for(size_t n, void (*body)(void *context, size_t i, int thread), void *context);

/* Work that can be stopped: while it is begun on a thread, that thread's tg__parallel_for leaves
 * out the pieces that are left once go_on has said no, whatever they would have made. */
typedef struct tg__work {
    bool (*go_on)(void *context); /* asked some times a second, on this thread; NULL: nobody */
    void *context;
    double asked; /* when last */
    atomic_bool stopped;
} tg__work;

/* Returns what was begun before, for tg__work_end. */
tg__work *tg__work_begin(tg__work *work);
void tg__work_end(tg__work *before);
/* Asks, if it is time to; for the thread that began the work. */
bool tg__work_goes_on(tg__work *work);

/* Sets the number of threads for this thread's calls (oneDNN's too); returns the number before, for
 * tg__threads_leave. */
int tg__threads_enter(int threads);
void tg__threads_leave(int before);
int tg__threads(void);

/* Cores that this process may use, at least 1. */
int tg__cores(void);

/* Seconds of a clock that never goes back. */
double tg__seconds(void);

#endif
