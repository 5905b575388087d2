/* SPDX-License-Identifier: MIT */
/* How fast Winograd's convolution is on one thread, at shapes of Stable Diffusion 1.5, and which
 * share of the thread's peak of f32 (registers alone, measured in the same run) its products are;
 * those of 16-bit integers, in bf16, can be twice the peak.
 *
 *     bench_winograd [LEVEL [RUNS [CACHE]]]    LEVEL: avx2 avx512 avx512_bf16 (default: what this
 * CPU has); CACHE: bytes that a block of tiles may take
 *
 * Multiplications are those of the products, 36 for each tile and pair of channels; both transforms
 * are part of the time, which is the processor's. Printed is the median and the best. */
#include "kernels/kernels.h"
#include "kernels/peak.h"
#include "one_thread.h"

enum { CACHE = 3 << 19, MOST_TILES = 48 }; /* as in src/ops/winograd.c */

typedef struct shape {
    int n, side, in, out;
} shape;

static const shape shapes[] = {
    {2, 64, 320, 320},  {2, 64, 640, 320},  {2, 64, 960, 320},  {2, 32, 640, 640},
    {1, 128, 512, 512}, {1, 128, 256, 256}, {1, 256, 128, 128},
};

static double run_once(const tg__winograd *w, const tg__winograd_kernel *kernel, void *scratch)
{
    int tiles = w->n * ((w->h + 3) / 4) * ((w->w + 3) / 4);
    clock_t begin = clock();
    for (int tile = 0; tile < tiles; tile += w->block)
        kernel->run(w, scratch, tile, tiles - tile < w->block ? tiles - tile : w->block);
    return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

static void measure(const tg__winograd_kernel *kernel, const shape *s, bool bf16, double peak,
                    int runs, size_t cache)
{
    size_t positions = (size_t)s->n * (size_t)s->side * (size_t)s->side;
    tg__winograd w = {.n = s->n,
                      .h = s->side,
                      .w = s->side,
                      .in = s->in,
                      .out = s->out,
                      .src_bf16 = bf16,
                      .dst_bf16 = bf16,
                      .half = bf16};
    w.block = (int)(cache / kernel->tile_bytes(&w));
    w.block = w.block < 1 ? 1 : w.block > MOST_TILES ? MOST_TILES : w.block;
    int tiles = w.n * (w.h / 4) * (w.w / 4), blocks = (tiles + w.block - 1) / w.block;
    w.block = (tiles + blocks - 1) / blocks;
    void *src = random_values(positions * (size_t)s->in, bf16);
    void *dst = memory(positions * (size_t)s->out * 4);
    void *weights = memory(kernel->packed_bytes(&w)), *scratch = memory(kernel->scratch_bytes(&w));
    float *taps = random_values((size_t)s->in * 9 * (size_t)kernel->panel, false);
    for (int panel = 0; panel * kernel->panel < s->out; panel++)
        kernel->pack(weights, &w, panel, taps);
    w.src = src;
    w.residual = w.dst = dst;
    w.weights = weights;
    double seconds[MAX_RUNS];
    for (int i = 0; i < runs; i++)
        seconds[i] = run_once(&w, kernel, scratch);
    printf("  %dx%dx%d %d to %d, blocks of %d: ", s->n, s->side, s->side, s->in, s->out, w.block);
    print_times(seconds, runs, 36e-9 * tiles * (double)s->in * (double)s->out, peak);
    free(src);
    free(dst);
    free(weights);
    free(scratch);
    free(taps);
}

static void measure_level(tg_cpu level, int runs, size_t cache)
{
    tg__kernels kernels;
    tg__kernels_init(&kernels, level);
    double peak = tg__peak_gmac(kernels.peak_f32, 0.2);
    for (int bf16 = 0; bf16 < 2; bf16++) {
        printf("%s, %s: peak %.1f GMAC/s\n", tg_cpu_name((tg_cpu)level), bf16 ? "bf16" : "f32",
               peak);
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            measure(bf16 ? &kernels.winograd_bf16 : &kernels.winograd_f32, &shapes[i], bf16, peak,
                    runs, cache);
    }
}

int main(int argc, char **argv)
{
    int runs = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 5;
    size_t cache = argc > 3 ? (size_t)strtol(argv[3], NULL, 10) : CACHE;
    if (runs < 1 || runs > MAX_RUNS)
        return 2;
    for (int level = TG_CPU_AVX2; level <= (int)tg__cpu_level(); level++)
        if (argc > 1 ? strcmp(argv[1], tg_cpu_name((tg_cpu)level)) == 0
                     : level < TG_CPU_AVX512_BF16)
            measure_level((tg_cpu)level, runs, cache);
    return 0;
}
