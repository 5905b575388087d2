/* SPDX-License-Identifier: MIT */
/* CLIP's tokenizer: added tokens are split off the text as it is; what lies between them is cleaned
 * and cut into words, and each word into pieces. Every step keeps note of the bytes that a
 * character came from, so that the end can tell which words did not fit. */
#include "text/clip_tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "text/added_tokens.h"
#include "text/clip_pretokenize.h"
#include "text/clip_vocabulary.h"
#include "text/token_settings.h"

typedef struct clip_tokenizer {
    tg__tokenizer base;
    tg__bpe bpe;
    tg__added_tokens added;
    uint32_t begin, end, unknown, pad;   /* pieces with an id */
    uint32_t literal_begin, literal_end; /* pieces of what is a word even without being added */
    int32_t unknown_id; /* the vocabulary's, if an added token of the same name has another */
    bool split_added;
} clip_tokenizer;

/* ------------------------------------------------------------------------------------- opening */

static uint32_t piece_of(clip_tokenizer *t, const char *text, tg__error *error)
{
    uint32_t piece = tg__pieces_number(&t->bpe.pieces, text, strlen(text), "", 0);
    if (piece == TG__NO_VALUE)
        tg__fail_memory(error);
    return piece;
}

static tg_status apply(clip_tokenizer *t, const tg__token_settings *settings, tg__error *error)
{
    t->unknown = piece_of(t, settings->unknown, error);
    if (tg__failed(error))
        return error->status;
    t->unknown_id = t->bpe.pieces.at[t->unknown].id;
    if (tg__token_settings_add(settings, &t->bpe.pieces, &t->added, error) != TG_OK)
        return error->status;
    t->begin = piece_of(t, settings->begin, error);
    t->end = piece_of(t, settings->end, error);
    t->pad = piece_of(t, settings->pad, error);
    t->literal_begin = piece_of(t, TG__CLIP_BEGIN, error);
    t->literal_end = piece_of(t, TG__CLIP_END, error);
    if (t->unknown_id < 0)
        t->unknown_id = t->bpe.pieces.at[t->unknown].id;
    if (tg__failed(error))
        return error->status;
    t->base.context = settings->context;
    t->base.end = t->bpe.pieces.at[t->end].id;
    t->base.pad = t->bpe.pieces.at[t->pad].id;
    t->split_added = settings->split_added;
    for (size_t i = 0; i < t->bpe.pieces.count; i++)
        if (t->bpe.pieces.at[i].id >= t->base.size)
            t->base.size = t->bpe.pieces.at[i].id + 1;
    return error->status;
}

static void close(tg__tokenizer *tokenizer)
{
    clip_tokenizer *t = (clip_tokenizer *)tokenizer;
    tg__bpe_free(&t->bpe);
    tg__added_tokens_free(&t->added);
    free(t);
}

/* The tokenizer of folder, or the shipped one with the padding token pad where folder is NULL. */
static tg__tokenizer *open_either(const char *folder, const char *pad, tg__error *error)
{
    tg__token_settings settings = {
        .begin = TG__CLIP_BEGIN, .end = TG__CLIP_END, .unknown = TG__CLIP_END, .pad = pad};
    clip_tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        tg__fail_memory(error);
        return NULL;
    }
    t->base.class = &tg__clip_tokenizer_class;
    if (folder) {
        tg__clip_vocabulary_read(&t->bpe, folder, error);
        tg__token_settings_read(&settings, folder, error);
    } else {
        tg__clip_vocabulary_shipped(&t->bpe, error);
        tg__token_settings_usual(&settings, error);
    }
    if (!tg__failed(error))
        apply(t, &settings, error);
    tg__token_settings_free(&settings);
    if (!tg__failed(error))
        return &t->base;
    close(&t->base);
    return NULL;
}

static tg__tokenizer *open(const char *folder, tg__error *error)
{
    return open_either(folder, TG__CLIP_END, error);
}

tg__tokenizer *tg__clip_tokenizer_shipped(const char *pad, tg__error *error)
{
    return open_either(NULL, pad, error);
}

/* ----------------------------------------------------------------------------------- splitting */

/* One text on its way. */
typedef struct work {
    const clip_tokenizer *t;
    tg__chars text;    /* as it was given */
    tg__chars cleaned; /* a segment */
    tg__chars pieces;  /* the result: code is the piece's number */
    tg__segments segments;
    tg__bpe_scratch scratch;
} work;

static bool push(work *w, uint32_t piece, uint32_t end)
{
    return tg__chars_push(&w->pieces, (int32_t)piece, end);
}

static bool split_words(work *w, size_t start, size_t stop)
{
    const clip_tokenizer *t = w->t;
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
    const clip_tokenizer *t = w->t;
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
    if (!tg__tokens_new(tokens, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        const tg__piece *piece = &pieces[w->pieces.at[i].code];
        bool known = piece->id >= 0;
        tokens->ids[i] = known ? piece->id : w->t->unknown_id;
        tokens->pieces[i] = known ? piece->text : pieces[w->t->unknown].text;
        tokens->ends[i] = w->pieces.at[i].end;
    }
    return true;
}

static tg_status split_text(const tg__tokenizer *tokenizer, const char *text, tg__tokens *tokens,
                            tg__error *error)
{
    work w = {.t = (const clip_tokenizer *)tokenizer};
    tg_status status = TG_OK;
    if (!(tg__chars_decode(&w.text, text) && split(&w) && hand_over(&w, tokens)))
        status = tg__fail_memory(error);
    tg__chars_free(&w.text);
    tg__chars_free(&w.cleaned);
    tg__chars_free(&w.pieces);
    tg__segments_free(&w.segments);
    tg__bpe_scratch_free(&w.scratch);
    return status;
}

const tg__tokenizer_class tg__clip_tokenizer_class = {
    .names = (const char *const[]){"CLIPTokenizer", "CLIPTokenizerFast", NULL},
    .file = "vocab.json",
    .frame = 2,
    .open = open,
    .close = close,
    .split = split_text,
};
