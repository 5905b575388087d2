/* SPDX-License-Identifier: MIT */
/* Pictures are written rounded as diffusers does (tests/golden/make_pictures.py), to files as to
 * memory, and refused where a format cannot hold them. */
#include "tgate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "picture_files.h"

/* A picture of smooth colours, (1, 3, height, width); free() its data. */
static tg_array smooth(int height, int width)
{
    float *data = malloc((size_t)height * (size_t)width * 3 * sizeof *data), *at = data;
    assert_non_null(data);
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++)
                *at++ = sinf((float)x / (float)(7 + c) + (float)y / (float)(9 - 2 * c));
    return (tg_array){1, 3, height, width, data};
}

static void write_ok(const tg_array *picture, const char *path, const char *text)
{
    tg_error error = {.status = TG_ERROR_IO, .message = "x"};
    tg_image_format format;
    void *data;
    size_t encoded, bytes;
    if (tg_image_write(*picture, path, text, true, &error) != TG_OK)
        fail_msg("%s", error.message);
    assert_true(tg_image_format_from_path(path, &format));
    assert_int_equal(tg_image_encode(&data, &encoded, *picture, format, text, &error), TG_OK);
    assert_string_equal(error.message, "");
    unsigned char *file = load(path, &bytes);
    assert_int_equal(encoded, bytes);
    assert_memory_equal(data, file, bytes);
    free(file);
    tg_free(data);
}

static void test_rounding(void **state)
{
    scratch *s = *state;
    size_t bytes;
    unsigned char *file = load(TG_TEST_DATA "/golden/pictures/rounding.bin", &bytes);
    enum { VALUES = 3 * 64 * 64 };
    assert_int_equal(bytes, VALUES * 5);
    tg_array picture = {1, 3, 64, 64, (const float *)(const void *)file};
    const char *path = scratch_path(s, "r.png");
    write_ok(&picture, path, NULL);
    assert_int_equal(worst_difference(path, 64, 64, file + VALUES * 4), 0);
    free(file);
}

/* What is written comes back, nearly: the mean of the squared differences is given. */
static double loss(scratch *s, const char *name, const tg_array *picture)
{
    tg_array found;
    double sum = 0;
    size_t n = 3 * (size_t)picture->height * (size_t)picture->width;
    const char *path = scratch_path(s, name);
    write_ok(picture, path, "not kept here");
    assert_int_equal(tg_image_read(&found, path, NULL), TG_OK);
    assert_true(found.height == picture->height && found.width == picture->width);
    for (size_t i = 0; i < n; i++) {
        double off = (double)found.data[i] - (double)picture->data[i];
        sum += off * off;
    }
    tg_array_free(&found);
    return sum / (double)n;
}

static void test_formats(void **state)
{
    scratch *s = *state;
    static const struct {
        const char *name, *begins;
        size_t at;
        double most_loss;
    } cases[] = {
        {"a.png", "\x89PNG", 0, 1e-5},         {"b.PNG", "\x89PNG", 0, 1e-5},
        {"a.jpg", "\xff\xd8\xff", 0, 2e-4},    {"a.jpeg", "\xff\xd8\xff", 0, 2e-4},
        {"a.b.JpEg", "\xff\xd8\xff", 0, 2e-4}, {"a.webp", "WEBP", 8, 2e-3},
    };
    tg_array picture = smooth(61, 83);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double found = loss(s, cases[i].name, &picture);
        if (found > cases[i].most_loss)
            fail_msg("%s: %g lost", cases[i].name, found);
        size_t bytes;
        unsigned char *file = load(scratch_path(s, cases[i].name), &bytes);
        assert_memory_equal(file + cases[i].at, cases[i].begins, strlen(cases[i].begins));
        free(file);
    }
    free((void *)picture.data);
}

/* The chroma is as large as the luma. */
static void test_jpeg_sampling(void **state)
{
    scratch *s = *state;
    tg_array picture = smooth(16, 16);
    size_t bytes, at = 2;
    write_ok(&picture, scratch_path(s, "s.jpg"), NULL);
    unsigned char *file = load(s->path, &bytes);
    while (file[at + 1] != 0xC0)
        at += 2 + ((size_t)file[at + 2] << 8 | file[at + 3]);
    for (int c = 0; c < 3; c++)
        assert_int_equal(file[at + 11 + 3 * (size_t)c], 0x11);
    free(file);
    free((void *)picture.data);
}

static void test_npy(void **state)
{
    scratch *s = *state;
    tg_array found, picture = smooth(5, 7);
    ((float *)(size_t)picture.data)[3] = 7.5F; /* not clamped */
    write_ok(&picture, scratch_path(s, "p.Npy"), NULL);
    assert_int_equal(tg_npy_read(&found, s->path, NULL), TG_OK);
    assert_true(found.count == 1 && found.channels == 3 && found.height == 5 && found.width == 7);
    assert_memory_equal(found.data, picture.data, 5 * 7 * 3 * sizeof(float));
    tg_array_free(&found);
    assert_int_equal(tg_image_read(&found, scratch_path(s, "p.Npy"), NULL), TG_OK);
    same_arrays(&found, &picture);
    check_decoded(s->path, &found);
    tg_array_free(&found);
    free((void *)picture.data);
}

/* Lines so long, or so many, that an encoder's first buffer is not enough. */
static void test_extreme_sizes(void **state)
{
    scratch *s = *state;
    static const int sizes[][2] = {{1, 1}, {1, 16383}, {16383, 1}, {200, 301}};
    static const char *const names[] = {"e.png", "e.jpg", "e.webp"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            tg_array picture = smooth(sizes[i][0], sizes[i][1]);
            assert_true(loss(s, names[k], &picture) < 5e-3);
            free((void *)picture.data);
        }
}

/* ------------------------------------------------------------------------------------ PNG's text
 */

/* The chunk of this kind must hold exactly that, in front of the pixels. */
static void check_chunk(const char *path, const char *kind, const char *content, size_t length)
{
    size_t bytes, at = 8;
    unsigned char *file = load(path, &bytes);
    while (memcmp(file + at + 4, "IDAT", 4) != 0 && memcmp(file + at + 4, kind, 4) != 0)
        at += 12 + get_be(file + at);
    assert_memory_equal(file + at + 4, kind, 4);
    assert_int_equal(get_be(file + at), length);
    assert_memory_equal(file + at + 8, content, length);
    free(file);
}

static void test_png_text(void **state)
{
    scratch *s = *state;
    tg_array picture = smooth(8, 8);
    const char *path = scratch_path(s, "t.png");
    write_ok(&picture, path, "a cat\nSteps: 25");
    check_chunk(path, "tEXt", "parameters\0a cat\nSteps: 25", 26);
    write_ok(&picture, path, "a b\xc3\xa4r \xc3\xbf");
    check_chunk(path, "tEXt", "parameters\0a b\xe4r \xff", 18);
    write_ok(&picture, path, "a \xc4\x80\xf0\x9f\x90\xb1");
    check_chunk(path, "iTXt", "parameters\0\0\0\0\0a \xc4\x80\xf0\x9f\x90\xb1", 23);
    write_ok(&picture, path, "");
    check_chunk(path, "tEXt", "parameters\0", 11);
    write_ok(&picture, path, NULL);
    size_t bytes;
    unsigned char *file = load(path, &bytes);
    assert_memory_equal(file + 8 + 25 + 4, "IDAT", 4); /* right behind IHDR */
    free(file);
    free((void *)picture.data);
}

/* ----------------------------------------------------------------------------- not to be written
 */

/* message is what follows "FOLDER/NAME: ". The folder stays as it was. */
static void not_written(scratch *s, tg_array picture, const char *name, const char *text,
                        tg_status status, const char *message)
{
    char expected[1024];
    tg_error error;
    int before = scratch_count(s);
    snprintf(expected, sizeof expected, "%s/%s: %s", s->folder + strlen("/tmp/"), name, message);
    tg_status got = tg_image_write(picture, scratch_path(s, name), text, false, &error);
    assert_string_equal(error.message, expected);
    assert_int_equal(got, status);
    assert_int_equal(error.status, status);
    assert_int_equal(scratch_count(s), before);
}

static void test_refuses_to_write(void **state)
{
    scratch *s = *state;
    float values[12] = {0};
    const tg_array good = {1, 3, 2, 2, values};
    not_written(s, good, "n.gif", NULL, TG_ERROR_ARGUMENT,
                "its suffix is \".gif\", expected .png, .jpg, .jpeg, .webp or .npy");
    not_written(s, good, "n.png.", NULL, TG_ERROR_ARGUMENT,
                "its suffix is \".\", expected .png, .jpg, .jpeg, .webp or .npy");
    not_written(s, good, "png", NULL, TG_ERROR_ARGUMENT,
                "its suffix is \"\", expected .png, .jpg, .jpeg, .webp or .npy");
    not_written(s, (tg_array){2, 3, 2, 1, values}, "n.png", NULL, TG_ERROR_ARGUMENT,
                "its shape is (2, 3, 2, 1), expected one picture, (1, 3, height, width)");
    not_written(s, (tg_array){1, 4, 1, 3, values}, "n.npy", NULL, TG_ERROR_ARGUMENT,
                "its shape is (1, 4, 1, 3), expected one picture, (1, 3, height, width)");
    not_written(s, (tg_array){1, 3, 0, 3, values}, "n.png", NULL, TG_ERROR_ARGUMENT,
                "its shape is (1, 3, 0, 3), expected sizes above 0");
    not_written(s, (tg_array){1, 3, 2, 2, NULL}, "n.png", NULL, TG_ERROR_ARGUMENT,
                "its shape is (1, 3, 2, 2) without data, expected sizes above 0 and data");
    scratch_write(s, "old.png", "old", 3);
    not_written(s, good, "old.png", NULL, TG_ERROR_IO,
                "exists already, expected a name that is free (or overwriting allowed)");
    assert_int_equal(tg_image_write(good, "/nowhere/n.gif", NULL, false, NULL), TG_ERROR_ARGUMENT);
}

static void test_format_of_path(void **state)
{
    static const struct {
        const char *path;
        int format; /* -1: none */
    } cases[] = {
        {"a.png", TG_IMAGE_PNG},
        {"b/c.JPG", TG_IMAGE_JPEG},
        {"a.b.jpeg", TG_IMAGE_JPEG},
        {"a.WebP", TG_IMAGE_WEBP},
        {"..npy", TG_IMAGE_NPY},
        {".png", -1},
        {"a.png/", -1},
        {"a.png/b", -1},
        {"a/.npy", -1},
        {"png", -1},
        {"a.gif", -1},
        {"", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tg_image_format format = TG_IMAGE_WEBP;
        bool found = tg_image_format_from_path(cases[i].path, &format);
        if (found != (cases[i].format >= 0) || (found && (int)format != cases[i].format) ||
            (!found && format != TG_IMAGE_WEBP))
            fail_msg("%s: %d", cases[i].path, (int)format);
        assert_int_equal(tg_image_format_from_path(cases[i].path, NULL), found);
    }
    assert_false(tg_image_format_from_path(NULL, NULL));
}

static void test_not_finite(void **state)
{
    scratch *s = *state;
    static const char *const names[] = {"f.png", "f.jpg", "f.webp", "f.npy"};
    for (int i = 0; i < 4; i++) {
        float values[12] = {0};
        values[7] = NAN;
        not_written(s, (tg_array){1, 3, 2, 2, values}, names[i], NULL, TG_ERROR_NUMERIC,
                    "value [0, 1, 1, 1] is nan, expected a finite number");
        values[7] = -INFINITY;
        not_written(s, (tg_array){1, 3, 2, 2, values}, names[i], NULL, TG_ERROR_NUMERIC,
                    "value [0, 1, 1, 1] is -inf, expected a finite number");
    }
}

static void test_too_large_for_a_format(void **state)
{
    scratch *s = *state;
    tg_array picture = smooth(1, 65501);
    not_written(s, picture, "l.jpg", NULL, TG_ERROR_ARGUMENT,
                "is 65501x1 pixels large, expected at most 65500x65500 (JPEG)");
    not_written(s, picture, "l.webp", NULL, TG_ERROR_ARGUMENT,
                "is 65501x1 pixels large, expected at most 16383x16383 (WebP)");
    assert_true(loss(s, "l.png", &picture) < 1e-5);
    free((void *)picture.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),         cmocka_unit_test(test_formats),
        cmocka_unit_test(test_jpeg_sampling),    cmocka_unit_test(test_npy),
        cmocka_unit_test(test_extreme_sizes),    cmocka_unit_test(test_png_text),
        cmocka_unit_test(test_refuses_to_write), cmocka_unit_test(test_format_of_path),
        cmocka_unit_test(test_not_finite),       cmocka_unit_test(test_too_large_for_a_format),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
