/* SPDX-License-Identifier: MIT */
/* int8 products with AVX512-VNNI; the includer is compiled with or without AVX512-BF16. */
#ifndef TG_KERNELS_AVX512_VNNI_INT8_H
#define TG_KERNELS_AVX512_VNNI_INT8_H

#include <math.h>

#include "kernels/avx512/int8_finish.h"

/* ------------------------------------------------------------------------------- quantization */

TG_SPECIALISED void range_of(float *low, float *high, const void *src, size_t n, bool bf16)
{
    vec least = vec_set(*low), most = vec_set(*high), finite = vec_zero();
    for (size_t i = 0; i < n; i += LANES) {
        size_t left = n - i < LANES ? n - i : LANES;
        vec x = get(src, i, left, bf16); /* lanes that are missing are 0, so: */
        least = _mm512_mask_min_ps(least, vec_lanes(left), x, least);
        most = _mm512_mask_max_ps(most, vec_lanes(left), x, most);
        finite = vec_fma(x, vec_zero(), finite); /* a NaN stays, where min and max drop it */
    }
    bool good = vec_sum(finite) == 0;
    *low = good ? _mm512_reduce_min_ps(least) : NAN;
    *high = good ? _mm512_reduce_max_ps(most) : NAN;
}

static void range(float *low, float *high, const void *src, size_t n, bool bf16)
{
    if (bf16)
        range_of(low, high, src, n, true);
    else
        range_of(low, high, src, n, false);
}

TG_SPECIALISED void quantize_values(uint8_t *dst, const void *src, size_t n, float factor,
                                    float zero, bool bf16)
{
    vec scale = vec_set(factor), offset = vec_set(zero);
    for (size_t i = 0; i < n; i += LANES) {
        vec x = vec_fma(get(src, i, n - i, bf16), scale, offset);
        x = vec_min(vec_max(x, vec_zero()), vec_set(255)); /* what is not a number becomes 0 */
        __m128i bytes = _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(x));
        store_bytes(dst + i, bytes, n - i);
    }
}

static void quantize(uint8_t *dst, const void *src, size_t n, float factor, float zero, bool bf16)
{
    if (bf16)
        quantize_values(dst, src, n, factor, zero, true);
    else
        quantize_values(dst, src, n, factor, zero, false);
}

/* ----------------------------------------------------------------------------------- products */

/* Up to 12 rows times 32 outputs are 24 vectors of sums in registers; a step of four factors loads
 * two vectors of weights and broadcasts four bytes of each row, so that nearly every cycle
 * multiplies. */
enum { ROWS = 12, VECTORS = TG__INT8_BLOCK / LANES };

TG_SPECIALISED __m512i broadcast(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

/* The sums of `rows` rows, a constant, by all weights of a block. */
TG_SPECIALISED void multiply(sums s[ROWS][VECTORS], const tg__int8_product *p, const uint8_t *src,
                             const char *weights, int rows)
{
    size_t step = p->step;
    TG_UNROLL
    for (int i = 0; i < rows; i++)
        s[i][0] = s[i][1] = (sums)_mm512_setzero_si512();
    for (int tap = 0; tap < p->taps; tap++) {
        const uint8_t *from = src + p->tap[tap];
        for (size_t k = 0; k < p->depth; k += 4, weights += 4 * TG__INT8_BLOCK) {
            __m512i a = _mm512_loadu_si512(weights);
            __m512i b = _mm512_loadu_si512(weights + 64);
            TG_UNROLL
            for (int i = 0; i < rows; i++) {
                __m512i x = broadcast(from + k + (size_t)i * step);
                s[i][0] = (sums)_mm512_dpbusd_epi32((__m512i)s[i][0], x, a);
                s[i][1] = (sums)_mm512_dpbusd_epi32((__m512i)s[i][1], x, b);
            }
        }
    }
}

/* The lines that finish_row will touch come while the products are computed. */
TG_SPECIALISED void fetch_ahead(const piece *s, size_t i)
{
    const tg__int8_product *p = s->p;
    size_t width = p->glu ? LANES : TG__INT8_BLOCK;
    size_t at = (s->row + i * p->dst_step) * (size_t)p->out + s->block * width;
    at *= p->bf16 ? sizeof(tg__bf16) : sizeof(float);
    if (p->residual && p->residual != p->dst)
        _mm_prefetch((const char *)p->residual + at, _MM_HINT_T0);
    __builtin_prefetch((char *)p->dst + at, 1);
}

TG_SPECIALISED void run_piece(const piece *s, int rows)
{
    sums all[ROWS][VECTORS];
    for (int i = 0; i < rows; i++)
        fetch_ahead(s, (size_t)i);
    multiply(all, s->p, s->src, s->weights, rows);
    tg__int8_product product = *s->p; /* copies: what is stored cannot be theirs */
    piece own = *s;
    own.p = &product;
    by_output o = by_output_of(&own);
    TG_UNROLL
    for (int i = 0; i < rows; i++) {
        if (product.bf16)
            finish_row(&own, &o, all[i][0], all[i][1], (size_t)i, true);
        else
            finish_row(&own, &o, all[i][0], all[i][1], (size_t)i, false);
    }
}

/* A function for each number of rows. */
#define RUN_ROWS(n) \
    static __attribute__((noinline)) void run_##n(const piece *s) { run_piece(s, n); }
TG_ROWS_TO_12(RUN_ROWS)

static void int8_product(const tg__int8_product *p, const uint8_t *src, const float *scale,
                         const int32_t *zero, size_t scale_step, size_t row, size_t rows, int block)
{
#define RUN_OF(n) [n] = run_##n,
    static void (*const run[ROWS + 1])(const piece *) = {TG_ROWS_TO_12(RUN_OF)};
#undef RUN_OF
    piece s = piece_of(p, src, scale, zero, scale_step, row, block);
    while (rows > 0) {
        /* pieces of about the same number of rows: a small one would wait for its weights */
        size_t pieces = (rows + ROWS - 1) / ROWS, n = (rows + pieces - 1) / pieces;
        run[n](&s);
        rows -= n;
        s.src += n * p->step;
        s.scale += n * scale_step;
        s.zero += n * scale_step;
        s.row += n * p->dst_step;
    }
}

static void init_int8(tg__kernels *kernels)
{
    kernels->int8_fast = true;
    kernels->range = range;
    kernels->quantize = quantize;
    kernels->int8_product = int8_product;
}

#endif
