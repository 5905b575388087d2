/* SPDX-License-Identifier: MIT */
/* How fast attention is on one thread, at the shapes of Stable Diffusion 1.5, and which share of
 * the thread's peak (registers alone, measured in the same run) that is.
 *
 *     bench_attention [LEVEL [RUNS]]      LEVEL: c avx2 avx512 avx512_bf16 (default: all this CPU
 * has)
 *
 * Multiplications are those of both products without padding; packing is part of the time, which is
 * the processor's, so that other programs take nothing away. Printed is the median. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernels/peak.h"

enum { MAX_RUNS = 101 };

typedef struct shape {
    int q_rows, kv_rows, heads, head_dim;
} shape;

static const shape shapes[] = {
    {4096, 4096, 1, 40}, {4096, 4096, 1, 64}, {1024, 1024, 8, 80},  {256, 256, 8, 160},
    {64, 64, 8, 160},    {4096, 77, 8, 40},   {4096, 4096, 1, 512},
};

static const char *const level_names[] = {"auto", "c", "avx2", "avx512", "avx512_bf16", "amx"};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* count values from about -1.7 to 1.7 with variance 1, as q, k and v have behind a norm. */
static void *random_values(size_t count, bool bf16)
{
    char *data = aligned_alloc(64, (count * 4 + 63) / 64 * 64);
    uint32_t state = 1;
    for (size_t i = 0; data && i < count; i++) {
        state = state * 1664525u + 1013904223u;
        float x = ((float)(state >> 8) * 0x1p-24f - 0.5f) * 3.4641f;
        if (bf16)
            ((tg__bf16 *)data)[i] = tg__to_bf16(x);
        else
            ((float *)data)[i] = x;
    }
    return data;
}

static double run_once(const tg__attention *a, const tg__attention_kernel *kernel, void *packed,
                       void *scratch)
{
    clock_t begin = clock();
    for (int head = 0; head < a->heads; head++) {
        kernel->pack(packed, a, 0, head);
        for (int row = 0; row < a->q_rows; row += kernel->q_block) {
            int left = a->q_rows - row;
            kernel->run(a, packed, scratch, 0, head, row,
                        left < kernel->q_block ? left : kernel->q_block);
        }
    }
    return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

/* q, k and v are slices of one matrix, as self-attention has them; in cross-attention q is dense.
 */
static void measure(const tg__kernels *kernels, const shape *s, bool bf16, double peak, int runs)
{
    size_t c = (size_t)s->heads * (size_t)s->head_dim, q_parts = s->q_rows == s->kv_rows ? 3 : 1;
    size_t rows = (size_t)(s->q_rows > s->kv_rows ? s->q_rows : s->kv_rows), size = bf16 ? 2 : 4;
    char *qkv = random_values(rows * 3 * c, bf16), *dst = random_values(rows * c, bf16);
    tg__attention a = {.dst = dst,
                       .q = qkv,
                       .k = qkv + c * size,
                       .v = qkv + 2 * c * size,
                       .dst_stride = c,
                       .q_stride = q_parts * c,
                       .k_stride = 3 * c,
                       .v_stride = 3 * c,
                       .images = 1,
                       .heads = s->heads,
                       .head_dim = s->head_dim,
                       .q_rows = s->q_rows,
                       .kv_rows = s->kv_rows,
                       .scale = 0.15f,
                       .bf16 = bf16};
    const tg__attention_kernel *kernel = bf16 ? &kernels->attention_bf16 : &kernels->attention_f32;
    void *packed = aligned_alloc(64, kernel->packed_bytes(&a) / 64 * 64 + 64);
    void *scratch = aligned_alloc(64, kernel->scratch_bytes(&a) / 64 * 64 + 64);
    if (!qkv || !dst || !packed || !scratch)
        exit(1);
    double seconds[MAX_RUNS];
    for (int i = 0; i < runs; i++)
        seconds[i] = run_once(&a, kernel, packed, scratch);
    qsort(seconds, (size_t)runs, sizeof *seconds, by_value);
    double gmac = 2e-9 * (double)s->q_rows * (double)s->kv_rows * (double)c;
    printf("  %dx%d head %d: %.2f ms, %.1f GMAC/s, %.1f %% (best %.1f %%)\n", s->q_rows, s->kv_rows,
           s->head_dim, seconds[runs / 2] * 1e3, gmac / seconds[runs / 2],
           100 * gmac / seconds[runs / 2] / peak, 100 * gmac / seconds[0] / peak);
    free(qkv);
    free(dst);
    free(packed);
    free(scratch);
}

static void measure_level(tg_cpu level, int runs)
{
    tg__kernels kernels;
    tg__kernels_init(&kernels, level);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        double peak = tg__peak_gmac(bf16 ? kernels.peak_bf16 : kernels.peak_f32, 0.2);
        printf("%s, %s: peak %.1f GMAC/s\n", level_names[level], bf16 ? "bf16" : "f32", peak);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            measure(&kernels, &shapes[i], bf16, peak, runs);
    }
}

int main(int argc, char **argv)
{
    int runs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
    if (runs < 1 || runs > MAX_RUNS)
        return 2;
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++)
        if (argc > 1 ? strcmp(argv[1], level_names[level]) == 0 : level > TG_CPU_C)
            measure_level((tg_cpu)level, runs);
    return 0;
}
