/* SPDX-License-Identifier: MIT */
/* What a plan's nodes are: their kinds, and for each the sources in their order and the parameters'
 * type. This is all that a backend knows of a network. */
#ifndef TG_OPS_KINDS_H
#define TG_OPS_KINDS_H

#include "core/plan.h"
#include "io/layer.h"
#include "ops/activation.h"
#include "ops/relative.h"

/* dst may be external; a result goes where dst is, whatever is there. */
typedef enum tg__kind {
    /* tg__product_parameters; X [, Y] [, RESIDUAL]. dst = activation(layer(X beside Y) + bias) +
     * RESIDUAL; a convolution, or a linear layer over all positions (kernel 1). */
    TG__PRODUCT,
    /* tg__group_norm_parameters; X [, Y] [, VECTOR] [, MODULATE]. Over X's channels followed by
     * Y's, which dst has side by side. VECTOR (1 or n, c) f32 is added to every position before;
     * MODULATE (1 or n, 2c) f32: norm * (1 + its first half) + its second. */
    TG__GROUP_NORM,
    /* tg__row_norm_parameters; X [, SHIFT, SCALE]: norm * (1 + scale) + shift, both (1 or n, k) f32
     * with an offset in their channels. */
    TG__LAYER_NORM,
    TG__RMS_NORM, /* tg__row_norm_parameters; X */
    /* tg__attention_parameters; Q, K, V [, MASK] [, BIAS]. dst = softmax(scale q k^T + BIAS) v by
     * head. MASK (n, kv) f32: a key whose value is 0 is not seen; BIAS (heads, q, kv) f32. */
    TG__ATTENTION,
    TG__ADD,         /* X, Y: Y has X's shape, or is one image that is added to each of X's */
    TG__GATED_ADD,   /* tg__gated_add_parameters; X, RESIDUAL, GATE (1 or n, k) f32 */
    TG__SCALE,       /* tg__scale_parameters; X */
    TG__ACTIVATE,    /* tg__activate_parameters; X */
    TG__ADD_TABLE,   /* tg__table_parameters; X (n, c) f32: dst (n, k) = the table's k values, which
                      * are rows of c, + X in each row */
    TG__JOIN,        /* X, Y: vectors (n, a) and (n, b) side by side */
    TG__CONVERT,     /* X in dst's format */
    TG__MEAN_HALVES, /* X: (first half of its images + second half) / 2 */
    TG__FROM_NCHW,   /* tg__from_nchw_parameters; X external f32, in memory (n, c, h, w) */
    /* X (f32); dst external f32, in memory (n, c, p h, p w), has the first of X's channels. p above
     * 1: X's channels are those of p x p pixels, row by row. */
    TG__TO_NCHW,
    TG__UPSAMPLE, /* X: nearest neighbour to dst's size */
    /* tg__timestep_parameters; X external f32 (n, k): for each number dst.c / X.c sinusoids */
    TG__TIMESTEP_EMBEDDING,
    TG__GRID_EMBEDDING, /* tg__grid_parameters; no sources: dst (1, h, w, c) */
    TG__EMBED_TOKENS,   /* tg__embed_parameters; X external: int32 (n, tokens) */
    TG__RELATIVE_BIAS,  /* tg__relative_bias_parameters; no source. dst (heads, 1, q, k) f32 */
    TG__KINDS,
} tg__kind;

enum { TG__X, TG__Y, TG__RESIDUAL, TG__VECTOR, TG__MODULATE }; /* places in a node's sources */
enum { TG__SHIFT_SOURCE = TG__Y, TG__SCALE_SOURCE, TG__GATE = TG__VECTOR };
enum { TG__Q, TG__K, TG__V, TG__MASK, TG__BIAS };

typedef struct tg__product_parameters {
    const tg__layer *layer;
    int stride, pad_before, pad_after; /* before: top and left */
    tg__activation activation;
    bool exact; /* what it reads or makes is sensitive: no format rougher than activations' */
} tg__product_parameters;

typedef struct tg__group_norm_parameters {
    const tg__norm *norm;
    int groups;
    float eps;
    bool silu; /* behind it */
} tg__group_norm_parameters;

typedef struct tg__row_norm_parameters {
    const tg__norm *norm; /* may have no weight, no bias, or neither */
    float eps;
    int shift_first, scale_first;
} tg__row_norm_parameters;

typedef struct tg__attention_parameters {
    int heads, head_dim;
    int q_first, k_first, v_first; /* channels */
    float scale;
    bool causal; /* row i sees keys up to i */
} tg__attention_parameters;

typedef struct tg__gated_add_parameters {
    int gate_first; /* residual + x * gate */
} tg__gated_add_parameters;

typedef struct tg__scale_parameters {
    float factor;
} tg__scale_parameters;

typedef struct tg__activate_parameters {
    tg__activation activation;
} tg__activate_parameters;

typedef struct tg__from_nchw_parameters {
    int copies; /* one behind the other */
    float factor, offset;
} tg__from_nchw_parameters;

typedef struct tg__timestep_parameters {
    bool flip_sin_to_cos;
    float freq_shift;
} tg__timestep_parameters;

typedef struct tg__table_parameters {
    const tg__weight *table;
} tg__table_parameters;

typedef struct tg__grid_parameters {
    int base;
    float scale;
} tg__grid_parameters;

typedef struct tg__embed_parameters {
    const tg__weight *table, *positions; /* positions NULL: none are added */
} tg__embed_parameters;

typedef struct tg__relative_bias_parameters {
    const tg__weight *table; /* (buckets, heads) */
    tg__relative_buckets buckets;
} tg__relative_bias_parameters;

/* "conv2d", "attention", …: for profiles. */
const char *tg__kind_name(const tg__node *node);

#endif
