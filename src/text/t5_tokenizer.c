/* SPDX-License-Identifier: MIT */
/* Added tokens are split off the text as it is; what lies between them goes to the sentencepiece
 * library piece by piece. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "text/sentencepiece_shim.h"
#include "text/spiece_model.h"
#include "text/token_settings.h"
#include "text/tokenizer.h"

enum { MOST_MODEL_BYTES = 64 << 20, MOST_EXTRA_IDS = 1 << 16, UNDERLINE = 0x2581, NOT_KNOWN = -1 };

typedef struct t5_tokenizer {
    tg__tokenizer base;
    tg__sentencepiece *processor;
    tg__pieces pieces; /* sentencepiece's by their ids, then added ones */
    tg__added_tokens added;
    uint32_t end, unknown; /* pieces */
    int32_t unknown_id;    /* what the library makes of what it does not know */
    bool split_added;
    bool legacy;
    bool prefix_space;  /* not legacy: a space before the text */
    int unknown_length; /* not legacy: the pieces that the unknown token's letters are */
    bool *special;      /* by piece; NULL: legacy */
} t5_tokenizer;

/* --------------------------------------------------------------------------------- extra ids */

static bool is_extra(const char *content) { return strstr(content, "<extra_id_") != NULL; }

/* Whether the files list special tokens besides those with a name. */
static bool has_more_specials(const tg__token_settings *s)
{
    const char *key = "additional_special_tokens";
    const tg__json *a = tg__config_value(s->config, key), *b = tg__config_value(s->map, key);
    return (a && a->type != TG__JSON_NULL) || (b && b->type != TG__JSON_NULL);
}

static int count_extras(const tg__token_settings *s)
{
    int count = 0;
    for (size_t i = s->first_special; i < s->count; i++)
        count += is_extra(s->added[i].content);
    return count;
}

static bool overridden(const tg__token_settings *s, const char *content, int32_t id)
{
    for (size_t i = 0; i < s->first_special; i++)
        if (s->added[i].id == id || strcmp(s->added[i].content, content) == 0)
            return true;
    return false;
}

/* The reference's tokens <extra_id_0> and on, counted down from the vocabulary's end. Where the
 * files list special tokens without them, they are tokens like those. */
static tg_status add_extras(t5_tokenizer *t, tg__token_settings *s, size_t pieces, tg__error *error)
{
    int ids = s->config ? (int)tg__config_int(s->config, "extra_ids", 0, MOST_EXTRA_IDS, 100) : 100;
    bool listed = has_more_specials(s);
    int count = listed ? count_extras(s) : ids;
    tg__token_settings extras = {0};
    if (!tg__failed(error) && listed && count > 0 && ids > 0 && count != ids)
        tg__fail(error, TG_ERROR_FORMAT,
                 "%s: extra_ids is %d, expected %d as additional_special_tokens has",
                 s->config ? tg__config_where(s->config) : "special_tokens_map.json", ids, count);
    bool more = listed && count == 0;
    for (int i = 0; i < (more ? ids : count) && !tg__failed(error); i++) {
        char name[32];
        int64_t id = (int64_t)pieces - 1 + ids - i;
        snprintf(name, sizeof name, "<extra_id_%d>", i);
        const char *content = tg__arena_copy(&t->pieces.arena, name);
        tg__token_added token = {.content = content, .id = -1};
        if (!content) {
            tg__fail_memory(error);
        } else if (more) {
            tg__token_settings_push(s, token, error);
        } else if (id >= 0 && !overridden(s, content, (int32_t)id)) {
            token.id = (int32_t)id;
            token.left = token.right = true;
            tg__token_settings_push(&extras, token, error);
        }
    }
    if (!tg__failed(error))
        tg__token_settings_add(&extras, &t->pieces, &t->added, error);
    tg__token_settings_free(&extras);
    return error->status;
}

/* ------------------------------------------------------------------------------------- opening */

static uint32_t piece_of(t5_tokenizer *t, const char *text, tg__error *error)
{
    uint32_t piece = tg__pieces_number(&t->pieces, text, strlen(text), "", 0);
    if (piece == TG__NO_VALUE)
        tg__fail_memory(error);
    return piece;
}

static tg_status take_pieces(t5_tokenizer *t, const tg__spiece_model *model, const char *where,
                             tg__error *error)
{
    for (size_t i = 0; i < model->count; i++) {
        const tg__spiece *piece = &model->pieces[i];
        uint32_t number = tg__pieces_number(&t->pieces, piece->text, piece->length, "", 0);
        char shown[200];
        if (number == TG__NO_VALUE)
            return tg__fail_memory(error);
        tg__piece *known = &t->pieces.at[number];
        if (known->id >= 0)
            return tg__fail(error, TG_ERROR_FORMAT, "%s: the pieces %d and %zu are both %s", where,
                            (int)known->id, i, tg__printable(shown, sizeof shown, known->text));
        known->id = (int32_t)i;
    }
    t->unknown_id = (int32_t)model->unknown;
    return TG_OK;
}

static tg_status fail_sentencepiece(tg__sentencepiece_status status, const char *where,
                                    const char *message, tg__error *error)
{
    char shown[200];
    if (status == TG__SENTENCEPIECE_MEMORY)
        return tg__fail_memory(error);
    return tg__fail(error, TG_ERROR_FORMAT, "%s: sentencepiece says: %s", where,
                    tg__printable(shown, sizeof shown, message));
}

/* Without legacy the library adds no space before a text: a last normalizer_spec says so, for what
 * follows in a serialized message counts more. */
static tg_status open_processor(t5_tokenizer *t, const tg__spiece_model *model, const char *where,
                                tg__error *error)
{
    static const char no_prefix[] = {0x1A, 0x02, 0x18, 0x00};
    size_t more = t->legacy ? 0 : sizeof no_prefix;
    char message[200] = "", *data = malloc(model->bytes + more);
    if (!data)
        return tg__fail_memory(error);
    memcpy(data, model->data, model->bytes);
    memcpy(data + model->bytes, no_prefix, more);
    tg__sentencepiece_status status =
        tg__sentencepiece_open(&t->processor, data, model->bytes + more, message, sizeof message);
    free(data);
    return status == TG__SENTENCEPIECE_OK ? TG_OK
                                          : fail_sentencepiece(status, where, message, error);
}

static bool count_piece(void *context, const char *piece, size_t length, size_t end)
{
    (void)piece;
    (void)length;
    (void)end;
    ++*(int *)context;
    return true;
}

/* What is kept for texts that are not split the legacy way. */
static tg_status note_specials(t5_tokenizer *t, const tg__token_settings *s, bool listed,
                               tg__error *error)
{
    const char *unknown = t->pieces.at[t->unknown].text;
    t->special = calloc(t->pieces.count, sizeof *t->special);
    if (!t->special || tg__sentencepiece_encode(t->processor, unknown, strlen(unknown), count_piece,
                                                &t->unknown_length) != TG__SENTENCEPIECE_OK)
        return tg__fail_memory(error);
    for (size_t i = s->first_special; i < s->count; i++)
        t->special[piece_of(t, s->added[i].content, error)] = true;
    for (size_t i = 0; !listed && i < t->pieces.count; i++)
        t->special[i] |= is_extra(t->pieces.at[i].text);
    return error->status;
}

static tg_status apply(t5_tokenizer *t, tg__token_settings *s, const tg__spiece_model *model,
                       const char *where, tg__error *error)
{
    bool listed = has_more_specials(s);
    const tg__json *legacy = tg__config_value(s->config, "legacy");
    t->legacy =
        !legacy || legacy->type == TG__JSON_NULL || tg__config_bool(s->config, "legacy", true);
    t->prefix_space = !s->config || tg__config_bool(s->config, "add_prefix_space", true);
    t->split_added = s->split_added;
    if (tg__failed(error) || take_pieces(t, model, where, error) != TG_OK ||
        open_processor(t, model, where, error) != TG_OK ||
        add_extras(t, s, model->count, error) != TG_OK ||
        tg__token_settings_add(s, &t->pieces, &t->added, error) != TG_OK)
        return error->status;
    t->end = piece_of(t, s->end, error);
    t->unknown = piece_of(t, s->unknown, error);
    uint32_t pad = piece_of(t, s->pad, error);
    if (tg__failed(error) || (!t->legacy && note_specials(t, s, listed, error) != TG_OK))
        return error->status;
    t->base.context = s->context;
    t->base.end = t->pieces.at[t->end].id;
    t->base.pad = t->pieces.at[pad].id;
    for (size_t i = 0; i < t->pieces.count; i++)
        if (t->pieces.at[i].id >= t->base.size)
            t->base.size = t->pieces.at[i].id + 1;
    return TG_OK;
}

static void close(tg__tokenizer *tokenizer)
{
    t5_tokenizer *t = (t5_tokenizer *)tokenizer;
    tg__sentencepiece_close(t->processor);
    tg__pieces_free(&t->pieces);
    tg__added_tokens_free(&t->added);
    free(t->special);
    free(t);
}

static void read_files(t5_tokenizer *t, const char *folder, tg__error *error)
{
    char where[TG__WHERE_BYTES];
    size_t bytes;
    tg__token_settings settings = {.end = "</s>", .unknown = "<unk>", .pad = "<pad>"};
    tg__spiece_model model = {0};
    char *data =
        tg__token_file_read(folder, "spiece.model", where, MOST_MODEL_BYTES, &bytes, error);
    if (data && tg__spiece_model_read(&model, data, bytes, where, error) == TG_OK &&
        tg__token_settings_read(&settings, folder, error) == TG_OK)
        apply(t, &settings, &model, where, error);
    tg__token_settings_free(&settings);
    tg__spiece_model_free(&model);
    free(data);
}

static tg__tokenizer *open(const char *folder, tg__error *error)
{
    t5_tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        tg__fail_memory(error);
        return NULL;
    }
    t->base.class = &tg__t5_tokenizer_class;
    read_files(t, folder, error);
    if (!tg__failed(error))
        return &t->base;
    close(&t->base);
    return NULL;
}

/* ----------------------------------------------------------------------------------- splitting */

/* One text on its way. */
typedef struct work {
    const t5_tokenizer *t;
    tg__chars text;
    tg__chars pieces; /* the result: code is the piece's number, or NOT_KNOWN */
    tg__segments segments;
    char *bytes;    /* of a segment, */
    uint32_t *ends; /* and how much of the source is spent with each of them */
    size_t before;  /* bytes in front of the segment's own */
    int skip;       /* pieces that are left out */
    uint32_t start;
} work;

static bool take(void *context, const char *piece, size_t length, size_t end)
{
    work *w = context;
    if (w->skip > 0) {
        w->skip--;
        return true;
    }
    uint32_t number = tg__pieces_find(&w->t->pieces, piece, length);
    if (number == TG__NO_VALUE || w->t->pieces.at[number].id < 0)
        number = TG__NO_VALUE;
    return tg__chars_push(&w->pieces, number == TG__NO_VALUE ? NOT_KNOWN : (int32_t)number,
                          end > w->before ? w->ends[end - w->before - 1] : w->start);
}

/* Not legacy, a text that begins with a space: the library would lose it, so the unknown token goes
 * before the text and is left out of what comes back. */
static size_t put_unknown(work *w, int32_t first)
{
    w->skip = 0;
    if (w->t->legacy || (first != ' ' && first != UNDERLINE))
        return 0;
    const char *unknown = w->t->pieces.at[w->t->unknown].text;
    w->skip = w->t->unknown_length;
    memcpy(w->bytes, unknown, strlen(unknown));
    return strlen(unknown);
}

static tg_status split_piece(work *w, size_t start, size_t stop, tg__error *error)
{
    while (start < stop && w->text.at[start].code == TG__CHAR_REMOVED)
        start++;
    if (start == stop)
        return TG_OK;
    size_t length = 0;
    w->start = tg__chars_before(&w->text, start);
    w->before = put_unknown(w, w->text.at[start].code);
    for (size_t i = start; i < stop; i++) {
        if (w->text.at[i].code == TG__CHAR_REMOVED)
            continue;
        int n = tg__utf8_put(w->bytes + w->before + length, w->text.at[i].code);
        for (int j = 0; j < n; j++)
            w->ends[length++] = j < n - 1 ? tg__chars_before(&w->text, i) : w->text.at[i].end;
    }
    size_t last = w->pieces.count;
    tg__sentencepiece_status status =
        tg__sentencepiece_encode(w->t->processor, w->bytes, w->before + length, take, w);
    if (status != TG__SENTENCEPIECE_OK)
        return status == TG__SENTENCEPIECE_MEMORY
                   ? tg__fail_memory(error)
                   : tg__fail(error, TG_ERROR_INTERNAL, "sentencepiece cannot split the text");
    if (w->pieces.count > last)
        w->pieces.at[w->pieces.count - 1].end = w->ends[length - 1];
    return TG_OK;
}

/* Not legacy: sentencepiece's own space is a space like any other, and one is put before the
 * text. */
static tg_status read_text(work *w, const char *text, tg__error *error)
{
    const t5_tokenizer *t = w->t;
    bool prefix = !t->legacy && t->prefix_space && *text;
    if ((prefix && !tg__chars_push(&w->text, UNDERLINE, 0)) || !tg__chars_decode(&w->text, text))
        return tg__fail_memory(error);
    for (size_t i = prefix; !t->legacy && i < w->text.count; i++)
        if (w->text.at[i].code == UNDERLINE)
            w->text.at[i].code = ' ';
    size_t unknown = strlen(t->pieces.at[t->unknown].text);
    w->bytes = malloc(4 * w->text.count + unknown + 4);
    w->ends = malloc((4 * w->text.count + 4) * sizeof *w->ends);
    return w->bytes && w->ends ? TG_OK : tg__fail_memory(error);
}

/* Not legacy: no space before a special token. */
static void drop_first_space(work *w)
{
    const tg__piece *pieces = w->t->pieces.at;
    if (w->t->legacy || w->pieces.count < 2 || w->pieces.at[0].code == NOT_KNOWN ||
        w->pieces.at[1].code == NOT_KNOWN ||
        strcmp(pieces[w->pieces.at[0].code].text, "\xE2\x96\x81") != 0 ||
        !w->t->special[w->pieces.at[1].code])
        return;
    w->pieces.count--;
    memmove(w->pieces.at, w->pieces.at + 1, w->pieces.count * sizeof *w->pieces.at);
}

static tg_status split_all(work *w, tg__error *error)
{
    const t5_tokenizer *t = w->t;
    if (t->split_added || t->added.count == 0)
        return split_piece(w, 0, w->text.count, error);
    if (!tg__added_tokens_split(&t->added, &w->text, &w->segments))
        return tg__fail_memory(error);
    for (size_t i = 0; i < w->segments.count; i++) {
        const tg__segment *segment = &w->segments.at[i];
        if (segment->piece == TG__NO_VALUE) {
            if (split_piece(w, segment->start, segment->stop, error) != TG_OK)
                return error->status;
        } else if (!tg__chars_push(&w->pieces, (int32_t)segment->piece,
                                   w->text.at[segment->stop - 1].end)) {
            return tg__fail_memory(error);
        }
    }
    return TG_OK;
}

static int32_t id_of(const t5_tokenizer *t, int32_t piece)
{
    return piece == NOT_KNOWN ? t->unknown_id : t->pieces.at[piece].id;
}

/* The end token, unless the text has brought it, and all of them for the caller. */
static tg_status hand_over(work *w, size_t length, tg__tokens *tokens, tg__error *error)
{
    const t5_tokenizer *t = w->t;
    size_t count = w->pieces.count;
    bool ended = count > 0 && id_of(t, w->pieces.at[count - 1].code) == t->base.end;
    if (!ended && !tg__chars_push(&w->pieces, (int32_t)t->end, (uint32_t)length))
        return tg__fail_memory(error);
    if (!tg__tokens_new(tokens, w->pieces.count))
        return tg__fail_memory(error);
    for (size_t i = 0; i < w->pieces.count; i++) {
        int32_t piece = w->pieces.at[i].code;
        tokens->ids[i] = id_of(t, piece);
        tokens->pieces[i] = t->pieces.at[piece == NOT_KNOWN ? t->unknown : (uint32_t)piece].text;
        tokens->ends[i] = w->pieces.at[i].end;
    }
    tokens->ends[w->pieces.count - 1] = length;
    return TG_OK;
}

static tg_status split(const tg__tokenizer *tokenizer, const char *text, tg__tokens *tokens,
                       tg__error *error)
{
    work w = {.t = (const t5_tokenizer *)tokenizer};
    if (read_text(&w, text, error) == TG_OK && split_all(&w, error) == TG_OK) {
        drop_first_space(&w);
        hand_over(&w, strlen(text), tokens, error);
    }
    tg__chars_free(&w.text);
    tg__chars_free(&w.pieces);
    tg__segments_free(&w.segments);
    free(w.bytes);
    free(w.ends);
    return error->status;
}

const tg__tokenizer_class tg__t5_tokenizer_class = {
    .names = (const char *const[]){"T5Tokenizer", "T5TokenizerFast", NULL},
    .file = "spiece.model",
    .frame = 1,
    .one_end = true,
    .open = open,
    .close = close,
    .split = split,
};
