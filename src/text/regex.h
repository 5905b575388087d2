/* SPDX-License-Identifier: MIT */
/* Regular expressions over code points, as far as captions need them and as Python's re reads them:
 * sets, \w \d \s and their opposites, \b, ^, $, groups, alternatives, * + ? {m,n} behind a set, * ?
 * behind a group, (?!set), (?<=set), \uXXXX. They backtrack. */
#ifndef TG_TEXT_REGEX_H
#define TG_TEXT_REGEX_H

#include "text/chars.h"

enum { TG__REGEX_GROUPS = 4 };

/* How much backtracking is left before a search gives up; its user sees that it is below 0. */
typedef struct tg__effort {
    int64_t left;
} tg__effort;

/* Where a match and its groups are; start above stop: it has no part in the match. */
typedef struct tg__match {
    size_t start[TG__REGEX_GROUPS], stop[TG__REGEX_GROUPS]; /* 0: all of it */
} tg__match;

/* Whether the pattern (ours: it is well-formed) fits at this place. */
bool tg__regex_at(const char *pattern, const tg__chars *text, size_t at, tg__match *match,
                  tg__effort *effort);
/* The first place from `from` on where it fits. */
bool tg__regex_find(const char *pattern, const tg__chars *text, size_t from, tg__match *match,
                    tg__effort *effort);

/* text with every match, from left to right, replaced: \1 in `by` is the first group. No pattern
 * may fit nothing. False without memory. */
bool tg__regex_replace(tg__chars *text, const char *pattern, const char *by, tg__effort *effort);

/* \w, and \d. */
bool tg__is_word(int32_t code);
bool tg__is_decimal(int32_t code);

#endif
