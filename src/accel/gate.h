/* SPDX-License-Identifier: MIT */
/* T-GATE (arXiv 2404.02747): which evaluation of the network computes, keeps or reuses which
 * attention, and when guidance ends. Pure functions: the answer becomes a plan variant. */
#ifndef TG_ACCEL_GATE_H
#define TG_ACCEL_GATE_H

#include "tgate.h"

typedef enum tg__gate_action {
    TG__COMPUTE,
    TG__STORE,      /* compute, and keep the output for later steps */
    TG__STORE_MEAN, /* compute, and keep the mean of the unconditional and conditional half */
    TG__REUSE,      /* the output kept last */
} tg__gate_action;

/* One evaluation. Two that are equal are the same plan. */
typedef struct tg__gate_step {
    bool guided; /* both halves of the batch, and their combination */
    tg__gate_action cross, self;
} tg__gate_step;

/* The rule for step s (0-based; below 0 for PNDM's extra evaluations), as if everything that it
 * wants to reuse had been stored. guidance: the request uses classifier-free guidance at all.
 * gate_step 0: no gate. */
tg__gate_step tg__gate_at(const tg_gate *gate, int step, bool guidance);

/* The inference step of evaluation i of `evaluations` for `steps` steps of a scheduler of this
 * order (2: two evaluations a step); below 0 for PNDM's extra evaluations. */
int tg__gate_step_of(int i, int evaluations, int steps, int order);

/* The rules of a whole request. Reuse where nothing is stored yet computes. */
void tg__gate_schedule(tg__gate_step *rules, int evaluations, int steps, int order,
                       const tg_gate *gate, bool guidance);
/* The same for layers that run only in some evaluations: what they store lasts until the next of
 * these. The other rules compute. */
void tg__gate_schedule_some(tg__gate_step *rules, const bool *runs, int evaluations, int steps,
                            int order, const tg_gate *gate, bool guidance);

static inline bool tg__gate_same(tg__gate_step a, tg__gate_step b)
{
    return a.guided == b.guided && a.cross == b.cross && a.self == b.self;
}

#endif
