/* SPDX-License-Identifier: MIT */
/* UNet2DConditionModel: Stable Diffusion's denoiser (arXiv 2112.10752). */
#ifndef TG_MODELS_UNET_H
#define TG_MODELS_UNET_H

#include "models/blocks.h"
#include "models/network.h"

enum { TG__MAX_UNET_LAYERS = 64 }; /* of a down block; an up block has one more */
/* DeepCache counts branches as if every block of the way up had so many layers. */
enum { TG__BRANCHES_A_BLOCK = 3 };

typedef enum tg__mid_kind { TG__MID_NONE, TG__MID_RESNET, TG__MID_CROSS_ATTENTION } tg__mid_kind;

/* What the config says; lists are by level, from the finest to the coarsest. */
typedef struct tg__unet_config {
    int in_channels, out_channels, sample_size; /* sample_size 0: not said */
    int levels;
    int channels[TG__MAX_LEVELS], layers[TG__MAX_LEVELS], heads[TG__MAX_LEVELS];
    int cross_dim[TG__MAX_LEVELS];
    /* By block and by the block's layer. */
    int transformer_layers[TG__MAX_LEVELS][TG__MAX_UNET_LAYERS];
    int up_transformer_layers[TG__MAX_LEVELS][TG__MAX_UNET_LAYERS + 1];
    int mid_transformer_layers;
    bool down_cross[TG__MAX_LEVELS], up_cross[TG__MAX_LEVELS]; /* the blocks have attention */
    bool only_cross[TG__MAX_LEVELS];
    tg__mid_kind mid;
    float mid_scale;
    int downsample_padding, conv_in_kernel, conv_out_kernel;
    bool center_input_sample, flip_sin_to_cos, linear_projection;
    float freq_shift;
    int time_channels;
    int time_cond_channels;                  /* of the guidance embedding; 0: none */
    int added_time_channels, added_channels; /* of one added number; of all that is added, or 0 */
    int pooled_width;                        /* how much of it the text has, as far as is known */
    tg__activation time_post_activation, time_embed_activation;
    tg__resnet_config resnet;
    bool old; /* saved by a diffusers before 0.9.0 */
} tg__unet_config;

typedef struct tg__unet {
    tg__network network;
    tg__unet_config config;
    tg__layer conv_in, conv_out, time_linear_1, time_linear_2;
    tg__layer time_cond_proj;             /* where there is a guidance embedding */
    tg__layer add_linear_1, add_linear_2; /* add_embedding, if there is one */
    tg__norm conv_norm_out;
    tg__level down[TG__MAX_LEVELS], up[TG__MAX_LEVELS]; /* up[0] is the coarsest, as in keys */
    tg__resnet mid_resnets[2];
    tg__transformer mid_attention;
    int attention_count;
} tg__unet;

tg_status tg__unet_read_config(tg__network *network, tg__config *config);
bool tg__unet_original_name(const tg__network *network, tg__translation *t);

/* Ports. */
enum {
    TG__UNET_SAMPLE,   /* f32 (n, in_channels, h, w), scaled for the step */
    TG__UNET_TIMESTEP, /* f32 scalar */
    TG__UNET_OUTPUT,   /* f32 (n or 2n, out_channels, h, w): unconditional half first */
    TG__UNET_TEXT,     /* f32 (n or 2n, 1, tokens, cross_dim) */
    TG__UNET_POOLED,   /* f32 (n or 2n, 1, 1, pooled_width), with an added embedding */
    TG__UNET_TIME_IDS, /* f32 (n or 2n, 1, 1, numbers), with an added embedding */
    TG__UNET_GUIDANCE, /* f32 (1, 1, 1, time_cond_channels), if there are any */
};

#endif
