/* SPDX-License-Identifier: MIT */
/* The tokenizer alone, without the model's weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "pipeline/single_file.h"
#include "text/clip_tokenizer.h"

struct tg_tokenizer {
    tg__error error;
    tg__tokenizer *tokenizer;
    tg__tokens tokens; /* of the last text */
    tg_tokens out;     /* the same for the caller */
    char *text;        /* the last text */
};

/* The kind of a single file decides which padding its tokenizer has. */
static void open_single_file(tg_tokenizer *t, const char *path)
{
    tg__single_file single;
    const char *name = strrchr(path, '/');
    tg__safetensors *file = tg__safetensors_open(path, &t->error);
    if (file &&
        tg__single_file_open(&single, file, name ? name + 1 : path, true, &t->error) == TG_OK)
        t->tokenizer = tg__clip_tokenizer_shipped(
            tg__single_file_part_of(&single, "text_encoder")->pad_token, &t->error);
    tg__safetensors_close(file);
}

static void open_path(tg_tokenizer *t, const char *path)
{
    char inner[4096];
    if (tg__is_file(path)) {
        open_single_file(t, path);
        return;
    }
    if (!tg__is_folder(path)) {
        tg__fail(&t->error, TG_ERROR_NOT_FOUND,
                 "%s: not found, expected a model or a tokenizer's folder", path);
        return;
    }
    if (!tg__path_join(inner, sizeof inner, path, "tokenizer", &t->error))
        return;
    bool alone = tg__is_tokenizer_folder(path) || !tg__is_folder(inner);
    t->tokenizer = tg__tokenizer_open(NULL, alone ? path : inner, &t->error);
}

tg_status tg_tokenizer_open(tg_tokenizer **tokenizer, const char *path, const char *tokenizer_dir)
{
    if (!tokenizer)
        return TG_ERROR_ARGUMENT;
    tg_tokenizer *t = *tokenizer = calloc(1, sizeof *t);
    if (!t)
        return TG_ERROR_MEMORY;
    if (tokenizer_dir)
        t->tokenizer = tg__tokenizer_open(NULL, tokenizer_dir, &t->error);
    else if (tg__given(path, "path", &t->error))
        open_path(t, path);
    return t->error.status;
}

void tg_tokenizer_close(tg_tokenizer *t)
{
    if (!t)
        return;
    tg__tokens_free(&t->tokens);
    tg__tokenizer_close(t->tokenizer);
    free(t->text);
    free(t);
}

const tg_error *tg_tokenizer_error(const tg_tokenizer *t) { return t ? &t->error : &tg__no_handle; }
const char *tg_tokenizer_message(const tg_tokenizer *t) { return tg_tokenizer_error(t)->message; }

static void tokenize(tg_tokenizer *t, const char *text)
{
    tg__tokens_free(&t->tokens);
    t->tokens = (tg__tokens){0};
    free(t->text);
    t->text = strdup(text);
    if (!t->text) {
        tg__fail_memory(&t->error);
        return;
    }
    if (tg__tokenize(t->tokenizer, t->text, &t->tokens, &t->error) != TG_OK)
        return;
    int context = t->tokenizer->context;
    const tg__tokens *k = &t->tokens;
    /* the last text token that fits is followed by the end token */
    bool cut = k->count > context && context >= 2;
    const char *lost = cut ? t->text + k->ends[context - 2] : "";
    t->out = (tg_tokens){.ids = k->ids,
                         .pieces = k->pieces,
                         .count = k->count,
                         .context = context,
                         .lost = lost + strspn(lost, " ")};
}

tg_status tg_tokenize(tg_tokenizer *t, const char *text, const tg_tokens **tokens)
{
    if (tokens)
        *tokens = NULL;
    if (!t)
        return TG_ERROR_ARGUMENT;
    if (!t->tokenizer)
        return t->error.status;
    t->error = (tg__error){0};
    if (tg__given(text, "text", &t->error) && tg__given(tokens, "tokens", &t->error))
        tokenize(t, text);
    if (tokens && !tg__failed(&t->error))
        *tokens = &t->out;
    return t->error.status;
}
