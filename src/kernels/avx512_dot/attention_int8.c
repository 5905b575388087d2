/* SPDX-License-Identifier: MIT */
/* Attention with scores of int8 products, where the layers are int8's too. A query has a scale of
 * its own; all keys of a head share one. What is taken off the keys, the middle of each channel's
 * range, adds the same to all scores of a query, which its softmax does not see; so does the 128
 * that makes them unsigned. */
#include "kernels/avx512/sums.h"

enum { SCORE_UNIT = 4 };
typedef sums score_sum;

#include "kernels/avx512_dot/attention_pairs.h"
#include "kernels/avx512_dot/parts.h"

enum { LARGEST = 127, MIDDLE = 128 };

TG_SPECIALISED vec score_value(score_sum score) { return _mm512_cvtepi32_ps((__m512i)score); }

TG_SPECIALISED score_sum unit_score(vec a, vec b, score_sum sum)
{
    return (score_sum)_mm512_dpbusd_epi32((__m512i)sum, _mm512_castps_si512(a),
                                          _mm512_castps_si512(b));
}

/* What brings a largest |x| of `top` to LARGEST; not a number where it is none. */
static float factor_of(float top)
{
    const float most = 0x1p126f; /* the inverse is no denormal */
    float factor = LARGEST / top;
    return factor > most ? most : factor;
}

static float unit_factor(const void *src, size_t i, size_t n, bool bf16, float *scale)
{
    (void)bf16;
    vec most = vec_zero(), finite = vec_zero();
    for (size_t k = 0; k < n; k += LANES) {
        vec x = get(src, i + k, n - k, true);
        most = vec_max(most, vec_abs(x));
        finite = vec_fma(x, vec_zero(), finite); /* a NaN stays, where the maximum may drop it */
    }
    float factor = factor_of(_mm512_reduce_max_ps(most)) + vec_sum(finite);
    *scale /= factor;
    return factor;
}

static vec unit_load(const void *src, size_t i, size_t left, bool bf16, float factor)
{
    (void)bf16;
    __m512i units = _mm512_setzero_si512();
    for (int part = 0; part < SCORE_UNIT && left > (size_t)part * LANES; part++) {
        size_t done = (size_t)part * LANES;
        vec x = vec_mul(get(src, i + done, left - done, true), vec_set(factor));
        __m128i bytes = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x));
        units = part == 0   ? _mm512_inserti32x4(units, bytes, 0)
                : part == 1 ? _mm512_inserti32x4(units, bytes, 1)
                : part == 2 ? _mm512_inserti32x4(units, bytes, 2)
                            : _mm512_inserti32x4(units, bytes, 3);
    }
    return _mm512_castsi512_ps(units);
}

/* The middle of each channel's range, for up to LANES of them; returned is half the widest range.
 */
static float middles_of(vec *middle, const tg__bf16 *src, size_t stride, const key_list *list,
                        size_t left)
{
    vec low = vec_set(INFINITY), high = vec_set(-INFINITY), finite = vec_zero();
    for (int row = 0; row < list->count; row++) {
        vec x = get(src, (size_t)list->rows[row] * stride, left, true);
        low = vec_min(low, x);
        high = vec_max(high, x);
        finite = vec_fma(x, vec_zero(), finite);
    }
    low = vec_mul(low, vec_set(0.5f));
    high = vec_mul(high, vec_set(0.5f));
    *middle = vec_add(low, high);
    vec half = vec_sub(high, low);
    return _mm512_reduce_max_ps(half) + vec_sum(finite);
}

static float unit_pack_keys(float *dst, const void *src, size_t stride, const key_list *list,
                            size_t n, bool bf16)
{
    enum { MOST = 512 / LANES };
    (void)bf16;
    vec middle[MOST];
    float half = 0;
    for (size_t i = 0; i < n; i += LANES) {
        float here = middles_of(&middle[i / LANES], (const tg__bf16 *)src + i, stride, list, n - i);
        half = here > half || here != here ? here : half;
    }
    float factor = factor_of(half);
    size_t row_bytes = score_units(n) * SCORE_UNIT;
    for (int row = 0; row < list->count; row++) {
        const tg__bf16 *from = (const tg__bf16 *)src + (size_t)list->rows[row] * stride;
        uint8_t *to = (uint8_t *)dst + (size_t)row * row_bytes;
        for (size_t i = 0; i < n; i += LANES) {
            vec x = vec_sub(get(from, i, n - i, true), middle[i / LANES]);
            x = vec_fma(x, vec_set(factor), vec_set(MIDDLE));
            store_bytes(to + i, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(x)), row_bytes - i);
        }
    }
    return 1 / factor;
}

void tg__avx512_dot_attention_int8(tg__kernels *kernels) { kernels->attention_int8 = attention; }
