/* SPDX-License-Identifier: MIT */
#include "ops/int8.h"

#include <math.h>
#include <stdlib.h>

#include "core/parallel.h"
#include "onednn/gather.h"

enum {
    DEPTH = 64,          /* a tap's bytes are a multiple of it */
    SLACK = 32,          /* pixels behind the last one that may be read */
    LEAST_CHANNELS = 32, /* of a layer in int8 */
    MOST_TAPS = 64,
    SLICE_VALUES = 1 << 16 /* of a piece of work */
};

static size_t rounded(size_t n, size_t to) { return (n + to - 1) / to * to; }

bool tg__int8_takes(const tg__plan *plan, tg__tensor x, const tg__layer *layer,
                    const tg__product_options *options)
{
    size_t taps = (size_t)layer->kernel * (size_t)layer->kernel;
    bool known =
        layer->kernel == 1 ? options->stride <= 1 && !options->own_padding : taps <= MOST_TAPS;
    return known && tg__plan_int8(plan) && x.id && !options->exact && !options->f32 &&
           options->activation == TG__LINEAR && layer->in >= LEAST_CHANNELS &&
           layer->out >= LEAST_CHANNELS && (int64_t)x.h * x.w > 1 &&
           taps * rounded((size_t)layer->in, DEPTH) <= TG__INT8_DEPTH;
}

/* --------------------------------------------------------------------------------- quantization */

typedef struct bytes_state {
    tg__byte_map map;
    size_t slice, slices; /* pixels of a slice, slices of an image */
} bytes_state;

typedef struct bytes_job {
    const tg__kernels *kernels;
    const bytes_state *state;
    const char *src;
    size_t src_pixel;
    uint8_t *dst;
    float *scale, *range; /* range: low and high of each slice */
    int32_t *zero;
    bool bf16;
} bytes_job;

/* Low and high to scale and zero point: 0 is a byte exactly, for it surrounds a convolution's map.
 * What is not finite makes a scale that is not, and so the result. */
static void set_scale(const bytes_job *job, size_t i, float low, float high)
{
    float scale = (high - low) / 255;
    job->scale[i] = scale > 0 || !isfinite(scale) ? scale : 1;
    float zero = nearbyintf(-low / job->scale[i]);
    job->zero[i] = zero > 0 && zero <= 255 ? (int32_t)zero : 0;
}

static void write_pixels(const bytes_job *job, uint8_t *dst, const char *src, size_t pixels,
                         size_t scale)
{
    size_t c = (size_t)job->state->map.c, pixel = job->state->map.pixel;
    float factor = 1 / job->scale[scale], zero = (float)job->zero[scale];
    for (size_t i = 0; i < pixels; i++, dst += pixel, src += job->src_pixel) {
        job->kernels->quantize(dst, src, c, factor, zero, job->bf16);
        memset(dst + c, 0, pixel - c);
    }
}

static void bytes_by_row(void *context, size_t row, size_t rows)
{
    const bytes_job *job = context;
    const tg__byte_map *map = &job->state->map;
    for (size_t i = row; i < row + rows; i++) {
        float low = 0, high = 0;
        const char *src = job->src + i * job->src_pixel;
        job->kernels->range(&low, &high, src, (size_t)map->c, job->bf16);
        set_scale(job, i, low, high);
        write_pixels(job, job->dst + i * map->pixel, src, 1, i);
    }
}

static size_t image_pixels(const tg__byte_map *map) { return (size_t)map->h * (size_t)map->w; }

static void range_of_slice(void *context, size_t i, int thread)
{
    (void)thread;
    const bytes_job *job = context;
    const bytes_state *state = job->state;
    size_t pixels = image_pixels(&state->map), image = i / state->slices;
    size_t first = i % state->slices * state->slice, left = pixels - first;
    size_t count = left < state->slice ? left : state->slice;
    float *range = job->range + 2 * i;
    range[0] = range[1] = 0;
    job->kernels->range(&range[0], &range[1], job->src + (image * pixels + first) * job->src_pixel,
                        count * (size_t)state->map.c, job->bf16);
}

/* One line of an image with its border, or a line that is all border. */
static void bytes_of_line(void *context, size_t i, int thread)
{
    (void)thread;
    const bytes_job *job = context;
    const tg__byte_map *map = &job->state->map;
    size_t border = (size_t)map->border, h = (size_t)map->h, w = (size_t)map->w;
    size_t lines = h + 2 * border, line = map->pixel * (w + 2 * border);
    size_t image = i / lines, y = i % lines, edge = border * map->pixel;
    uint8_t *dst = job->dst + i * line;
    int zero = job->zero[image];
    if (y < border || y >= h + border) {
        memset(dst, zero, line);
        return;
    }
    memset(dst, zero, edge);
    write_pixels(job, dst + edge, job->src + (image * h + y - border) * w * job->src_pixel, w,
                 image);
    memset(dst + line - edge, zero, edge);
}

static void bytes_by_image(const bytes_job *job)
{
    const bytes_state *state = job->state;
    size_t n = (size_t)state->map.n;
    tg__parallel_for(n * state->slices, range_of_slice, (void *)job);
    for (size_t image = 0; image < n; image++) {
        float low = 0, high = 0;
        for (size_t i = image * state->slices; i < (image + 1) * state->slices; i++) {
            low = job->range[2 * i] >= low ? low : job->range[2 * i];
            high = job->range[2 * i + 1] <= high ? high : job->range[2 * i + 1];
        }
        set_scale(job, image, low, high);
    }
    size_t lines = (size_t)state->map.h + 2 * (size_t)state->map.border;
    tg__parallel_for(n * lines, bytes_of_line, (void *)job);
}

static void bytes_run(const tg__plan *plan, const tg__node *node)
{
    const bytes_state *state = node->state;
    tg__tensor x = node->src[0];
    char *start = tg__plan_data(plan, node->dst);
    bytes_job job = {.kernels = tg__plan_kernels(plan),
                     .state = state,
                     .src = tg__plan_data(plan, x),
                     .src_pixel = (size_t)x.c * tg__dtype_size(x.dtype),
                     .dst = (uint8_t *)start + state->map.first,
                     .scale = (float *)start,
                     .zero = (int32_t *)start + state->map.scales,
                     .range = tg__plan_scratch(plan, node),
                     .bf16 = x.dtype == TG__BF16};
    if (state->slices)
        bytes_by_image(&job);
    else
        tg__parallel_rows(state->map.scales, SLICE_VALUES / (size_t)x.c + 1, bytes_by_row, &job);
}

static void bytes_prepare(tg__plan *plan, tg__node *node)
{
    (void)plan;
    const bytes_state *state = node->state;
    node->scratch_bytes = (size_t)state->map.n * state->slices * 2 * sizeof(float);
}

static const tg__op bytes_op = {"quantize", bytes_prepare, bytes_run, NULL};

tg__byte_map tg__to_bytes(tg__plan *plan, const char *name, tg__tensor x, int border, bool by_row)
{
    if (tg__plan_failed(plan) || !x.id)
        return (tg__byte_map){0};
    tg__byte_map map = {.n = x.n, .h = x.h, .w = x.w, .c = x.c, .border = border};
    map.pixel = rounded((size_t)x.c, DEPTH);
    map.scales = by_row ? tg__rows(x) : (size_t)x.n;
    map.first = rounded(map.scales * (sizeof(float) + sizeof(int32_t)), 64);
    int64_t lines = (int64_t)x.h + 2 * border, columns = (int64_t)x.w + 2 * border;
    int64_t pixels = x.n * lines * columns + SLACK;
    /* as rows of 64 bytes, for a dimension is an int */
    map.tensor = tg__plan_tensor(plan, TG__U8, 1, 1,
                                 pixels * (int64_t)(map.pixel / 64) + (int64_t)map.first / 64, 64);
    tg__node *node = tg__plan_record(plan, &bytes_op, name, sizeof(bytes_state));
    if (!node)
        return (tg__byte_map){0};
    bytes_state *state = node->state;
    state->map = map;
    if (!by_row) {
        state->slice = SLICE_VALUES / (size_t)x.c + 1;
        state->slices = (image_pixels(&map) + state->slice - 1) / state->slice;
    }
    node->dst = map.tensor;
    node->src[0] = x;
    tg__set_shape(plan, node, "%dx%dx%dx%d", x.n, x.h, x.w, x.c);
    return map;
}

/* -------------------------------------------------------------------------------------- weights */

/* A layer's weights as tg__int8_product has them; behind them, for each output of whole blocks, the
 * scale, the bias and the sum. */
typedef struct weights_job {
    const tg__kernels *kernels;
    const tg__product_spec *spec;
    size_t taps, depth, row_values;
    int8_t *weights;
    float *scale;
    int32_t *sum;
    float *rows; /* a row for each thread */
} weights_job;

static void pack_row(const weights_job *job, size_t row, float *values)
{
    size_t in = (size_t)job->spec->in_count, taps = job->taps;
    float low = 0, high = 0;
    tg__gather_row(values, TG__F32, job->kernels, job->spec, row);
    job->kernels->range(&low, &high, values, in * taps, false);
    float most = high > -low ? high : -low, factor = most > 0 ? 127 / most : 0;
    int8_t *dst = job->weights + row / TG__INT8_BLOCK * TG__INT8_BLOCK * taps * job->depth +
                  row % TG__INT8_BLOCK * 4;
    int32_t sum = 0;
    for (size_t tap = 0; tap < taps; tap++, dst += TG__INT8_BLOCK * job->depth) {
        for (size_t k = 0; k < in; k++) {
            float x = nearbyintf(values[k * taps + tap] * factor);
            int8_t value = x >= 127 ? 127 : x > -127 ? (int8_t)x : -127;
            dst[k / 4 * 4 * TG__INT8_BLOCK + k % 4] = value;
            sum += value;
        }
    }
    job->scale[row] = isfinite(most) ? most / 127 : NAN;
    job->sum[row] = sum;
}

static void pack_block(void *context, size_t block, int thread)
{
    const weights_job *job = context;
    size_t bytes = TG__INT8_BLOCK * job->taps * job->depth, first = block * TG__INT8_BLOCK;
    memset(job->weights + block * bytes, 0, bytes);
    for (size_t i = first; i < first + TG__INT8_BLOCK; i++) {
        job->scale[i] = 0;
        job->sum[i] = 0;
        if (i < (size_t)job->spec->layer->out)
            pack_row(job, i, job->rows + (size_t)thread * job->row_values);
    }
}

typedef struct int8_weights {
    const int8_t *weights;
    const float *scale, *bias; /* bias NULL: none */
    const int32_t *sum;
} int8_weights;

static size_t whole_outputs(const tg__layer *layer)
{
    return rounded((size_t)layer->out, TG__INT8_BLOCK);
}

static int8_weights parts_of(const tg__pack *pack, const tg__product_spec *s)
{
    size_t outputs = whole_outputs(s->layer);
    const char *behind = (const char *)pack->data + pack->bytes - 3 * outputs * sizeof(float);
    const float *scale = (const float *)(const void *)behind;
    return (int8_weights){.weights = pack->data,
                          .scale = scale,
                          .bias = s->layer->has_bias ? scale + outputs : NULL,
                          .sum = (const int32_t *)(const void *)(scale + 2 * outputs)};
}

static void fill_bias(float *dst, const tg__layer *layer)
{
    size_t rows = (size_t)(layer->out / layer->parts);
    memset(dst, 0, whole_outputs(layer) * sizeof *dst);
    for (int p = 0; layer->has_bias && p < layer->parts; p++)
        tg__to_f32_array(dst + (size_t)p * rows, layer->bias[p].data, layer->bias[p].dtype, rows);
}

static tg__pack *pack_weights(tg__plan *plan, const tg__product_spec *s)
{
    enum { FORM = 8 };
    const tg__layer *layer = s->layer;
    tg__packs *packs = &tg__plan_context(plan)->packs;
    tg__pack_key key = {layer->weight[0].data, 0, s->in_count, FORM + 16 * s->phase};
    tg__pack *pack = tg__packs_find(packs, key, 0);
    if (pack)
        return pack;
    size_t outputs = whole_outputs(layer), k = (size_t)tg__product_kernel(s);
    weights_job job = {.kernels = tg__plan_kernels(plan),
                       .spec = s,
                       .taps = k * k,
                       .depth = rounded((size_t)s->in_count, DEPTH),
                       .row_values = (size_t)s->in_count * k * k};
    size_t bytes = outputs * job.taps * job.depth;
    job.rows = tg__aligned((size_t)tg__threads() * job.row_values * sizeof *job.rows);
    if (!job.rows) {
        tg__fail_memory(tg__plan_error(plan));
        return NULL;
    }
    pack = tg__packs_add(packs, key, bytes + 3 * outputs * sizeof(float), 0, tg__plan_error(plan));
    if (pack) {
        job.weights = pack->data;
        job.scale = (float *)(void *)((char *)pack->data + bytes);
        job.sum = (int32_t *)(void *)(job.scale + 2 * outputs);
        fill_bias(job.scale + outputs, layer);
        tg__parallel_for(outputs / TG__INT8_BLOCK, pack_block, &job);
        for (int p = 0; p < layer->parts; p++)
            tg__drop_pages(layer->weight[p].data, layer->weight[p].bytes);
    }
    free(job.rows);
    return pack;
}

/* ------------------------------------------------------------------------------------- products */

enum { SRC, RESIDUAL };

typedef struct int8_state {
    tg__product_spec spec;
    tg__byte_map map;
    size_t tap[MOST_TAPS];
    int8_weights weights;
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

/* Line `line` of the output: where its source begins, and its first row in dst. */
static void run_line(const int8_job *job, size_t line, int block)
{
    const int8_state *state = job->state;
    const tg__product_spec *s = &state->spec;
    const tg__byte_map *map = &state->map;
    size_t image = line / (size_t)s->out_h, y = line % (size_t)s->out_h, row = line * state->line;
    size_t rows = state->line, source = row, scale = image, step = 0;
    if (is_linear(s)) {
        rows = map->scales - row < rows ? map->scales - row : rows;
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
    for (size_t b = group * blocks / state->groups; b < (group + 1) * blocks / state->groups; b++)
        for (size_t line = first; line < end; line++)
            run_line(job, line, (int)b);
}

static void int8_run(const tg__plan *plan, const tg__node *node)
{
    const int8_state *state = node->state;
    const char *start = tg__plan_data(plan, node->src[SRC]);
    size_t taps = (size_t)tg__product_kernel(&state->spec);
    int8_job job = {.kernels = tg__plan_kernels(plan),
                    .state = state,
                    .src = (const uint8_t *)start + state->map.first,
                    .scale = (const float *)(const void *)start,
                    .zero = (const int32_t *)(const void *)start + state->map.scales};
    job.product = (tg__int8_product){.dst = tg__plan_data(plan, node->dst),
                                     .residual = tg__plan_data(plan, node->src[RESIDUAL]),
                                     .out = state->spec.layer->out,
                                     .dst_step = state->spec.phase ? 2 : 1,
                                     .bf16 = node->dst.dtype == TG__BF16,
                                     .tap = state->tap,
                                     .taps = (int)(taps * taps),
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
    state->blocks = (int)(whole_outputs(s->layer) / TG__INT8_BLOCK);
    size_t wanted = PIECES * (size_t)tg__threads();
    state->groups = (wanted + state->chunks - 1) / state->chunks;
    if (state->groups > (size_t)state->blocks)
        state->groups = (size_t)state->blocks;
}

static void int8_prepare(tg__plan *plan, tg__node *node)
{
    int8_state *state = node->state;
    const tg__product_spec *s = &state->spec;
    int k = tg__product_kernel(s);
    size_t line = ((size_t)state->map.w + 2 * (size_t)state->map.border) * state->map.pixel;
    for (int i = 0; i < k * k; i++) {
        size_t y = (size_t)(i / k + state->map.border - s->pad_top);
        size_t x = (size_t)(i % k + state->map.border - s->pad_left);
        state->tap[i] = y * line + x * state->map.pixel;
    }
    divide(state);
    tg__pack *pack = pack_weights(plan, s);
    if (!pack)
        return;
    state->weights = parts_of(pack, s);
    tg__tensor residual = node->src[RESIDUAL];
    if (residual.id && tg__plan_dies(plan, node, residual) && tg__plan_is_inner(plan, node->dst))
        tg__plan_alias(plan, node->dst, residual);
}

static const tg__op int8_conv2d_op = {"conv2d", int8_prepare, int8_run, NULL};
static const tg__op int8_linear_op = {"linear", int8_prepare, int8_run, NULL};

void tg__int8_record(tg__plan *plan, const tg__byte_map *x, tg__product_spec spec,
                     tg__tensor residual, tg__tensor dst)
{
    const tg__layer *layer = spec.layer;
    int kernel = tg__product_kernel(&spec);
    if (residual.id && tg__bytes(residual) != tg__bytes(dst))
        tg__shape_error(plan, layer->name, residual, dst);
    tg__node *node = tg__plan_record(plan, layer->kernel == 1 ? &int8_linear_op : &int8_conv2d_op,
                                     layer->name, sizeof(int8_state));
    if (!node)
        return;
    spec.n = x->n;
    spec.h = x->h;
    spec.w = x->w;
    spec.in_count = x->c;
    *(int8_state *)node->state = (int8_state){.spec = spec, .map = *x};
    node->dst = dst;
    node->src[SRC] = x->tensor;
    node->src[RESIDUAL] = residual;
    node->macs = (int64_t)x->n * spec.out_h * spec.out_w * layer->out * x->c * kernel * kernel;
    tg__set_shape(plan, node, "%dx%dx%dx%d to %d k%d s%d int8", x->n, x->h, x->w, x->c, layer->out,
                  kernel, spec.stride);
}
