/* SPDX-License-Identifier: MIT */
/* A CLIP tokenizer's vocabulary and merges. */
#ifndef TG_TEXT_CLIP_VOCABULARY_H
#define TG_TEXT_CLIP_VOCABULARY_H

#include "core/error.h"
#include "text/bpe.h"

/* Reads vocab.json and merges.txt. *bpe is zero before; free it also after a failure. */
tg_status tg__clip_vocabulary_read(tg__bpe *bpe, const char *folder, tg__error *error);

/* CLIP's own, which is in the library. */
tg_status tg__clip_vocabulary_shipped(tg__bpe *bpe, tg__error *error);

#endif
