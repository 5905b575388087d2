/* SPDX-License-Identifier: MIT */
/* What DPM-Solver and its relatives share: exponential integrators that work with alpha, sigma
 * (noisy = alpha * clean + sigma * noise) and lambda, the logarithm of their ratio. They keep for
 * each evaluation either the clean sample ("data") or the noise that the network predicted. */
#ifndef TG_SAMPLERS_DPM_H
#define TG_SAMPLERS_DPM_H

#include "samplers/class.h"

/* In f32, as the differences of lambda are in diffusers. */
typedef struct tg__dpm_point {
    float alpha, sigma, lambda;
} tg__dpm_point;

/* After step i, before it with i of the step. */
tg__dpm_point tg__dpm_point_at(const tg__scheduler *s, int i);

/* How a step goes from one point to another: next = sample * (the sample) + constant * (what is
 * predicted there) + terms of its slope over lambda, in units of the step, + noise * (noise). The
 * slope's term is `midpoint` or `linear` (solver_type "midpoint" or "heun"), with `quadratic` for
 * its own slope. */
typedef struct tg__dpm_weights {
    float sample, constant, midpoint, linear, quadratic, noise;
} tg__dpm_weights;

tg__dpm_weights tg__dpm_weights_of(tg__algorithm algorithm, tg__dpm_point from, tg__dpm_point to);

/* The first numbers of a row: how what is kept is made of sample and output. */
enum { TG__DPM_SAMPLE, TG__DPM_OUTPUT, TG__DPM_NOISE_SAMPLE, TG__DPM_NOISE_CLEAN, TG__DPM_ROW };

void tg__dpm_row(const tg__scheduler *s, int i, bool data, double *row);
void tg__dpm_keep(const tg__scheduler *s, const double *row, bool data, const float *output,
                  const float *sample, float *kept);

/* Whether a DPM-Solver's algorithm keeps data, and whether it adds noise. */
static inline bool tg__dpm_is_data(const tg__scheduler *s)
{
    return s->keys.algorithm == TG__DPMPP || s->keys.algorithm == TG__SDE_DPMPP;
}
static inline bool tg__dpm_is_noisy(const tg__scheduler *s)
{
    return s->keys.algorithm == TG__SDE_DPM || s->keys.algorithm == TG__SDE_DPMPP;
}

/* A wants_noise. */
bool tg__dpm_wants_noise(const tg__scheduler *s, int i);

/* Refuses the third order with noise. */
tg_status tg__dpm_fail_third(const tg__scheduler *s, tg__error *error);

#endif
