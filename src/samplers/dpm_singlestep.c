/* SPDX-License-Identifier: MIT */
/* DPM-Solver and DPM-Solver++ as singlestep methods: steps come in groups of solver_order, and the
 * k-th of a group goes from the group's start with the k outputs that it has. */
#include <math.h>

#include "samplers/dpm.h"

enum { KEPT = 3 };
enum { START = KEPT, SLOTS }; /* the sample at the group's start */
enum { NEXT_SAMPLE = TG__DPM_ROW, NEXT_NOISE, NEXT_KEPT, ROW = NEXT_KEPT + KEPT };

/* diffusers switches lower_order_final on where the steps do not divide into groups, and where the
 * final sigma is 0, which no order but the first can reach. */
static bool lower_order_final(const tg__scheduler *s)
{
    return s->keys.lower_order_final || s->steps % s->keys.solver_order != 0 ||
           !s->keys.final_sigma_min;
}

/* The order of step i. If the last group is whole it is split: 1 1 for 1 2, 1 2 1 for 1 2 3. */
static int order_at(const tg__scheduler *s, int i)
{
    int order = s->keys.solver_order;
    bool split = lower_order_final(s) && s->steps % order == 0;
    return split && i == s->steps - 1 ? 1 : i % order + 1;
}

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    s->slot_count = SLOTS;
    for (int i = 0; i < s->steps; i++)
        if (order_at(s, i) == 3 && tg__dpm_is_noisy(s))
            return tg__dpm_fail_third(s, error);
    return tg__prepare_sigmas(s, error);
}

/* next[k] is for what was kept k steps ago; a group of two ends with this step. */
static void fill_second(const tg__scheduler *s, int i, tg__dpm_weights w, double *next)
{
    float start = tg__dpm_point_at(s, i - 1).lambda;
    float h = tg__dpm_point_at(s, i + 1).lambda - start;
    float r0 = (tg__dpm_point_at(s, i).lambda - start) / h;
    double slope = (double)(s->keys.solver == TG__HEUN ? w.linear : w.midpoint) / (double)r0;
    next[1] = (double)w.constant - slope;
    next[0] = slope;
}

static void fill_third(const tg__scheduler *s, int i, tg__dpm_weights w, double *next)
{
    float start = tg__dpm_point_at(s, i - 2).lambda;
    float h = tg__dpm_point_at(s, i + 1).lambda - start;
    float r0 = (tg__dpm_point_at(s, i).lambda - start) / h;
    float r1 = (tg__dpm_point_at(s, i - 1).lambda - start) / h;
    double newer = (double)w.linear, older = 0; /* weights of (kept - start's) / r */
    if (s->keys.solver == TG__HEUN) {
        double apart = (double)(r0 - r1);
        newer = (2 * (double)w.quadratic - (double)r1 * (double)w.linear) / apart;
        older = ((double)r0 * (double)w.linear - 2 * (double)w.quadratic) / apart;
    }
    next[0] = newer / (double)r0;
    next[1] = older / (double)r1;
    next[2] = (double)w.constant - next[0] - next[1];
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    int order = order_at(s, i);
    tg__dpm_weights w = tg__dpm_weights_of(s->keys.algorithm, tg__dpm_point_at(s, i - order + 1),
                                           tg__dpm_point_at(s, i + 1));
    tg__dpm_row(s, i, tg__dpm_is_data(s), row);
    row[NEXT_SAMPLE] = (double)w.sample;
    row[NEXT_NOISE] = (double)w.noise;
    if (order == 1)
        row[NEXT_KEPT] = (double)w.constant;
    else if (order == 2)
        fill_second(s, i, w, row + NEXT_KEPT);
    else
        fill_third(s, i, w, row + NEXT_KEPT);
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    int order = order_at(s, i);
    tg__dpm_keep(s, row, tg__dpm_is_data(s), output, sample, tg__slot(s, i % KEPT));
    if (order == 1)
        TG__COMBINE(tg__slot(s, START), s->n, {1, sample});
    tg__term terms[2 + KEPT] = {{row[NEXT_SAMPLE], tg__slot(s, START)}, {row[NEXT_NOISE], noise}};
    for (int k = 0; k < order; k++)
        terms[2 + k] = (tg__term){row[NEXT_KEPT + k], tg__slot(s, (i - k) % KEPT)};
    tg__combine(sample, s->n, terms, 2 + order);
}

const tg__sampler tg__dpm_singlestep = {
    .name = "DPMSolverSinglestepScheduler",
    .keys = TG__HAS_KARRAS | TG__HAS_SIGMA_RANGE | TG__HAS_THRESHOLDING | TG__HAS_FINAL_SIGMA |
            TG__HAS_SOLVER | TG__HAS_ALGORITHM | TG__HAS_LAMBDA_MIN | TG__HAS_MEAN_OF_VARIANCE,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .algorithms = TG__SET(TG__DPM) | TG__SET(TG__DPMPP) | TG__SET(TG__SDE_DPMPP),
    .mapped_algorithms = TG__SET(TG__DEIS),
    .solvers = TG__SET(TG__MIDPOINT) | TG__SET(TG__HEUN),
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LINSPACE,
    .algorithm = TG__DPMPP,
    .solver = TG__MIDPOINT,
    .by_sigma = true,
    .open_grid = true,
    .rounds_timesteps = true,
    .custom_timesteps = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
    .wants_noise = tg__dpm_wants_noise,
};
