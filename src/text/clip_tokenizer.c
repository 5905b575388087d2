/* SPDX-License-Identifier: MIT */
/* CLIP's tokenizer: added tokens are split off the text as it is; what lies between them is cleaned
 * and cut into words, and each word into pieces. Every step keeps note of the bytes that a
 * character came from, so that the end can tell which words did not fit. */
#include "text/clip_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "text/added_tokens.h"
#include "text/clip_pretokenize.h"
#include "text/clip_settings.h"
#include "text/clip_vocabulary.h"

enum { MOST_TEXT_BYTES = 1 << 20 };

struct tg__clip_tokenizer {
    tg__bpe bpe;
    tg__added_tokens added;
    uint32_t begin, end, unknown, pad;   /* pieces with an id */
    uint32_t literal_begin, literal_end; /* pieces of what is a word even without being added */
    int32_t unknown_id; /* the vocabulary's, if an added token of the same name has another */
    int context, size;
    bool split_added;
};

/* ------------------------------------------------------------------------------------- opening */

static uint32_t piece_of(tg__clip_tokenizer *t, const char *text, tg__error *error)
{
    uint32_t piece = tg__pieces_number(&t->bpe.pieces, text, strlen(text), "", 0);
    if (piece == TG__NO_VALUE)
        tg__fail_memory(error);
    return piece;
}

static int32_t count_ids(const tg__pieces *pieces)
{
    int32_t count = 0;
    for (size_t i = 0; i < pieces->count; i++)
        count += pieces->at[i].id >= 0;
    return count;
}

/* next: the id of the next token that is in no file. */
static tg_status add_token(tg__clip_tokenizer *t, const tg__clip_added *token, int32_t *next,
                           tg__error *error)
{
    uint32_t number = piece_of(t, token->content, error);
    tg__added_token *added = tg__added_tokens_at(&t->added, token->content);
    char shown[200];
    if (number == TG__NO_VALUE || !added)
        return tg__fail_memory(error);
    bool known = added->piece != TG__NO_VALUE;
    tg__piece *piece = &t->bpe.pieces.at[number];
    if (known && token->id >= 0)
        return tg__fail_about(error, TG_ERROR_FORMAT, "added_tokens_decoder",
                              "added_tokens_decoder: %s has the ids %d and %d",
                              tg__printable(shown, sizeof shown, token->content), piece->id,
                              token->id);
    if (token->id >= 0)
        piece->id = token->id;
    else if (piece->id < 0)
        piece->id = (*next)++;
    if (!known || token->overrides)
        *added = (tg__added_token){number, token->left, token->right, token->single_word};
    return TG_OK;
}

static tg_status apply(tg__clip_tokenizer *t, const tg__clip_settings *settings, tg__error *error)
{
    int32_t next = -1;
    t->unknown = piece_of(t, settings->unknown, error);
    if (tg__failed(error))
        return error->status;
    t->unknown_id = t->bpe.pieces.at[t->unknown].id;
    for (size_t i = 0; i < settings->count; i++) {
        if (next < 0 && settings->added[i].id < 0)
            next = count_ids(&t->bpe.pieces);
        if (add_token(t, &settings->added[i], &next, error) != TG_OK)
            return error->status;
    }
    t->begin = piece_of(t, settings->begin, error);
    t->end = piece_of(t, settings->end, error);
    t->pad = piece_of(t, settings->pad, error);
    t->literal_begin = piece_of(t, TG__CLIP_BEGIN, error);
    t->literal_end = piece_of(t, TG__CLIP_END, error);
    if (t->unknown_id < 0)
        t->unknown_id = t->bpe.pieces.at[t->unknown].id;
    t->context = settings->context;
    t->split_added = settings->split_added;
    for (size_t i = 0; i < t->bpe.pieces.count; i++)
        if (t->bpe.pieces.at[i].id >= t->size)
            t->size = t->bpe.pieces.at[i].id + 1;
    return error->status;
}

/* The tokenizer of folder, or the shipped one with the padding token pad where folder is NULL. */
static tg__clip_tokenizer *open_either(const char *folder, const char *pad, tg__error *error)
{
    tg__clip_settings settings = {0};
    tg__clip_tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        tg__fail_memory(error);
        return NULL;
    }
    if (folder) {
        tg__clip_vocabulary_read(&t->bpe, folder, error);
        tg__clip_settings_read(&settings, folder, error);
    } else {
        tg__clip_vocabulary_shipped(&t->bpe, error);
        tg__clip_settings_usual(&settings, pad, error);
    }
    if (!tg__failed(error))
        apply(t, &settings, error);
    tg__clip_settings_free(&settings);
    if (!tg__failed(error))
        return t;
    tg__clip_tokenizer_close(t);
    return NULL;
}

tg__clip_tokenizer *tg__clip_tokenizer_open(const char *folder, tg__error *error)
{
    return open_either(folder, TG__CLIP_END, error);
}

tg__clip_tokenizer *tg__clip_tokenizer_shipped(const char *pad, tg__error *error)
{
    return open_either(NULL, pad, error);
}

void tg__clip_tokenizer_close(tg__clip_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    tg__bpe_free(&tokenizer->bpe);
    tg__added_tokens_free(&tokenizer->added);
    free(tokenizer);
}

int tg__clip_tokenizer_context(const tg__clip_tokenizer *tokenizer) { return tokenizer->context; }

int tg__clip_tokenizer_size(const tg__clip_tokenizer *tokenizer) { return tokenizer->size; }

/* ----------------------------------------------------------------------------------- splitting */

/* One text on its way. */
typedef struct work {
    const tg__clip_tokenizer *t;
    tg__chars text;    /* as it was given */
    tg__chars cleaned; /* a segment */
    tg__chars pieces;  /* the result: code is the piece's number */
    tg__segments segments;
    tg__bpe_scratch scratch;
} work;

static tg_status decode(tg__chars *dst, const char *text, tg__error *error)
{
    size_t length = strlen(text);
    if (length > MOST_TEXT_BYTES)
        return tg__fail_about(error, TG_ERROR_ARGUMENT, "text",
                              "the text is %zu bytes long, expected at most %d", length,
                              MOST_TEXT_BYTES);
    if (!tg__utf8_check(text, error))
        return error->status;
    for (const char *at = text; *at;) {
        int32_t code = tg__utf8_next(&at);
        if (!tg__chars_push(dst, code, (uint32_t)(at - text)))
            return tg__fail_memory(error);
    }
    return TG_OK;
}

static bool push(work *w, uint32_t piece, uint32_t end)
{
    return tg__chars_push(&w->pieces, (int32_t)piece, end);
}

static bool split_words(work *w, size_t start, size_t stop)
{
    const tg__clip_tokenizer *t = w->t;
    if (!tg__clip_clean(&w->cleaned, &w->text, start, stop))
        return false;
    bool ok = true;
    for (size_t at = 0, word; ok && tg__clip_next_word(&w->cleaned, &at, &word);) {
        uint32_t end = w->cleaned.at[at - 1].end;
        if (tg__clip_word_is(&w->cleaned, word, at, TG__CLIP_BEGIN))
            ok = push(w, t->literal_begin, end);
        else if (tg__clip_word_is(&w->cleaned, word, at, TG__CLIP_END))
            ok = push(w, t->literal_end, end);
        else
            ok = tg__bpe_split(&t->bpe, &w->cleaned, word, at, &w->scratch, &w->pieces);
    }
    return ok;
}

static bool split(work *w)
{
    const tg__clip_tokenizer *t = w->t;
    bool ok = push(w, t->begin, 0);
    if (ok && t->split_added)
        ok = split_words(w, 0, w->text.count);
    else if (ok)
        ok = tg__added_tokens_split(&t->added, &w->text, &w->segments);
    for (size_t i = 0; ok && i < w->segments.count; i++) {
        const tg__segment *segment = &w->segments.at[i];
        if (segment->piece == TG__NO_VALUE)
            ok = split_words(w, segment->start, segment->stop);
        else
            ok = push(w, segment->piece, w->text.at[segment->stop - 1].end);
    }
    return ok && push(w, t->end, tg__chars_before(&w->text, w->text.count));
}

static bool hand_over(const work *w, tg__tokens *tokens)
{
    const tg__piece *pieces = w->t->bpe.pieces.at;
    size_t count = w->pieces.count;
    tokens->ids = malloc(count * sizeof *tokens->ids);
    tokens->pieces = malloc(count * sizeof *tokens->pieces);
    tokens->ends = malloc(count * sizeof *tokens->ends);
    if (!tokens->ids || !tokens->pieces || !tokens->ends) {
        tg__tokens_free(tokens);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const tg__piece *piece = &pieces[w->pieces.at[i].code];
        bool known = piece->id >= 0;
        tokens->ids[i] = known ? piece->id : w->t->unknown_id;
        tokens->pieces[i] = known ? piece->text : pieces[w->t->unknown].text;
        tokens->ends[i] = w->pieces.at[i].end;
    }
    tokens->count = (int)count;
    return true;
}

tg_status tg__clip_tokenize(const tg__clip_tokenizer *tokenizer, const char *text,
                            tg__tokens *tokens, tg__error *error)
{
    work w = {.t = tokenizer};
    *tokens = (tg__tokens){0};
    tg_status status = decode(&w.text, text, error);
    if (status == TG_OK && !(split(&w) && hand_over(&w, tokens)))
        status = tg__fail_memory(error);
    tg__chars_free(&w.text);
    tg__chars_free(&w.cleaned);
    tg__chars_free(&w.pieces);
    tg__segments_free(&w.segments);
    tg__bpe_scratch_free(&w.scratch);
    return status;
}

void tg__tokens_free(tg__tokens *tokens)
{
    free(tokens->ids);
    free(tokens->pieces);
    free(tokens->ends);
    *tokens = (tg__tokens){0};
}

tg_status tg__clip_tokenize_padded(const tg__clip_tokenizer *tokenizer, const char *text,
                                   int length, int32_t *ids, size_t *lost, tg__error *error)
{
    tg__tokens tokens;
    *lost = SIZE_MAX;
    if (length < 2)
        return tg__fail_about(error, TG_ERROR_ARGUMENT, "context",
                              "the context is %d tokens long, expected 2 or more", length);
    if (tg__clip_tokenize(tokenizer, text, &tokens, error) != TG_OK)
        return error->status;
    for (int i = 0; i < length; i++)
        ids[i] = i < tokens.count ? tokens.ids[i] : tokenizer->bpe.pieces.at[tokenizer->pad].id;
    if (tokens.count > length) {
        ids[length - 1] = tokens.ids[tokens.count - 1];
        *lost = tokens.ends[length - 2];
        *lost += strspn(text + *lost, " \t\r\n");
    }
    tg__tokens_free(&tokens);
    return TG_OK;
}
