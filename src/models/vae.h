/* SPDX-License-Identifier: MIT */
/* AutoencoderKL: pictures to latents and back (arXiv 2112.10752). */
#ifndef TG_MODELS_VAE_H
#define TG_MODELS_VAE_H

#include "models/blocks.h"

typedef struct tg__vae_config {
    int in_channels, out_channels, latent_channels;
    int levels, channels[TG__MAX_LEVELS], layers;
    bool mid_attention, quant_conv, post_quant_conv;
    bool force_upcast;
    double scaling_factor;
    int sample_size; /* pixels a side in training */
    tg__resnet_config resnet;
} tg__vae_config;

/* Encoder and decoder have the same parts in another order. */
typedef struct tg__vae_half {
    tg__layer conv_in, conv_out, quant; /* quant_conv or post_quant_conv */
    tg__level levels[TG__MAX_LEVELS];   /* in the order in which they run */
    tg__resnet mid_resnets[2];
    tg__norm attention_norm; /* mid_block.attentions.0 */
    tg__layer to_qkv, to_out;
    tg__norm conv_norm_out;
} tg__vae_half;

typedef struct tg__vae {
    tg__network network;
    tg__vae_config config;
    tg__vae_half encoder, decoder;
} tg__vae;

bool tg__vae_original_name(const tg__network *network, tg__translation *t);

enum {
    TG__VAE_INPUT,  /* f32 (n, c, h, w) */
    TG__VAE_OUTPUT, /* f32 (n, c, h, w) */
};

#endif
