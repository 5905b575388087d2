/* SPDX-License-Identifier: MIT */
/* Tokenizers of any class. A class is a row: which class names mean it, how its files are read, how
 * a text is split. Once open, a tokenizer does not change: several threads may use it. */
#ifndef TG_TEXT_TOKENIZER_H
#define TG_TEXT_TOKENIZER_H

#include "core/error.h"

enum { TG__MOST_TEXT_BYTES = 1 << 20 };

typedef struct tg__tokens {
    int32_t *ids; /* begin token (where the class has one), text, end token */
    int count;
    const char **pieces; /* the vocabulary's entry of each id; strings belong to the tokenizer */
    /* ends[i]: how many bytes of the text are spent once token i is taken; a character that a token
     * takes but half is not. The last one is the text's length. */
    size_t *ends;
} tg__tokens;

/* Room for count tokens; false, and nothing to free, without memory. */
bool tg__tokens_new(tg__tokens *tokens, size_t count);
void tg__tokens_free(tg__tokens *tokens);

typedef struct tg__tokenizer_class tg__tokenizer_class;

/* What all tokenizers begin with. */
typedef struct tg__tokenizer {
    const tg__tokenizer_class *class;
    int context; /* model_max_length, at least 2; INT32_MAX if the files set no limit */
    int size;    /* 1 more than the largest id */
    int32_t end, pad;
} tg__tokenizer;

struct tg__tokenizer_class {
    const char *const *names; /* "CLIPTokenizer", … NULL */
    const char *file;         /* that a folder of this class has; it decides among equal names */
    int frame;                /* the begin and end tokens around a text */
    bool one_end;             /* a text that ends in the end token gets no other */
    /* NULL with an error. */
    tg__tokenizer *(*open)(const char *folder, tg__error *error);
    void (*close)(tg__tokenizer *tokenizer);
    /* text is UTF-8. *tokens is zeroed, and nothing is to be freed after a failure. */
    tg_status (*split)(const tg__tokenizer *tokenizer, const char *text, tg__tokens *tokens,
                       tg__error *error);
};

/* The rows: CLIP's (clip_tokenizer.h); T5's from spiece.model, with the ids of transformers'
 * T5Tokenizer, through the sentencepiece library; T5's from tokenizer.json, with those of its
 * T5TokenizerFast. tokenizer_config.json, special_tokens_map.json and added_tokens.json may lie
 * beside the files of each. */
extern const tg__tokenizer_class tg__clip_tokenizer_class, tg__t5_tokenizer_class,
    tg__t5_fast_tokenizer_class;

/* The tokenizer in a folder. name: its class, one that the table has; NULL: by the files there. */
tg__tokenizer *tg__tokenizer_open(const char *name, const char *folder, tg__error *error);
void tg__tokenizer_close(tg__tokenizer *tokenizer); /* NULL is fine */
/* Whether the folder has the file of one of the classes. */
bool tg__is_tokenizer_folder(const char *folder);

/* Splits text; invalid UTF-8 and more than TG__MOST_TEXT_BYTES are TG_ERROR_ARGUMENT. Neither cut
 * nor padded. */
tg_status tg__tokenize(const tg__tokenizer *tokenizer, const char *text, tg__tokens *tokens,
                       tg__error *error);

/* ids cut and padded to length, as pipelines ask for (padding="max_length", truncation): the end
 * token is kept at the end. length: at least the class's frame. *count: how many are no padding.
 * *lost: the offset in text of the first word, or rest of a word, that was lost; SIZE_MAX if all
 * fitted. */
tg_status tg__tokenize_padded(const tg__tokenizer *tokenizer, const char *text, int length,
                              int32_t *ids, int *count, size_t *lost, tg__error *error);

#endif
