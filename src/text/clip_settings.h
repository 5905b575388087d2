/* SPDX-License-Identifier: MIT */
/* What the files beside a CLIP tokenizer's vocabulary say. */
#ifndef TG_TEXT_CLIP_SETTINGS_H
#define TG_TEXT_CLIP_SETTINGS_H

#include "text/clip_source.h"

/* A token that is split off before everything else. */
typedef struct tg__clip_added {
    const char *content;           /* not empty */
    int32_t id;                    /* -1: the vocabulary's, or the next free one */
    bool left, right, single_word; /* as in tg__added_token */
    bool overrides; /* these flags replace those of an earlier token of the same content */
} tg__clip_added;

typedef struct tg__clip_settings {
    tg__clip_added *added; /* in the order in which they are added, those with an id first */
    size_t count, room;
    const char *begin, *end, *unknown, *pad; /* each the content of one of them */
    int context;                    /* model_max_length; INT32_MAX where there is no limit */
    bool split_added;               /* split_special_tokens: added tokens are text like any other */
    tg__config *config, *map, *ids; /* own the strings; NULL: there is no such file */
} tg__clip_settings;

/* Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json as the reference does:
 * all may be missing, and where the first has added_tokens_decoder, the others do not count.
 * *settings is zero before; free it also after a failure. */
tg_status tg__clip_settings_read(tg__clip_settings *settings, const char *folder, tg__error *error);

/* Those of Stable Diffusion, with this padding token, which must outlive the settings. */
tg_status tg__clip_settings_usual(tg__clip_settings *settings, const char *pad, tg__error *error);
void tg__clip_settings_free(tg__clip_settings *settings);

#endif
