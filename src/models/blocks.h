/* SPDX-License-Identifier: MIT */
/* The blocks that UNet and VAE are made of: residual block, attention, transformer. Weight fields
 * spell the checkpoint's keys. */
#ifndef TG_MODELS_BLOCKS_H
#define TG_MODELS_BLOCKS_H

#include "models/network.h"
#include "ops/ops.h"

/* ------------------------------------------------------------------------- residual block */

typedef struct tg__resnet {
    tg__norm norm1, norm2;
    tg__layer conv1, conv2, time_emb_proj, conv_shortcut;
    bool has_time, has_shortcut;
    bool scale_shift; /* the time embedding scales and shifts norm2's output */
} tg__resnet;

/* What all residual blocks of a network have in common. */
typedef struct tg__resnet_config {
    int groups;
    float eps;
    tg__activation activation;
    int time_channels; /* 0: no time embedding */
    bool scale_shift;
} tg__resnet_config;

tg__resnet tg__load_resnet(const tg__scope *scope, const tg__resnet_config *config, int in,
                           int out);

/* a's channels followed by skip's (null: none). time: the activated time embedding, (1 or n, c).
 * The sum is divided by out_scale. */
tg__tensor tg__resnet_block(tg__plan *plan, tg__tensor a, tg__tensor skip, tg__tensor time,
                            const tg__resnet *w, const tg__resnet_config *config, float out_scale);

/* GroupNorm and the activation behind it. */
tg__tensor tg__norm_activation(tg__plan *plan, tg__tensor a, tg__tensor b, const tg__norm *norm,
                               tg__group_norm_options options, tg__activation activation);

/* ------------------------------------------------------------------------------- attention */

/* One attention layer with its norm in front. to_q, to_k and to_v are one product where they read
 * the same input; keys and values of a text are a plan of their own, run once a request. */
typedef struct tg__attn {
    tg__norm norm;
    tg__layer to_qkv;      /* self: q, k, v */
    tg__layer to_q, to_kv; /* cross */
    tg__layer to_out;
    int heads, head_dim;
    bool cross;
    int index; /* among the network's attention layers: names its slots */
} tg__attn;

/* Kept memory of attention layer i, in a plan's slots. */
static inline int tg__slot_stored(int i) { return TG__SLOT_KEPT + 2 * i; }
static inline int tg__slot_kv(int i) { return TG__SLOT_KEPT + 2 * i + 1; }

/* Where the gate keeps the output of attention layer `index`, as large as x: behind to_out, before
 * the residual. Null where it keeps none; with TG__REUSE it is the output. */
tg__tensor tg__kept_output(tg__plan *plan, tg__tensor x, tg__gate_action action, int index);
/* to_out of h, kept there as the action says; not for TG__REUSE. */
tg__tensor tg__project_and_keep(tg__plan *plan, tg__tensor h, const tg__layer *to_out,
                                tg__gate_action action, tg__tensor kept);

/* x + to_out(attention(norm(x))), or what the gate keeps of it. text_tokens: of the keys and values
 * in the layer's kv slot. */
tg__tensor tg__gated_attention(tg__plan *plan, tg__tensor x, const tg__attn *w, float eps,
                               tg__gate_step gate, int text_tokens);

/* ----------------------------------------------------------------------------- transformer */

typedef struct tg__transformer_block {
    tg__attn attn1, attn2;
    tg__norm norm3;
    tg__layer ff_proj, ff_out; /* ff.net.0.proj, ff.net.2 */
} tg__transformer_block;

/* Transformer2DModel. */
typedef struct tg__transformer {
    tg__norm norm;
    tg__layer proj_in, proj_out;
    int layers, groups;
    tg__transformer_block *blocks;
} tg__transformer;

typedef struct tg__transformer_config {
    int groups, heads, layers, cross_dim;
    bool linear_projection, only_cross;
} tg__transformer_config;

/* attention_count: numbers the attention layers, and is moved on. */
tg__transformer tg__load_transformer(const tg__scope *scope, const tg__transformer_config *config,
                                     int channels, int *attention_count);
tg__tensor tg__transformer_2d(tg__plan *plan, tg__tensor x, const tg__transformer *w,
                              tg__gate_step gate, int text_tokens);
/* Keys and values of every cross-attention of the transformer. */
void tg__transformer_text(tg__plan *plan, tg__tensor text, const tg__transformer *w);

/* ------------------------------------------------------------------------------------ levels */

enum { TG__MAX_LEVELS = 16 };

/* One level of a UNet or an autoencoder, on the way down or up. */
typedef struct tg__level {
    int layers;
    tg__resnet *resnets;
    tg__transformer *attentions; /* NULL: none */
    bool has_sampler;
    tg__layer sampler; /* downsamplers.0.conv or upsamplers.0.conv */
} tg__level;

#endif
