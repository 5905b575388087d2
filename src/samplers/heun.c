/* SPDX-License-Identifier: MIT */
/* Heun's method over sigma, arXiv 2206.00364: a step of Euler's, then the same step again with the
 * mean of the slopes at both ends. The last step, to sigma 0, is Euler's alone. */
#include "samplers/class.h"

/* Slots: the clean sample, then the slope; the slope and the sample at the start of the step. */
enum { SLOPE, START_SLOPE, START, SLOTS };
enum { CLEAN_SAMPLE, CLEAN_OUTPUT, SLOPE_FACTOR, STEP, ROW };

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    s->slot_count = SLOTS;
    if (tg__prepare_sigmas(s, error) != TG_OK)
        return error->status;
    /* Both evaluations of a step but the first are at its end. */
    for (int i = 2 * s->evaluations - 2; i > 0; i--)
        s->timesteps[i] = s->timesteps[(i + 1) / 2];
    s->evaluations = 2 * s->evaluations - 1;
    return TG_OK;
}

static float input_sigma(const tg__scheduler *s, int i) { return s->sigmas[(i + 1) / 2]; }

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    double sigma = (double)input_sigma(s, i);
    tg__mix clean = tg__clean_of_sigma(s->keys.prediction, sigma);
    row[CLEAN_SAMPLE] = clean.sample;
    row[CLEAN_OUTPUT] = clean.output;
    row[SLOPE_FACTOR] = 1 / sigma;
    row[STEP] = (double)(s->sigmas[i / 2 + 1] - s->sigmas[i / 2]);
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    float *slope = tg__slot(s, SLOPE), *start_slope = tg__slot(s, START_SLOPE);
    float *start = tg__slot(s, START);
    (void)noise;
    TG__COMBINE(slope, s->n, {row[CLEAN_SAMPLE], sample}, {row[CLEAN_OUTPUT], output});
    tg__restrain(s, slope);
    TG__COMBINE(slope, s->n, {row[SLOPE_FACTOR], sample}, {-row[SLOPE_FACTOR], slope});
    if (i % 2 == 0) {
        TG__COMBINE(start_slope, s->n, {1, slope});
        TG__COMBINE(start, s->n, {1, sample});
        TG__COMBINE(sample, s->n, {1, start}, {row[STEP], slope});
    } else {
        TG__COMBINE(sample, s->n, {1, start}, {row[STEP] / 2, start_slope}, {row[STEP] / 2, slope});
    }
}

const tg__sampler tg__heun = {
    .name = "HeunDiscreteScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_KARRAS | TG__HAS_SIGMA_RANGE | TG__HAS_CLIP,
    .betas = TG__COMMON_BETAS | TG__SET(TG__BETAS_EXP),
    .predictions = TG__ALL_PREDICTIONS,
    .beta_start = 0.00085,
    .beta_end = 0.012,
    .spacing = TG__LINSPACE,
    .by_sigma = true,
    .custom_timesteps = true,
    .order = 2,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
    .input_sigma = input_sigma,
};
