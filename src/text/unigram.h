/* SPDX-License-Identifier: MIT */
/* A unigram model: the pieces of a text whose scores add up to the most, as Hugging Face's
 * tokenizers find them. */
#ifndef TG_TEXT_UNIGRAM_H
#define TG_TEXT_UNIGRAM_H

#include "core/error.h"
#include "text/pair_map.h"

typedef struct tg__unigram {
    tg__pair_map edges; /* a node and a byte to a node; the root is 0 */
    int32_t *ids;       /* of the piece that ends at a node; -1: none does */
    double *scores;     /* by node */
    size_t count, id_room, score_room;
    double least; /* score of any piece */
} tg__unigram;

/* Adds a piece; of equal ones the last counts. False without memory. */
bool tg__unigram_add(tg__unigram *model, const char *piece, int32_t id, double score);
void tg__unigram_free(tg__unigram *model);

/* One piece of the text, up to byte `end`; id -1: characters that no piece has, as many as follow
 * one another. False: stop, for want of memory. */
typedef bool (*tg__unigram_take)(void *context, int32_t id, size_t end);

/* The pieces of bytes, which are UTF-8. False without memory. */
bool tg__unigram_split(const tg__unigram *model, const char *bytes, size_t length,
                       tg__unigram_take take, void *context);

#endif
