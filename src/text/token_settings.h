/* SPDX-License-Identifier: MIT */
/* What the files beside a tokenizer's vocabulary say, whatever its class. */
#ifndef TG_TEXT_TOKEN_SETTINGS_H
#define TG_TEXT_TOKEN_SETTINGS_H

#include "text/added_tokens.h"
#include "text/pieces.h"
#include "text/token_source.h"

/* A token that is split off before everything else. */
typedef struct tg__token_added {
    const char *content;           /* not empty */
    int32_t id;                    /* -1: the vocabulary's, or the next free one */
    bool left, right, single_word; /* as in tg__added_token */
    bool overrides; /* these flags replace those of an earlier token of the same content */
} tg__token_added;

typedef struct tg__token_settings {
    tg__token_added *added; /* in the order in which they are added, those with an id first */
    size_t count, room, first_special;       /* from there on they are special */
    const char *begin, *end, *unknown, *pad; /* each the content of one of them */
    int context;                    /* model_max_length; INT32_MAX where there is no limit */
    bool split_added;               /* split_special_tokens: added tokens are text like any other */
    tg__config *config, *map, *ids; /* own the strings; NULL: there is no such file */
} tg__token_settings;

/* Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json as the reference does:
 * all may be missing, and where the first has added_tokens_decoder, the others do not count.
 * *settings is zero before but for begin, end, unknown and pad, which hold where the files name no
 * others (NULL: there is none); free it also after a failure. */
tg_status tg__token_settings_read(tg__token_settings *settings, const char *folder,
                                  tg__error *error);

/* The same where there are no files. */
tg_status tg__token_settings_usual(tg__token_settings *settings, tg__error *error);
/* One more, whose content the caller keeps. */
tg_status tg__token_settings_push(tg__token_settings *settings, tg__token_added added,
                                  tg__error *error);
/* Adds them to a vocabulary's pieces, where they get their ids, and to the tokens that are split
 * off. */
tg_status tg__token_settings_add(const tg__token_settings *settings, tg__pieces *pieces,
                                 tg__added_tokens *added, tg__error *error);
void tg__token_settings_free(tg__token_settings *settings);

#endif
