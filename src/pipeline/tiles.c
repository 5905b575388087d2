/* SPDX-License-Identifier: MIT */
#include "pipeline/tiles.h"

#include <stdint.h>
#include <string.h>

/* ------------------------------------------------------------------------------ where they lie */

tg__axis tg__axis_whole(int size) { return (tg__axis){size, 1, size, size}; }

tg__axis tg__axis_fixed(int size, int tile)
{
    int step = tile / 4 * 3;
    return (tg__axis){size, (size + step - 1) / step, tile, step};
}

tg__axis tg__axis_even(int size, int count)
{
    enum { MULTIPLE = 4 }; /* odd sizes suit convolutions less */
    int64_t quarters = 3 * (int64_t)count + 1;
    int tile = (int)((4 * (int64_t)size + quarters - 1) / quarters);
    tile = (tile + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
    if (count == 1 || tile >= size)
        return tg__axis_whole(size);
    return (tg__axis){size, count, tile, 0};
}

static int start_of(const tg__axis *axis, int index)
{
    if (axis->step)
        return index * axis->step;
    return (int)((int64_t)index * (axis->size - axis->tile) / (axis->count - 1));
}

tg__span tg__axis_at(const tg__axis *axis, int index)
{
    int start = start_of(axis, index), left = axis->size - start;
    tg__span span = {.start = start, .length = left < axis->tile ? left : axis->tile};
    span.keep = index + 1 < axis->count ? start_of(axis, index + 1) - start : span.length;
    if (index > 0) {
        int before = start_of(axis, index - 1) + axis->tile;
        span.blend = (before < axis->size ? before : axis->size) - start;
    }
    return span;
}

bool tg__grid_split(tg__grid *grid)
{
    tg__axis *rows = &grid->rows, *columns = &grid->columns;
    tg__axis *longer = rows->tile >= columns->tile ? rows : columns;
    for (int i = 0; i < 2; i++, longer = longer == rows ? columns : rows) {
        tg__axis more = tg__axis_even(longer->size, longer->count + 1);
        if (more.count > longer->count && more.tile >= TG__LEAST_TILE) {
            *longer = more;
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------------ putting them together */

static float *at(tg__picture p, int channel, int y, int x)
{
    return p.data + ((size_t)channel * (size_t)p.h + (size_t)y) * (size_t)p.w + (size_t)x;
}

void tg__copy_area(tg__picture dst, int y, int x, tg__picture src, int src_y, int src_x, int h,
                   int w)
{
    for (int c = 0; c < dst.channels; c++)
        for (int i = 0; i < h; i++)
            memcpy(at(dst, c, y + i, x), at(src, c, src_y + i, src_x), (size_t)w * sizeof(float));
}

void tg__blend_rows(tg__picture dst, tg__picture above)
{
    for (int c = 0; c < dst.channels; c++) {
        for (int y = 0; y < above.h; y++) {
            float *to = at(dst, c, y, 0), own = (float)y / (float)above.h;
            const float *from = at(above, c, y, 0);
            for (int x = 0; x < dst.w; x++)
                to[x] = from[x] * (1 - own) + to[x] * own;
        }
    }
}

void tg__blend_columns(tg__picture dst, tg__picture left)
{
    for (int c = 0; c < dst.channels; c++) {
        for (int y = 0; y < dst.h; y++) {
            float *to = at(dst, c, y, 0);
            const float *from = at(left, c, y, 0);
            for (int x = 0; x < left.w; x++) {
                float own = (float)x / (float)left.w;
                to[x] = from[x] * (1 - own) + to[x] * own;
            }
        }
    }
}
