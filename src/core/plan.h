/* SPDX-License-Identifier: MIT */
/* A plan: the operators of one pass through a network, recorded once and run many times.
 *
 * A model page calls operators (src/ops), which append nodes; tensors are small values that name a
 * buffer of the plan. tg__plan_finish then knows when each buffer is used first and last: it lets
 * every node prepare itself (oneDNN primitives are made there), and packs all buffers into one
 * workspace. tg__plan_run allocates nothing.
 *
 * The first error sticks: on a failed plan operators record nothing and return a null tensor, so
 * model pages need no checks. Planning may fail, running may not. */
#ifndef TG_CORE_PLAN_H
#define TG_CORE_PLAN_H

#include "core/arena.h"
#include "core/dtype.h"
#include "core/error.h"

typedef struct tg__plan tg__plan;
typedef struct tg__node tg__node;

/* An activation: n images (or texts) of h x w positions with c channels, dense, channels innermost.
 * A token matrix has h = 1 and w tokens. id 0 is the null tensor. */
typedef struct tg__tensor {
    int id;
    int n, h, w, c;
    tg__dtype dtype; /* TG__F32, TG__BF16, or TG__U8 */
} tg__tensor;

/* What a node does. All but run may be NULL. */
typedef struct tg__op {
    const char *kind; /* "conv2d", for profiles */
    /* Called once by tg__plan_finish, in order: makes what run needs, sets node->scratch_bytes, may
     * tg__plan_alias the output with a source that dies here. */
    void (*prepare)(tg__plan *plan, tg__node *node);
    void (*run)(const tg__plan *plan, const tg__node *node);
    void (*release)(tg__node *node);
} tg__op;

enum { TG__NODE_SOURCES = 5 };

struct tg__node {
    const tg__op *op;
    const char *name;  /* the checkpoint's key: "down_blocks.0.resnets.0.conv1" */
    const char *shape; /* for profiles */
    void *state;       /* the operator's own, from the plan's arena */
    tg__tensor dst, src[TG__NODE_SOURCES];
    int64_t macs; /* multiplications */
    /* What it moves at least: the operator says its weights' bytes, tg__plan_finish adds the
     * result's and each source's. */
    size_t bytes;
    int64_t more_weights; /* bytes that packed weights take beyond those of the layer */
    size_t scratch_bytes;
    int scratch; /* id of its buffer */
    /* what the profile adds up */
    double seconds;
    int64_t calls;
};

/* Everything that plans of a session share: kernels, packed weights; see ops/context.h. */
struct tg__context;

/* network: "unet"; dtype: of activations. error outlives the plan. NULL if there is no memory. */
tg__plan *tg__plan_new(struct tg__context *context, const char *network, tg__dtype dtype,
                       tg__error *error);
void tg__plan_free(tg__plan *plan);

/* Before recording: operators may compute their products in int8. */
void tg__plan_allow_int8(tg__plan *plan);
bool tg__plan_int8(const tg__plan *plan);

struct tg__context *tg__plan_context(const tg__plan *plan);
tg__dtype tg__plan_dtype(const tg__plan *plan);
const char *tg__plan_network(const tg__plan *plan);
tg__error *tg__plan_error(const tg__plan *plan);
tg__arena *tg__plan_arena(tg__plan *plan);
bool tg__plan_failed(const tg__plan *plan);

/* A new buffer in the workspace. Sizes are checked: what would overflow fails the plan. */
tg__tensor tg__plan_tensor(tg__plan *plan, tg__dtype dtype, int64_t n, int64_t h, int64_t w,
                           int64_t c);
/* A buffer outside the workspace: where it is, is said before each run (tg__plan_bind). Calling it
 * again with the same slot gives the same buffer. */
tg__tensor tg__plan_external(tg__plan *plan, int slot, tg__dtype dtype, int64_t n, int64_t h,
                             int64_t w, int64_t c);

static inline size_t tg__count(tg__tensor x)
{
    return (size_t)x.n * (size_t)x.h * (size_t)x.w * (size_t)x.c;
}
static inline size_t tg__rows(tg__tensor x) { return (size_t)x.n * (size_t)x.h * (size_t)x.w; }
static inline size_t tg__bytes(tg__tensor x) { return tg__count(x) * tg__dtype_size(x.dtype); }

/* Appends a node whose state is state_bytes of zeroed memory; NULL on a failed plan. The caller
 * fills in the sources, dst, macs and the state. name is copied. */
tg__node *tg__plan_record(tg__plan *plan, const tg__op *op, const char *name, size_t state_bytes);

/* Ends recording. */
tg_status tg__plan_finish(tg__plan *plan);

/* In prepare: whether the workspace buffer of x is used by no node after this one. */
bool tg__plan_dies(const tg__plan *plan, const tg__node *node, tg__tensor x);
/* Whether two tensors are the same memory. */
bool tg__plan_same(const tg__plan *plan, tg__tensor a, tg__tensor b);
/* Whether x is in the workspace. */
bool tg__plan_is_inner(const tg__plan *plan, tg__tensor x);
/* In prepare: dst takes over the memory of src, which must die at this node. */
void tg__plan_alias(tg__plan *plan, tg__tensor dst, tg__tensor src);

/* Instead of finish, for a plan that is never run: only the workspace is packed, for its size. */
tg_status tg__plan_measure(tg__plan *plan);

/* Multiplications of what was recorded. */
int64_t tg__plan_macs(const tg__plan *plan);
/* Bytes of packed weights beyond those of the layers in the plan's dtype. */
int64_t tg__plan_more_weights(const tg__plan *plan);
/* After finish or measure. */
size_t tg__plan_workspace_bytes(const tg__plan *plan);
/* Bytes of the external buffer in a slot; 0 if the plan does not use it. */
size_t tg__plan_external_bytes(const tg__plan *plan, int slot);
/* One more than the largest slot in use. */
int tg__plan_slot_end(const tg__plan *plan);
void tg__plan_bind_workspace(tg__plan *plan, void *workspace); /* 64-byte aligned */
void tg__plan_bind(tg__plan *plan, int slot, void *data);      /* slots not used are ignored */
/* profile: measure each node. */
void tg__plan_run(tg__plan *plan, bool profile);

/* Called behind each node that runs: what it made is there, and may be replaced. NULL: nobody. */
typedef void (*tg__observer)(void *context, const tg__plan *plan, const tg__node *node);
void tg__plan_observe(tg__plan *plan, tg__observer observer, void *context);

/* In run or an observer: where a tensor is; NULL for the null tensor. */
void *tg__plan_data(const tg__plan *plan, tg__tensor x);
void *tg__plan_scratch(const tg__plan *plan, const tg__node *node);

int tg__plan_node_count(const tg__plan *plan);
const tg__node *tg__plan_node(const tg__plan *plan, int index);

#endif
