/* SPDX-License-Identifier: MIT */
/* The pattern is scanned by hand: transformers compiles it with the module regex, ignoring case,
 * which differs from the pattern's letter in two places, both kept here. U+017F (long s) is an s,
 * as lower-casing leaves it alone and folding does not. U+0345, a mark, folds to the letter iota,
 * so it is excluded from the rest; but it is no letter either, and no word contains it. */
#include "text/clip_pretokenize.h"

#include <string.h>

#include "text/lower.h"
#include "text/nfc.h"
#include "text/unicode.h"

enum { LONG_S = 0x17F, YPOGEGRAMMENI = 0x345 };

/* ---------------------------------------------------------------------------------- cleaning */

static bool spaces_and_ideographs(tg__chars *dst, const tg__chars *src, size_t start, size_t stop)
{
    uint32_t before = tg__chars_before(src, start);
    for (size_t i = start; i < stop; i++) {
        tg__char c = src->at[i];
        unsigned flags = c.code < 0 ? TG__CONTROL : tg__unicode_flags(c.code);
        bool ok = true;
        if (flags & TG__CONTROL)
            ; /* dropped, even where it counts as white space */
        else if (flags & TG__SPACE)
            ok = tg__chars_push(dst, ' ', c.end);
        else if (flags & TG__IDEOGRAPH)
            ok = tg__chars_push(dst, ' ', before) && tg__chars_push(dst, c.code, c.end) &&
                 tg__chars_push(dst, ' ', c.end);
        else
            ok = tg__chars_push(dst, c.code, c.end);
        if (!ok)
            return false;
        before = c.end;
    }
    return true;
}

bool tg__clip_clean(tg__chars *dst, const tg__chars *src, size_t start, size_t stop)
{
    uint32_t before = tg__chars_before(src, start);
    tg__chars spaced = {.start = before}, normal = {.start = before};
    dst->count = 0;
    dst->start = before;
    bool ok = spaces_and_ideographs(&spaced, src, start, stop) && tg__nfc(&normal, &spaced) &&
              tg__chars_lower(dst, &normal);
    tg__chars_free(&spaced);
    tg__chars_free(&normal);
    return ok;
}

/* ------------------------------------------------------------------------------------- words */

typedef enum kind { NOTHING, LETTER, NUMBER, REST } kind;

static kind kind_of(int32_t code)
{
    unsigned flags = tg__unicode_flags(code);
    if (flags & TG__LETTER)
        return LETTER;
    if (flags & TG__NUMBER)
        return NUMBER;
    return flags & TG__SPACE || code == YPOGEGRAMMENI ? NOTHING : REST;
}

/* The length of ascii if it stands at index start, else 0. */
static size_t match(const tg__chars *text, size_t start, const char *ascii)
{
    size_t length = strlen(ascii);
    if (text->count - start < length)
        return 0;
    for (size_t i = 0; i < length; i++) {
        int32_t code = text->at[start + i].code;
        if ((code == LONG_S ? 's' : code) != ascii[i])
            return 0;
    }
    return length;
}

static size_t match_any(const tg__chars *text, size_t start)
{
    static const char *const words[] = {TG__CLIP_BEGIN, TG__CLIP_END, "'s",  "'t", "'re",
                                        "'ve",          "'m",         "'ll", "'d"};
    size_t length = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words && length == 0; i++)
        length = match(text, start, words[i]);
    return length;
}

bool tg__clip_next_word(const tg__chars *text, size_t *at, size_t *start)
{
    size_t i = *at;
    kind k = NOTHING;
    while (i < text->count && (k = kind_of(text->at[i].code)) == NOTHING)
        i++;
    *start = i;
    if (i == text->count)
        return false;
    i += match_any(text, i);
    if (i == *start) {
        i++;
        while (k != NUMBER && i < text->count && kind_of(text->at[i].code) == k)
            i++;
    }
    *at = i;
    return true;
}

bool tg__clip_word_is(const tg__chars *text, size_t start, size_t stop, const char *ascii)
{
    if (stop - start != strlen(ascii))
        return false;
    for (size_t i = start; i < stop; i++)
        if (text->at[i].code != ascii[i - start])
            return false;
    return true;
}
