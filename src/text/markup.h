/* SPDX-License-Identifier: MIT */
/* Markup in a caption: HTML's tags and entities. */
#ifndef TG_TEXT_MARKUP_H
#define TG_TEXT_MARKUP_H

#include "text/regex.h"

/* The text without tags, comments and declarations, entities resolved: what bs4 4.15's html.parser
 * makes of it. Markup that it refuses stays as it is. False without memory. */
bool tg__markup_text(tg__chars *text, tg__effort *effort);

/* Python's html.unescape(). False without memory. */
bool tg__unescape(tg__chars *text);
/* ftfy's unescape_html(): names with a semicolon alone, in capitals too. */
bool tg__unescape_strictly(tg__chars *text);

#endif
