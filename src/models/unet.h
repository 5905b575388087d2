/* SPDX-License-Identifier: MIT */
/* UNet2DConditionModel: Stable Diffusion's denoiser (arXiv 2112.10752). */
#ifndef TG_MODELS_UNET_H
#define TG_MODELS_UNET_H

#include "accel/gate.h"
#include "io/config.h"
#include "models/blocks.h"

enum { TG__MAX_LEVELS = 16 };

typedef enum tg__mid_kind { TG__MID_NONE, TG__MID_RESNET, TG__MID_CROSS_ATTENTION } tg__mid_kind;

/* What the config says; lists are by level, from the finest to the coarsest. */
typedef struct tg__unet_config {
    int in_channels, out_channels, sample_size; /* sample_size 0: not said */
    int levels;
    int channels[TG__MAX_LEVELS], layers[TG__MAX_LEVELS], heads[TG__MAX_LEVELS];
    int cross_dim[TG__MAX_LEVELS];
    int transformer_layers[TG__MAX_LEVELS], up_transformer_layers[TG__MAX_LEVELS];
    bool down_cross[TG__MAX_LEVELS], up_cross[TG__MAX_LEVELS]; /* the blocks have attention */
    bool only_cross[TG__MAX_LEVELS];
    tg__mid_kind mid;
    float mid_scale;
    int downsample_padding, conv_in_kernel, conv_out_kernel;
    bool center_input_sample, flip_sin_to_cos, linear_projection;
    float freq_shift;
    int time_channels;
    tg__activation time_post_activation, time_embed_activation;
    tg__resnet_config resnet;
    bool old; /* saved by a diffusers before 0.9.0 */
} tg__unet_config;

/* One level, on the way down or up. */
typedef struct tg__unet_level {
    int layers;
    tg__resnet *resnets;
    tg__transformer *attentions; /* NULL: none */
    bool has_sampler;
    tg__layer sampler; /* downsamplers.0.conv or upsamplers.0.conv */
} tg__unet_level;

typedef struct tg__unet {
    tg__unet_config config;
    tg__layer conv_in, conv_out, time_linear_1, time_linear_2;
    tg__norm conv_norm_out;
    tg__unet_level down[TG__MAX_LEVELS], up[TG__MAX_LEVELS]; /* up[0] is the coarsest, as in keys */
    tg__resnet mid_resnets[2];
    tg__transformer mid_attention;
    int attention_count;
    tg__tally tally;
    tg__arena arena;
} tg__unet;

/* Every key is read; what is not implemented is refused by its name. */
tg_status tg__unet_read_config(tg__unet_config *unet, tg__config *config);

/* unet: zeroed. Checks every tensor's shape; copies nothing. Free it in any case. */
tg_status tg__unet_load(tg__unet *unet, const tg__unet_config *config, const tg__weights *weights,
                        tg__error *error);
void tg__unet_free(tg__unet *unet);

/* Slots of the plans below, besides the attention layers' (blocks.h). */
enum {
    TG__UNET_SAMPLE,   /* f32 (n, in_channels, h, w), scaled for the step */
    TG__UNET_TIMESTEP, /* f32 scalar */
    TG__UNET_OUTPUT,   /* f32 (n or 2n, out_channels, h, w): unconditional half first */
    TG__UNET_TEXT,     /* f32 (n or 2n, 1, tokens, cross_dim) */
};

/* One evaluation for n pictures of h x w latents; with gate.guided the batch is 2n. */
void tg__unet_record(tg__plan *plan, const tg__unet *unet, tg__gate_step gate, int n, int h, int w,
                     int text_tokens);
/* What depends on the text alone: keys and values for a batch of n texts. */
void tg__unet_record_text(tg__plan *plan, const tg__unet *unet, int n, int text_tokens);

#endif
