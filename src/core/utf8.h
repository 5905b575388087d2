/* SPDX-License-Identifier: MIT */
/* UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef TG_CORE_UTF8_H
#define TG_CORE_UTF8_H

#include <stdint.h>

/* The code point at *text, which moves past it; -1 for an invalid byte, one byte further. *text
 * must not be at the terminator. */
int32_t tg__utf8_next(const char **text);

/* Writes code's 1 to 4 bytes, returns how many. */
int tg__utf8_put(char dst[4], int32_t code);

#endif
