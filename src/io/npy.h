/* SPDX-License-Identifier: MIT */
/* NumPy's .npy as a file's content. Messages begin without a name, as in image_format.h. */
#ifndef TG_IO_NPY_H
#define TG_IO_NPY_H

#include "io/buffer.h"

/* How a file begins. */
#define TG__NPY_MAGIC "\x93NUMPY"

/* Adds the file's content to what the buffer holds. TG_ERROR_NUMERIC for a value that is not
 * finite. */
void tg__npy_encode(tg__buffer *file, const tg_array *array, tg__error *error);

/* tg_array_free gives *array back, which is all zero on failure. */
void tg__npy_decode(tg_array *array, const char *file, size_t bytes, tg__error *error);

#endif
