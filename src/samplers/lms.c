/* SPDX-License-Identifier: MIT */
/* The linear multistep method of up to four slopes over sigma, arXiv 2206.00364 (k-diffusion's). */
#include <math.h>

#include "samplers/class.h"

enum { SLOPES = 4 };
enum { SLOPE_SAMPLE, SLOPE_OUTPUT, WEIGHTS, ROW = WEIGHTS + SLOPES };

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    s->slot_count = SLOPES;
    return tg__prepare_sigmas(s, error);
}

/* Lagrange's polynomial that is 1 at sigma[i - k] and 0 at the others of the last `slopes`. */
static double lagrange(const float *sigmas, int i, int slopes, int k, double x)
{
    double product = 1, own = (double)sigmas[i - k];
    for (int j = 0; j < slopes; j++)
        if (j != k)
            product *= (x - (double)sigmas[i - j]) / (own - (double)sigmas[i - j]);
    return product;
}

/* Its integral over the step: Gauss's rule of two points is exact for cubics. */
static double weight(const float *sigmas, int i, int slopes, int k)
{
    double half = ((double)sigmas[i + 1] - (double)sigmas[i]) / 2;
    double middle = (double)sigmas[i] + half, offset = half / sqrt(3);
    return half * (lagrange(sigmas, i, slopes, k, middle - offset) +
                   lagrange(sigmas, i, slopes, k, middle + offset));
}

static int slopes_at(int i) { return i + 1 < SLOPES ? i + 1 : SLOPES; }

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    tg__mix slope = tg__slope_of_sigma(s->keys.prediction, (double)s->sigmas[i]);
    row[SLOPE_SAMPLE] = slope.sample;
    row[SLOPE_OUTPUT] = slope.output;
    for (int k = 0; k < slopes_at(i); k++)
        row[WEIGHTS + k] = weight(s->sigmas, i, slopes_at(i), k);
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    (void)noise;
    TG__COMBINE(tg__slot(s, i % SLOPES), s->n, {row[SLOPE_SAMPLE], sample},
                {row[SLOPE_OUTPUT], output});
    tg__term terms[1 + SLOPES] = {{1, sample}};
    for (int k = 0; k < slopes_at(i); k++)
        terms[1 + k] = (tg__term){row[WEIGHTS + k], tg__slot(s, (i - k) % SLOPES)};
    tg__combine(sample, s->n, terms, 1 + slopes_at(i));
}

const tg__sampler tg__lms = {
    .name = "LMSDiscreteScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_KARRAS,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LINSPACE,
    .by_sigma = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
    .input_sigma = tg__sigma_at,
};
