/* SPDX-License-Identifier: MIT */
#include "core/dtype.h"

void tg__to_f32_array(float *dst, const void *src, tg__dtype dtype, size_t n)
{
    if (dtype == TG__F32) {
        memcpy(dst, src, n * sizeof *dst);
        return;
    }
    const unsigned char *s = src;
    for (size_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, s + 2 * i, sizeof x);
        dst[i] = dtype == TG__BF16 ? tg__from_bf16(x) : tg__from_f16(x);
    }
}
