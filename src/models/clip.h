/* SPDX-License-Identifier: MIT */
/* CLIPTextModel: the text encoder of Stable Diffusion (arXiv 2103.00020). */
#ifndef TG_MODELS_CLIP_H
#define TG_MODELS_CLIP_H

#include "io/config.h"
#include "ops/ops.h"

typedef struct tg__clip_config {
    int vocabulary, positions, width, inner, layers, heads;
    float eps;
    tg__activation activation;
} tg__clip_config;

typedef struct tg__clip_layer {
    tg__norm layer_norm1, layer_norm2;
    tg__layer qkv_proj, out_proj, fc1, fc2;
} tg__clip_layer;

typedef struct tg__clip {
    tg__clip_config config;
    tg__weight token_embedding, position_embedding;
    tg__clip_layer *layers;
    tg__norm final_layer_norm;
    tg__tally tally;
    tg__arena arena;
} tg__clip;

tg_status tg__clip_read_config(tg__clip_config *clip, tg__config *config);
/* clip: zeroed. Free it in any case. */
tg_status tg__clip_load(tg__clip *clip, const tg__clip_config *config, const tg__weights *weights,
                        tg__error *error);
void tg__clip_free(tg__clip *clip);

enum {
    TG__CLIP_IDS,    /* int32 (n, tokens) */
    TG__CLIP_OUTPUT, /* f32 (n, 1, tokens, width) */
};

/* n texts of `tokens` ids below config.vocabulary; the last `skip` layers are left out, the final
 * norm is not. */
void tg__clip_record(tg__plan *plan, const tg__clip *clip, int n, int tokens, int skip);

#endif
