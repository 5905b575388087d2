/* SPDX-License-Identifier: MIT */
/* How fast attention is on one thread, at the shapes of Stable Diffusion 1.5, and which share of
 * the thread's peak (registers alone, measured in the same run) that is.
 *
 *     bench_attention [LEVEL [RUNS]]      LEVEL: c avx2 avx512 avx512_bf16 (default: all this CPU
 * has)
 *
 * Multiplications are those of both products without padding; packing is part of the time, which is
 * the processor's, so that other programs take nothing away. Printed is the median. */
#include "kernels/peak.h"
#include "one_thread.h"

typedef struct shape {
    int q_rows, kv_rows, heads, head_dim;
} shape;

static const shape shapes[] = {
    {4096, 4096, 1, 40}, {4096, 4096, 1, 64}, {1024, 1024, 8, 80},  {256, 256, 8, 160},
    {64, 64, 8, 160},    {4096, 77, 8, 40},   {4096, 4096, 1, 512},
};

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
static void measure(const tg__attention_kernel *kernel, const shape *s, bool bf16, double peak,
                    int runs)
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
    void *packed = memory(kernel->packed_bytes(&a) + 64),
         *scratch = memory(kernel->scratch_bytes(&a));
    double seconds[MAX_RUNS];
    for (int i = 0; i < runs; i++)
        seconds[i] = run_once(&a, kernel, packed, scratch);
    printf("  %dx%d head %d: ", s->q_rows, s->kv_rows, s->head_dim);
    print_times(seconds, runs, 2e-9 * (double)s->q_rows * (double)s->kv_rows * (double)c, peak);
    free(qkv);
    free(dst);
    free(packed);
    free(scratch);
}

static void measure_shapes(const tg__attention_kernel *kernel, const char *level, const char *dtype,
                           bool bf16, double peak, int runs)
{
    printf("%s, %s: peak %.1f GMAC/s\n", level, dtype, peak);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        measure(kernel, &shapes[i], bf16, peak, runs);
}

static void measure_level(tg_cpu level, int runs)
{
    tg__kernels k;
    tg__kernels_init(&k, level);
    double f32 = tg__peak_gmac(k.peak_f32, 0.2), bf16 = tg__peak_gmac(k.peak_bf16, 0.2);
    measure_shapes(&k.attention_f32, tg_cpu_name((tg_cpu)level), "f32", false, f32, runs);
    measure_shapes(&k.attention_bf16, tg_cpu_name((tg_cpu)level), "bf16", true, bf16, runs);
    if (k.attention_int8.run) /* as a share of bf16's peak, for so half of the products are */
        measure_shapes(&k.attention_int8, tg_cpu_name((tg_cpu)level), "bf16, scores int8", true,
                       bf16, runs);
}

int main(int argc, char **argv)
{
    int runs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
    if (runs < 1 || runs > MAX_RUNS)
        return 2;
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++)
        if (argc > 1 ? strcmp(argv[1], tg_cpu_name((tg_cpu)level)) == 0 : level > TG_CPU_C)
            measure_level((tg_cpu)level, runs);
    return 0;
}
