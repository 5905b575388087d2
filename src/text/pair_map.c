/* SPDX-License-Identifier: MIT */
#include "text/pair_map.h"

#include <stdlib.h>

struct tg__pair_slot {
    uint32_t a, b, value;
};

/* Where the pair is or would be. The table's address, which nobody can foresee, is part of the
 * hash, so that no file can be made whose pairs all collide. */
static struct tg__pair_slot *find(const tg__pair_map *map, uint32_t a, uint32_t b)
{
    uint64_t hash = tg__mix(((uint64_t)a << 32 | b) + tg__mix((uintptr_t)map->slots));
    for (size_t i = hash & (map->room - 1);; i = (i + 1) & (map->room - 1)) {
        struct tg__pair_slot *slot = &map->slots[i];
        if (slot->value == TG__NO_VALUE || (slot->a == a && slot->b == b))
            return slot;
    }
}

uint32_t tg__pair_map_get(const tg__pair_map *map, uint32_t a, uint32_t b)
{
    return map->room > 0 ? find(map, a, b)->value : TG__NO_VALUE;
}

static bool grow(tg__pair_map *map)
{
    tg__pair_map larger = {.count = map->count, .room = map->room ? 2 * map->room : 64};
    larger.slots = calloc(larger.room, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (size_t i = 0; i < larger.room; i++)
        larger.slots[i].value = TG__NO_VALUE;
    for (size_t i = 0; i < map->room; i++)
        if (map->slots[i].value != TG__NO_VALUE)
            *find(&larger, map->slots[i].a, map->slots[i].b) = map->slots[i];
    free(map->slots);
    *map = larger;
    return true;
}

bool tg__pair_map_put(tg__pair_map *map, uint32_t a, uint32_t b, uint32_t value)
{
    if (4 * (map->count + 1) > 3 * map->room && !grow(map))
        return false;
    struct tg__pair_slot *slot = find(map, a, b);
    map->count += slot->value == TG__NO_VALUE;
    *slot = (struct tg__pair_slot){a, b, value};
    return true;
}

void tg__pair_map_free(tg__pair_map *map)
{
    free(map->slots);
    *map = (tg__pair_map){0};
}
