/* SPDX-License-Identifier: MIT */
/* Threads wait asleep while something else wants the cores. */
#include "core/crowd.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "core/parallel.h"
#include "skip.h"

/* ------------------------------------------------------------------------------------- judging */

static void test_judge(void **state)
{
    (void)state;
    tg__crowd crowd = {0};
    tg__crowd_judge(&crowd, 0.1, 0.03);
    assert_false(crowd.crowded);
    for (int i = 0; i < 9; i++) { /* ever longer, up to 8 seconds */
        double expected = i < 7 ? 0.1 * (1 << i) : 8;
        tg__crowd_judge(&crowd, 0.1, 0.04);
        assert_true(crowd.crowded);
        double lasted = 0, seen = i % 2; /* meanwhile it does not count */
        for (; crowd.crowded; lasted += 0.02)
            tg__crowd_judge(&crowd, 0.02, seen);
        assert_true(lasted > expected - 0.01 && lasted < expected + 0.03);
    }
    for (int i = 0; i < 5; i++)
        tg__crowd_judge(&crowd, 0.25, 0.01); /* a second without it is forgotten */
    tg__crowd_judge(&crowd, 0.1, 0.04);
    tg__crowd_judge(&crowd, 0.11, 1);
    assert_false(crowd.crowded);
}

/* -------------------------------------------------------------------------------------- delays */

static void *spin(void *context)
{
    double end = tg__seconds() + *(double *)context;
    while (tg__seconds() < end)
        ;
    return NULL;
}

/* Two threads on one core wait for each other about half of the time. */
static void test_delay(void **state)
{
    (void)state;
    double before = tg__crowd_delay(), seconds = 0.2, delay = 0;
    if (before < 0)
        return tg_skip("/proc/self/task is not there");
    cpu_set_t all, one;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    pthread_t other;
    assert_int_equal(pthread_create(&other, NULL, spin, &seconds), 0);
    double end = tg__seconds() + seconds / 2; /* while both are there */
    while (tg__seconds() < end)
        delay = tg__crowd_delay() - before;
    pthread_join(other, NULL);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_true(delay > 0.01);
}

/* ------------------------------------------------------------------------------------- holding */

static void nap(void *context, size_t i, int thread)
{
    (void)thread;
    if (i == 0)
        nanosleep(context, NULL);
}

/* CPU seconds of a team of two of which one has nothing to do for 50 ms. */
static double waiting_cost(void)
{
    struct timespec before, after, ms50 = {.tv_nsec = 50000000};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    tg__parallel_for(2, nap, &ms50);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    return (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
}

static void test_hold(void **state)
{
    (void)state;
    if (tg__cores() < 2)
        return tg_skip("one core: libgomp's threads sleep as it is");
#ifdef __clang__
    return tg_skip("another OpenMP than libgomp");
#endif
    int before = tg__threads_enter(2);
    waiting_cost(); /* makes the team */
    double spinning = waiting_cost();
    assert_true(tg__crowd_hold(2));
    waiting_cost();
    double asleep = waiting_cost();
    tg__crowd_let_go();
    double again = waiting_cost();
    tg__threads_leave(before);
    print_message("waiting for 50 ms takes %.2f ms, held %.2f, then %.2f\n", 1e3 * spinning,
                  1e3 * asleep, 1e3 * again);
    assert_true(asleep < 0.001);
    if (spinning < 0.001)
        return tg_skip("this OpenMP does not spin");
    assert_true(again > 0.001);
}

/* It is held in a call alone, whatever comes in between. */
static void test_calls(void **state)
{
    (void)state;
    tg__crowd_enter();
    tg__crowd_enter();
    for (int i = 0; i < 3; i++)
        tg__crowd_look(2);
    tg__crowd_look(1);
    tg__crowd_leave();
    tg__crowd_look(2);
    tg__crowd_leave();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_hold),
        cmocka_unit_test(test_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
