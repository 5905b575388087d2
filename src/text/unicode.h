/* SPDX-License-Identifier: MIT */
/* Unicode 14, as Python 3.11 has it. */
#ifndef TG_TEXT_UNICODE_H
#define TG_TEXT_UNICODE_H

#include <stdint.h>

/* In the order of FLAGS in tools/unicode/generate.py. */
typedef enum tg__unicode_flag {
    TG__LETTER = 1 << 0,  /* category L */
    TG__NUMBER = 1 << 1,  /* category N */
    TG__SPACE = 1 << 2,   /* str.isspace() */
    TG__CONTROL = 1 << 3, /* category C but for \t \n \r; U+FFFD */
    TG__CASED = 1 << 4,   /* and not case-ignorable */
    TG__CASE_IGNORABLE = 1 << 5,
    TG__JOINS = 1 << 6,     /* may change under NFC with what stands before it */
    TG__IDEOGRAPH = 1 << 7, /* what BERT's tokenizer calls a Chinese character */
} tg__unicode_flag;

/* The tg__unicode_flags of a code point. */
unsigned tg__unicode_flags(int32_t code);

/* The lower case of one code point that depends on nothing else. U+0130, whose lower case is two
 * code points, stays as it is. */
int32_t tg__unicode_lower(int32_t code);

#endif
