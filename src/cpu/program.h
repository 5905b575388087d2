/* SPDX-License-Identifier: MIT */
/* A program: the operators of one pass through a network, recorded once and run many times.
 *
 * A model page calls operators (src/ops), which append tasks; tensors are small values that name a
 * buffer of the program. tg__program_finish then knows when each buffer is used first and last: it
 * lets every task prepare itself (oneDNN primitives are made there), and packs all buffers into one
 * workspace. tg__program_run allocates nothing.
 *
 * The first error sticks: on a failed program operators record nothing and return a null tensor, so
 * model pages need no checks. Planning may fail, running may not. */
#ifndef TG_CPU_PROGRAM_H
#define TG_CPU_PROGRAM_H

#include "core/arena.h"
#include "core/backend.h"
#include "core/error.h"
#include "core/tensor.h"

typedef struct tg__task tg__task;

/* What a task does. All but run may be NULL. */
typedef struct tg__op {
    const char *kind; /* "conv2d", for profiles */
    /* Called once by tg__program_finish, in order: makes what run needs, sets task->scratch_bytes,
     * may tg__program_alias the output with a source that dies here. */
    void (*prepare)(tg__program *program, tg__task *task);
    void (*run)(const tg__program *program, const tg__task *task);
    void (*release)(tg__task *task);
} tg__op;

enum { TG__TASK_SOURCES = 5 };

struct tg__task {
    const tg__op *op;
    const char *name;  /* the checkpoint's key: "down_blocks.0.resnets.0.conv1" */
    const char *shape; /* for profiles */
    void *state;       /* the operator's own, from the program's arena */
    tg__tensor dst, src[TG__TASK_SOURCES];
    int64_t macs; /* multiplications */
    /* What it moves at least: the operator says its weights' bytes, tg__program_finish adds the
     * result's and each source's. */
    size_t bytes;
    int64_t more_weights; /* bytes that packed weights take beyond those of the layer */
    size_t scratch_bytes;
    int scratch; /* id of its buffer */
    /* what the profile adds up */
    double seconds;
    int64_t calls;
};

/* Everything that programs of a session share: kernels, packed weights; see ops/context.h. */
typedef struct tg__context tg__context;

/* network: "unet"; dtype: of activations. error outlives the program. NULL if there is no memory.
 */
tg__program *tg__program_new(tg__context *context, const char *network, tg__dtype dtype,
                             tg__error *error);
void tg__program_free(tg__program *program);

/* Before recording: operators may compute their products in int8. */
void tg__program_allow_int8(tg__program *program);
bool tg__program_int8(const tg__program *program);

tg__context *tg__program_context(const tg__program *program);
tg__dtype tg__program_dtype(const tg__program *program);
tg__error *tg__program_error(const tg__program *program);
tg__arena *tg__program_arena(tg__program *program);
bool tg__program_failed(const tg__program *program);

/* A new buffer in the workspace. Sizes are checked: what would overflow fails the program. */
tg__tensor tg__program_tensor(tg__program *program, tg__dtype dtype, int64_t n, int64_t h,
                              int64_t w, int64_t c);
/* A buffer outside the workspace: where it is, is said before each run (tg__program_bind). Calling
 * it again with the same slot gives the same buffer. */
tg__tensor tg__program_external(tg__program *program, int slot, tg__dtype dtype, int64_t n,
                                int64_t h, int64_t w, int64_t c);

/* Appends a task whose state is state_bytes of zeroed memory; NULL on a failed program. The caller
 * fills in the sources, dst, macs and the state. name is copied. */
tg__task *tg__program_record(tg__program *program, const tg__op *op, const char *name,
                             size_t state_bytes);

/* Ends recording. hooks (may be NULL) are asked between tasks, when no pack is half filled. */
tg_status tg__program_finish(tg__program *program, const tg__hooks *hooks);

/* In prepare: whether the workspace buffer of x is used by no task after this one. */
bool tg__program_dies(const tg__program *program, const tg__task *task, tg__tensor x);
/* Whether two tensors are the same memory. */
bool tg__program_same(const tg__program *program, tg__tensor a, tg__tensor b);
/* Whether x is in the workspace. */
bool tg__program_is_inner(const tg__program *program, tg__tensor x);
/* In prepare: dst takes over the memory of src, which must die at this task. */
void tg__program_alias(tg__program *program, tg__tensor dst, tg__tensor src);

/* Instead of finish, for a program that is never run: only the workspace is packed, for its size.
 */
tg_status tg__program_measure(tg__program *program);

/* Multiplications of what was recorded. */
int64_t tg__program_macs(const tg__program *program);
/* Bytes of packed weights beyond those of the layers in the program's dtype. */
int64_t tg__program_more_weights(const tg__program *program);
/* After finish or measure. */
size_t tg__program_workspace_bytes(const tg__program *program);
/* Bytes of the external buffer in a slot; 0 if the program does not use it. */
size_t tg__program_external_bytes(const tg__program *program, int slot);
/* One more than the largest slot in use. */
int tg__program_slot_end(const tg__program *program);
void tg__program_bind_workspace(tg__program *program, void *workspace); /* 64-byte aligned */
void tg__program_bind(tg__program *program, int slot, void *data); /* slots not used are ignored */
/* False: stopped by a hook (may be NULL). */
bool tg__program_run(tg__program *program, const tg__hooks *hooks);

/* Called behind each task that runs: what it made is there, and may be replaced. NULL: nobody. */
typedef void (*tg__observer)(void *context, const tg__program *program, const tg__task *task);
void tg__program_observe(tg__program *program, tg__observer observer, void *context);

/* In run or an observer: where a tensor is; NULL for the null tensor. */
void *tg__program_data(const tg__program *program, tg__tensor x);
void *tg__program_scratch(const tg__program *program, const tg__task *task);

int tg__program_task_count(const tg__program *program);
const tg__task *tg__program_task(const tg__program *program, int index);

#endif
