/* SPDX-License-Identifier: MIT */
/* Pictures in files: read as Pillow and as the PNG specification say, rounded as diffusers does
 * (tests/golden/make_pictures.py), refused where they are broken or too large. */
#include "tgate.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <jpeglib.h>
#include <sys/resource.h>

#include "scratch.h"

enum { MOST_FILE_BYTES = 1 << 16, MOST_CASES = 80 };

/* ------------------------------------------------------------------------------------ goldens */

typedef struct golden {
    char name[256];
    int tolerance;
    uint32_t width, height, bytes;
    const unsigned char *file, *pixels;
} golden;

static unsigned char *load(const char *path, size_t *bytes)
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

/* Colour c of pixel i, as a byte; it must be exactly what that byte is turned into. */
static int byte_at(const tg_array *picture, size_t i, size_t c)
{
    float x = picture->data[c * (size_t)picture->height * (size_t)picture->width + i];
    int byte = (int)lrintf((x + 1) * 127.5F);
    assert_true(x == 2 * ((float)byte / 255) - 1);
    return byte;
}

/* Reads the file at path and compares; how far the worst value is off. */
static int worst_difference(const char *path, uint32_t width, uint32_t height,
                            const unsigned char *pixels)
{
    tg_array picture;
    char message[300] = "x";
    int worst = 0;
    if (tg_image_read(&picture, path, message, sizeof message) != TG_OK)
        fail_msg("%s", message);
    assert_string_equal(message, "");
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
    char found[1024], expected[1024];
    snprintf(expected, sizeof expected, "%s/x.png: %s", s->folder + strlen("/tmp/"), message);
    tg_status got = tg_image_read(&picture, path, found, sizeof found);
    assert_string_equal(found, expected);
    assert_int_equal(got, status);
    assert_null(picture.data);
    assert_int_equal(picture.count, 0);
}

static void refused(scratch *s, const void *file, size_t bytes, tg_status status,
                    const char *message)
{
    check_refused(s, scratch_write(s, "x.png", file, bytes), status, message);
}

static const char no_picture[] = "is no picture, expected a PNG, JPEG or WebP file";

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
    char message[300];
    assert_int_equal(tg_image_read(&picture, s->folder, message, sizeof message), TG_ERROR_IO);
    assert_int_equal(tg_image_read(&picture, "/nowhere/x.png", message, sizeof message),
                     TG_ERROR_NOT_FOUND);
    assert_string_equal(message, "nowhere/x.png: there is no such file");
    assert_int_equal(tg_image_read(&picture, "/nowhere/x.png", NULL, 0), TG_ERROR_NOT_FOUND);
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
            char message[300];
            const char *path = scratch_write(s, "x.png", g->file, length);
            tg_status status = tg_image_read(&picture, path, message, sizeof message);
            if (status != TG_ERROR_FORMAT)
                fail_msg("%s: %u of %u bytes: %s", g->name, length, g->bytes, message);
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

static uint32_t get_be(const unsigned char *src)
{
    return (uint32_t)src[0] << 24 | (uint32_t)src[1] << 16 | (uint32_t)src[2] << 8 | src[3];
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
    assert_int_equal(tg_image_read(&picture, path, NULL, 0), TG_ERROR_FORMAT);
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
            assert_int_equal(tg_image_read(&picture, path, NULL, 0), TG_OK);
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
            char message[300];
            uint32_t bytes = cases[i].bytes;
            memcpy(file, cases[i].file, bytes);
            mutate(file, &bytes, &random);
            if (round % 5)
                repair_png(file, bytes); /* gets further; does nothing to other formats */
            const char *path = scratch_write(s, "x.png", file, bytes);
            if (tg_image_read(&picture, path, message, sizeof message) == TG_OK) {
                assert_true(picture.count == 1 && picture.channels == 3 && picture.data);
                read++;
            } else {
                assert_true(!picture.data && strlen(message) > 10);
                broken++;
            }
            tg_array_free(&picture);
        }
    }
    assert_true(read > 30 && broken > 30);
    free(data);
}

/* ------------------------------------------------------------------------------------ writing */

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
    char message[300] = "x";
    if (tg_image_write(*picture, path, text, true, message, sizeof message) != TG_OK)
        fail_msg("%s", message);
    assert_string_equal(message, "");
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
    assert_int_equal(tg_image_read(&found, path, NULL, 0), TG_OK);
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
    assert_int_equal(tg_npy_read(&found, s->path, NULL, 0), TG_OK);
    assert_true(found.count == 1 && found.channels == 3 && found.height == 5 && found.width == 7);
    assert_memory_equal(found.data, picture.data, 5 * 7 * 3 * sizeof(float));
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
    char found[1024], expected[1024];
    int before = scratch_count(s);
    snprintf(expected, sizeof expected, "%s/%s: %s", s->folder + strlen("/tmp/"), name, message);
    tg_status got =
        tg_image_write(picture, scratch_path(s, name), text, false, found, sizeof found);
    assert_string_equal(found, expected);
    assert_int_equal(got, status);
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
                "array is (2, 3, 2, 1), expected one picture, (1, 3, height, width)");
    not_written(s, (tg_array){1, 4, 1, 3, values}, "n.npy", NULL, TG_ERROR_ARGUMENT,
                "array is (1, 4, 1, 3), expected one picture, (1, 3, height, width)");
    not_written(s, (tg_array){1, 3, 0, 3, values}, "n.png", NULL, TG_ERROR_ARGUMENT,
                "array is (1, 3, 0, 3), expected sizes above 0");
    not_written(s, (tg_array){1, 3, 2, 2, NULL}, "n.png", NULL, TG_ERROR_ARGUMENT,
                "array is (1, 3, 2, 2) without data, expected sizes above 0 and data");
    not_written(s, good, "n.png", "\xc3(", TG_ERROR_ARGUMENT,
                "the text to be kept in it is not UTF-8");
    scratch_write(s, "old.png", "old", 3);
    not_written(s, good, "old.png", NULL, TG_ERROR_IO,
                "exists already, expected a name that is free (or overwriting allowed)");
    assert_int_equal(tg_image_write(good, "/nowhere/n.gif", NULL, false, NULL, 0),
                     TG_ERROR_ARGUMENT);
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
        cmocka_unit_test(test_png_chunks),
        cmocka_unit_test(test_reads),
        cmocka_unit_test(test_no_picture),
        cmocka_unit_test(test_animation),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_png_sizes),
        cmocka_unit_test(test_jpeg_sizes),
        cmocka_unit_test(test_webp_sizes),
        cmocka_unit_test(test_four_inks),
        cmocka_unit_test(test_arithmetic_coding),
        cmocka_unit_test(test_many_scans),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_jpeg_sampling),
        cmocka_unit_test(test_npy),
        cmocka_unit_test(test_extreme_sizes),
        cmocka_unit_test(test_png_text),
        cmocka_unit_test(test_refuses_to_write),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_too_large_for_a_format),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
