/* SPDX-License-Identifier: MIT */
/* The weights of one network: one or several .safetensors files looked up by the name that
 * diffusers (transformers) gives each tensor. */
#ifndef TG_IO_WEIGHTS_H
#define TG_IO_WEIGHTS_H

#include "io/safetensors.h"

typedef struct tg__weights tg__weights;

/* Opens FOLDER/BASE.safetensors, or the shards that FOLDER/BASE.safetensors.index.json names; with
 * variant "fp16" FOLDER/BASE.fp16.safetensors or FOLDER/BASE.safetensors.index.fp16.json. variant
 * NULL: no variant, and if that is not there, fp16. base: "diffusion_pytorch_model" or "model". A
 * folder with a pickle alone (.bin, .ckpt) is refused with how to convert it. */
tg__weights *tg__weights_open(const char *folder, const char *base, const char *variant,
                              tg__error *error);

/* Renames: for each tensor that a network asks for, the tensor of the file that has it. Called with
 * the name asked for; fills *found and returns true if there is one. rank and shape: what the
 * network expects, checked later by the caller; rank -1 where it only asks whether there is one.
 * context outlives the weights. */
typedef bool (*tg__weights_lookup)(const void *context, const char *name, int rank,
                                   const int64_t *shape, tg__weight *found);

/* Weights that are looked up elsewhere. where: the file's name for messages. */
tg__weights *tg__weights_from(tg__weights_lookup lookup, const void *context, const char *where,
                              tg__error *error);
/* The same where all of them are in one file, which outlives them. */
tg__weights *tg__weights_in_file(tg__safetensors *file, tg__weights_lookup lookup,
                                 const void *context, const char *where, tg__error *error);
void tg__weights_close(tg__weights *weights);

/* False if it is not there. Does not fail. */
bool tg__weights_find(const tg__weights *weights, const char *name, tg__weight *found);

/* The tensor, which must be floats (not scaled fp8) and of this shape (rank dimensions); else an
 * error such as "unet/x.safetensors: conv_in.weight is [320,4,3], expected [320,4,3,3]", and a
 * zeroed value. */
tg__weight tg__weights_get(const tg__weights *weights, const char *name, int rank,
                           const int64_t *shape, tg__error *error);

/* The files that the weights are in; none of tg__weights_from. */
tg__safetensors *const *tg__weights_files(const tg__weights *weights, int *count);
/* Their pages leave memory until they are read again; NULL is fine. */
void tg__weights_drop(const tg__weights *weights);

#endif
