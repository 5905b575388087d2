/* SPDX-License-Identifier: MIT */
/* Winograd's convolution with products of 16-bit integers: two multiplications where f32 has one.
 * Their errors are below those of a convolution in bf16 (docs/speed.md); products in bf16 would be
 * as fast, but the transforms multiply what cancels again, and errors with it.
 *
 * Input channels come in chunks. A tile's values at a point have a scale for each chunk, which
 * brings the largest to LARGEST, 2^13.5; an output's weights at a point have one scale, by which no
 * chunk's sum can leave 32 bits.
 *
 * Packed weights: (passes, panels, points of a pass, in / 2, PANEL, 2), in rounded up to whole
 * vectors, then scales: (passes, panels, points of a pass, PANEL) floats.
 *
 * AVX512-VNNI; the includer is compiled with or without AVX512-BF16. */
#ifndef TG_KERNELS_AVX512_VNNI_WINOGRAD_INT16_H
#define TG_KERNELS_AVX512_VNNI_WINOGRAD_INT16_H

#include <string.h>

#include "kernels/avx512/sums.h"
#include "kernels/kernels.h"

enum { TILES = 12, PASS_ROWS = 2, CHUNK = 128, LARGEST = 11585 };

typedef int16_t winograd_value;

#include "kernels/vector/winograd.h"

static const float most_factor = 0x1p126f; /* the inverse is no denormal */

static size_t chunks_of(const tg__winograd *w) { return ((size_t)w->in + CHUNK - 1) / CHUNK; }

/* Where chunk i begins, in vectors of channels. */
static size_t chunk_start(const tg__winograd *w, size_t i)
{
    return i * winograd_slices(w) / chunks_of(w);
}

/* (chunks, count, LANES), of which the first are points. */
static size_t winograd_scales(const tg__winograd *w) { return chunks_of(w) * LANES; }

/* (PASS, CHUNK): one tile's values before they are rounded. */
static size_t winograd_spare(const tg__winograd *w)
{
    (void)w;
    return PASS * CHUNK;
}

/* ------------------------------------------------------------------------------------- weights */

enum { STEP_BYTES = PANEL * 2 * sizeof(int16_t) }; /* of a panel and two channels */

/* A panel's weights at one point. */
static size_t point_bytes(const tg__winograd *w)
{
    return winograd_slices(w) * (LANES / 2) * STEP_BYTES;
}

static size_t weight_bytes(const tg__winograd *w)
{
    return PASSES * winograd_panels(w) * PASS * point_bytes(w);
}

static size_t winograd_packed_bytes(const tg__winograd *w)
{
    return weight_bytes(w) + PASSES * winograd_panels(w) * PASS * PANEL * sizeof(float);
}

TG_SPECIALISED vec winograd_factor(const tg__winograd *w, size_t channel)
{
    (void)w;
    (void)channel;
    return vec_set(1);
}

/* What LANES outputs' weights at each point are multiplied by. It is not a number where one of them
 * is none. */
static void find_factors(vec factor[ALL_POINTS], const tg__winograd *w, const float *taps)
{
    /* half a unit is what rounding adds to a weight, the rest what adding up in f32 may lose */
    const vec limit = vec_set(1 / (2147483648.f / LARGEST - CHUNK));
    vec u[ALL_POINTS], sum[ALL_POINTS], scale[ALL_POINTS], all[ALL_POINTS];
    for (int i = 0; i < ALL_POINTS; i++)
        scale[i] = all[i] = vec_zero();
    for (size_t chunk = 0; chunk < chunks_of(w); chunk++) {
        size_t c = chunk_start(w, chunk) * LANES, end = chunk_start(w, chunk + 1) * LANES;
        for (int i = 0; i < ALL_POINTS; i++)
            sum[i] = vec_zero();
        for (; c < end && c < (size_t)w->in; c++) {
            transform_weights(u, taps + c * 9 * PANEL);
            for (int i = 0; i < ALL_POINTS; i++) {
                sum[i] = vec_add(sum[i], vec_abs(u[i]));
                scale[i] = vec_max(scale[i], vec_mul(vec_abs(u[i]), vec_set(1.f / INT16_MAX)));
            }
        }
        for (int i = 0; i < ALL_POINTS; i++) {
            scale[i] = vec_max(scale[i], vec_mul(sum[i], limit));
            all[i] = vec_add(all[i], sum[i]);
        }
    }
    for (int i = 0; i < ALL_POINTS; i++) {
        vec least = vec_max(scale[i], vec_set(1 / most_factor));
        factor[i] = vec_fma(all[i], vec_zero(), vec_div(vec_set(1), least));
    }
}

/* As integers, those of a in the low halves. */
TG_SPECIALISED __m512i in_pairs(vec a, vec b)
{
    __m512i low = _mm512_and_si512(_mm512_cvtps_epi32(a), _mm512_set1_epi32(0xFFFF));
    return _mm512_or_si512(low, _mm512_slli_epi32(_mm512_cvtps_epi32(b), 16));
}

static void winograd_pack(void *packed, const tg__winograd *w, int panel, const float *taps)
{
    size_t in = (size_t)w->in, panels = winograd_panels(w), bytes = point_bytes(w);
    float *scales = (float *)(void *)((char *)packed + weight_bytes(w));
    for (size_t lane = 0; lane < PANEL; lane += LANES) {
        vec factor[ALL_POINTS], u[ALL_POINTS], v[ALL_POINTS];
        find_factors(factor, w, taps + lane);
        for (size_t c = 0; c < winograd_slices(w) * LANES; c += 2) {
            memset(u, 0, sizeof u);
            memset(v, 0, sizeof v);
            if (c < in)
                transform_weights(u, taps + c * 9 * PANEL + lane);
            if (c + 1 < in)
                transform_weights(v, taps + (c + 1) * 9 * PANEL + lane);
            for (size_t i = 0; i < ALL_POINTS; i++) {
                size_t block = (i / PASS * panels + (size_t)panel) * PASS + i % PASS;
                char *dst = (char *)packed + block * bytes + c / 2 * STEP_BYTES + lane * 4;
                vec a = vec_mul(u[i], factor[i]), b = vec_mul(v[i], factor[i]);
                _mm512_storeu_si512(dst, in_pairs(a, b));
            }
        }
        for (size_t i = 0; i < ALL_POINTS; i++) {
            size_t block = (i / PASS * panels + (size_t)panel) * PASS + i % PASS;
            vec_store(scales + block * PANEL + lane, vec_div(vec_set(1), factor[i]));
        }
    }
}

/* --------------------------------------------------------------------------------------- input */

/* The largest |x|'s bits; those of what is not a number are larger still. */
TG_SPECIALISED int32_t largest_of(const float *src, size_t slices)
{
    __m512i most = _mm512_setzero_si512();
    for (size_t i = 0; i < slices; i++) {
        __m512i bits = _mm512_castps_si512(vec_abs(vec_load(src + i * LANES)));
        most = _mm512_max_epi32(most, bits);
    }
    return _mm512_reduce_max_epi32(most);
}

/* One tile's values of `slices` vectors of channels, as CHUNK floats for each point, become
 * integers; a point's lie `point` apart, vectors `step`. */
TG_SPECIALISED void round_values(int16_t *dst, size_t step, size_t point, float *scales,
                                 const float *src, size_t slices)
{
    int32_t tops[LANES] = {0};
    float factors[LANES];
    for (int i = 0; i < PASS; i++)
        tops[i] = largest_of(src + i * CHUNK, slices);
    vec top = _mm512_castsi512_ps(_mm512_loadu_si512(tops));
    vec factor = vec_min(vec_set(most_factor), vec_div(vec_set(LARGEST), top));
    vec_store(factors, factor);
    vec_store(scales, vec_div(vec_set(1), factor));
    for (size_t i = 0; i < PASS; i++) {
        vec f = vec_set(factors[i]);
        for (size_t k = 0; k < slices; k++) {
            __m512i x = _mm512_cvtps_epi32(vec_mul(vec_load(src + i * CHUNK + k * LANES), f));
            int16_t *at = dst + i * point + k * step;
            _mm256_storeu_si256((__m256i *)(void *)at, _mm512_cvtsepi32_epi16(x));
        }
    }
}

TG_SPECIALISED void winograd_transform(const tiles *t, int pass, bool bf16)
{
    const tg__winograd *w = t->w;
    size_t in = (size_t)w->in, count = (size_t)t->count, point = winograd_slices(w) * count * LANES;
    for (size_t i = 0; i < count; i++)
        for (size_t chunk = 0; chunk < chunks_of(w); chunk++) {
            size_t first = chunk_start(w, chunk), slices = chunk_start(w, chunk + 1) - first;
            for (size_t k = 0; k < slices; k++)
                transform_pass(t->spare + k * LANES, CHUNK, t->pixels + i * POINTS * POINTS,
                               (first + k) * LANES, in - (first + k) * LANES, pass, bf16);
            round_values(t->values + (first * count + i) * LANES, count * LANES, point,
                         t->scales + (chunk * count + i) * LANES, t->spare, slices);
        }
}

/* ------------------------------------------------------------------------------------ products */

/* A panel's products of one chunk at one point. */
typedef struct chunk {
    float *dst;            /* (rows, PANEL) */
    const int16_t *values; /* vectors of channels lie step apart */
    const float *scales;   /* (rows, LANES): the first of a row is its own */
    const char *weights;
    const float *panel_scales; /* NULL: more chunks will come */
    size_t step, slices;
    bool first;       /* dst is not there yet */
    const char *next; /* what will be read next and is fetched, ahead bytes for two channels */
    size_t ahead;
} chunk;

TG_SPECIALISED void finish_rows(const chunk *c, sums s[TILES][2], int rows)
{
    TG_UNROLL
    for (int i = 0; i < rows; i++) {
        vec scale = vec_set(c->scales[i * LANES]);
        TG_UNROLL
        for (int v = 0; v < 2; v++) {
            float *dst = c->dst + i * PANEL + v * LANES;
            vec x = vec_mul(_mm512_cvtepi32_ps((__m512i)s[i][v]), scale);
            if (!c->first)
                x = vec_add(x, vec_load(dst));
            if (c->panel_scales)
                x = vec_mul(x, vec_load(c->panel_scales + v * LANES));
            vec_store(dst, x);
        }
    }
}

TG_SPECIALISED void multiply_rows(const chunk *c, int rows)
{
    sums s[TILES][2];
    const char *weights = c->weights, *next = c->next;
    TG_UNROLL
    for (int i = 0; i < rows; i++)
        s[i][0] = s[i][1] = (sums)_mm512_setzero_si512();
    for (size_t slice = 0; slice < c->slices; slice++) {
        const int16_t *values = c->values + slice * c->step;
        for (int k = 0; k < LANES; k += 2, weights += STEP_BYTES, next += c->ahead) {
            __m512i a = _mm512_loadu_si512(weights), b = _mm512_loadu_si512(weights + 64);
            __builtin_prefetch(next);
            __builtin_prefetch(next + 64);
            TG_UNROLL
            for (int i = 0; i < rows; i++) {
                int32_t two;
                memcpy(&two, values + i * LANES + k, sizeof two);
                __m512i x = _mm512_set1_epi32(two);
                s[i][0] = (sums)_mm512_dpwssd_epi32((__m512i)s[i][0], x, a);
                s[i][1] = (sums)_mm512_dpwssd_epi32((__m512i)s[i][1], x, b);
            }
        }
    }
    finish_rows(c, s, rows);
}

static void multiply_chunk(const chunk *c, int rows)
{
    switch (rows) {
#define ROWS_OF(n)           \
    case n:                  \
        multiply_rows(c, n); \
        break;
        TG_ROWS_TO_12(ROWS_OF)
#undef ROWS_OF
    }
}

static void multiply_point(const tiles *t, size_t point, const char *weights, const float *scales)
{
    const tg__winograd *w = t->w;
    size_t count = (size_t)t->count, parts = (count + TILES - 1) / TILES, chunks = chunks_of(w);
    for (size_t i = 0; i < chunks; i++) {
        size_t slice = chunk_start(w, i), slices = chunk_start(w, i + 1) - slice;
        size_t bytes = slices * (LANES / 2) * STEP_BYTES;
        for (size_t part = 0; part < parts; part++) {
            size_t first = part * count / parts, rows = (part + 1) * count / parts - first;
            size_t value = ((point * winograd_slices(w) + slice) * count + first) * LANES;
            chunk c = {.dst = t->products + (point * count + first) * PANEL,
                       .values = t->values + value,
                       .scales = t->scales + (i * count + first) * LANES + point,
                       .weights = weights,
                       .panel_scales = i + 1 == chunks ? scales : NULL,
                       .step = count * LANES,
                       .slices = slices,
                       .first = i == 0,
                       .next = weights + bytes + part * bytes / parts,
                       .ahead = STEP_BYTES / parts};
            multiply_chunk(&c, (int)rows);
        }
        weights += bytes;
    }
}

/* As many tiles at a time as there are registers for, in parts of about the same size. */
static void winograd_multiply(const tiles *t, size_t pass, size_t panel)
{
    const tg__winograd *w = t->w;
    size_t block = (pass * winograd_panels(w) + panel) * PASS, bytes = point_bytes(w);
    const char *weights = (const char *)w->weights + block * bytes;
    const char *scales = (const char *)w->weights + weight_bytes(w);
    for (size_t point = 0; point < PASS; point++)
        multiply_point(t, point, weights + point * bytes,
                       (const float *)(const void *)scales + (block + point) * PANEL);
}

#endif
