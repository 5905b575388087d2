/* SPDX-License-Identifier: MIT */
#include "text/tokenizer.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"

/* In the order in which a folder is looked at. */
static const tg__tokenizer_class *const classes[] = {
    &tg__clip_tokenizer_class, &tg__t5_tokenizer_class, &tg__t5_fast_tokenizer_class, NULL};

/* ------------------------------------------------------------------------------------- opening */

static bool is_in(const tg__tokenizer_class *class, const char *folder)
{
    char path[PATH_MAX];
    tg__error ignored = {0};
    return tg__path_join(path, sizeof path, folder, class->file, &ignored) && tg__is_file(path);
}

static bool has_name(const tg__tokenizer_class *class, const char *name)
{
    for (const char *const *known = class->names; *known; known++)
        if (strcmp(*known, name) == 0)
            return true;
    return false;
}

/* Of the classes with this name the one that has it first and whose file is there, else any whose
 * file is, else the first. */
static const tg__tokenizer_class *class_named(const char *name, const char *folder)
{
    const tg__tokenizer_class *first = NULL, *there = NULL;
    for (int i = 0; classes[i]; i++) {
        if (!has_name(classes[i], name))
            continue;
        bool own = strcmp(classes[i]->names[0], name) == 0;
        first = !first || own ? classes[i] : first;
        if (is_in(classes[i], folder))
            there = !there || own ? classes[i] : there;
    }
    return there ? there : first;
}

/* NULL: the folder has none of the files that tell. */
static const tg__tokenizer_class *class_in(const char *folder)
{
    for (int i = 0; classes[i]; i++)
        if (is_in(classes[i], folder))
            return classes[i];
    return NULL;
}

bool tg__is_tokenizer_folder(const char *folder) { return class_in(folder) != NULL; }

tg__tokenizer *tg__tokenizer_open(const char *name, const char *folder, tg__error *error)
{
    const tg__tokenizer_class *class = name ? class_named(name, folder) : class_in(folder);
    if (!class && name) {
        tg__fail(error, TG_ERROR_INTERNAL, "%s: no tokenizer of this class is known", name);
        return NULL;
    }
    if (!class)
        class = &tg__clip_tokenizer_class; /* which says what is missing */
    return class->open(folder, error);
}

void tg__tokenizer_close(tg__tokenizer *tokenizer)
{
    if (tokenizer)
        tokenizer->class->close(tokenizer);
}

/* ------------------------------------------------------------------------------------ splitting */

bool tg__tokens_new(tg__tokens *tokens, size_t count)
{
    tokens->ids = malloc(count * sizeof *tokens->ids);
    tokens->pieces = malloc(count * sizeof *tokens->pieces);
    tokens->ends = malloc(count * sizeof *tokens->ends);
    tokens->count = (int)count;
    if (tokens->ids && tokens->pieces && tokens->ends)
        return true;
    tg__tokens_free(tokens);
    return false;
}

void tg__tokens_free(tg__tokens *tokens)
{
    free(tokens->ids);
    free(tokens->pieces);
    free(tokens->ends);
    *tokens = (tg__tokens){0};
}

tg_status tg__tokenize(const tg__tokenizer *tokenizer, const char *text, tg__tokens *tokens,
                       tg__error *error)
{
    size_t length = strlen(text);
    *tokens = (tg__tokens){0};
    if (length > TG__MOST_TEXT_BYTES)
        return tg__fail_about(error, TG_ERROR_ARGUMENT, "text",
                              "the text is %zu bytes long, expected at most %d", length,
                              TG__MOST_TEXT_BYTES);
    if (!tg__utf8_check(text, error))
        return error->status;
    return tokenizer->class->split(tokenizer, text, tokens, error);
}

/* The tokens that are left, with the end token behind them. */
static int cut(const tg__tokenizer *t, int32_t *ids, int length)
{
    if (t->class->one_end && length > 1 && ids[length - 2] == t->end) {
        ids[length - 1] = t->pad;
        return length - 1;
    }
    ids[length - 1] = t->end;
    return length;
}

tg_status tg__tokenize_padded(const tg__tokenizer *t, const char *text, int length, int32_t *ids,
                              int *count, size_t *lost, tg__error *error)
{
    tg__tokens tokens;
    int frame = t->class->frame;
    *lost = SIZE_MAX;
    *count = 0;
    if (length < frame)
        return tg__fail_about(error, TG_ERROR_ARGUMENT, "context",
                              "the context is %d tokens long, expected %d or more", length, frame);
    if (tg__tokenize(t, text, &tokens, error) != TG_OK)
        return error->status;
    for (int i = 0; i < length; i++)
        ids[i] = i < tokens.count ? tokens.ids[i] : t->pad;
    *count = tokens.count;
    if (tokens.count > length) {
        *count = cut(t, ids, length);
        *lost = length >= 2 ? tokens.ends[length - 2] : 0;
        *lost += strspn(text + *lost, " \t\r\n");
    }
    tg__tokens_free(&tokens);
    return TG_OK;
}
