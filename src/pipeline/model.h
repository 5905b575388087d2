/* SPDX-License-Identifier: MIT */
/* An open model: its configs, its mapped weights, its tokenizers. Read-only once it is open, but
 * for the list of backends. */
#ifndef TG_PIPELINE_MODEL_H
#define TG_PIPELINE_MODEL_H

#include <pthread.h>

#include "core/log.h"
#include "models/original_names.h"
#include "pipeline/pipeline.h"
#include "pipeline/single_file.h"
#include "text/clip_tokenizer.h"

/* A backend with the model's weights as it packs them, shared by the sessions that compute alike.
 */
typedef struct tg__resident {
    tg__backend *backend;
    const tg__backend_opener *opener;
    tg_dtype dtype;
    int sessions;
    struct tg__resident *next;
} tg__resident;

/* Where a role's network comes from instead of the model; all NULL: from the model. */
typedef struct tg__origin {
    const char *path;               /* the network's folder, or: */
    tg__safetensors *file;          /* the model's to close */
    const char *config;             /* the path of its own; NULL: the model's for the role */
    const tg__network_class *class; /* that its config names; NULL: the model's index does */
} tg__origin;

struct tg_model {
    tg__error error; /* of opening */
    tg__arena arena;
    tg__log_sink log;
    tg_cpu cpu; /* the cap */

    const char *path; /* without a slash at its end */
    bool is_single_file;
    tg__safetensors *file; /* a single file, else NULL */
    tg__single_file single;

    const tg__pipeline_class *class;
    bool force_zeros;                        /* model_index.h */
    tg__network *networks[TG__MAX_NETWORKS]; /* by role, as all that follows */
    tg__weights *weights[TG__MAX_NETWORKS];
    tg__origin origins[TG__MAX_NETWORKS];
    tg__original originals[TG__MAX_NETWORKS]; /* of networks in a single file */
    tg__tokenizer *tokenizers[TG__MAX_NETWORKS];
    /* Text tokens of a text encoder: its class's text_tokens, else its tokenizer's or, where it has
     * none, what the class's check sets; 0 of every other network. */
    int contexts[TG__MAX_NETWORKS];

    /* The scheduler's config as text: a scheduler is made of it for each request. */
    const char *scheduler_text, *scheduler_where;
    size_t scheduler_length;
    tg__scheduler_override scheduler;
    int train_steps;
    int usual_steps; /* that the scheduler makes by default; 0: the class's */

    int default_size; /* pixels */
    tg_network_info network_info[TG__MAX_NETWORKS];
    tg_model_info info;

    pthread_mutex_t lock; /* of the residents */
    tg__resident *residents;
};

/* tg_model_open with a table of pipeline classes of the caller's; it ends in NULL. */
tg_status tg__model_open(tg_model **model, const char *path, const tg_model_options *options,
                         const tg__pipeline_class *const *classes);

/* A scheduler of the model's own config and overrides. */
tg__scheduler *tg__model_scheduler(const tg_model *model, tg__error *error);

/* What runs the sessions that do not say otherwise: the one place that names a backend. */
extern const tg__backend_opener *const tg__usual_backend;

/* A backend of this opener and dtype (resolved: not auto), the sessions' that are there or a new
 * one; given back when the session ends. NULL with an error. */
tg__resident *tg__model_acquire(tg_model *model, const tg__backend_opener *opener, tg_dtype dtype,
                                tg__error *error);
void tg__model_release(tg_model *model, tg__resident *resident);

static inline const tg__network *tg__denoiser(const tg_model *model)
{
    return model->networks[model->class->denoiser];
}
static inline const tg__network *tg__autoencoder(const tg_model *model)
{
    return model->networks[model->class->autoencoder];
}

/* The largest clip_skip: the layers of the text encoder that has the fewest. */
int tg__most_skip(const tg_model *model);

/* Fails the model's error where denoiser and autoencoder do not go together, or the denoiser is
 * told more than noise and text. where: the denoiser's config, for messages. */
void tg__check_latents(tg_model *model, const char *where);

/* Fills model->info. */
void tg__model_fill_info(tg_model *model);

#endif
