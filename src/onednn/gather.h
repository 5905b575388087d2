/* SPDX-License-Identifier: MIT */
/* A layer's weights as a product reads them, from the form on disk. */
#ifndef TG_ONEDNN_GATHER_H
#define TG_ONEDNN_GATHER_H

#include "onednn/onednn.h"

/* The weights of output `row` of a product, (in_count, k, k) with k = tg__product_kernel(spec), in
 * dtype (f32 or bf16). */
void tg__gather_row(void *dst, tg__dtype dtype, const tg__kernels *kernels,
                    const tg__product_spec *spec, size_t row);

#endif
