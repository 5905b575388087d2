/* SPDX-License-Identifier: MIT */
/* What the operators' files share; not for others. */
#ifndef TG_OPS_RECORD_H
#define TG_OPS_RECORD_H

#include "ops/ops.h"

/* Sets node->shape, for profiles. */
__attribute__((format(printf, 3, 4))) void tg__set_shape(tg__plan *plan, tg__node *node,
                                                         const char *format, ...);

/* A disk tensor (or several, one behind the other) as f32, made once for all plans of the network;
 * NULL fails the plan. */
const float *tg__packed_f32(tg__plan *plan, const tg__disk_tensor *tensors, int count);

static inline const tg__kernels *tg__plan_kernels(const tg__plan *plan)
{
    return tg__plan_context(plan)->kernels;
}

/* dst = activation(src), n values; dst may be src. */
void tg__activate_values(const tg__kernels *kernels, tg__activation activation, void *dst,
                         const void *src, size_t n, bool bf16);

/* Two tensors that an operator wants alike are not: our own fault or a config's; fails the plan. */
void tg__shape_error(tg__plan *plan, const char *name, tg__tensor a, tg__tensor b);

/* Spreads rows in pieces of about `piece` rows over the threads. */
typedef void (*tg__rows_function)(void *context, size_t row, size_t rows);
void tg__parallel_rows(size_t rows, size_t piece, tg__rows_function function, void *context);

#endif
