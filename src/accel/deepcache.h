/* SPDX-License-Identifier: MIT */
/* DeepCache (arXiv 2312.00858): a UNet's deep layers change little from one evaluation to the next,
 * so most evaluations take up what the last full one handed over at a branch, and run only the
 * layers outside it. Pure functions, as the gate's: the answer becomes a plan variant. */
#ifndef TG_ACCEL_DEEPCACHE_H
#define TG_ACCEL_DEEPCACHE_H

#include "accel/gate.h"

/* How deep a pass goes. */
typedef enum tg__depth {
    TG__DEPTH_PLAIN,   /* every layer, by one rule: what it is without DeepCache */
    TG__DEPTH_FULL,    /* every layer, the deep ones by a rule of their own */
    TG__DEPTH_KEEP,    /* the same, and the deep feature is kept */
    TG__DEPTH_SHALLOW, /* the layers outside the branch, from the deep feature that was kept last */
} tg__depth;

/* One evaluation. Two that are equal are the same plan; all zero is TG__DEPTH_PLAIN. */
typedef struct tg__deep_step {
    tg__depth depth;
    int branch;         /* where the deep feature is taken: block * 3 + layer of the way up, counted
                         * from its end */
    tg__gate_step gate; /* the rule of the layers that a shallow pass leaves out */
} tg__deep_step;

static inline bool tg__deepcache_is_on(const tg_deepcache *cache) { return cache->interval > 1; }

/* Which evaluations are full: one in `interval`, counted anew from each evaluation of the steps
 * just before the gate, so that every layer stores, and behind it, where the batch changes. */
void tg__deepcache_schedule(bool *full, int evaluations, int steps, int order,
                            const tg_deepcache *cache, const tg_gate *gate);

/* The pass of evaluation i, whose outer layers follow rules[i] and whose deep ones deep_rules[i].
 */
tg__deep_step tg__deepcache_at(int i, int evaluations, const bool *full, int branch,
                               const tg__gate_step *rules, const tg__gate_step *deep_rules);

static inline bool tg__deep_same(tg__deep_step a, tg__deep_step b)
{
    return a.depth == b.depth && a.branch == b.branch && tg__gate_same(a.gate, b.gate);
}

#endif
