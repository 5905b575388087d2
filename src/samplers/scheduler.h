/* SPDX-License-Identifier: MIT */
/* A scheduler says at which timesteps the network is evaluated and turns each of its outputs into
 * the next sample. Pure arithmetic on arrays of n floats; no allocation and no failure after
 * tg__scheduler_set_steps. Keys, defaults and results are those of diffusers 0.30.3.
 *
 *     for (int i = 0; i < scheduler.evaluations; i++) {
 *         tg__scheduler_scale_input(s, i, input, sample);
 *         network(output, input, tg__scheduler_timestep(s, i));
 *         if (tg__scheduler_wants_noise(s, i))
 *             draw(noise);
 *         tg__scheduler_step(s, i, output, sample, noise);
 *     }
 *
 * One scheduler serves one request at a time; set_steps starts afresh. */
#ifndef TG_SAMPLERS_SCHEDULER_H
#define TG_SAMPLERS_SCHEDULER_H

#include "io/config.h"

typedef struct tg__scheduler tg__scheduler;

typedef struct tg__scheduler_override {
    const char *class_name;       /* as typed: diffusers' name or a short one; NULL: the folder's */
    const char *folder_class;     /* of model_index.json; NULL: the config's _class_name */
    int karras;                   /* 1, 0, or -1: the config's */
    const char *prediction_type;  /* NULL: the config's */
    const char *timestep_spacing; /* NULL: the config's */
    bool zero_snr; /* rescale_betas_zero_snr, where the class has it; false: the config's */
    /* StableDiffusionPipeline's corrections, made before anything else reads the config: */
    bool force_stable_diffusion; /* steps_offset 1, clip_sample false */
} tg__scheduler_override;

/* What a request asks of a scheduler. */
typedef struct tg__steps {
    int count;            /* inference steps */
    const int *timesteps; /* count of them, falling, in place of the class's own; NULL: none */
    int original_steps;   /* original_inference_steps; 0: the config's */
    double eta;           /* 0 to 1: how much noise is drawn anew */
} tg__steps;

/* Reads every key of the config, whose error must be the one given here. What the class refuses, an
 * unknown scheduler or key: an error. A fault of the override (unknown name, karras or a spacing on
 * a class without it) is TG_ERROR_ARGUMENT. */
tg__scheduler *tg__scheduler_new(tg__config *config, const tg__scheduler_override *override,
                                 tg__error *error);
void tg__scheduler_free(tg__scheduler *scheduler);

const char *tg__scheduler_class(const tg__scheduler *scheduler);      /* "DDIMScheduler" */
const char *tg__scheduler_prediction(const tg__scheduler *scheduler); /* "epsilon" */
int tg__scheduler_train_steps(const tg__scheduler *scheduler);

/* The steps that a request has by default; 0: as many as the pipeline makes. */
int tg__scheduler_usual_steps(const tg__scheduler *scheduler);

/* Prepares a request's steps for samples of n floats in a batch of count pictures (thresholding is
 * by picture). TG_ERROR_ARGUMENT where the class cannot make so many, or has no use for what is
 * asked of it. */
tg_status tg__scheduler_set_steps(tg__scheduler *scheduler, const tg__steps *steps, size_t n,
                                  int count, tg__error *error);

/* After set_steps: how often the network is evaluated (Heun 2N-1, PNDM N+1, …). */
int tg__scheduler_evaluations(const tg__scheduler *scheduler);
/* 2 for Heun and KDPM2, whose evaluations come in pairs, else 1. */
int tg__scheduler_order(const tg__scheduler *scheduler);
float tg__scheduler_init_noise_sigma(const tg__scheduler *scheduler);
/* What the network is given for evaluation i; not whole with some schedulers. */
float tg__scheduler_timestep(const tg__scheduler *scheduler, int i);
/* dst = scale_model_input(sample); dst may be sample. */
void tg__scheduler_scale_input(const tg__scheduler *scheduler, int i, float *dst,
                               const float *sample);
/* Whether evaluation i draws noise (n normals, drawn before step is called). */
bool tg__scheduler_wants_noise(const tg__scheduler *scheduler, int i);
/* sample becomes the next sample. noise may be NULL where none is wanted. Evaluations come in
 * order, each once. */
void tg__scheduler_step(tg__scheduler *scheduler, int i, const float *output, float *sample,
                        const float *noise);

/* Every class known: diffusers' name and the short one, index from 0; false at the end. */
bool tg__scheduler_list(int index, const char **class_name, const char **short_name);

#endif
