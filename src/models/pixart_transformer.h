/* SPDX-License-Identifier: MIT */
/* PixArtTransformer2DModel: the denoiser of PixArt-Alpha (arXiv 2310.00426) and PixArt-Sigma
 * (arXiv 2403.04692). */
#ifndef TG_MODELS_PIXART_TRANSFORMER_H
#define TG_MODELS_PIXART_TRANSFORMER_H

#include "models/blocks.h"
#include "models/network.h"

typedef struct tg__pixart_config {
    int in_channels, out_channels;
    int patch;               /* latents on a side of a token */
    int sample_size;         /* latents on a side in training */
    float position_scale;    /* places of tokens are divided by it */
    int heads, width, inner; /* of the feed forward */
    int layers;
    int caption_channels; /* 0: there is no projection */
    int cross_dim;        /* what cross-attention's keys and values read */
    float eps;
    bool affine, attention_bias;
    bool told_sizes; /* resolution and aspect ratio */
    tg__activation activation;
} tg__pixart_config;

typedef struct tg__pixart_block {
    tg__norm norm1, norm2;
    tg__attn attn1, attn2; /* their norms are unused */
    tg__layer ff_proj, ff_out;
    tg__weight scale_shift_table;
} tg__pixart_block;

/* An embedder: two linear layers with silu between them. */
typedef struct tg__pixart_embedder {
    tg__layer linear_1, linear_2;
} tg__pixart_embedder;

typedef struct tg__pixart {
    tg__network network;
    tg__pixart_config config;
    tg__layer pos_embed, caption_1, caption_2, adaln, proj_out;
    tg__pixart_embedder timestep, resolution, aspect_ratio;
    tg__pixart_block *blocks;
    tg__weight scale_shift_table;
    tg__norm norm_out;
} tg__pixart;

tg_status tg__pixart_read_config(tg__network *network, tg__config *config);
bool tg__pixart_original_name(const tg__network *network, tg__translation *t);

/* Ports. */
enum {
    TG__PIXART_SAMPLE,       /* f32 (n, in_channels, h, w), scaled for the step */
    TG__PIXART_TIMESTEP,     /* f32 scalar */
    TG__PIXART_OUTPUT,       /* f32 (n or 2n, in_channels, h, w): unconditional half first */
    TG__PIXART_TEXT,         /* f32 (n or 2n, 1, tokens, text_width) */
    TG__PIXART_MASK,         /* f32 (n or 2n, 1, tokens, 1): 0 where a token is padding */
    TG__PIXART_RESOLUTION,   /* f32 (n or 2n, 1, 1, 2): height and width in pixels */
    TG__PIXART_ASPECT_RATIO, /* f32 (n or 2n, 1, 1, 1): height over width */
};

#endif
