/* SPDX-License-Identifier: MIT */
/* Single-file checkpoints of Stable Diffusion 1.x and 2.x: one .safetensors with the weights of all
 * networks under the names of the original code, and nothing else. Which kind it is follows from
 * names and shapes; the configs are layouts.h's or the user's.
 *
 *     tg__single_file single;
 *     tg__single_file_open(&single, file, "model.safetensors", false, error);
 *     tg__layout_find(single.kind->layout, "unet/config.json", &text);
 *     config = tg__config_parse(…);
 *     network->class->read_config(network, config);
 *     tg__original unet = {file, network, tg__single_file_prefix(&single, "unet")};
 *     weights = tg__weights_from(tg__original_lookup, &unet, "model.safetensors", error);
 */
#ifndef TG_PIPELINE_SINGLE_FILE_H
#define TG_PIPELINE_SINGLE_FILE_H

#include "io/safetensors.h"

/* A network of a kind. */
typedef struct tg__single_file_part {
    const char *role; /* of the pipeline class: "text_encoder" */
    struct {
        const char *prefix; /* what its tensors may begin with; NULL ends the list */
        const char *anchor; /* one that is there if they do, without the prefix */
    } places[3];            /* a later one wins, as in diffusers */
    const char *pad_token;  /* of its tokenizer, for tg__clip_tokenizer_shipped */
} tg__single_file_part;

/* What tells the kinds of checkpoint apart, and what follows from it. */
typedef struct tg__single_file_kind {
    const char *title;        /* "Stable Diffusion 1.x" */
    const char *layout;       /* whose index and configs fit: "sd15" (layouts.h) */
    int64_t context;          /* width of the text that the UNet attends to */
    const char *prediction;   /* prediction_type unless the metadata says otherwise */
    int epsilon_size, v_size; /* pixels a side that it was trained for, by prediction type */
    const tg__single_file_part *const *parts; /* ends in NULL */
} tg__single_file_kind;

/* A checkpoint; a small value that owns nothing. */
typedef struct tg__single_file {
    const tg__safetensors *file;
    const tg__single_file_kind *kind;
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

/* What the kind says of a role; NULL: it has none of this name. */
const tg__single_file_part *tg__single_file_part_of(const tg__single_file *single,
                                                    const char *role);
/* What the tensors of a role's network begin with in this file; NULL: they are not there. */
const char *tg__single_file_prefix(const tg__single_file *single, const char *role);

#endif
