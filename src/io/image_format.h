/* SPDX-License-Identifier: MIT */
/* What image.c and the formats of pictures share: pixels, and each format's way from and to a
 * file's content. Messages begin without a name here: "is 0x0 pixels large, …". Whoever knows where
 * the content is from puts that in front. */
#ifndef TG_IO_IMAGE_FORMAT_H
#define TG_IO_IMAGE_FORMAT_H

#include "io/buffer.h"

/* More pixels than this are refused in a file before memory is taken for them. */
enum { TG__MOST_PIXELS = 1 << 26 };

/* (height, width, 3) bytes, row-major. */
typedef struct tg__pixels {
    int width, height;
    unsigned char *data;
} tg__pixels;

/* Add the file's content to what the buffer holds. text: UTF-8, NULL for none. */
void tg__png_encode(tg__buffer *file, const tg__pixels *pixels, const char *text, tg__error *error);
void tg__jpeg_encode(tg__buffer *file, const tg__pixels *pixels, tg__error *error);
void tg__webp_encode(tg__buffer *file, const tg__pixels *pixels, tg__error *error);

/* The caller free()s data, which is NULL on failure; at most TG__MOST_PIXELS. Alpha is laid over
 * white; grey becomes rgb; gamma and colour profiles are ignored. */
void tg__png_decode(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);
void tg__jpeg_decode(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);
void tg__webp_decode(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error);

/* Whether a picture's size is one that may be read. */
bool tg__pixels_check(size_t width, size_t height, tg__error *error);
/* For the decoders: sets the size, checks it, and that the file's bytes can hold it, where a byte
 * codes at most most_per_byte pixels (0: any number), and makes room for channels bytes a pixel. */
bool tg__pixels_take(tg__pixels *pixels, size_t width, size_t height, int channels, size_t bytes,
                     double most_per_byte, tg__error *error);
/* For the decoders: data holds 4 bytes a pixel, red, green, blue and alpha; then 3. */
void tg__pixels_lay_over_white(tg__pixels *pixels);

#endif
