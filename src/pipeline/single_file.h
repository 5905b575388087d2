/* SPDX-License-Identifier: MIT */
/* .safetensors files without configs: whole checkpoints (the weights of all networks under the
 * names of the original code) and networks alone. Which kind a checkpoint is follows from names and
 * shapes; the configs are layouts.h's or the user's.
 *
 *     tg__single_file single;
 *     tg__place place;
 *     tg__single_file_open(&single, file, "model.safetensors", false, error);
 *     tg__layout_find(single.kind->layout, "unet/config.json", &text);
 *     config = tg__config_parse(…);
 *     network->class->read_config(network, config);
 *     tg__place_in_checkpoint(&place, &single, "unet", error);
 *     tg__original unet = {file, network, place};
 *     weights = tg__weights_in_file(file, tg__original_lookup, &unet, "model.safetensors", error);
 */
#ifndef TG_PIPELINE_SINGLE_FILE_H
#define TG_PIPELINE_SINGLE_FILE_H

#include "models/original_names.h"

/* A network of a kind. */
typedef struct tg__single_file_part {
    const char *role;      /* of the pipeline class: "text_encoder"; NULL ends a list */
    const char *pad_token; /* of its tokenizer, for tg__clip_tokenizer_shipped */
} tg__single_file_part;

/* What tells the kinds of checkpoint apart, and what follows from it. */
typedef struct tg__single_file_kind {
    const char *title;        /* "Stable Diffusion 1.x" */
    const char *layout;       /* whose index and configs fit: "sd15" (layouts.h) */
    int64_t context;          /* width of the text that the UNet attends to */
    const char *prediction;   /* prediction_type unless the file says otherwise */
    bool both;                /* files of the other prediction_type are about as many */
    int epsilon_size, v_size; /* pixels a side that it was trained for, by prediction type */
    const tg__single_file_part *parts;
} tg__single_file_kind;

/* A checkpoint; a small value that owns nothing. */
typedef struct tg__single_file {
    const tg__safetensors *file;
    const char *where;
    const tg__single_file_kind *kind;
} tg__single_file;

/* Finds out what file holds. where: its name for messages. own_configs: the user brings the
 * configs, so that any width of the text will do. Anything but a text-to-image checkpoint of a kind
 * that is known is refused with what it is (TG_ERROR_UNSUPPORTED) or what it lacks
 * (TG_ERROR_FORMAT), and *single is of no use then. Whether the other networks than the UNet are
 * there is not looked at. file and where must outlive *single. */
tg_status tg__single_file_open(tg__single_file *single, const tg__safetensors *file,
                               const char *where, bool own_configs, tg__error *error);

/* What a file says of how its UNet is to be used. */
typedef struct tg__prediction {
    const char *type;    /* "epsilon" or "v_prediction" */
    bool assumed;        /* the file does not say so, and might as well mean the other */
    bool zero_snr;       /* betas are to be rescaled to zero terminal SNR */
    const char *unknown; /* a modelspec.prediction_type that was not understood and does not count,
                          * or NULL */
} tg__prediction;

/* The metadata's word, else that of the marks that training tools leave, else the kind's. */
tg__prediction tg__single_file_prediction(const tg__single_file *single);
/* The same of a UNet alone; type NULL where the file says nothing. */
tg__prediction tg__file_prediction(const tg__safetensors *file);

/* Default width and height in pixels when the model is run with this prediction type: that of the
 * metadata if it is one of the kind's, else what goes with the prediction type. */
int tg__single_file_size(const tg__single_file *single, const char *prediction_type);

/* What the kind says of a role; NULL: it has none of this name. */
const tg__single_file_part *tg__single_file_part_of(const tg__single_file *single,
                                                    const char *role);

/* Where the network of a role is in a checkpoint. It not being there is TG_ERROR_FORMAT. */
tg_status tg__place_in_checkpoint(tg__place *place, const tg__single_file *single,
                                  const tg__network_class *class, const char *role,
                                  tg__error *error);
/* The same of a file that may hold the role's network alone, with or without a prefix, under
 * diffusers' names or the original ones. Another thing is refused with what it is. */
tg_status tg__place_in_file(tg__place *place, const tg__safetensors *file, const char *where,
                            const tg__network_class *class, const char *role, tg__error *error);

#endif
