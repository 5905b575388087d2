/* SPDX-License-Identifier: MIT */
/* T5EncoderModel: the encoder of T5 and T5 v1.1 (arXiv 1910.10683, 2002.05202). */
#ifndef TG_MODELS_T5_H
#define TG_MODELS_T5_H

#include "io/gguf.h"
#include "models/network.h"
#include "ops/ops.h"

typedef struct tg__t5_config {
    int vocabulary, width, head_dim, heads, inner, layers;
    float eps;
    tg__relative_buckets buckets;
    tg__activation activation; /* a gated one halves what it is given */
} tg__t5_config;

typedef struct tg__t5_block {
    tg__norm attention_norm, norm;
    tg__layer qkv, o;
    tg__layer wi, wo; /* gated: wi_1, then wi_0, which goes through the activation */
} tg__t5_block;

typedef struct tg__t5 {
    tg__network network;
    tg__t5_config config;
    tg__weight shared, relative_attention_bias;
    tg__t5_block *blocks;
    tg__norm final_layer_norm;
} tg__t5;

/* The weights of a T5 encoder in llama.cpp's layout, for tg__network_class's load; the file
 * outlives them. NULL with an error, where the file is of another architecture among others. */
tg__weights *tg__t5_weights_from_gguf(const tg__gguf *file, tg__error *error);

enum {
    TG__T5_IDS,    /* int32 (n, tokens) */
    TG__T5_MASK,   /* f32 (n, tokens): a token where it is 0 is not seen by any */
    TG__T5_OUTPUT, /* f32 (n, 1, tokens, width); rows of tokens that are not seen have no meaning */
};

#endif
