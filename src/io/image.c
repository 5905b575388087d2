/* SPDX-License-Identifier: MIT */
/* Pictures in and out of files and memory: which format, and between floats in planes and bytes in
 * pixels. The formats themselves are in image_png.c, image_jpeg.c, image_webp.c and npy.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "io/array.h"
#include "io/file.h"
#include "io/image_format.h"
#include "io/npy.h"

/* More than the largest picture takes in any format. */
#define MOST_FILE_BYTES ((size_t)1 << 30)

/* ------------------------------------------------------------------------------------ writing */

/* The last '.' of the file's name; "" if there is none or nothing stands before it. */
static const char *suffix_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    return dot && dot > name ? dot : "";
}

bool tg_image_format_from_path(const char *path, tg_image_format *format)
{
    static const struct {
        const char *suffix;
        tg_image_format format;
    } known[] = {{".png", TG_IMAGE_PNG},
                 {".jpg", TG_IMAGE_JPEG},
                 {".jpeg", TG_IMAGE_JPEG},
                 {".webp", TG_IMAGE_WEBP},
                 {".npy", TG_IMAGE_NPY}};
    const char *suffix = path ? suffix_of(path) : "";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(suffix, known[i].suffix) == 0) {
            if (format)
                *format = known[i].format;
            return true;
        }
    return false;
}

static bool check_suffix(const char *path, tg_image_format *format, tg__error *error)
{
    char shown[40];
    if (tg_image_format_from_path(path, format))
        return true;
    tg__fail(error, TG_ERROR_ARGUMENT,
             "its suffix is \"%s\", expected .png, .jpg, .jpeg, .webp or .npy",
             tg__printable(shown, sizeof shown, suffix_of(path)));
    return false;
}

static bool check_one(const tg_array *a, tg_status status, tg__error *error)
{
    if (a->count == 1 && a->channels == 3)
        return true;
    tg__fail(error, status,
             "its shape is (%d, %d, %d, %d), expected one picture, (1, 3, height, width)", a->count,
             a->channels, a->height, a->width);
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

static void encode(tg__buffer *file, const tg_array *picture, tg_image_format format,
                   const char *text, tg__error *error)
{
    tg__pixels pixels = {0};
    if (!check_one(picture, TG_ERROR_ARGUMENT, error))
        return;
    if (format == TG_IMAGE_NPY) {
        tg__npy_encode(file, picture, error);
        return;
    }
    if (!tg__array_check(picture, TG_ERROR_NUMERIC, error) || !to_bytes(&pixels, picture, error))
        return;
    if (format == TG_IMAGE_PNG)
        tg__png_encode(file, &pixels, text, error);
    else if (format == TG_IMAGE_JPEG)
        tg__jpeg_encode(file, &pixels, error);
    else
        tg__webp_encode(file, &pixels, error);
    free(pixels.data);
}

tg_status tg_image_encode(void **data, size_t *bytes, tg_array picture, tg_image_format format,
                          const char *text, tg_error *given)
{
    tg__error own, *error = tg__error_begin(given, &own);
    tg__buffer file = {0};
    if (!tg__buffer_asked(data, bytes, error))
        return error->status;
    if ((int)format < TG_IMAGE_PNG || format > TG_IMAGE_NPY)
        return tg__fail_about(error, TG_ERROR_ARGUMENT, "format",
                              "format is %d, expected TG_IMAGE_PNG, _JPEG, _WEBP or _NPY",
                              (int)format);
    if (text && !tg__utf8_check(text, error))
        return error->status;
    encode(&file, &picture, format, text, error);
    tg__error_in(error, "picture");
    return tg__buffer_hand_out(&file, data, bytes, error);
}

tg_status tg_image_write(tg_array picture, const char *path, const char *text, bool overwrite,
                         tg_error *given)
{
    tg__error own, *error = tg__error_begin(given, &own);
    tg__buffer file = {0};
    tg_image_format format;
    if (!tg__given(path, "path", error) || (text && !tg__utf8_check(text, error)))
        return error->status;
    if (check_suffix(path, &format, error))
        encode(&file, &picture, format, text, error);
    tg__error_in_file(error, path);
    if (!tg__failed(error))
        tg_file_write(path, file.data, file.bytes, overwrite, error);
    tg__buffer_free(&file);
    return error->status;
}

/* ------------------------------------------------------------------------------------ reading */

static bool begins(const char *file, size_t bytes, size_t at, const char *with)
{
    size_t length = strlen(with);
    return bytes >= at + length && memcmp(file + at, with, length) == 0;
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

static void decode_npy(tg_array *picture, const char *file, size_t bytes, tg__error *error)
{
    tg__npy_decode(picture, file, bytes, error);
    if (tg__failed(error))
        return;
    if (!check_one(picture, TG_ERROR_FORMAT, error) ||
        !tg__pixels_check((size_t)picture->width, (size_t)picture->height, error))
        tg_array_free(picture);
}

/* By what the file is, not by what it is called. */
static void decode(tg_array *picture, const char *file, size_t bytes, tg__error *error)
{
    tg__pixels pixels = {0};
    if (begins(file, bytes, 0, "\x89PNG\r\n\x1A\n"))
        tg__png_decode(&pixels, file, bytes, error);
    else if (begins(file, bytes, 0, "\xFF\xD8\xFF"))
        tg__jpeg_decode(&pixels, file, bytes, error);
    else if (begins(file, bytes, 0, "RIFF") && begins(file, bytes, 8, "WEBP"))
        tg__webp_decode(&pixels, file, bytes, error);
    else if (begins(file, bytes, 0, TG__NPY_MAGIC))
        decode_npy(picture, file, bytes, error);
    else
        tg__fail(error, TG_ERROR_FORMAT, "is no picture, expected PNG, JPEG, WebP or .npy");
    if (pixels.data)
        to_planes(picture, &pixels, error);
    free(pixels.data);
}

static const tg__array_format format = {"picture", MOST_FILE_BYTES, decode};

tg_status tg_image_decode(tg_array *picture, const void *data, size_t bytes, tg_error *given)
{
    return tg__array_decode(picture, &format, data, bytes, given);
}

tg_status tg_image_read(tg_array *picture, const char *path, tg_error *given)
{
    return tg__array_read(picture, &format, path, given);
}
