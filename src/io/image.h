/* SPDX-License-Identifier: MIT */
/* Pictures as files; the public functions of tgate.h (tg_image_write, tg_image_read, tg_npy_write,
 * tg_npy_read) live in image.c and npy.c. */
#ifndef TG_IO_IMAGE_H
#define TG_IO_IMAGE_H

#include "io/file.h"

/* (height, width, 3) bytes, row-major. */
typedef struct tg__pixels {
    int width, height;
    unsigned char *data;
} tg__pixels;

void tg__png_write(tg__output *output, const tg__pixels *pixels, const char *text, tg__error *error);
void tg__jpeg_write(tg__output *output, const tg__pixels *pixels, tg__error *error);
void tg__webp_write(tg__output *output, const tg__pixels *pixels, tg__error *error);
/* data is free()d by the caller; at most 2^28 pixels. Alpha is laid over white; grey becomes rgb. */
void tg__png_read(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);
void tg__jpeg_read(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);
void tg__webp_read(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);

#endif
