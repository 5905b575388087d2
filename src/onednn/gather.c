/* SPDX-License-Identifier: MIT */
#include "onednn/gather.h"

/* n values, in vector code where they are f16, as most published ones are. */
static void convert(const tg__kernels *k, void *dst, tg__dtype dst_dtype, const char *src,
                    tg__dtype dtype, size_t n)
{
    enum { PIECE = 2048 };
    float wide[PIECE];
    tg__bf16 *narrow = dst;
    if (dtype == TG__F16 && dst_dtype == TG__F32) {
        k->f32_from_f16(dst, src, n);
    } else if (dtype == TG__F16) {
        for (size_t i = 0; i < n; i += PIECE) {
            size_t count = n - i < PIECE ? n - i : PIECE;
            k->f32_from_f16(wide, src + i * sizeof *narrow, count);
            k->bf16_from_f32(narrow + i, wide, count);
        }
    } else if (dtype == TG__F32 && dst_dtype == TG__BF16 && (uintptr_t)src % sizeof *wide == 0) {
        k->bf16_from_f32(narrow, (const float *)(const void *)src, n);
    } else {
        tg__convert_array(dst, dst_dtype, src, dtype, n);
    }
}

/* count 3x3 kernels to the 2x2 kernels of a phase: of three taps in a row the first alone and the
 * other two meet one source pixel each in phase 0, the first two and the last alone in phase 1. */
static void fold_taps(const tg__kernels *kernels, int phase, void *dst, tg__dtype dst_dtype,
                      const char *src, tg__dtype dtype, size_t count)
{
    enum { PIECE = 128 };
    float taps[PIECE * 9], folded[PIECE * 4];
    int py = (phase - 1) / 2, px = (phase - 1) % 2;
    for (size_t first = 0; first < count; first += PIECE) {
        size_t n = count - first < PIECE ? count - first : PIECE;
        convert(kernels, taps, TG__F32, src + first * 9 * tg__dtype_size(dtype), dtype, n * 9);
        memset(folded, 0, sizeof folded);
        for (size_t i = 0; i < n; i++)
            for (int tap = 0; tap < 9; tap++)
                folded[4 * i + 2 * (size_t)(tap / 3 > py) + (tap % 3 > px)] += taps[9 * i + tap];
        convert(kernels, (char *)dst + first * 4 * tg__dtype_size(dst_dtype), dst_dtype,
                (const char *)folded, TG__F32, n * 4);
    }
}

void tg__gather_row(void *dst, tg__dtype dtype, const tg__kernels *kernels,
                    const tg__product_spec *spec, size_t row)
{
    const tg__layer *layer = spec->layer;
    size_t rows = (size_t)(layer->out / layer->parts), in = (size_t)spec->in_count;
    size_t taps = (size_t)layer->kernel * (size_t)layer->kernel;
    const tg__disk_tensor *w = &layer->weight[row / rows];
    size_t first = (row % rows * (size_t)layer->in + (size_t)spec->in_first) * taps;
    const char *src = (const char *)w->data + first * tg__dtype_size(w->dtype);
    if (spec->phase)
        fold_taps(kernels, spec->phase, dst, dtype, src, w->dtype, in);
    else
        convert(kernels, dst, dtype, src, w->dtype, in * taps);
}
