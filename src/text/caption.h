/* SPDX-License-Identifier: MIT */
/* What PixArt does to a text before its tokenizer sees it. */
#ifndef TG_TEXT_CAPTION_H
#define TG_TEXT_CAPTION_H

#include "core/error.h"

/* The text in lower case, without white space at its ends: what diffusers does without its optional
 * packages. UTF-8, else TG_ERROR_ARGUMENT; free() the result. NULL with an error. */
char *tg__caption_plain(const char *text, tg__error *error);

#endif
