/* SPDX-License-Identifier: MIT */
/* What PixArt does to a text before its tokenizer sees it. */
#ifndef TG_TEXT_CAPTION_H
#define TG_TEXT_CAPTION_H

#include "core/error.h"

/* The text in lower case, without white space at its ends: what diffusers does without its optional
 * packages. UTF-8, else TG_ERROR_ARGUMENT; free() the result. NULL with an error. */
char *tg__caption_plain(const char *text, tg__error *error);

enum { TG__CAPTION_MOST = 4096 }; /* characters of a text that is cleaned */

/* The text cleaned twice, as diffusers' _clean_caption does with its optional packages: addresses,
 * markup, ideographs, file names and what else captions from the web are full of are taken out. Of
 * ftfy's fixes all but the repair of text that was decoded wrongly. More than TG__CAPTION_MOST
 * characters, or words that the expressions take too long for, are TG_ERROR_ARGUMENT. */
char *tg__caption_clean(const char *text, tg__error *error);

#endif
