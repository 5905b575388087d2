/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "ops/record.h"

typedef struct elementwise_state {
    float factor;
    tg__activation activation;
} elementwise_state;

typedef struct job {
    const tg__kernels *kernels;
    const elementwise_state *state;
    char *dst;
    const char *a, *b;
    size_t size; /* of an element */
    int c;
} job;

enum { PIECE = 1 << 16 }; /* values: two operands of it stay in L2 */

static job job_of(const tg__plan *plan, const tg__node *node)
{
    return (job){.kernels = tg__plan_kernels(plan),
                 .state = node->state,
                 .dst = tg__plan_data(plan, node->dst),
                 .a = tg__plan_data(plan, node->src[0]),
                 .b = tg__plan_data(plan, node->src[1]),
                 .size = tg__dtype_size(node->dst.dtype),
                 .c = node->dst.c};
}

static tg__node *record(tg__plan *plan, const tg__op *op, const char *name, tg__tensor dst,
                        tg__tensor a, tg__tensor b)
{
    tg__node *node = tg__plan_record(plan, op, name, sizeof(elementwise_state));
    if (!node)
        return NULL;
    node->dst = dst;
    node->src[0] = a;
    node->src[1] = b;
    tg__set_shape(plan, node, "%dx%dx%dx%d", dst.n, dst.h, dst.w, dst.c);
    return node;
}

static tg__tensor same_shape(tg__plan *plan, tg__tensor x)
{
    return tg__plan_tensor(plan, x.dtype, x.n, x.h, x.w, x.c);
}

/* Where the first source dies the result takes its place. */
static void prepare_in_place(tg__plan *plan, tg__node *node)
{
    if (tg__plan_dies(plan, node, node->src[0]) && tg__plan_is_inner(plan, node->dst))
        tg__plan_alias(plan, node->dst, node->src[0]);
}

/* -------------------------------------------------------------------------------------- geglu */

static void geglu_rows(void *context, size_t row, size_t rows)
{
    const job *j = context;
    size_t width = (size_t)j->c * j->size;
    j->kernels->geglu(j->dst + row * width, j->a + row * 2 * width, rows, j->c, j->size == 2);
}

static void geglu_run(const tg__plan *plan, const tg__node *node)
{
    job j = job_of(plan, node);
    tg__parallel_rows(tg__rows(node->dst), PIECE / (size_t)j.c + 1, geglu_rows, &j);
}

static const tg__op geglu_op = {"geglu", NULL, geglu_run, NULL};

tg__tensor tg__geglu(tg__plan *plan, const char *name, tg__tensor x)
{
    if (tg__plan_failed(plan) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__plan_tensor(plan, x.dtype, x.n, x.h, x.w, x.c / 2);
    return record(plan, &geglu_op, name, dst, x, (tg__tensor){0}) ? dst : (tg__tensor){0};
}

/* ---------------------------------------------------------------------------------------- add */

static void add_values(void *context, size_t first, size_t n)
{
    const job *j = context;
    size_t at = first * j->size;
    j->kernels->add(j->dst + at, j->a + at, j->b + at, n, j->size == 2);
}

static void add_run(const tg__plan *plan, const tg__node *node)
{
    job j = job_of(plan, node);
    tg__parallel_rows(tg__count(node->dst), PIECE, add_values, &j);
}

static const tg__op add_op = {"add", prepare_in_place, add_run, NULL};

tg__tensor tg__add(tg__plan *plan, const char *name, tg__tensor a, tg__tensor b)
{
    if (tg__plan_failed(plan) || !a.id || !b.id)
        return (tg__tensor){0};
    if (tg__bytes(a) != tg__bytes(b))
        tg__shape_error(plan, name, a, b);
    tg__tensor dst = same_shape(plan, a);
    return record(plan, &add_op, name, dst, a, b) ? dst : (tg__tensor){0};
}

/* ----------------------------------------------------------------------------- mean of halves */

static void mean_values(void *context, size_t first, size_t n)
{
    const job *j = context;
    size_t at = first * j->size;
    j->kernels->mean(j->dst + at, j->a + at, j->b + at, n, j->size == 2);
}

static void mean_run(const tg__plan *plan, const tg__node *node)
{
    job j = job_of(plan, node);
    j.b = j.a + tg__bytes(node->dst);
    tg__parallel_rows(tg__count(node->dst), PIECE, mean_values, &j);
}

static const tg__op mean_op = {"mean", NULL, mean_run, NULL};

tg__tensor tg__mean_halves(tg__plan *plan, const char *name, tg__tensor x, tg__tensor into)
{
    if (tg__plan_failed(plan) || !x.id || !into.id)
        return (tg__tensor){0};
    if (tg__bytes(x) != 2 * tg__bytes(into))
        tg__shape_error(plan, name, x, into);
    return record(plan, &mean_op, name, into, x, (tg__tensor){0}) ? into : (tg__tensor){0};
}

/* ------------------------------------------------------------------------- scale, activations */

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

static void scale_run(const tg__plan *plan, const tg__node *node)
{
    job j = job_of(plan, node);
    tg__parallel_rows(tg__count(node->dst), PIECE, scale_values, &j);
}

static const tg__op scale_op = {"scale", prepare_in_place, scale_run, NULL};

tg__tensor tg__scale(tg__plan *plan, const char *name, tg__tensor x, float factor)
{
    if (tg__plan_failed(plan) || !x.id || factor == 1.f)
        return x;
    tg__tensor dst = same_shape(plan, x);
    tg__node *node = record(plan, &scale_op, name, dst, x, (tg__tensor){0});
    if (!node)
        return (tg__tensor){0};
    ((elementwise_state *)node->state)->factor = factor;
    return dst;
}

static float relu_or_mish(tg__activation activation, float x)
{
    return activation == TG__RELU ? (x > 0 ? x : 0) : x * tanhf(x > 20 ? x : log1pf(expf(x)));
}

void tg__activate_values(const tg__kernels *kernels, tg__activation activation, void *dst,
                         const void *src, size_t n, bool bf16)
{
    switch (activation) {
    case TG__LINEAR:
    case TG__GEGLU: /* changes the shape: an operator of its own */
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

static void activate_run(const tg__plan *plan, const tg__node *node)
{
    job j = job_of(plan, node);
    tg__parallel_rows(tg__count(node->dst), PIECE, activate_piece, &j);
}

static const tg__op activate_op = {"activation", prepare_in_place, activate_run, NULL};

tg__tensor tg__activate(tg__plan *plan, const char *name, tg__tensor x, tg__activation activation)
{
    if (tg__plan_failed(plan) || !x.id || activation == TG__LINEAR)
        return x;
    tg__tensor dst = same_shape(plan, x);
    tg__node *node = record(plan, &activate_op, name, dst, x, (tg__tensor){0});
    if (!node)
        return (tg__tensor){0};
    ((elementwise_state *)node->state)->activation = activation;
    return dst;
}
