/* SPDX-License-Identifier: MIT */
/* At which timesteps and sigmas the network is evaluated. The rounding is numpy's: which whole
 * timestep a fraction becomes, and how many steps "trailing" gives, depends on it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "samplers/class.h"
#include "samplers/scheduler.h"

tg_status tg__schedule_allocate(tg__scheduler *s, tg__error *error)
{
    size_t room = 2 * (size_t)s->steps + 16;
    s->timesteps = calloc(room, sizeof *s->timesteps);
    s->sigmas = calloc(room, sizeof *s->sigmas);
    return s->timesteps && s->sigmas ? TG_OK : tg__fail_memory(error);
}

/* --------------------------------------------------------------------------------- timesteps */

/* numpy.linspace(0, last, count)[i]. */
static double linspace(double last, int count, int i)
{
    if (count == 1)
        return 0;
    return i == count - 1 ? last : i * (last / (count - 1));
}

/* numpy.arange(last, 0, -train_steps / steps), rounded, less one. */
static int trailing(const tg__scheduler *s, int last, double *dst)
{
    double ratio = (double)s->keys.train_steps / s->steps;
    double difference = (last - ratio) - last; /* what arange continues with */
    double wanted = ceil(last / ratio);
    int count = wanted < s->steps + 1 ? (int)wanted : s->steps + 1;
    for (int i = 0; i < count; i++)
        dst[i] = rint(last + i * difference) - 1;
    return count;
}

static int copy_timesteps(const tg__scheduler *s, double *dst)
{
    for (int i = 0; i < s->steps; i++)
        dst[i] = s->request->timesteps[i];
    return s->steps;
}

int tg__space_timesteps(const tg__scheduler *s, bool whole, int last, double *dst)
{
    const tg__keys *k = &s->keys;
    if (s->request->timesteps)
        return copy_timesteps(s, dst);
    int skipped = s->sampler->open_grid ? 1 : 0, points = s->steps + skipped;
    if (k->spacing == TG__TRAILING)
        return trailing(s, last, dst);
    int ratio = last / points;
    for (int i = 0; i < s->steps; i++) {
        int point = points - 1 - i;
        if (k->spacing == TG__LEADING) {
            dst[i] = (double)point * ratio + k->steps_offset;
        } else {
            double t = linspace(last - 1, points, point);
            dst[i] = whole ? rint(t) : (double)(float)t;
        }
    }
    return s->steps;
}

bool tg__has_alpha(const tg__scheduler *s, int timestep)
{
    return timestep >= -1 && timestep < s->length;
}

float tg__alpha(const tg__scheduler *s, int timestep)
{
    return s->alphas_cumprod[timestep < 0 ? timestep + s->length : timestep];
}

tg_status tg__fail_timestep(const tg__scheduler *s, int timestep, tg__error *error)
{
    return tg__fail_about(
        error, TG_ERROR_ARGUMENT, "steps",
        "%s: %d steps with steps_offset %d evaluate timestep %d, expected 0 to %d",
        s->sampler->name, s->steps, s->keys.steps_offset, timestep, s->length - 1);
}

static tg_status check_alphas(const tg__scheduler *s, tg__error *error)
{
    for (int i = 0; i < s->evaluations; i++)
        if (!tg__has_alpha(s, (int)s->timesteps[i]))
            return tg__fail_timestep(s, (int)s->timesteps[i], error);
    return TG_OK;
}

tg_status tg__prepare_whole(tg__scheduler *s, tg__error *error)
{
    if (tg__schedule_allocate(s, error) != TG_OK)
        return error->status;
    s->evaluations = tg__space_timesteps(s, true, s->keys.train_steps, s->timesteps);
    return check_alphas(s, error);
}

int tg__original_steps(const tg__scheduler *s)
{
    return s->request->original_steps ? s->request->original_steps : s->keys.original_steps;
}

tg_status tg__prepare_distilled(tg__scheduler *s, int count, tg__error *error)
{
    int original = tg__original_steps(s), most = s->keys.train_steps;
    if (count > most)
        return tg__fail_about(error, TG_ERROR_ARGUMENT, "original_steps",
                              "%s: original_inference_steps is %d, expected 1 to %d as "
                              "num_train_timesteps",
                              s->sampler->name, count, most);
    if (!s->request->timesteps && s->steps > original)
        return tg__fail_about(error, TG_ERROR_ARGUMENT, "steps",
                              "%s: %d steps, expected 1 to %d as original_inference_steps",
                              s->sampler->name, s->steps, original);
    if (tg__schedule_allocate(s, error) != TG_OK)
        return error->status;
    double ratio = (double)count / s->steps;
    int spacing = most / count;
    for (int i = 0; i < s->steps; i++)
        s->timesteps[i] = (count - floor(i * ratio)) * spacing - 1;
    if (s->request->timesteps)
        copy_timesteps(s, s->timesteps);
    s->evaluations = s->steps;
    return check_alphas(s, error);
}

/* ------------------------------------------------------------------------------------ sigmas */

static float sigma_of(const tg__scheduler *s, int i)
{
    float alpha = s->alphas_cumprod[i];
    return sqrtf((1 - alpha) / alpha);
}

float *tg__log_sigmas(const tg__scheduler *s)
{
    float *logs = malloc((size_t)s->length * sizeof *logs);
    for (int i = 0; logs && i < s->length; i++)
        logs[i] = logf(sigma_of(s, i));
    return logs;
}

/* The sigma at a timestep; before the first and after the last it stays. */
static double sigma_at(const tg__scheduler *s, double t)
{
    if (!(t > 0))
        return (double)sigma_of(s, 0);
    if (t >= s->length - 1)
        return (double)sigma_of(s, s->length - 1);
    int low = (int)t;
    double from = (double)sigma_of(s, low);
    return ((double)sigma_of(s, low + 1) - from) * (t - low) + from;
}

/* The last index with logs[index] <= value, or the one before where that is the end. They rise, but
 * the end may lie below: rescale_betas_zero_snr puts a constant there. */
static int find_below(double value, const float *logs, int length)
{
    int low = 0, high = length - 1;
    if (value >= (double)logs[high])
        return high - 1;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (value >= (double)logs[middle])
            low = middle;
        else
            high = middle;
    }
    return low;
}

double tg__sigma_to_t(double sigma, const float *logs, int length)
{
    double value = log(sigma > 1e-10 ? sigma : 1e-10);
    int low = find_below(value, logs, length);
    double w = ((double)logs[low] - value) / (double)(logs[low] - logs[low + 1]);
    w = w < 0 ? 0 : w > 1 ? 1 : w;
    return (1 - w) * low + w * (low + 1);
}

float tg__sigma_to_t_f32(float sigma, const float *logs, int length)
{
    float value = logf(sigma > 1e-10f ? sigma : 1e-10f);
    int low = find_below((double)value, logs, length);
    float w = (logs[low] - value) / (logs[low] - logs[low + 1]);
    w = w < 0 ? 0 : w > 1 ? 1 : w;
    return (1 - w) * (float)low + w * (float)(low + 1);
}

/* How many timesteps are left when those are cut off at the noisy end whose log of alpha / sigma is
 * below lambda_min_clipped. */
static int unclipped(const tg__scheduler *s)
{
    int low = 0, high = s->length; /* of clipped ones */
    while (low < high) {
        int middle = low + (high - low) / 2;
        float alpha = s->alphas_cumprod[s->length - 1 - middle];
        float lambda = logf(sqrtf(alpha)) - logf(sqrtf(1 - alpha));
        if ((double)lambda >= s->keys.lambda_min_clipped)
            high = middle;
        else
            low = middle + 1;
    }
    return s->keys.train_steps - low;
}

/* Sigmas evenly spaced in their 7th root, arXiv 2206.00364 equation 5. */
static void karras(double *sigmas, int count, double least, double most)
{
    double low = pow(least, 1 / 7.0), high = pow(most, 1 / 7.0);
    for (int i = 0; i < count; i++)
        sigmas[i] = pow(high + linspace(1, count, i) * (low - high), 7);
}

/* Sigmas evenly spaced in their logarithm, arXiv 2206.00927. */
static void lu(double *sigmas, int count, double least_log, double most_log)
{
    for (int i = 0; i < count; i++)
        sigmas[i] = exp(most_log + linspace(1, count, i) * (least_log - most_log));
}

static void log_linear(double *sigmas, int count, float least_log, float most_log)
{
    for (int i = 0; i < count; i++)
        sigmas[i] = (double)expf(tg__linspace_f32(most_log, least_log, count, i));
}

/* Replaces sigmas that were taken at given timesteps by a spacing of their own, and the timesteps
 * by theirs. Both counts may change. */
static tg_status respace(tg__scheduler *s, double *sigmas, int *count, tg__error *error)
{
    const tg__keys *k = &s->keys;
    float *logs = tg__log_sigmas(s);
    if (!logs)
        return tg__fail_memory(error);
    double least = s->sampler->open_grid ? (double)sigma_of(s, 0) : sigmas[*count - 1];
    double most = s->sampler->open_grid ? (double)sigma_of(s, s->length - 1) : sigmas[0];
    if (k->log_linear) {
        *count = s->steps + 1;
        /* NOLINTNEXTLINE(clang-analyzer-core*): s->length is at least 1 */
        log_linear(sigmas, *count, logs[0], logs[s->length - 1]);
        least = sigmas[*count - 1];
        most = sigmas[0];
    }
    if (k->karras || k->lu_lambdas) {
        *count = s->evaluations = s->steps;
        if (k->karras)
            karras(sigmas, *count, k->sigma_min >= 0 ? k->sigma_min : least,
                   k->sigma_max >= 0 ? k->sigma_max : most);
        else
            /* NOLINTNEXTLINE(clang-analyzer-core*): as above */
            lu(sigmas, *count, (double)logs[0], (double)logs[s->length - 1]);
        for (int i = 0; i < *count; i++) {
            double t = s->length > 1 ? tg__sigma_to_t(sigmas[i], logs, s->length) : (double)NAN;
            s->timesteps[i] = s->sampler->rounds_timesteps ? rint(t) : t;
        }
    }
    free(logs);
    return TG_OK;
}

static double final_sigma(const tg__scheduler *s, const double *sigmas, int count)
{
    if (!s->keys.final_sigma_min)
        return 0;
    return s->keys.karras && s->sampler->repeats_last_sigma ? sigmas[count - 1]
                                                            : (double)sigma_of(s, 0);
}

static float init_sigma(const tg__scheduler *s)
{
    float most = s->sigmas[0];
    for (int i = 1; i < s->sigma_count; i++)
        most = s->sigmas[i] > most ? s->sigmas[i] : most;
    return s->keys.spacing == TG__LEADING ? sqrtf(most * most + 1) : most;
}

/* Fills s->sigmas, through sigmas, which has room for as many. */
static tg_status make_sigmas(tg__scheduler *s, double *sigmas, tg__error *error)
{
    const tg__keys *k = &s->keys;
    int count = s->evaluations;
    for (int i = 0; i < count; i++)
        sigmas[i] = sigma_at(s, s->timesteps[i]);
    if ((k->karras || k->lu_lambdas || k->log_linear) && respace(s, sigmas, &count, error) != TG_OK)
        return error->status;
    sigmas[count] = final_sigma(s, sigmas, count);
    s->sigma_count = count + 1;
    for (int i = 0; i < s->sigma_count; i++)
        s->sigmas[i] = (float)sigmas[i];
    if (k->continuous && k->prediction == TG__V_PREDICTION) {
        s->evaluations = count;
        for (int i = 0; i < count; i++)
            s->timesteps[i] = (double)(0.25f * logf(s->sigmas[i]));
    }
    return TG_OK;
}

tg_status tg__prepare_sigmas(tg__scheduler *s, tg__error *error)
{
    bool open = s->sampler->open_grid;
    int last = open && !s->request->timesteps ? unclipped(s) : s->keys.train_steps;
    if (last < 1)
        return tg__fail(error, TG_ERROR_ARGUMENT, "%s: lambda_min_clipped %g leaves no timestep",
                        s->sampler->name, s->keys.lambda_min_clipped);
    if (tg__schedule_allocate(s, error) != TG_OK)
        return error->status;
    s->evaluations = tg__space_timesteps(s, open, last, s->timesteps);
    double *sigmas = calloc(2 * (size_t)s->steps + 2, sizeof *sigmas);
    tg_status status = sigmas ? make_sigmas(s, sigmas, error) : tg__fail_memory(error);
    free(sigmas);
    s->init_noise_sigma = open ? 1 : init_sigma(s);
    return status;
}

float tg__sigma_at(const tg__scheduler *s, int i) { return s->sigmas[i]; }
