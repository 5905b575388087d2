/* SPDX-License-Identifier: MIT */
/* Euler's method over sigma, arXiv 2206.00364, without churn: diffusers draws noise here, too, but
 * gives it no weight. */
#include "samplers/class.h"

enum { NEXT_SAMPLE, NEXT_OUTPUT, ROW };

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    if (tg__prepare_sigmas(s, error) != TG_OK)
        return error->status;
    for (int i = 0; i < s->evaluations; i++)
        s->timesteps[i] = (double)(float)s->timesteps[i];
    return TG_OK;
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    tg__mix slope = tg__slope_of_sigma(s->keys.prediction, (double)s->sigmas[i]);
    double step = (double)(s->sigmas[i + 1] - s->sigmas[i]);
    row[NEXT_SAMPLE] = 1 + slope.sample * step;
    row[NEXT_OUTPUT] = slope.output * step;
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    (void)i;
    (void)noise;
    TG__COMBINE(sample, s->n, {row[NEXT_SAMPLE], sample}, {row[NEXT_OUTPUT], output});
}

const tg__sampler tg__euler = {
    .name = "EulerDiscreteScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_ZERO_SNR | TG__HAS_KARRAS | TG__HAS_SIGMA_RANGE |
            TG__HAS_FINAL_SIGMA | TG__HAS_EULER,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LINSPACE,
    .by_sigma = true,
    .custom_timesteps = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
    .input_sigma = tg__sigma_at,
};
