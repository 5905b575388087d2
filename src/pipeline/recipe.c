/* SPDX-License-Identifier: MIT */
#include "pipeline/model.h"

/* The inference step of evaluation i: two make one with a second-order scheduler; of a list that is
 * longer than the steps (PNDM's) the first evaluations belong to the first step. */
static int step_of(int i, int evaluations, int steps, int order)
{
    int step = order == 2 ? i / 2 : i - (evaluations - steps);
    return step < 0 ? 0 : step;
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
}
