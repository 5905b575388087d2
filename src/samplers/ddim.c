/* SPDX-License-Identifier: MIT */
/* DDIM, arXiv 2010.02502 equation 12; eta of the noise is drawn anew. */
#include <math.h>

#include "samplers/class.h"

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = TG__CLEAN_ROW;
    s->slot_count = 1;
    return tg__prepare_whole(s, error);
}

static bool wants_noise(const tg__scheduler *s, int i)
{
    (void)i;
    return s->eta > 0;
}

/* Of the noise that is drawn; in f32, as 1 - alpha / alpha_next is a difference of nearly equal
 * numbers. */
static float deviation(const tg__scheduler *s, float alpha, float alpha_next)
{
    float variance = (1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next);
    return s->eta > 0 ? (float)s->eta * sqrtf(variance) : 0;
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    int t = (int)s->timesteps[i], next = t - s->keys.train_steps / s->steps;
    float alpha = tg__alpha(s, t);
    float alpha_next = next >= 0                  ? tg__alpha(s, next)
                       : s->keys.set_alpha_to_one ? 1
                                                  : s->alphas_cumprod[0];
    double root = tg__signal(s, alpha), noise_root = sqrt((double)(1 - alpha));
    tg__mix clean = tg__clean_of(s->keys.prediction, root, noise_root);
    tg__mix noise = tg__noise_of(s->keys.prediction, root, noise_root);
    float anew = deviation(s, alpha, alpha_next);
    double noise_next = sqrt((double)(1 - alpha_next - anew * anew));
    row[TG__CLEAN_SAMPLE] = clean.sample;
    row[TG__CLEAN_OUTPUT] = clean.output;
    row[TG__NEXT_CLEAN] = sqrt((double)alpha_next);
    row[TG__NEXT_SAMPLE] = noise_next * noise.sample;
    row[TG__NEXT_OUTPUT] = noise_next * noise.output;
    row[TG__NEXT_NOISE] = (double)anew;
}

const tg__sampler tg__ddim = {
    .name = "DDIMScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_ZERO_SNR | TG__HAS_CLIP | TG__HAS_THRESHOLDING |
            TG__HAS_ALPHA_TO_ONE,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LEADING,
    .clip_sample = true,
    .set_alpha_to_one = true,
    .takes_eta = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = tg__step_by_clean,
    .wants_noise = wants_noise,
};
