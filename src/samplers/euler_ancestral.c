/* SPDX-License-Identifier: MIT */
/* Euler's method over sigma to below the next sigma, then noise up to it (k-diffusion's ancestral
 * sampling). */
#include <math.h>

#include "samplers/class.h"

enum { NEXT_SAMPLE, NEXT_OUTPUT, NEXT_NOISE, ROW };

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    return tg__prepare_sigmas(s, error);
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    tg__mix slope = tg__slope_of_sigma(s->keys.prediction, (double)s->sigmas[i]);
    /* In f32: where a step is long, `down` is a difference of nearly equal numbers. */
    float from = s->sigmas[i] * s->sigmas[i], to = s->sigmas[i + 1] * s->sigmas[i + 1];
    float up = sqrtf(to * (from - to) / from);
    float down = sqrtf(to - up * up);
    double step = (double)(down - s->sigmas[i]);
    row[NEXT_SAMPLE] = 1 + slope.sample * step;
    row[NEXT_OUTPUT] = slope.output * step;
    row[NEXT_NOISE] = (double)up;
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    (void)i;
    TG__COMBINE(sample, s->n, {row[NEXT_SAMPLE], sample}, {row[NEXT_OUTPUT], output},
                {row[NEXT_NOISE], noise});
}

static bool wants_noise(const tg__scheduler *s, int i)
{
    (void)s;
    (void)i;
    return true;
}

const tg__sampler tg__euler_ancestral = {
    .name = "EulerAncestralDiscreteScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_ZERO_SNR,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__SET(TG__EPSILON) | TG__SET(TG__V_PREDICTION),
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LINSPACE,
    .by_sigma = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
    .wants_noise = wants_noise,
    .input_sigma = tg__sigma_at,
};
