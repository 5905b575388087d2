/* SPDX-License-Identifier: MIT */
/* Reads that several networks' configs share. */
#ifndef TG_MODELS_CONFIG_KEYS_H
#define TG_MODELS_CONFIG_KEYS_H

#include "io/config.h"
#include "ops/activation.h"

enum { TG__MAX_CHANNELS = 1 << 16 };

/* An activation by diffusers' (or transformers') name, any case; null or absent: otherwise. Another
 * name is TG_ERROR_UNSUPPORTED. */
tg__activation tg__read_activation(tg__config *config, const char *key, const char *otherwise);

/* groups must divide channels, in `place`. */
void tg__check_groups(tg__config *config, int groups, int channels, const char *place);

/* The config's _class_name, where it is there, must be `expected`. */
void tg__check_class(tg__config *config, const char *expected);

#endif
