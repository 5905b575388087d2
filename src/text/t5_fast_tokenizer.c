/* SPDX-License-Identifier: MIT */
/* T5TokenizerFast's ids, from tokenizer.json: added tokens, a chain of normalizers, words that
 * begin with sentencepiece's space, a unigram model. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "core/arena.h"
#include "core/utf8.h"
#include "text/added_tokens.h"
#include "text/charsmap.h"
#include "text/token_settings.h"
#include "text/tokenizer.h"
#include "text/unigram.h"

enum { UNDERLINE = 0x2581, MOST_STEPS = 8 };

typedef enum step { PRECOMPILED, STRIP_LEFT, STRIP_RIGHT, JOIN_SPACES } step;

typedef struct fast_tokenizer {
    tg__tokenizer base;
    tg__unigram unigram;
    const char **texts; /* by id */
    tg__arena arena;
    int32_t unknown;
    tg__added_tokens added; /* a token's piece is its id */
    step steps[MOST_STEPS];
    int step_count;
    int32_t joined; /* JOIN_SPACES: what two spaces or more become */
    unsigned char *charsmap_data;
    tg__charsmap charsmap;
    bool split_spaces;                    /* words end at white space, which is dropped */
    enum { NEVER, FIRST, ALWAYS } prefix; /* a space before a word that has none */
} fast_tokenizer;

/* --------------------------------------------------------------------------- reading: helpers */

/* The file on its way. */
typedef struct source {
    fast_tokenizer *t;
    tg__config *config;
    tg__error *error;
} source;

static const tg__json *member(const tg__json *object, const char *key)
{
    return object && object->type == TG__JSON_OBJECT ? tg__json_member(object, key) : NULL;
}

static const char *string_of(const tg__json *object, const char *key)
{
    const tg__json *value = member(object, key);
    return value && value->type == TG__JSON_STRING ? value->string : "";
}

/* Absent: otherwise. */
static bool bool_of(const tg__json *object, const char *key, bool otherwise)
{
    const tg__json *value = member(object, key);
    return value && value->type == TG__JSON_BOOL ? value->boolean : otherwise;
}

static bool refuse(source *s, const char *key, const char *what)
{
    char shown[80];
    tg__fail(s->error, TG_ERROR_UNSUPPORTED, "%s: %s: %s is not implemented",
             tg__config_where(s->config), key, tg__printable(shown, sizeof shown, what));
    return false;
}

static bool fail(source *s, const char *key, const char *expected)
{
    tg__fail(s->error, TG_ERROR_FORMAT, "%s: %s is missing or wrong, expected %s",
             tg__config_where(s->config), key, expected);
    return false;
}

/* ------------------------------------------------------------------------ reading: normalizers */

static int digit_of(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* Base64; *bytes: how many came out. False: it is none. */
static bool decode_base64(unsigned char *dst, const char *text, size_t *bytes)
{
    uint32_t bits = 0;
    int count = 0;
    *bytes = 0;
    for (; *text && *text != '='; text++) {
        int digit = digit_of(*text);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            dst[(*bytes)++] = (unsigned char)(bits >> count);
        }
    }
    return strspn(text, "=") == strlen(text);
}

static bool read_precompiled(source *s, const tg__json *normalizer)
{
    fast_tokenizer *t = s->t;
    const char *text = string_of(normalizer, "precompiled_charsmap");
    size_t bytes;
    if (t->charsmap_data)
        return refuse(s, "normalizer", "a second Precompiled");
    t->charsmap_data = malloc(strlen(text) + 1);
    if (!t->charsmap_data) {
        tg__fail_memory(s->error);
        return false;
    }
    if (!decode_base64(t->charsmap_data, text, &bytes))
        return fail(s, "normalizer: precompiled_charsmap", "base64");
    return tg__charsmap_open(&t->charsmap, t->charsmap_data, bytes, tg__config_where(s->config),
                             s->error) == TG_OK;
}

static bool add_step(source *s, step what)
{
    if (s->t->step_count == MOST_STEPS)
        return refuse(s, "normalizer", "a chain of more than eight");
    s->t->steps[s->t->step_count++] = what;
    return true;
}

static bool read_replace(source *s, const tg__json *normalizer)
{
    const char *content = string_of(normalizer, "content");
    if (strcmp(string_of(member(normalizer, "pattern"), "Regex"), " {2,}") != 0 || !*content)
        return refuse(s, "normalizer", "a Replace of anything but \" {2,}\"");
    s->t->joined = tg__utf8_next(&content);
    return *content ? refuse(s, "normalizer", "a Replace by more than a character")
                    : add_step(s, JOIN_SPACES);
}

static bool read_normalizer(source *s, const tg__json *normalizer)
{
    const char *type = string_of(normalizer, "type");
    if (!normalizer || normalizer->type == TG__JSON_NULL)
        return true;
    if (strcmp(type, "Precompiled") == 0)
        return read_precompiled(s, normalizer) && add_step(s, PRECOMPILED);
    if (strcmp(type, "Strip") == 0)
        return (!bool_of(normalizer, "strip_left", false) || add_step(s, STRIP_LEFT)) &&
               (!bool_of(normalizer, "strip_right", false) || add_step(s, STRIP_RIGHT));
    if (strcmp(type, "Replace") == 0)
        return read_replace(s, normalizer);
    return refuse(s, "normalizer", type);
}

/* A null, one, or a Sequence of them. */
static bool read_chain(source *s, const char *key, const char *list_key,
                       bool (*read)(source *s, const tg__json *one))
{
    const tg__json *value = tg__config_value(s->config, key);
    if (strcmp(string_of(value, "type"), "Sequence") != 0)
        return read(s, value);
    const tg__json *list = member(value, list_key);
    if (!list || list->type != TG__JSON_LIST)
        return fail(s, key, "a Sequence with its list");
    for (uint32_t i = 0; i < list->count; i++)
        if (!read(s, &list->items[i]))
            return false;
    return true;
}

static bool read_pre_tokenizer(source *s, const tg__json *one)
{
    fast_tokenizer *t = s->t;
    const char *type = string_of(one, "type"), *scheme = string_of(one, "prepend_scheme");
    if (strcmp(type, "WhitespaceSplit") == 0) {
        t->split_spaces = true;
        return true;
    }
    if (strcmp(type, "Metaspace") != 0)
        return refuse(s, "pre_tokenizer", *type ? type : "null");
    if (strcmp(string_of(one, "replacement"), "\xE2\x96\x81") != 0 || !bool_of(one, "split", true))
        return refuse(s, "pre_tokenizer", "a Metaspace of another replacement or without split");
    bool space = bool_of(one, "add_prefix_space", true);
    t->prefix = strcmp(scheme, "never") == 0             ? NEVER
                : strcmp(scheme, "first") == 0           ? FIRST
                : strcmp(scheme, "always") == 0 || space ? ALWAYS
                                                         : NEVER;
    return true;
}

/* -------------------------------------------------------------------------------- reading: pieces
 */

static bool keep_text(source *s, int32_t id, const char *text)
{
    fast_tokenizer *t = s->t;
    t->texts[id] = tg__arena_copy(&t->arena, text);
    if (!t->texts[id])
        tg__fail_memory(s->error);
    return t->texts[id] != NULL;
}

static bool read_vocabulary(source *s, const tg__json *vocabulary)
{
    fast_tokenizer *t = s->t;
    for (uint32_t i = 0; i < vocabulary->count; i++) {
        const tg__json *pair = &vocabulary->items[i];
        bool ok = pair->type == TG__JSON_LIST && pair->count == 2 &&
                  pair->items[0].type == TG__JSON_STRING && pair->items[0].string[0] &&
                  (pair->items[1].type == TG__JSON_REAL || pair->items[1].type == TG__JSON_INTEGER);
        if (!ok)
            return fail(s, "model: vocab", "a list of pieces that are not empty and scores");
        double score = pair->items[1].type == TG__JSON_REAL ? pair->items[1].real
                                                            : (double)pair->items[1].integer;
        if (!(score > -1e30 && score < 1e30))
            return fail(s, "model: vocab", "finite scores");
        if (!tg__unigram_add(&t->unigram, pair->items[0].string, (int32_t)i, score)) {
            tg__fail_memory(s->error);
            return false;
        }
        if (!keep_text(s, (int32_t)i, pair->items[0].string))
            return false;
    }
    return true;
}

/* The largest id of an added token, -1 where there is none; false where one is wrong. */
static bool largest_added(source *s, const tg__json *list, int64_t *largest)
{
    *largest = -1;
    if (!list)
        return true;
    if (list->type != TG__JSON_LIST)
        return fail(s, "added_tokens", "a list");
    for (uint32_t i = 0; i < list->count; i++) {
        const tg__json *id = member(&list->items[i], "id");
        size_t length = strlen(string_of(&list->items[i], "content"));
        if (!id || !tg__is_token_id(id) || length == 0 || length > 1024)
            return fail(s, "added_tokens",
                        "tokens with an id from 0 to 16777215 and 1 to 1024 bytes of content");
        *largest = id->integer > *largest ? id->integer : *largest;
    }
    return true;
}

static bool read_added(source *s, const tg__json *list)
{
    for (uint32_t i = 0; list && i < list->count; i++) {
        const tg__json *one = &list->items[i];
        const char *content = string_of(one, "content");
        int32_t id = (int32_t)member(one, "id")->integer;
        if (bool_of(one, "normalized", false))
            return refuse(s, "added_tokens: a token that is normalized", content);
        tg__added_token *token = tg__added_tokens_at(&s->t->added, content);
        if (!token) {
            tg__fail_memory(s->error);
            return false;
        }
        *token =
            (tg__added_token){(uint32_t)id, bool_of(one, "lstrip", false),
                              bool_of(one, "rstrip", false), bool_of(one, "single_word", false)};
        if (!keep_text(s, id, content))
            return false;
    }
    return true;
}

static bool read_model(source *s)
{
    fast_tokenizer *t = s->t;
    const tg__json *model = tg__config_value(s->config, "model");
    const tg__json *list = tg__config_value(s->config, "added_tokens");
    const tg__json *vocabulary = member(model, "vocab"), *unknown = member(model, "unk_id");
    const char *type = string_of(model, "type");
    int64_t largest;
    if (strcmp(type, "Unigram") != 0)
        return refuse(s, "model", *type ? type : "none");
    if (bool_of(model, "byte_fallback", false))
        return refuse(s, "model", "byte_fallback");
    if (!vocabulary || vocabulary->type != TG__JSON_LIST || vocabulary->count == 0 ||
        vocabulary->count > TG__TOKEN_ID_LIMIT)
        return fail(s, "model: vocab", "a list of pieces and scores");
    if (!unknown || unknown->type != TG__JSON_INTEGER || unknown->integer < 0 ||
        unknown->integer >= vocabulary->count)
        return fail(s, "model: unk_id", "the place of a piece");
    if (!largest_added(s, list, &largest))
        return false;
    t->unknown = (int32_t)unknown->integer;
    t->base.size = (int)(largest >= vocabulary->count ? largest + 1 : vocabulary->count);
    t->texts = calloc((size_t)t->base.size, sizeof *t->texts);
    if (!t->texts) {
        tg__fail_memory(s->error);
        return false;
    }
    return read_vocabulary(s, vocabulary) && read_added(s, list);
}

/* The id of a special token; -1 and an error where there is none. */
static int32_t special(source *s, const char *content)
{
    const fast_tokenizer *t = s->t;
    for (int32_t i = 0; i < t->base.size; i++)
        if (t->texts[i] && strcmp(t->texts[i], content) == 0)
            return i;
    fail(s, "the vocabulary", content);
    return -1;
}

static void read_file(fast_tokenizer *t, const char *folder, tg__error *error)
{
    tg__token_settings settings = {.end = "</s>", .unknown = "<unk>", .pad = "<pad>"};
    source s = {t, tg__token_source_open(folder, "tokenizer.json", error), error};
    if (s.config && tg__token_settings_read(&settings, folder, error) == TG_OK && read_model(&s) &&
        read_chain(&s, "normalizer", "normalizers", read_normalizer) &&
        read_chain(&s, "pre_tokenizer", "pretokenizers", read_pre_tokenizer)) {
        t->base.context = settings.context;
        t->base.end = special(&s, settings.end);
        t->base.pad = special(&s, settings.pad);
    }
    tg__token_settings_free(&settings);
    tg__config_close(s.config);
}

static void close(tg__tokenizer *tokenizer)
{
    fast_tokenizer *t = (fast_tokenizer *)tokenizer;
    tg__unigram_free(&t->unigram);
    tg__added_tokens_free(&t->added);
    tg__arena_free(&t->arena);
    free(t->texts);
    free(t->charsmap_data);
    free(t);
}

static tg__tokenizer *open(const char *folder, tg__error *error)
{
    fast_tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        tg__fail_memory(error);
        return NULL;
    }
    t->base.class = &tg__t5_fast_tokenizer_class;
    read_file(t, folder, error);
    if (!tg__failed(error))
        return &t->base;
    close(&t->base);
    return NULL;
}

/* ---------------------------------------------------------------------------------- normalizing */

/* One text on its way. */
typedef struct work {
    const fast_tokenizer *t;
    tg__chars text, now, next; /* now: of a segment, as far as it is normalized; next: made of it */
    tg__chars pieces;          /* the result: codes are ids */
    char *bytes;               /* of a word */
    uint32_t *ends;
} work;

static bool is_space(int32_t code)
{
    return (code >= 9 && code <= 13) || code == ' ' || code == 0x85 || code == 0xA0 ||
           code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
           code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

/* Of the characters in [first, last) what the table makes of them; *found: it has them. */
static bool map(work *w, size_t first, size_t last, bool *found)
{
    char key[16];
    size_t length = 0;
    for (size_t i = first; i < last && length <= sizeof key - 4; i++)
        length += (size_t)tg__utf8_put(key + length, w->now.at[i].code);
    const char *to = tg__charsmap_find(&w->t->charsmap, key, length);
    *found = to != NULL;
    while (to && *to) {
        int32_t code = tg__utf8_next(&to);
        uint32_t end = *to ? tg__chars_before(&w->now, first) : w->now.at[last - 1].end;
        if (!tg__chars_push(&w->next, code < 0 ? 0xFFFD : code, end))
            return false;
    }
    return true;
}

/* The reference asks the table for whole graphemes of up to 5 bytes first. */
static bool map_all(work *w)
{
    size_t count = w->now.count;
    for (size_t first = 0, last; first < count; first = last) {
        utf8proc_int32_t state = 0;
        size_t bytes = 0;
        for (last = first; last < count; last++) {
            char ignored[4];
            if (last > first && utf8proc_grapheme_break_stateful(w->now.at[last - 1].code,
                                                                 w->now.at[last].code, &state))
                break;
            bytes += (size_t)tg__utf8_put(ignored, w->now.at[last].code);
        }
        bool found = false;
        if (bytes < 6 && !map(w, first, last, &found))
            return false;
        for (size_t i = first; !found && i < last; i++) {
            bool one;
            if (!map(w, i, i + 1, &one) ||
                (!one && !tg__chars_push(&w->next, w->now.at[i].code, w->now.at[i].end)))
                return false;
        }
    }
    return true;
}

static bool join_spaces(work *w)
{
    for (size_t i = 0, last; i < w->now.count; i = last) {
        for (last = i; last < w->now.count && w->now.at[last].code == ' '; last++)
            ;
        last = last > i ? last : i + 1;
        if (!tg__chars_push(&w->next, last > i + 1 ? w->t->joined : w->now.at[i].code,
                            w->now.at[last - 1].end))
            return false;
    }
    return true;
}

static bool copy(work *w, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++)
        if (!tg__chars_push(&w->next, w->now.at[i].code, w->now.at[i].end))
            return false;
    return true;
}

static bool apply(work *w, step what)
{
    size_t first = 0, last = w->now.count;
    switch (what) {
    case PRECOMPILED:
        return map_all(w);
    case JOIN_SPACES:
        return join_spaces(w);
    case STRIP_LEFT:
        while (first < last && is_space(w->now.at[first].code))
            first++;
        return copy(w, first, last);
    default:
        while (last > first && is_space(w->now.at[last - 1].code))
            last--;
        return copy(w, first, last);
    }
}

static bool normalize(work *w, size_t start, size_t stop)
{
    w->now.count = 0;
    w->now.start = tg__chars_before(&w->text, start);
    for (size_t i = start; i < stop; i++)
        if (!tg__chars_push(&w->now, w->text.at[i].code, w->text.at[i].end))
            return false;
    for (int i = 0; i < w->t->step_count; i++) {
        w->next.count = 0;
        w->next.start = w->now.start;
        if (!apply(w, w->t->steps[i]))
            return false;
        tg__chars made = w->next;
        w->next = w->now;
        w->now = made;
    }
    return true;
}

/* ----------------------------------------------------------------------------------- splitting */

static bool take(void *context, int32_t id, size_t end)
{
    work *w = context;
    return tg__chars_push(&w->pieces, id < 0 ? w->t->unknown : id, w->ends[end - 1]);
}

/* The characters [first, last), which may have a space put before them. */
static bool split_word(work *w, size_t first, size_t last, bool prefix)
{
    size_t length = 0;
    for (size_t i = first; i < last + prefix; i++) {
        bool put = prefix && i == first;
        const tg__char *c = put ? NULL : &w->now.at[i - prefix];
        int n = tg__utf8_put(w->bytes + length, put ? UNDERLINE : c->code);
        for (int j = 0; j < n; j++)
            w->ends[length++] =
                put || j < n - 1 ? tg__chars_before(&w->now, i - (put ? 0 : prefix)) : c->end;
    }
    return tg__unigram_split(&w->t->unigram, w->bytes, length, take, w);
}

/* A word begins at each space; the first of a run may get one. */
static bool split_run(work *w, size_t first, size_t last, bool at_start)
{
    const fast_tokenizer *t = w->t;
    for (size_t i = first; i < last; i++)
        if (w->now.at[i].code == ' ')
            w->now.at[i].code = UNDERLINE;
    bool prefix = first < last && w->now.at[first].code != UNDERLINE &&
                  (t->prefix == ALWAYS || (t->prefix == FIRST && at_start));
    while (first < last) {
        size_t end = first + 1;
        while (end < last && w->now.at[end].code != UNDERLINE)
            end++;
        if (!split_word(w, first, end, prefix))
            return false;
        prefix = false;
        first = end;
    }
    return true;
}

static bool split_text(work *w, size_t start, size_t stop)
{
    if (start == stop)
        return true;
    if (!normalize(w, start, stop))
        return false;
    size_t count = w->now.count;
    free(w->bytes);
    free(w->ends);
    w->bytes = malloc(4 * count + 4);
    w->ends = malloc((4 * count + 4) * sizeof *w->ends);
    if (!w->bytes || !w->ends)
        return false;
    if (!w->t->split_spaces)
        return split_run(w, 0, count, start == 0);
    for (size_t first = 0, last; first < count; first = last + (last == first)) {
        for (last = first; last < count && !is_space(w->now.at[last].code); last++)
            ;
        if (!split_run(w, first, last, start == 0 && first == 0))
            return false;
    }
    return true;
}

/* ---------------------------------------------------------------------------------- added tokens
 */

static bool is_word(int32_t code)
{
    utf8proc_category_t c = utf8proc_category(code);
    return (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_NL) || c == UTF8PROC_CATEGORY_PC;
}

/* The longest token that begins at index at; *end: where it ends. NULL: none does. */
static const tg__added_token *token_at(const work *w, size_t at, size_t *end)
{
    const tg__added_tokens *added = &w->t->added;
    const tg__added_token *found = NULL;
    uint32_t node = 0;
    for (size_t i = at; i < w->text.count; i++) {
        node = tg__pair_map_get(&added->edges, node, (uint32_t)w->text.at[i].code);
        if (node == TG__NO_VALUE)
            break;
        if (added->tokens[node].piece != TG__NO_VALUE) {
            found = &added->tokens[node];
            *end = i + 1;
        }
    }
    return found;
}

static bool stands_alone(const work *w, size_t start, size_t stop)
{
    return (start == 0 || !is_word(w->text.at[start - 1].code)) &&
           (stop == w->text.count || !is_word(w->text.at[stop].code));
}

static bool split_all(work *w)
{
    size_t done = 0, count = w->text.count, end = 0;
    for (size_t at = 0; at < count;) {
        const tg__added_token *token = w->t->added.count > 0 ? token_at(w, at, &end) : NULL;
        if (!token || (token->single_word && !stands_alone(w, at, end))) {
            at = token ? end : at + 1;
            continue;
        }
        size_t start = at, stop = end;
        while (token->left && start > done && is_space(w->text.at[start - 1].code))
            start--;
        while (token->right && stop < count && is_space(w->text.at[stop].code))
            stop++;
        if (!split_text(w, done, start > done ? start : done) ||
            !tg__chars_push(&w->pieces, (int32_t)token->piece, w->text.at[stop - 1].end))
            return false;
        done = stop;
        at = stop > end ? stop : end;
    }
    return split_text(w, done, count);
}

static tg_status split(const tg__tokenizer *tokenizer, const char *text, tg__tokens *tokens,
                       tg__error *error)
{
    work w = {.t = (const fast_tokenizer *)tokenizer};
    const fast_tokenizer *t = w.t;
    size_t length = strlen(text);
    bool ok = tg__chars_decode(&w.text, text) && split_all(&w) &&
              tg__chars_push(&w.pieces, t->base.end, (uint32_t)length) &&
              tg__tokens_new(tokens, w.pieces.count);
    for (size_t i = 0; ok && i < w.pieces.count; i++) {
        tokens->ids[i] = w.pieces.at[i].code;
        tokens->pieces[i] = t->texts[w.pieces.at[i].code];
        tokens->ends[i] = w.pieces.at[i].end;
    }
    tg__chars_free(&w.text);
    tg__chars_free(&w.now);
    tg__chars_free(&w.next);
    tg__chars_free(&w.pieces);
    free(w.bytes);
    free(w.ends);
    return ok ? TG_OK : tg__fail_memory(error);
}

const tg__tokenizer_class tg__t5_fast_tokenizer_class = {
    .names = (const char *const[]){"T5TokenizerFast", "T5Tokenizer", NULL},
    .file = "tokenizer.json",
    .frame = 1,
    .open = open,
    .close = close,
    .split = split,
};
