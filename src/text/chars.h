/* SPDX-License-Identifier: MIT */
/* A text as code points that remember where they came from. */
#ifndef TG_TEXT_CHARS_H
#define TG_TEXT_CHARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Stands in for a character that was taken out; see added_tokens.h. */
enum { TG__CHAR_REMOVED = -1 };

typedef struct tg__char {
    int32_t code;
    uint32_t end; /* how many bytes of the source are spent once this code point is taken; where
                   * several come from the same bytes, the last one alone spends them */
} tg__char;

typedef struct tg__chars {
    tg__char *at;
    size_t count, room;
    uint32_t start; /* how many bytes are spent before the first one */
} tg__chars;

/* False without memory. */
bool tg__chars_push(tg__chars *chars, int32_t code, uint32_t end);
/* Appends the code points of a text, which is UTF-8. False without memory. */
bool tg__chars_decode(tg__chars *chars, const char *text);
void tg__chars_free(tg__chars *chars);

/* The end of what stands before index. */
static inline uint32_t tg__chars_before(const tg__chars *chars, size_t index)
{
    return index > 0 ? chars->at[index - 1].end : chars->start;
}

#endif
