/* SPDX-License-Identifier: MIT */
#include "io/image_format.h"

#include <stdlib.h>

bool tg__pixels_check(size_t width, size_t height, tg__error *error)
{
    if (width > 0 && height > 0 && width <= TG__MOST_PIXELS / height)
        return true;
    tg__fail(error, TG_ERROR_FORMAT, "is %zux%zu pixels large, expected 1 to %d pixels in all",
             width, height, TG__MOST_PIXELS);
    return false;
}

bool tg__pixels_take(tg__pixels *pixels, size_t width, size_t height, int channels, size_t bytes,
                     double most_per_byte, tg__error *error)
{
    if (!tg__pixels_check(width, height, error))
        return false;
    if (most_per_byte > 0 && (double)(width * height) > most_per_byte * (double)bytes) {
        tg__fail(error, TG_ERROR_FORMAT,
                 "says that it is %zux%zu pixels large, which its %zu bytes cannot hold", width,
                 height, bytes);
        return false;
    }
    pixels->width = (int)width;
    pixels->height = (int)height;
    pixels->data = malloc(width * height * (size_t)channels);
    if (!pixels->data)
        tg__fail_memory(error);
    return pixels->data != NULL;
}

void tg__pixels_lay_over_white(tg__pixels *pixels)
{
    const unsigned char *src = pixels->data;
    unsigned char *dst = pixels->data;
    size_t n = (size_t)pixels->width * (size_t)pixels->height;
    for (size_t i = 0; i < n; i++, src += 4) {
        int alpha = src[3];
        for (int c = 0; c < 3; c++)
            *dst++ = (unsigned char)((src[c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
}
