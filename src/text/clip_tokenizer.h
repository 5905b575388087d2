/* SPDX-License-Identifier: MIT */
/* CLIP's byte-pair tokenizer: the ids of transformers' slow CLIPTokenizer without ftfy. Once open,
 * a tokenizer does not change: several threads may use it. */
#ifndef TG_TEXT_CLIP_TOKENIZER_H
#define TG_TEXT_CLIP_TOKENIZER_H

#include "core/error.h"

typedef struct tg__clip_tokenizer tg__clip_tokenizer;

typedef struct tg__tokens {
    int32_t *ids; /* begin token, text, end token */
    int count;
    const char **pieces; /* the vocabulary's entry of each id; strings belong to the tokenizer */
    /* ends[i]: how many bytes of the text are spent once token i is taken; a character that a token
     * takes but half is not. The last one is the text's length. */
    size_t *ends;
} tg__tokens;

/* folder: holds vocab.json and merges.txt, and may hold tokenizer_config.json,
 * special_tokens_map.json and added_tokens.json (tokenizer.json is not read). NULL: the shipped
 * vocabulary, as Stable Diffusion 1.x has it. */
tg__clip_tokenizer *tg__clip_tokenizer_open(const char *folder, tg__error *error);

/* CLIP's own vocabulary, embedded in the library; pad: the content of the padding token, not empty
 * ("<|endoftext|>" for 1.x, "!" for 2.x), which is an added token then. */
tg__clip_tokenizer *tg__clip_tokenizer_shipped(const char *pad, tg__error *error);
void tg__clip_tokenizer_close(tg__clip_tokenizer *tokenizer);

/* Splits text; invalid UTF-8 and more than 1 MiB are TG_ERROR_ARGUMENT. Neither cut nor padded. */
tg_status tg__clip_tokenize(const tg__clip_tokenizer *tokenizer, const char *text,
                            tg__tokens *tokens, tg__error *error);
void tg__tokens_free(tg__tokens *tokens);

/* ids cut and padded to length (2 or more), as the pipeline asks for (padding="max_length",
 * truncation): the end token is kept at the end. *lost: the offset in text of the first word, or
 * rest of a word, that was lost; SIZE_MAX if all fitted. */
tg_status tg__clip_tokenize_padded(const tg__clip_tokenizer *tokenizer, const char *text,
                                   int length, int32_t *ids, size_t *lost, tg__error *error);

/* model_max_length, at least 2; INT32_MAX if the files set no limit (the text encoder's context is
 * the limit then). */
int tg__clip_tokenizer_context(const tg__clip_tokenizer *tokenizer);
/* 1 more than the largest id. */
int tg__clip_tokenizer_size(const tg__clip_tokenizer *tokenizer);

#endif
