/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "cpu/record.h"

typedef struct formats {
    tg__dtype dst, src;
} formats;

typedef struct elementwise_state {
    float factor;
    formats formats;
    int gate_first; /* gated_add */
    tg__activation activation;
    const tg__weight *table; /* add_table */
    const float *values;     /* the same in f32 */
} elementwise_state;

typedef struct job {
    const tg__kernels *kernels;
    const elementwise_state *state;
    char *dst;
    const char *a, *b;
    const float *gate;
    size_t size; /* of an element */
    int c;
} job;

enum { PIECE = 1 << 16 }; /* values: two operands of it stay in L2 */

static job job_of(const tg__program *program, const tg__task *task)
{
    return (job){.kernels = tg__program_kernels(program),
                 .state = task->state,
                 .dst = tg__program_data(program, task->dst),
                 .a = tg__program_data(program, task->src[0]),
                 .b = tg__program_data(program, task->src[1]),
                 .size = tg__dtype_size(task->dst.dtype),
                 .c = task->dst.c};
}

static tg__task *record(tg__program *program, const tg__op *op, const char *name, tg__tensor dst,
                        tg__tensor a, tg__tensor b)
{
    tg__task *task = tg__program_record(program, op, name, sizeof(elementwise_state));
    if (!task)
        return NULL;
    task->dst = dst;
    task->src[0] = a;
    task->src[1] = b;
    tg__set_shape(program, task, "%dx%dx%dx%d", dst.n, dst.h, dst.w, dst.c);
    return task;
}

static tg__tensor same_shape(tg__program *program, tg__tensor x)
{
    return tg__program_tensor(program, x.dtype, x.n, x.h, x.w, x.c);
}

/* Where the first source dies the result takes its place. */
static void prepare_in_place(tg__program *program, tg__task *task)
{
    if (tg__program_dies(program, task, task->src[0]) && tg__program_is_inner(program, task->dst))
        tg__program_alias(program, task->dst, task->src[0]);
}

/* -------------------------------------------------------------------------------------- geglu */

static void geglu_rows(void *context, size_t row, size_t rows)
{
    const job *j = context;
    size_t width = (size_t)j->c * j->size;
    void (*geglu)(void *, const void *, size_t, int, bool) =
        j->state->activation == TG__GEGLU ? j->kernels->geglu : j->kernels->geglu_tanh;
    geglu(j->dst + row * width, j->a + row * 2 * width, rows, j->c, j->size == 2);
}

static void geglu_run(const tg__program *program, const tg__task *task)
{
    job j = job_of(program, task);
    tg__parallel_rows(tg__rows(task->dst), PIECE / (size_t)j.c + 1, geglu_rows, &j);
}

static const tg__op geglu_op = {"geglu", NULL, geglu_run, NULL};

tg__tensor tg__cpu_geglu(tg__program *program, const char *name, tg__tensor x,
                         tg__activation activation)
{
    if (tg__program_failed(program) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__program_tensor(program, x.dtype, x.n, x.h, x.w, x.c / 2);
    tg__task *task = record(program, &geglu_op, name, dst, x, (tg__tensor){0});
    if (!task)
        return (tg__tensor){0};
    ((elementwise_state *)task->state)->activation = activation;
    return dst;
}

/* ---------------------------------------------------------------------------------------- add */

static void add_values(void *context, size_t first, size_t n)
{
    const job *j = context;
    size_t at = first * j->size;
    j->kernels->add(j->dst + at, j->a + at, j->b + at, n, j->size == 2);
}

/* The second source may be one image for all. */
static void add_run(const tg__program *program, const tg__task *task)
{
    job j = job_of(program, task);
    tg__tensor x = task->src[0], y = task->src[1];
    size_t images = y.n == x.n ? 1 : (size_t)x.n, n = tg__count(x) / images;
    for (size_t i = 0; i < images; i++) {
        tg__parallel_rows(n, PIECE, add_values, &j);
        j.dst += n * j.size;
        j.a += n * j.size;
    }
}

static const tg__op add_op = {"add", prepare_in_place, add_run, NULL};

tg__tensor tg__cpu_add(tg__program *program, const char *name, tg__tensor a, tg__tensor b)
{
    if (tg__program_failed(program) || !a.id || !b.id)
        return (tg__tensor){0};
    tg__tensor dst = same_shape(program, a);
    return record(program, &add_op, name, dst, a, b) ? dst : (tg__tensor){0};
}

/* ---------------------------------------------------------------------------------- gated add */

enum { GATE = 2 };

static void gated_rows(void *context, size_t row, size_t rows)
{
    const job *j = context;
    size_t at = row * (size_t)j->c * j->size;
    j->kernels->gated_add(j->dst + at, j->b + at, j->a + at, j->gate, rows, j->c, j->size == 2);
}

static void gated_run(const tg__program *program, const tg__task *task)
{
    job j = job_of(program, task);
    tg__tensor gate = task->src[GATE];
    size_t images = (size_t)task->dst.n, rows = tg__rows(task->dst) / images;
    size_t bytes = rows * (size_t)j.c * j.size;
    const float *gates = (const float *)tg__program_data(program, gate) + j.state->gate_first;
    for (size_t i = 0; i < images; i++) {
        j.gate = gates + (gate.n == 1 ? 0 : i * (size_t)gate.c);
        tg__parallel_rows(rows, PIECE / (size_t)j.c + 1, gated_rows, &j);
        j.dst += bytes;
        j.a += bytes;
        j.b += bytes;
    }
}

static const tg__op gated_op = {"gated_add", prepare_in_place, gated_run, NULL};

tg__tensor tg__cpu_gated_add(tg__program *program, const char *name, tg__tensor residual,
                             tg__tensor x, tg__slice gate)
{
    if (tg__program_failed(program) || !x.id || !residual.id || !gate.tensor.id)
        return (tg__tensor){0};
    tg__tensor dst = same_shape(program, x);
    tg__task *task = record(program, &gated_op, name, dst, x, residual);
    if (!task)
        return (tg__tensor){0};
    task->src[GATE] = gate.tensor;
    ((elementwise_state *)task->state)->gate_first = gate.first;
    return dst;
}

/* ----------------------------------------------------------------------------- mean of halves */

static void mean_values(void *context, size_t first, size_t n)
{
    const job *j = context;
    size_t at = first * j->size;
    j->kernels->mean(j->dst + at, j->a + at, j->b + at, n, j->size == 2);
}

static void mean_run(const tg__program *program, const tg__task *task)
{
    job j = job_of(program, task);
    j.b = j.a + tg__bytes(task->dst);
    tg__parallel_rows(tg__count(task->dst), PIECE, mean_values, &j);
}

static const tg__op mean_op = {"mean", NULL, mean_run, NULL};

tg__tensor tg__cpu_mean_halves(tg__program *program, const char *name, tg__tensor x,
                               tg__tensor into)
{
    if (tg__program_failed(program) || !x.id || !into.id)
        return (tg__tensor){0};
    return record(program, &mean_op, name, into, x, (tg__tensor){0}) ? into : (tg__tensor){0};
}

/* -------------------------------------------------------------------------- tables and vectors */

static void table_prepare(tg__program *program, tg__task *task)
{
    elementwise_state *state = task->state;
    state->values = tg__program_values(program, state->table);
}

static void table_run(const tg__program *program, const tg__task *task)
{
    const elementwise_state *state = task->state;
    const float *x = tg__program_data(program, task->src[0]);
    float *dst = tg__program_data(program, task->dst);
    size_t values = (size_t)task->dst.c, c = (size_t)task->src[0].c;
    for (size_t n = 0; n < (size_t)task->dst.n; n++)
        for (size_t i = 0; i < values; i++)
            dst[n * values + i] = state->values[i] + x[n * c + i % c];
}

static const tg__op table_op = {"add_table", table_prepare, table_run, NULL};

tg__tensor tg__cpu_add_table(tg__program *program, const char *name, tg__tensor x,
                             const tg__weight *table, int values)
{
    if (tg__program_failed(program) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__program_tensor(program, TG__F32, x.n, 1, 1, values);
    tg__task *task = record(program, &table_op, name, dst, x, (tg__tensor){0});
    if (!task)
        return (tg__tensor){0};
    ((elementwise_state *)task->state)->table = table;
    return dst;
}

static void join_run(const tg__program *program, const tg__task *task)
{
    job j = job_of(program, task);
    size_t a = (size_t)task->src[0].c * j.size, b = (size_t)task->src[1].c * j.size;
    for (size_t n = 0; n < (size_t)task->dst.n; n++) {
        memcpy(j.dst + n * (a + b), j.a + n * a, a);
        memcpy(j.dst + n * (a + b) + a, j.b + n * b, b);
    }
}

static const tg__op join_op = {"join", NULL, join_run, NULL};

tg__tensor tg__cpu_join(tg__program *program, const char *name, tg__tensor a, tg__tensor b)
{
    if (tg__program_failed(program) || !a.id || !b.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__program_tensor(program, a.dtype, a.n, 1, 1, (int64_t)a.c + b.c);
    return record(program, &join_op, name, dst, a, b) ? dst : (tg__tensor){0};
}

/* -------------------------------------------------------------------------------------- scale */

static void scale_values(void *context, size_t first, size_t n)
{
    const job *j = context;
    float factor = j->state->factor;
    for (size_t i = first; i < first + n; i++) {
        if (j->size == 4)
            ((float *)j->dst)[i] = ((const float *)j->a)[i] * factor;
        else
            ((tg__bf16 *)j->dst)[i] =
                tg__to_bf16(tg__from_bf16(((const tg__bf16 *)j->a)[i]) * factor);
    }
}

static void scale_run(const tg__program *program, const tg__task *task)
{
    job j = job_of(program, task);
    tg__parallel_rows(tg__count(task->dst), PIECE, scale_values, &j);
}

static const tg__op scale_op = {"scale", prepare_in_place, scale_run, NULL};

tg__tensor tg__cpu_scale(tg__program *program, const char *name, tg__tensor x, float factor)
{
    if (tg__program_failed(program) || !x.id || factor == 1.f)
        return x;
    tg__tensor dst = same_shape(program, x);
    tg__task *task = record(program, &scale_op, name, dst, x, (tg__tensor){0});
    if (!task)
        return (tg__tensor){0};
    ((elementwise_state *)task->state)->factor = factor;
    return dst;
}

/* ------------------------------------------------------------------------------------ convert */

static void convert_values(void *context, size_t first, size_t n)
{
    const job *j = context;
    const formats *f = &j->state->formats;
    tg__convert_array(j->dst + first * tg__dtype_size(f->dst), f->dst,
                      j->a + first * tg__dtype_size(f->src), f->src, n);
}

static void convert_run(const tg__program *program, const tg__task *task)
{
    job j = job_of(program, task);
    tg__parallel_rows(tg__count(task->dst), PIECE, convert_values, &j);
}

static const tg__op convert_op = {"convert", NULL, convert_run, NULL};

tg__tensor tg__cpu_convert(tg__program *program, const char *name, tg__tensor x, tg__dtype dtype,
                           tg__tensor into)
{
    if (tg__program_failed(program) || !x.id || (x.dtype == dtype && !into.id))
        return x;
    tg__tensor dst = into.id ? into : tg__program_tensor(program, dtype, x.n, x.h, x.w, x.c);
    tg__task *task = record(program, &convert_op, name, dst, x, (tg__tensor){0});
    if (!task)
        return (tg__tensor){0};
    ((elementwise_state *)task->state)->formats = (formats){dst.dtype, x.dtype};
    return dst;
}

/* -------------------------------------------------------------------------------- activations */

static float relu_or_mish(tg__activation activation, float x)
{
    return activation == TG__RELU ? (x > 0 ? x : 0) : x * tanhf(x > 20 ? x : log1pf(expf(x)));
}

void tg__activate_values(const tg__kernels *kernels, tg__activation activation, void *dst,
                         const void *src, size_t n, bool bf16)
{
    switch (activation) {
    case TG__GELU_TANH:
        kernels->gelu_tanh(dst, src, n, bf16);
        break;
    case TG__LINEAR:
    case TG__GEGLU: /* change the shape: an operator of their own */
    case TG__GEGLU_TANH:
        break;
    case TG__SILU:
        kernels->silu(dst, src, n, bf16);
        break;
    case TG__GELU:
        kernels->gelu(dst, src, n, bf16);
        break;
    case TG__QUICK_GELU:
        kernels->quick_gelu(dst, src, n, bf16);
        break;
    case TG__RELU:
    case TG__MISH: /* no published model has them: scalar */
        for (size_t i = 0; i < n; i++) {
            if (bf16)
                ((tg__bf16 *)dst)[i] = tg__to_bf16(
                    relu_or_mish(activation, tg__from_bf16(((const tg__bf16 *)src)[i])));
            else
                ((float *)dst)[i] = relu_or_mish(activation, ((const float *)src)[i]);
        }
        break;
    }
}

static void activate_piece(void *context, size_t first, size_t n)
{
    const job *j = context;
    tg__activate_values(j->kernels, j->state->activation, j->dst + first * j->size,
                        j->a + first * j->size, n, j->size == 2);
}

static void activate_run(const tg__program *program, const tg__task *task)
{
    job j = job_of(program, task);
    tg__parallel_rows(tg__count(task->dst), PIECE, activate_piece, &j);
}

static const tg__op activate_op = {"activation", prepare_in_place, activate_run, NULL};

tg__tensor tg__cpu_activate(tg__program *program, const char *name, tg__tensor x,
                            tg__activation activation)
{
    if (tg__program_failed(program) || !x.id || activation == TG__LINEAR)
        return x;
    if (tg__activation_halves(activation))
        return tg__cpu_geglu(program, name, x, activation);
    tg__tensor dst = same_shape(program, x);
    tg__task *task = record(program, &activate_op, name, dst, x, (tg__tensor){0});
    if (!task)
        return (tg__tensor){0};
    ((elementwise_state *)task->state)->activation = activation;
    return dst;
}
