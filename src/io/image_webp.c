/* SPDX-License-Identifier: MIT */
/* WebP, by libwebp. */
#include <stdlib.h>

#include <webp/decode.h>
#include <webp/encode.h>

#include "io/image_format.h"

/* Lossy, a little above what the tools around Stable Diffusion save with (80): the difference is
 * not seen, and a lossless file would be as large as the PNG. */
#define QUALITY 90.0F

/* ------------------------------------------------------------------------------------ reading */

static void fail_decoding(VP8StatusCode status, tg__error *error)
{
    switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
        tg__fail_memory(error);
        break;
    case VP8_STATUS_NOT_ENOUGH_DATA:
        tg__fail(error, TG_ERROR_FORMAT, "is a broken WebP file (it ends too early)");
        break;
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        tg__fail(error, TG_ERROR_UNSUPPORTED, "is a WebP file of a kind that libwebp cannot read");
        break;
    default: /* what some failed allocations are called, too */
        tg__fail(error, TG_ERROR_FORMAT, "is a broken WebP file (bad bitstream)");
    }
}

/* The config's output is a buffer of ours: of a file that breaks off, only the pages that its
 * pixels reached were ever touched. */
static void decode(tg__pixels *pixels, const char *file, size_t bytes, WebPDecoderConfig *config,
                   tg__error *error)
{
    bool alpha = config->input.has_alpha;
    size_t width = (size_t)config->input.width, height = (size_t)config->input.height;
    size_t row = width * (alpha ? 4 : 3);
    /* A picture of one colour takes a few bytes, whatever its size. */
    if (!tg__pixels_take(pixels, width, height, alpha ? 4 : 3, bytes, 0, error))
        return;
    config->output.colorspace = alpha ? MODE_RGBA : MODE_RGB;
    config->output.is_external_memory = 1;
    config->output.u.RGBA.rgba = pixels->data;
    config->output.u.RGBA.stride = (int)row;
    config->output.u.RGBA.size = row * height;
    VP8StatusCode status = WebPDecode((const uint8_t *)file, bytes, config);
    if (status != VP8_STATUS_OK)
        fail_decoding(status, error);
    else if (alpha)
        tg__pixels_lay_over_white(pixels);
}

void tg__webp_decode(tg__pixels *pixels, const char *file, size_t bytes, tg__error *error)
{
    WebPDecoderConfig config;
    *pixels = (tg__pixels){0};
    if (!WebPInitDecoderConfig(&config)) {
        tg__fail(error, TG_ERROR_INTERNAL, "libwebp is not the one that this was built with");
        return;
    }
    VP8StatusCode status = WebPGetFeatures((const uint8_t *)file, bytes, &config.input);
    if (status != VP8_STATUS_OK)
        fail_decoding(status, error);
    else if (config.input.has_animation)
        tg__fail(error, TG_ERROR_UNSUPPORTED, "is an animated WebP file, expected one picture");
    else
        decode(pixels, file, bytes, &config, error);
    WebPFreeDecBuffer(&config.output);
    if (tg__failed(error)) {
        free(pixels->data);
        pixels->data = NULL;
    }
}

/* ------------------------------------------------------------------------------------ writing */

typedef struct target {
    tg__buffer *file;
    tg__error *error;
} target;

static int write_bytes(const uint8_t *data, size_t bytes, const WebPPicture *picture)
{
    const target *t = picture->custom_ptr;
    return tg__buffer_add(t->file, data, bytes, t->error);
}

static void encode(WebPPicture *picture, const WebPConfig *config, const tg__pixels *pixels,
                   tg__error *error)
{
    if (WebPPictureImportRGB(picture, pixels->data, 3 * pixels->width) &&
        WebPEncode(config, picture))
        return;
    switch (picture->error_code) {
    case VP8_ENC_OK: /* some of its failed allocations leave this */
    case VP8_ENC_ERROR_OUT_OF_MEMORY:
    case VP8_ENC_ERROR_BITSTREAM_OUT_OF_MEMORY:
        tg__fail_memory(error);
        break;
    default:
        tg__fail(error, TG_ERROR_INTERNAL, "cannot be made as WebP (libwebp's error %d)",
                 (int)picture->error_code);
    }
}

void tg__webp_encode(tg__buffer *file, const tg__pixels *pixels, tg__error *error)
{
    target to = {file, error};
    WebPConfig config;
    WebPPicture picture;
    if (pixels->width > WEBP_MAX_DIMENSION || pixels->height > WEBP_MAX_DIMENSION) {
        tg__fail(error, TG_ERROR_ARGUMENT, "is %dx%d pixels large, expected at most %dx%d (WebP)",
                 pixels->width, pixels->height, WEBP_MAX_DIMENSION, WEBP_MAX_DIMENSION);
        return;
    }
    if (!WebPConfigPreset(&config, WEBP_PRESET_DEFAULT, QUALITY) || !WebPPictureInit(&picture)) {
        tg__fail(error, TG_ERROR_INTERNAL, "libwebp is not the one that this was built with");
        return;
    }
    picture.width = pixels->width;
    picture.height = pixels->height;
    picture.writer = write_bytes;
    picture.custom_ptr = &to;
    encode(&picture, &config, pixels, error);
    WebPPictureFree(&picture);
}
