/* SPDX-License-Identifier: MIT */
/* DPM-Solver-2 over sigma (k-diffusion's): a step's second evaluation is halfway, in the logarithm
 * of sigma. The last step, to sigma 0, has none. */
#include <math.h>
#include <stdlib.h>

#include "samplers/class.h"

enum { START, SLOTS };
enum { SLOPE_SAMPLE, SLOPE_OUTPUT, STEP, ROW };

/* Halfway from step k to the next; 0 in the last step. torch.lerp of the logarithms, in f32. */
static float middle_sigma(const tg__scheduler *s, int k)
{
    float from = logf(s->sigmas[k]), to = logf(s->sigmas[k + 1]);
    return s->sigmas[k + 1] > 0 ? expf(from - (from - to) * 0.5f) : 0;
}

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    s->slot_count = SLOTS;
    if (tg__prepare_sigmas(s, error) != TG_OK)
        return error->status;
    float *logs = tg__log_sigmas(s);
    if (!logs)
        return tg__fail_memory(error);
    for (int k = s->evaluations - 1; k > 0; k--) {
        s->timesteps[2 * k] = s->timesteps[k];
        s->timesteps[2 * k - 1] =
            s->length > 1 ? (double)tg__sigma_to_t_f32(middle_sigma(s, k - 1), logs, s->length)
                          : (double)NAN;
    }
    s->evaluations = 2 * s->evaluations - 1;
    free(logs);
    return TG_OK;
}

static float input_sigma(const tg__scheduler *s, int i)
{
    return i % 2 ? middle_sigma(s, i / 2) : s->sigmas[i / 2];
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    tg__mix slope = tg__slope_of_sigma(s->keys.prediction, (double)input_sigma(s, i));
    float to = i % 2 ? s->sigmas[i / 2 + 1] : middle_sigma(s, i / 2);
    row[SLOPE_SAMPLE] = slope.sample;
    row[SLOPE_OUTPUT] = slope.output;
    row[STEP] = (double)(to - s->sigmas[i / 2]);
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    float *start = tg__slot(s, START);
    (void)noise;
    if (i % 2 == 0)
        TG__COMBINE(start, s->n, {1, sample});
    TG__COMBINE(sample, s->n, {1, start}, {row[STEP] * row[SLOPE_SAMPLE], sample},
                {row[STEP] * row[SLOPE_OUTPUT], output});
}

const tg__sampler tg__kdpm2 = {
    .name = "KDPM2DiscreteScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_KARRAS | TG__HAS_SIGMA_RANGE,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__SET(TG__EPSILON) | TG__SET(TG__V_PREDICTION),
    .beta_start = 0.00085,
    .beta_end = 0.012,
    .spacing = TG__LINSPACE,
    .by_sigma = true,
    .rounds_timesteps = true,
    .order = 2,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
    .input_sigma = input_sigma,
};
