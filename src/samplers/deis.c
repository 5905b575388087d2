/* SPDX-License-Identifier: MIT */
/* DEIS, arXiv 2204.13902, as a multistep method whose polynomials are over the logarithm of rho =
 * sigma / alpha ("log-rho"). */
#include <math.h>

#include "samplers/dpm.h"

enum { KEPT = 3 };
enum { NEXT_SAMPLE = TG__DPM_ROW, NEXT_KEPT, ROW = NEXT_KEPT + KEPT };

static int order_at(const tg__scheduler *s, int i)
{
    int order = s->keys.solver_order < KEPT ? s->keys.solver_order : KEPT;
    int left = s->evaluations - i;
    if (order > i + 1)
        order = i + 1;
    return s->keys.lower_order_final && s->evaluations < 15 && order > left ? left : order;
}

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    s->slot_count = KEPT;
    return tg__prepare_sigmas(s, error);
}

/* The integral, to t, of Lagrange's polynomial over log t that is 1 at own and 0 at the others. */
static double integral2(double t, double own, double other)
{
    return t * (log(t) - log(other) - 1) / (log(own) - log(other));
}

static double integral3(double t, double own, double other1, double other2)
{
    double l = log(t), a = log(other1), b = log(other2);
    return t * (a * (b - l + 1) - b * l + b + l * l - 2 * l + 2) /
           ((log(own) - a) * (log(own) - b));
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    int order = order_at(s, i);
    tg__dpm_point from = tg__dpm_point_at(s, i), to = tg__dpm_point_at(s, i + 1);
    tg__dpm_weights w = tg__dpm_weights_of(TG__DPM, from, to);
    double *next = row + NEXT_KEPT, alpha = (double)to.alpha, rho[KEPT] = {0};
    tg__dpm_row(s, i, false, row);
    row[NEXT_SAMPLE] = (double)w.sample;
    for (int k = 0; k < order; k++) {
        tg__dpm_point at = tg__dpm_point_at(s, i - k);
        rho[k] = (double)(at.sigma / at.alpha);
    }
    double end = (double)(to.sigma / to.alpha);
    if (order == 1)
        next[0] = (double)w.constant;
    for (int k = 0; order == 2 && k < 2; k++)
        next[k] =
            alpha * (integral2(end, rho[k], rho[1 - k]) - integral2(rho[0], rho[k], rho[1 - k]));
    for (int k = 0; order == 3 && k < 3; k++) {
        double a = rho[(k + 1) % 3], b = rho[(k + 2) % 3];
        next[k] = alpha * (integral3(end, rho[k], a, b) - integral3(rho[0], rho[k], a, b));
    }
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    (void)noise;
    tg__dpm_keep(s, row, false, output, sample, tg__slot(s, i % KEPT));
    tg__term terms[1 + KEPT] = {{row[NEXT_SAMPLE], sample}};
    for (int k = 0; k < order_at(s, i); k++)
        terms[1 + k] = (tg__term){row[NEXT_KEPT + k], tg__slot(s, (i - k) % KEPT)};
    tg__combine(sample, s->n, terms, 1 + order_at(s, i));
}

const tg__sampler tg__deis = {
    .name = "DEISMultistepScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_KARRAS | TG__HAS_SIGMA_RANGE | TG__HAS_THRESHOLDING |
            TG__HAS_SOLVER | TG__HAS_ALGORITHM,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .algorithms = TG__SET(TG__DEIS),
    .mapped_algorithms = TG__SET(TG__DPM) | TG__SET(TG__DPMPP),
    .solvers = TG__SET(TG__LOGRHO),
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LINSPACE,
    .final_sigma_min = true,
    .lower_order_final = true,
    .algorithm = TG__DEIS,
    .solver = TG__LOGRHO,
    .by_sigma = true,
    .open_grid = true,
    .rounds_timesteps = true,
    .repeats_last_sigma = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
};
