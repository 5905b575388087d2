/* SPDX-License-Identifier: MIT */
/* Number formats of weights on disk and of activations. */
#ifndef TG_CORE_DTYPE_H
#define TG_CORE_DTYPE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum tg__dtype {
    TG__F32,
    TG__F16,
    TG__BF16,
    TG__F64,         /* this and the next two on disk alone */
    TG__F8_E4M3,     /* without infinities: all ones are NaN */
    TG__F8_E5M2,     /* a half f16 */
    TG__OTHER,       /* on disk: none that is read */
    TG__U8,          /* bytes of an operator's own form */
    TG__ACTIVATIONS, /* in a plan: what the backend computes in */
} tg__dtype;

/* Bytes of one element; not for TG__OTHER and TG__ACTIVATIONS. */
static inline size_t tg__dtype_size(tg__dtype dtype)
{
    static const uint8_t sizes[] = {
        [TG__F32] = 4,     [TG__F16] = 2,   [TG__BF16] = 2, [TG__F64] = 8,        [TG__F8_E4M3] = 1,
        [TG__F8_E5M2] = 1, [TG__OTHER] = 2, [TG__U8] = 1,   [TG__ACTIVATIONS] = 2};
    return sizes[dtype];
}

static inline const char *tg__dtype_name(tg__dtype dtype)
{
    static const char *const names[] = {"f32",     "f16",   "bf16", "f64",        "f8_e4m3",
                                        "f8_e5m2", "other", "u8",   "activations"};
    return names[dtype];
}

typedef uint16_t tg__bf16;

static inline float tg__from_bf16(tg__bf16 x)
{
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Rounds to nearest, ties to even; a NaN stays a (quiet) NaN. */
static inline tg__bf16 tg__to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (tg__bf16)(bits >> 16 | 0x40);
    return (tg__bf16)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}

/* Without branches, so that a loop over it becomes vector code: the exponent is moved by a product,
 * which sets denormals right; infinities and NaN keep all ones. */
static inline float tg__from_f16(uint16_t x)
{
    uint32_t bits = (uint32_t)(x & 0x7FFF) << 13, special = bits >= 0x0F800000u ? 0x7F800000u : 0;
    float f;
    memcpy(&f, &bits, sizeof f);
    f *= 0x1p112f;
    memcpy(&bits, &f, sizeof bits);
    bits |= special | (uint32_t)(x & 0x8000) << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* The exponent of four bits stands where f16's lowest four are, which differ in their bias by 8. */
static inline float tg__from_f8_e4m3(uint8_t x)
{
    uint16_t half = (uint16_t)((x & 0x7F) << 7 | (x & 0x80) << 8);
    return (x & 0x7F) == 0x7F ? tg__from_f16((uint16_t)(half | 0x7E00)) : tg__from_f16(half) * 256;
}

static inline float tg__from_f8_e5m2(uint8_t x) { return tg__from_f16((uint16_t)(x << 8)); }

/* n elements of src in the given format (not TG__OTHER) as f32; src needs no alignment. */
void tg__to_f32_array(float *dst, const void *src, tg__dtype dtype, size_t n);
/* The same to f32 or bf16. */
void tg__convert_array(void *dst, tg__dtype dst_dtype, const void *src, tg__dtype dtype, size_t n);

/* What a CPU converts in vector code; the kernels' functions. */
typedef struct tg__conversions {
    void (*f32_from_f16)(float *dst, const void *src, size_t n); /* src may be unaligned */
    void (*bf16_from_f32)(tg__bf16 *dst, const float *src, size_t n);
} tg__conversions;

#endif
