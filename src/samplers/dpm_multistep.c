/* SPDX-License-Identifier: MIT */
/* DPM-Solver and DPM-Solver++ as multistep methods: a step's slopes come from the steps before. */
#include <math.h>

#include "samplers/dpm.h"

enum { KEPT = 3 };
enum { NEXT_SAMPLE = TG__DPM_ROW, NEXT_NOISE, NEXT_KEPT, ROW = NEXT_KEPT + KEPT };

/* The order of step i: less while outputs are missing and, for stability, at the end. */
static int order_at(const tg__scheduler *s, int i)
{
    const tg__keys *k = &s->keys;
    int order = k->solver_order < KEPT ? k->solver_order : KEPT;
    int left = s->evaluations - i;
    bool lower = k->lower_order_final && s->evaluations < 15;
    if (order > i + 1)
        order = i + 1;
    if (left == 1 && (k->euler_at_final || lower || !k->final_sigma_min))
        return 1;
    return left == 2 && lower && order > 2 ? 2 : order;
}

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    s->slot_count = KEPT;
    if (tg__prepare_sigmas(s, error) != TG_OK)
        return error->status;
    for (int i = 0; i < s->evaluations; i++)
        if (order_at(s, i) == 3 && tg__dpm_is_noisy(s))
            return tg__dpm_fail_third(s, error);
    return TG_OK;
}

/* next[k] is for what was kept k steps ago. slope and curve: of lambda, in units of the step h. */
static void fill_slopes(const tg__scheduler *s, int i, tg__dpm_weights w, int order, double *next)
{
    float now = tg__dpm_point_at(s, i).lambda, before = tg__dpm_point_at(s, i - 1).lambda;
    float h = tg__dpm_point_at(s, i + 1).lambda - now, r0 = (now - before) / h;
    if (order == 2) {
        double slope = (double)(s->keys.solver == TG__HEUN ? w.linear : w.midpoint) / (double)r0;
        next[0] += slope;
        next[1] -= slope;
        return;
    }
    float r1 = (before - tg__dpm_point_at(s, i - 2).lambda) / h;
    /* The newer and the older difference: both give the slope, their difference the curve. */
    double share = (double)(r0 / (r0 + r1)), curve = (double)(w.quadratic / (r0 + r1));
    double newer = ((double)w.linear * (1 + share) + curve) / (double)r0;
    double older = -((double)w.linear * share + curve) / (double)r1;
    next[0] += newer;
    next[1] += older - newer;
    next[2] -= older;
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    int order = order_at(s, i);
    tg__dpm_weights w =
        tg__dpm_weights_of(s->keys.algorithm, tg__dpm_point_at(s, i), tg__dpm_point_at(s, i + 1));
    tg__dpm_row(s, i, tg__dpm_is_data(s), row);
    row[NEXT_SAMPLE] = (double)w.sample;
    row[NEXT_NOISE] = (double)w.noise;
    row[NEXT_KEPT] = (double)w.constant;
    if (order > 1)
        fill_slopes(s, i, w, order, row + NEXT_KEPT);
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    tg__dpm_keep(s, row, tg__dpm_is_data(s), output, sample, tg__slot(s, i % KEPT));
    tg__term terms[2 + KEPT] = {{row[NEXT_SAMPLE], sample}, {row[NEXT_NOISE], noise}};
    for (int k = 0; k < order_at(s, i); k++)
        terms[2 + k] = (tg__term){row[NEXT_KEPT + k], tg__slot(s, (i - k) % KEPT)};
    tg__combine(sample, s->n, terms, 2 + order_at(s, i));
}

const tg__sampler tg__dpm_multistep = {
    .name = "DPMSolverMultistepScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_ZERO_SNR | TG__HAS_KARRAS | TG__HAS_SIGMA_RANGE |
            TG__HAS_THRESHOLDING | TG__HAS_FINAL_SIGMA | TG__HAS_SOLVER | TG__HAS_ALGORITHM |
            TG__HAS_LAMBDA_MIN | TG__HAS_MEAN_OF_VARIANCE | TG__HAS_DPM_MULTISTEP,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .algorithms =
        TG__SET(TG__DPM) | TG__SET(TG__DPMPP) | TG__SET(TG__SDE_DPM) | TG__SET(TG__SDE_DPMPP),
    .mapped_algorithms = TG__SET(TG__DEIS),
    .solvers = TG__SET(TG__MIDPOINT) | TG__SET(TG__HEUN),
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LINSPACE,
    .lower_order_final = true,
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
