/* SPDX-License-Identifier: MIT */
/* Mostly the leftmost of the longest tokens is found, but not where several begin in one another,
 * so the search goes through the text as the reference does: it follows a match from every place
 * where a token may begin, and when one is complete looks whether it or an earlier one can get
 * longer. An earlier one that has just failed is looked at too, one character further, as if it had
 * not. */
#include "text/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/utf8.h"
#include "text/unicode.h"

/* ------------------------------------------------------------------------------------ the trie */

/* The number of a new node. */
static uint32_t add_node(tg__added_tokens *added)
{
    if (!tg__grow((void **)&added->tokens, added->count, &added->room, sizeof *added->tokens))
        return TG__NO_VALUE;
    added->tokens[added->count] = (tg__added_token){.piece = TG__NO_VALUE};
    return (uint32_t)added->count++;
}

tg__added_token *tg__added_tokens_at(tg__added_tokens *added, const char *content)
{
    uint32_t node = 0;
    size_t length = 0;
    if (added->count == 0 && add_node(added) == TG__NO_VALUE)
        return NULL;
    for (; *content; length++) {
        uint32_t code = (uint32_t)tg__utf8_next(&content);
        uint32_t next = tg__pair_map_get(&added->edges, node, code);
        if (next == TG__NO_VALUE) {
            next = add_node(added);
            if (next == TG__NO_VALUE || !tg__pair_map_put(&added->edges, node, code, next))
                return NULL;
        }
        node = next;
    }
    if (length > added->longest)
        added->longest = length;
    return &added->tokens[node];
}

void tg__added_tokens_free(tg__added_tokens *added)
{
    tg__pair_map_free(&added->edges);
    free(added->tokens);
    *added = (tg__added_tokens){0};
}

static uint32_t step(const tg__added_tokens *added, uint32_t node, int32_t code)
{
    return tg__pair_map_get(&added->edges, node, (uint32_t)code);
}

static bool is_token(const tg__added_tokens *added, uint32_t node)
{
    return added->tokens[node].piece != TG__NO_VALUE;
}

/* ---------------------------------------------------------------------------------- the search */

enum { NO_END = -1 };

typedef struct match {
    size_t start;
    uint32_t node;
    bool failed;
} match;

typedef struct search {
    const tg__added_tokens *added;
    const tg__chars *text;
    tg__segments *segments;
    match *matches; /* those that are under way, by their start */
    size_t count;
} search;

/* Ends a segment at stop, unless it would be empty. */
static bool cut(search *s, size_t stop)
{
    tg__segments *list = s->segments;
    size_t start = list->count > 0 ? list->at[list->count - 1].stop : 0;
    if (stop <= start)
        return true;
    if (!tg__grow((void **)&list->at, list->count, &list->room, sizeof *list->at))
        return false;
    list->at[list->count++] = (tg__segment){start, stop, TG__NO_VALUE};
    return true;
}

/* Where the longest token ends that node, reached before index at, can become; or NO_END. */
static ptrdiff_t longest_end(const search *s, uint32_t node, size_t at)
{
    ptrdiff_t end = NO_END;
    for (;; at++) {
        if (is_token(s->added, node))
            end = (ptrdiff_t)at;
        if (at >= s->text->count)
            return end;
        node = step(s->added, node, s->text->at[at].code);
        if (node == TG__NO_VALUE)
            return end;
    }
}

/* Follows all matches through the character at index at. If one of them was a token before it, the
 * token found is [*start, *end) and true is returned. */
static bool advance(search *s, size_t at, size_t *start, size_t *end)
{
    for (size_t i = 0; i < s->count; i++) {
        match *m = &s->matches[i];
        if (is_token(s->added, m->node)) {
            ptrdiff_t stop = NO_END;
            for (size_t j = 0; j <= i && stop == NO_END; j++) {
                stop = longest_end(s, s->matches[j].node, j < i ? at + 1 : at);
                *start = s->matches[j].start;
            }
            *end = (size_t)stop;
            return true;
        }
        uint32_t next = step(s->added, m->node, s->text->at[at].code);
        m->failed = next == TG__NO_VALUE;
        if (!m->failed)
            m->node = next;
    }
    return false;
}

static void drop_failed(search *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (!s->matches[i].failed)
            s->matches[kept++] = s->matches[i];
    s->count = kept;
}

static bool find_all(search *s)
{
    size_t next = 0; /* a match that was found goes up to here */
    for (size_t at = 0; at < s->text->count; at++) {
        if (at < next)
            continue;
        size_t start, end;
        if (advance(s, at, &start, &end)) {
            s->count = 0;
            next = end;
            if (!cut(s, start) || !cut(s, end))
                return false;
        } else {
            drop_failed(s);
        }
        uint32_t node = step(s->added, 0, s->text->at[at].code);
        if (at >= next && node != TG__NO_VALUE)
            s->matches[s->count++] = (match){.start = at, .node = node};
    }
    for (size_t i = 0; i < s->count; i++)
        if (is_token(s->added, s->matches[i].node))
            return cut(s, s->matches[i].start) && cut(s, s->text->count);
    return true;
}

/* ----------------------------------------------------------------------------------- the flags */

static bool is_space(tg__char c)
{
    return c.code == TG__CHAR_REMOVED || tg__unicode_flags(c.code) & TG__SPACE;
}

static void remove_char(tg__char *c) { c->code = TG__CHAR_REMOVED; }

static bool is_empty(const tg__segment *segment) { return segment->start == segment->stop; }

/* Gives segment its token, if it is one to the letter. */
static const tg__added_token *recognize(const tg__added_tokens *added, const tg__chars *text,
                                        tg__segment *segment)
{
    uint32_t node = 0;
    for (size_t i = segment->start; i < segment->stop && node != TG__NO_VALUE; i++)
        if (text->at[i].code != TG__CHAR_REMOVED)
            node = step(added, node, text->at[i].code);
    segment->piece = node == TG__NO_VALUE ? TG__NO_VALUE : added->tokens[node].piece;
    return segment->piece == TG__NO_VALUE ? NULL : &added->tokens[node];
}

/* Applies the flags of the token at at[0] to its neighbours (NULL where there is none). A segment
 * becomes empty when a neighbour takes it over, or when it was all white space. The tests for
 * single words look at the neighbours as they were before they were stripped. */
static void apply_flags(const tg__added_token *token, tg__chars *text, tg__segment *at,
                        tg__segment *left, tg__segment *right)
{
    bool touches_left = left && !is_empty(left) && text->at[left->stop - 1].code != ' ';
    bool touches_right = right && !is_empty(right) && text->at[right->start].code != ' ';
    if (token->right && right)
        for (; !is_empty(right) && is_space(text->at[right->start]); right->start++)
            remove_char(&text->at[right->start]);
    if (token->left && left)
        for (; !is_empty(left) && is_space(text->at[left->stop - 1]); left->stop--)
            remove_char(&text->at[left->stop - 1]);
    if (!token->single_word)
        return;
    if (touches_left) {
        left->start = is_empty(left) ? at->start : left->start;
        left->stop = at->stop;
        at->start = at->stop;
    } else if (touches_right) {
        right->stop = is_empty(right) ? at->stop : right->stop;
        right->start = at->start;
        at->stop = at->start;
    }
}

bool tg__added_tokens_split(const tg__added_tokens *added, tg__chars *text, tg__segments *segments)
{
    search s = {.added = added, .text = text, .segments = segments};
    segments->count = 0;
    s.matches = malloc((added->longest + 1) * sizeof *s.matches);
    bool ok = s.matches && find_all(&s) && cut(&s, text->count);
    free(s.matches);
    if (!ok)
        return false;
    tg__segment *at = segments->at;
    size_t count = segments->count, kept = 0;
    for (size_t i = 0; i < count; i++) {
        const tg__added_token *token = is_empty(&at[i]) ? NULL : recognize(added, text, &at[i]);
        if (token)
            apply_flags(token, text, &at[i], i > 0 ? &at[i - 1] : NULL,
                        i + 1 < count ? &at[i + 1] : NULL);
    }
    for (size_t i = 0; i < count; i++) {
        recognize(added, text, &at[i]);
        if (!is_empty(&at[i]))
            at[kept++] = at[i];
    }
    segments->count = kept;
    return true;
}

void tg__segments_free(tg__segments *segments)
{
    free(segments->at);
    *segments = (tg__segments){0};
}
