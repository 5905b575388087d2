/* SPDX-License-Identifier: MIT */
/* OpenMP's threads wait for each other at the end of every operator, and libgomp lets them spin for
 * milliseconds before they sleep. Where something else wants the cores as well, the one that spins
 * does so in the time of the one that it waits for, and a run takes ten times as long
 * (docs/speed.md). libgomp reads its settings when it is loaded, before main: so the program puts
 * them into its environment and executes itself again, which takes two or three milliseconds. */
#include "waiting.h"

#include <stdlib.h>
#include <sys/auxv.h>
#include <unistd.h>

/* Looks before a thread sleeps: about 26 microseconds on Zen 3. */
#define SPINS "1000"

void wait_asleep(char *const *argv)
{
    /* without AT_BASE it was a loader that was executed, with words of its own before these */
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || !getauxval(AT_BASE))
        return;
    /* where it cannot be done, threads wait as they did */
    if (setenv("GOMP_SPINCOUNT", SPINS, 1) == 0) /* found the next time: this happens once */
        execv("/proc/self/exe", argv);
}
