/* SPDX-License-Identifier: MIT */
/* Which kernels this CPU runs. A level counts only if the operating system saves its registers:
 * __builtin_cpu_supports looks at that for AVX and AVX-512, and AMX must be asked for.
 *
 * The dot product of bf16 pairs (vdpbf16ps) is not faster everywhere: on AMD's CPUs that have it,
 * it does twice the multiplications of an f32 FMA in the same time, on Intel's half as many. So
 * AMD's (and nobody else's) use it for attention and call bf16 fast; what has AMX calls bf16 fast
 * because all products then run in tiles. */
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

tg_cpu tg__cpu_level(void)
{
    __builtin_cpu_init();
    if (!has_avx2())
        return TG_CPU_C;
    if (!has_avx512())
        return TG_CPU_AVX2;
    if (!__builtin_cpu_supports("avx512bf16"))
        return TG_CPU_AVX512;
    return has_amx() ? TG_CPU_AMX : TG_CPU_AVX512_BF16;
}

void tg__kernels_init(tg__kernels *kernels, tg_cpu cap)
{
    tg_cpu level = tg__cpu_level();
    if (cap != TG_CPU_AUTO && cap < level)
        level = cap;
    tg__kernels_init_c(kernels);
    kernels->level = level;
    if (level < TG_CPU_AVX2)
        return;
    tg__kernels_init_avx2(kernels);
    if (level < TG_CPU_AVX512)
        return;
    tg__kernels_init_avx512(kernels);
    if (__builtin_cpu_supports("avx512vnni")) {
        tg__kernels_init_avx512_vnni(kernels);
        tg__kernels_init_winograd_vnni(kernels);
        tg__kernels_init_vnni_peak(kernels);
    }
    if (level < TG_CPU_AVX512_BF16)
        return;
    if (__builtin_cpu_supports("avx512vnni")) {
        tg__kernels_init_avx512_vnni_bf16(kernels);
        tg__kernels_init_winograd_vnni_bf16(kernels);
    }
    bool dot_fast = __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512vbmi") &&
                    __builtin_cpu_supports("avx512vnni");
    if (dot_fast) {
        tg__kernels_init_avx512_bf16(kernels);
        tg__kernels_init_attention_int8(kernels);
    }
    if (level == TG_CPU_AMX) {
        tg__kernels_init_amx(kernels);
        tg__kernels_init_amx_peaks(kernels);
        tg__kernels_init_amx_int8(kernels);
    }
    kernels->bf16_fast = dot_fast || level == TG_CPU_AMX;
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
