/* SPDX-License-Identifier: MIT */
/* GroupNorm in two passes over slices of rows (sums, then apply); LayerNorm row by row. */
#include "core/parallel.h"
#include "ops/record.h"

enum { A, B, VECTOR, MODULATE };

typedef struct group_norm_state {
    const tg__norm *norm;
    const float *weight, *bias;
    tg__group_norm_options options;
    size_t slice, slices; /* rows of a slice; slices of an image */
} group_norm_state;

/* Scratch of one image: sums (2c doubles a slice), scale, offset, and modulated weight and bias (c
 * floats each). */
static size_t image_scratch(const group_norm_state *state, size_t c)
{
    return state->slices * 2 * c * sizeof(double) + 4 * c * sizeof(float);
}

typedef struct group_norm_job {
    const tg__plan *plan;
    const tg__node *node;
    const group_norm_state *state;
} group_norm_job;

typedef struct image_scratch_parts {
    double *sums;
    float *scale, *offset, *weight, *bias;
} image_scratch_parts;

static image_scratch_parts scratch_of(const group_norm_job *job, size_t image)
{
    size_t c = (size_t)job->node->dst.c;
    char *start =
        (char *)tg__plan_scratch(job->plan, job->node) + image * image_scratch(job->state, c);
    double *sums = (double *)start;
    float *floats = (float *)(sums + job->state->slices * 2 * c);
    return (image_scratch_parts){sums, floats, floats + c, floats + 2 * c, floats + 3 * c};
}

static const void *image_of(const tg__plan *plan, tg__tensor x, size_t image)
{
    const char *data = tg__plan_data(plan, x);
    return data ? data + (x.n == 1 ? 0 : image) * (tg__bytes(x) / (size_t)x.n) : NULL;
}

static tg__group_norm kernel_arguments(const group_norm_job *job, size_t image)
{
    const tg__node *node = job->node;
    const group_norm_state *state = job->state;
    image_scratch_parts parts = scratch_of(job, image);
    bool modulated = node->src[MODULATE].id != 0;
    return (tg__group_norm){
        .dst = (char *)tg__plan_data(job->plan, node->dst) +
               image * (tg__bytes(node->dst) / (size_t)node->dst.n),
        .a = image_of(job->plan, node->src[A], image),
        .b = image_of(job->plan, node->src[B], image),
        .a_c = node->src[A].c,
        .b_c = node->src[B].c,
        .groups = state->options.groups,
        .rows = (size_t)node->dst.h * (size_t)node->dst.w,
        .vector = image_of(job->plan, node->src[VECTOR], image),
        .weight = modulated ? parts.weight : state->weight,
        .bias = modulated ? parts.bias : state->bias,
        .eps = state->options.eps,
        .silu = state->options.silu,
        .bf16 = node->dst.dtype == TG__BF16,
    };
}

static size_t slice_rows(const group_norm_state *state, size_t first, size_t rows)
{
    return rows - first < state->slice ? rows - first : state->slice;
}

static void sum_slice(void *context, size_t i, int thread)
{
    (void)thread;
    const group_norm_job *job = context;
    size_t image = i / job->state->slices, slice = i % job->state->slices;
    tg__group_norm g = kernel_arguments(job, image);
    size_t c = (size_t)job->node->dst.c, first = slice * job->state->slice;
    tg__plan_kernels(job->plan)->group_norm_sums(scratch_of(job, image).sums + slice * 2 * c, &g,
                                                 first, slice_rows(job->state, first, g.rows));
}

static void apply_slice(void *context, size_t i, int thread)
{
    (void)thread;
    const group_norm_job *job = context;
    size_t image = i / job->state->slices, slice = i % job->state->slices;
    tg__group_norm g = kernel_arguments(job, image);
    image_scratch_parts parts = scratch_of(job, image);
    size_t first = slice * job->state->slice;
    tg__plan_kernels(job->plan)->group_norm_apply(&g, parts.scale, parts.offset, first,
                                                  slice_rows(job->state, first, g.rows));
}

/* norm * (1 + scale) + shift is a norm with another weight and bias. */
static void modulate(const group_norm_job *job, size_t image)
{
    const float *scale = image_of(job->plan, job->node->src[MODULATE], image);
    image_scratch_parts parts = scratch_of(job, image);
    int c = job->node->dst.c;
    for (int i = 0; i < c; i++) {
        parts.weight[i] = job->state->weight[i] * (1 + scale[i]);
        parts.bias[i] = job->state->bias[i] * (1 + scale[i]) + scale[c + i];
    }
}

static void group_norm_run(const tg__plan *plan, const tg__node *node)
{
    const group_norm_state *state = node->state;
    group_norm_job job = {plan, node, state};
    size_t images = (size_t)node->dst.n;
    tg__parallel_for(images * state->slices, sum_slice, &job);
    for (size_t image = 0; image < images; image++) {
        if (node->src[MODULATE].id)
            modulate(&job, image);
        tg__group_norm g = kernel_arguments(&job, image);
        image_scratch_parts parts = scratch_of(&job, image);
        tg__group_norm_fold(parts.scale, parts.offset, parts.sums, state->slices, &g);
    }
    tg__parallel_for(images * state->slices, apply_slice, &job);
}

static void group_norm_prepare(tg__plan *plan, tg__node *node)
{
    enum { SLICE_VALUES = 1 << 16 };
    group_norm_state *state = node->state;
    state->weight = tg__packed_f32(plan, &state->norm->weight, 1);
    state->bias = tg__packed_f32(plan, &state->norm->bias, 1);
    size_t rows = (size_t)node->dst.h * (size_t)node->dst.w, c = (size_t)node->dst.c;
    state->slice = (SLICE_VALUES + c - 1) / c;
    state->slices = (rows + state->slice - 1) / state->slice;
    node->scratch_bytes = (size_t)node->dst.n * image_scratch(state, c);
    if (!node->src[B].id && tg__plan_dies(plan, node, node->src[A]) &&
        tg__plan_is_inner(plan, node->dst))
        tg__plan_alias(plan, node->dst, node->src[A]);
}

static const tg__op group_norm_op = {"group_norm", group_norm_prepare, group_norm_run, NULL};

tg__tensor tg__group_norm_op(tg__plan *plan, tg__tensor a, tg__tensor b, const tg__norm *norm,
                             tg__group_norm_options options)
{
    if (tg__plan_failed(plan) || !a.id)
        return (tg__tensor){0};
    if (a.c + b.c != norm->c || norm->c % options.groups != 0 ||
        (b.id && (b.h != a.h || b.w != a.w || b.n != a.n)))
        tg__shape_error(plan, norm->name, a, b);
    tg__tensor dst = tg__plan_tensor(plan, a.dtype, a.n, a.h, a.w, norm->c);
    tg__node *node = tg__plan_record(plan, &group_norm_op, norm->name, sizeof(group_norm_state));
    if (!node)
        return (tg__tensor){0};
    *(group_norm_state *)node->state = (group_norm_state){.norm = norm, .options = options};
    node->dst = dst;
    node->src[A] = a;
    node->src[B] = b;
    node->src[VECTOR] = options.vector;
    node->src[MODULATE] = options.modulate;
    tg__set_shape(plan, node, "%dx%dx%dx%d", dst.n, dst.h, dst.w, dst.c);
    return dst;
}

/* ---------------------------------------------------------------------------------- LayerNorm */

typedef struct layer_norm_state {
    const tg__norm *norm;
    const float *weight, *bias;
    float eps;
} layer_norm_state;

typedef struct layer_norm_job {
    const tg__kernels *kernels;
    const layer_norm_state *state;
    char *dst;
    const char *src;
    int c;
    size_t row_bytes;
} layer_norm_job;

static void layer_norm_rows(void *context, size_t row, size_t rows)
{
    const layer_norm_job *job = context;
    size_t at = row * job->row_bytes;
    job->kernels->layer_norm(job->dst + at, job->src + at, rows, job->c, job->state->weight,
                             job->state->bias, job->state->eps,
                             job->row_bytes == 2 * (size_t)job->c);
}

static void layer_norm_run(const tg__plan *plan, const tg__node *node)
{
    layer_norm_job job = {.kernels = tg__plan_kernels(plan),
                          .state = node->state,
                          .dst = tg__plan_data(plan, node->dst),
                          .src = tg__plan_data(plan, node->src[0]),
                          .c = node->dst.c,
                          .row_bytes = (size_t)node->dst.c * tg__dtype_size(node->dst.dtype)};
    tg__parallel_rows(tg__rows(node->dst), (1 << 16) / (size_t)node->dst.c + 1, layer_norm_rows,
                      &job);
}

static void layer_norm_prepare(tg__plan *plan, tg__node *node)
{
    layer_norm_state *state = node->state;
    state->weight = tg__packed_f32(plan, &state->norm->weight, 1);
    state->bias = tg__packed_f32(plan, &state->norm->bias, 1);
}

static const tg__op layer_norm_op = {"layer_norm", layer_norm_prepare, layer_norm_run, NULL};

tg__tensor tg__layer_norm(tg__plan *plan, tg__tensor x, const tg__norm *norm, float eps)
{
    if (tg__plan_failed(plan) || !x.id)
        return (tg__tensor){0};
    return tg__layer_norm_into(plan, x, norm, eps,
                               tg__plan_tensor(plan, x.dtype, x.n, x.h, x.w, x.c));
}

tg__tensor tg__layer_norm_into(tg__plan *plan, tg__tensor x, const tg__norm *norm, float eps,
                               tg__tensor dst)
{
    if (tg__plan_failed(plan) || !x.id || !dst.id)
        return (tg__tensor){0};
    if (x.c != norm->c || tg__bytes(x) != tg__bytes(dst))
        tg__shape_error(plan, norm->name, x, (tg__tensor){.c = norm->c});
    tg__node *node = tg__plan_record(plan, &layer_norm_op, norm->name, sizeof(layer_norm_state));
    if (!node)
        return (tg__tensor){0};
    *(layer_norm_state *)node->state = (layer_norm_state){.norm = norm, .eps = eps};
    node->dst = dst;
    node->src[0] = x;
    tg__set_shape(plan, node, "%zux%d", tg__rows(x), x.c);
    return dst;
}
