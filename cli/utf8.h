/* SPDX-License-Identifier: MIT */
#ifndef TG_CLI_UTF8_H
#define TG_CLI_UTF8_H

#include <stdbool.h>

/* Bytes of the UTF-8 sequence that text begins with, 1 to 4; 0 if it is none (a zero byte is one
 * of length 1; overlong forms, surrogates and what lies above U+10FFFF are none). */
int utf8_length(const char *text);

/* Whether the whole string is UTF-8. */
bool utf8_valid(const char *text);

#endif
