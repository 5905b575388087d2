/* SPDX-License-Identifier: MIT */
/* sentencepiece's table of normalization: a double array that maps runs of bytes to strings. It
 * begins with the array's length in bytes (32 bits, little endian); the strings follow, each ended
 * by a zero byte. */
#ifndef TG_TEXT_CHARSMAP_H
#define TG_TEXT_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

typedef struct tg__charsmap {
    const unsigned char *units; /* 4 bytes each; NULL: nothing is mapped */
    size_t unit_count;
    const char *strings;
    size_t string_bytes;
} tg__charsmap;

/* A view of data, which outlives it. What leads out of it is an error: then neither we nor the
 * library read beyond it, whatever text comes. bytes 0: nothing is mapped. */
tg_status tg__charsmap_open(tg__charsmap *map, const void *data, size_t bytes, const char *where,
                            tg__error *error);

/* What the shortest beginning of key that is in the table becomes; NULL: none is. */
const char *tg__charsmap_find(const tg__charsmap *map, const char *key, size_t length);

#endif
