/* SPDX-License-Identifier: MIT */
/* The strings of a tokenizer, each once and with a number: those of the vocabulary, which have an
 * id, and those that merges speak of, which may have none. */
#ifndef TG_TEXT_PIECES_H
#define TG_TEXT_PIECES_H

#include "core/arena.h"
#include "text/pair_map.h"

typedef struct tg__piece {
    const char *text;
    int32_t id; /* -1: not in the vocabulary */
} tg__piece;

typedef struct tg__pieces {
    tg__arena arena;
    tg__piece *at;
    size_t count, room;
    uint32_t *slots; /* a hash table of numbers */
    size_t slot_count;
} tg__pieces;

/* The number of the piece that is a's bytes followed by b's (neither has a zero byte), which is
 * added without an id if it is new. TG__NO_VALUE without memory. */
uint32_t tg__pieces_number(tg__pieces *pieces, const char *a, size_t a_length, const char *b,
                           size_t b_length);
/* The same of a piece that is there, else TG__NO_VALUE. */
uint32_t tg__pieces_find(const tg__pieces *pieces, const char *text, size_t length);
void tg__pieces_free(tg__pieces *pieces);

#endif
