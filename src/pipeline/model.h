/* SPDX-License-Identifier: MIT */
/* An open model: its configs, its mapped weights, its tokenizer. */
#ifndef TG_PIPELINE_MODEL_H
#define TG_PIPELINE_MODEL_H

#include "core/log.h"
#include "kernels/kernels.h"
#include "models/clip.h"
#include "models/unet.h"
#include "models/vae.h"
#include "pipeline/single_file.h"
#include "samplers/scheduler.h"
#include "text/clip_tokenizer.h"

enum { TG__NETWORKS = 3 }; /* by tg__network */

struct tg_model {
    tg__error error; /* of opening */
    tg__arena arena;
    tg__log_sink log;
    tg__kernels kernels;
    tg_cpu cpu; /* the cap */

    const char *path; /* without a slash at its end */
    bool is_single_file;
    tg__safetensors *file; /* a single file, else NULL */
    tg__single_file single;
    tg__single_file_names names[TG__NETWORKS];
    tg__weights *weights[TG__NETWORKS];

    tg__unet unet;
    tg__vae vae;
    tg__clip clip;
    tg__clip_tokenizer *tokenizer;
    int context; /* text tokens */

    /* The scheduler's config as text: a scheduler is made of it for each session. */
    const char *scheduler_text, *scheduler_where;
    size_t scheduler_length;
    tg__scheduler_override scheduler;
    int train_steps;

    int default_size; /* pixels */
    tg_network_info network_info[TG__NETWORKS];
    tg_model_info info;
};

/* A scheduler of the model's own config and overrides. */
tg__scheduler *tg__model_scheduler(const tg_model *model, tg__error *error);

/* Fills model->info. */
void tg__model_fill_info(tg_model *model);

#endif
