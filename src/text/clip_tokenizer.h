/* SPDX-License-Identifier: MIT */
/* CLIP's byte-pair tokenizer: the ids of transformers' slow CLIPTokenizer without ftfy. A folder
 * holds vocab.json and merges.txt, and may hold tokenizer_config.json, special_tokens_map.json and
 * added_tokens.json (tokenizer.json is not read). */
#ifndef TG_TEXT_CLIP_TOKENIZER_H
#define TG_TEXT_CLIP_TOKENIZER_H

#include "text/tokenizer.h"

/* CLIP's own vocabulary, embedded in the library; pad: the content of the padding token, not empty
 * ("<|endoftext|>" for 1.x, "!" for 2.x), which is an added token then. */
tg__tokenizer *tg__clip_tokenizer_shipped(const char *pad, tg__error *error);

#endif
