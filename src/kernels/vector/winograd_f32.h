/* SPDX-License-Identifier: MIT */
/* Winograd's convolution with products in f32.
 *
 * Packed weights: (passes, panels, points of a pass, in, PANEL), f32 or f16, then a factor for each
 * output channel. In f16 the factor is the power of two that brings the channel's largest weight
 * below 2^15, so that small weights are as precise as large ones. */
#ifndef TG_KERNELS_VECTOR_WINOGRAD_F32_H
#define TG_KERNELS_VECTOR_WINOGRAD_F32_H

#include "kernels/kernels.h"

enum { PASS_ROWS = 1 };
typedef float winograd_value;

#include "kernels/vector/winograd.h"

static size_t winograd_scales(const tg__winograd *w)
{
    (void)w;
    return 0;
}

/* (in, PANEL): a panel's weights of one point, where they are f16. */
static size_t winograd_spare(const tg__winograd *w) { return (size_t)w->in * PANEL; }

/* ------------------------------------------------------------------------------------- weights */

static size_t weight_size(const tg__winograd *w) { return w->half ? 2 : sizeof(float); }

static size_t weight_bytes(const tg__winograd *w)
{
    return ALL_POINTS * winograd_panels(w) * (size_t)w->in * PANEL * weight_size(w);
}

static size_t winograd_packed_bytes(const tg__winograd *w)
{
    return weight_bytes(w) + winograd_panels(w) * PANEL * sizeof(float);
}

TG_SPECIALISED vec winograd_factor(const tg__winograd *w, size_t channel)
{
    const char *factors = (const char *)w->weights + weight_bytes(w);
    return vec_load((const float *)(const void *)factors + channel);
}

/* The power of two that brings `top` into [2^14, 2^15); 1 where there is none. */
static float half_factor(float top)
{
    int exponent;
    if (!(top > 0 && top < INFINITY))
        return 1;
    frexpf(top, &exponent);
    return ldexpf(1, exponent < -100 ? 115 : 15 - exponent);
}

static void winograd_pack(void *packed, const tg__winograd *w, int panel, const float *taps)
{
    size_t in = (size_t)w->in, panels = winograd_panels(w), size = weight_size(w);
    float *factors = (float *)(void *)((char *)packed + weight_bytes(w)) + panel * PANEL;
    vec u[ALL_POINTS];
    for (int lane = 0; lane < PANEL; lane += LANES) {
        float top[LANES], factor[LANES], back[LANES];
        vec most = vec_zero();
        for (size_t c = 0; w->half && c < in; c++) {
            transform_weights(u, taps + c * 9 * PANEL + lane);
            for (int i = 0; i < ALL_POINTS; i++)
                most = vec_max(most, vec_abs(u[i]));
        }
        vec_store(top, most);
        for (int i = 0; i < LANES; i++) {
            factor[i] = half_factor(top[i]);
            back[i] = 1 / factor[i];
        }
        vec_store(factors + lane, vec_load(back));
        for (size_t c = 0; c < in; c++) {
            transform_weights(u, taps + c * 9 * PANEL + lane);
            for (size_t i = 0; i < ALL_POINTS; i++) {
                size_t block = (i / PASS * panels + (size_t)panel) * PASS + i % PASS;
                char *dst = (char *)packed + ((block * in + c) * PANEL + (size_t)lane) * size;
                vec x = vec_mul(u[i], vec_load(factor));
                if (w->half)
                    vec_store_f16(dst, x);
                else
                    vec_store((float *)(void *)dst, x);
            }
        }
    }
}

/* --------------------------------------------------------------------------------------- input */

TG_SPECIALISED void winograd_transform(const tiles *t, int pass, bool bf16)
{
    size_t in = (size_t)t->w->in, count = (size_t)t->count, slices = winograd_slices(t->w);
    for (size_t i = 0; i < count; i++) {
        const char *const *pixels = t->pixels + i * POINTS * POINTS;
        for (size_t slice = 0; slice < slices; slice++)
            transform_pass(t->values + (slice * count + i) * LANES, slices * count * LANES, pixels,
                           slice * LANES, in - slice * LANES, pass, bf16);
    }
}

/* ------------------------------------------------------------------------------------ products */

/* dst (rows, PANEL) = values (rows, in) times weights (in, PANEL); slices of values lie step floats
 * apart. Meanwhile weights in f16 are kept in `wide` as f32, and what is `next` to be read is
 * fetched, `ahead` bytes for each input channel. */
TG_SPECIALISED void multiply_rows(float *dst, const float *values, size_t step, const void *weights,
                                  float *wide, size_t in, const char *next, size_t ahead, int rows,
                                  bool half)
{
    vec s[TILES][2];
    const char *halves = weights;
    const float *floats = weights;
    TG_UNROLL
    for (int i = 0; i < rows; i++)
        s[i][0] = s[i][1] = vec_zero();
    for (size_t done = 0; done < in; done += LANES, values += step) {
        size_t n = in - done < LANES ? in - done : LANES;
        for (const float *value = values; value < values + n; value++) {
            vec a = half ? vec_load_f16(halves) : vec_load(floats);
            vec b = half ? vec_load_f16(halves + 2 * LANES) : vec_load(floats + LANES);
            if (half) {
                vec_store(wide, a);
                vec_store(wide + LANES, b);
                wide += PANEL;
            }
            halves += 2 * PANEL;
            floats += PANEL;
            TG_UNROLL
            for (size_t i = 0; i < PANEL * sizeof(float); i += 64)
                __builtin_prefetch(next + i);
            next += ahead;
            TG_UNROLL
            for (int i = 0; i < rows; i++) {
                vec x = vec_set(value[i * LANES]);
                s[i][0] = vec_fma(x, a, s[i][0]);
                s[i][1] = vec_fma(x, b, s[i][1]);
            }
        }
    }
    TG_UNROLL
    for (int i = 0; i < rows; i++) {
        vec_store(dst + i * PANEL, s[i][0]);
        vec_store(dst + i * PANEL + LANES, s[i][1]);
    }
}

TG_SPECIALISED void multiply(float *dst, const float *values, size_t step, const void *weights,
                             float *wide, size_t in, const char *next, size_t ahead, int rows,
                             bool half)
{
    switch (rows) {
#define ROWS_OF(n)                                                                               \
    case n:                                                                                      \
        if (n <= TILES)                                                                          \
            multiply_rows(dst, values, step, weights, wide, in, next, ahead, n <= TILES ? n : 1, \
                          half);                                                                 \
        break;
        TG_ROWS_TO_12(ROWS_OF)
#undef ROWS_OF
    }
}

/* As many tiles at a time as there are registers for, in parts of about the same size. */
static void winograd_multiply(const tiles *t, size_t pass, size_t panel)
{
    const tg__winograd *w = t->w;
    size_t in = (size_t)w->in, count = (size_t)t->count, slices = winograd_slices(w);
    size_t block = (pass * winograd_panels(w) + panel) * PASS, bytes = in * PANEL * weight_size(w);
    const char *weights = (const char *)w->weights + block * bytes;
    size_t parts = (count + TILES - 1) / TILES;
    for (size_t point = 0; point < PASS; point++, weights += bytes) {
        for (size_t part = 0; part < parts; part++) {
            size_t first = part * count / parts, rows = (part + 1) * count / parts - first;
            const float *values = t->values + (point * slices * count + first) * LANES;
            float *dst = t->products + (point * count + first) * PANEL;
            const char *next = weights + bytes + part * bytes / parts;
            size_t ahead = PANEL * weight_size(w) / parts;
            if (w->half && part == 0)
                multiply(dst, values, count * LANES, weights, t->spare, in, next, ahead, (int)rows,
                         true);
            else
                multiply(dst, values, count * LANES, w->half ? (const void *)t->spare : weights,
                         NULL, in, next, ahead, (int)rows, false);
        }
    }
}

#endif
