/* SPDX-License-Identifier: MIT */
/* How CLIP's tokenizer makes words of a text, before byte pairs: transformers' BasicTokenizer, then
 * the pattern
 *
 *     <|startoftext|> | <|endoftext|> | 's | 't | 're | 've | 'm | 'll | 'd
 *     | letters | number | rest
 *
 * where letters and rest (neither white space nor letter nor number) are runs. */
#ifndef TG_TEXT_CLIP_PRETOKENIZE_H
#define TG_TEXT_CLIP_PRETOKENIZE_H

#include "text/chars.h"

#define TG__CLIP_BEGIN "<|startoftext|>"
#define TG__CLIP_END "<|endoftext|>"

/* Sets dst to src[start, stop) without control characters, with spaces for all white space and
 * around ideographs, in NFC and lower case. False without memory. */
bool tg__clip_clean(tg__chars *dst, const tg__chars *src, size_t start, size_t stop);

/* The next word of a cleaned text from *at on: [*start, *at). False if there is none. */
bool tg__clip_next_word(const tg__chars *text, size_t *at, size_t *start);

/* The word is ASCII text. */
bool tg__clip_word_is(const tg__chars *text, size_t start, size_t stop, const char *ascii);

#endif
