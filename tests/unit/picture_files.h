/* SPDX-License-Identifier: MIT */
/* Files of pictures for the tests that read and that write them; after cmocka.h. */
#ifndef TG_TEST_PICTURE_FILES_H
#define TG_TEST_PICTURE_FILES_H

#include <math.h>

#include "scratch.h"
#include "tgate.h"

static inline unsigned char *load(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*bytes + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    fclose(file);
    return data;
}

static inline uint32_t get_be(const unsigned char *src)
{
    return (uint32_t)src[0] << 24 | (uint32_t)src[1] << 16 | (uint32_t)src[2] << 8 | src[3];
}

/* Colour c of pixel i, as a byte; it must be exactly what that byte is turned into. */
static inline int byte_at(const tg_array *picture, size_t i, size_t c)
{
    float x = picture->data[c * (size_t)picture->height * (size_t)picture->width + i];
    int byte = (int)lrintf((x + 1) * 127.5F);
    assert_true(x == 2 * ((float)byte / 255) - 1);
    return byte;
}

static inline void same_arrays(const tg_array *a, const tg_array *b)
{
    assert_true(a->count == b->count && a->channels == b->channels && a->height == b->height &&
                a->width == b->width);
    size_t n = (size_t)a->count * (size_t)a->channels * (size_t)a->height * (size_t)a->width;
    assert_memory_equal(a->data, b->data, n * sizeof *a->data);
}

/* The file's bytes in memory give the same picture. */
static inline void check_decoded(const char *path, const tg_array *expected)
{
    tg_array picture;
    tg_error error;
    size_t bytes;
    unsigned char *file = load(path, &bytes);
    if (tg_image_decode(&picture, file, bytes, &error) != TG_OK)
        fail_msg("%s", error.message);
    same_arrays(&picture, expected);
    tg_array_free(&picture);
    free(file);
}

/* Reads the file at path and compares; how far the worst value is off. */
static inline int worst_difference(const char *path, uint32_t width, uint32_t height,
                                   const unsigned char *pixels)
{
    tg_array picture;
    tg_error error = {.status = TG_ERROR_IO, .message = "x"};
    int worst = 0;
    if (tg_image_read(&picture, path, &error) != TG_OK)
        fail_msg("%s", error.message);
    assert_string_equal(error.message, "");
    check_decoded(path, &picture);
    assert_int_equal(picture.count, 1);
    assert_int_equal(picture.channels, 3);
    assert_int_equal(picture.width, width);
    assert_int_equal(picture.height, height);
    for (size_t i = 0; i < (size_t)width * height; i++)
        for (size_t c = 0; c < 3; c++) {
            int off = abs(byte_at(&picture, i, c) - pixels[3 * i + c]);
            worst = off > worst ? off : worst;
        }
    tg_array_free(&picture);
    return worst;
}

#endif
