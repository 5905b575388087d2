/* SPDX-License-Identifier: MIT */
/* The operators. Each call records one node (sometimes two) of the plan and returns the tensor that
 * it makes; nothing is computed, and nothing is decided that a backend could decide otherwise. On a
 * failed plan, or with a null tensor, they record nothing and return a null tensor. */
#ifndef TG_OPS_OPS_H
#define TG_OPS_OPS_H

#include "core/plan.h"
#include "io/layer.h"
#include "ops/activation.h"
#include "ops/relative.h"

/* ------------------------------------------------------------- convolutions and linear layers */

typedef struct tg__product_options {
    int stride;                /* 0 is 1 */
    bool own_padding;          /* else kernel / 2 on each side */
    int pad_before, pad_after; /* with own_padding: top and left, bottom and right */
    tg__activation activation; /* before the residual; TG__GEGLU for a linear layer */
    tg__tensor residual;       /* added; null: none */
    tg__tensor into;           /* where the result goes; null: a new tensor */
    bool f32;                  /* a new tensor is f32 whatever activations are */
    bool exact;                /* sensitive: in no format rougher than activations' */
} tg__product_options;

/* x's channels are the layer's input. Kernel 1 makes it a linear layer over all positions. */
tg__tensor tg__conv2d(tg__plan *plan, tg__tensor x, const tg__layer *layer,
                      tg__product_options options);
/* The same under the name that the field gives it where x is a token matrix. */
tg__tensor tg__linear(tg__plan *plan, tg__tensor x, const tg__layer *layer,
                      tg__product_options options);
/* The layer applied to a's channels followed by b's, without laying them side by side. Kernel 1. b
 * null: a alone. */
tg__tensor tg__conv2d_pair(tg__plan *plan, tg__tensor a, tg__tensor b, const tg__layer *layer);
/* A nearest upsampling to h x w and the layer behind it. */
tg__tensor tg__upsample_conv2d(tg__plan *plan, tg__tensor x, const tg__layer *layer, int h, int w);

/* -------------------------------------------------------------------------------------- norms */

/* Channels [first, first + c) of a tensor. */
typedef struct tg__slice {
    tg__tensor tensor;
    int first;
} tg__slice;

typedef struct tg__group_norm_options {
    int groups;
    float eps;
    bool silu;           /* behind it */
    tg__tensor vector;   /* (1 or n, c) f32, added to every position before; null: none */
    tg__tensor modulate; /* (1 or n, 2c) f32: scale, then shift; norm * (1 + scale) + shift */
} tg__group_norm_options;

/* Over a's channels followed by b's (b null: a alone); the result has them side by side. */
tg__tensor tg__group_norm_op(tg__plan *plan, tg__tensor a, tg__tensor b, const tg__norm *norm,
                             tg__group_norm_options options);

typedef struct tg__row_norm_options {
    float eps;
    tg__slice shift, scale; /* (1 or n, k) f32: norm * (1 + scale) + shift; both or none */
    tg__tensor into;        /* where the result goes; null: a new tensor */
} tg__row_norm_options;

/* Of each position's channels. norm may be without weight and bias. */
tg__tensor tg__layer_norm(tg__plan *plan, tg__tensor x, const tg__norm *norm,
                          tg__row_norm_options options);
/* x / sqrt(mean(x^2) + eps) * weight. */
tg__tensor tg__rms_norm(tg__plan *plan, tg__tensor x, const tg__norm *norm, float eps);

/* ---------------------------------------------------------------------------------- attention */

typedef struct tg__attention_options {
    int heads, head_dim; /* head_dim 1 to 512 */
    float scale;         /* 0: 1 / sqrt(head_dim) */
    bool causal;         /* position i sees keys up to i */
    tg__tensor mask;     /* (n, 1, keys, 1) f32: where it is 0 a key is not seen; null: all are */
    tg__tensor bias;     /* (heads, 1, q, keys) f32, added to the scaled scores; null: none */
} tg__attention_options;

/* softmax(scale q k^T + bias) v; the result has q's positions and heads * head_dim channels. */
tg__tensor tg__attention_op(tg__plan *plan, const char *name, tg__slice q, tg__slice k, tg__slice v,
                            tg__attention_options options);

/* -------------------------------------------------------------------------------- elementwise */

/* b has a's shape, or is one image that is added to each of a's. */
tg__tensor tg__add(tg__plan *plan, const char *name, tg__tensor a, tg__tensor b);
/* residual + x * gate; gate (1 or n, k) f32. */
tg__tensor tg__gated_add(tg__plan *plan, const char *name, tg__tensor residual, tg__tensor x,
                         tg__slice gate);
/* A vector for each picture (n, 1, 1, c), f32, added to each of the table's rows of c values:
 * (n, 1, 1, values). */
tg__tensor tg__add_table(tg__plan *plan, const char *name, tg__tensor x, const tg__weight *table,
                         int values);
/* Vectors (n, 1, 1, a) and (n, 1, 1, b) side by side. */
tg__tensor tg__join(tg__plan *plan, const char *name, tg__tensor a, tg__tensor b);
/* x * factor; x itself where factor is 1. */
tg__tensor tg__scale(tg__plan *plan, const char *name, tg__tensor x, float factor);
/* into = (first half of x's images + second half) / 2. */
tg__tensor tg__mean_halves(tg__plan *plan, const char *name, tg__tensor x, tg__tensor into);
/* x itself where activation is TG__LINEAR. */
tg__tensor tg__activate(tg__plan *plan, const char *name, tg__tensor x, tg__activation activation);
/* x in the format of activations; x itself where it is. */
tg__tensor tg__to_activations(tg__plan *plan, const char *name, tg__tensor x);
/* x itself, into an external tensor; x is still there. */
void tg__copy(tg__plan *plan, const char *name, tg__tensor x, tg__tensor into);
/* x in f32, into an external tensor. */
tg__tensor tg__to_f32(tg__plan *plan, const char *name, tg__tensor x, tg__tensor into);

/* ------------------------------------------------------------------------------------- layout */

/* An external f32 tensor (n, c, h, w), for the two below: its dimensions under a plan's names. */
tg__tensor tg__external_nchw(tg__plan *plan, int slot, int64_t n, int64_t c, int64_t h, int64_t w);
/* f32 (n, c, h, w) -> (copies * n, h, w, c) in the format of activations, x * factor + offset; the
 * copies follow one another. */
tg__tensor tg__from_nchw(tg__plan *plan, tg__tensor x, int copies, float factor, float offset);
/* The first of x's channels (f32) -> into. Where into has p times as many rows and columns, a
 * position of x holds p x p pixels, row by row, with all their channels. */
tg__tensor tg__to_nchw(tg__plan *plan, tg__tensor x, tg__tensor into);
/* Nearest neighbour to h x w. */
tg__tensor tg__upsample(tg__plan *plan, const char *name, tg__tensor x, int h, int w);

/* ------------------------------------------------------------------------------------- inputs */

/* The sinusoids of numbers (external f32, (n, 1, 1, k); a timestep is one), c for each, side by
 * side: (n, 1, 1, k * c). Dhariwal and Nichol, as diffusers' get_timestep_embedding with max_period
 * 10000. */
tg__tensor tg__timestep_embedding(tg__plan *plan, tg__tensor numbers, int c, bool flip_sin_to_cos,
                                  float freq_shift);
/* Where each position of an h x w map is, in sines and cosines: (1, h, w, c), c a multiple of 4;
 * the first half of the channels by column, the second by row. As diffusers'
 * get_2d_sincos_pos_embed: positions run from 0 to base (less one step) over either side, divided
 * by scale. */
tg__tensor tg__grid_embedding(tg__plan *plan, int h, int w, int c, int base, float scale);
/* ids: external (n, 1, tokens, 1) int32 bound as f32's size; table (entries, c), positions
 * (>= tokens, c; NULL: none) -> (n, 1, tokens, c) = table[id] + positions[i]. Ids are checked by
 * the caller. */
tg__tensor tg__embed_tokens(tg__plan *plan, tg__tensor ids, const tg__weight *table,
                            const tg__weight *positions, int c);
/* For the bias of `tokens` that attend to one another: (heads, 1, tokens, tokens) f32 whose value
 * at (head, 1, q, k) is table[bucket of k - q, head]; table (buckets.count, heads). */
tg__tensor tg__relative_bias(tg__plan *plan, const tg__weight *table, tg__relative_buckets buckets,
                             int heads, int tokens);

#endif
