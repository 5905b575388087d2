/* SPDX-License-Identifier: MIT */
#include "text/chars.h"

#include <stdlib.h>

#include "core/arena.h"

bool tg__chars_push(tg__chars *chars, int32_t code, uint32_t end)
{
    if (!tg__grow((void **)&chars->at, chars->count, &chars->room, sizeof *chars->at))
        return false;
    chars->at[chars->count++] = (tg__char){code, end};
    return true;
}

void tg__chars_free(tg__chars *chars)
{
    free(chars->at);
    *chars = (tg__chars){0};
}
