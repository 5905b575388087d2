/* SPDX-License-Identifier: MIT */
/* Bins of resolution: the sizes that a model has been trained with, one for each aspect ratio. A
 * request's picture is made in the size of the bin whose ratio is nearest, and then scaled and cut
 * to the size that was asked for. */
#ifndef TG_PIPELINE_BINS_H
#define TG_PIPELINE_BINS_H

#include "core/error.h"

/* Whether there are bins for a model of this sample_size (latents, of 8 pixels each). */
bool tg__has_bins(int sample_size);
/* The bin for a picture of h x w pixels; sample_size has bins. */
void tg__bin_of(int sample_size, int h, int w, int *bin_h, int *bin_w);

/* dst (channels, to_h, to_w) = the middle of src (channels, h, w), scaled so that it just covers
 * dst: bilinear, without a filter, as torch's interpolate. */
void tg__fit_picture(float *dst, int to_h, int to_w, const float *src, int channels, int h, int w);

#endif
