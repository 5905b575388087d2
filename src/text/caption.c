/* SPDX-License-Identifier: MIT */
/* The expressions are those of DeepFloyd's IF, which PixArt took over: their order and their
 * oddities are what its captions were trained with. */
#include "text/caption.h"

#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "text/caption_tables.h"
#include "text/lower.h"
#include "text/markup.h"
#include "text/nfc.h"
#include "text/unicode.h"

static bool decode(tg__chars *dst, const char *text, tg__error *error)
{
    if (!tg__utf8_check(text, error))
        return false;
    while (*text)
        if (!tg__chars_push(dst, tg__utf8_next(&text), 0)) {
            tg__fail_memory(error);
            return false;
        }
    return true;
}

static bool is_space(const tg__chars *text, size_t i)
{
    return tg__unicode_flags(text->at[i].code) & TG__SPACE;
}

/* Code points [start, stop) as UTF-8; NULL without memory. */
static char *encode(const tg__chars *text, size_t start, size_t stop)
{
    char *made = malloc(4 * (stop - start) + 1), *at = made;
    for (size_t i = start; made && i < stop; i++)
        at += tg__utf8_put(at, text->at[i].code);
    if (made)
        *at = '\0';
    return made;
}

/* Without white space at its ends. */
static char *encode_stripped(const tg__chars *text)
{
    size_t start = 0, stop = text->count;
    while (start < stop && is_space(text, start))
        start++;
    while (stop > start && is_space(text, stop - 1))
        stop--;
    return encode(text, start, stop);
}

char *tg__caption_plain(const char *text, tg__error *error)
{
    tg__chars chars = {0}, low = {0};
    char *made = NULL;
    if (decode(&chars, text, error)) {
        if (tg__chars_lower(&low, &chars))
            made = encode_stripped(&low);
        if (!made)
            tg__fail_memory(error);
    }
    tg__chars_free(&chars);
    tg__chars_free(&low);
    return made;
}

/* ------------------------------------------------------------------------- percents, lower case */

static int hex_digit(int32_t c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c > 0 && c < 128 ? strchr(digits, c >= 'A' && c <= 'F' ? c | 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* A byte of a run of ASCII, escaped or not, behind which *at then is. */
static int byte_at(const tg__chars *text, size_t *at)
{
    int32_t c = text->at[(*at)++].code;
    if (c != '%' || *at + 1 >= text->count)
        return c;
    int high = hex_digit(text->at[*at].code), low = hex_digit(text->at[*at + 1].code);
    if (high < 0 || low < 0)
        return c;
    *at += 2;
    return 16 * high + low;
}

/* Bytes that follow one of UTF-8; -1: it begins none. */
static int followers(uint8_t b)
{
    if (b < 0x80)
        return 0;
    if (b < 0xC2 || b >= 0xF5)
        return -1;
    return b < 0xE0 ? 1 : b < 0xF0 ? 2 : 3;
}

/* Bytes that are no UTF-8 become U+FFFD: as many as could have begun a character together. */
static bool push_utf8(tg__chars *dst, const uint8_t *bytes, size_t count)
{
    bool ok = true;
    for (size_t i = 0; i < count && ok;) {
        uint8_t b = bytes[i];
        int more = followers(b);
        int32_t code = more == 0 ? b : more == 1 ? b & 0x1F : more == 2 ? b & 0x0F : b & 0x07;
        uint8_t low = b == 0xE0 ? 0xA0 : b == 0xF0 ? 0x90 : 0x80;
        uint8_t high = b == 0xED ? 0x9F : b == 0xF4 ? 0x8F : 0xBF;
        size_t taken = 1;
        for (; more > 0 && i + taken < count && bytes[i + taken] >= low && bytes[i + taken] <= high;
             more--, low = 0x80, high = 0xBF)
            code = code << 6 | (bytes[i + taken++] & 0x3F);
        ok = tg__chars_push(dst, more == 0 ? code : 0xFFFD, 0);
        i += taken;
    }
    return ok;
}

/* urllib's unquote_plus(). */
static bool unquote(tg__chars *text)
{
    tg__chars made = {0};
    uint8_t *bytes = malloc(text->count + 1);
    bool ok = bytes != NULL;
    for (size_t i = 0; i < text->count; i++)
        if (text->at[i].code == '+')
            text->at[i].code = ' ';
    for (size_t at = 0; at < text->count && ok;) {
        size_t count = 0;
        while (at < text->count && text->at[at].code < 128)
            bytes[count++] = (uint8_t)byte_at(text, &at);
        ok = push_utf8(&made, bytes, count);
        if (ok && at < text->count)
            ok = tg__chars_push(&made, text->at[at++].code, 0);
    }
    free(bytes);
    tg__chars_free(ok ? text : &made);
    if (ok)
        *text = made;
    return ok;
}

static void strip(tg__chars *text)
{
    size_t start = 0;
    while (text->count > 0 && is_space(text, text->count - 1))
        text->count--;
    while (start < text->count && is_space(text, start))
        start++;
    if (start == 0)
        return;
    memmove(text->at, text->at + start, (text->count - start) * sizeof *text->at);
    text->count -= start;
}

static bool lower(tg__chars *text)
{
    tg__chars made = {0};
    bool ok = tg__chars_lower(&made, text);
    tg__chars_free(ok ? text : &made);
    if (ok)
        *text = made;
    return ok;
}

/* ----------------------------------------------------------------------------------------- ftfy */

/* What one code point becomes in dst; *i stands on it. */
static bool fix_one(tg__chars *dst, const tg__chars *text, size_t *i)
{
    static const int32_t controls[32] = {
        0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
        0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
        0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};
    int32_t c = text->at[*i].code;
    if (c >= 0x80 && c <= 0x9F)
        c = controls[c - 0x80];
    for (size_t j = 0; j < tg__widths_count; j++)
        if (tg__widths[j].code == c) {
            bool ok = true;
            for (int k = 0; k < 3 && tg__widths[j].text[k]; k++)
                ok = ok && tg__chars_push(dst, tg__widths[j].text[k], 0);
            return ok;
        }
    if (c >= 0x201C && c <= 0x201F)
        c = '"';
    else if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B))
        c = '\'';
    else if (c == '\r' && *i + 1 < text->count && text->at[*i + 1].code == '\n')
        return true; /* the line break follows */
    else if (c == '\r' || c == 0x2028 || c == 0x2029 || c == 0x85)
        c = '\n';
    return tg__chars_push(dst, c, 0);
}

static bool is_control(int32_t c)
{
    return c < 9 || c == 0xB || (c >= 0xE && c < 0x20) || c == 0x7F ||
           (c >= 0x206A && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF9 && c <= 0xFFFC);
}

static bool same(const tg__chars *a, const tg__chars *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = a->at[i].code == b->at[i].code;
    return same;
}

/* One round of the fixes; *made is new. */
static bool fix_round(tg__chars *made, const tg__chars *text, bool entities, tg__effort *effort)
{
    tg__chars copy = {0}, fixed = {0};
    bool ok = true;
    for (size_t i = 0; i < text->count && ok; i++)
        ok = tg__chars_push(&copy, text->at[i].code, 0);
    ok = ok && (!entities || tg__unescape_strictly(&copy));
    for (size_t i = 0; i < copy.count && ok; i++)
        ok = fix_one(&fixed, &copy, &i);
    ok = ok && tg__regex_replace(&fixed, "\x1B\\[(?:[\\d;]*)([a-zA-Z])", "", effort);
    size_t kept = 0;
    for (size_t i = 0; i < fixed.count; i++)
        if (!is_control(fixed.at[i].code))
            fixed.at[kept++] = fixed.at[i];
    fixed.count = kept;
    ok = ok && tg__nfc(made, &fixed);
    tg__chars_free(&copy);
    tg__chars_free(&fixed);
    return ok;
}

/* Until nothing changes. Entities are left where the text looks like markup. */
static bool fix_segment(tg__chars *dst, const tg__chars *segment, bool entities, tg__effort *effort)
{
    enum { MOST_ROUNDS = 100 };
    tg__chars text = {0};
    bool ok = true, settled = false;
    for (size_t i = 0; i < segment->count && ok; i++)
        ok = tg__chars_push(&text, segment->at[i].code, 0);
    for (int i = 0; ok && !settled && i < MOST_ROUNDS && effort->left >= 0; i++) {
        tg__chars made = {0};
        ok = fix_round(&made, &text, entities, effort);
        settled = ok && same(&made, &text);
        tg__chars_free(&text);
        text = made;
    }
    for (size_t i = 0; i < text.count && ok; i++)
        ok = tg__chars_push(dst, text.at[i].code, 0);
    tg__chars_free(&text);
    return ok;
}

/* Line by line. From the first line with a "<" on entities are left alone. */
static bool fix_text(tg__chars *text, tg__effort *effort)
{
    tg__chars made = {0};
    bool ok = true, entities = true;
    for (size_t start = 0, stop; start < text->count && ok; start = stop) {
        for (stop = start; stop < text->count && text->at[stop].code != '\n'; stop++)
            entities = entities && text->at[stop].code != '<';
        stop += stop < text->count;
        tg__chars segment = {.at = text->at + start, .count = stop - start};
        ok = fix_segment(&made, &segment, entities, effort);
    }
    tg__chars_free(ok ? text : &made);
    if (ok)
        *text = made;
    return ok;
}

/* ------------------------------------------------------------------------------------- cleaning */

typedef struct expression {
    const char *pattern, *by;
} expression;

#define SITES "(?:com|co|ru|net|org|edu|gov|it)"
#define FILES "(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)"

static const expression addresses[] = {
    {"<person>", "person"},
    {"\\b(?:https?:(?:/{1,3}|[a-zA-Z0-9%])|[a-zA-Z0-9.\\-]+[.]" SITES "[\\w/-]*\\b/?(?!@))", ""},
    {"\\b(?:www:(?:/{1,3}|[a-zA-Z0-9%])|[a-zA-Z0-9.\\-]+[.]" SITES "[\\w/-]*\\b/?(?!@))", ""},
    {NULL, NULL},
};

static const expression characters[] = {
    {"@[\\w\\d]+\\b", ""},
    {"[\\u31c0-\\u31ef]+", ""},
    {"[\\u31f0-\\u31ff]+", ""},
    {"[\\u3200-\\u32ff]+", ""},
    {"[\\u3300-\\u33ff]+", ""},
    {"[\\u3400-\\u4dbf]+", ""},
    {"[\\u4dc0-\\u4dff]+", ""},
    {"[\\u4e00-\\u9fff]+", ""},
    {"[\\u002D\\u058A\\u05BE\\u1400\\u1806\\u2010-\\u2015\\u2E17\\u2E1A\\u2E3A\\u2E3B"
     "\\u2E40\\u301C\\u3030\\u30A0\\uFE31\\uFE32\\uFE58\\uFE63\\uFF0D]+",
     "-"},
    {"[`\\u00b4\\u00ab\\u00bb\\u201c\\u201d\\u00a8]", "\""},
    {"[\\u2018\\u2019]", "'"},
    {"&quot;?", ""},
    {"&amp", ""},
    {"\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}", " "},
    {"\\d:\\d\\d\\s+$", ""},
    {"\\\\n", " "},
    {"#\\d{1,3}\\b", ""},
    {"#\\d{5,}\\b", ""},
    {"\\b\\d{6,}\\b", ""},
    {"[\\S]+\\." FILES, ""},
    {"[\"']{2,}", "\""},
    {"[.]{2,}", " "},
    {"[#\\u00ae\\u2022\\u00a9\\u2122&@\\u00b7\\u00ba\\u00bd\\u00be\\u00bf\\u00a1\\u00a7~)(\\]\\[}{|"
     "\\\\/*]{1,}",
     " "},
    {"\\s+\\.\\s+", " "},
    {NULL, NULL},
};

static const expression words[] = {
    {"\\b[a-zA-Z]{1,3}\\d{3,15}\\b", ""},
    {"\\b[a-zA-Z]+\\d+[a-zA-Z]+\\b", ""},
    {"\\b\\d+[a-zA-Z]+\\d+\\b", ""},
    {"(?:worldwide\\s+)?(?:free\\s+)?shipping", ""},
    {"(?:free\\s)?download(?:\\sfree)?", ""},
    {"\\bclick\\b\\s(?:for|on)\\s\\w+", ""},
    {"\\b" FILES "(?:\\simage[s]?)?", ""},
    {"\\bpage\\s+\\d+\\b", ""},
    {"\\b\\d*[a-zA-Z]+\\d+[a-zA-Z]+\\d+[a-zA-Z\\d]*\\b", " "},
    {"\\b\\d+\\.?\\d*[x\\u0445\\u00d7]\\d+\\.?\\d*\\b", ""},
    {"\\b\\s+:\\s+", ": "},
    {"(\\D[,\\./])\\b", "\\1 "},
    {"\\s+", " "},
    {"^[\"']([\\w\\W]+)[\"']$", "\\1"},
    {"^['_,\\-:;]", ""},
    {"['_,\\-:\\-+]$", ""},
    {"^\\.\\S+$", ""},
    {NULL, NULL},
};

static bool replace_all(tg__chars *text, const expression *list, tg__effort *effort)
{
    bool ok = true;
    for (; list->pattern && ok; list++)
        ok = tg__regex_replace(text, list->pattern, list->by, effort);
    return ok;
}

/* this-is-my-cute-cat: more than three of these are spaces. */
static void split_joined_words(tg__chars *text)
{
    enum { FEW = 3 };
    int count = 0;
    for (size_t i = 0; i < text->count; i++)
        count += text->at[i].code == '-' || text->at[i].code == '_';
    for (size_t i = 0; i < text->count && count > FEW; i++)
        if (text->at[i].code == '-' || text->at[i].code == '_')
            text->at[i].code = ' ';
}

static bool clean_once(tg__chars *text, tg__effort *effort)
{
    if (!unquote(text))
        return false;
    strip(text);
    if (!lower(text) || !replace_all(text, addresses, effort) || !tg__markup_text(text, effort) ||
        !replace_all(text, characters, effort))
        return false;
    split_joined_words(text);
    if (!fix_text(text, effort) || !tg__unescape(text) || !tg__unescape(text) ||
        !replace_all(text, words, effort))
        return false;
    strip(text);
    return true;
}

char *tg__caption_clean(const char *text, tg__error *error)
{
    enum { TIMES = 2 };
    tg__effort effort = {(int64_t)1 << 28};
    tg__chars chars = {0};
    char *made = NULL;
    bool ok = decode(&chars, text, error);
    if (ok && chars.count > TG__CAPTION_MOST)
        ok = tg__fail_about(error, TG_ERROR_ARGUMENT, "text",
                            "the text has %zu characters, expected at most %d where captions are "
                            "cleaned",
                            chars.count, TG__CAPTION_MOST) == TG_OK;
    if (ok) {
        for (int i = 0; i < TIMES && ok; i++)
            ok = clean_once(&chars, &effort);
        if (effort.left < 0)
            tg__fail_about(error, TG_ERROR_ARGUMENT, "text",
                           "the text is too intricate for cleaning, expected plainer words");
        else
            made = ok ? encode_stripped(&chars) : NULL;
        if (!made && !tg__failed(error))
            tg__fail_memory(error);
    }
    tg__chars_free(&chars);
    return made;
}
