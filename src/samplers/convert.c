/* SPDX-License-Identifier: MIT */
/* What a network's output says about the clean sample, and sums over samples. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "samplers/class.h"

/* -------------------------------------------------------------------------- predictions */

double tg__signal(const tg__scheduler *s, float alpha)
{
    double root = sqrt((double)alpha);
    return root > 0 || !s->keys.clip_sample || s->keys.thresholding ? root : 1e-30;
}

tg__mix tg__clean_of(tg__prediction prediction, double alpha, double sigma)
{
    if (prediction == TG__EPSILON)
        return (tg__mix){1 / alpha, -sigma / alpha};
    if (prediction == TG__V_PREDICTION)
        return (tg__mix){alpha, -sigma};
    return (tg__mix){0, 1};
}

tg__mix tg__noise_of(tg__prediction prediction, double alpha, double sigma)
{
    if (prediction == TG__EPSILON)
        return (tg__mix){0, 1};
    if (prediction == TG__V_PREDICTION)
        return (tg__mix){sigma, alpha};
    return (tg__mix){1 / sigma, -alpha / sigma};
}

tg__mix tg__clean_of_sigma(tg__prediction prediction, double sigma)
{
    double square = sigma * sigma + 1;
    if (prediction == TG__EPSILON)
        return (tg__mix){1, -sigma};
    if (prediction == TG__V_PREDICTION)
        return (tg__mix){1 / square, -sigma / sqrt(square)};
    return (tg__mix){0, 1};
}

tg__mix tg__slope_of_sigma(tg__prediction prediction, double sigma)
{
    tg__mix clean = tg__clean_of_sigma(prediction, sigma);
    return (tg__mix){(1 - clean.sample) / sigma, -clean.output / sigma};
}

/* ------------------------------------------------------------------------------- sums */

void tg__combine(float *dst, size_t n, const tg__term *terms, int count)
{
    enum { BLOCK = 256 };
    double sums[BLOCK];
    for (size_t start = 0; start < n; start += BLOCK) {
        size_t length = n - start < BLOCK ? n - start : BLOCK;
        memset(sums, 0, sizeof sums);
        for (int k = 0; k < count; k++) {
            double factor = terms[k].factor;
            if (factor == 0)
                continue;
            const float *values = terms[k].values + start;
            for (size_t i = 0; i < length; i++)
                sums[i] += factor * (double)values[i];
        }
        for (size_t i = 0; i < length; i++)
            dst[start + i] = (float)sums[i];
    }
}

/* ------------------------------------------------------------------- clip and threshold */

/* x within -limit and limit; NaN stays. */
static float clamp(float x, float limit) { return x < -limit ? -limit : x > limit ? limit : x; }

/* The magnitude's bits, which are in the order of the magnitudes. */
static uint32_t magnitude(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7FFFFFFFu;
}

/* The magnitude that has `rank` smaller ones before it in sorted order: finds its bytes from the
 * highest down, so that nothing is moved and no order of the values is slow. */
static float select_magnitude(const float *x, size_t n, size_t rank)
{
    uint32_t found = 0, known = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        size_t counts[256] = {0};
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = magnitude(x[i]);
            if ((bits & known) == found)
                counts[bits >> shift & 255]++;
        }
        uint32_t byte = 0;
        while (byte < 255 && rank >= counts[byte])
            rank -= counts[byte++];
        found |= byte << shift;
        known |= (uint32_t)255 << shift;
    }
    float value;
    memcpy(&value, &found, sizeof value);
    return value;
}

/* torch.quantile(|x|, ratio). */
static float quantile(const float *x, size_t n, float ratio)
{
    float rank = ratio * (float)(n - 1);
    size_t below = (size_t)rank, above = (size_t)ceilf(rank);
    float weight = rank - (float)below;
    float from = select_magnitude(x, n, below < n ? below : n - 1);
    float to = above > below ? select_magnitude(x, n, above < n ? above : n - 1) : from;
    return weight < 0.5f ? from + weight * (to - from) : to - (to - from) * (1 - weight);
}

/* Dynamic thresholding of one picture, arXiv 2205.11487 section 2.3. */
static void threshold(const tg__keys *k, float *clean, size_t n)
{
    float most = (float)k->threshold_most;
    float limit = quantile(clean, n, (float)k->threshold_ratio);
    limit = limit < 1 ? 1 : limit;
    limit = limit > most ? most : limit;
    for (size_t i = 0; i < n; i++)
        clean[i] = clamp(clean[i], limit) / limit;
}

void tg__restrain(const tg__scheduler *s, float *clean)
{
    size_t each = s->n / (size_t)s->count;
    if (s->keys.thresholding)
        for (int i = 0; i < s->count; i++)
            threshold(&s->keys, clean + (size_t)i * each, each);
    else if (s->keys.clip_sample)
        for (size_t i = 0; i < s->n; i++)
            clean[i] = clamp(clean[i], (float)s->keys.clip_range);
}

void tg__step_by_clean(tg__scheduler *s, int i, const double *row, const float *output,
                       float *sample, const float *noise)
{
    float *clean = tg__slot(s, 0);
    (void)i;
    TG__COMBINE(clean, s->n, {row[TG__CLEAN_SAMPLE], sample}, {row[TG__CLEAN_OUTPUT], output});
    tg__restrain(s, clean);
    TG__COMBINE(sample, s->n, {row[TG__NEXT_CLEAN], clean}, {row[TG__NEXT_SAMPLE], sample},
                {row[TG__NEXT_OUTPUT], output}, {row[TG__NEXT_NOISE], noise});
}
