/* SPDX-License-Identifier: MIT */
/* Configs: typed reads over a JSON object. Whatever is wrong with a value ends in one place, which
 * shows it beside what was expected. */
#include "io/config.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"

enum { MOST_BYTES = 16 << 20, MOST_VALUES = 1 << 20, SHOWN_BYTES = 200 };

struct tg__config {
    tg__json_text *text; /* NULL in a config that belongs to another */
    const tg__json *object;
    char *where;
    tg__error *error;
    tg__config *inner; /* configs of objects inside this one … */
    tg__config *next;  /* … linked by this */
};

/* ------------------------------------------------------------------------------ open, close */

/* Takes over text, which may be NULL. The where of an inner config is "WHERE: KEY". */
static tg__config *new_config(tg__json_text *text, const tg__json *object, const char *where,
                              const char *key, tg__error *error)
{
    size_t bytes = strlen(where) + (key ? strlen(key) + 2 : 0) + 1;
    tg__config *config = calloc(1, sizeof *config);
    char *copy = malloc(bytes);
    if (!config || !copy) {
        tg__json_free(text);
        free(config);
        free(copy);
        tg__fail_memory(error);
        return NULL;
    }
    snprintf(copy, bytes, "%s%s%s", where, key ? ": " : "", key ? key : "");
    *config = (tg__config){.text = text, .object = object, .where = copy, .error = error};
    return config;
}

tg__config *tg__config_take(char *text, size_t length, const char *where, tg__error *error)
{
    tg__json_text *json = tg__json_parse(text, length, MOST_VALUES, where, error);
    if (!json)
        return NULL;
    const tg__json *root = tg__json_root(json);
    if (root->type == TG__JSON_OBJECT)
        return new_config(json, root, where, NULL, error);
    char shown[SHOWN_BYTES];
    tg__fail(error, TG_ERROR_FORMAT, "%s: is %s, expected an object", where,
             tg__json_show(root, shown, sizeof shown));
    tg__json_free(json);
    return NULL;
}

tg__config *tg__config_open(const char *path, const char *where, tg__error *error)
{
    size_t length;
    char *text = tg__file_read_as(path, where, MOST_BYTES, &length, error);
    return text ? tg__config_take(text, length, where, error) : NULL;
}

tg__config *tg__config_parse(const char *text, size_t length, const char *where, tg__error *error)
{
    if (length > MOST_BYTES) {
        tg__fail(error, TG_ERROR_FORMAT, "%s: is %zu bytes long, expected at most %d", where,
                 length, MOST_BYTES);
        return NULL;
    }
    char *copy = malloc(length + 1);
    if (!copy) {
        tg__fail_memory(error);
        return NULL;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    return tg__config_take(copy, length, where, error);
}

void tg__config_close(tg__config *config)
{
    while (config) {
        tg__config *next = config->next;
        tg__config_close(config->inner);
        tg__json_free(config->text);
        free(config->where);
        free(config);
        config = next;
    }
}

const char *tg__config_where(const tg__config *config) { return config->where; }
tg__error *tg__config_error(const tg__config *config) { return config->error; }
const tg__json *tg__config_tree(const tg__config *config) { return config ? config->object : NULL; }

const tg__json *tg__config_value(const tg__config *config, const char *key)
{
    return config ? tg__json_member(config->object, key) : NULL;
}

/* ------------------------------------------------------------------------- looking for keys */

bool tg__config_has(const tg__config *config, const char *key)
{
    return tg__json_member(config->object, key) != NULL;
}

static bool is_null(const tg__json *value) { return !value || value->type == TG__JSON_NULL; }

static bool is_false(const tg__json *value)
{
    return value->type == TG__JSON_BOOL && !value->boolean;
}

bool tg__config_is_set(const tg__config *config, const char *key)
{
    const tg__json *value = tg__json_member(config->object, key);
    return !is_null(value) && !is_false(value);
}

bool tg__config_is_pair(const tg__config *config, const char *key)
{
    const tg__json *value = tg__json_member(config->object, key);
    return value && value->type == TG__JSON_LIST && value->count == 2 &&
           value->items[0].type == TG__JSON_STRING && value->items[1].type == TG__JSON_STRING;
}

const char *tg__config_key(const tg__config *config, int index)
{
    return index >= 0 && (uint32_t)index < config->object->count ? config->object->items[index].key
                                                                 : NULL;
}

bool tg__config_was_read(const tg__config *config, const char *key)
{
    const tg__json *value = tg__json_member(config->object, key);
    return value && value->read;
}

const char *tg__config_show(const tg__config *config, const char *key, char *dst, size_t size)
{
    const tg__json *value = tg__json_member(config->object, key);
    if (value)
        return tg__json_show(value, dst, size);
    snprintf(dst, size, "absent");
    return dst;
}

/* The value, noted as read; NULL if the key is absent. */
static const tg__json *take(tg__config *config, const char *key)
{
    tg__json *value = tg__json_member(config->object, key);
    if (value)
        value->read = true;
    return value;
}

/* The same; NULL where it is null, too. */
static const tg__json *take_set(tg__config *config, const char *key)
{
    const tg__json *value = take(config, key);
    return is_null(value) ? NULL : value;
}

void tg__config_ignore(tg__config *config, const char *key) { take(config, key); }

/* --------------------------------------------------------------------------- what is wrong */

/* Where a value stands: key, or key[index] where index is not negative. */
typedef struct place {
    const char *key;
    int index;
} place;

static void fail_value(tg__config *config, place at, const tg__json *value, const char *expected)
{
    char key[SHOWN_BYTES], index[16] = "", shown[SHOWN_BYTES];
    if (at.index >= 0)
        snprintf(index, sizeof index, "[%d]", at.index);
    tg__fail(config->error, TG_ERROR_FORMAT, "%s: %s%s is %s, expected %s", config->where,
             tg__printable(key, sizeof key, at.key), index,
             tg__json_show(value, shown, sizeof shown), expected);
}

tg_status tg__config_fail(tg__config *config, const char *key, const tg__json *value,
                          const char *expected)
{
    fail_value(config, (place){key, -1}, value, expected);
    return config->error->status;
}

static void describe_integers(char *dst, size_t size, int64_t least, int64_t most)
{
    if (least == INT64_MIN && most == INT64_MAX)
        snprintf(dst, size, "an integer");
    else if (most == INT64_MAX)
        snprintf(dst, size, "an integer of %lld or more", (long long)least);
    else if (least == INT64_MIN)
        snprintf(dst, size, "an integer of %lld or less", (long long)most);
    else
        snprintf(dst, size, "an integer from %lld to %lld", (long long)least, (long long)most);
}

static void describe_numbers(char *dst, size_t size, double least, double most)
{
    bool any_less = least <= -HUGE_VAL, any_more = most >= HUGE_VAL;
    if (any_less && any_more)
        snprintf(dst, size, "a number");
    else if (least <= -DBL_MAX && most >= DBL_MAX)
        snprintf(dst, size, "a finite number");
    else if (any_more)
        snprintf(dst, size, "a number of %g or more", least);
    else if (any_less)
        snprintf(dst, size, "a number of %g or less", most);
    else
        snprintf(dst, size, "a number from %g to %g", least, most);
}

/* ------------------------------------------------------------------------------ one value */

static int64_t as_int(tg__config *config, place at, const tg__json *value, int64_t least,
                      int64_t most, int64_t otherwise)
{
    if (value->type == TG__JSON_INTEGER && value->integer >= least && value->integer <= most)
        return value->integer;
    char expected[96];
    describe_integers(expected, sizeof expected, least, most);
    fail_value(config, at, value, expected);
    return otherwise;
}

int64_t tg__config_int(tg__config *config, const char *key, int64_t least, int64_t most,
                       int64_t otherwise)
{
    const tg__json *value = take(config, key);
    return value ? as_int(config, (place){key, -1}, value, least, most, otherwise) : otherwise;
}

int64_t tg__config_int_or_null(tg__config *config, const char *key, int64_t least, int64_t most,
                               int64_t otherwise)
{
    return take_set(config, key) ? tg__config_int(config, key, least, most, otherwise) : otherwise;
}

/* NaN for what is no number. */
static double number_of(const tg__json *value)
{
    return value->type == TG__JSON_INTEGER ? (double)value->integer
           : value->type == TG__JSON_REAL  ? value->real
                                           : NAN;
}

static double as_number(tg__config *config, place at, const tg__json *value, double least,
                        double most, double otherwise)
{
    double number = number_of(value);
    if (number >= least && number <= most)
        return number;
    char expected[96];
    describe_numbers(expected, sizeof expected, least, most);
    fail_value(config, at, value, expected);
    return otherwise;
}

double tg__config_number(tg__config *config, const char *key, double least, double most,
                         double otherwise)
{
    const tg__json *value = take(config, key);
    return value ? as_number(config, (place){key, -1}, value, least, most, otherwise) : otherwise;
}

double tg__config_number_or_null(tg__config *config, const char *key, double least, double most,
                                 double otherwise)
{
    return take_set(config, key) ? tg__config_number(config, key, least, most, otherwise)
                                 : otherwise;
}

static bool as_bool(tg__config *config, place at, const tg__json *value, bool otherwise)
{
    if (value->type == TG__JSON_BOOL)
        return value->boolean;
    fail_value(config, at, value, "true or false");
    return otherwise;
}

bool tg__config_bool(tg__config *config, const char *key, bool otherwise)
{
    const tg__json *value = take(config, key);
    return value ? as_bool(config, (place){key, -1}, value, otherwise) : otherwise;
}

static const char *as_string(tg__config *config, place at, const tg__json *value,
                             const char *otherwise)
{
    if (value->type == TG__JSON_STRING)
        return value->string;
    fail_value(config, at, value, "a string");
    return otherwise;
}

const char *tg__config_string(tg__config *config, const char *key, const char *otherwise)
{
    const tg__json *value = take_set(config, key);
    return value ? as_string(config, (place){key, -1}, value, otherwise) : otherwise;
}

/* Appends as much of text as fits. */
static void append(char *dst, size_t size, const char *text)
{
    size_t used = strlen(dst);
    snprintf(dst + used, size - used, "%s", text);
}

int tg__config_choice(tg__config *config, const char *key, const char *const *choices,
                      int otherwise)
{
    const char *found = tg__config_string(config, key, NULL);
    if (!found)
        return otherwise;
    for (int i = 0; choices[i]; i++)
        if (strcmp(choices[i], found) == 0)
            return i;
    char shown[SHOWN_BYTES], list[400] = "";
    for (int i = 0; choices[i]; i++) {
        append(list, sizeof list, i == 0 ? "" : choices[i + 1] ? ", " : " or ");
        append(list, sizeof list, choices[i]);
    }
    tg__fail(config->error, TG_ERROR_UNSUPPORTED, "%s: %s %s is not implemented, expected %s",
             config->where, key, tg__config_show(config, key, shown, sizeof shown), list);
    return otherwise;
}

/* ---------------------------------------------------------------------------------- lists */

int tg__config_list(tg__config *config, const char *key, int most)
{
    const tg__json *value = take_set(config, key);
    if (!value)
        return -1;
    if (value->type == TG__JSON_LIST && value->count <= (uint32_t)most)
        return (int)value->count;
    char expected[64];
    snprintf(expected, sizeof expected, "a list of at most %d", most);
    fail_value(config, (place){key, -1}, value, expected);
    return -1;
}

/* An element; NULL, with an error, if there is no such list or it is too short. */
static const tg__json *take_element(tg__config *config, const char *key, int index)
{
    const tg__json *value = take(config, key);
    if (value && value->type == TG__JSON_LIST && index >= 0 && (uint32_t)index < value->count)
        return &value->items[index];
    char shown[SHOWN_BYTES];
    tg__fail(config->error, TG_ERROR_FORMAT, "%s: %s is %s, expected a list of at least %d",
             config->where, key, tg__config_show(config, key, shown, sizeof shown), index + 1);
    return NULL;
}

int64_t tg__config_list_int(tg__config *config, const char *key, int index, int64_t least,
                            int64_t most)
{
    const tg__json *value = take_element(config, key, index);
    return value ? as_int(config, (place){key, index}, value, least, most, least) : least;
}

double tg__config_list_number(tg__config *config, const char *key, int index)
{
    const tg__json *value = take_element(config, key, index);
    if (value && isfinite(number_of(value)))
        return number_of(value);
    if (value)
        fail_value(config, (place){key, index}, value, "a finite number");
    return 0;
}

const char *tg__config_list_string(tg__config *config, const char *key, int index)
{
    const tg__json *value = take_element(config, key, index);
    return value ? as_string(config, (place){key, index}, value, "") : "";
}

/* One value for all n, or a list of n. *value: the key's, NULL if it is absent or null or wrong.
 * what: what one of them is, "an integer from 1 to 4". */
static bool take_each(tg__config *config, const char *key, int n, const char *what,
                      const tg__json **value)
{
    *value = take_set(config, key);
    if (!*value)
        return false;
    if ((*value)->type != TG__JSON_LIST || (*value)->count == (uint32_t)n)
        return true;
    char expected[160];
    snprintf(expected, sizeof expected, "%s or a list of %d", what, n);
    fail_value(config, (place){key, -1}, *value, expected);
    return false;
}

/* The i-th of what take_each has found. */
static const tg__json *each(const tg__json *value, int i, const char *key, place *at)
{
    bool list = value->type == TG__JSON_LIST;
    *at = (place){key, list ? i : -1};
    return list ? &value->items[i] : value;
}

bool tg__config_ints(tg__config *config, const char *key, int n, int64_t least, int64_t most,
                     int64_t otherwise, int *dst)
{
    const tg__json *value;
    char what[96];
    place at;
    most = most < INT_MAX ? most : INT_MAX;
    describe_integers(what, sizeof what, least, most);
    bool set = take_each(config, key, n, what, &value);
    for (int i = 0; i < n; i++) {
        const tg__json *one = set ? each(value, i, key, &at) : NULL;
        dst[i] = (int)(one ? as_int(config, at, one, least, most, otherwise) : otherwise);
    }
    return set;
}

/* One of take_each's, for a row: an integer, or a list of count or more. */
static void read_row(tg__config *config, place at, const tg__json *value, int count, int64_t least,
                     int64_t most, int64_t otherwise, int *row)
{
    bool list = value->type == TG__JSON_LIST;
    if (list && (int64_t)value->count < count) {
        char what[96], expected[160];
        describe_integers(what, sizeof what, least, most);
        snprintf(expected, sizeof expected, "%s or a list of %d", what, count);
        fail_value(config, at, value, expected);
        return;
    }
    if (!list)
        as_int(config, at, value, least, most, otherwise);
    for (int i = 0; i < count; i++)
        row[i] = (int)as_int(config, at, list ? &value->items[i] : value, least, most, otherwise);
}

bool tg__config_int_lists(tg__config *config, const char *key, int n, const int *counts,
                          int64_t least, int64_t most, int64_t otherwise, int *dst, int stride)
{
    const tg__json *value;
    char what[96];
    place at;
    most = most < INT_MAX ? most : INT_MAX;
    describe_integers(what, sizeof what, least, most);
    bool set = take_each(config, key, n, what, &value);
    for (int i = 0; i < n; i++) {
        int *row = dst + (size_t)i * (size_t)stride;
        for (int j = 0; j < counts[i]; j++)
            row[j] = (int)otherwise;
        const tg__json *one = set ? each(value, i, key, &at) : NULL;
        if (one)
            read_row(config, at, one, counts[i], least, most, otherwise, row);
    }
    return set;
}

bool tg__config_bools(tg__config *config, const char *key, int n, bool otherwise, bool *dst)
{
    const tg__json *value;
    place at;
    bool set = take_each(config, key, n, "true or false", &value);
    for (int i = 0; i < n; i++) {
        const tg__json *one = set ? each(value, i, key, &at) : NULL;
        dst[i] = one ? as_bool(config, at, one, otherwise) : otherwise;
    }
    return set;
}

/* -------------------------------------------------------------------- objects and refusals */

void tg__config_refuse_null(tg__config *config, const char *key, const char *expected)
{
    const tg__json *value = take(config, key);
    if (value && is_null(value))
        fail_value(config, (place){key, -1}, value, expected);
}

tg__config *tg__config_object(tg__config *config, const char *key)
{
    const tg__json *value = take_set(config, key);
    if (!value)
        return NULL;
    if (value->type != TG__JSON_OBJECT) {
        fail_value(config, (place){key, -1}, value, "an object");
        return NULL;
    }
    for (tg__config *inner = config->inner; inner; inner = inner->next)
        if (inner->object == value)
            return inner;
    char shown[SHOWN_BYTES];
    tg__config *inner = new_config(NULL, value, config->where,
                                   tg__printable(shown, sizeof shown, key), config->error);
    if (!inner)
        return NULL;
    inner->next = config->inner;
    config->inner = inner;
    return inner;
}

/* Whether value is the one that the JSON text accepted describes. */
static bool is_accepted(tg__config *config, const tg__json *value, const char *accepted)
{
    char text[256];
    int length = snprintf(text, sizeof text, "{\"accepted\":%s}", accepted);
    tg__config *wrapped = tg__config_parse(text, (size_t)length, config->where, config->error);
    bool equal = wrapped && tg__json_equal(value, tg__json_member(wrapped->object, "accepted"));
    tg__config_close(wrapped);
    return equal;
}

void tg__config_refuse(tg__config *config, const char *key, const char *accepted)
{
    const tg__json *value = take_set(config, key);
    if (!value || is_false(value) || (accepted && is_accepted(config, value, accepted)))
        return;
    char shown[SHOWN_BYTES];
    tg__fail(config->error, TG_ERROR_UNSUPPORTED, "%s: %s %s is not implemented", config->where,
             key, tg__json_show(value, shown, sizeof shown));
}
