/* SPDX-License-Identifier: MIT */
/* CLIPTextModel and CLIPTextModelWithProjection: the text encoders of Stable Diffusion (arXiv
 * 2103.00020). */
#ifndef TG_MODELS_CLIP_H
#define TG_MODELS_CLIP_H

#include "models/network.h"
#include "ops/ops.h"

typedef struct tg__clip_config {
    int vocabulary, positions, width, inner, layers, heads;
    int projection; /* 0: there is none */
    float eps;
    tg__activation activation;
} tg__clip_config;

typedef struct tg__clip_layer {
    tg__norm layer_norm1, layer_norm2;
    tg__layer qkv_proj, out_proj, fc1, fc2;
} tg__clip_layer;

typedef struct tg__clip {
    tg__network network;
    tg__clip_config config;
    tg__weight token_embedding, position_embedding;
    tg__clip_layer *layers;
    tg__norm final_layer_norm;
    tg__layer text_projection;
} tg__clip;

bool tg__clip_original_name(const tg__network *network, tg__translation *t);

enum {
    TG__CLIP_IDS,    /* int32 (n, tokens) */
    TG__CLIP_OUTPUT, /* f32 (n, 1, tokens, width) */
    /* f32 (n, 1, tokens, projection), of TG__PASS_STATES: the pooled state of each token that might
     * end the text. Which one does is known from the ids. */
    TG__CLIP_POOLED,
};

#endif
