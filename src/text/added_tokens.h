/* SPDX-License-Identifier: MIT */
/* Tokens that are split off a text before anything else happens to it, the begin and end tokens
 * among them. */
#ifndef TG_TEXT_ADDED_TOKENS_H
#define TG_TEXT_ADDED_TOKENS_H

#include "text/chars.h"
#include "text/pair_map.h"

typedef struct tg__added_token {
    uint32_t piece;   /* its number; TG__NO_VALUE: no token */
    bool left, right; /* lstrip, rstrip: white space on that side is taken away */
    bool single_word; /* it is text like any other where it touches something but a space */
} tg__added_token;

/* A trie over code points. */
typedef struct tg__added_tokens {
    tg__pair_map edges;      /* a node and a code point to a node; the root is 0 */
    tg__added_token *tokens; /* by the node where they end */
    size_t count, room;      /* nodes */
    size_t longest;          /* code points */
} tg__added_tokens;

/* The place of the token that is this string (valid UTF-8, not empty): its piece is TG__NO_VALUE if
 * it is new. The pointer holds until the next call. NULL without memory. */
tg__added_token *tg__added_tokens_at(tg__added_tokens *added, const char *content);
void tg__added_tokens_free(tg__added_tokens *added);

typedef struct tg__segment {
    size_t start, stop; /* never empty */
    uint32_t piece;     /* of the added token that it is, or TG__NO_VALUE */
} tg__segment;

typedef struct tg__segments {
    tg__segment *at;
    size_t count, room;
} tg__segments;

/* Cuts the text at the added tokens in it (of which there is one at least) as transformers'
 * tokenizers in Python do. Characters that lstrip and rstrip take away, and that a segment still
 * encloses, become TG__CHAR_REMOVED. False without memory. */
bool tg__added_tokens_split(const tg__added_tokens *added, tg__chars *text, tg__segments *segments);
void tg__segments_free(tg__segments *segments);

#endif
