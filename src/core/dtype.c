/* SPDX-License-Identifier: MIT */
#include "core/dtype.h"

static uint16_t load16(const void *src, size_t i)
{
    uint16_t x;
    memcpy(&x, (const unsigned char *)src + 2 * i, sizeof x);
    return x;
}

void tg__to_f32_array(float *dst, const void *src, tg__dtype dtype, size_t n)
{
    if (dtype == TG__F32) {
        memcpy(dst, src, n * sizeof *dst);
    } else if (dtype == TG__BF16) {
        for (size_t i = 0; i < n; i++)
            dst[i] = tg__from_bf16(load16(src, i));
    } else {
        for (size_t i = 0; i < n; i++)
            dst[i] = tg__from_f16(load16(src, i));
    }
}

void tg__convert_array(void *dst, tg__dtype dst_dtype, const void *src, tg__dtype dtype, size_t n)
{
    tg__bf16 *narrow = dst;
    if (dst_dtype == TG__F32) {
        tg__to_f32_array(dst, src, dtype, n);
    } else if (dtype == TG__BF16) {
        memcpy(dst, src, n * sizeof *narrow);
    } else if (dtype == TG__F16) {
        for (size_t i = 0; i < n; i++)
            narrow[i] = tg__to_bf16(tg__from_f16(load16(src, i)));
    } else {
        for (size_t i = 0; i < n; i++) {
            float x;
            memcpy(&x, (const unsigned char *)src + 4 * i, sizeof x);
            narrow[i] = tg__to_bf16(x);
        }
    }
}
