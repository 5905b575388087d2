/* SPDX-License-Identifier: MIT */
/* The machine's own peaks, for bench/bench.c: peaks
 *
 * All cores that this process may use, at once. Prints lines of a kind, a name and a figure:
 * "gmac_per_s f32 118.2" for the fastest instruction of a dtype (none for a dtype without),
 * "instruction vdpbf16ps 236.1" for each that this CPU has, in 10^9 multiplications a second;
 * "gb_per_s l1 836.0" for reads of a level of the memory, in 10^9 bytes a second. */
#include <stdio.h>

#include "core/parallel.h"
#include "kernels/peak.h"

static const double seconds = 0.3;

static void print(const char *kind, const char *name, double figure)
{
    if (figure > 0)
        printf("%s %s %.3f\n", kind, name, figure);
    fflush(stdout);
}

static void print_instruction(const char *name, double (*loop)(size_t rounds))
{
    print("instruction", name, tg__peak_gmac_all(loop, seconds));
}

/* Those that the table prefers another to, too. */
static void print_instructions(const tg__kernels *best)
{
    tg__kernels k = *best;
    print_instruction(best->level == TG_CPU_C ? "c" : "fma", best->peak_f32);
    if (best->level >= TG_CPU_AVX512_BF16) {
        tg__kernels_init_avx512_dot(&k);
        print_instruction("vdpbf16ps", k.peak_bf16);
    }
    tg__kernels_init(&k, TG_CPU_AVX512);
    print_instruction("vpdpbusd", k.peak_int8);
    if (best->level == TG_CPU_AMX) {
        print_instruction("tdpbf16ps", best->peak_bf16);
        print_instruction("tdpbssd", best->peak_int8);
    }
}

/* Half of each cache, so that what else runs has room too; the last one is shared. */
static void print_reads(const tg__kernels *k)
{
    size_t threads = (size_t)tg__threads(), l2 = tg__cache_bytes(2);
    size_t l3 = tg__cache_bytes(3) / 2 / threads;
    print("gb_per_s", "l1", tg__peak_gb(k, tg__cache_bytes(1) / 2, seconds));
    print("gb_per_s", "l2", tg__peak_gb(k, l2 / 2, seconds));
    if (l3 > l2)
        print("gb_per_s", "l3", tg__peak_gb(k, l3, seconds));
    print("gb_per_s", "memory", tg__peak_gb(k, tg__beyond_caches((int)threads), seconds));
}

int main(void)
{
    tg__kernels best;
    tg__kernels_init(&best, TG_CPU_AUTO);
    int before = tg__threads_enter(tg__cores());
    print("gmac_per_s", "f32", tg__peak_gmac_all(best.peak_f32, seconds));
    print("gmac_per_s", "bf16", tg__peak_gmac_all(best.peak_bf16, seconds));
    print("gmac_per_s", "int8", tg__peak_gmac_all(best.peak_int8, seconds));
    print_instructions(&best);
    print_reads(&best);
    tg__threads_leave(before);
    return 0;
}
