/* SPDX-License-Identifier: MIT */
/* What pictures and .npy files have in common: arrays of four sizes. */
#ifndef TG_IO_ARRAY_H
#define TG_IO_ARRAY_H

#include "core/error.h"

/* Whether an array has sizes and data, and every value is finite; else an error of that status for
 * a value. */
bool tg__array_check(const tg_array *array, tg_status status, tg__error *error);

/* A kind of file that holds an array. */
typedef struct tg__array_format {
    const char *what; /* the argument that it goes to: "picture" */
    size_t most_bytes;
    void (*decode)(tg_array *array, const char *data, size_t bytes, tg__error *error);
} tg__array_format;

/* The public functions that decode and read such a file. given may be NULL. */
tg_status tg__array_decode(tg_array *array, const tg__array_format *format, const void *data,
                           size_t bytes, tg_error *given);
tg_status tg__array_read(tg_array *array, const tg__array_format *format, const char *path,
                         tg_error *given);

#endif
