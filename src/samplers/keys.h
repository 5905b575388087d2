/* SPDX-License-Identifier: MIT */
/* From a scheduler's config to the keys of a class. */
#ifndef TG_SAMPLERS_KEYS_H
#define TG_SAMPLERS_KEYS_H

#include "samplers/class.h"

/* How the config's values reach the class. */
typedef struct tg__key_source {
    tg__config *config;
    /* The class that diffusers would make of the config first; NULL: none that is known. */
    const tg__sampler *original;
    /* A second scheduler is made of the first one's config, as by diffusers' from_config: values
     * that the constructor of the first has replaced carry over, what is not in the file does not.
     */
    bool again;
    bool force_stable_diffusion;
    /* What replaces the file's values; NULL and -1: nothing. Known to be valid. */
    const char *algorithm, *prediction, *spacing;
    int karras;
    bool zero_snr;
} tg__key_source;

/* Fills s->keys, trained_betas, length and uncorrected; s->sampler is set. */
tg_status tg__read_keys(tg__scheduler *s, const tg__key_source *source, tg__error *error);

/* Names of predictions and spacings by their values; NULL at the end. */
extern const char *const tg__prediction_names[], *const tg__spacing_names[];

/* Refuses keys that no scheduler of diffusers has. */
void tg__refuse_unknown_keys(tg__config *config);

#endif
