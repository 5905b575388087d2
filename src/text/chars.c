/* SPDX-License-Identifier: MIT */
#include "text/chars.h"

#include <stdlib.h>

#include "core/arena.h"
#include "core/utf8.h"

bool tg__chars_push(tg__chars *chars, int32_t code, uint32_t end)
{
    if (!tg__grow((void **)&chars->at, chars->count, &chars->room, sizeof *chars->at))
        return false;
    chars->at[chars->count++] = (tg__char){code, end};
    return true;
}

bool tg__chars_decode(tg__chars *chars, const char *text)
{
    for (const char *at = text; *at;) {
        int32_t code = tg__utf8_next(&at);
        if (!tg__chars_push(chars, code, (uint32_t)(at - text)))
            return false;
    }
    return true;
}

void tg__chars_free(tg__chars *chars)
{
    free(chars->at);
    *chars = (tg__chars){0};
}
