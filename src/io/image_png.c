/* SPDX-License-Identifier: MIT */
/* PNG, by libpng. Its errors come back by longjmp; each job therefore is a struct that its caller
 * owns and a function that runs it, so that no variable changes under setjmp's feet. */
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "io/image_format.h"

/* Deflate writes 258 bytes with two bits at best. */
#define MOST_INFLATION 1032.0

/* As small as 6, the default, for photographs, in half the time. */
enum { COMPRESSION_LEVEL = 4 };

typedef struct job {
    png_structp png;
    png_infop info;
    tg__error *error;
    tg_status status; /* of what libpng complains about */
    const char *complaint;
    /* reading */
    const char *file;
    size_t bytes, at;
    tg__pixels *pixels;
    /* writing */
    tg__buffer *output;
    const tg__pixels *source;
    char *text; /* as the chunk holds it */
    bool is_latin1;
} job;

static void on_error(png_structp png, png_const_charp message)
{
    const job *j = png_get_error_ptr(png);
    char shown[200];
    tg__fail(j->error, j->status, "%s (%s)", j->complaint,
             tg__printable(shown, sizeof shown, message));
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

/* The error sticks: what libpng says of it afterwards is not heard. */
static png_voidp take(png_structp png, png_alloc_size_t bytes)
{
    const job *j = png_get_mem_ptr(png);
    void *memory = malloc(bytes);
    if (!memory)
        tg__fail_memory(j->error);
    return memory;
}

static void give_back(png_structp png, png_voidp memory)
{
    (void)png;
    free(memory);
}

/* ------------------------------------------------------------------------------------ reading */

static void read_bytes(png_structp png, png_bytep dst, size_t bytes)
{
    job *j = png_get_io_ptr(png);
    if (bytes > j->bytes - j->at)
        png_error(png, "it ends too early");
    memcpy(dst, j->file + j->at, bytes);
    j->at += bytes;
}

/* Whatever is stored becomes 3 or 4 bytes a pixel; returns which. */
static int set_transformations(const job *j)
{
    int color = png_get_color_type(j->png, j->info);
    bool alpha = (color & PNG_COLOR_MASK_ALPHA) || png_get_valid(j->png, j->info, PNG_INFO_tRNS);
    png_set_scale_16(j->png);
    png_set_expand(j->png); /* palettes, fewer than 8 bits, a transparent colour */
    if (!(color & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(j->png);
    return alpha ? 4 : 3;
}

static void read_pixels(job *j)
{
    png_set_user_limits(j->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); /* ours are in pixels */
    png_set_read_fn(j->png, j, read_bytes);
    /* Nothing but IHDR, PLTE, tRNS, IDAT and IEND is looked at: libpng takes as much memory for a
     * text as the text says that it is long. */
    png_set_keep_unknown_chunks(j->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_read_info(j->png, j->info);
    size_t width = png_get_image_width(j->png, j->info);
    size_t height = png_get_image_height(j->png, j->info);
    double bits = png_get_bit_depth(j->png, j->info) * png_get_channels(j->png, j->info);
    int channels = set_transformations(j);
    if (!tg__pixels_take(j->pixels, width, height, channels, j->bytes, MOST_INFLATION * 8 / bits,
                         j->error))
        return;
    int passes = png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
    if (png_get_rowbytes(j->png, j->info) != width * (size_t)channels) {
        tg__fail(j->error, TG_ERROR_INTERNAL, "PNG row of %zu bytes, expected %zu",
                 png_get_rowbytes(j->png, j->info), width * (size_t)channels);
        return;
    }
    for (int pass = 0; pass < passes; pass++)
        for (size_t y = 0; y < height; y++)
            png_read_row(j->png, j->pixels->data + y * width * (size_t)channels, NULL);
    png_read_end(j->png, NULL);
    if (channels == 4)
        tg__pixels_lay_over_white(j->pixels);
}

/* ------------------------------------------------------------------------------------ writing */

static void write_bytes(png_structp png, png_bytep data, size_t bytes)
{
    const job *j = png_get_io_ptr(png);
    if (!tg__buffer_add(j->output, data, bytes, j->error))
        png_longjmp(png, 1);
}

static void flush_bytes(png_structp png) { (void)png; }

static void write_pixels(job *j)
{
    const tg__pixels *p = j->source;
    png_set_user_limits(j->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_write_fn(j->png, j, write_bytes, flush_bytes);
    png_set_compression_level(j->png, COMPRESSION_LEVEL);
    png_set_IHDR(j->png, j->info, (png_uint_32)p->width, (png_uint_32)p->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    char key[] = "parameters";
    if (j->text) {
        png_text chunk = {
            .compression = j->is_latin1 ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE,
            .key = key,
            .text = j->text,
        };
        png_set_text(j->png, j->info, &chunk, 1);
    }
    png_write_info(j->png, j->info);
    for (size_t y = 0; y < (size_t)p->height; y++)
        png_write_row(j->png, p->data + y * (size_t)p->width * 3);
    png_write_end(j->png, NULL);
}

/* j->text: Latin-1 where all of it is, else the UTF-8 that it is. */
static bool encode_text(job *j, const char *text)
{
    j->text = malloc(strlen(text) + 1);
    if (!j->text) {
        tg__fail_memory(j->error);
        return false;
    }
    char *dst = j->text;
    j->is_latin1 = true;
    for (const char *at = text; *at;) {
        int32_t code = tg__utf8_next(&at);
        j->is_latin1 = j->is_latin1 && code < 0x100;
        *dst++ = (char)code;
    }
    *dst = '\0';
    if (!j->is_latin1)
        strcpy(j->text, text);
    return true;
}

/* ---------------------------------------------------------------------------------- interface */

static void run(job *j, void (*work)(job *))
{
    if (setjmp(png_jmpbuf(j->png)) == 0)
        work(j);
}

void tg__png_decode(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error)
{
    job j = {.error = error, .file = file, .bytes = bytes, .pixels = pixels};
    j.status = TG_ERROR_FORMAT;
    j.complaint = "is a broken PNG file";
    *pixels = (tg__pixels){0};
    j.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, take,
                                     give_back);
    if (j.png)
        j.info = png_create_info_struct(j.png);
    if (j.info)
        run(&j, read_pixels);
    else
        tg__fail_memory(error);
    png_destroy_read_struct(&j.png, &j.info, NULL);
    if (tg__failed(error)) {
        free(pixels->data);
        pixels->data = NULL;
    }
}

void tg__png_encode(tg__buffer *file, const tg__pixels *pixels, const char *text, tg__error *error)
{
    job j = {.error = error, .output = file, .source = pixels};
    j.status = TG_ERROR_INTERNAL;
    j.complaint = "cannot be made as PNG";
    if (text && !encode_text(&j, text))
        goto fail;
    j.png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, take,
                                      give_back);
    if (j.png)
        j.info = png_create_info_struct(j.png);
    if (j.info)
        run(&j, write_pixels);
    else
        tg__fail_memory(error);
    png_destroy_write_struct(&j.png, &j.info);
fail:
    free(j.text);
}
