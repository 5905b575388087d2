/* SPDX-License-Identifier: MIT */
/* The JSON reader: recursive descent over a text that is decoded in place. The items of a list or
 * object that is still open wait on a stack; when it closes they move into memory of its own, so
 * that an object can be sorted by key once and searched by halving. */
#include "io/json.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/utf8.h"

enum { MOST_LEVELS = 200 };

struct tg__json_text {
    char *text;
    tg__arena arena;
    tg__json root;
};

typedef struct parser {
    char *at, *end, *line_start;
    int line, levels;
    tg__json *stack;
    size_t used, room;
    size_t values, most_values;
    locale_t c_locale; /* numbers have a point, whatever the program's locale says */
    tg__arena *arena;
    const char *where;
    tg__error *error;
} parser;

/* ------------------------------------------------------------------------------------ errors */

/* Always false, as the functions that fail. */
__attribute__((format(printf, 2, 3))) static bool fail(parser *p, const char *format, ...)
{
    char what[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    tg__fail(p->error, TG_ERROR_FORMAT, "%s: line %d, column %lld: %s", p->where, p->line,
             (long long)(p->at - p->line_start) + 1, what);
    return false;
}

static bool expected(parser *p, const char *what)
{
    unsigned char c = (unsigned char)*p->at;
    if (p->at == p->end)
        return fail(p, "found the end, expected %s", what);
    if (c <= ' ' || c >= 0x7F)
        return fail(p, "found byte 0x%02x, expected %s", c, what);
    return fail(p, "found '%c', expected %s", c, what);
}

/* ----------------------------------------------------------------------------------- strings */

static int32_t four_hex_digits(const char *at)
{
    int32_t code = 0;
    for (int i = 0; i < 4; i++) {
        int c = at[i] | 0x20; /* A to a; the digits have that bit */
        int digit = at[i] >= '0' && at[i] <= '9' ? at[i] - '0' : c >= 'a' && c <= 'f' ? c - 87 : -1;
        if (digit < 0)
            return -1;
        code = code << 4 | digit;
    }
    return code;
}

/* \u and its digits, or two of them for a code point above U+FFFF. */
static bool parse_unicode(parser *p, char **dst)
{
    int32_t code = four_hex_digits(p->at + 2);
    if (code < 0)
        return fail(p, "found \\u, expected four hexadecimal digits behind it");
    if (code == 0)
        return fail(p, "found \\u0000, expected a string without zero characters");
    int length = 6;
    if (code >= 0xD800 && code < 0xE000) {
        int32_t low = -1;
        if (code < 0xDC00 && p->at[6] == '\\' && p->at[7] == 'u')
            low = four_hex_digits(p->at + 8);
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(p, "found the lone surrogate \\u%04x, expected a pair", (unsigned)code);
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        length = 12;
    }
    *dst += tg__utf8_put(*dst, code);
    p->at += length;
    return true;
}

static bool parse_escape(parser *p, char **dst)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    char letter = p->at[1];
    if (letter == 'u')
        return parse_unicode(p, dst);
    const char *found = letter ? strchr(letters, letter) : NULL;
    if (!found)
        return fail(p, "found a backslash, expected an escape that JSON knows");
    *(*dst)++ = meanings[found - letters];
    p->at += 2;
    return true;
}

/* p->at is at the opening quote. What is decoded is never longer than what it was, so it takes the
 * same place, and its terminator that of the closing quote at the latest. */
static bool parse_string(parser *p, const char **string)
{
    char *dst = ++p->at;
    *string = dst;
    while (p->at < p->end && *p->at != '"') {
        unsigned char c = (unsigned char)*p->at;
        const char *next = p->at;
        if (c == '\\') {
            if (!parse_escape(p, &dst))
                return false;
        } else if (c < ' ') {
            return fail(p, "found byte 0x%02x in a string, expected it escaped", c);
        } else if (tg__utf8_next(&next) < 0) {
            return fail(p, "found byte 0x%02x in a string, expected UTF-8", c);
        } else {
            while (p->at < next)
                *dst++ = *p->at++;
        }
    }
    if (p->at == p->end)
        return expected(p, "'\"' that ends a string");
    *dst = '\0';
    p->at++;
    return true;
}

/* ----------------------------------------------------------------------------------- numbers */

/* One digit or more. */
static bool skip_digits(char **at)
{
    const char *start = *at;
    while (**at >= '0' && **at <= '9')
        (*at)++;
    return *at > start;
}

/* The end of the number at p->at by JSON's grammar; NULL is a failure. */
static char *end_of_number(parser *p, bool *integer)
{
    char *at = p->at;
    *integer = true;
    at += *at == '-';
    if (*at == '0')
        at++;
    else if (!skip_digits(&at))
        goto fail;
    if (*at == '.') {
        *integer = false;
        at++;
        if (!skip_digits(&at))
            goto fail;
    }
    if (*at == 'e' || *at == 'E') {
        *integer = false;
        at++;
        at += *at == '-' || *at == '+';
        if (!skip_digits(&at))
            goto fail;
    }
    return at;
fail:
    p->at = at;
    expected(p, "a digit");
    return NULL;
}

static bool parse_number(parser *p, tg__json *value)
{
    bool integer;
    char *end = end_of_number(p, &integer);
    if (!end)
        return false;
    int shown = end - p->at > 40 ? 40 : (int)(end - p->at);
    errno = 0;
    if (integer) {
        value->type = TG__JSON_INTEGER;
        value->integer = strtoll(p->at, NULL, 10);
        if (errno == ERANGE)
            return fail(p, "found %.*s, expected an integer of 64 bits", shown, p->at);
    } else {
        value->type = TG__JSON_REAL;
        value->real = strtod_l(p->at, NULL, p->c_locale);
        if (isinf(value->real))
            return fail(p, "found %.*s, expected a number of 64 bits", shown, p->at);
    }
    p->at = end;
    return true;
}

/* ------------------------------------------------------------------------- lists and objects */

static void skip_space(parser *p)
{
    for (; p->at < p->end; p->at++) {
        if (*p->at == '\n') {
            p->line++;
            p->line_start = p->at + 1;
        } else if (*p->at != ' ' && *p->at != '\t' && *p->at != '\r') {
            return;
        }
    }
}

static bool push(parser *p, const tg__json *value)
{
    if (!tg__grow((void **)&p->stack, p->used, &p->room, sizeof *p->stack)) {
        tg__fail_memory(p->error);
        return false;
    }
    p->stack[p->used++] = *value;
    return true;
}

/* Takes everything above mark from the stack. */
static bool close_items(parser *p, size_t mark, tg__json *container)
{
    size_t count = p->used - mark;
    p->used = mark;
    container->count = (uint32_t)count;
    if (count == 0)
        return true;
    container->items = tg__arena_take(p->arena, count, sizeof *container->items);
    if (!container->items) {
        tg__fail_memory(p->error);
        return false;
    }
    memcpy(container->items, p->stack + mark, count * sizeof *container->items);
    return true;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const tg__json *)a)->key, ((const tg__json *)b)->key);
}

static bool sort_members(parser *p, tg__json *object)
{
    if (object->count < 2)
        return true;
    qsort(object->items, object->count, sizeof *object->items, by_key);
    for (uint32_t i = 1; i < object->count; i++) {
        if (by_key(&object->items[i - 1], &object->items[i]) == 0) {
            char key[128];
            return fail(p, "the key %s is there twice",
                        tg__printable(key, sizeof key, object->items[i].key));
        }
    }
    return true;
}

static bool parse_value(parser *p, tg__json *value);

/* "key": before a member's value. */
static bool parse_key(parser *p, tg__json *member)
{
    if (*p->at != '"')
        return expected(p, "a key in quotes");
    if (!parse_string(p, &member->key))
        return false;
    skip_space(p);
    if (*p->at != ':')
        return expected(p, "':'");
    p->at++;
    skip_space(p);
    return true;
}

/* p->at is at '[' or '{'. */
static bool parse_items(parser *p, tg__json *container)
{
    bool object = *p->at == '{';
    char closing = object ? '}' : ']';
    size_t mark = p->used;
    container->type = object ? TG__JSON_OBJECT : TG__JSON_LIST;
    if (++p->levels > MOST_LEVELS)
        return fail(p, "more than %d levels of lists and objects", MOST_LEVELS);
    p->at++;
    skip_space(p);
    for (bool first = true; *p->at != closing; first = false) {
        tg__json item = {0};
        if (!first) {
            if (*p->at != ',')
                return expected(p, object ? "',' or '}'" : "',' or ']'");
            p->at++;
            skip_space(p);
        }
        if ((object && !parse_key(p, &item)) || !parse_value(p, &item) || !push(p, &item))
            return false;
        skip_space(p);
    }
    p->levels--;
    if (!close_items(p, mark, container) || (object && !sort_members(p, container)))
        return false;
    p->at++;
    return true;
}

/* ------------------------------------------------------------------------------------ values */

static bool parse_word(parser *p, tg__json *value)
{
    static const struct {
        const char *word;
        tg__json value;
    } words[] = {
        {"null", {.type = TG__JSON_NULL}},
        {"true", {.type = TG__JSON_BOOL, .boolean = true}},
        {"false", {.type = TG__JSON_BOOL, .boolean = false}},
        {"NaN", {.type = TG__JSON_REAL, .real = NAN}},
        {"Infinity", {.type = TG__JSON_REAL, .real = INFINITY}},
        {"-Infinity", {.type = TG__JSON_REAL, .real = -INFINITY}},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if (strncmp(p->at, words[i].word, length) == 0) {
            const char *key = value->key;
            *value = words[i].value;
            value->key = key;
            p->at += length;
            return true;
        }
    }
    return expected(p, "a value");
}

static bool parse_value(parser *p, tg__json *value)
{
    char c = *p->at;
    if (++p->values > p->most_values)
        return fail(p, "more than %zu values", p->most_values);
    if (c == '{' || c == '[')
        return parse_items(p, value);
    if (c == '"') {
        value->type = TG__JSON_STRING;
        return parse_string(p, &value->string);
    }
    if ((c >= '0' && c <= '9') || (c == '-' && p->at[1] != 'I'))
        return parse_number(p, value);
    return parse_word(p, value);
}

tg__json_text *tg__json_parse(char *text, size_t length, size_t most_values, const char *where,
                              tg__error *error)
{
    tg__json_text *parsed = calloc(1, sizeof *parsed);
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    bool ok = false;
    if (!parsed || !c_locale) {
        tg__fail_memory(error);
    } else {
        parser p = {.at = text,
                    .end = text + length,
                    .line_start = text,
                    .line = 1,
                    .most_values = most_values,
                    .c_locale = c_locale,
                    .arena = &parsed->arena,
                    .where = where,
                    .error = error};
        skip_space(&p);
        ok = parse_value(&p, &parsed->root);
        skip_space(&p);
        if (ok && p.at < p.end)
            ok = expected(&p, "nothing more");
        free(p.stack);
    }
    if (c_locale)
        freelocale(c_locale);
    if (parsed)
        parsed->text = text;
    else
        free(text);
    if (ok)
        return parsed;
    tg__json_free(parsed);
    return NULL;
}

void tg__json_free(tg__json_text *text)
{
    if (!text)
        return;
    tg__arena_free(&text->arena);
    free(text->text);
    free(text);
}

tg__json *tg__json_root(tg__json_text *text) { return &text->root; }

tg__json *tg__json_member(const tg__json *object, const char *key)
{
    tg__json wanted = {.key = key};
    if (object->count == 0)
        return NULL;
    return bsearch(&wanted, object->items, object->count, sizeof wanted, by_key);
}

/* ---------------------------------------------------------------------- comparing and showing */

bool tg__json_equal(const tg__json *a, const tg__json *b)
{
    if (a->type == TG__JSON_INTEGER && b->type == TG__JSON_REAL)
        return (double)a->integer == b->real;
    if (a->type == TG__JSON_REAL && b->type == TG__JSON_INTEGER)
        return tg__json_equal(b, a);
    if (a->type != b->type || a->count != b->count)
        return false;
    switch ((tg__json_type)a->type) {
    case TG__JSON_NULL:
        return true;
    case TG__JSON_BOOL:
        return a->boolean == b->boolean;
    case TG__JSON_INTEGER:
        return a->integer == b->integer;
    case TG__JSON_REAL:
        return a->real == b->real;
    case TG__JSON_STRING:
        return strcmp(a->string, b->string) == 0;
    case TG__JSON_LIST:
    case TG__JSON_OBJECT:
        break;
    }
    for (uint32_t i = 0; i < a->count; i++)
        if ((a->type == TG__JSON_OBJECT && by_key(&a->items[i], &b->items[i]) != 0) ||
            !tg__json_equal(&a->items[i], &b->items[i]))
            return false;
    return true;
}

typedef struct writer {
    char *dst;
    size_t used, room; /* room is kept behind it for "..." */
    bool full;
} writer;

static void put(writer *w, const char *piece, size_t length)
{
    if (w->full || length > w->room - w->used) {
        w->full = true;
        return;
    }
    memcpy(w->dst + w->used, piece, length);
    w->used += length;
}

static void put_word(writer *w, const char *word) { put(w, word, strlen(word)); }

static void put_string(writer *w, const char *text)
{
    put(w, "\"", 1);
    while (*text && !w->full) {
        const char *start = text;
        char escape[8];
        int32_t code = tg__utf8_next(&text);
        if (code == '"' || code == '\\')
            put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\%c", (char)code));
        else if (code < ' ' || (code >= 0x7F && code < 0xA0))
            put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", code & 0xFFFF));
        else
            put(w, start, (size_t)(text - start));
    }
    put(w, "\"", 1);
}

/* As few digits as give the same number back. */
static void put_real(writer *w, double real)
{
    char digits[40];
    if (isnan(real) || isinf(real)) {
        put_word(w, isnan(real) ? "NaN" : real < 0 ? "-Infinity" : "Infinity");
        return;
    }
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, real);
        if (strtod(digits, NULL) == real)
            break;
    }
    if (!strpbrk(digits, ".,e"))
        strcat(digits, ".0");
    put_word(w, digits);
}

static void put_value(writer *w, const tg__json *value)
{
    char digits[24];
    bool object = value->type == TG__JSON_OBJECT;
    switch ((tg__json_type)value->type) {
    case TG__JSON_NULL:
        put_word(w, "null");
        break;
    case TG__JSON_BOOL:
        put_word(w, value->boolean ? "true" : "false");
        break;
    case TG__JSON_INTEGER:
        put(w, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)value->integer));
        break;
    case TG__JSON_REAL:
        put_real(w, value->real);
        break;
    case TG__JSON_STRING:
        put_string(w, value->string);
        break;
    case TG__JSON_LIST:
    case TG__JSON_OBJECT:
        put(w, object ? "{" : "[", 1);
        for (uint32_t i = 0; i < value->count && !w->full; i++) {
            put(w, ",", i > 0);
            if (object) {
                put_string(w, value->items[i].key);
                put(w, ":", 1);
            }
            put_value(w, &value->items[i]);
        }
        put(w, object ? "}" : "]", 1);
        break;
    }
}

const char *tg__json_show(const tg__json *value, char *dst, size_t size)
{
    writer w = {.dst = dst, .room = size - 4};
    put_value(&w, value);
    memcpy(dst + w.used, w.full ? "..." : "", w.full ? 4 : 1);
    return dst;
}
