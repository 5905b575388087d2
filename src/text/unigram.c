/* SPDX-License-Identifier: MIT */
#include "text/unigram.h"

#include <math.h>
#include <stdlib.h>

#include "core/arena.h"

static const double unknown_penalty = 10;

static bool add_node(tg__unigram *m)
{
    if (!tg__grow((void **)&m->ids, m->count, &m->id_room, sizeof *m->ids) ||
        !tg__grow((void **)&m->scores, m->count, &m->score_room, sizeof *m->scores))
        return false;
    m->ids[m->count] = -1;
    m->scores[m->count++] = 0;
    return true;
}

bool tg__unigram_add(tg__unigram *m, const char *piece, int32_t id, double score)
{
    uint32_t node = 0;
    if (m->count == 0 && !add_node(m))
        return false;
    for (; *piece; piece++) {
        uint32_t next = tg__pair_map_get(&m->edges, node, (unsigned char)*piece);
        if (next == TG__NO_VALUE) {
            next = (uint32_t)m->count;
            if (!add_node(m) || !tg__pair_map_put(&m->edges, node, (unsigned char)*piece, next))
                return false;
        }
        node = next;
    }
    m->ids[node] = id;
    m->scores[node] = score;
    m->least = fmin(m->least, score);
    return true;
}

void tg__unigram_free(tg__unigram *m)
{
    tg__pair_map_free(&m->edges);
    free(m->ids);
    free(m->scores);
    *m = (tg__unigram){0};
}

/* ----------------------------------------------------------------------------------- splitting */

/* The best way to a byte: its last piece. */
typedef struct arrival {
    double score;
    size_t from;
    int32_t id;
    bool reached;
} arrival;

static void offer(arrival *to, double score, size_t from, int32_t id)
{
    if (!to->reached || score > to->score)
        *to = (arrival){score, from, id, true};
}

static size_t char_length(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

/* Every piece that begins at byte `at`; a character that none of them is counts as unknown. */
static void leave(const tg__unigram *m, const char *bytes, size_t length, size_t at, arrival *best)
{
    size_t one = char_length((unsigned char)bytes[at]);
    uint32_t node = 0;
    bool single = false;
    for (size_t i = at; i < length; i++) {
        node = tg__pair_map_get(&m->edges, node, (unsigned char)bytes[i]);
        if (node == TG__NO_VALUE)
            break;
        if (m->ids[node] < 0)
            continue;
        offer(&best[i + 1], best[at].score + m->scores[node], at, m->ids[node]);
        single |= i + 1 - at == one;
    }
    if (!single)
        offer(&best[at + one], best[at].score + (m->least - unknown_penalty), at, -1);
}

bool tg__unigram_split(const tg__unigram *m, const char *bytes, size_t length,
                       tg__unigram_take take, void *context)
{
    arrival *best = calloc(length + 4, sizeof *best);
    bool ok = best != NULL;
    for (size_t at = 0; ok && at < length; at += char_length((unsigned char)bytes[at]))
        leave(m, bytes, length, at, best);
    /* Turned round: from each byte to the end of its piece. */
    for (size_t at = length, next = length; ok && at > 0; at = next) {
        next = best[at].from;
        best[next].reached = false;
        best[next].score = (double)at;
    }
    for (size_t at = 0; ok && at < length;) {
        size_t end = (size_t)best[at].score;
        int32_t id = best[end].id;
        while (id < 0 && end < length && best[(size_t)best[end].score].id < 0)
            end = (size_t)best[end].score;
        ok = take(context, id, end);
        at = end;
    }
    free(best);
    return ok;
}
