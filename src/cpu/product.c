/* SPDX-License-Identifier: MIT */
/* Convolutions and linear layers: by oneDNN, some by our Winograd, or in plain C where the context
 * has no oneDNN. */
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "cpu/int8.h"
#include "cpu/record.h"
#include "cpu/winograd.h"

typedef struct product_state {
    tg__product_spec spec;
    tg__product *product;       /* oneDNN's */
    const float *weight, *bias; /* plain C's: (k, k, in, out) and out values */
    bool copy;                  /* the residual is needed later: dst starts as its copy */
    bool by_winograd;
    tg__winograd_product winograd;
} product_state;

enum { SRC, RESIDUAL };

/* --------------------------------------------------------------------------------- plain C */

typedef struct pack_job {
    tg__layer_part part;
    tg__conversions conversions;
} pack_job;

static bool fill_plain(void *context, void *data, tg__error *error)
{
    const pack_job *job = context;
    const tg__layer *layer = job->part.layer;
    size_t taps = (size_t)layer->kernel * (size_t)layer->kernel, out = (size_t)layer->out;
    size_t in = (size_t)job->part.count;
    float *dst = data, *row = malloc(in * taps * sizeof *row);
    if (!row) {
        tg__fail_memory(error);
        return false;
    }
    for (size_t o = 0; o < out; o++) {
        tg__gather_row(row, TG__F32, &job->part, o, &job->conversions);
        for (size_t i = 0; i < in; i++)
            for (size_t t = 0; t < taps; t++)
                dst[(t * in + i) * out + o] = row[i * taps + t];
    }
    free(row);
    tg__layer_drop(layer);
    return true;
}

static const float *pack_plain(tg__program *program, const tg__product_spec *s)
{
    pack_job job = {tg__product_part(s), tg__kernels_conversions(tg__program_kernels(program))};
    size_t k = (size_t)s->layer->kernel;
    size_t bytes = (size_t)s->layer->out * (size_t)s->in_count * k * k * sizeof(float);
    return tg__packs_get(&tg__program_context(program)->packs,
                         tg__part_key(&job.part, TG__FORM_PLAIN, 0), bytes, fill_plain, &job,
                         tg__program_error(program));
}

typedef struct plain_job {
    const tg__kernels *kernels;
    const product_state *state;
    float *dst;
    const float *src;
} plain_job;

static void plain_row(void *context, size_t i, int thread)
{
    (void)thread;
    const plain_job *job = context;
    const tg__product_spec *s = &job->state->spec;
    size_t image = i / (size_t)s->out_h;
    int y = (int)(i % (size_t)s->out_h);
    size_t image_in = (size_t)s->h * (size_t)s->w * (size_t)s->in_count;
    size_t row_out = (size_t)s->out_w * (size_t)s->layer->out;
    job->kernels->conv2d_row(job->dst + i * row_out, job->src + image * image_in,
                             job->state->weight, job->state->bias, s->h, s->w, s->in_count,
                             s->out_w, s->layer->out, s->layer->kernel, s->stride, s->pad_top,
                             s->pad_left, y);
}

static void run_plain(const tg__program *program, const tg__task *task)
{
    const product_state *state = task->state;
    const tg__kernels *k = tg__program_kernels(program);
    plain_job job = {k, state, tg__program_data(program, task->dst),
                     tg__program_data(program, task->src[SRC])};
    size_t n = tg__count(task->dst);
    tg__parallel_for((size_t)state->spec.n * (size_t)state->spec.out_h, plain_row, &job);
    tg__activate_values(k, state->spec.activation, job.dst, job.dst, n, false);
    if (task->src[RESIDUAL].id)
        k->add(job.dst, job.dst, tg__program_data(program, task->src[RESIDUAL]), n, false);
}

static void prepare_plain(tg__program *program, tg__task *task)
{
    product_state *state = task->state;
    state->weight = pack_plain(program, &state->spec);
    state->bias = tg__program_bias(program, &state->spec);
}

/* -------------------------------------------------------------------------------- residuals */

/* Whether dst may take the residual's place: nobody needs it any more. */
static bool residual_dies(const tg__program *program, const tg__task *task)
{
    tg__tensor residual = task->src[RESIDUAL];
    return tg__program_dies(program, task, residual) &&
           !tg__program_same(program, residual, task->src[SRC]) &&
           tg__program_is_inner(program, task->dst);
}

/* --------------------------------------------------------------------------------- Winograd */

static void prepare_winograd(tg__program *program, tg__task *task)
{
    product_state *state = task->state;
    if (task->src[RESIDUAL].id && residual_dies(program, task))
        tg__program_alias(program, task->dst, task->src[RESIDUAL]);
    tg__winograd_prepare(program, task, &state->winograd, &state->spec);
}

static void run_winograd(const tg__program *program, const tg__task *task)
{
    const product_state *state = task->state;
    tg__winograd_run(program, task, &state->winograd, tg__program_data(program, task->dst),
                     tg__program_data(program, task->src[SRC]),
                     tg__program_data(program, task->src[RESIDUAL]));
}

/* ---------------------------------------------------------------------------------- oneDNN */

/* oneDNN adds to what dst holds: the residual itself where nobody needs it any more, else its copy
 * (its post-op that reads another tensor leaves the fast f32 convolution for a slower one). */
static void place_residual(tg__program *program, tg__task *task)
{
    product_state *state = task->state;
    tg__tensor residual = task->src[RESIDUAL];
    state->spec.accumulate = residual.id != 0;
    state->copy = residual.id && !residual_dies(program, task);
    if (residual.id && !state->copy)
        tg__program_alias(program, task->dst, residual);
}

static void prepare(tg__program *program, tg__task *task)
{
    product_state *state = task->state;
    tg__context *context = tg__program_context(program);
    if (state->by_winograd) {
        prepare_winograd(program, task);
        return;
    }
    if (!context->dnnl) {
        prepare_plain(program, task);
        return;
    }
    place_residual(program, task);
    state->product =
        tg__product_new(context->dnnl, &context->packs, &state->spec, tg__program_error(program));
    if (!state->product)
        return;
    task->scratch_bytes = tg__product_scratch_bytes(state->product);
    tg__set_shape(program, task, "%s %s", task->shape, tg__product_implementation(state->product));
}

enum { COPY_BYTES = 1 << 18 };

typedef struct copy_job {
    char *dst;
    const char *src;
} copy_job;

static void copy_bytes(void *context, size_t first, size_t n)
{
    const copy_job *job = context;
    memcpy(job->dst + first, job->src + first, n);
}

static void run(const tg__program *program, const tg__task *task)
{
    const product_state *state = task->state;
    if (state->by_winograd) {
        run_winograd(program, task);
        return;
    }
    if (!state->product) {
        run_plain(program, task);
        return;
    }
    char *dst = tg__program_data(program, task->dst);
    if (state->copy) {
        copy_job job = {dst, tg__program_data(program, task->src[RESIDUAL])};
        tg__parallel_rows(tg__bytes(task->dst), COPY_BYTES, copy_bytes, &job);
    }
    tg__product_run(state->product, dst, tg__program_data(program, task->src[SRC]),
                    tg__program_scratch(program, task));
}

static void release(tg__task *task) { tg__product_free(((product_state *)task->state)->product); }

static const tg__op conv2d_op = {"conv2d", prepare, run, release};
static const tg__op linear_op = {"linear", prepare, run, release};

/* ------------------------------------------------------------------------------- recording */

/* A task for spec; the rest of it follows from x and dst. */
static tg__tensor record_spec(tg__program *program, tg__tensor x, tg__product_spec spec,
                              tg__tensor residual, tg__tensor dst)
{
    const tg__layer *layer = spec.layer;
    int kernel = tg__product_kernel(&spec);
    tg__task *task = tg__program_record(program, layer->kernel == 1 ? &linear_op : &conv2d_op,
                                        layer->name, sizeof(product_state));
    if (!task)
        return (tg__tensor){0};
    spec.in_count = x.c;
    spec.dtype = x.dtype;
    spec.dst_dtype = dst.dtype;
    spec.n = x.n;
    spec.h = x.h;
    spec.w = x.w;
    product_state *state = task->state;
    state->spec = spec;
    state->by_winograd = tg__winograd_fits(program, &spec);
    task->dst = dst;
    task->src[SRC] = x;
    task->src[RESIDUAL] = residual;
    task->macs = (int64_t)tg__count(dst) * x.c * kernel * kernel;
    task->bytes = (size_t)layer->out * (size_t)(x.c * kernel * kernel) * tg__dtype_size(x.dtype);
    if (state->by_winograd)
        tg__winograd_count(task, &spec);
    tg__set_shape(program, task, "%dx%dx%dx%d to %d k%d s%d", x.n, x.h, x.w, x.c, layer->out,
                  kernel, spec.stride);
    return dst;
}

/* x holds the layer's input channels from first on. */
static tg__tensor record(tg__program *program, tg__tensor x, const tg__layer *layer, int first,
                         bool bias, tg__product_options o)
{
    if (tg__program_failed(program) || !x.id)
        return (tg__tensor){0};
    bool int8 = tg__int8_takes(program, x, layer, &o);
    bool glu = tg__activation_halves(o.activation);
    if (glu && !int8) {
        tg__activation activation = o.activation;
        o.activation = TG__LINEAR;
        return tg__cpu_geglu(program, layer->name, record(program, x, layer, first, bias, o),
                             activation);
    }
    int stride = o.stride ? o.stride : 1;
    int before = o.own_padding ? o.pad_before : layer->kernel / 2;
    int after = o.own_padding ? o.pad_after : layer->kernel / 2;
    int h = x.h + before + after - layer->kernel, w = x.w + before + after - layer->kernel;
    tg__product_spec spec = {.layer = layer,
                             .in_first = first,
                             .bias = bias,
                             .out_h = h / stride + 1,
                             .out_w = w / stride + 1,
                             .stride = stride,
                             .pad_top = before,
                             .pad_left = before,
                             .pad_bottom = after,
                             .pad_right = after,
                             .activation = o.activation,
                             .in_count = x.c,
                             .dtype = x.dtype,
                             .n = x.n,
                             .h = x.h,
                             .w = x.w};
    if (int8 && tg__winograd_fits(program, &spec))
        int8 = false;
    tg__dtype dtype = o.f32 ? TG__F32 : tg__program_dtype(program);
    tg__tensor dst = o.into.id ? o.into
                               : tg__program_tensor(program, dtype, x.n, spec.out_h, spec.out_w,
                                                    glu ? layer->out / 2 : layer->out);
    if (!int8)
        return record_spec(program, x, spec, o.residual, dst);
    int border = before > after ? before : after;
    tg__byte_map bytes = tg__to_bytes(program, layer->name, x, border, layer->kernel == 1);
    tg__int8_record(program, &bytes, spec, o.residual, dst);
    return dst;
}

tg__tensor tg__cpu_conv2d(tg__program *program, tg__tensor x, const tg__layer *layer,
                          tg__product_options options)
{
    return record(program, x, layer, 0, true, options);
}

tg__tensor tg__cpu_conv2d_pair(tg__program *program, tg__tensor a, tg__tensor b,
                               const tg__layer *layer)
{
    if (!b.id)
        return tg__cpu_conv2d(program, a, layer, (tg__product_options){.exact = true});
    tg__tensor sum = record(program, a, layer, 0, true, (tg__product_options){.exact = true});
    return record(program, b, layer, a.c, false,
                  (tg__product_options){.exact = true, .residual = sum});
}

/* The phase (py, px) of a doubling of x and a 3x3 convolution: a map of x's size. */
static tg__product_spec phase_of(tg__tensor x, const tg__layer *layer, int py, int px)
{
    return (tg__product_spec){.layer = layer,
                              .bias = true,
                              .phase = 1 + 2 * py + px,
                              .out_h = x.h,
                              .out_w = x.w,
                              .stride = 1,
                              .pad_top = 1 - py,
                              .pad_left = 1 - px,
                              .pad_bottom = py,
                              .pad_right = px};
}

static tg__tensor upsample_int8(tg__program *program, tg__tensor x, const tg__layer *layer)
{
    tg__tensor dst = tg__program_tensor(program, tg__program_dtype(program), x.n, 2 * (int64_t)x.h,
                                        2 * (int64_t)x.w, layer->out);
    tg__byte_map bytes = tg__to_bytes(program, layer->name, x, 1, false);
    for (int i = 0; i < 4; i++)
        tg__int8_record(program, &bytes, phase_of(x, layer, i / 2, i % 2), (tg__tensor){0}, dst);
    return dst;
}

/* A doubling of x and a 3x3 convolution as one product. */
static tg__product_spec doubled_of(tg__tensor x, const tg__layer *layer, int h, int w)
{
    return (tg__product_spec){.layer = layer,
                              .in_count = x.c,
                              .bias = true,
                              .dtype = x.dtype,
                              .n = x.n,
                              .h = x.h,
                              .w = x.w,
                              .out_h = h,
                              .out_w = w,
                              .stride = 1,
                              .pad_top = 1,
                              .pad_left = 1,
                              .pad_bottom = 1,
                              .pad_right = 1};
}

tg__tensor tg__cpu_upsample_conv2d(tg__program *program, tg__tensor x, const tg__layer *layer,
                                   int h, int w)
{
    bool doubles = h == 2 * x.h && w == 2 * x.w && layer->kernel == 3;
    bool plain = tg__program_kernels(program)->level == TG_CPU_C; /* the oracle: it does as told */
    if (!doubles || plain) {
        x = tg__cpu_upsample(program, layer->name, x, h, w);
        return tg__cpu_conv2d(program, x, layer, (tg__product_options){0});
    }
    if (tg__int8_takes(program, x, layer, &(tg__product_options){0}))
        return upsample_int8(program, x, layer);
    tg__product_spec whole = doubled_of(x, layer, h, w);
    if (tg__winograd_fits(program, &whole)) {
        tg__tensor dst =
            tg__program_tensor(program, tg__program_dtype(program), x.n, h, w, layer->out);
        return record_spec(program, x, whole, (tg__tensor){0}, dst);
    }
    tg__tensor phases[4];
    for (int i = 0; i < 4; i++) {
        phases[i] =
            tg__program_tensor(program, tg__program_dtype(program), x.n, x.h, x.w, layer->out);
        phases[i] =
            record_spec(program, x, phase_of(x, layer, i / 2, i % 2), (tg__tensor){0}, phases[i]);
    }
    return tg__cpu_interleave(program, layer->name, phases);
}
