/* SPDX-License-Identifier: MIT */
#include "text/chars.h"

#include <stdlib.h>

bool tg__chars_push(tg__chars *chars, int32_t code, uint32_t end)
{
    if (chars->count == chars->room) {
        size_t room = chars->room ? 2 * chars->room : 128;
        tg__char *larger = realloc(chars->at, room * sizeof *larger);
        if (!larger)
            return false;
        chars->at = larger;
        chars->room = room;
    }
    chars->at[chars->count++] = (tg__char){code, end};
    return true;
}

void tg__chars_free(tg__chars *chars)
{
    free(chars->at);
    *chars = (tg__chars){0};
}
