/* SPDX-License-Identifier: MIT */
/* What the operators' files share; not for others. */
#ifndef TG_CPU_RECORD_H
#define TG_CPU_RECORD_H

#include "cpu/tasks.h"

/* Sets task->shape, for profiles. */
__attribute__((format(printf, 3, 4))) void tg__set_shape(tg__program *program, tg__task *task,
                                                         const char *format, ...);

/* A norm's weight or bias, and a product's bias, as f32, made once for all programs of the network;
 * NULL where there is none. What goes wrong fails the program. */
const float *tg__program_values(tg__program *program, const tg__weight *weight);
const float *tg__program_bias(tg__program *program, const tg__product_spec *spec);

static inline const tg__kernels *tg__program_kernels(const tg__program *program)
{
    return tg__program_context(program)->kernels;
}

/* dst = activation(src), n values; dst may be src. */
void tg__activate_values(const tg__kernels *kernels, tg__activation activation, void *dst,
                         const void *src, size_t n, bool bf16);

/* Spreads rows in pieces of about `piece` rows over the threads. */
typedef void (*tg__rows_function)(void *context, size_t row, size_t rows);
void tg__parallel_rows(size_t rows, size_t piece, tg__rows_function function, void *context);

#endif
