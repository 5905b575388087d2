/* SPDX-License-Identifier: MIT */
/* Tiles of a map that is too large to go through the VAE at once: where they lie, and how their
 * pictures are put together. Tiles overlap, and what two of them have is blended from one to the
 * other, for each has norms of its own. */
#ifndef TG_PIPELINE_TILES_H
#define TG_PIPELINE_TILES_H

#include <stdbool.h>
#include <stddef.h>

/* The tiles along one side of the map; all lengths in latents. */
typedef struct tg__axis {
    int size;  /* of the map */
    int count; /* of tiles */
    int tile;  /* their length */
    int step;  /* from one to the next; 0: spread evenly */
} tg__axis;

/* One tile on an axis. */
typedef struct tg__span {
    int start, length;
    int blend; /* what it shares with the one before */
    int keep;  /* what the next one does not begin with */
} tg__span;

typedef struct tg__grid {
    tg__axis rows, columns;
} tg__grid;

/* The smallest tile that even tiles are made of: less of a picture misleads the norms. */
enum { TG__LEAST_TILE = 32 };

/* One tile. */
tg__axis tg__axis_whole(int size);
/* diffusers': of this length (a multiple of 4), each three quarters of it behind the one before; at
 * the end they are cut off. */
tg__axis tg__axis_fixed(int size, int tile);
/* count tiles of the same length, the least (that is a multiple of 4) with which neighbours share a
 * quarter of it or more; whole where that is no less. Not for tiles below TG__LEAST_TILE. */
tg__axis tg__axis_even(int size, int count);
tg__span tg__axis_at(const tg__axis *axis, int index);

/* One tile more along the side where they are longer; false if they would be too small. */
bool tg__grid_split(tg__grid *grid);

/* A picture (channels, h, w), dense. */
typedef struct tg__picture {
    float *data;
    int channels, h, w;
} tg__picture;

/* h x w values from (src_y, src_x) of src to (y, x) of dst, in all channels. */
void tg__copy_area(tg__picture dst, int y, int x, tg__picture src, int src_y, int src_x, int h,
                   int w);
/* The first rows of dst turn gradually from above's into its own; above has as many channels and
 * columns, and h rows of them. */
void tg__blend_rows(tg__picture dst, tg__picture above);
/* The same with the first columns; left has dst's rows, and w columns. */
void tg__blend_columns(tg__picture dst, tg__picture left);

#endif
