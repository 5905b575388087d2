/* SPDX-License-Identifier: MIT */
/* What waiting threads do when something else wants the cores too.
 *
 * Threads of a team wait for each other at the end of every operator, and libgomp lets them spin
 * for milliseconds before they sleep: right on an idle machine, where waking a thread takes as long
 * as a small operator. Where others compute as well, the thread that spins does so in the time of
 * the one that it waits for, and a run takes ten times as long. libgomp itself spins only briefly
 * while there are more OpenMP threads than cores. So while this process's threads stand in the
 * scheduler's queue, a second, idle team is held that makes them more. */
#ifndef TG_CORE_CROWD_H
#define TG_CORE_CROWD_H

#include <stdbool.h>

/* Around every call that computes; nothing is held while no call runs. */
void tg__crowd_enter(void);
void tg__crowd_leave(void);

/* Some times a second, by a call that computes with so many threads: looks how long threads had to
 * wait for a core, and holds the second team or lets it go. Costs some microseconds a thread. */
void tg__crowd_look(int threads);

/* Whether the machine is crowded, by what is seen from time to time. */
typedef struct tg__crowd {
    bool crowded;
    double time;     /* seconds for which it has been so, or not */
    double patience; /* for how long it is taken to be crowded; 0: it was not for some time */
} tg__crowd;

/* In so many seconds the process's threads have waited for a core so long in sum. */
void tg__crowd_judge(tg__crowd *crowd, double seconds, double delay);

/* Seconds that this process's threads, as they are now, have been ready to run but were not
 * running; negative where the kernel does not tell. */
double tg__crowd_delay(void);

/* Starts and ends the second team, for teams of so many threads. False: it cannot be made. */
bool tg__crowd_hold(int threads);
void tg__crowd_let_go(void);

#endif
