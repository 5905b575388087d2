/* SPDX-License-Identifier: MIT */
#include "text/pieces.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_more(uint64_t hash, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001B3u;
    return hash;
}

/* As in pair_map.c, the table's address keeps files from being made to collide. */
static size_t first_slot(const tg__pieces *pieces, const char *a, size_t a_length, const char *b,
                         size_t b_length)
{
    uint64_t hash = tg__mix((uintptr_t)pieces->slots);
    hash = hash_more(hash_more(hash, a, a_length), b, b_length);
    return tg__mix(hash) & (pieces->slot_count - 1);
}

static uint32_t *find(const tg__pieces *pieces, const char *a, size_t a_length, const char *b,
                      size_t b_length)
{
    size_t i = first_slot(pieces, a, a_length, b, b_length);
    for (;; i = (i + 1) & (pieces->slot_count - 1)) {
        uint32_t *slot = &pieces->slots[i];
        if (*slot == TG__NO_VALUE)
            return slot;
        const char *text = pieces->at[*slot].text;
        if (strncmp(text, a, a_length) == 0 && strncmp(text + a_length, b, b_length) == 0 &&
            text[a_length + b_length] == '\0')
            return slot;
    }
}

static bool grow(tg__pieces *pieces)
{
    size_t room = pieces->room ? 2 * pieces->room : 512, slot_count = 2 * room;
    tg__piece *at = realloc(pieces->at, room * sizeof *at);
    if (!at)
        return false;
    pieces->at = at;
    uint32_t *slots = malloc(slot_count * sizeof *slots);
    if (!slots)
        return false;
    memset(slots, 0xFF, slot_count * sizeof *slots);
    free(pieces->slots);
    pieces->slots = slots;
    pieces->slot_count = slot_count;
    pieces->room = room;
    for (size_t i = 0; i < pieces->count; i++)
        *find(pieces, at[i].text, strlen(at[i].text), "", 0) = (uint32_t)i;
    return true;
}

uint32_t tg__pieces_number(tg__pieces *pieces, const char *a, size_t a_length, const char *b,
                           size_t b_length)
{
    if (pieces->count == pieces->room && !grow(pieces))
        return TG__NO_VALUE;
    uint32_t *slot = find(pieces, a, a_length, b, b_length);
    if (*slot == TG__NO_VALUE) {
        char *text = tg__arena_take(&pieces->arena, a_length + b_length + 1, 1);
        if (!text)
            return TG__NO_VALUE;
        memcpy(text, a, a_length);
        memcpy(text + a_length, b, b_length);
        pieces->at[pieces->count] = (tg__piece){text, -1};
        *slot = (uint32_t)pieces->count++;
    }
    return *slot;
}

uint32_t tg__pieces_find(const tg__pieces *pieces, const char *text, size_t length)
{
    return pieces->count > 0 ? *find(pieces, text, length, "", 0) : TG__NO_VALUE;
}

void tg__pieces_free(tg__pieces *pieces)
{
    tg__arena_free(&pieces->arena);
    free(pieces->at);
    free(pieces->slots);
    *pieces = (tg__pieces){0};
}
