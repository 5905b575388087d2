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

/* One file of a layout ("sd15", "sd21"): model_index.json, the config.json of unet, vae and
 * text_encoder, scheduler/scheduler_config.json, tokenizer/tokenizer_config.json and
 * tokenizer/special_tokens_map.json. False if there is no such file. */
bool tg__layout_find(const char *layout, const char *name, tg__layout_file *file);

#endif
