/* SPDX-License-Identifier: MIT */
/* Attention: keys and values of each (image, head) are packed side by side, then blocks of query
 * rows are spread over the threads. */
#include <math.h>

#include "core/parallel.h"
#include "ops/record.h"

typedef struct attention_state {
    tg__attention arguments; /* all but the pointers */
    int q_first, k_first, v_first;
    bool int8;              /* scores in int8, where there is a kernel for them */
    size_t packed, scratch; /* bytes of one (image, head), of one thread */
} attention_state;

enum { Q, K, V };
enum { INT8_KEYS = 256 }; /* with fewer, rounding the queries takes longer than is gained */

typedef struct attention_job {
    tg__attention arguments;
    const tg__attention_kernel *kernel;
    const attention_state *state;
    char *packed, *scratch;
    size_t blocks; /* of query rows */
} attention_job;

static const tg__attention_kernel *kernel_of(const tg__plan *plan, const attention_state *state)
{
    const tg__kernels *k = tg__plan_kernels(plan);
    if (state->int8 && state->arguments.kv_rows >= INT8_KEYS && k->attention_int8.run)
        return &k->attention_int8;
    return state->arguments.bf16 ? &k->attention_bf16 : &k->attention_f32;
}

static void pack_head(void *context, size_t i, int thread)
{
    (void)thread;
    const attention_job *job = context;
    job->kernel->pack(job->packed + i * job->state->packed, &job->arguments,
                      (int)(i / (size_t)job->arguments.heads),
                      (int)(i % (size_t)job->arguments.heads));
}

static void run_block(void *context, size_t i, int thread)
{
    const attention_job *job = context;
    size_t head = i / job->blocks;
    int row = (int)(i % job->blocks) * job->kernel->q_block;
    int left = job->arguments.q_rows - row;
    job->kernel->run(&job->arguments, job->packed + head * job->state->packed,
                     job->scratch + (size_t)thread * job->state->scratch,
                     (int)(head / (size_t)job->arguments.heads),
                     (int)(head % (size_t)job->arguments.heads), row,
                     left < job->kernel->q_block ? left : job->kernel->q_block);
}

static const void *slice_data(const tg__plan *plan, tg__tensor x, int first)
{
    return (const char *)tg__plan_data(plan, x) + (size_t)first * tg__dtype_size(x.dtype);
}

static void run(const tg__plan *plan, const tg__node *node)
{
    const attention_state *state = node->state;
    attention_job job = {.arguments = state->arguments,
                         .kernel = kernel_of(plan, state),
                         .state = state,
                         .packed = tg__plan_scratch(plan, node)};
    tg__attention *a = &job.arguments;
    a->dst = tg__plan_data(plan, node->dst);
    a->q = slice_data(plan, node->src[Q], state->q_first);
    a->k = slice_data(plan, node->src[K], state->k_first);
    a->v = slice_data(plan, node->src[V], state->v_first);
    size_t pairs = (size_t)a->images * (size_t)a->heads;
    job.scratch = job.packed + pairs * state->packed;
    job.blocks =
        ((size_t)a->q_rows + (size_t)job.kernel->q_block - 1) / (size_t)job.kernel->q_block;
    if (state->packed)
        tg__parallel_for(pairs, pack_head, &job);
    tg__parallel_for(pairs * job.blocks, run_block, &job);
}

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

static void prepare(tg__plan *plan, tg__node *node)
{
    attention_state *state = node->state;
    const tg__attention *a = &state->arguments;
    const tg__attention_kernel *kernel = kernel_of(plan, state);
    state->packed = aligned(kernel->packed_bytes(a));
    state->scratch = aligned(kernel->scratch_bytes(a));
    node->scratch_bytes = (size_t)a->images * (size_t)a->heads * state->packed +
                          (size_t)tg__threads() * state->scratch;
}

static const tg__op attention_op = {"attention", prepare, run, NULL};

tg__tensor tg__attention_op(tg__plan *plan, const char *name, tg__slice q, tg__slice k, tg__slice v,
                            int heads, int head_dim, bool causal)
{
    tg__tensor x = q.tensor, y = k.tensor;
    if (tg__plan_failed(plan) || !x.id || !y.id || !v.tensor.id)
        return (tg__tensor){0};
    int c = heads * head_dim;
    if (q.first + c > x.c || k.first + c > y.c || v.first + c > v.tensor.c || x.n != y.n ||
        y.h * y.w != v.tensor.h * v.tensor.w || x.dtype != y.dtype || head_dim > 512)
        tg__shape_error(plan, name, x, y);
    tg__tensor dst = tg__plan_tensor(plan, x.dtype, x.n, x.h, x.w, c);
    tg__node *node = tg__plan_record(plan, &attention_op, name, sizeof(attention_state));
    if (!node)
        return (tg__tensor){0};
    *(attention_state *)node->state =
        (attention_state){.arguments = {.dst_stride = (size_t)c,
                                        .q_stride = (size_t)x.c,
                                        .k_stride = (size_t)y.c,
                                        .v_stride = (size_t)v.tensor.c,
                                        .images = x.n,
                                        .heads = heads,
                                        .head_dim = head_dim,
                                        .q_rows = x.h * x.w,
                                        .kv_rows = y.h * y.w,
                                        .scale = 1.f / sqrtf((float)head_dim),
                                        .causal = causal,
                                        .bf16 = x.dtype == TG__BF16},
                          .int8 = tg__plan_int8(plan),
                          .q_first = q.first,
                          .k_first = k.first,
                          .v_first = v.first};
    node->dst = dst;
    node->src[Q] = x;
    node->src[K] = y;
    node->src[V] = v.tensor;
    node->macs = 2 * (int64_t)tg__count(dst) * y.h * y.w;
    bool int8 = kernel_of(plan, node->state) == &tg__plan_kernels(plan)->attention_int8;
    tg__set_shape(plan, node, "%dx%d heads of %d, %dx%d%s", x.n, heads, head_dim, x.h * x.w,
                  y.h * y.w, int8 ? " int8 scores" : "");
    return dst;
}
