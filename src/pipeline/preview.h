/* SPDX-License-Identifier: MIT */
/* A small picture of latents, without the VAE: a linear map from a latent's channels to red, green
 * and blue, fitted to what the VAE makes of a few. */
#ifndef TG_PIPELINE_PREVIEW_H
#define TG_PIPELINE_PREVIEW_H

#include "pipeline/session.h"

/* Fits the map, if it is not there, and makes room for pictures of so many latents. */
tg_status tg__preview_prepare(tg_session *session, int count, int h, int w);
/* The picture of latents (count, channels, h, w); it belongs to the session. */
tg_array tg__preview_make(tg_session *session, const float *latents, int count, int h, int w);

#endif
