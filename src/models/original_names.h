/* SPDX-License-Identifier: MIT */
/* Tensors in checkpoints of the original code, which calls them differently and shapes some of them
 * differently. A network class translates one name of its own at a time: it is read from the left.
 * Where the part is (which block, which layer) is arithmetic on the network's config, as the
 * original numbers all layers of a direction in one row; what it is (a norm, a convolution) is a
 * table of parts. */
#ifndef TG_MODELS_ORIGINAL_NAMES_H
#define TG_MODELS_ORIGINAL_NAMES_H

#include "io/safetensors.h"
#include "models/network.h"

/* What is done to a tensor before it is handed out. */
typedef enum tg__view {
    TG__AS_IS,
    TG__AS_MATRIX,      /* a 1x1 convolution's ones are dropped */
    TG__AS_CONVOLUTION, /* … or added */
    TG__THIRD_0,        /* of a fused projection */
    TG__THIRD_1,
    TG__THIRD_2,
    TG__HALF_0,
    TG__HALF_1,
    TG__TRANSPOSED, /* a matrix that its user multiplies from the other side */
} tg__view;

/* The name in the file, as far as it is known, and the rest of the network's own name. */
struct tg__translation {
    const tg__safetensors *file;
    char name[256]; /* begins with the network's prefix */
    size_t length;
    bool fits;
    const char *rest;
    tg__view view;
};

typedef struct tg__part {
    const char *from, *to;
} tg__part;

/* What is called the same. */
extern const tg__part tg__same_part[];

/* Moves past a word, if it comes next. */
bool tg__take(tg__translation *t, const char *word);
/* A number below limit as Python writes it, and the point behind it. */
bool tg__take_index(tg__translation *t, int limit, int *index);
__attribute__((format(printf, 2, 3))) void tg__put(tg__translation *t, const char *format, ...);
/* Takes the first of the parts (they end in {0}) that comes next and puts what it becomes and all
 * that follows. Returns its index, -1 if none does. */
int tg__put_part(tg__translation *t, const tg__part *parts);
/* The same of several ways to call a part: the one that makes a name of the file's. */
bool tg__put_known_part(tg__translation *t, const tg__part *parts);
/* Whether the file has a tensor of the name as far as it is known, and this behind it. */
bool tg__names_tensor(const tg__translation *t, const char *rest);

/* Where a network's tensors are in a file. */
typedef struct tg__place {
    char prefix[128]; /* what they begin with: "first_stage_model.", "" */
    bool own;         /* behind it are diffusers' (transformers') names, else the original ones */
} tg__place;

/* A network in a file. */
typedef struct tg__original {
    const tg__safetensors *file;
    const tg__network *network; /* its config is read; with original names unless place.own */
    tg__place place;
} tg__original;

/* A tg__weights_lookup; context is a tg__original. name: as diffusers (transformers) calls the
 * tensor. *found keeps the name that it has in the file; its shape is the network's: matrices
 * instead of 1x1 convolutions, a third of a fused projection. What does not fit is passed on as it
 * is, for the caller's check of the shape to name. */
bool tg__original_lookup(const void *context, const char *name, int rank, const int64_t *shape,
                         tg__weight *found);

#endif
