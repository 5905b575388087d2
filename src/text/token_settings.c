/* SPDX-License-Identifier: MIT */
/* A folder saved by a later version of the reference has everything in tokenizer_config.json, under
 * added_tokens_decoder among others. Before that, added_tokens.json listed the tokens beside the
 * vocabulary, and special_tokens_map.json had the last word on what the special ones are. */
#include "text/token_settings.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"

enum {
    MOST_TOKEN_BYTES = 1024, /* of an added token: a search may follow that many at once */
    USUAL_CONTEXT = 77,
    SHOWN_BYTES = 200,
};

/* ---------------------------------------------------------------------------------- one token */

tg_status tg__token_settings_push(tg__token_settings *s, tg__token_added added, tg__error *error)
{
    if (!tg__grow((void **)&s->added, s->count, &s->room, sizeof *s->added))
        return tg__fail_memory(error);
    s->added[s->count++] = added;
    return TG_OK;
}

static tg_status check_content(tg__config *source, const char *key, const char *content,
                               tg__error *error)
{
    char shown[SHOWN_BYTES];
    size_t length = strlen(content);
    if (length > 0 && length <= MOST_TOKEN_BYTES)
        return TG_OK;
    return tg__fail(error, TG_ERROR_FORMAT,
                    "%s: the token of %s is %zu bytes long, expected 1 to %d",
                    tg__config_where(source), tg__printable(shown, sizeof shown, key), length,
                    MOST_TOKEN_BYTES);
}

static tg_status read_bool(tg__config *source, const tg__json *object, const char *key, bool *dst)
{
    const tg__json *value = tg__json_member(object, key);
    if (value && value->type != TG__JSON_BOOL)
        return tg__config_fail(source, key, value, "true or false");
    *dst = value && value->boolean;
    return TG_OK;
}

/* A token is written as a string or as an object. */
static tg_status read_token(tg__config *source, const char *key, const tg__json *value,
                            tg__token_added *token, tg__error *error)
{
    const tg__json *content = value;
    *token = (tg__token_added){.id = -1};
    if (value->type == TG__JSON_OBJECT) {
        content = tg__json_member(value, "content");
        if (read_bool(source, value, "lstrip", &token->left) != TG_OK ||
            read_bool(source, value, "rstrip", &token->right) != TG_OK ||
            read_bool(source, value, "single_word", &token->single_word) != TG_OK)
            return error->status;
    }
    if (!content || content->type != TG__JSON_STRING)
        return tg__config_fail(source, key, value,
                               "a string, or an object with the string content");
    token->content = content->string;
    return check_content(source, key, token->content, error);
}

/* ----------------------------------------------------------------------------- tokens with ids */

/* Only digits. */
static bool parse_id(const char *text, int32_t *id)
{
    const char *digit = text;
    *id = 0;
    for (; *digit >= '0' && *digit <= '9' && *id < TG__TOKEN_ID_LIMIT; digit++)
        *id = 10 * *id + (*digit - '0');
    return digit > text && *digit == '\0' && *id < TG__TOKEN_ID_LIMIT;
}

/* added_tokens_decoder: id to token. */
static tg_status read_decoder(tg__token_settings *s, const tg__json *decoder, tg__error *error)
{
    if (decoder->type != TG__JSON_OBJECT)
        return tg__config_fail(s->config, "added_tokens_decoder", decoder, "an object");
    for (uint32_t i = 0; i < decoder->count; i++) {
        const tg__json *item = &decoder->items[i];
        const tg__json key = {.type = TG__JSON_STRING, .string = item->key};
        tg__token_added token;
        int32_t id;
        if (!parse_id(item->key, &id))
            return tg__config_fail(s->config, "a key of added_tokens_decoder", &key,
                                   TG__EXPECTED_TOKEN_ID);
        if (item->type != TG__JSON_OBJECT)
            return tg__config_fail(s->config, item->key, item, "an object");
        if (read_token(s->config, item->key, item, &token, error) != TG_OK)
            return error->status;
        token.id = id;
        if (tg__token_settings_push(s, token, error) != TG_OK)
            return error->status;
    }
    return TG_OK;
}

/* added_tokens.json: content to id. */
static tg_status read_ids(tg__token_settings *s, tg__error *error)
{
    const tg__json *ids = tg__config_tree(s->ids);
    for (uint32_t i = 0; ids && i < ids->count; i++) {
        const tg__json *item = &ids->items[i];
        if (!tg__is_token_id(item))
            return tg__config_fail(s->ids, item->key, item, TG__EXPECTED_TOKEN_ID);
        tg__token_added token = {.content = item->key, .id = (int32_t)item->integer};
        if (check_content(s->ids, item->key, item->key, error) != TG_OK ||
            tg__token_settings_push(s, token, error) != TG_OK)
            return error->status;
    }
    return TG_OK;
}

/* ------------------------------------------------------------------------------ special tokens */

/* Where special tokens are among the added ones, those with a name of their own. The first of them
 * with some content settles its flags. */
typedef struct special_range {
    size_t first, last;
    bool overrides; /* the flags of an object count more than added_tokens_decoder's */
} special_range;

static tg_status add_special(tg__token_settings *s, const special_range *range,
                             tg__token_added token, tg__error *error)
{
    for (size_t i = range->first; i < range->last; i++)
        if (strcmp(s->added[i].content, token.content) == 0)
            return TG_OK;
    return tg__token_settings_push(s, token, error);
}

/* Reads one with a name. It is *content unless the files name another; if both are NULL, there is
 * none. */
static tg_status read_special(tg__token_settings *s, special_range *range, const char *key,
                              const char **content, tg__error *error)
{
    tg__config *source = s->map;
    const tg__json *value = tg__config_value(source, key);
    tg__token_added token = {.content = *content, .id = -1};
    if (!value) {
        source = s->config;
        value = tg__config_value(source, key);
    }
    if (value && value->type != TG__JSON_NULL) {
        if (read_token(source, key, value, &token, error) != TG_OK)
            return error->status;
        token.overrides = range->overrides && value->type == TG__JSON_OBJECT;
    }
    *content = token.content;
    if (token.content && add_special(s, range, token, error) != TG_OK)
        return error->status;
    range->last = s->count;
    return TG_OK;
}

static tg_status read_more_specials(tg__token_settings *s, const special_range *range,
                                    tg__config *source, tg__error *error)
{
    static const char key[] = "additional_special_tokens";
    const tg__json *list = tg__config_value(source, key);
    if (!list || list->type == TG__JSON_NULL)
        return TG_OK;
    if (list->type != TG__JSON_LIST)
        return tg__config_fail(source, key, list, "a list");
    for (uint32_t i = 0; i < list->count; i++) {
        tg__token_added token;
        if (read_token(source, key, &list->items[i], &token, error) != TG_OK)
            return error->status;
        token.overrides = list->items[i].type == TG__JSON_OBJECT;
        if (add_special(s, range, token, error) != TG_OK)
            return error->status;
    }
    return TG_OK;
}

/* The order decides which ids new tokens get. */
static tg_status read_specials(tg__token_settings *s, bool overrides, tg__error *error)
{
    const char *separator = NULL, *class = NULL, *mask = NULL;
    const struct {
        const char *key, **content;
    } named[] = {{"bos_token", &s->begin},  {"eos_token", &s->end}, {"unk_token", &s->unknown},
                 {"sep_token", &separator}, {"pad_token", &s->pad}, {"cls_token", &class},
                 {"mask_token", &mask}};
    s->first_special = s->count;
    special_range range = {.first = s->count, .last = s->count, .overrides = overrides};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++)
        if (read_special(s, &range, named[i].key, named[i].content, error) != TG_OK)
            return error->status;
    if (read_more_specials(s, &range, s->config, error) != TG_OK)
        return error->status;
    return read_more_specials(s, &range, s->map, error);
}

/* ------------------------------------------------------------------------------------ the rest */

static tg_status read_context(tg__token_settings *s)
{
    const char *key = "model_max_length";
    const tg__json *value = tg__config_value(s->config, key);
    if (!value) {
        key = "max_len";
        value = tg__config_value(s->config, key);
    }
    s->context = INT32_MAX;
    if (!value || value->type == TG__JSON_NULL)
        return TG_OK;
    double number = value->type == TG__JSON_INTEGER ? (double)value->integer
                    : value->type == TG__JSON_REAL  ? value->real
                                                    : 0;
    if (!(number >= 2) || (number < INT32_MAX && number != (double)(int32_t)number))
        return tg__config_fail(s->config, key, value, "a whole number from 2");
    if (number < INT32_MAX)
        s->context = (int)number;
    return TG_OK;
}

/* The begin token comes first and padding last, in everything we do. */
static tg_status check_sides(const tg__token_settings *s, tg__error *error)
{
    static const char *const keys[] = {"padding_side", "truncation_side"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const tg__json *value = tg__config_value(s->config, keys[i]);
        char shown[SHOWN_BYTES];
        if (value && (value->type != TG__JSON_STRING || strcmp(value->string, "right") != 0))
            return tg__fail(
                error, TG_ERROR_UNSUPPORTED, "%s: %s is %s, only \"right\" is implemented",
                tg__config_where(s->config), keys[i], tg__json_show(value, shown, sizeof shown));
    }
    return TG_OK;
}

tg_status tg__token_settings_read(tg__token_settings *s, const char *folder, tg__error *error)
{
    s->config = tg__token_source_open_if_any(folder, "tokenizer_config.json", error);
    if (tg__failed(error))
        return error->status;
    const tg__json *decoder = tg__config_value(s->config, "added_tokens_decoder");
    if (decoder) {
        read_decoder(s, decoder, error);
    } else {
        s->map = tg__token_source_open_if_any(folder, "special_tokens_map.json", error);
        s->ids = tg__token_source_open_if_any(folder, "added_tokens.json", error);
        read_ids(s, error);
    }
    if (tg__failed(error) || read_specials(s, !decoder, error) != TG_OK ||
        read_context(s) != TG_OK || check_sides(s, error) != TG_OK)
        return error->status;
    s->split_added = s->config && tg__config_bool(s->config, "split_special_tokens", false);
    return error->status;
}

tg_status tg__token_settings_usual(tg__token_settings *s, tg__error *error)
{
    s->context = USUAL_CONTEXT;
    return read_specials(s, false, error);
}

/* ------------------------------------------------------------------------- into a vocabulary */

static int32_t count_ids(const tg__pieces *pieces)
{
    int32_t count = 0;
    for (size_t i = 0; i < pieces->count; i++)
        count += pieces->at[i].id >= 0;
    return count;
}

/* next: the id of the next token that is in no file. */
static tg_status add_token(tg__pieces *pieces, tg__added_tokens *all, const tg__token_added *token,
                           int32_t *next, tg__error *error)
{
    uint32_t number = tg__pieces_number(pieces, token->content, strlen(token->content), "", 0);
    tg__added_token *added = tg__added_tokens_at(all, token->content);
    char shown[200];
    if (number == TG__NO_VALUE || !added)
        return tg__fail_memory(error);
    bool known = added->piece != TG__NO_VALUE;
    tg__piece *piece = &pieces->at[number];
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

tg_status tg__token_settings_add(const tg__token_settings *s, tg__pieces *pieces,
                                 tg__added_tokens *added, tg__error *error)
{
    int32_t next = -1;
    for (size_t i = 0; i < s->count; i++) {
        if (next < 0 && s->added[i].id < 0)
            next = count_ids(pieces);
        if (add_token(pieces, added, &s->added[i], &next, error) != TG_OK)
            return error->status;
    }
    return TG_OK;
}

void tg__token_settings_free(tg__token_settings *s)
{
    free(s->added);
    tg__config_close(s->config);
    tg__config_close(s->map);
    tg__config_close(s->ids);
    *s = (tg__token_settings){0};
}
