/* SPDX-License-Identifier: MIT */
/* CLIP's merges, embedded in the library. */
#ifndef TG_TEXT_CLIP_SHIPPED_H
#define TG_TEXT_CLIP_SHIPPED_H

#include <stddef.h>

/* The bytes of clip/merges.txt; a zero byte follows. */
const char *tg__clip_shipped_merges(size_t *length);

#endif
