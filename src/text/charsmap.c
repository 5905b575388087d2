/* SPDX-License-Identifier: MIT */
#include "text/charsmap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 256 };

static uint32_t read_u32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t unit_at(const tg__charsmap *map, size_t i) { return read_u32(map->units + 4 * i); }

static bool has_leaf(uint32_t unit) { return unit >> 8 & 1; }
static uint32_t value_of(uint32_t unit) { return unit & 0x7FFFFFFF; }
static uint32_t label_of(uint32_t unit) { return unit & 0x800000FF; }
static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & UINT32_C(1) << 9) >> 6);
}

/* -------------------------------------------------------------------------------------- opening */

typedef struct walk {
    const tg__charsmap *map;
    unsigned char *seen;
    size_t *open; /* nodes whose children are to be looked at */
    size_t count;
} walk;

/* Whether what a node leads to lies inside. */
static bool look_at(walk *w, size_t node)
{
    const tg__charsmap *map = w->map;
    uint32_t unit = unit_at(map, node);
    size_t base = node ^ offset_of(unit);
    if ((base | (BYTES - 1)) >= map->unit_count ||
        (has_leaf(unit) && value_of(unit_at(map, base)) >= map->string_bytes))
        return false;
    for (size_t label = 1; label < BYTES; label++) {
        size_t child = base ^ label;
        if (label_of(unit_at(map, child)) != label || w->seen[child])
            continue;
        w->seen[child] = 1;
        w->open[w->count++] = child;
    }
    return true;
}

/* Each node once, whatever the table says. */
static tg_status check(const tg__charsmap *map, const char *where, tg__error *error)
{
    walk w = {map, calloc(map->unit_count, 1), calloc(map->unit_count, sizeof *w.open), 0};
    bool ok = true;
    if (!w.seen || !w.open) {
        tg__fail_memory(error);
    } else {
        w.open[w.count++] = 0;
        while (ok && w.count > 0)
            ok = look_at(&w, w.open[--w.count]);
    }
    free(w.seen);
    free(w.open);
    return ok ? error->status
              : tg__fail(error, TG_ERROR_FORMAT,
                         "%s: precompiled_charsmap leads out of itself, expected a whole table",
                         where);
}

tg_status tg__charsmap_open(tg__charsmap *map, const void *data, size_t bytes, const char *where,
                            tg__error *error)
{
    enum { HEAD = 4 };
    const unsigned char *p = data;
    *map = (tg__charsmap){0};
    if (bytes == 0)
        return TG_OK;
    size_t length = bytes > HEAD ? read_u32(p) : 0;
    if (length < 4 || length % 4 != 0 || length >= bytes - HEAD || p[bytes - 1] != '\0')
        return tg__fail(error, TG_ERROR_FORMAT,
                        "%s: precompiled_charsmap has %zu bytes of which %zu are its index, "
                        "expected an index and strings behind it",
                        where, bytes, length);
    map->units = p + HEAD;
    map->unit_count = length / 4;
    map->strings = (const char *)p + HEAD + length;
    map->string_bytes = bytes - HEAD - length;
    return check(map, where, error);
}

/* -------------------------------------------------------------------------------------- finding */

const char *tg__charsmap_find(const tg__charsmap *map, const char *key, size_t length)
{
    if (!map->units)
        return NULL;
    size_t at = offset_of(unit_at(map, 0));
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)key[i];
        at ^= byte;
        uint32_t unit = unit_at(map, at);
        if (byte == 0 || label_of(unit) != byte)
            return NULL;
        at ^= offset_of(unit);
        if (has_leaf(unit))
            return map->strings + value_of(unit_at(map, at));
    }
    return NULL;
}
