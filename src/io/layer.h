/* SPDX-License-Identifier: MIT */
/* The weights of one layer as they come, and the loading of a network's layers by key. */
#ifndef TG_IO_LAYER_H
#define TG_IO_LAYER_H

#include "core/arena.h"
#include "io/weights.h"

/* A convolution (kernel x kernel) or a linear layer (kernel 1). Several layers that read the same
 * input may be stacked along their outputs: parts > 1, as q, k and v are. */
typedef struct tg__layer {
    const char *name; /* key without ".weight" */
    tg__weight weight[TG__MAX_PARTS], bias[TG__MAX_PARTS];
    int parts;
    int out, in, kernel; /* out: of all parts */
    bool has_bias;
} tg__layer;

/* What is packed of it leaves memory, as far as it is a file's mapping. */
void tg__layer_drop(const tg__layer *layer);

/* The affine part of a norm. */
typedef struct tg__norm {
    const char *name;
    tg__weight weight, bias; /* data NULL: there is none, which counts as 1, as 0 */
    int c;
} tg__norm;

/* What was loaded, for information. */
typedef struct tg__tally {
    int64_t parameters, bytes; /* on disk */
    int64_t by_dtype[TG__OTHER];
} tg__tally;

/* Where loading is in the tree of keys. A small value: children are made with tg__at. */
typedef struct tg__scope {
    const tg__weights *weights;
    tg__arena *arena; /* the network's */
    tg__error *error;
    tg__tally *tally;
    char prefix[160]; /* "down_blocks.0.resnets.1." or "" */
} tg__scope;

/* scope.name, name as by printf: tg__at(s, "down_blocks.%d", i) */
__attribute__((format(printf, 2, 3))) tg__scope tg__at(const tg__scope *scope, const char *format,
                                                       ...);

/* key: relative to the scope. Wrong or missing tensors are errors; the first one sticks. */
tg__layer tg__load_conv(const tg__scope *scope, const char *key, int in, int out, int kernel);
tg__layer tg__load_linear(const tg__scope *scope, const char *key, int in, int out, bool bias);
/* A 1x1 convolution stored as such ([out, in, 1, 1]) if conv, else as a linear layer. */
tg__layer tg__load_projection(const tg__scope *scope, const char *key, int in, int out, bool conv);
/* Layers with the same input and as many outputs each, stacked. */
tg__layer tg__stack(const tg__layer *layers, int count);
/* Layers keys[0..count) with the same input, each with out outputs, stacked. */
tg__layer tg__load_stacked(const tg__scope *scope, const char *const *keys, int count, int in,
                           int out, bool bias);
tg__norm tg__load_norm(const tg__scope *scope, const char *key, int c);
tg__norm tg__load_rms_norm(const tg__scope *scope, const char *key, int c); /* no bias */
tg__norm tg__bare_norm(const tg__scope *scope, const char *key, int c);     /* without weights */
tg__weight tg__load_table(const tg__scope *scope, const char *key, int rows, int columns);

/* Zeroed memory from the scope's arena; NULL is an error that sticks. */
void *tg__load_array(const tg__scope *scope, int count, size_t size);

#endif
