/* SPDX-License-Identifier: MIT */
/* Pictures as files; the public functions of tgate.h (tg_image_write, tg_image_read, tg_npy_write,
 * tg_npy_read) live in image.c and npy.c.
 *
 * Messages about what is in a file begin without its name here: "is 0x0 pixels large, …". Whoever
 * knows the name puts it in front (tg__image_where). */
#ifndef TG_IO_IMAGE_H
#define TG_IO_IMAGE_H

#include "io/file.h"

/* More pixels than this are refused in a file before memory is taken for them. */
enum { TG__MOST_PIXELS = 1 << 26 };

/* (height, width, 3) bytes, row-major. */
typedef struct tg__pixels {
    int width, height;
    unsigned char *data;
} tg__pixels;

/* text: UTF-8, NULL for none. */
void tg__png_write(tg__output *output, const tg__pixels *pixels, const char *text,
                   tg__error *error);
void tg__jpeg_write(tg__output *output, const tg__pixels *pixels, tg__error *error);
void tg__webp_write(tg__output *output, const tg__pixels *pixels, tg__error *error);

/* The caller free()s data, which is NULL on failure; at most TG__MOST_PIXELS. Alpha is laid over
 * white; grey becomes rgb; gamma and colour profiles are ignored. */
void tg__png_read(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);
void tg__jpeg_read(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);
void tg__webp_read(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);

/* For the readers: sets the size, checks it, and that the file's bytes can hold it, where a byte
 * codes at most most_per_byte pixels (0: any number), and makes room for channels bytes a pixel. */
bool tg__pixels_take(tg__pixels *pixels, size_t width, size_t height, int channels, size_t bytes,
                     double most_per_byte, tg__error *error);
/* For the readers: data holds 4 bytes a pixel, red, green, blue and alpha; then 3. */
void tg__pixels_lay_over_white(tg__pixels *pixels);

/* Whether an array has sizes and data, and every value is finite; else an error of that status for
 * a value. */
bool tg__array_check(const tg_array *array, tg_status status, tg__error *error);
/* Puts the file's name in front of an error about its content. */
void tg__image_where(tg__error *error, const char *path);
/* The end of a public function: the message goes to a buffer of size bytes, which may be NULL. */
tg_status tg__image_report(const tg__error *error, char *message, size_t size);

#endif
