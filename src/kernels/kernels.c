/* SPDX-License-Identifier: MIT */
/* Which kernels this CPU runs. A level counts only if the operating system saves its registers:
 * __builtin_cpu_supports looks at that for AVX and AVX-512, and AMX must be asked for.
 *
 * The dot product of bf16 pairs (vdpbf16ps) is not faster everywhere: on AMD's CPUs that have it,
 * it does twice the multiplications of an f32 FMA in the same time, on Intel's half as many. So
 * AMD's (and nobody else's) use it for attention and call bf16 fast (FAST_DOT); what has AMX calls
 * bf16 fast because all products then run in tiles. */
#include "kernels/kernels.h"

#include <cpuid.h>
#include <math.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool cpuid_bit(unsigned leaf, int word, int bit)
{
    unsigned words[4];
    return __get_cpuid_count(leaf, 0, &words[0], &words[1], &words[2], &words[3]) &&
           (words[word] >> bit & 1);
}

enum { ECX = 2, EDX = 3 };

/* What rows of levels.def need; AVX2 is FMA and F16C too, AVX512 F, BW, DQ and VL. */
enum { AVX2 = 1, AVX512 = 2, VNNI = 4, VBMI = 8, BF16 = 16, FAST_DOT = 32, AMX = 64 };

static bool has_avx2(void)
{
    /* clang 14 does not know "f16c" */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && cpuid_bit(1, ECX, 29);
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/* Tiles, bf16 and int8 (what oneDNN wants), and Linux's permission to use them, which a process
 * must ask for: it makes room for the tiles in the frames of signals. */
static bool has_amx(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_TILE_DATA = 18 };
    bool cpu = cpuid_bit(7, EDX, 24) && cpuid_bit(7, EDX, 22) && cpuid_bit(7, EDX, 25);
    return cpu && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0;
}

static unsigned features(void)
{
    __builtin_cpu_init();
    unsigned has = 0;
    has |= has_avx2() ? AVX2 : 0;
    has |= has_avx512() ? AVX512 : 0;
    has |= __builtin_cpu_supports("avx512vnni") ? VNNI : 0;
    has |= __builtin_cpu_supports("avx512vbmi") ? VBMI : 0;
    has |= __builtin_cpu_supports("avx512bf16") ? BF16 : 0;
    has |= __builtin_cpu_is("amd") ? FAST_DOT : 0;
    has |= (has & BF16) && has_amx() ? AMX : 0;
    return has;
}

static bool has_all(unsigned has, unsigned needs) { return (has & needs) == needs; }

static tg_cpu level_of(unsigned has)
{
    tg_cpu level = TG_CPU_C;
    unsigned needed = 0;
#define TG_LEVEL(cap, needs, flags) \
    needed |= needs;                \
    level = has_all(has, needed) ? TG_CPU_##cap : level;
#include "kernels/levels.def"
    return level;
}

tg_cpu tg__cpu_level(void) { return level_of(features()); }

void tg__kernels_init(tg__kernels *kernels, tg_cpu cap)
{
    unsigned has = features();
    tg_cpu level = level_of(has);
    if (cap != TG_CPU_AUTO && cap < level)
        level = cap;
#define TG_FOLDER(folder, cap, needs, flags)          \
    if (level >= TG_CPU_##cap && has_all(has, needs)) \
        tg__kernels_init_##folder(kernels);
#include "kernels/levels.def"
    kernels->level = level;
}

const tg__attention_kernel *tg__attention_kernel_for(const tg__kernels *kernels,
                                                     const tg__attention *a, bool int8)
{
    enum { INT8_KEYS = 256 }; /* with fewer, rounding the queries takes longer than is gained */
    if (!a->bf16)
        return &kernels->attention_f32;
    return int8 && a->kv_rows >= INT8_KEYS && kernels->attention_int8.run
               ? &kernels->attention_int8
               : &kernels->attention_bf16;
}

/* ---------------------------------------------------------------------------------- GroupNorm */

/* What group_norm_sums took off a channel's values: row 0's. */
static double shift_of(const tg__group_norm *g, int channel)
{
    const void *src = channel < g->a_c ? g->a : g->b;
    int i = channel < g->a_c ? channel : channel - g->a_c;
    double x =
        (double)(g->bf16 ? tg__from_bf16(((const tg__bf16 *)src)[i]) : ((const float *)src)[i]);
    return g->vector ? x + (double)g->vector[channel] : x;
}

/* One value of every slice, added up. */
static double total(const double *sums, size_t slices, size_t stride)
{
    double sum = 0;
    for (size_t i = 0; i < slices; i++)
        sum += sums[i * stride];
    return sum;
}

void tg__group_norm_fold(float *scale, float *offset, const double *sums, size_t slices,
                         const tg__group_norm *g)
{
    int c = g->a_c + g->b_c, group_c = c / g->groups;
    size_t stride = 2 * (size_t)c;
    double rows = (double)g->rows;
    for (int first = 0; first < c; first += group_c) {
        double mean = 0, squares = 0;
        for (int i = first; i < first + group_c; i++)
            mean += shift_of(g, i) + total(sums + i, slices, stride) / rows;
        mean /= group_c;
        /* a channel's squares around its own mean, and that mean's around the group's */
        for (int i = first; i < first + group_c; i++) {
            double from_shift = total(sums + i, slices, stride) / rows;
            double from_mean = shift_of(g, i) + from_shift - mean;
            squares += total(sums + c + i, slices, stride) / rows - from_shift * from_shift +
                       from_mean * from_mean;
        }
        double variance = squares > 0 ? squares / group_c : 0;
        double factor = 1 / sqrt(variance + (double)g->eps);
        for (int i = first; i < first + group_c; i++) {
            double weight = (g->weight ? (double)g->weight[i] : 1) * factor;
            double vector = g->vector ? (double)g->vector[i] : 0;
            scale[i] = (float)weight;
            offset[i] = (float)((vector - mean) * weight + (g->bias ? (double)g->bias[i] : 0));
        }
    }
}
