/* SPDX-License-Identifier: MIT */
/* Pictures in and out of files: which format, and between floats in planes and bytes in pixels. The
 * formats themselves are in image_png.c, image_jpeg.c, image_webp.c and npy.c. */
#include "io/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* More than the largest picture takes in any format. */
#define MOST_FILE_BYTES ((size_t)1 << 30)

/* ------------------------------------------------------------------------------------- shared */

bool tg__pixels_take(tg__pixels *pixels, size_t width, size_t height, int channels, size_t bytes,
                     double most_per_byte, tg__error *error)
{
    if (width == 0 || height == 0 || width > TG__MOST_PIXELS / height) {
        tg__fail(error, TG_ERROR_FORMAT, "is %zux%zu pixels large, expected 1 to %d pixels in all",
                 width, height, TG__MOST_PIXELS);
        return false;
    }
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

bool tg__array_check(const tg_array *a, tg_status status, tg__error *error)
{
    if (!a->data || a->count < 1 || a->channels < 1 || a->height < 1 || a->width < 1) {
        tg__fail(error, TG_ERROR_ARGUMENT, "array is (%d, %d, %d, %d)%s, expected sizes above 0%s",
                 a->count, a->channels, a->height, a->width, a->data ? "" : " without data",
                 a->data ? "" : " and data");
        return false;
    }
    size_t row = (size_t)a->width, plane = row * (size_t)a->height;
    size_t image = plane * (size_t)a->channels, n = image * (size_t)a->count;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(a->data[i]))
            continue;
        tg__fail(error, status, "value [%zu, %zu, %zu, %zu] is %g, expected a finite number",
                 i / image, i % image / plane, i % plane / row, i % row, (double)a->data[i]);
        return false;
    }
    return true;
}

void tg__image_where(tg__error *error, const char *path)
{
    char where[TG__WHERE_BYTES];
    if (tg__failed(error) && error->status != TG_ERROR_MEMORY)
        tg__error_where(error, tg__path_where(where, sizeof where, path));
}

tg_status tg__image_report(const tg__error *error, char *message, size_t size)
{
    if (message && size > 0)
        snprintf(message, size, "%s", error->message);
    return error->status;
}

/* ------------------------------------------------------------------------------------ writing */

typedef enum format { PNG, JPEG, WEBP, NPY, UNKNOWN } format;

static const char *suffix_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    return dot && (!slash || dot > slash) ? dot : "";
}

static format format_of_suffix(const char *suffix)
{
    static const struct {
        const char *suffix;
        format format;
    } known[] = {{".png", PNG}, {".jpg", JPEG}, {".jpeg", JPEG}, {".webp", WEBP}, {".npy", NPY}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(suffix, known[i].suffix) == 0)
            return known[i].format;
    return UNKNOWN;
}

static bool check_picture(const tg_array *picture, format kind, const char *suffix,
                          tg__error *error)
{
    char shown[40];
    if (kind == UNKNOWN)
        tg__fail(error, TG_ERROR_ARGUMENT,
                 "its suffix is \"%s\", expected .png, .jpg, .jpeg, .webp or .npy",
                 tg__printable(shown, sizeof shown, suffix));
    else if (picture->count != 1 || picture->channels != 3)
        tg__fail(error, TG_ERROR_ARGUMENT,
                 "array is (%d, %d, %d, %d), expected one picture, (1, 3, height, width)",
                 picture->count, picture->channels, picture->height, picture->width);
    else
        return tg__array_check(picture, TG_ERROR_NUMERIC, error);
    return false;
}

/* Planes of floats as bytes; diffusers' arithmetic, step by step, so that ties fall the same way.
 */
static bool to_bytes(tg__pixels *pixels, const tg_array *picture, tg__error *error)
{
    size_t plane = (size_t)picture->height * (size_t)picture->width;
    *pixels = (tg__pixels){picture->width, picture->height, NULL};
    if (plane <= SIZE_MAX / 3)
        pixels->data = malloc(3 * plane);
    if (!pixels->data) {
        tg__fail_memory(error);
        return false;
    }
    for (size_t i = 0; i < plane; i++) {
        for (size_t c = 0; c < 3; c++) {
            float x = picture->data[c * plane + i] / 2 + 0.5F;
            x = x < 0 ? 0 : x > 1 ? 1 : x;
            pixels->data[3 * i + c] = (unsigned char)rintf(x * 255);
        }
    }
    return true;
}

static void write_pixels(tg__output *output, const tg__pixels *pixels, format kind,
                         const char *text, tg__error *error)
{
    switch (kind) {
    case PNG:
        tg__png_write(output, pixels, text, error);
        break;
    case JPEG:
        tg__jpeg_write(output, pixels, error);
        break;
    default:
        tg__webp_write(output, pixels, error);
    }
}

tg_status tg_image_write(tg_array picture, const char *path, const char *text, bool overwrite,
                         char *message, size_t size)
{
    tg__error error = {0};
    tg__pixels pixels = {0};
    const char *suffix = suffix_of(path);
    format kind = format_of_suffix(suffix);
    if (!check_picture(&picture, kind, suffix, &error)) {
        tg__image_where(&error, path);
        return tg__image_report(&error, message, size);
    }
    if (kind == NPY)
        return tg_npy_write(picture, path, overwrite, message, size);
    tg__output *output = tg__output_open(path, overwrite, &error);
    if (output) {
        if (to_bytes(&pixels, &picture, &error))
            write_pixels(output, &pixels, kind, text, &error);
        tg__image_where(&error, path);
        tg__output_commit(output, &error);
        free(pixels.data);
    }
    return tg__image_report(&error, message, size);
}

/* ------------------------------------------------------------------------------------ reading */

static bool begins(const char *file, size_t bytes, size_t at, const char *with)
{
    size_t length = strlen(with);
    return bytes >= at + length && memcmp(file + at, with, length) == 0;
}

/* By what the file is, not by what it is called. */
static void read_pixels(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error)
{
    if (begins(file, bytes, 0, "\x89PNG\r\n\x1A\n"))
        tg__png_read(pixels, file, bytes, error);
    else if (begins(file, bytes, 0, "\xFF\xD8\xFF"))
        tg__jpeg_read(pixels, file, bytes, error);
    else if (begins(file, bytes, 0, "RIFF") && begins(file, bytes, 8, "WEBP"))
        tg__webp_read(pixels, file, bytes, error);
    else
        tg__fail(error, TG_ERROR_FORMAT, "is no picture, expected a PNG, JPEG or WebP file");
}

/* Bytes as planes of floats from -1 to 1, (1, 3, height, width). */
static void to_planes(tg_array *picture, const tg__pixels *pixels, tg__error *error)
{
    size_t plane = (size_t)pixels->height * (size_t)pixels->width;
    float *data = malloc(3 * plane * sizeof *data);
    if (!data) {
        tg__fail_memory(error);
        return;
    }
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < plane; i++)
            data[c * plane + i] = 2 * ((float)pixels->data[3 * i + c] / 255) - 1;
    *picture = (tg_array){1, 3, pixels->height, pixels->width, data};
}

tg_status tg_image_read(tg_array *picture, const char *path, char *message, size_t size)
{
    tg__error error = {0};
    tg__pixels pixels = {0};
    size_t bytes = 0;
    *picture = (tg_array){0};
    char *file = tg__file_read(path, MOST_FILE_BYTES, &bytes, &error);
    if (file) {
        read_pixels(&pixels, file, bytes, &error);
        tg__image_where(&error, path);
        free(file);
    }
    if (!tg__failed(&error))
        to_planes(picture, &pixels, &error);
    free(pixels.data);
    return tg__image_report(&error, message, size);
}
