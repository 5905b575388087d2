/* SPDX-License-Identifier: MIT */
/* DDPM: the posterior of the diffusion itself, arXiv 2006.11239 equation 7. */
#include <math.h>

#include "samplers/class.h"
#include "samplers/scheduler.h"

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = TG__CLEAN_ROW;
    s->slot_count = 1;
    return tg__prepare_whole(s, error);
}

static bool wants_noise(const tg__scheduler *s, int i) { return s->timesteps[i] > 0; }

/* The timestep that evaluation i goes to; below 0: the clean sample. */
static int next_of(const tg__scheduler *s, int i)
{
    if (!s->request->timesteps)
        return (int)s->timesteps[i] - s->keys.train_steps / s->steps;
    return i + 1 < s->evaluations ? (int)s->timesteps[i + 1] : -1;
}

/* In f32: 1 - alpha / alpha_next is a difference of nearly equal numbers. */
static void fill_row(const tg__scheduler *s, int i, double *row)
{
    int t = (int)s->timesteps[i], next = next_of(s, i);
    float alpha = tg__alpha(s, t), alpha_next = next >= 0 ? tg__alpha(s, next) : 1;
    float beta = 1 - alpha, beta_next = 1 - alpha_next;
    float step_alpha = alpha / alpha_next, step_beta = 1 - step_alpha;
    tg__mix clean = tg__clean_of(s->keys.prediction, tg__signal(s, alpha), sqrt((double)beta));
    row[TG__CLEAN_SAMPLE] = clean.sample;
    row[TG__CLEAN_OUTPUT] = clean.output;
    row[TG__NEXT_CLEAN] = (double)(sqrtf(alpha_next) * step_beta / beta);
    row[TG__NEXT_SAMPLE] = (double)(sqrtf(step_alpha) * beta_next / beta);
    if (wants_noise(s, i)) {
        float small = beta_next / beta * step_beta;
        float variance = s->keys.fixed_large ? step_beta : fmaxf(small, 1e-20f);
        row[TG__NEXT_NOISE] = sqrt((double)variance);
    }
}

const tg__sampler tg__ddpm = {
    .name = "DDPMScheduler",
    .keys =
        TG__HAS_SPACING | TG__HAS_ZERO_SNR | TG__HAS_CLIP | TG__HAS_THRESHOLDING | TG__HAS_VARIANCE,
    .betas = TG__COMMON_BETAS | TG__SET(TG__BETAS_SIGMOID),
    .predictions = TG__ALL_PREDICTIONS,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LEADING,
    .clip_sample = true,
    .custom_timesteps = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = tg__step_by_clean,
    .wants_noise = wants_noise,
};
