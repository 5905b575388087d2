/* SPDX-License-Identifier: MIT */
#include "cpu/int8.h"

#include "core/parallel.h"
#include "cpu/int8_weights.h"

enum {
    LEAST_CHANNELS = 32, /* of a layer in int8 */
    MOST_TAPS = 64
};

bool tg__int8_takes(const tg__program *program, tg__tensor x, const tg__layer *layer,
                    const tg__product_options *options)
{
    size_t taps = (size_t)layer->kernel * (size_t)layer->kernel;
    bool known = options->activation == TG__LINEAR || options->activation == TG__GEGLU;
    if (layer->kernel == 1 && (options->stride > 1 || options->pad_before || options->pad_after))
        known = false;
    return tg__program_int8(program) && known && x.id && !options->exact && !options->f32 &&
           (int64_t)x.h * x.w > 1 && layer->in >= LEAST_CHANNELS && layer->out >= LEAST_CHANNELS &&
           taps <= MOST_TAPS && taps * ((size_t)x.c + TG__INT8_PIXEL) <= TG__INT8_DEPTH;
}

enum { SRC, RESIDUAL };

typedef struct int8_state {
    tg__product_spec spec;
    tg__byte_map map;
    size_t tap[MOST_TAPS];
    tg__int8_weights weights;
    size_t lines, line;           /* runs of rows that lie behind one another, and rows of one */
    size_t chunk, chunks, groups; /* lines of a piece of work; pieces: chunks times groups */
    int blocks;
} int8_state;

typedef struct int8_job {
    const tg__kernels *kernels;
    const int8_state *state;
    tg__int8_product product;
    const uint8_t *src;
    const float *scale;
    const int32_t *zero;
} int8_job;

static bool is_linear(const tg__product_spec *s) { return s->layer->kernel == 1; }

/* Rows of a line; only a linear layer's last one, a piece of work of its own, may be shorter. */
static size_t line_rows(const int8_state *state, size_t line)
{
    const tg__product_spec *s = &state->spec;
    size_t left = (size_t)s->n * (size_t)s->out_h * (size_t)s->out_w - line * state->line;
    return left < state->line ? left : state->line;
}

/* Line `line` of the output: where its source begins, and its first row in dst. */
static void run_line(const int8_job *job, size_t line, int block)
{
    const int8_state *state = job->state;
    const tg__product_spec *s = &state->spec;
    const tg__byte_map *map = &state->map;
    size_t image = line / (size_t)s->out_h, y = line % (size_t)s->out_h, row = line * state->line;
    size_t rows = line_rows(state, line), source = row, scale = image, step = 0;
    if (is_linear(s)) {
        scale = row;
        step = 1;
    } else {
        size_t h = (size_t)map->h + 2 * (size_t)map->border;
        source = (image * h + y * (size_t)s->stride) * ((size_t)map->w + 2 * (size_t)map->border);
    }
    if (s->phase) {
        size_t py = (size_t)(s->phase - 1) / 2, px = (size_t)(s->phase - 1) % 2;
        row = ((image * (size_t)s->out_h + y) * 2 + py) * 2 * (size_t)s->out_w + px;
    }
    job->kernels->int8_product(&job->product, job->src + source * map->pixel, job->scale + scale,
                               job->zero + scale, step, row, rows, block);
}

static void run_piece(void *context, size_t i, int thread)
{
    (void)thread;
    const int8_job *job = context;
    const int8_state *state = job->state;
    size_t chunk = i % state->chunks, group = i / state->chunks, blocks = (size_t)state->blocks;
    size_t first = chunk * state->chunk, end = first + state->chunk;
    if (end > state->lines)
        end = state->lines;
    if (job->kernels->int8_begin)
        job->kernels->int8_begin(line_rows(state, first));
    for (size_t b = group * blocks / state->groups; b < (group + 1) * blocks / state->groups; b++)
        for (size_t line = first; line < end; line++)
            run_line(job, line, (int)b);
    if (job->kernels->int8_end)
        job->kernels->int8_end();
}

static void int8_run(const tg__program *program, const tg__task *task)
{
    const int8_state *state = task->state;
    const char *start = tg__program_data(program, task->src[SRC]);
    int8_job job = {.kernels = tg__program_kernels(program),
                    .state = state,
                    .src = (const uint8_t *)start + state->map.first,
                    .scale = (const float *)(const void *)start,
                    .zero = (const int32_t *)(const void *)start + state->map.scales};
    int kernel = tg__product_kernel(&state->spec);
    job.product = (tg__int8_product){.dst = tg__program_data(program, task->dst),
                                     .residual = tg__program_data(program, task->src[RESIDUAL]),
                                     .out = task->dst.c,
                                     .glu = state->spec.activation == TG__GEGLU,
                                     .dst_step = state->spec.phase ? 2 : 1,
                                     .bf16 = task->dst.dtype == TG__BF16,
                                     .tap = state->tap,
                                     .taps = kernel * kernel,
                                     .depth = state->map.pixel,
                                     .step = (size_t)state->spec.stride * state->map.pixel,
                                     .weights = state->weights.weights,
                                     .weight_sum = state->weights.sum,
                                     .weight_scale = state->weights.scale,
                                     .bias = state->weights.bias};
    tg__parallel_for(state->chunks * state->groups, run_piece, &job);
}

/* Pieces of about ROWS rows, and so many groups of blocks that all threads find work. */
static void divide(int8_state *state)
{
    enum { ROWS = 128, PIECES = 4 };
    const tg__product_spec *s = &state->spec;
    size_t rows = (size_t)s->n * (size_t)s->out_h * (size_t)s->out_w;
    state->line = (size_t)s->out_w;
    if (is_linear(s))
        state->line = rows < ROWS ? rows : ROWS;
    state->lines = (rows + state->line - 1) / state->line;
    state->chunk = (ROWS + state->line - 1) / state->line;
    state->chunks = (state->lines + state->chunk - 1) / state->chunk;
    state->blocks = (int)(tg__int8_outputs(s->layer) / TG__INT8_BLOCK);
    size_t wanted = PIECES * (size_t)tg__threads();
    state->groups = (wanted + state->chunks - 1) / state->chunks;
    if (state->groups > (size_t)state->blocks)
        state->groups = (size_t)state->blocks;
}

static void int8_prepare(tg__program *program, tg__task *task)
{
    int8_state *state = task->state;
    const tg__product_spec *s = &state->spec;
    int k = tg__product_kernel(s);
    size_t line = ((size_t)state->map.w + 2 * (size_t)state->map.border) * state->map.pixel;
    for (int i = 0; i < k * k; i++) {
        size_t y = (size_t)(i / k + state->map.border - s->pad_top);
        size_t x = (size_t)(i % k + state->map.border - s->pad_left);
        state->tap[i] = y * line + x * state->map.pixel;
    }
    divide(state);
    state->weights = tg__int8_weights_of(program, s);
    tg__tensor residual = task->src[RESIDUAL];
    if (residual.id && tg__program_dies(program, task, residual) &&
        tg__program_is_inner(program, task->dst) &&
        !tg__program_same(program, residual, task->src[SRC]))
        tg__program_alias(program, task->dst, residual);
}

static const tg__op conv2d_op = {"conv2d", int8_prepare, int8_run, NULL};
static const tg__op linear_op = {"linear", int8_prepare, int8_run, NULL};

void tg__int8_record(tg__program *program, const tg__byte_map *x, tg__product_spec spec,
                     tg__tensor residual, tg__tensor dst)
{
    const tg__layer *layer = spec.layer;
    int kernel = tg__product_kernel(&spec);
    tg__task *task = tg__program_record(program, layer->kernel == 1 ? &linear_op : &conv2d_op,
                                        layer->name, sizeof(int8_state));
    if (!task)
        return;
    spec.n = x->n;
    spec.h = x->h;
    spec.w = x->w;
    spec.in_count = x->c;
    *(int8_state *)task->state = (int8_state){.spec = spec, .map = *x};
    task->dst = dst;
    task->src[SRC] = x->tensor;
    task->src[RESIDUAL] = residual;
    task->macs = (int64_t)x->n * spec.out_h * spec.out_w * layer->out * x->c * kernel * kernel;
    task->bytes = (size_t)layer->out * (size_t)(x->c * kernel * kernel);
    tg__set_shape(program, task, "%dx%dx%dx%d to %d k%d s%d int8", x->n, x->h, x->w, x->c,
                  layer->out, kernel, spec.stride);
}
