/* SPDX-License-Identifier: MIT */
/* GroupNorm in two passes over slices of rows: sums, then apply. */
#include "core/parallel.h"
#include "cpu/record.h"

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
    const tg__program *program;
    const tg__task *task;
    const group_norm_state *state;
} group_norm_job;

typedef struct image_scratch_parts {
    double *sums;
    float *scale, *offset, *weight, *bias;
} image_scratch_parts;

static image_scratch_parts scratch_of(const group_norm_job *job, size_t image)
{
    size_t c = (size_t)job->task->dst.c;
    char *start =
        (char *)tg__program_scratch(job->program, job->task) + image * image_scratch(job->state, c);
    double *sums = (double *)start;
    float *floats = (float *)(sums + job->state->slices * 2 * c);
    return (image_scratch_parts){sums, floats, floats + c, floats + 2 * c, floats + 3 * c};
}

static const void *image_of(const tg__program *program, tg__tensor x, size_t image)
{
    const char *data = tg__program_data(program, x);
    return data ? data + (x.n == 1 ? 0 : image) * (tg__bytes(x) / (size_t)x.n) : NULL;
}

static tg__group_norm kernel_arguments(const group_norm_job *job, size_t image)
{
    const tg__task *task = job->task;
    const group_norm_state *state = job->state;
    image_scratch_parts parts = scratch_of(job, image);
    bool modulated = task->src[MODULATE].id != 0;
    return (tg__group_norm){
        .dst = (char *)tg__program_data(job->program, task->dst) +
               image * (tg__bytes(task->dst) / (size_t)task->dst.n),
        .a = image_of(job->program, task->src[A], image),
        .b = image_of(job->program, task->src[B], image),
        .a_c = task->src[A].c,
        .b_c = task->src[B].c,
        .groups = state->options.groups,
        .rows = (size_t)task->dst.h * (size_t)task->dst.w,
        .vector = image_of(job->program, task->src[VECTOR], image),
        .weight = modulated ? parts.weight : state->weight,
        .bias = modulated ? parts.bias : state->bias,
        .eps = state->options.eps,
        .silu = state->options.silu,
        .bf16 = task->dst.dtype == TG__BF16,
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
    size_t c = (size_t)job->task->dst.c, first = slice * job->state->slice;
    tg__program_kernels(job->program)
        ->group_norm_sums(scratch_of(job, image).sums + slice * 2 * c, &g, first,
                          slice_rows(job->state, first, g.rows));
}

static void apply_slice(void *context, size_t i, int thread)
{
    (void)thread;
    const group_norm_job *job = context;
    size_t image = i / job->state->slices, slice = i % job->state->slices;
    tg__group_norm g = kernel_arguments(job, image);
    image_scratch_parts parts = scratch_of(job, image);
    size_t first = slice * job->state->slice;
    tg__program_kernels(job->program)
        ->group_norm_apply(&g, parts.scale, parts.offset, first,
                           slice_rows(job->state, first, g.rows));
}

/* norm * (1 + scale) + shift is a norm with another weight and bias. */
static void modulate(const group_norm_job *job, size_t image)
{
    const float *scale = image_of(job->program, job->task->src[MODULATE], image);
    const float *weight = job->state->weight, *bias = job->state->bias;
    image_scratch_parts parts = scratch_of(job, image);
    int c = job->task->dst.c;
    for (int i = 0; i < c; i++) {
        parts.weight[i] = (weight ? weight[i] : 1) * (1 + scale[i]);
        parts.bias[i] = (bias ? bias[i] : 0) * (1 + scale[i]) + scale[c + i];
    }
}

static void group_norm_run(const tg__program *program, const tg__task *task)
{
    const group_norm_state *state = task->state;
    group_norm_job job = {program, task, state};
    size_t images = (size_t)task->dst.n;
    tg__parallel_for(images * state->slices, sum_slice, &job);
    for (size_t image = 0; image < images; image++) {
        if (task->src[MODULATE].id)
            modulate(&job, image);
        tg__group_norm g = kernel_arguments(&job, image);
        image_scratch_parts parts = scratch_of(&job, image);
        tg__group_norm_fold(parts.scale, parts.offset, parts.sums, state->slices, &g);
    }
    tg__parallel_for(images * state->slices, apply_slice, &job);
}

static void group_norm_prepare(tg__program *program, tg__task *task)
{
    enum { SLICE_VALUES = 1 << 16 };
    group_norm_state *state = task->state;
    state->weight = tg__program_values(program, &state->norm->weight);
    state->bias = tg__program_values(program, &state->norm->bias);
    size_t rows = (size_t)task->dst.h * (size_t)task->dst.w, c = (size_t)task->dst.c;
    state->slice = (SLICE_VALUES + c - 1) / c;
    state->slices = (rows + state->slice - 1) / state->slice;
    task->scratch_bytes = (size_t)task->dst.n * image_scratch(state, c);
    if (!task->src[B].id && tg__program_dies(program, task, task->src[A]) &&
        tg__program_is_inner(program, task->dst))
        tg__program_alias(program, task->dst, task->src[A]);
}

static const tg__op group_norm_op = {"group_norm", group_norm_prepare, group_norm_run, NULL};

tg__tensor tg__cpu_group_norm(tg__program *program, tg__tensor a, tg__tensor b,
                              const tg__norm *norm, tg__group_norm_options options)
{
    if (tg__program_failed(program) || !a.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__program_tensor(program, a.dtype, a.n, a.h, a.w, norm->c);
    tg__task *task =
        tg__program_record(program, &group_norm_op, norm->name, sizeof(group_norm_state));
    if (!task)
        return (tg__tensor){0};
    *(group_norm_state *)task->state = (group_norm_state){.norm = norm, .options = options};
    task->dst = dst;
    task->src[A] = a;
    task->src[B] = b;
    task->src[VECTOR] = options.vector;
    task->src[MODULATE] = options.modulate;
    tg__set_shape(program, task, "%dx%dx%dx%d", dst.n, dst.h, dst.w, dst.c);
    return dst;
}
