/* SPDX-License-Identifier: MIT */
/* Trajectory consistency distillation, arXiv 2402.19159: each evaluation goes to a sample with less
 * noise than the next evaluation wants, and noise makes up for the rest; eta (the paper's gamma)
 * says how much. */
#include <math.h>

#include "samplers/class.h"
#include "samplers/scheduler.h"

enum { NEXT_SAMPLE, NEXT_OUTPUT, NEXT_NOISE, ROW };

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    int whole = s->keys.train_steps;
    s->row_size = ROW;
    /* A request's own number only limits the steps: all timesteps are there to choose from. */
    return tg__prepare_distilled(s, s->request->original_steps ? whole : tg__original_steps(s),
                                 error);
}

static bool is_last(const tg__scheduler *s, int i) { return i == s->evaluations - 1; }

static bool wants_noise(const tg__scheduler *s, int i) { return s->eta > 0 && !is_last(s, i); }

/* Ratios of alphas in f32: 1 - ratio is a difference of nearly equal numbers. */
static void fill_row(const tg__scheduler *s, int i, double *row)
{
    int next = is_last(s, i) ? 0 : (int)s->timesteps[i + 1];
    int below = (int)floorf((float)(1 - s->eta) * (float)next);
    float alpha = tg__alpha(s, (int)s->timesteps[i]), alpha_below = tg__alpha(s, below);
    double root = sqrt((double)alpha), noise_root = sqrt((double)(1 - alpha));
    tg__mix clean = tg__clean_of(s->keys.prediction, root, noise_root);
    tg__mix noise = tg__noise_of(s->keys.prediction, root, noise_root);
    double of_clean = sqrt((double)alpha_below), of_noise = sqrt((double)(1 - alpha_below));
    double keep = 1;
    if (wants_noise(s, i)) {
        float ratio = tg__alpha(s, next) / alpha_below;
        keep = sqrt((double)ratio);
        row[NEXT_NOISE] = sqrt((double)(1 - ratio));
    }
    row[NEXT_SAMPLE] = keep * (of_clean * clean.sample + of_noise * noise.sample);
    row[NEXT_OUTPUT] = keep * (of_clean * clean.output + of_noise * noise.output);
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    (void)i;
    TG__COMBINE(sample, s->n, {row[NEXT_SAMPLE], sample}, {row[NEXT_OUTPUT], output},
                {row[NEXT_NOISE], noise});
}

/* Thresholding, clipping, steps_offset, timestep_spacing, set_alpha_to_one and timestep_scaling are
 * keys of diffusers' class that change nothing. */
const tg__sampler tg__tcd = {
    .name = "TCDScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_ZERO_SNR | TG__HAS_ALPHA_TO_ONE | TG__HAS_ORIGINAL_STEPS,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .beta_schedule = TG__BETAS_SCALED_LINEAR,
    .beta_start = 0.00085,
    .beta_end = 0.012,
    .spacing = TG__LEADING,
    .set_alpha_to_one = true,
    .custom_timesteps = true,
    .takes_eta = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
    .wants_noise = wants_noise,
};
