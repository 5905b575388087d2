/* SPDX-License-Identifier: MIT */
/* What pictures and .npy files have in common: arrays of four sizes. */
#ifndef TG_IO_ARRAY_H
#define TG_IO_ARRAY_H

#include "core/error.h"

/* Whether an array has sizes and data, and every value is finite; else an error of that status for
 * a value. */
bool tg__array_check(const tg_array *array, tg_status status, tg__error *error);

#endif
