/* SPDX-License-Identifier: MIT */
/* PNDM, arXiv 2202.09778: a linear multistep method on the predicted noise. Its first three outputs
 * come from a Runge-Kutta start of twelve evaluations ("prk"), or, with skip_prk_steps, from orders
 * one to three, the first step being made twice. */
#include <math.h>
#include <stdlib.h>

#include "samplers/class.h"

enum { RUNGE_KUTTA = 12, KEPT = 4 };
/* Slots: the last KEPT outputs, in turn; the sample that a step starts from; the weighted sum of a
 * Runge-Kutta step. */
enum { BASE = KEPT, SUM, SLOTS };
enum { NEXT_SAMPLE, NEXT_OUTPUT, ROW };

static int runge_kutta(const tg__scheduler *s) { return s->keys.skip_prk_steps ? 0 : RUNGE_KUTTA; }

/* From and to which timestep evaluation i goes. */
static void span_of(const tg__scheduler *s, int i, int *from, int *to)
{
    int ratio = s->keys.train_steps / s->steps, t = (int)s->timesteps[i];
    if (i < runge_kutta(s)) {
        *from = (int)s->timesteps[i / 4 * 4];
        *to = t - (i % 2 ? 0 : ratio / 2);
    } else if (s->keys.skip_prk_steps && i == 1) {
        *from = t + ratio;
        *to = t;
    } else {
        *from = t;
        *to = t - ratio;
    }
}

/* falling: the steps' timesteps. The second is evaluated twice. */
static int list_skipping(const double *falling, int steps, double *dst)
{
    int count = 0;
    for (int i = 0; i < steps; i++) {
        dst[count++] = falling[i];
        if (i == 1)
            dst[count++] = falling[i];
    }
    return count;
}

/* Three steps of four evaluations: at the start, in the middle twice, at the end; then the others.
 */
static int list_runge_kutta(const double *falling, int steps, int half, double *dst)
{
    int count = 0;
    for (int i = 0; i < 3; i++) {
        dst[count++] = falling[i];
        dst[count++] = falling[i + 1] + half;
        dst[count++] = falling[i + 1] + half;
        dst[count++] = falling[i + 1];
    }
    for (int i = 3; i < steps; i++)
        dst[count++] = falling[i];
    return count;
}

static tg_status check_spans(const tg__scheduler *s, tg__error *error)
{
    for (int i = 0; i < s->evaluations; i++) {
        int from, to;
        span_of(s, i, &from, &to);
        if (!tg__has_alpha(s, from))
            return tg__fail_timestep(s, from, error);
        if (to >= s->length)
            return tg__fail_timestep(s, to, error);
    }
    return TG_OK;
}

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    s->slot_count = SLOTS;
    if (tg__schedule_allocate(s, error) != TG_OK)
        return error->status;
    double *falling = malloc(((size_t)s->steps + 1) * sizeof *falling);
    if (!falling)
        return tg__fail_memory(error);
    int steps = tg__space_timesteps(s, true, s->keys.train_steps, falling);
    if (s->keys.skip_prk_steps)
        s->evaluations = list_skipping(falling, steps, s->timesteps);
    else if (steps >= KEPT)
        s->evaluations =
            list_runge_kutta(falling, steps, s->keys.train_steps / s->steps / 2, s->timesteps);
    else
        tg__fail_about(error, TG_ERROR_ARGUMENT, "steps",
                       "PNDMScheduler: %d steps, expected at least %d without skip_prk_steps",
                       s->steps, KEPT);
    free(falling);
    return tg__failed(error) ? error->status : check_spans(s, error);
}

/* Equation 9: the next sample from the sample and the noise in it. */
static void fill_row(const tg__scheduler *s, int i, double *row)
{
    int from, to;
    span_of(s, i, &from, &to);
    float alpha = tg__alpha(s, from);
    float alpha_to = to >= 0                    ? s->alphas_cumprod[to]
                     : s->keys.set_alpha_to_one ? 1
                                                : s->alphas_cumprod[0];
    double a = (double)alpha, a_to = (double)alpha_to;
    double b = (double)(1 - alpha), b_to = (double)(1 - alpha_to);
    double noise = -(a_to - a) / (a * sqrt(b_to) + sqrt(a * b * a_to));
    tg__mix mix = tg__noise_of(s->keys.prediction, sqrt(a), sqrt(b));
    row[NEXT_SAMPLE] = sqrt(a_to / a) + noise * mix.sample;
    row[NEXT_OUTPUT] = noise * mix.output;
}

/* One of the four evaluations of a Runge-Kutta step: sample = what the next one is given. */
static void step_runge_kutta(tg__scheduler *s, int i, const double *row, const float *output,
                             float *sample)
{
    static const double weights[] = {1 / 6.0, 1 / 3.0, 1 / 3.0, 1 / 6.0};
    float *base = tg__slot(s, BASE), *sum = tg__slot(s, SUM);
    int stage = i % 4;
    if (stage == 0) {
        TG__COMBINE(tg__slot(s, i / 4), s->n, {1, output});
        TG__COMBINE(base, s->n, {1, sample});
    }
    TG__COMBINE(sum, s->n, {stage == 0 ? 0 : 1, sum}, {weights[stage], output});
    TG__COMBINE(sample, s->n, {row[NEXT_SAMPLE], base},
                {row[NEXT_OUTPUT], stage == 3 ? sum : output});
}

/* The second evaluation of the first step: it is made again with the mean of both outputs. */
static void step_again(tg__scheduler *s, const double *row, const float *output, float *sample)
{
    TG__COMBINE(sample, s->n, {row[NEXT_SAMPLE], tg__slot(s, BASE)}, {row[NEXT_OUTPUT] / 2, output},
                {row[NEXT_OUTPUT] / 2, tg__slot(s, 0)});
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    /* Adams-Bashforth; the newest output first. */
    static const double weights[KEPT][KEPT] = {
        {1},
        {3 / 2.0, -1 / 2.0},
        {23 / 12.0, -16 / 12.0, 5 / 12.0},
        {55 / 24.0, -59 / 24.0, 37 / 24.0, -9 / 24.0},
    };
    (void)noise;
    if (i < runge_kutta(s)) {
        step_runge_kutta(s, i, row, output, sample);
        return;
    }
    if (s->keys.skip_prk_steps && i == 1) {
        step_again(s, row, output, sample);
        return;
    }
    if (i == 0)
        TG__COMBINE(tg__slot(s, BASE), s->n, {1, sample});
    /* How many outputs were kept before this one: three by the Runge-Kutta start, or one an
     * evaluation but the second. */
    int kept = s->keys.skip_prk_steps ? i - (i > 1) : i - RUNGE_KUTTA + 3;
    TG__COMBINE(tg__slot(s, kept % KEPT), s->n, {1, output});
    tg__term terms[1 + KEPT] = {{row[NEXT_SAMPLE], sample}};
    int count = kept + 1 < KEPT ? kept + 1 : KEPT;
    for (int k = 0; k < count; k++)
        terms[1 + k] =
            (tg__term){row[NEXT_OUTPUT] * weights[count - 1][k], tg__slot(s, (kept - k) % KEPT)};
    tg__combine(sample, s->n, terms, 1 + count);
}

const tg__sampler tg__pndm = {
    .name = "PNDMScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_ALPHA_TO_ONE | TG__HAS_SKIP_PRK,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__SET(TG__EPSILON) | TG__SET(TG__V_PREDICTION),
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LEADING,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
};
