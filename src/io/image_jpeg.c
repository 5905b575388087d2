/* SPDX-License-Identifier: MIT */
/* JPEG, by libjpeg. Its errors come back by longjmp; each job therefore is a struct that its caller
 * owns and a function that runs it, so that no variable changes under setjmp's feet. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "io/image_format.h"

enum {
    QUALITY = 95,
    OUTPUT_BYTES = 1 << 14,
    MOST_SCANS = 200, /* of a progressive file; encoders write about 10 */
};

/* A block of 8x8 pixels takes one bit at least. */
#define MOST_PER_BYTE (64.0 * 8)

typedef struct job {
    union {
        struct jpeg_common_struct common;
        struct jpeg_decompress_struct in;
        struct jpeg_compress_struct out;
    } jpeg;
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    struct jpeg_destination_mgr destination;
    jmp_buf back;
    tg__error *error;
    tg_status status; /* of what libjpeg complains about */
    const char *complaint;
    /* reading */
    const char *file;
    size_t bytes;
    tg__pixels *pixels;
    /* writing */
    tg__buffer *output;
    const tg__pixels *source;
    unsigned char buffer[OUTPUT_BYTES];
} job;

static void on_error(j_common_ptr jpeg)
{
    job *j = jpeg->client_data;
    char message[JMSG_LENGTH_MAX], shown[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, message);
    if (jpeg->err->msg_code == JERR_OUT_OF_MEMORY)
        tg__fail_memory(j->error);
    else
        tg__fail(j->error, j->status, "%s (%s)", j->complaint,
                 tg__printable(shown, sizeof shown, message));
    longjmp(j->back, 1);
}

/* Most warnings mean that a part of the picture was made up: an error. The others are about what
 * does not matter here. */
static void on_message(j_common_ptr jpeg, int level)
{
    int code = jpeg->err->msg_code;
    if (level < 0 && code != JWRN_ADOBE_XFORM && code != JWRN_JFIF_MAJOR &&
        code != JWRN_BOGUS_ICC && code != JWRN_EXTRANEOUS_DATA)
        on_error(jpeg);
}

static void on_progress(j_common_ptr jpeg)
{
    job *j = jpeg->client_data;
    if (!jpeg->is_decompressor || j->jpeg.in.input_scan_number <= MOST_SCANS)
        return;
    tg__fail(j->error, TG_ERROR_FORMAT, "is a JPEG file of more than %d scans, expected fewer",
             MOST_SCANS);
    longjmp(j->back, 1);
}

static void run(job *j, void (*work)(job *))
{
    j->jpeg.common.err = jpeg_std_error(&j->manager);
    j->manager.error_exit = on_error;
    j->manager.emit_message = on_message;
    j->progress.progress_monitor = on_progress;
    j->jpeg.common.client_data = j;
    if (setjmp(j->back) == 0)
        work(j);
    jpeg_destroy(&j->jpeg.common);
}

/* ------------------------------------------------------------------------------------ reading */

static void read_rgb(struct jpeg_decompress_struct *in, const tg__pixels *pixels)
{
    while (in->output_scanline < in->output_height) {
        JSAMPROW row = pixels->data + (size_t)in->output_scanline * in->output_width * 3;
        jpeg_read_scanlines(in, &row, 1);
    }
}

/* The four inks, as Adobe's programs store them and everybody reads them: 255 is none. */
static void read_cmyk(struct jpeg_decompress_struct *in, const tg__pixels *pixels)
{
    JSAMPARRAY row = in->mem->alloc_sarray((j_common_ptr)in, JPOOL_IMAGE, 4 * in->output_width, 1);
    unsigned char *dst = pixels->data;
    while (in->output_scanline < in->output_height) {
        jpeg_read_scanlines(in, row, 1);
        const unsigned char *src = row[0];
        for (JDIMENSION x = 0; x < in->output_width; x++, src += 4)
            for (int c = 0; c < 3; c++)
                *dst++ = (unsigned char)((src[c] * src[3] + 127) / 255);
    }
}

/* What libjpeg can turn into rgb, or into the four inks. */
static bool choose_colors(job *j)
{
    struct jpeg_decompress_struct *in = &j->jpeg.in;
    switch (in->jpeg_color_space) {
    case JCS_GRAYSCALE:
    case JCS_RGB:
    case JCS_YCbCr:
        in->out_color_space = JCS_RGB;
        return true;
    case JCS_CMYK:
    case JCS_YCCK:
        in->out_color_space = JCS_CMYK;
        return true;
    default:
        tg__fail(j->error, TG_ERROR_UNSUPPORTED,
                 "is a JPEG file with %d unknown components, expected grey, rgb or cmyk",
                 in->num_components);
        return false;
    }
}

static void read_pixels(job *j)
{
    struct jpeg_decompress_struct *in = &j->jpeg.in;
    jpeg_create_decompress(in);
    in->progress = &j->progress;
    jpeg_mem_src(in, (const unsigned char *)j->file, j->bytes);
    jpeg_read_header(in, TRUE);
    if (in->arith_code) {
        /* Nobody writes it, and its few bytes would justify any size. */
        tg__fail(j->error, TG_ERROR_UNSUPPORTED,
                 "is a JPEG file with arithmetic coding, expected Huffman's");
        return;
    }
    if (!choose_colors(j) || !tg__pixels_take(j->pixels, in->image_width, in->image_height, 3,
                                              j->bytes, MOST_PER_BYTE, j->error))
        return;
    jpeg_start_decompress(in);
    if (in->out_color_space == JCS_CMYK)
        read_cmyk(in, j->pixels);
    else
        read_rgb(in, j->pixels);
    jpeg_finish_decompress(in);
}

void tg__jpeg_decode(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error)
{
    job j = {.error = error, .file = file, .bytes = bytes, .pixels = pixels};
    j.status = TG_ERROR_FORMAT;
    j.complaint = "is a broken JPEG file";
    *pixels = (tg__pixels){0};
    run(&j, read_pixels);
    if (tg__failed(error)) {
        free(pixels->data);
        pixels->data = NULL;
    }
}

/* ------------------------------------------------------------------------------------ writing */

static void start_output(j_compress_ptr out)
{
    job *j = out->client_data;
    out->dest->next_output_byte = j->buffer;
    out->dest->free_in_buffer = sizeof j->buffer;
}

static void take_output(job *j, size_t bytes)
{
    if (!tg__buffer_add(j->output, j->buffer, bytes, j->error))
        longjmp(j->back, 1);
}

/* Called when the buffer is full, whatever free_in_buffer says. */
static boolean empty_output(j_compress_ptr out)
{
    job *j = out->client_data;
    take_output(j, sizeof j->buffer);
    start_output(out);
    return TRUE;
}

static void end_output(j_compress_ptr out)
{
    job *j = out->client_data;
    take_output(j, sizeof j->buffer - out->dest->free_in_buffer);
}

static void write_pixels(job *j)
{
    struct jpeg_compress_struct *out = &j->jpeg.out;
    const tg__pixels *p = j->source;
    jpeg_create_compress(out);
    j->destination = (struct jpeg_destination_mgr){.init_destination = start_output,
                                                   .empty_output_buffer = empty_output,
                                                   .term_destination = end_output};
    out->dest = &j->destination;
    out->image_width = (JDIMENSION)p->width;
    out->image_height = (JDIMENSION)p->height;
    out->input_components = 3;
    out->in_color_space = JCS_RGB;
    jpeg_set_defaults(out);
    jpeg_set_quality(out, QUALITY, TRUE);
    /* 4:4:4. The default halves the chroma, which shows at the edges of saturated colours. */
    out->comp_info[0].h_samp_factor = out->comp_info[0].v_samp_factor = 1;
    out->optimize_coding = TRUE;
    jpeg_start_compress(out, TRUE);
    while (out->next_scanline < out->image_height) {
        JSAMPROW row = p->data + (size_t)out->next_scanline * out->image_width * 3;
        jpeg_write_scanlines(out, &row, 1);
    }
    jpeg_finish_compress(out);
}

void tg__jpeg_encode(tg__buffer *file, const tg__pixels *pixels, tg__error *error)
{
    job j = {.error = error, .output = file, .source = pixels};
    j.status = TG_ERROR_INTERNAL;
    j.complaint = "cannot be made as JPEG";
    if (pixels->width > JPEG_MAX_DIMENSION || pixels->height > JPEG_MAX_DIMENSION)
        tg__fail(error, TG_ERROR_ARGUMENT, "is %dx%d pixels large, expected at most %ldx%ld (JPEG)",
                 pixels->width, pixels->height, JPEG_MAX_DIMENSION, JPEG_MAX_DIMENSION);
    else
        run(&j, write_pixels);
}
