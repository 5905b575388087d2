/* SPDX-License-Identifier: MIT */
#include "text/lower.h"

#include "text/unicode.h"

enum {
    CAPITAL_I_WITH_DOT = 0x130,
    DOT_ABOVE = 0x307,
    CAPITAL_SIGMA = 0x3A3,
    FINAL_SIGMA = 0x3C2,
};

/* Whether a capital sigma ends its word: a cased character precedes it and none follows, where
 * case-ignorable ones do not count. */
static bool is_final_sigma(const tg__chars *text, size_t sigma)
{
    unsigned flags = TG__CASE_IGNORABLE;
    for (size_t i = sigma; i > 0 && flags & TG__CASE_IGNORABLE; i--)
        flags = tg__unicode_flags(text->at[i - 1].code);
    if (!(flags & TG__CASED))
        return false;
    flags = TG__CASE_IGNORABLE;
    for (size_t i = sigma + 1; i < text->count && flags & TG__CASE_IGNORABLE; i++)
        flags = tg__unicode_flags(text->at[i].code);
    return !(flags & TG__CASED);
}

bool tg__chars_lower(tg__chars *dst, const tg__chars *src)
{
    for (size_t i = 0; i < src->count; i++) {
        tg__char c = src->at[i];
        bool ok;
        if (c.code == CAPITAL_I_WITH_DOT)
            ok = tg__chars_push(dst, 'i', tg__chars_before(src, i)) &&
                 tg__chars_push(dst, DOT_ABOVE, c.end);
        else if (c.code == CAPITAL_SIGMA && is_final_sigma(src, i))
            ok = tg__chars_push(dst, FINAL_SIGMA, c.end);
        else
            ok = tg__chars_push(dst, tg__unicode_lower(c.code), c.end);
        if (!ok)
            return false;
    }
    return true;
}
