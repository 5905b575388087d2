/* SPDX-License-Identifier: MIT */
#include "text/caption.h"

#include <stdlib.h>

#include "core/utf8.h"
#include "text/lower.h"
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
