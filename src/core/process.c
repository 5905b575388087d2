/* SPDX-License-Identifier: MIT */
#include "core/process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/options.h"
#include "core/parallel.h"

/* Turns come in the order in which they were asked for. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given_back = PTHREAD_COND_INITIALIZER;
static int thread_budget; /* 0: the cores */
static int busy;          /* threads of those that compute */
static unsigned long next_ticket, now_serving;
static atomic_int waiting;

static atomic_llong memory_budget; /* 0: none */
static atomic_llong memory_held;

/* ------------------------------------------------------------------------------------- threads */

static int budget(void) { return thread_budget > 0 ? thread_budget : tg__cores(); }

static int share(int threads) { return threads < budget() ? threads : budget(); }

void tg__turn_take(int threads)
{
    pthread_mutex_lock(&lock);
    unsigned long ticket = next_ticket++;
    atomic_fetch_add(&waiting, 1);
    while (ticket != now_serving || (busy > 0 && busy + share(threads) > budget()))
        pthread_cond_wait(&given_back, &lock);
    now_serving++;
    busy += threads;
    atomic_fetch_sub(&waiting, 1);
    pthread_cond_broadcast(&given_back);
    pthread_mutex_unlock(&lock);
}

void tg__turn_give(int threads)
{
    pthread_mutex_lock(&lock);
    busy -= threads;
    pthread_cond_broadcast(&given_back);
    pthread_mutex_unlock(&lock);
}

void tg__turn_pass(int threads)
{
    if (atomic_load_explicit(&waiting, memory_order_relaxed) == 0)
        return;
    tg__turn_give(threads);
    tg__turn_take(threads);
}

/* -------------------------------------------------------------------------------------- memory */

bool tg__memory_take(size_t bytes)
{
    long long most = atomic_load(&memory_budget), held = atomic_load(&memory_held);
    do { /* never more than there is, not even for a moment: others would be refused */
        if (most > 0 && (long long)bytes > most - held)
            return false;
    } while (!atomic_compare_exchange_weak(&memory_held, &held, held + (long long)bytes));
    return true;
}

void tg__memory_give(size_t bytes) { atomic_fetch_sub(&memory_held, (long long)bytes); }

size_t tg__memory_left(void)
{
    long long most = atomic_load(&memory_budget), held = atomic_load(&memory_held);
    return most == 0 ? SIZE_MAX : held < most ? (size_t)(most - held) : 0;
}

static double mebibytes(long long bytes) { return (double)bytes / (1 << 20); }

static const char budget_field[] = "memory_bytes";

tg_status tg__fail_budget(tg__error *error, const char *what, size_t bytes)
{
    return tg__fail_about(
        error, TG_ERROR_MEMORY, budget_field,
        "out of memory: %s takes %.1f MiB, and %.1f of the budget's %.1f MiB are taken", what,
        mebibytes((long long)bytes), mebibytes(atomic_load(&memory_held)),
        mebibytes(atomic_load(&memory_budget)));
}

bool tg__over_budget(const tg__error *error)
{
    return error->status == TG_ERROR_MEMORY && strcmp(error->subject, budget_field) == 0;
}

int64_t tg_process_memory(void) { return atomic_load(&memory_held); }

/* ------------------------------------------------------------------------------------- options */

static const tg_process_options defaults = {.size = sizeof(tg_process_options)};

void tg_process_options_init_sized(tg_process_options *options, size_t size)
{
    tg__options_init(options, size, &defaults, sizeof defaults);
}

tg_status tg_process_configure(const tg_process_options *options, tg_error *error)
{
    enum { MOST_THREADS = 1 << 16 };
    tg__error e = {0};
    tg_process_options o = defaults;
    tg__options_read(&o, sizeof o, options, "tg_process_options", &e);
    if (o.threads < 0 || o.threads > MOST_THREADS)
        tg__fail_about(&e, TG_ERROR_ARGUMENT, "threads", "threads is %d, expected 0 to %d",
                       o.threads, MOST_THREADS);
    if (o.memory_bytes < 0)
        tg__fail_about(&e, TG_ERROR_ARGUMENT, budget_field,
                       "memory_bytes is %lld, expected 0 or more", (long long)o.memory_bytes);
    if (!tg__failed(&e)) {
        pthread_mutex_lock(&lock);
        thread_budget = o.threads;
        pthread_cond_broadcast(&given_back);
        pthread_mutex_unlock(&lock);
        atomic_store(&memory_budget, o.memory_bytes);
    }
    if (error)
        *error = e;
    return e.status;
}
