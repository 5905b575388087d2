/* SPDX-License-Identifier: MIT */
/* Pictures are read as Pillow and as the PNG specification say (tests/golden/make_pictures.py), and
 * refused where they are broken or too large. */
#include "tgate.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <jpeglib.h>
#include <sys/resource.h>

#include "picture_files.h"

enum { MOST_FILE_BYTES = 1 << 16, MOST_CASES = 80 };

/* ------------------------------------------------------------------------------------ goldens */

typedef struct golden {
    char name[256];
    int tolerance;
    uint32_t width, height, bytes;
    const unsigned char *file, *pixels;
} golden;

/* The cases of cases.bin, in *data. */
static int load_goldens(golden cases[MOST_CASES], unsigned char **data)
{
    size_t bytes;
    *data = load(TG_TEST_DATA "/golden/pictures/cases.bin", &bytes);
    const unsigned char *at = *data;
    int n = 0;
    for (; at < *data + bytes; n++) {
        assert_true(n < MOST_CASES);
        golden *g = &cases[n];
        snprintf(g->name, sizeof g->name, "%.*s", at[0], (const char *)at + 1);
        at += 1 + at[0];
        g->tolerance = *at++;
        memcpy(&g->width, at, 4);
        memcpy(&g->height, at + 4, 4);
        memcpy(&g->bytes, at + 8, 4);
        g->file = at + 12;
        g->pixels = g->file + g->bytes;
        at = g->pixels + (size_t)g->width * g->height * 3;
    }
    assert_true(at == *data + bytes);
    return n;
}

/* ------------------------------------------------------------------------------------ reading */

static void test_reads(void **state)
{
    scratch *s = *state;
    golden cases[MOST_CASES];
    unsigned char *data;
    int n = load_goldens(cases, &data);
    for (int i = 0; i < n; i++) {
        const golden *g = &cases[i];
        /* The name says nothing: the content counts. */
        const char *path = scratch_write(s, "x.npy", g->file, g->bytes);
        int off = worst_difference(path, g->width, g->height, g->pixels);
        if (off > g->tolerance)
            fail_msg("%s: off by %d, at most %d allowed", g->name, off, g->tolerance);
    }
    assert_true(n > 40);
    free(data);
}

/* The file at path must be refused so; message is what follows "FOLDER/x.png: ". */
static void check_refused(scratch *s, const char *path, tg_status status, const char *message)
{
    tg_array picture = {1, 1, 1, 1, NULL};
    char expected[1024];
    tg_error error;
    snprintf(expected, sizeof expected, "%s/x.png: %s", s->folder + strlen("/tmp/"), message);
    tg_status got = tg_image_read(&picture, path, &error);
    assert_string_equal(error.message, expected);
    assert_int_equal(got, status);
    assert_int_equal(error.status, status);
    assert_memory_equal(error.subject, expected, strlen(error.subject));
    assert_string_equal(expected + strlen(error.subject) + 2, message);
    assert_null(picture.data);
    assert_int_equal(picture.count, 0);
    size_t bytes;
    unsigned char *file = load(path, &bytes);
    snprintf(expected, sizeof expected, "data: %s", message);
    assert_int_equal(tg_image_decode(&picture, file, bytes, &error), status);
    assert_string_equal(error.message, expected);
    assert_string_equal(error.subject, "data");
    assert_null(picture.data);
    free(file);
}

static void refused(scratch *s, const void *file, size_t bytes, tg_status status,
                    const char *message)
{
    check_refused(s, scratch_write(s, "x.png", file, bytes), status, message);
}

static const char no_picture[] = "is no picture, expected PNG, JPEG, WebP or .npy";

static void test_no_picture(void **state)
{
    scratch *s = *state;
    refused(s, "", 0, TG_ERROR_FORMAT, no_picture);
    refused(s, "GIF89a", 6, TG_ERROR_FORMAT, no_picture);
    refused(s, "\x89PNG\r\n\x1a", 7, TG_ERROR_FORMAT, no_picture);
    refused(s, "RIFF\4\0\0\0WAVE", 12, TG_ERROR_FORMAT, no_picture);
    refused(s, "RIFF\4\0\0\0WEB", 11, TG_ERROR_FORMAT, no_picture);
    refused(s, "\x89PNG\r\n\x1a\n", 8, TG_ERROR_FORMAT, "is a broken PNG file (it ends too early)");
    refused(s, "\xff\xd8\xff", 3, TG_ERROR_FORMAT,
            "is a broken JPEG file (Premature end of JPEG file)");
    refused(s, "RIFF\x40\0\0\0WEBP", 12, TG_ERROR_FORMAT,
            "is a broken WebP file (it ends too early)");
    tg_array picture;
    tg_error error;
    assert_int_equal(tg_image_read(&picture, s->folder, &error), TG_ERROR_IO);
    assert_int_equal(tg_image_read(&picture, "/nowhere/x.png", &error), TG_ERROR_NOT_FOUND);
    assert_string_equal(error.message, "nowhere/x.png: there is no such file");
    assert_int_equal(tg_image_read(&picture, "/nowhere/x.png", NULL), TG_ERROR_NOT_FOUND);
}

/* An .npy file holds any array, of which one picture alone is a picture. */
static void test_npy_no_picture(void **state)
{
    scratch *s = *state;
    static const float values[6] = {0};
    const tg_array latents = {1, 2, 1, 3, values};
    assert_int_equal(tg_npy_write(latents, scratch_path(s, "x.png"), true, NULL), TG_OK);
    check_refused(s, s->path, TG_ERROR_FORMAT,
                  "its shape is (1, 2, 1, 3), expected one picture, (1, 3, height, width)");
}

static void test_animation(void **state)
{
    scratch *s = *state;
    size_t bytes;
    unsigned char *file = load(TG_TEST_DATA "/golden/pictures/animated.webp", &bytes);
    refused(s, file, bytes, TG_ERROR_UNSUPPORTED, "is an animated WebP file, expected one picture");
    free(file);
}

/* Every beginning of every file. What is missing may be only what nobody needs. */
static void test_cut_files(void **state)
{
    scratch *s = *state;
    golden cases[MOST_CASES];
    unsigned char *data;
    int n = load_goldens(cases, &data);
    for (int i = 0; i < n; i += 3) {
        const golden *g = &cases[i];
        for (uint32_t length = 1; length < g->bytes;
             length += length < 64 ? 1 : 1 + g->bytes / 40) {
            tg_array picture;
            tg_error error;
            const char *path = scratch_write(s, "x.png", g->file, length);
            tg_status status = tg_image_read(&picture, path, &error);
            if (status != TG_ERROR_FORMAT)
                fail_msg("%s: %u of %u bytes: %s", g->name, length, g->bytes, error.message);
            assert_null(picture.data);
        }
    }
    free(data);
}

/* --------------------------------------------------------------------------------- sizes */

static uint32_t crc(const unsigned char *data, size_t bytes)
{
    uint32_t x = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        x ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            x = x >> 1 ^ (x & 1 ? 0xEDB88320u : 0);
    }
    return ~x;
}

static void put_be(unsigned char *dst, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        dst[i] = (unsigned char)(x >> (24 - 8 * i));
}

/* Makes the checksums of a PNG file right again. */
static void repair_png(unsigned char *file, size_t bytes)
{
    for (size_t at = 8; at + 12 <= bytes;) {
        uint32_t length = get_be(file + at);
        if (length > bytes - at - 12)
            return;
        put_be(file + at + 8 + length, crc(file + at + 4, length + 4));
        at += length + 12;
    }
}

/* Bytes that this process had at most. */
static size_t peak_memory(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return (size_t)usage.ru_maxrss * 1024;
}

/* A text that says it is 2 GiB long costs nothing. Runs first, because peaks do not fall. */
static void test_png_chunks(void **state)
{
    scratch *s = *state;
    static const char *const kinds[] = {"tEXt", "zTXt", "iTXt", "iCCP", "eXIf", "sPLT", "xYZz"};
    unsigned char file[200] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\2";
    repair_png(file, 33);
    size_t before = peak_memory();
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        put_be(file + 33, INT_MAX);
        memcpy(file + 37, kinds[i], 4);
        refused(s, file, sizeof file, TG_ERROR_FORMAT, "is a broken PNG file (it ends too early)");
    }
    assert_in_range(peak_memory() - before, 0, 64 << 20);
}

static const golden *find(const golden *cases, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    fail_msg("no case %s", name);
    return NULL;
}

static void refused_png_size(scratch *s, const golden *g, uint32_t width, uint32_t height,
                             const char *message)
{
    unsigned char file[MOST_FILE_BYTES];
    memcpy(file, g->file, g->bytes);
    put_be(file + 16, width);
    put_be(file + 20, height);
    repair_png(file, g->bytes);
    refused(s, file, g->bytes, TG_ERROR_FORMAT, message);
}

static void test_png_sizes(void **state)
{
    scratch *s = *state;
    golden cases[MOST_CASES];
    unsigned char *data;
    const golden *g = find(cases, load_goldens(cases, &data), "png 2 8");
    char cannot_hold[200];
    refused_png_size(s, g, 8192, 8193,
                     "is 8192x8193 pixels large, expected 1 to 67108864 pixels in all");
    refused_png_size(s, g, INT_MAX, 1,
                     "is 2147483647x1 pixels large, expected 1 to 67108864 pixels in all");
    refused_png_size(s, g, INT_MAX, INT_MAX,
                     "is 2147483647x2147483647 pixels large, expected 1 to 67108864 pixels in all");
    snprintf(cannot_hold, sizeof cannot_hold,
             "says that it is 8192x8192 pixels large, which its %u bytes cannot hold", g->bytes);
    refused_png_size(s, g, 8192, 8192, cannot_hold);
    refused_png_size(s, g, 0, 5, "is a broken PNG file (Invalid IHDR data)");
    refused_png_size(s, g, 13, 12, "is a broken PNG file (Not enough image data)");
    free(data);
}

static void refused_jpeg_size(scratch *s, const golden *g, unsigned width, unsigned height,
                              const char *message)
{
    unsigned char file[MOST_FILE_BYTES];
    memcpy(file, g->file, g->bytes);
    size_t at = 2;
    while (file[at + 1] != 0xC0) /* the frame header */
        at += 2 + ((size_t)file[at + 2] << 8 | file[at + 3]);
    file[at + 5] = (unsigned char)(height >> 8);
    file[at + 6] = (unsigned char)height;
    file[at + 7] = (unsigned char)(width >> 8);
    file[at + 8] = (unsigned char)width;
    refused(s, file, g->bytes, TG_ERROR_FORMAT, message);
}

static void test_jpeg_sizes(void **state)
{
    scratch *s = *state;
    golden cases[MOST_CASES];
    unsigned char *data;
    const golden *g = find(cases, load_goldens(cases, &data), "jpeg 4:2:0");
    char cannot_hold[200];
    refused_jpeg_size(s, g, 8192, 8193,
                      "is 8192x8193 pixels large, expected 1 to 67108864 pixels in all");
    refused_jpeg_size(s, g, 65500, 65500,
                      "is 65500x65500 pixels large, expected 1 to 67108864 pixels in all");
    snprintf(cannot_hold, sizeof cannot_hold,
             "says that it is 8192x8192 pixels large, which its %u bytes cannot hold", g->bytes);
    refused_jpeg_size(s, g, 8192, 8192, cannot_hold);
    refused_jpeg_size(s, g, 65535, 1,
                      "is a broken JPEG file (Maximum supported image dimension is 65500 pixels)");
    refused_jpeg_size(s, g, 0, 8, "is a broken JPEG file (Empty JPEG image (DNL not supported))");
    refused_jpeg_size(s, g, 45, 64,
                      "is a broken JPEG file (Corrupt JPEG data: premature end of data segment)");
    free(data);
}

static void test_webp_sizes(void **state)
{
    scratch *s = *state;
    golden cases[MOST_CASES];
    unsigned char *data;
    const golden *g = find(cases, load_goldens(cases, &data), "webp lossy");
    unsigned char file[MOST_FILE_BYTES];
    memcpy(file, g->file, g->bytes);
    assert_memory_equal(file + 12, "VP8 ", 4);
    memcpy(file + 26, "\xff\x3f\xff\x3f", 4);
    refused(s, file, g->bytes, TG_ERROR_FORMAT,
            "is 16383x16383 pixels large, expected 1 to 67108864 pixels in all");
    /* More than there is, but not too much: the file breaks off while it is decoded. */
    memcpy(file + 26, "\x00\x10\x00\x10", 4);
    tg_array picture;
    const char *path = scratch_write(s, "x.png", file, g->bytes);
    assert_int_equal(tg_image_read(&picture, path, NULL), TG_ERROR_FORMAT);
    free(data);
}

/* ------------------------------------------------------------------------ unusual JPEG files */

enum { SIDE = 24 };

/* A JPEG file of four inks, all of one value each, as libjpeg writes it; in scan_count scans if
 * that is not 0. */
static size_t make_jpeg(unsigned char **file, J_COLOR_SPACE space, bool arithmetic,
                        const jpeg_scan_info *scans, int scan_count)
{
    struct jpeg_compress_struct out;
    struct jpeg_error_mgr errors;
    unsigned long bytes = 0;
    unsigned char row[4 * SIDE];
    JSAMPROW rows = row;
    for (int i = 0; i < 4 * SIDE; i++)
        row[i] = (unsigned char[]){200, 150, 100, 240}[i % 4];
    *file = NULL;
    out.err = jpeg_std_error(&errors);
    jpeg_create_compress(&out);
    jpeg_mem_dest(&out, file, &bytes);
    out.image_width = out.image_height = SIDE;
    out.input_components = 4;
    out.in_color_space = JCS_CMYK;
    jpeg_set_defaults(&out);
    jpeg_set_colorspace(&out, space);
    jpeg_set_quality(&out, 100, TRUE);
    out.arith_code = arithmetic;
    out.scan_info = scan_count > 0 ? scans : NULL;
    out.num_scans = scan_count;
    jpeg_start_compress(&out, TRUE);
    while (out.next_scanline < out.image_height)
        jpeg_write_scanlines(&out, &rows, 1);
    jpeg_finish_compress(&out);
    jpeg_destroy_compress(&out);
    return bytes;
}

static void test_four_inks(void **state)
{
    scratch *s = *state;
    static const J_COLOR_SPACE spaces[] = {JCS_CMYK, JCS_YCCK};
    unsigned char expected[SIDE * SIDE * 3];
    for (int i = 0; i < SIDE * SIDE; i++)
        for (int c = 0; c < 3; c++) /* 255 is no ink */
            expected[3 * i + c] = (unsigned char)lrint((200 - 50 * c) * 240 / 255.0);
    for (int i = 0; i < 2; i++) {
        unsigned char *file;
        size_t bytes = make_jpeg(&file, spaces[i], false, NULL, 0);
        const char *path = scratch_write(s, "x.jpg", file, bytes);
        assert_in_range(worst_difference(path, SIDE, SIDE, expected), 0, 2);
        free(file);
    }
}

static void test_arithmetic_coding(void **state)
{
    scratch *s = *state;
    unsigned char *file;
    size_t bytes = make_jpeg(&file, JCS_CMYK, true, NULL, 0);
    refused(s, file, bytes, TG_ERROR_UNSUPPORTED,
            "is a JPEG file with arithmetic coding, expected Huffman's");
    free(file);
}

/* Every coefficient in a scan of its own, without a fault: on a large picture minutes of work. */
static void test_many_scans(void **state)
{
    scratch *s = *state;
    static const int counts[] = {200, 201};
    jpeg_scan_info scans[1 + 4 * 63] = {{4, {0, 1, 2, 3}, 0, 0, 0, 0}};
    for (int i = 0; i < 4 * 63; i++)
        scans[1 + i] = (jpeg_scan_info){1, {i / 63}, 1 + i % 63, 1 + i % 63, 0, 0};
    for (int i = 0; i < 2; i++) {
        unsigned char *file;
        size_t bytes = make_jpeg(&file, JCS_CMYK, false, scans, counts[i]);
        const char *path = scratch_write(s, "x.png", file, bytes);
        free(file);
        if (i == 0) {
            tg_array picture;
            assert_int_equal(tg_image_read(&picture, path, NULL), TG_OK);
            tg_array_free(&picture);
        } else {
            check_refused(s, path, TG_ERROR_FORMAT,
                          "is a JPEG file of more than 200 scans, expected fewer");
        }
    }
}

/* ---------------------------------------------------------------------------------- mutations */

static void mutate(unsigned char *file, uint32_t *bytes, unsigned *random)
{
    int changes = 1 + (int)(scratch_random(random) % 4);
    for (int i = 0; i < changes; i++) {
        uint32_t at = scratch_random(random) % *bytes;
        unsigned kind = scratch_random(random) % 8;
        if (kind < 4) {
            file[at] ^= (unsigned char)(1 << scratch_random(random) % 8);
        } else if (kind < 6) {
            file[at] = (unsigned char)scratch_random(random);
        } else if (kind < 7) {
            file[at] = 0xFF;
        } else if (*bytes > 16) {
            *bytes -= 1 + scratch_random(random) % 4;
            memmove(file + at, file + at + 1, *bytes > at ? *bytes - at : 0);
        }
    }
}

/* Whatever comes of it, it is a picture or a sentence. (The sanitizers look for the rest.) */
static void test_mutations(void **state)
{
    scratch *s = *state;
    golden cases[MOST_CASES];
    unsigned char *data, file[MOST_FILE_BYTES];
    int n = load_goldens(cases, &data), read = 0, broken = 0;
    unsigned random = 1;
    for (int i = 0; i < n; i++) {
        for (int round = 0; round < 15; round++) {
            tg_array picture;
            tg_error error;
            uint32_t bytes = cases[i].bytes;
            memcpy(file, cases[i].file, bytes);
            mutate(file, &bytes, &random);
            if (round % 5)
                repair_png(file, bytes); /* gets further; does nothing to other formats */
            const char *path = scratch_write(s, "x.png", file, bytes);
            if (tg_image_read(&picture, path, &error) == TG_OK) {
                assert_true(picture.count == 1 && picture.channels == 3 && picture.data);
                read++;
            } else {
                assert_true(!picture.data && strlen(error.message) > 10);
                broken++;
            }
            tg_array_free(&picture);
        }
    }
    assert_true(read > 30 && broken > 30);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_chunks),        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_no_picture),        cmocka_unit_test(test_animation),
        cmocka_unit_test(test_npy_no_picture),    cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_png_sizes),         cmocka_unit_test(test_jpeg_sizes),
        cmocka_unit_test(test_webp_sizes),        cmocka_unit_test(test_four_inks),
        cmocka_unit_test(test_arithmetic_coding), cmocka_unit_test(test_many_scans),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
