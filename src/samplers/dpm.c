/* SPDX-License-Identifier: MIT */
/* DPM-Solver, arXiv 2206.00927, and DPM-Solver++, arXiv 2211.01095: what multistep and singlestep
 * solvers share. */
#include "samplers/dpm.h"

#include <math.h>

tg__dpm_point tg__dpm_point_at(const tg__scheduler *s, int i)
{
    float sigma = s->sigmas[i], alpha = 1 / sqrtf(sigma * sigma + 1);
    tg__dpm_point point = {.alpha = alpha, .sigma = sigma * alpha};
    point.lambda = logf(point.alpha) - logf(point.sigma);
    return point;
}

tg__dpm_weights tg__dpm_weights_of(tg__algorithm algorithm, tg__dpm_point from, tg__dpm_point to)
{
    bool data = algorithm == TG__DPMPP || algorithm == TG__SDE_DPMPP;
    float h = data ? from.lambda - to.lambda : to.lambda - from.lambda;
    float scale = data ? to.alpha : to.sigma;
    float keep = data ? to.sigma / from.sigma : to.alpha / from.alpha;
    if (algorithm == TG__SDE_DPMPP) {
        float e = 1 - expf(2 * h), constant = scale * e;
        return (tg__dpm_weights){
            .sample = keep * expf(h),
            .constant = constant,
            .midpoint = 0.5f * constant,
            .linear = scale * (e / (2 * h) + 1),
            .noise = to.sigma * sqrtf(e),
        };
    }
    /* With noise the same integrals count twice. */
    float e = expf(h) - 1, times = algorithm == TG__SDE_DPM ? 2 : 1;
    return (tg__dpm_weights){
        .sample = keep,
        .constant = -times * (scale * e),
        .midpoint = -0.5f * times * (scale * e),
        .linear = -times * (scale * (e / h - 1)),
        .quadratic = -(scale * ((e - h) / (h * h) - 0.5f)),
        .noise = algorithm == TG__SDE_DPM ? to.sigma * sqrtf(expf(2 * h) - 1) : 0,
    };
}

void tg__dpm_row(const tg__scheduler *s, int i, bool data, double *row)
{
    tg__dpm_point at = tg__dpm_point_at(s, i);
    double alpha = (double)at.alpha, sigma = (double)at.sigma;
    bool clean = data || s->keys.thresholding;
    tg__mix mix = clean ? tg__clean_of(s->keys.prediction, alpha, sigma)
                        : tg__noise_of(s->keys.prediction, alpha, sigma);
    row[TG__DPM_SAMPLE] = mix.sample;
    row[TG__DPM_OUTPUT] = mix.output;
    if (clean && !data) {
        row[TG__DPM_NOISE_SAMPLE] = 1 / sigma;
        row[TG__DPM_NOISE_CLEAN] = -alpha / sigma;
    }
}

void tg__dpm_keep(const tg__scheduler *s, const double *row, bool data, const float *output,
                  const float *sample, float *kept)
{
    TG__COMBINE(kept, s->n, {row[TG__DPM_SAMPLE], sample}, {row[TG__DPM_OUTPUT], output});
    if (!s->keys.thresholding)
        return;
    tg__restrain(s, kept);
    if (!data)
        TG__COMBINE(kept, s->n, {row[TG__DPM_NOISE_SAMPLE], sample},
                    {row[TG__DPM_NOISE_CLEAN], kept});
}

tg_status tg__dpm_fail_third(const tg__scheduler *s, tg__error *error)
{
    return tg__fail_about(
        error, TG_ERROR_ARGUMENT, "steps",
        "%s: solver_order 3 with algorithm_type \"%s\" is not implemented for %d steps",
        s->sampler->name, s->keys.algorithm == TG__SDE_DPM ? "sde-dpmsolver" : "sde-dpmsolver++",
        s->steps);
}

bool tg__dpm_wants_noise(const tg__scheduler *s, int i)
{
    (void)i;
    return tg__dpm_is_noisy(s);
}
