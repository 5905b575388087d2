/* SPDX-License-Identifier: MIT */
/* Attention: keys and values of each (image, head) are packed side by side, then blocks of query
 * rows are spread over the threads. */
#include "core/parallel.h"
#include "cpu/record.h"

typedef struct attention_state {
    tg__attention arguments; /* all but the pointers */
    int q_first, k_first, v_first;
    bool int8;              /* scores in int8, where there is a kernel for them */
    size_t packed, scratch; /* bytes of one (image, head), of one thread */
    size_t mask;            /* bytes: what kernels take for the mask's floats */
} attention_state;

enum { Q, K, V, MASK, BIAS };

typedef struct attention_job {
    tg__attention arguments;
    const tg__attention_kernel *kernel;
    const attention_state *state;
    char *packed, *scratch;
    size_t blocks; /* of query rows */
} attention_job;

static const tg__attention_kernel *kernel_of(const tg__program *program,
                                             const attention_state *state)
{
    return tg__attention_kernel_for(tg__program_kernels(program), &state->arguments, state->int8);
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

static const void *slice_data(const tg__program *program, tg__tensor x, int first)
{
    return (const char *)tg__program_data(program, x) + (size_t)first * tg__dtype_size(x.dtype);
}

/* The mask as bytes, in scratch. */
static const uint8_t *bytes_of_mask(const tg__program *program, const tg__task *task)
{
    const float *mask = tg__program_data(program, task->src[MASK]);
    uint8_t *bytes = tg__program_scratch(program, task);
    for (size_t i = 0; mask && i < tg__count(task->src[MASK]); i++)
        bytes[i] = mask[i] != 0;
    return mask ? bytes : NULL;
}

static void run(const tg__program *program, const tg__task *task)
{
    const attention_state *state = task->state;
    attention_job job = {.arguments = state->arguments,
                         .kernel = kernel_of(program, state),
                         .state = state,
                         .packed = (char *)tg__program_scratch(program, task) + state->mask};
    tg__attention *a = &job.arguments;
    a->mask = bytes_of_mask(program, task);
    a->bias = tg__program_data(program, task->src[BIAS]);
    a->dst = tg__program_data(program, task->dst);
    a->q = slice_data(program, task->src[Q], state->q_first);
    a->k = slice_data(program, task->src[K], state->k_first);
    a->v = slice_data(program, task->src[V], state->v_first);
    size_t pairs = (size_t)a->images * (size_t)a->heads;
    job.scratch = job.packed + pairs * state->packed;
    job.blocks =
        ((size_t)a->q_rows + (size_t)job.kernel->q_block - 1) / (size_t)job.kernel->q_block;
    if (state->packed)
        tg__parallel_for(pairs, pack_head, &job);
    tg__parallel_for(pairs * job.blocks, run_block, &job);
}

static size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

static void prepare(tg__program *program, tg__task *task)
{
    attention_state *state = task->state;
    const tg__attention *a = &state->arguments;
    /* whether there are a mask and a bias decides, too, which kernel it is */
    state->arguments.mask = task->src[MASK].id ? (const uint8_t *)"" : NULL;
    state->arguments.bias = task->src[BIAS].id ? &a->scale : NULL;
    const tg__attention_kernel *kernel = kernel_of(program, state);
    state->packed = aligned(kernel->packed_bytes(a));
    state->scratch = aligned(kernel->scratch_bytes(a));
    state->mask = aligned(tg__count(task->src[MASK]));
    task->scratch_bytes = state->mask + (size_t)a->images * (size_t)a->heads * state->packed +
                          (size_t)tg__threads() * state->scratch;
}

static const tg__op attention_op = {"attention", prepare, run, NULL};

tg__tensor tg__cpu_attention(tg__program *program, const char *name, tg__slice q, tg__slice k,
                             tg__slice v, tg__attention_options o)
{
    tg__tensor x = q.tensor, y = k.tensor;
    if (tg__program_failed(program) || !x.id || !y.id || !v.tensor.id)
        return (tg__tensor){0};
    int c = o.heads * o.head_dim;
    tg__tensor dst = tg__program_tensor(program, x.dtype, x.n, x.h, x.w, c);
    tg__task *task = tg__program_record(program, &attention_op, name, sizeof(attention_state));
    if (!task)
        return (tg__tensor){0};
    *(attention_state *)task->state =
        (attention_state){.arguments = {.dst_stride = (size_t)c,
                                        .q_stride = (size_t)x.c,
                                        .k_stride = (size_t)y.c,
                                        .v_stride = (size_t)v.tensor.c,
                                        .images = x.n,
                                        .heads = o.heads,
                                        .head_dim = o.head_dim,
                                        .q_rows = x.h * x.w,
                                        .kv_rows = y.h * y.w,
                                        .scale = o.scale,
                                        .causal = o.causal,
                                        .bf16 = x.dtype == TG__BF16},
                          .int8 = tg__program_int8(program),
                          .q_first = q.first,
                          .k_first = k.first,
                          .v_first = v.first};
    task->dst = dst;
    task->src[Q] = x;
    task->src[K] = y;
    task->src[V] = v.tensor;
    task->src[MASK] = o.mask;
    task->src[BIAS] = o.bias;
    task->macs = 2 * (int64_t)tg__count(dst) * y.h * y.w;
    bool int8 = kernel_of(program, task->state) == &tg__program_kernels(program)->attention_int8;
    tg__set_shape(program, task, "%dx%d heads of %d, %dx%d%s", x.n, o.heads, o.head_dim, x.h * x.w,
                  y.h * y.w, int8 ? " int8 scores" : "");
    return dst;
}
