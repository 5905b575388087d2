/* SPDX-License-Identifier: MIT */
/* T5's unigram tokenizers: the ids of transformers' T5Tokenizer, which splits spiece.model's way
 * through the sentencepiece library. tokenizer_config.json, special_tokens_map.json and
 * added_tokens.json may lie beside it. */
#ifndef TG_TEXT_T5_TOKENIZER_H
#define TG_TEXT_T5_TOKENIZER_H

#include "text/tokenizer.h"

extern const tg__tokenizer_class tg__t5_tokenizer_class;

#endif
