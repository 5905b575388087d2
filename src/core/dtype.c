/* SPDX-License-Identifier: MIT */
#include "core/dtype.h"

static uint16_t load16(const void *src, size_t i)
{
    uint16_t x;
    memcpy(&x, (const unsigned char *)src + 2 * i, sizeof x);
    return x;
}

static void from_f64(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double x;
        memcpy(&x, (const unsigned char *)src + 8 * i, sizeof x);
        dst[i] = (float)x;
    }
}

void tg__to_f32_array(float *dst, const void *src, tg__dtype dtype, size_t n)
{
    const uint8_t *bytes = src;
    switch (dtype) {
    case TG__BF16:
        for (size_t i = 0; i < n; i++)
            dst[i] = tg__from_bf16(load16(src, i));
        return;
    case TG__F16:
        for (size_t i = 0; i < n; i++)
            dst[i] = tg__from_f16(load16(src, i));
        return;
    case TG__F64:
        from_f64(dst, src, n);
        return;
    case TG__F8_E4M3:
        for (size_t i = 0; i < n; i++)
            dst[i] = tg__from_f8_e4m3(bytes[i]);
        return;
    case TG__F8_E5M2:
        for (size_t i = 0; i < n; i++)
            dst[i] = tg__from_f8_e5m2(bytes[i]);
        return;
    default:
        memcpy(dst, src, n * sizeof *dst);
    }
}

void tg__convert_array(void *dst, tg__dtype dst_dtype, const void *src, tg__dtype dtype, size_t n)
{
    enum { PIECE = 512 };
    float wide[PIECE];
    tg__bf16 *narrow = dst;
    if (dst_dtype == TG__F32) {
        tg__to_f32_array(dst, src, dtype, n);
        return;
    }
    if (dtype == TG__BF16) {
        memcpy(dst, src, n * sizeof *narrow);
        return;
    }
    for (size_t i = 0; i < n; i += PIECE) {
        size_t count = n - i < PIECE ? n - i : PIECE;
        tg__to_f32_array(wide, (const unsigned char *)src + i * tg__dtype_size(dtype), dtype,
                         count);
        for (size_t j = 0; j < count; j++)
            narrow[i + j] = tg__to_bf16(wide[j]);
    }
}
