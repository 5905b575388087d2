/* SPDX-License-Identifier: MIT */
/* Latent consistency models, arXiv 2310.04378: each evaluation predicts the clean sample, which is
 * noised anew for the next. The timesteps are taken evenly from those of the distillation. */
#include <math.h>

#include "samplers/class.h"

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = TG__CLEAN_ROW;
    s->slot_count = 1;
    return tg__prepare_distilled(s, tg__original_steps(s), error);
}

static bool is_last(const tg__scheduler *s, int i) { return i == s->evaluations - 1; }

static bool wants_noise(const tg__scheduler *s, int i) { return !is_last(s, i); }

/* How much of the clean sample and of the noisy one makes the denoised: at timestep 0 it is the
 * noisy one. In f32, as diffusers. */
static void boundary_of(const tg__scheduler *s, int t, float *clean, float *noisy)
{
    float scaled = (float)t * (float)s->keys.timestep_scaling, sum = scaled * scaled + 0.25f;
    *clean = scaled / sqrtf(sum);
    *noisy = 0.25f / sum;
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    float clean, noisy, alpha = tg__alpha(s, (int)s->timesteps[i]), next = 1;
    tg__mix mix = tg__clean_of(s->keys.prediction, tg__signal(s, alpha), sqrt((double)(1 - alpha)));
    boundary_of(s, (int)s->timesteps[i], &clean, &noisy);
    if (!is_last(s, i))
        next = tg__alpha(s, (int)s->timesteps[i + 1]);
    row[TG__CLEAN_SAMPLE] = mix.sample;
    row[TG__CLEAN_OUTPUT] = mix.output;
    row[TG__NEXT_CLEAN] = sqrt((double)next) * (double)clean;
    row[TG__NEXT_SAMPLE] = sqrt((double)next) * (double)noisy;
    row[TG__NEXT_NOISE] = sqrt((double)(1 - next));
}

/* steps_offset, timestep_spacing and set_alpha_to_one are keys of diffusers' class that change
 * nothing. */
const tg__sampler tg__lcm = {
    .name = "LCMScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_ZERO_SNR | TG__HAS_CLIP | TG__HAS_THRESHOLDING |
            TG__HAS_ALPHA_TO_ONE | TG__HAS_ORIGINAL_STEPS | TG__HAS_TIMESTEP_SCALING,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .beta_schedule = TG__BETAS_SCALED_LINEAR,
    .beta_start = 0.00085,
    .beta_end = 0.012,
    .spacing = TG__LEADING,
    .set_alpha_to_one = true,
    .custom_timesteps = true,
    .usual_steps = 4,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = tg__step_by_clean,
    .wants_noise = wants_noise,
};
