/* SPDX-License-Identifier: MIT */
/* Byte-pair encoding as CLIP has it: a word's bytes are symbols (one printable character each, the
 * last with "</w>" behind it), and pairs of neighbours merge in the order of a list. */
#ifndef TG_TEXT_BPE_H
#define TG_TEXT_BPE_H

#include "core/error.h"
#include "text/chars.h"
#include "text/pieces.h"

typedef struct tg__bpe {
    tg__pieces pieces;
    uint32_t bytes[2][256]; /* pieces of a byte: inside a word, at its end */
    tg__pair_map ranks;     /* two pieces to their place in the list */
    uint32_t *results;      /* by place */
    size_t merge_count;
} tg__bpe;

/* Makes the pieces of bytes; *bpe is zero before. with_ids: they get the ids that they have in
 * CLIP's vocabulary, 0 to 511. */
tg_status tg__bpe_init(tg__bpe *bpe, bool with_ids, tg__error *error);
void tg__bpe_free(tg__bpe *bpe);

/* Reads merges.txt: a line that is skipped, then lines of two pieces. The file is read as Python
 * does: any newline, white space around it stripped; lines beyond CLIP's number of merges are not
 * looked at. first_id: the id of the first line's result, where the vocabulary follows from the
 * merges; else -1, and then the vocabulary is known already. */
tg_status tg__bpe_read_merges(tg__bpe *bpe, const char *text, size_t length, int32_t first_id,
                              const char *where, tg__error *error);

/* Memory for splitting words, used again for each. */
typedef struct tg__bpe_scratch {
    struct tg__bpe_symbol *symbols;
    uint64_t *queue;
    uint32_t *batch;
    size_t room; /* symbols */
    size_t queued;
} tg__bpe_scratch;
void tg__bpe_scratch_free(tg__bpe_scratch *scratch);

/* The pieces of the word text[start, stop), at least one character long; appended to dst as
 * characters whose code is the piece's number. Where a piece ends inside a character, the character
 * is not spent. False without memory. */
bool tg__bpe_split(const tg__bpe *bpe, const tg__chars *text, size_t start, size_t stop,
                   tg__bpe_scratch *scratch, tg__chars *dst);

#endif
