/* SPDX-License-Identifier: MIT */
#ifndef TG_TEXT_LOWER_H
#define TG_TEXT_LOWER_H

#include "text/chars.h"

/* Appends src in lower case, as Python's str.lower(). False without memory. */
bool tg__chars_lower(tg__chars *dst, const tg__chars *src);

#endif
