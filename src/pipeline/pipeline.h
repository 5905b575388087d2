/* SPDX-License-Identifier: MIT */
/* A pipeline class is a row: which class names of model_index.json mean it, which networks it is
 * made of, how a prompt becomes conditions and what the loop consists of. Everything else (opening,
 * sessions, plans, the loop, decoding) is the same for all. */
#ifndef TG_PIPELINE_PIPELINE_H
#define TG_PIPELINE_PIPELINE_H

#include "models/network.h"
#include "samplers/scheduler.h"

/* ---------------------------------------------------------------------------------- conditions */

enum { TG__MAX_CONDITIONS = 8 };

/* Something that a denoiser is told besides the sample: a row (or several) of f32 for the prompt,
 * and one for its negative. It goes to the denoiser's port of the same name. */
typedef struct tg__condition {
    const char *name; /* "text", "pooled", … */
    int rows, width;
    float *positive, *negative; /* rows * width each */
    /* In a guided batch negative and positive by turns, whatever half of the batch they are in:
     * so diffusers tells its networks sizes. Where both are the same it changes nothing. */
    bool by_turns;
} tg__condition;

/* An encoded prompt: one picture's conditions. */
struct tg_prompt {
    const tg_model *model;
    uint64_t number; /* no other has it, not even one after this */
    tg__condition conditions[TG__MAX_CONDITIONS];
    int count;
    double seconds, load_seconds; /* what encoding took; of it making programs */
};

/* A new condition with room for both halves, zeros at first; NULL with an error. name outlives the
 * prompt. */
tg__condition *tg__prompt_add(tg_prompt *prompt, const char *name, int rows, int width,
                              tg__error *error);
const tg__condition *tg__prompt_find(const tg_prompt *prompt, const char *name);
/* Gives back the conditions, and leaves none. */
void tg__prompt_clear(tg_prompt *prompt);
/* Whether two prompts can be in one batch. */
bool tg__prompt_alike(const tg_prompt *a, const tg_prompt *b);

/* What is encoded, UTF-8; NULL, but for text, where the caller gave none. The second ones are for a
 * second text encoder. */
typedef struct tg__texts {
    const char *text, *negative, *text_2, *negative_2;
    int clip_skip;
    bool clean_caption;
} tg__texts;

/* -------------------------------------------------------------------------------------- recipe */

/* One evaluation of a denoiser and the scheduler's step behind it. */
typedef struct tg__evaluation {
    int role;      /* the denoiser's */
    int index;     /* the scheduler's evaluation */
    int step;      /* the inference step that it belongs to, from 0 */
    tg__pass pass; /* gate.guided: both halves run and are combined by the guidance scale */
} tg__evaluation;

/* The loop. */
typedef struct tg__recipe {
    tg__evaluation *evaluations; /* room for all of the scheduler's */
    tg__gate_step *rules;        /* room for as many, as below */
    tg__gate_step *deep_rules;   /* of the layers that DeepCache leaves out at times */
    bool *full;                  /* evaluations at which it does not */
    int count;
    int steps;     /* inference steps that these are */
    bool guidance; /* some evaluation is guided: negative halves are there */
} tg__recipe;

/* What a recipe is made for. */
typedef struct tg__request {
    const tg_model *model;
    const tg_generate_options *options;
    const tg__scheduler *scheduler; /* its steps are set */
    int count, h, w;                /* pictures; their latents */
    int tokens;                     /* rows of the condition "text" */
} tg__request;

/* Every evaluation of the scheduler under the options' gate; guided above 1, unless the denoiser is
 * told the guidance. */
void tg__gated_recipe(tg__recipe *recipe, const tg__request *request);

/* --------------------------------------------------------------------------------------- class */

/* What one network of a pipeline is for. */
typedef struct tg__role {
    const char *name;                        /* its folder, and its key in model_index.json */
    const tg__network_class *const *classes; /* that can fill it; ends in NULL */
    const char *tokenizer;                   /* the folder and key of its tokenizer; NULL: none */
    const char *const *tokenizer_classes;    /* that can be it; ends in NULL */
} tg__role;

typedef struct tg__pipeline_class {
    const char *const *names;              /* ends in NULL; the first is what info says */
    const tg__role *roles;                 /* TG__MAX_NETWORKS at most */
    int role_count, denoiser, autoencoder; /* the last two: which roles */
    int steps;                             /* the defaults of a request */
    double guidance, embedded_guidance;    /* the latter for a denoiser that is told it */
    tg_gate gate;
    bool force_stable_diffusion; /* StableDiffusionPipeline's corrections of old configs */
    int text_skip;               /* last layers of the text encoders that are never used */
    int text_tokens;             /* that a text has, padding included; 0: as its tokenizer says */
    bool captions;               /* texts may be cleaned (text/caption.h) */
    bool distilled_unguided;     /* no guidance with a scheduler of distilled models */
    bool bins;                   /* pictures are made in the sizes of bins (bins.h) */
    /* Whether the networks go together; fails the model's error if not. Sets the contexts of text
     * encoders that have no tokenizer, or another context than that says. */
    void (*check)(tg_model *model);
    /* Adds the conditions of the texts. */
    tg_status (*encode)(tg_session *session, tg_prompt *prompt, const tg__texts *texts);
    /* Adds the conditions that follow from the request, the same for all pictures; NULL: none do.
     */
    tg_status (*tell)(tg_prompt *told, const tg__request *request, tg__error *error);
    void (*recipe)(tg__recipe *recipe, const tg__request *request);
} tg__pipeline_class;

/* Every class, ends in NULL. */
extern const tg__pipeline_class *const tg__pipeline_classes[];
extern const tg__pipeline_class tg__stable_diffusion_class, tg__latent_consistency_class,
    tg__stable_diffusion_xl_class, tg__pixart_alpha_class, tg__pixart_sigma_class;

#endif
