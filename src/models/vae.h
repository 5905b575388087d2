/* SPDX-License-Identifier: MIT */
/* AutoencoderKL: pictures to latents and back (arXiv 2112.10752). */
#ifndef TG_MODELS_VAE_H
#define TG_MODELS_VAE_H

#include "io/config.h"
#include "models/blocks.h"
#include "models/unet.h"

typedef struct tg__vae_config {
    int in_channels, out_channels, latent_channels;
    int levels, channels[TG__MAX_LEVELS], layers;
    bool mid_attention, quant_conv, post_quant_conv;
    double scaling_factor;
    int sample_size; /* pixels a side in training */
    tg__resnet_config resnet;
} tg__vae_config;

/* Encoder and decoder have the same parts in another order. */
typedef struct tg__vae_half {
    tg__layer conv_in, conv_out, quant;    /* quant_conv or post_quant_conv */
    tg__unet_level levels[TG__MAX_LEVELS]; /* in the order in which they run */
    tg__resnet mid_resnets[2];
    tg__norm attention_norm; /* mid_block.attentions.0 */
    tg__layer to_qkv, to_out;
    tg__norm conv_norm_out;
} tg__vae_half;

typedef struct tg__vae {
    tg__vae_config config;
    tg__vae_half encoder, decoder;
    tg__tally tally;
    tg__arena arena;
} tg__vae;

tg_status tg__vae_read_config(tg__vae_config *vae, tg__config *config);
/* Pixels a latent is wide: 2^(levels - 1). */
int tg__vae_factor(const tg__vae_config *vae);
/* vae: zeroed. Free it in any case. */
tg_status tg__vae_load(tg__vae *vae, const tg__vae_config *config, const tg__weights *weights,
                       tg__error *error);
void tg__vae_free(tg__vae *vae);

enum {
    TG__VAE_INPUT,  /* f32 (n, c, h, w) */
    TG__VAE_OUTPUT, /* f32 (n, c, h, w) */
};

/* n latents of h x w, times factor, to pictures (-1 to 1). */
void tg__vae_record_decode(tg__plan *plan, const tg__vae *vae, float factor, int n, int h, int w);
/* n pictures of h x w to the moments (mean, then log variance) of their latents. */
void tg__vae_record_encode(tg__plan *plan, const tg__vae *vae, int n, int h, int w);
/* The latents' size for a picture of h x w: each level but the last halves it, rounding down. */
void tg__vae_latent_size(const tg__vae_config *vae, int h, int w, int *latent_h, int *latent_w);

#endif
