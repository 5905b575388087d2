/* SPDX-License-Identifier: MIT */
/* Single-file checkpoints of Stable Diffusion 1.x and 2.x: one .safetensors with the weights of all
 * networks under the names of the original code, and nothing else. Which kind it is follows from
 * names and shapes; the configs are layouts.h's or the user's.
 *
 *     tg__single_file single;
 *     tg__single_file_names names;
 *     tg__single_file_open(&single, file, "model.safetensors", false, error);
 *     tg__layout_find(single.kind->layout, "unet/config.json", &text);
 *     config = tg__config_parse(…);
 *     tg__single_file_names_init(&names, &single, TG__UNET, config);
 *     weights = tg__weights_from(tg__single_file_lookup, &names, "model.safetensors", error);
 */
#ifndef TG_PIPELINE_SINGLE_FILE_H
#define TG_PIPELINE_SINGLE_FILE_H

#include "io/config.h"
#include "io/safetensors.h"
#include "models/blocks.h" /* TG__MAX_LEVELS */

/* What tells the kinds of checkpoint apart, and what follows from it. */
typedef struct tg__single_file_kind {
    const char *title;        /* "Stable Diffusion 1.x" */
    const char *pipeline;     /* the class that its networks make */
    const char *layout;       /* whose configs fit: "sd15" (layouts.h) */
    int64_t context;          /* width of the text that the UNet attends to */
    const char *text_prefix;  /* what the text encoder's tensors begin with */
    const char *text_anchor;  /* one that every such encoder has, without the prefix */
    bool open_clip;           /* OpenCLIP's names and fused projections, else transformers' */
    const char *prediction;   /* prediction_type unless the metadata says otherwise */
    int epsilon_size, v_size; /* pixels a side that it was trained for, by prediction type */
    const char *pad_token;    /* for tg__clip_tokenizer_shipped */
} tg__single_file_kind;

/* A checkpoint; a small value that owns nothing. */
typedef struct tg__single_file {
    const tg__safetensors *file;
    const tg__single_file_kind *kind;
    const char *vae_prefix;
} tg__single_file;

/* Finds out what file holds. where: its name for messages. own_configs: the user brings the
 * configs, so that any width of the text will do. Anything but a text-to-image checkpoint of 1.x
 * or 2.x is refused with what it is (TG_ERROR_UNSUPPORTED) or what it lacks (TG_ERROR_FORMAT), and
 * *single is of no use then. file must outlive *single. */
tg_status tg__single_file_open(tg__single_file *single, const tg__safetensors *file,
                               const char *where, bool own_configs, tg__error *error);

/* "epsilon" or "v_prediction": the metadata's word, else the kind's. *unknown (may be NULL): a
 * modelspec.prediction_type that was not understood and does not count, or NULL. */
const char *tg__single_file_prediction(const tg__single_file *single, const char **unknown);

/* Default width and height in pixels when the model is run with this prediction type: that of the
 * metadata if it is one of the kind's, else what goes with the prediction type. */
int tg__single_file_size(const tg__single_file *single, const char *prediction_type);

/* How one network's tensors are called in a checkpoint. */
typedef struct tg__single_file_names {
    const tg__single_file *single;
    const tg__network_class *network;
    int levels;                 /* UNet, VAE */
    int layers[TG__MAX_LEVELS]; /* resnets of a down block; an up block has one more */
    bool linear_projection;     /* UNet: proj_in and proj_out are matrices, else convolutions */
    int text_layers;            /* text encoder */
} tg__single_file_names;

/* Reads what it needs from the network's config; faults stick in the config's error. */
void tg__single_file_names_init(tg__single_file_names *names, const tg__single_file *single,
                                const tg__network_class *network, tg__config *config);

/* A tg__weights_lookup; context is a tg__single_file_names. name: as diffusers (transformers) calls
 * the tensor. *found keeps the name that it has in the file; its shape is the one that diffusers'
 * network has: matrices instead of 1x1 convolutions, a third of a fused projection. What does not
 * fit is passed on as it is, for the caller's check of the shape to name. */
bool tg__single_file_lookup(const void *context, const char *name, int rank, const int64_t *shape,
                            tg__weight *found);

#endif
