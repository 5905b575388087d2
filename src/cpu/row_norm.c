/* SPDX-License-Identifier: MIT */
/* Norms of each position's channels: LayerNorm, also modulated, and RMSNorm. */
#include "cpu/record.h"

enum { X, SHIFT, SCALE };

typedef struct row_norm_state {
    const tg__norm *norm;
    const float *weight, *bias; /* NULL: 1 and 0 */
    float eps;
    int shift_first, scale_first;
    bool rms;
} row_norm_state;

typedef struct row_norm_job {
    const tg__kernels *kernels;
    const row_norm_state *state;
    const float *weight, *bias;
    char *dst;
    const char *src;
    int c;
    size_t row_bytes;
    bool bf16;
} row_norm_job;

static void norm_rows(void *context, size_t row, size_t rows)
{
    const row_norm_job *job = context;
    size_t at = row * job->row_bytes;
    if (job->state->rms)
        job->kernels->rms_norm(job->dst + at, job->src + at, rows, job->c, job->weight,
                               job->state->eps, job->bf16);
    else
        job->kernels->layer_norm(job->dst + at, job->src + at, rows, job->c, job->weight, job->bias,
                                 job->state->eps, job->bf16);
}

static void run_rows(row_norm_job *job, size_t rows)
{
    enum { PIECE = 1 << 16 };
    tg__parallel_rows(rows, PIECE / (size_t)job->c + 1, norm_rows, job);
}

/* A source that is one vector for all images, or one for each. */
static const float *vector_of(const tg__program *program, tg__tensor x, int first, size_t image)
{
    const float *data = tg__program_data(program, x);
    return data + (x.n == 1 ? 0 : image) * (size_t)x.c + first;
}

/* norm * (1 + scale) + shift is a norm with another weight and bias. */
static void modulate(const tg__program *program, const tg__task *task, size_t image, float *weight,
                     float *bias)
{
    const row_norm_state *state = task->state;
    const float *shift = vector_of(program, task->src[SHIFT], state->shift_first, image);
    const float *scale = vector_of(program, task->src[SCALE], state->scale_first, image);
    for (int i = 0; i < task->dst.c; i++) {
        weight[i] = (state->weight ? state->weight[i] : 1) * (1 + scale[i]);
        bias[i] = (state->bias ? state->bias[i] : 0) * (1 + scale[i]) + shift[i];
    }
}

static void row_norm_run(const tg__program *program, const tg__task *task)
{
    const row_norm_state *state = task->state;
    size_t size = tg__dtype_size(task->dst.dtype), images = (size_t)task->dst.n;
    row_norm_job job = {.kernels = tg__program_kernels(program),
                        .state = state,
                        .weight = state->weight,
                        .bias = state->bias,
                        .dst = tg__program_data(program, task->dst),
                        .src = tg__program_data(program, task->src[X]),
                        .c = task->dst.c,
                        .row_bytes = (size_t)task->dst.c * size,
                        .bf16 = task->dst.dtype == TG__BF16};
    if (!task->src[SCALE].id) {
        run_rows(&job, tg__rows(task->dst));
        return;
    }
    float *weight = tg__program_scratch(program, task), *bias = weight + job.c;
    size_t rows = tg__rows(task->dst) / images;
    job.weight = weight;
    job.bias = bias;
    for (size_t image = 0; image < images; image++) {
        modulate(program, task, image, weight, bias);
        run_rows(&job, rows);
        job.dst += rows * job.row_bytes;
        job.src += rows * job.row_bytes;
    }
}

static void row_norm_prepare(tg__program *program, tg__task *task)
{
    row_norm_state *state = task->state;
    state->weight = tg__program_values(program, &state->norm->weight);
    state->bias = tg__program_values(program, &state->norm->bias);
    if (task->src[SCALE].id)
        task->scratch_bytes = 2 * (size_t)task->dst.c * sizeof(float);
}

static const tg__op layer_norm_op = {"layer_norm", row_norm_prepare, row_norm_run, NULL};
static const tg__op rms_norm_op = {"rms_norm", row_norm_prepare, row_norm_run, NULL};

static tg__tensor record(tg__program *program, const tg__op *op, tg__tensor x, const tg__norm *norm,
                         tg__row_norm_options o)
{
    if (tg__program_failed(program) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst = o.into.id ? o.into : tg__program_tensor(program, x.dtype, x.n, x.h, x.w, x.c);
    tg__task *task = tg__program_record(program, op, norm->name, sizeof(row_norm_state));
    if (!task)
        return (tg__tensor){0};
    *(row_norm_state *)task->state = (row_norm_state){.norm = norm,
                                                      .eps = o.eps,
                                                      .shift_first = o.shift.first,
                                                      .scale_first = o.scale.first,
                                                      .rms = op == &rms_norm_op};
    task->dst = dst;
    task->src[X] = x;
    task->src[SHIFT] = o.shift.tensor;
    task->src[SCALE] = o.scale.tensor;
    tg__set_shape(program, task, "%zux%d", tg__rows(x), x.c);
    return dst;
}

tg__tensor tg__cpu_layer_norm(tg__program *program, tg__tensor x, const tg__norm *norm,
                              tg__row_norm_options options)
{
    return record(program, &layer_norm_op, x, norm, options);
}

tg__tensor tg__cpu_rms_norm(tg__program *program, tg__tensor x, const tg__norm *norm, float eps)
{
    return record(program, &rms_norm_op, x, norm, (tg__row_norm_options){.eps = eps});
}
