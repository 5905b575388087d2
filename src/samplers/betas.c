/* SPDX-License-Identifier: MIT */
/* From a beta schedule to alphas_cumprod, rounded to f32 where torch rounds: a schedule has a
 * thousand factors close to 1. */
#include <math.h>
#include <stdlib.h>

#include "samplers/class.h"

/* torch uses a fused product and counts from the nearer end. */
float tg__linspace_f32(float first, float last, int count, int i)
{
    if (count == 1)
        return first;
    float step = (last - first) / (float)(count - 1);
    return i < count / 2 ? fmaf(step, (float)i, first) : fmaf(-step, (float)(count - i - 1), last);
}

static double cosine_bar(double t)
{
    double c = cos((t + 0.008) / 1.008 * 3.141592653589793 / 2);
    return c * c;
}

static double exp_bar(double t) { return exp(t * -12.0); }

/* The beta that takes alpha_bar from one timestep to the next, at most 0.999. */
static float beta_for_bar(double (*bar)(double), int i, int count)
{
    double beta = 1 - bar((double)(i + 1) / count) / bar((double)i / count);
    return (float)(beta < 0.999 ? beta : 0.999);
}

static float beta_at(const tg__keys *k, int i)
{
    float start = (float)k->beta_start, end = (float)k->beta_end, x;
    switch (k->beta_schedule) {
    case TG__BETAS_LINEAR:
        return tg__linspace_f32(start, end, k->train_steps, i);
    case TG__BETAS_SCALED_LINEAR:
        x = tg__linspace_f32((float)sqrt(k->beta_start), (float)sqrt(k->beta_end), k->train_steps,
                             i);
        return x * x;
    case TG__BETAS_COSINE:
        return beta_for_bar(cosine_bar, i, k->train_steps);
    case TG__BETAS_EXP:
        return beta_for_bar(exp_bar, i, k->train_steps);
    case TG__BETAS_SIGMOID:
        break;
    }
    x = (float)(1 / (1 + exp(-(double)tg__linspace_f32(-6, 6, k->train_steps, i))));
    return x * (float)(k->beta_end - k->beta_start) + start;
}

/* In place; torch keeps the product in f64 and rounds each result. */
static void cumulate(float *alphas, int length)
{
    double product = 1;
    for (int i = 0; i < length; i++) {
        product *= (double)alphas[i];
        alphas[i] = (float)product;
    }
}

/* arXiv 2305.08891, algorithm 1: shifts and scales the square roots so that the last becomes 0 and
 * the first stays; through betas and back, as diffusers does. In and out: alphas_cumprod. */
static void rescale_zero_snr(float *bars, int length)
{
    /* NOLINTNEXTLINE(clang-analyzer-core*): length is at least 1 */
    float first = sqrtf(bars[0]), last = sqrtf(bars[length - 1]), before = 1;
    float scale = first / (first - last);
    for (int i = 0; i < length; i++) {
        float root = (sqrtf(bars[i]) - last) * scale;
        float bar = root * root;
        float beta = 1 - (i == 0 ? bar : bar / before);
        before = bar;
        bars[i] = 1 - beta;
    }
    cumulate(bars, length);
}

tg_status tg__make_alphas(tg__scheduler *s, const char *where, tg__error *error)
{
    float *alphas = malloc((size_t)s->length * sizeof *alphas);
    if (!alphas)
        return tg__fail_memory(error);
    s->alphas_cumprod = alphas;
    for (int i = 0; i < s->length; i++)
        alphas[i] = 1 - (s->trained_betas ? s->trained_betas[i] : beta_at(&s->keys, i));
    cumulate(alphas, s->length);
    if (s->keys.rescale_betas_zero_snr) {
        rescale_zero_snr(alphas, s->length);
        /* Classes that divide by it put the least subnormal of f16 in place of the zero. */
        if (s->sampler->by_sigma)
            alphas[s->length - 1] = 0x1p-24f;
    }
    for (int i = 0; i < s->length; i++)
        if (!(alphas[i] >= 0 && alphas[i] <= 1))
            return tg__fail(error, TG_ERROR_FORMAT,
                            "%s: rescale_betas_zero_snr is impossible with these betas", where);
    return TG_OK;
}
