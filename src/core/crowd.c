/* SPDX-License-Identifier: MIT */
#include "core/crowd.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "core/parallel.h"

/* ------------------------------------------------------------------------------------- judging */

/* Beside others of lower priority spinning can remain the better way, and asleep one cannot see
 * that: every thread that wakes waits a little. So it is tried again, ever more rarely. */
void tg__crowd_judge(tg__crowd *crowd, double seconds, double delay)
{
    const double much = 0.35; /* of the time, all threads' waiting together */
    const double first = 0.1, longest = 8, calm = 1; /* seconds */
    if (crowd->crowded) {
        crowd->time += seconds;
        if (crowd->time >= crowd->patience)
            *crowd = (tg__crowd){.patience = crowd->patience};
    } else if (delay > much * seconds) {
        double next = crowd->patience > 0 ? 2 * crowd->patience : first;
        *crowd = (tg__crowd){.crowded = true, .patience = next < longest ? next : longest};
    } else if ((crowd->time += seconds) >= calm) {
        crowd->patience = 0;
    }
}

/* One thread's, in nanoseconds; 0 where it has ended since. */
static double thread_delay(const char *id)
{
    char path[64];
    double delay = 0;
    snprintf(path, sizeof path, "/proc/self/task/%.20s/schedstat", id);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    if (fscanf(file, "%*s %lf", &delay) != 1)
        delay = 0;
    fclose(file);
    return delay;
}

double tg__crowd_delay(void)
{
    enum { MOST_THREADS = 256 }; /* that are looked at: a server may have thousands */
    double delay = 0;
    DIR *folder = opendir("/proc/self/task");
    if (!folder)
        return -1;
    const struct dirent *entry;
    for (int i = 0; i < MOST_THREADS && (entry = readdir(folder));)
        if (isdigit((unsigned char)entry->d_name[0])) {
            delay += thread_delay(entry->d_name);
            i++;
        }
    closedir(folder);
    return 1e-9 * delay;
}

/* ------------------------------------------------------------------------------------- holding */

enum { MOST_HELD = 64 }; /* where more were needed most cores are free */

static pthread_mutex_t hold_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t hold_changed = PTHREAD_COND_INITIALIZER;
static pthread_t holder;
static bool held;
static bool probing;

static void *probe(void *context)
{
    (void)context;
    pthread_mutex_lock(&hold_lock);
    while (probing)
        pthread_cond_wait(&hold_changed, &hold_lock);
    pthread_mutex_unlock(&hold_lock);
    return NULL;
}

static void set_probing(bool on)
{
    pthread_mutex_lock(&hold_lock);
    probing = on;
    pthread_cond_broadcast(&hold_changed);
    pthread_mutex_unlock(&hold_lock);
}

/* Whether so many threads can be made: libgomp ends the process where one cannot. */
static bool can_make(size_t threads)
{
    pthread_t made[MOST_HELD];
    size_t count = 0;
    set_probing(true);
    while (count < threads && pthread_create(&made[count], NULL, probe, NULL) == 0)
        count++;
    set_probing(false);
    for (size_t i = 0; i < count; i++)
        pthread_join(made[i], NULL);
    return count == threads;
}

static void nothing(void *context, size_t i, int thread)
{
    (void)context;
    (void)i;
    (void)thread;
}

/* Makes a team, which stays with the thread that made it, and waits. */
static void *hold(void *context)
{
    size_t size = *(const size_t *)context;
    tg__threads_enter((int)size);
    tg__parallel_for(size, nothing, NULL);
    pthread_mutex_lock(&hold_lock);
    held = true;
    pthread_cond_broadcast(&hold_changed);
    while (held)
        pthread_cond_wait(&hold_changed, &hold_lock);
    pthread_mutex_unlock(&hold_lock);
    return NULL;
}

/* No signal of the caller's program lands on a thread that it does not know. */
static bool start(pthread_t *thread, size_t *size)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = can_make(*size) && pthread_create(thread, NULL, hold, size) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

bool tg__crowd_hold(int threads)
{
    int cores = tg__cores();
    size_t size = cores > threads ? (size_t)(cores - threads) + 2 : 2;
    if (size > MOST_HELD || !start(&holder, &size))
        return false;
    pthread_mutex_lock(&hold_lock);
    while (!held)
        pthread_cond_wait(&hold_changed, &hold_lock);
    pthread_mutex_unlock(&hold_lock);
    return true;
}

void tg__crowd_let_go(void)
{
    pthread_mutex_lock(&hold_lock);
    held = false;
    pthread_cond_broadcast(&hold_changed);
    pthread_mutex_unlock(&hold_lock);
    pthread_join(holder, NULL);
}

/* ------------------------------------------------------------------------------------- looking */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all below */
static tg__crowd crowd; /* what the last call saw is what the next one begins with */
static int calls;
static bool holding;
static double looked, delay_then; /* the last look; 0: in no call that runs */

void tg__crowd_enter(void)
{
    pthread_mutex_lock(&lock);
    calls++;
    pthread_mutex_unlock(&lock);
}

void tg__crowd_leave(void)
{
    pthread_mutex_lock(&lock);
    if (--calls == 0) {
        looked = 0;
        if (holding)
            tg__crowd_let_go();
        holding = false;
    }
    pthread_mutex_unlock(&lock);
}

/* Where threads are more than the cores libgomp does it by itself. */
static void act(int threads)
{
    if (crowd.crowded && !holding && threads <= tg__cores()) {
        holding = tg__crowd_hold(threads);
    } else if (!crowd.crowded && holding) {
        tg__crowd_let_go();
        holding = false;
    }
}

void tg__crowd_look(int threads)
{
    const double interval = 0.05; /* seconds */
    if (threads < 2 || pthread_mutex_trylock(&lock) != 0)
        return;
    double now = tg__seconds();
    if (looked == 0 || now - looked >= interval) {
        double delay = tg__crowd_delay();
        if (looked > 0 && delay >= 0)
            tg__crowd_judge(&crowd, now - looked, delay - delay_then);
        act(threads);
        looked = tg__seconds();
        delay_then = delay;
    }
    pthread_mutex_unlock(&lock);
}
