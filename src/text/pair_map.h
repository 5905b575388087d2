/* SPDX-License-Identifier: MIT */
/* A map from pairs of 32-bit numbers to 32-bit numbers: which two pieces merge, a trie's edges. */
#ifndef TG_TEXT_PAIR_MAP_H
#define TG_TEXT_PAIR_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TG__NO_VALUE UINT32_MAX

struct tg__pair_slot;
typedef struct tg__pair_map {
    struct tg__pair_slot *slots;
    size_t count, room; /* room: zero or a power of two */
} tg__pair_map;

/* TG__NO_VALUE if the pair is not there. */
uint32_t tg__pair_map_get(const tg__pair_map *map, uint32_t a, uint32_t b);

/* Adds or replaces; value is not TG__NO_VALUE. False without memory. */
bool tg__pair_map_put(tg__pair_map *map, uint32_t a, uint32_t b, uint32_t value);
void tg__pair_map_free(tg__pair_map *map);

/* Spreads the bits of a number over all bits. */
static inline uint64_t tg__mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

#endif
