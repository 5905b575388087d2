/* SPDX-License-Identifier: MIT */
/* What this machine cannot test is said with its reason; tools/run-tests lists and counts it. */
#ifndef TG_TESTS_SKIP_H
#define TG_TESTS_SKIP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "kernels/kernels.h"
#include <stdio.h>

/* One part of a test, or of all of a program's; the rest goes on. */
static inline void tg_skip_part(const char *what)
{
    print_message("SKIPPED: %s\n", what); /* tools/run-tests knows this word */
}

/* Ends the test that is running. */
static inline void tg_skip(const char *why)
{
    tg_skip_part(why);
    skip();
}

static inline void tg_skip_without_avx512(void)
{
    if (tg__cpu_level() < TG_CPU_AVX512)
        tg_skip("this CPU has no AVX-512");
}

/* Whether there is int8's vector level; without it an int8 session is refused. */
static inline bool tg_has_vnni(void)
{
    return tg__cpu_level() >= TG_CPU_AVX512 && __builtin_cpu_supports("avx512vnni");
}

static inline void tg_skip_without_vnni(void)
{
    if (!tg_has_vnni())
        tg_skip("this CPU has no AVX512-VNNI");
}

/* Setup of a group whose tests try every level of instructions that the CPU has. */
static inline int tg_skip_levels(void **state)
{
    (void)state;
    for (int level = (int)tg__cpu_level() + 1; level <= TG_CPU_AMX; level++) {
        char what[64];
        snprintf(what, sizeof what, "level %s: this CPU lacks it", tg_cpu_name((tg_cpu)level));
        tg_skip_part(what);
    }
    return 0;
}

#endif
