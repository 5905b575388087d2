/* SPDX-License-Identifier: MIT */
/* A plan: the operators of one pass through a network, recorded once. It says what is computed, not
 * how: shapes, parameters, weights and where each operator's sources come from. A backend
 * (core/backend.h) lowers it to a program of its own, which runs many times.
 *
 * A model page calls operators (src/ops), which append nodes; tensors are small values that name a
 * buffer of the plan. The first error sticks: on a failed plan operators record nothing and return
 * a null tensor, so model pages need no checks.
 *
 * Weights are named, not read: a plan can be recorded, counted and lowered where only the configs
 * are there. */
#ifndef TG_CORE_PLAN_H
#define TG_CORE_PLAN_H

#include "core/arena.h"
#include "core/error.h"
#include "core/tensor.h"

typedef struct tg__plan tg__plan;

enum { TG__NODE_SOURCES = 6 };

typedef struct tg__node {
    int kind;               /* a tg__kind (ops/kinds.h), which names the parameters' type */
    const char *name;       /* the checkpoint's key: "down_blocks.0.resnets.0.conv1" */
    const void *parameters; /* the plan's own copy */
    tg__tensor dst, src[TG__NODE_SOURCES];
    int64_t macs; /* multiplications, counted as it is written: no shortcut of a backend's */
} tg__node;

/* network: "unet"; it and error outlive the plan. NULL if there is no memory. */
tg__plan *tg__plan_new(const char *network, tg__error *error);
void tg__plan_free(tg__plan *plan);

const char *tg__plan_network(const tg__plan *plan);
tg__error *tg__plan_error(const tg__plan *plan);
tg__arena *tg__plan_arena(tg__plan *plan);
bool tg__plan_failed(const tg__plan *plan);

/* A new buffer. Sizes are checked: what would overflow fails the plan. */
tg__tensor tg__plan_tensor(tg__plan *plan, tg__dtype dtype, int64_t n, int64_t h, int64_t w,
                           int64_t c);
/* A buffer whose memory the caller of the program brings, by the slot's number. The same slot again
 * is the same buffer. */
tg__tensor tg__plan_external(tg__plan *plan, int slot, tg__dtype dtype, int64_t n, int64_t h,
                             int64_t w, int64_t c);
/* The external slot of x, or -1. */
int tg__plan_slot(const tg__plan *plan, tg__tensor x);
/* How many nodes read x's buffer. */
int tg__plan_uses(const tg__plan *plan, tg__tensor x);
/* Ids of tensors are below this. */
int tg__plan_tensor_end(const tg__plan *plan);

/* Appends a node with a copy of its name and parameters; NULL on a failed plan. The caller fills in
 * the sources, dst and macs. */
tg__node *tg__plan_record(tg__plan *plan, int kind, const char *name, const void *parameters,
                          size_t parameter_bytes);

int tg__plan_node_count(const tg__plan *plan);
const tg__node *tg__plan_node(const tg__plan *plan, int index);

/* Whether n x h x w x c elements make a tensor; if not, fails with what says so. */
bool tg__tensor_size_fits(const char *network, size_t element, int64_t n, int64_t h, int64_t w,
                          int64_t c, tg__error *error);

#endif
