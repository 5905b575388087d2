/* SPDX-License-Identifier: MIT */
/* A multiplication here takes at most twice the time of one in oneDNN's bf16, and there are four
 * times fewer: so where there are no tiles (AMX) this is the faster way in both formats. What it
 * costs is memory: 36 weights for 9, of 16 bits where activations are bf16. */
#include "cpu/winograd.h"

#include <stdlib.h>

#include "core/parallel.h"
#include "cpu/record.h"

enum { SIDE = 4, POINTS = 36, TAPS = 9 };
enum { MIN_CHANNELS = 16 }; /* with fewer the transforms take too large a part */

/* Pairs of channels whose weights stay in the cache, and positions that are enough for them. */
enum { FEW_PAIRS = 1 << 15, FEW_POSITIONS = 64 };

/* What a block of tiles may take of the caches nearest to a core, and how many more than that gain
 * nothing. */
enum { BLOCK_BYTES = 3 << 19, MOST_TILES = 48 };

static const tg__winograd_kernel *kernel_of(const tg__program *program, tg__dtype dtype)
{
    const tg__kernels *k = tg__program_kernels(program);
    return dtype == TG__BF16 ? &k->winograd_bf16 : &k->winograd_f32;
}

static int64_t tiles_of(const tg__product_spec *s)
{
    return (int64_t)s->n * ((s->out_h + SIDE - 1) / SIDE) * ((s->out_w + SIDE - 1) / SIDE);
}

/* A map larger than its source: behind a doubling, which needs no map of its own. */
static bool doubles(const tg__product_spec *s)
{
    return s->out_h == 2 * s->h && s->out_w == 2 * s->w;
}

/* Four 2x2 convolutions on the small map are as fast where products are f32's and theirs bf16's,
 * and take less memory; elsewhere half as much is gained as without a doubling. */
static bool enough_positions(const tg__program *program, const tg__product_spec *s)
{
    int64_t positions = (int64_t)s->out_h * s->out_w;
    int64_t least = tg__program_context(program)->winograd_positions;
    if (doubles(s) && s->dtype == TG__BF16 && !kernel_of(program, s->dtype)->words)
        return false;
    if (least > FEW_POSITIONS && (int64_t)s->layer->in * s->layer->out <= FEW_PAIRS)
        least = FEW_POSITIONS;
    return least > 0 && positions >= (doubles(s) ? 2 : 1) * least;
}

bool tg__winograd_fits(const tg__program *program, const tg__product_spec *s)
{
    const tg__winograd_kernel *kernel = kernel_of(program, s->dtype);
    bool tiles = s->dtype == TG__BF16 && tg__program_kernels(program)->level == TG_CPU_AMX;
    bool padded = s->pad_top == 1 && s->pad_left == 1 && s->pad_bottom == 1 && s->pad_right == 1;
    bool all_channels = s->in_first == 0 && s->in_count == s->layer->in;
    return kernel->run && !tiles && s->layer->kernel == 3 && !s->phase && s->stride == 1 &&
           ((s->out_h == s->h && s->out_w == s->w) || doubles(s)) && padded && all_channels &&
           s->activation == TG__LINEAR && s->layer->in >= MIN_CHANNELS &&
           s->layer->out >= MIN_CHANNELS && enough_positions(program, s) &&
           tiles_of(s) < INT32_MAX / 2;
}

void tg__winograd_count(tg__task *task, const tg__product_spec *s)
{
    int64_t pairs = (int64_t)s->layer->in * s->layer->out;
    task->macs = tiles_of(s) * POINTS * pairs;
    task->bytes = POINTS * (size_t)pairs * tg__dtype_size(s->dtype);
    task->more_weights = (POINTS - TAPS) * pairs * (int64_t)tg__dtype_size(s->dtype);
}

/* ------------------------------------------------------------------------------------- packing */

typedef struct pack_job {
    tg__conversions conversions;
    const tg__winograd_kernel *kernel;
    tg__layer_part part;
    const tg__winograd *arguments;
    void *packed;
    float *taps; /* a thread's: (in, 9, panel), then one channel's */
    size_t taps_count;
} pack_job;

static void pack_panel(void *context, size_t index, int thread)
{
    const pack_job *job = context;
    size_t panel = (size_t)job->kernel->panel, n = (size_t)job->part.count * TAPS;
    float *taps = job->taps + (size_t)thread * job->taps_count, *row = taps + n * panel;
    for (size_t lane = 0; lane < panel; lane++) {
        size_t o = index * panel + lane;
        if (o < (size_t)job->part.layer->out)
            tg__gather_row(row, TG__F32, &job->part, o, &job->conversions);
        else
            memset(row, 0, n * sizeof *row);
        for (size_t i = 0; i < n; i++)
            taps[i * panel + lane] = row[i];
    }
    job->kernel->pack(job->packed, job->arguments, (int)index, taps);
}

static bool fill(void *context, void *data, tg__error *error)
{
    pack_job *job = context;
    size_t panel = (size_t)job->kernel->panel, out = (size_t)job->part.layer->out;
    job->packed = data;
    job->taps_count = ((size_t)job->part.count * TAPS * (panel + 1) + 15) / 16 * 16;
    job->taps = tg__aligned((size_t)tg__threads() * job->taps_count * sizeof(float));
    if (!job->taps) {
        tg__fail_memory(error);
        return false;
    }
    tg__parallel_for((out + panel - 1) / panel, pack_panel, job);
    free(job->taps);
    tg__layer_drop(job->part.layer);
    return true;
}

static const void *pack(tg__program *program, const tg__winograd_kernel *kernel,
                        const tg__product_spec *s, const tg__winograd *w)
{
    pack_job job = {.conversions = tg__kernels_conversions(tg__program_kernels(program)),
                    .kernel = kernel,
                    .part = tg__product_part(s),
                    .arguments = w};
    int variant = 4 * kernel->panel + 2 * kernel->words + w->half;
    tg__pack_key key = tg__part_key(&job.part, TG__FORM_WINOGRAD, variant);
    return tg__packs_get(&tg__program_context(program)->packs, key, kernel->packed_bytes(w), fill,
                         &job, tg__program_error(program));
}

/* ------------------------------------------------------------------------------------- running */

/* Blocks of about the same size, as many for each thread. */
static int block_of(const tg__winograd_kernel *kernel, const tg__winograd *w, int64_t tiles)
{
    int64_t most = (int64_t)(BLOCK_BYTES / kernel->tile_bytes(w)), threads = tg__threads();
    most = most < 1 ? 1 : most > MOST_TILES ? MOST_TILES : most;
    int64_t rounds = (tiles + most * threads - 1) / (most * threads);
    return (int)((tiles + rounds * threads - 1) / (rounds * threads));
}

void tg__winograd_prepare(tg__program *program, tg__task *task, tg__winograd_product *product,
                          const tg__product_spec *s)
{
    const tg__winograd_kernel *kernel = kernel_of(program, s->dtype);
    tg__winograd *w = &product->arguments;
    product->kernel = kernel;
    *w = (tg__winograd){.n = s->n,
                        .h = s->out_h,
                        .w = s->out_w,
                        .in = s->layer->in,
                        .out = s->layer->out,
                        .src_bf16 = s->dtype == TG__BF16,
                        .dst_bf16 = s->dst_dtype == TG__BF16,
                        .doubled = doubles(s),
                        .half = s->dtype == TG__BF16};
    w->block = block_of(kernel, w, tiles_of(s));
    w->weights = pack(program, kernel, s, w);
    w->bias = tg__program_bias(program, s);
    product->scratch = (kernel->scratch_bytes(w) + 63) / 64 * 64;
    task->scratch_bytes = (size_t)tg__threads() * product->scratch;
    tg__set_shape(program, task, "%s%s winograd", task->shape, w->doubled ? " doubled" : "");
}

typedef struct run_job {
    const tg__winograd_kernel *kernel;
    tg__winograd arguments;
    char *scratch;
    size_t scratch_bytes;
    int tiles;
} run_job;

static void run_block(void *context, size_t i, int thread)
{
    const run_job *job = context;
    int first = (int)i * job->arguments.block, left = job->tiles - first;
    job->kernel->run(&job->arguments, job->scratch + (size_t)thread * job->scratch_bytes, first,
                     left < job->arguments.block ? left : job->arguments.block);
}

void tg__winograd_run(const tg__program *program, const tg__task *task,
                      const tg__winograd_product *product, void *dst, const void *src,
                      const void *residual)
{
    const tg__winograd *w = &product->arguments;
    run_job job = {product->kernel, *w, tg__program_scratch(program, task), product->scratch,
                   w->n * ((w->h + SIDE - 1) / SIDE) * ((w->w + SIDE - 1) / SIDE)};
    job.arguments.dst = dst;
    job.arguments.src = src;
    job.arguments.residual = residual;
    tg__parallel_for(((size_t)job.tiles + (size_t)w->block - 1) / (size_t)w->block, run_block,
                     &job);
}
