/* SPDX-License-Identifier: MIT */
/* Configs that single-file checkpoints come without, as published in diffusers' layout; they are
 * embedded in the library. */
#ifndef TG_PIPELINE_LAYOUTS_H
#define TG_PIPELINE_LAYOUTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tg__layout_file {
    const char *name;  /* "unet/config.json" */
    const char *where; /* what messages call it: "unet/config.json of Stable Diffusion 1.5" */
    const char *text;  /* a zero byte follows */
    size_t length;
} tg__layout_file;

/* One file of a layout ("sd15"): model_index.json, scheduler/scheduler_config.json, each network's
 * config.json, each tokenizer's tokenizer_config.json and special_tokens_map.json. False if there
 * is no such file. */
bool tg__layout_find(const char *layout, const char *name, tg__layout_file *file);

#endif
