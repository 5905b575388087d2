/* SPDX-License-Identifier: MIT */
/* Memory in either format and the functions behind the activations, over the vector of the level
 * that includes this (its vector.h comes first). */
#ifndef TG_KERNELS_VECTOR_MATH_H
#define TG_KERNELS_VECTOR_MATH_H

#include <stdbool.h>

/* What is passed constant arguments, to become code for these. */
#define TG_SPECIALISED static inline __attribute__((always_inline))

/* Before a loop over an array of vectors, which are registers only if the loop is unrolled whole.
 */
#ifdef __clang__
#define TG_UNROLL _Pragma("clang loop unroll(full)")
#else
#define TG_UNROLL _Pragma("GCC unroll 32")
#endif

/* X for each number of rows that a register block may have. */
#define TG_ROWS_TO_12(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

/* Elements i to i + LANES of an array of which left >= 1 remain from i on. */
TG_SPECIALISED vec get(const void *p, size_t i, size_t left, bool bf16)
{
    const tg__bf16 *halves = (const tg__bf16 *)p + i;
    const float *floats = (const float *)p + i;
    if (left >= LANES)
        return bf16 ? vec_load_bf16(halves) : vec_load(floats);
    return bf16 ? vec_load_bf16_n(halves, left) : vec_load_n(floats, left);
}

TG_SPECIALISED void put(void *p, size_t i, vec x, size_t left, bool bf16)
{
    if (bf16 && left >= LANES)
        vec_store_bf16((tg__bf16 *)p + i, x);
    else if (bf16)
        vec_store_bf16_n((tg__bf16 *)p + i, x, left);
    else if (left >= LANES)
        vec_store((float *)p + i, x);
    else
        vec_store_n((float *)p + i, x, left);
}

/* 2^x within 2 ulp; 0 and infinity beyond f32's range. The polynomial is the minimax one of its
 * degree for relative error on [0, 1): 7.5e-8. */
TG_SPECIALISED vec vec_exp2(vec x)
{
    vec f = vec_fraction(x);
    vec y = vec_set(1.8775767e-3f);
    y = vec_fma(y, f, vec_set(8.98934e-3f));
    y = vec_fma(y, f, vec_set(5.5826318e-2f));
    y = vec_fma(y, f, vec_set(2.4015361e-1f));
    y = vec_fma(y, f, vec_set(6.931531e-1f));
    y = vec_fma(y, f, vec_set(9.9999994e-1f));
    return vec_scale2(y, x);
}

/* 2^x for what becomes bf16: within 7.5e-5 of it, an eighth of what that loses. Minimax again. */
TG_SPECIALISED vec vec_exp2_rough(vec x)
{
    vec f = vec_fraction(x);
    vec y = vec_set(7.802452e-2f);
    y = vec_fma(y, f, vec_set(2.2606716e-1f));
    y = vec_fma(y, f, vec_set(6.9583356e-1f));
    y = vec_fma(y, f, vec_set(9.999252e-1f));
    return vec_scale2(y, x);
}

/* x / (1 + 2^(x * minus_slope)) */
TG_SPECIALISED vec vec_sigmoid_times(vec x, vec minus_slope)
{
    vec e = vec_exp2(vec_mul(x, minus_slope));
    return vec_div(x, vec_add(e, vec_set(1)));
}

TG_SPECIALISED vec vec_silu(vec x) { return vec_sigmoid_times(x, vec_set(-1.44269504f)); }
TG_SPECIALISED vec vec_quick_gelu(vec x)
{
    return vec_sigmoid_times(x, vec_set(-1.702f * 1.44269504f));
}

/* gelu with the hyperbolic tangent, which is a sigmoid of twice as much: the exponent is
 * x (1 + 0.044715 x^2) times this. */
TG_SPECIALISED vec vec_gelu_tanh(vec x)
{
    const float slope = -2 * 0.79788456f * 1.44269504f;
    vec cubic = vec_fma(vec_mul(x, x), vec_set(slope * 0.044715f), vec_set(slope));
    return vec_sigmoid_times(x, cubic);
}

/* x times the normal distribution's integral up to x. With a = |x| and q = 1 - that integral at a,
 * it is max(x, 0) - a q: no cancellation on either side. q = e^(-a^2/2) times a polynomial in
 * t = 1 / (1 + p a): Abramowitz and Stegun 7.1.26, whose erfc is within 1.5e-7. */
TG_SPECIALISED vec vec_gelu(vec x)
{
    vec a =
        vec_min(vec_set(16), vec_abs(x)); /* q is 0 from there on, and infinity may not be in a q */
    vec t = vec_div(vec_set(1), vec_fma(a, vec_set(0.3275911f * 0.70710678f), vec_set(1)));
    vec y = vec_set(0.5f * 1.061405429f);
    y = vec_fma(y, t, vec_set(0.5f * -1.453152027f));
    y = vec_fma(y, t, vec_set(0.5f * 1.421413741f));
    y = vec_fma(y, t, vec_set(0.5f * -0.284496736f));
    y = vec_fma(y, t, vec_set(0.5f * 0.254829592f));
    vec e = vec_exp2(vec_mul(vec_mul(a, a), vec_set(-0.5f * 1.44269504f)));
    return vec_fnma(vec_mul(a, t), vec_mul(y, e), vec_max(x, vec_zero()));
}

#endif
