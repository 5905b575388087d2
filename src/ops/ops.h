/* SPDX-License-Identifier: MIT */
/* The operators. Each call records one (sometimes two) nodes of the plan and returns the tensor
 * that they make. On a failed plan, or with a null tensor, they record nothing and return a null
 * tensor. */
#ifndef TG_OPS_OPS_H
#define TG_OPS_OPS_H

#include "core/plan.h"
#include "io/layer.h"
#include "ops/context.h"

/* ------------------------------------------------------------- convolutions and linear layers */

typedef struct tg__product_options {
    int stride;                /* 0 is 1 */
    bool own_padding;          /* else kernel / 2 on each side */
    int pad_before, pad_after; /* with own_padding: top and left, bottom and right */
    tg__activation activation; /* before the residual; TG__GEGLU for a linear layer */
    tg__tensor residual;       /* added; null: none */
    tg__tensor into;           /* where the result goes; null: a new tensor */
    bool f32;                  /* a new tensor is f32 whatever the plan's dtype */
    bool exact;                /* never in int8 */
} tg__product_options;

/* x's channels are the layer's input. Kernel 1 makes it a linear layer over all positions. */
tg__tensor tg__conv2d(tg__plan *plan, tg__tensor x, const tg__layer *layer,
                      tg__product_options options);
/* The same under the name that the field gives it where x is a token matrix. */
tg__tensor tg__linear(tg__plan *plan, tg__tensor x, const tg__layer *layer,
                      tg__product_options options);
/* The layer applied to a's channels followed by b's, without laying them side by side: two
 * accumulated products. Kernel 1. b null: a alone. */
tg__tensor tg__conv2d_pair(tg__plan *plan, tg__tensor a, tg__tensor b, const tg__layer *layer);

/* A nearest upsampling to h x w and the layer behind it. Where that doubles both sides of x, it is
 * four 2x2 convolutions on the small map: 2.25 times fewer multiplications than the 3x3 on the
 * large; or, in f32 on large maps, Winograd's: four times fewer. */
tg__tensor tg__upsample_conv2d(tg__plan *plan, tg__tensor x, const tg__layer *layer, int h, int w);

/* -------------------------------------------------------------------------------------- norms */

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
tg__tensor tg__layer_norm(tg__plan *plan, tg__tensor x, const tg__norm *norm, float eps);
tg__tensor tg__layer_norm_into(tg__plan *plan, tg__tensor x, const tg__norm *norm, float eps,
                               tg__tensor into);

/* ---------------------------------------------------------------------------------- attention */

/* Channels [first, first + heads * head_dim) of a token matrix. */
typedef struct tg__slice {
    tg__tensor tensor;
    int first;
} tg__slice;

/* softmax(q k^T / sqrt(head_dim)) v; the result has q's positions and heads * head_dim channels. */
tg__tensor tg__attention_op(tg__plan *plan, const char *name, tg__slice q, tg__slice k, tg__slice v,
                            int heads, int head_dim, bool causal);

/* -------------------------------------------------------------------------------- elementwise */

tg__tensor tg__geglu(tg__plan *plan, const char *name, tg__tensor x); /* 2c channels to c */
tg__tensor tg__add(tg__plan *plan, const char *name, tg__tensor a, tg__tensor b);
/* x * factor; x itself where factor is 1. */
tg__tensor tg__scale(tg__plan *plan, const char *name, tg__tensor x, float factor);
/* into = (first half of x's images + second half) / 2. */
tg__tensor tg__mean_halves(tg__plan *plan, const char *name, tg__tensor x, tg__tensor into);
tg__tensor tg__activate(tg__plan *plan, const char *name, tg__tensor x, tg__activation activation);

/* ------------------------------------------------------------------------------------- layout */

/* f32 (n, c, h, w) at an external tensor given as (n, c, h, w) -> (copies * n, h, w, c) in the
 * plan's dtype, x * factor + offset; the copies follow one another. */
tg__tensor tg__from_nchw(tg__plan *plan, tg__tensor x, int copies, float factor, float offset);
/* x (f32) -> into, an external f32 tensor given as (n, c, h, w). */
tg__tensor tg__to_nchw(tg__plan *plan, tg__tensor x, tg__tensor into);
/* Nearest neighbour to h x w. */
tg__tensor tg__upsample(tg__plan *plan, const char *name, tg__tensor x, int h, int w);
/* Four maps of one size to one of twice its sides: phases[2 * py + px] has the pixels (2y + py,
 * 2x + px). */
tg__tensor tg__interleave(tg__plan *plan, const char *name, const tg__tensor phases[4]);

/* ------------------------------------------------------------------------------------- inputs */

/* The sinusoids of one timestep (an external f32 scalar): (1, 1, 1, c). Dhariwal and Nichol, as
 * diffusers' get_timestep_embedding with max_period 10000. */
tg__tensor tg__timestep_embedding(tg__plan *plan, tg__tensor timestep, int c, bool flip_sin_to_cos,
                                  float freq_shift);
/* ids: external (n, 1, tokens, 1) int32 bound as f32's size; table (entries, c), positions
 * (>= tokens, c) -> (n, 1, tokens, c) = table[id] + positions[i]. Ids are checked by the caller. */
tg__tensor tg__embed_tokens(tg__plan *plan, tg__tensor ids, const tg__disk_tensor *table,
                            const tg__disk_tensor *positions, int c);

#endif
