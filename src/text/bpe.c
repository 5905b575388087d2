/* SPDX-License-Identifier: MIT */
/* The reference merges, again and again, all occurrences of the pair that comes first in the list,
 * from left to right. Looking for that pair anew each time takes quadratic time, so the pairs wait
 * in a priority queue and the symbols are a linked list. */
#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "text/unicode.h"

enum {
    NONE = -1,
    MOST_LINES = 49152 - 256 - 2, /* the reference reads no more merges */
};

/* ----------------------------------------------------------------------------- symbols of bytes */

/* Bytes that are printable in Latin 1 stand for themselves. */
static bool is_printable(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

static bool add_byte(tg__bpe *bpe, int byte, int32_t code, int32_t id)
{
    static const char *const suffixes[2] = {"", "</w>"};
    char symbol[4];
    size_t length = (size_t)tg__utf8_put(symbol, code);
    for (int last = 0; last < 2; last++) {
        uint32_t piece =
            tg__pieces_number(&bpe->pieces, symbol, length, suffixes[last], strlen(suffixes[last]));
        if (piece == TG__NO_VALUE)
            return false;
        bpe->bytes[last][byte] = piece;
        if (id >= 0)
            bpe->pieces.at[piece].id = id + 256 * last;
    }
    return true;
}

tg_status tg__bpe_init(tg__bpe *bpe, bool with_ids, tg__error *error)
{
    int32_t count = 0;
    for (int printable = 1; printable >= 0; printable--) {
        int32_t substitute = 256;
        for (int byte = 0; byte < 256; byte++) {
            if (is_printable(byte) != printable)
                continue;
            if (!add_byte(bpe, byte, printable ? byte : substitute++, with_ids ? count : -1))
                return tg__fail_memory(error);
            count++;
        }
    }
    return TG_OK;
}

void tg__bpe_free(tg__bpe *bpe)
{
    tg__pieces_free(&bpe->pieces);
    tg__pair_map_free(&bpe->ranks);
    free(bpe->results);
    *bpe = (tg__bpe){0};
}

/* -------------------------------------------------------------------------------------- merges */

typedef struct span {
    const char *start, *end;
} span;

static bool is_space(int32_t code)
{
    bool printable = code > ' ' && code < 0x7F;
    return !printable && tg__unicode_flags(code) & TG__SPACE;
}

/* Removes white space from both ends of valid UTF-8. */
static span strip(span text)
{
    const char *next = text.start;
    while (text.start < text.end && is_space(tg__utf8_next(&next)))
        text.start = next;
    for (const char *end = text.end; text.start < end;) {
        while ((*--end & 0xC0) == 0x80)
            ;
        next = end;
        if (!is_space(tg__utf8_next(&next)))
            break;
        text.end = end;
    }
    return text;
}

/* Takes the next run of what is not white space; false if there is none. */
static bool next_piece(span *line, span *piece)
{
    *line = strip(*line);
    piece->start = line->start;
    for (const char *next = line->start; line->start < line->end; line->start = next)
        if (is_space(tg__utf8_next(&next)))
            break;
    piece->end = line->start;
    return piece->start < piece->end;
}

/* Takes the next line; false if there is none. The last one need not end in a newline. */
static bool next_line(span *text, span *line)
{
    if (!text->start)
        return false;
    const char *at = text->start;
    while (at < text->end && *at != '\n' && *at != '\r')
        at++;
    *line = (span){text->start, at};
    text->start = at == text->end ? NULL : at + (at[0] == '\r' && at[1] == '\n' ? 2 : 1);
    return true;
}

/* Checks the text and returns it as tg__bpe_read_merges reads it, from the second line on. */
static tg_status first_merge(span *text, const char *where, tg__error *error)
{
    span line;
    for (const char *at = text->start; at < text->end;) {
        const char *start = at;
        if (tg__utf8_next(&at) <= 0)
            return tg__fail(error, TG_ERROR_FORMAT, "%s: byte %lld is 0x%02x, expected UTF-8 text",
                            where, (long long)(start - text->start), (unsigned char)*start);
    }
    *text = strip(*text);
    next_line(text, &line);
    return TG_OK;
}

static size_t count_lines(span text)
{
    size_t count = 0;
    for (span line; count < MOST_LINES && next_line(&text, &line);)
        count++;
    return count;
}

static uint32_t number_of(tg__bpe *bpe, span a, span b)
{
    return tg__pieces_number(&bpe->pieces, a.start, (size_t)(a.end - a.start), b.start,
                             (size_t)(b.end - b.start));
}

/* Reads a line as the merge after those that are known. A pair that is there twice counts where it
 * is last, as in the reference. */
static tg_status add_merge(tg__bpe *bpe, span line, const char *where, tg__error *error)
{
    span left, right, rest, nothing = {"", ""};
    size_t rank = bpe->merge_count;
    if (!next_piece(&line, &left) || !next_piece(&line, &right) || next_piece(&line, &rest))
        return tg__fail(error, TG_ERROR_FORMAT,
                        "%s: merge %zu is not two pieces with a space between", where, rank + 1);
    uint32_t a = number_of(bpe, left, nothing), b = number_of(bpe, right, nothing);
    uint32_t result = number_of(bpe, left, right);
    if (a == TG__NO_VALUE || b == TG__NO_VALUE || result == TG__NO_VALUE ||
        !tg__pair_map_put(&bpe->ranks, a, b, (uint32_t)rank))
        return tg__fail_memory(error);
    bpe->results[bpe->merge_count++] = result;
    return TG_OK;
}

tg_status tg__bpe_read_merges(tg__bpe *bpe, const char *text, size_t length, int32_t first_id,
                              const char *where, tg__error *error)
{
    span rest = {text, text + length}, line;
    size_t known = 0;
    if (first_merge(&rest, where, error) != TG_OK)
        return error->status;
    size_t count = count_lines(rest);
    bpe->results = calloc(count + 1, sizeof *bpe->results);
    if (!bpe->results)
        return tg__fail_memory(error);
    while (bpe->merge_count < count && next_line(&rest, &line)) {
        if (add_merge(bpe, line, where, error) != TG_OK)
            return error->status;
        tg__piece *result = &bpe->pieces.at[bpe->results[bpe->merge_count - 1]];
        if (first_id >= 0)
            result->id = first_id++;
        known += result->id >= 0;
    }
    if (count > 0 && known == 0)
        return tg__fail(error, TG_ERROR_FORMAT,
                        "%s: none of its %zu merges gives a piece of the "
                        "vocabulary",
                        where, count);
    return TG_OK;
}

/* ----------------------------------------------------------------------------------- splitting */

/* A piece in the making. */
typedef struct tg__bpe_symbol {
    uint32_t piece, end;
    uint32_t rank; /* of the merge with the next one; TG__NO_VALUE: none, or this symbol is gone */
    int32_t previous, next;
} symbol;

void tg__bpe_scratch_free(tg__bpe_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->queue);
    free(scratch->batch);
    *scratch = (tg__bpe_scratch){0};
}

static bool reserve(tg__bpe_scratch *s, size_t count)
{
    if (count <= s->room)
        return true;
    size_t room = count < 64 ? 64 : 2 * count;
    tg__bpe_scratch_free(s);
    s->symbols = malloc(room * sizeof *s->symbols);
    s->queue =
        malloc(3 * room * sizeof *s->queue); /* a merge removes one symbol, queues two pairs */
    s->batch = malloc(room * sizeof *s->batch);
    if (!s->symbols || !s->queue || !s->batch)
        return false;
    s->room = room;
    return true;
}

/* The queue is a binary heap of rank << 32 | index of the left symbol. */
static void enqueue(tg__bpe_scratch *s, uint64_t pair)
{
    size_t i = s->queued++;
    for (; i > 0 && s->queue[(i - 1) / 2] > pair; i = (i - 1) / 2)
        s->queue[i] = s->queue[(i - 1) / 2];
    s->queue[i] = pair;
}

static uint64_t dequeue(tg__bpe_scratch *s)
{
    uint64_t least = s->queue[0], moved = s->queue[--s->queued];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < s->queued; i = child) {
        if (child + 1 < s->queued && s->queue[child + 1] < s->queue[child])
            child++;
        if (s->queue[child] >= moved)
            break;
        s->queue[i] = s->queue[child];
    }
    s->queue[i] = moved;
    return least;
}

/* Finds out whether the symbol merges with the next one, and queues the pair if so. */
static void look_ahead(const tg__bpe *bpe, tg__bpe_scratch *s, int32_t index)
{
    symbol *left = &s->symbols[index];
    left->rank = left->next == NONE
                     ? TG__NO_VALUE
                     : tg__pair_map_get(&bpe->ranks, left->piece, s->symbols[left->next].piece);
    if (left->rank != TG__NO_VALUE)
        enqueue(s, (uint64_t)left->rank << 32 | (uint32_t)index);
}

static void merge(const tg__bpe *bpe, tg__bpe_scratch *s, int32_t index)
{
    symbol *left = &s->symbols[index], *right = &s->symbols[left->next];
    left->piece = bpe->results[left->rank];
    left->end = right->end;
    left->next = right->next;
    right->rank = TG__NO_VALUE;
    if (left->next != NONE)
        s->symbols[left->next].previous = index;
    look_ahead(bpe, s, index);
    if (left->previous != NONE)
        look_ahead(bpe, s, left->previous);
}

/* All occurrences of one pair are taken out before the first is merged: what merging them makes
 * possible has to wait until all are, even if it comes earlier in the list. */
static void merge_all(const tg__bpe *bpe, tg__bpe_scratch *s)
{
    while (s->queued > 0) {
        uint32_t rank = (uint32_t)(s->queue[0] >> 32);
        size_t count = 0;
        while (s->queued > 0 && s->queue[0] >> 32 == rank)
            s->batch[count++] = (uint32_t)dequeue(s);
        for (size_t i = 0; i < count; i++)
            if (s->symbols[s->batch[i]].rank == rank)
                merge(bpe, s, (int32_t)s->batch[i]);
    }
}

/* Fills in the symbols of the word's bytes; their number. */
static size_t spell(const tg__bpe *bpe, const tg__chars *text, size_t start, size_t stop,
                    symbol *symbols)
{
    size_t count = 0;
    for (size_t i = start; i < stop; i++) {
        char bytes[4];
        int length = tg__utf8_put(bytes, text->at[i].code);
        for (int j = 0; j < length; j++, count++) {
            bool last_byte = j == length - 1, last = last_byte && i == stop - 1;
            symbols[count] = (symbol){
                .piece = bpe->bytes[last][(unsigned char)bytes[j]],
                .end = last_byte ? text->at[i].end : tg__chars_before(text, i),
                .rank = TG__NO_VALUE,
                .previous = (int32_t)count - 1,
                .next = last ? NONE : (int32_t)count + 1,
            };
        }
    }
    return count;
}

bool tg__bpe_split(const tg__bpe *bpe, const tg__chars *text, size_t start, size_t stop,
                   tg__bpe_scratch *scratch, tg__chars *dst)
{
    if (!reserve(scratch, 4 * (stop - start)))
        return false;
    size_t count = spell(bpe, text, start, stop, scratch->symbols);
    scratch->queued = 0;
    for (size_t i = 0; i < count; i++)
        look_ahead(bpe, scratch, (int32_t)i);
    merge_all(bpe, scratch);
    for (int32_t i = count ? 0 : NONE; i != NONE; i = scratch->symbols[i].next)
        if (!tg__chars_push(dst, (int32_t)scratch->symbols[i].piece, scratch->symbols[i].end))
            return false;
    return true;
}
