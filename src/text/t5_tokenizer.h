/* SPDX-License-Identifier: MIT */
/* T5's unigram tokenizers: the ids of transformers' T5Tokenizer from spiece.model, through the
 * sentencepiece library, and of its T5TokenizerFast from tokenizer.json. tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json may lie beside them. */
#ifndef TG_TEXT_T5_TOKENIZER_H
#define TG_TEXT_T5_TOKENIZER_H

#include "text/tokenizer.h"

extern const tg__tokenizer_class tg__t5_tokenizer_class, tg__t5_fast_tokenizer_class;

#endif
