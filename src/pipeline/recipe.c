/* SPDX-License-Identifier: MIT */
#include "pipeline/model.h"

/* The inference step of evaluation i; PNDM's extra ones belong to the first step. */
static int step_of(int i, int evaluations, int steps, int order)
{
    int step = tg__gate_step_of(i, evaluations, steps, order);
    return step < 0 ? 0 : step;
}

/* DeepCache, over evaluations that have the gate's rules. */
static void go_shallow(tg__recipe *recipe, const tg__request *r, int order)
{
    const tg_deepcache *cache = &r->options->deepcache;
    const tg_gate *gate = &r->options->gate;
    int n = recipe->count, steps = recipe->steps;
    tg__deepcache_schedule(recipe->full, n, steps, order, cache, gate);
    tg__gate_schedule_some(recipe->deep_rules, recipe->full, n, steps, order, gate,
                           recipe->guidance);
    for (int i = 0; i < n; i++)
        recipe->evaluations[i].pass.deep =
            tg__deepcache_at(i, n, recipe->full, cache->branch, recipe->rules, recipe->deep_rules);
}

void tg__gated_recipe(tg__recipe *recipe, const tg__request *r)
{
    int evaluations = tg__scheduler_evaluations(r->scheduler), steps = r->options->steps;
    int order = tg__scheduler_order(r->scheduler);
    recipe->guidance =
        r->options->guidance > 1 && tg__denoiser(r->model)->facts.guidance_width == 0;
    recipe->count = evaluations;
    recipe->steps = steps;
    tg__gate_schedule(recipe->rules, evaluations, steps, order, &r->options->gate,
                      recipe->guidance);
    for (int i = 0; i < evaluations; i++)
        recipe->evaluations[i] = (tg__evaluation){.role = r->model->class->denoiser,
                                                  .index = i,
                                                  .step = step_of(i, evaluations, steps, order),
                                                  .pass = {.n = r->count,
                                                           .h = r->h,
                                                           .w = r->w,
                                                           .tokens = r->tokens,
                                                           .gate = recipe->rules[i]}};
    if (tg__deepcache_is_on(&r->options->deepcache))
        go_shallow(recipe, r, order);
}
