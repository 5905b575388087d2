/* SPDX-License-Identifier: MIT */
#include "accel/deepcache.h"

static bool drops_cache(const tg_gate *gate, int step)
{
    return gate->gate_step > 0 && (step == gate->gate_step - 1 || step == gate->gate_step);
}

void tg__deepcache_schedule(bool *full, int evaluations, int steps, int order,
                            const tg_deepcache *cache, const tg_gate *gate)
{
    int first = 0;
    for (int i = 0; i < evaluations; i++) {
        if (drops_cache(gate, tg__gate_step_of(i, evaluations, steps, order)))
            first = i;
        full[i] = (i - first) % cache->interval == 0;
    }
}

tg__deep_step tg__deepcache_at(int i, int evaluations, const bool *full, int branch,
                               const tg__gate_step *rules, const tg__gate_step *deep_rules)
{
    if (!full[i])
        return (tg__deep_step){.depth = TG__DEPTH_SHALLOW, .branch = branch};
    if (i + 1 < evaluations && !full[i + 1])
        return (tg__deep_step){TG__DEPTH_KEEP, branch, deep_rules[i]};
    if (tg__gate_same(rules[i], deep_rules[i]))
        return (tg__deep_step){0};
    return (tg__deep_step){TG__DEPTH_FULL, branch, deep_rules[i]};
}
