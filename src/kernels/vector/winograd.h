/* SPDX-License-Identifier: MIT */
/* Winograd's convolution F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308), written once for every
 * vector width: 36 multiplications for 16 outputs of a 3x3 kernel instead of 144, all in f32.
 *
 * A tile is 4x4 outputs; it reads 6x6 pixels d. Y = A^T [(G g G^T) * (B^T d B)] A, where * is
 * pointwise in the 6x6 points and a product of matrices over the channels: tiles x in times
 * in x out at each point. Channels are the lanes of both transforms, output channels those of the
 * products, which broadcast the tiles' values.
 *
 * A piece of work is a block of tiles, small enough that all that belongs to it stays in the L2
 * cache while the weights pass by once. So that many tiles fit, the six rows of points come one
 * after another, each with its own transforms: of the input, six points' values; of the output, the
 * sums of the 16 results.
 *
 * Packed weights: (6 rows in the order of use, panels, 6 points, in, PANEL), f32 or f16, then a
 * factor for each output channel. In f16 the factor is the power of two that brings the channel's
 * largest weight below 2^15, so that small weights are as precise as large ones.
 *
 * Included behind vector.h and enum { TILES }. */
#ifndef TG_KERNELS_VECTOR_WINOGRAD_H
#define TG_KERNELS_VECTOR_WINOGRAD_H

#include <math.h>

#include "kernels/kernels.h"
#include "kernels/vector/math.h"

enum {
    POINTS = 6, /* of a side; pixels too */
    SIDE = 4,   /* outputs of a side */
    OUTPUTS = SIDE * SIDE,
    PANEL = 2 * LANES,
};

/* The points are 0, infinity, and these two with either sign. With the usual 1 and 2 the outputs'
 * errors would be twice as large, and four times in a tile's last row and column. Their powers are
 * exact. */
#define NEAR 0.6875f
#define NEAR2 (NEAR * NEAR)
#define NEAR3 (NEAR2 * NEAR)
#define FAR 1.5f
#define FAR2 (FAR * FAR)
#define FAR3 (FAR2 * FAR)

/* The order of the rows of points: the first enters all rows of outputs. */
static const int row_order[POINTS] = {1, 2, 3, 4, 0, 5};

static size_t winograd_panels(const tg__winograd *w)
{
    return ((size_t)w->out + PANEL - 1) / PANEL;
}

/* Vectors of input channels. */
static size_t winograd_slices(const tg__winograd *w) { return ((size_t)w->in + LANES - 1) / LANES; }

/* ------------------------------------------------------------------------------------- weights */

static size_t weight_size(const tg__winograd *w) { return w->half ? 2 : sizeof(float); }

static size_t winograd_weight_bytes(const tg__winograd *w)
{
    return POINTS * POINTS * winograd_panels(w) * (size_t)w->in * PANEL * weight_size(w);
}

static size_t winograd_packed_bytes(const tg__winograd *w)
{
    return winograd_weight_bytes(w) + winograd_panels(w) * PANEL * sizeof(float);
}

/* G times three taps that lie `step` apart. */
TG_SPECIALISED void transform_taps(vec u[POINTS], const vec g[], int step)
{
    vec near2 = vec_set(NEAR2), far2 = vec_set(FAR2);
    vec near = vec_set(0.5f / (NEAR2 * (NEAR2 - FAR2)));
    vec far = vec_set(0.5f / (FAR2 * (FAR2 - NEAR2)));
    vec even = vec_fma(g[2 * step], near2, g[0]), odd = vec_mul(g[step], vec_set(NEAR));
    u[0] = vec_mul(g[0], vec_set(1 / (NEAR2 * FAR2)));
    u[1] = vec_mul(vec_add(even, odd), near);
    u[2] = vec_mul(vec_sub(even, odd), near);
    even = vec_fma(g[2 * step], far2, g[0]);
    odd = vec_mul(g[step], vec_set(FAR));
    u[3] = vec_mul(vec_add(even, odd), far);
    u[4] = vec_mul(vec_sub(even, odd), far);
    u[5] = g[2 * step];
}

/* All points of one input channel: u[POINTS * row + column]. */
static void transform_weights(vec u[POINTS * POINTS], const float *taps)
{
    vec g[9], t[3 * POINTS]; /* t: transformed along columns, by kernel column and then point */
    for (int i = 0; i < 9; i++)
        g[i] = vec_load(taps + i * PANEL);
    for (int i = 0; i < 3; i++)
        transform_taps(t + i * POINTS, g + i, 3);
    for (int i = 0; i < POINTS; i++)
        transform_taps(u + i * POINTS, t + i, POINTS);
}

/* The power of two that brings `top` into [2^14, 2^15); 1 where there is none. */
static float half_factor(float top)
{
    int exponent;
    if (!(top > 0 && top < INFINITY))
        return 1;
    frexpf(top, &exponent);
    return ldexpf(1, exponent < -100 ? 115 : 15 - exponent);
}

static void winograd_pack(void *packed, const tg__winograd *w, int panel, const float *taps)
{
    size_t in = (size_t)w->in, panels = winograd_panels(w), size = weight_size(w);
    float *factors = (float *)(void *)((char *)packed + winograd_weight_bytes(w)) + panel * PANEL;
    vec u[POINTS * POINTS];
    for (int lane = 0; lane < PANEL; lane += LANES) {
        float top[LANES], factor[LANES], back[LANES];
        vec most = vec_zero();
        for (size_t c = 0; w->half && c < in; c++) {
            transform_weights(u, taps + c * 9 * PANEL + lane);
            for (int i = 0; i < POINTS * POINTS; i++)
                most = vec_max(most, vec_abs(u[i]));
        }
        vec_store(top, most);
        for (int i = 0; i < LANES; i++) {
            factor[i] = half_factor(top[i]);
            back[i] = 1 / factor[i];
        }
        vec_store(factors + lane, vec_load(back));
        for (size_t c = 0; c < in; c++) {
            transform_weights(u, taps + c * 9 * PANEL + lane);
            for (size_t i = 0; i < POINTS * POINTS; i++) {
                size_t block = (i / POINTS * panels + (size_t)panel) * POINTS + i % POINTS;
                char *dst = (char *)packed + ((block * in + c) * PANEL + (size_t)lane) * size;
                vec x = vec_mul(u[(size_t)row_order[i / POINTS] * POINTS + i % POINTS],
                                vec_load(factor));
                if (w->half)
                    vec_store_f16(dst, x);
                else
                    vec_store((float *)(void *)dst, x);
            }
        }
    }
}

/* -------------------------------------------------------------------------------------- memory */

/* Where the parts of a piece of work lie in scratch. */
typedef struct tiles {
    const tg__winograd *w;
    int first, count;
    float *values;       /* (6 points, slices, count, LANES): one row of points of the input */
    float *products;     /* (6 points, count, PANEL) */
    float *outputs;      /* (panels, count, 16, PANEL) */
    float *wide;         /* (in, PANEL): a panel's weights of one point */
    float *zeros;        /* a pixel beyond the edge */
    const char **pixels; /* count x 36 */
} tiles;

static size_t winograd_tile_bytes(const tg__winograd *w)
{
    size_t floats =
        POINTS * winograd_slices(w) * LANES + POINTS * PANEL + winograd_panels(w) * OUTPUTS * PANEL;
    return floats * sizeof(float) + POINTS * POINTS * sizeof(char *);
}

static size_t winograd_scratch_bytes(const tg__winograd *w)
{
    size_t floats = (size_t)w->in * PANEL + winograd_slices(w) * LANES;
    return (size_t)w->block * winograd_tile_bytes(w) + floats * sizeof(float);
}

static tiles tiles_of(const tg__winograd *w, void *scratch, int first, int count)
{
    tiles t = {.w = w, .first = first, .count = count, .values = scratch};
    size_t n = (size_t)count;
    t.products = t.values + n * POINTS * winograd_slices(w) * LANES;
    t.outputs = t.products + n * POINTS * PANEL;
    t.wide = t.outputs + n * winograd_panels(w) * OUTPUTS * PANEL;
    t.zeros = t.wide + (size_t)w->in * PANEL;
    t.pixels = (const char **)(void *)(t.zeros + winograd_slices(w) * LANES);
    return t;
}

typedef struct place {
    int image, y, x; /* of the first output */
} place;

static place place_of(const tg__winograd *w, int tile)
{
    int columns = (w->w + SIDE - 1) / SIDE, rows = (w->h + SIDE - 1) / SIDE;
    int image = tile / (rows * columns), row = tile / columns % rows;
    return (place){image, row * SIDE, tile % columns * SIDE};
}

static void find_pixels(const tiles *t)
{
    const tg__winograd *w = t->w;
    size_t pixel = (size_t)w->in * (w->src_bf16 ? sizeof(tg__bf16) : sizeof(float));
    int shift = w->doubled ? 1 : 0, h = w->h >> shift, width = w->w >> shift;
    memset(t->zeros, 0, winograd_slices(w) * LANES * sizeof(float));
    for (int i = 0; i < t->count; i++) {
        place p = place_of(w, t->first + i);
        const char *image =
            (const char *)w->src + (size_t)p.image * (size_t)h * (size_t)width * pixel;
        const char **at = t->pixels + (size_t)i * POINTS * POINTS;
        for (int y = p.y - 1; y < p.y - 1 + POINTS; y++)
            for (int x = p.x - 1; x < p.x - 1 + POINTS; x++, at++) {
                bool inside = y >= 0 && y < w->h && x >= 0 && x < w->w;
                *at = inside
                          ? image + ((size_t)(y >> shift) * (size_t)width + (size_t)(x >> shift)) *
                                        pixel
                          : (const char *)t->zeros;
            }
    }
}

/* --------------------------------------------------------------------------------------- input */

/* The points of B^T d: what is even and odd in d of the pairs, and the first and the last. */
TG_SPECIALISED vec point_end(vec a, vec b, vec c)
{
    vec sum = vec_fnma(vec_set(NEAR2 + FAR2), b, c);
    return vec_fma(vec_set(NEAR2 * FAR2), a, sum);
}

TG_SPECIALISED vec point_half(vec a, vec b, float other)
{
    return vec_fnma(vec_set(other * other), a, b);
}

/* One point of a column of pixels. */
TG_SPECIALISED vec transform_column(const char *const pixels[], size_t c, size_t left, int row,
                                    bool bf16)
{
#define PIXEL(y) get(pixels[(y)*POINTS], c, left, bf16)
    if (row == 0)
        return point_end(PIXEL(0), PIXEL(2), PIXEL(4));
    if (row == POINTS - 1)
        return point_end(PIXEL(1), PIXEL(3), PIXEL(5));
    float point = row < 3 ? NEAR : FAR, other = row < 3 ? FAR : NEAR;
    vec even = point_half(PIXEL(2), PIXEL(4), other), odd = point_half(PIXEL(1), PIXEL(3), other);
#undef PIXEL
    return row % 2 ? vec_fma(vec_set(point), odd, even) : vec_fnma(vec_set(point), odd, even);
}

/* The row of points `row` of one tile's LANES channels. */
TG_SPECIALISED void transform_row(float *dst, size_t step, const char *const pixels[], size_t c,
                                  size_t left, int row, bool bf16)
{
    vec t[POINTS], near = vec_set(NEAR), far = vec_set(FAR);
    TG_UNROLL
    for (int x = 0; x < POINTS; x++)
        t[x] = transform_column(pixels + x, c, left, row, bf16);
    vec even = point_half(t[2], t[4], FAR), odd = point_half(t[1], t[3], FAR);
    vec even2 = point_half(t[2], t[4], NEAR), odd2 = point_half(t[1], t[3], NEAR);
    vec_store(dst, point_end(t[0], t[2], t[4]));
    vec_store(dst + step, vec_fma(near, odd, even));
    vec_store(dst + 2 * step, vec_fnma(near, odd, even));
    vec_store(dst + 3 * step, vec_fma(far, odd2, even2));
    vec_store(dst + 4 * step, vec_fnma(far, odd2, even2));
    vec_store(dst + 5 * step, point_end(t[1], t[3], t[5]));
}

TG_SPECIALISED void transform_tiles(const tiles *t, int row, bool bf16)
{
    size_t in = (size_t)t->w->in, count = (size_t)t->count, slices = winograd_slices(t->w);
    for (size_t i = 0; i < count; i++) {
        const char *const *pixels = t->pixels + i * POINTS * POINTS;
        for (size_t slice = 0; slice < slices; slice++)
            transform_row(t->values + (slice * count + i) * LANES, slices * count * LANES, pixels,
                          slice * LANES, in - slice * LANES, row, bf16);
    }
}

TG_SPECIALISED void transform_input(const tiles *t, int row)
{
    if (t->w->src_bf16)
        transform_tiles(t, row, true);
    else
        transform_tiles(t, row, false);
}

/* ------------------------------------------------------------------------------------ products */

/* dst (rows, PANEL) = values (rows, in) times weights (in, PANEL); slices of values lie step floats
 * apart. Meanwhile weights in f16 are kept in `wide` as f32, and what is `next` to be read is
 * fetched, `ahead` bytes for each input channel. */
TG_SPECIALISED void multiply_rows(float *dst, const float *values, size_t step, const void *weights,
                                  float *wide, size_t in, const char *next, size_t ahead, int rows,
                                  bool half)
{
    vec s[TILES][2];
    const char *halves = weights;
    const float *floats = weights;
    TG_UNROLL
    for (int i = 0; i < rows; i++)
        s[i][0] = s[i][1] = vec_zero();
    for (size_t done = 0; done < in; done += LANES, values += step) {
        size_t n = in - done < LANES ? in - done : LANES;
        for (const float *value = values; value < values + n; value++) {
            vec a = half ? vec_load_f16(halves) : vec_load(floats);
            vec b = half ? vec_load_f16(halves + 2 * LANES) : vec_load(floats + LANES);
            if (half) {
                vec_store(wide, a);
                vec_store(wide + LANES, b);
                wide += PANEL;
            }
            halves += 2 * PANEL;
            floats += PANEL;
            TG_UNROLL
            for (size_t i = 0; i < PANEL * sizeof(float); i += 64)
                __builtin_prefetch(next + i);
            next += ahead;
            TG_UNROLL
            for (int i = 0; i < rows; i++) {
                vec x = vec_set(value[i * LANES]);
                s[i][0] = vec_fma(x, a, s[i][0]);
                s[i][1] = vec_fma(x, b, s[i][1]);
            }
        }
    }
    TG_UNROLL
    for (int i = 0; i < rows; i++) {
        vec_store(dst + i * PANEL, s[i][0]);
        vec_store(dst + i * PANEL + LANES, s[i][1]);
    }
}

TG_SPECIALISED void multiply(float *dst, const float *values, size_t step, const void *weights,
                             float *wide, size_t in, const char *next, size_t ahead, int rows,
                             bool half)
{
    switch (rows) {
#define ROWS_OF(n)                                                                               \
    case n:                                                                                      \
        if (n <= TILES)                                                                          \
            multiply_rows(dst, values, step, weights, wide, in, next, ahead, n <= TILES ? n : 1, \
                          half);                                                                 \
        break;
        ROWS_OF(1)
        ROWS_OF(2)
        ROWS_OF(3)
        ROWS_OF(4)
        ROWS_OF(5)
        ROWS_OF(6)
        ROWS_OF(7)
        ROWS_OF(8)
        ROWS_OF(9)
        ROWS_OF(10)
        ROWS_OF(11)
        ROWS_OF(12)
#undef ROWS_OF
    }
}

/* A panel's products with a row of points, for all tiles: as many at a time as there are registers
 * for, in parts of about the same size. */
static void multiply_panel(const tiles *t, size_t row, size_t panel)
{
    const tg__winograd *w = t->w;
    size_t in = (size_t)w->in, count = (size_t)t->count, slices = winograd_slices(w);
    size_t block = (row * winograd_panels(w) + panel) * POINTS, bytes = in * PANEL * weight_size(w);
    const char *weights = (const char *)w->weights + block * bytes;
    size_t parts = (count + TILES - 1) / TILES;
    for (size_t point = 0; point < POINTS; point++, weights += bytes) {
        for (size_t part = 0; part < parts; part++) {
            size_t first = part * count / parts, rows = (part + 1) * count / parts - first;
            const float *values = t->values + (point * slices * count + first) * LANES;
            float *dst = t->products + (point * count + first) * PANEL;
            const char *next = weights + bytes + part * bytes / parts;
            size_t ahead = PANEL * weight_size(w) / parts;
            if (w->half && part == 0)
                multiply(dst, values, count * LANES, weights, t->wide, in, next, ahead, (int)rows,
                         true);
            else
                multiply(dst, values, count * LANES, w->half ? (const void *)t->wide : weights,
                         NULL, in, next, ahead, (int)rows, false);
        }
    }
}

/* -------------------------------------------------------------------------------------- output */

/* How the rows of points enter the rows of outputs: A. */
static const float row_factors[POINTS][SIDE] = {
    {1, 0, 0, 0},         {1, NEAR, NEAR2, NEAR3}, {1, -NEAR, NEAR2, -NEAR3},
    {1, FAR, FAR2, FAR3}, {1, -FAR, FAR2, -FAR3},  {0, 0, 0, 1},
};

/* Adds what a row of points gives to LANES channels of a tile's outputs; the first row of all sets
 * them. */
TG_SPECIALISED void add_row(float *outputs, const float *products, size_t step, int row)
{
    vec m[POINTS], z[SIDE];
    TG_UNROLL
    for (int i = 0; i < POINTS; i++)
        m[i] = vec_load(products + (size_t)i * step);
    vec even = vec_add(m[1], m[2]), odd = vec_sub(m[1], m[2]);
    vec even2 = vec_add(m[3], m[4]), odd2 = vec_sub(m[3], m[4]);
    z[0] = vec_add(m[0], vec_add(even, even2));
    TG_UNROLL
    for (int i = 1; i < SIDE; i++)
        z[i] = vec_fma(vec_set(row_factors[1][i]), i % 2 ? odd : even,
                       vec_mul(vec_set(row_factors[3][i]), i % 2 ? odd2 : even2));
    z[3] = vec_add(z[3], m[5]);
    TG_UNROLL
    for (int i = 0; i < SIDE; i++) {
        if (row_factors[row][i] == 0)
            continue;
        vec factor = vec_set(row_factors[row][i]);
        TG_UNROLL
        for (int j = 0; j < SIDE; j++) {
            float *y = outputs + (i * SIDE + j) * PANEL;
            vec_store(y, row == row_order[0] ? vec_mul(factor, z[j])
                                             : vec_fma(factor, z[j], vec_load(y)));
        }
    }
}

TG_SPECIALISED void add_rows(const tiles *t, size_t panel, int row)
{
    size_t count = (size_t)t->count;
    float *outputs = t->outputs + panel * count * OUTPUTS * PANEL;
    for (size_t i = 0; i < count; i++)
        for (size_t lane = 0; lane < PANEL; lane += LANES)
            add_row(outputs + i * OUTPUTS * PANEL + lane, t->products + i * PANEL + lane,
                    count * PANEL, row);
}

static void add_panel(const tiles *t, size_t panel, int row)
{
    switch (row) {
    case 0:
        add_rows(t, panel, 0);
        break;
    case 1:
        add_rows(t, panel, 1);
        break;
    case 2:
        add_rows(t, panel, 2);
        break;
    case 3:
        add_rows(t, panel, 3);
        break;
    case 4:
        add_rows(t, panel, 4);
        break;
    default:
        add_rows(t, panel, 5);
    }
}

/* A panel of one tile, as far as it is inside the map: factor, bias, residual. */
TG_SPECIALISED void store_tile(const tg__winograd *w, place p, const float *outputs, size_t panel,
                               bool bf16)
{
    const float *factors =
        (const float *)(const void *)((const char *)w->weights + winograd_weight_bytes(w));
    size_t out = (size_t)w->out;
    int rows = w->h - p.y < SIDE ? w->h - p.y : SIDE,
        columns = w->w - p.x < SIDE ? w->w - p.x : SIDE;
    for (size_t lane = 0; lane < PANEL && panel * PANEL + lane < out; lane += LANES) {
        size_t c = panel * PANEL + lane, left = out - c;
        vec factor = vec_load(factors + c),
            bias = w->bias ? get(w->bias, c, left, false) : vec_zero();
        for (int y = 0; y < rows; y++)
            for (int x = 0; x < columns; x++) {
                size_t row = (size_t)p.image * (size_t)w->h + (size_t)(p.y + y);
                size_t at = (row * (size_t)w->w + (size_t)(p.x + x)) * out + c;
                vec sum = vec_fma(vec_load(outputs + (y * SIDE + x) * PANEL + lane), factor, bias);
                if (w->residual)
                    sum = vec_add(sum, get(w->residual, at, left, bf16));
                put(w->dst, at, sum, left, bf16);
            }
    }
}

static void store_panel(const tiles *t, size_t panel)
{
    size_t count = (size_t)t->count;
    for (size_t i = 0; i < count; i++) {
        const float *outputs = t->outputs + (panel * count + i) * OUTPUTS * PANEL;
        if (t->w->dst_bf16)
            store_tile(t->w, place_of(t->w, t->first + (int)i), outputs, panel, true);
        else
            store_tile(t->w, place_of(t->w, t->first + (int)i), outputs, panel, false);
    }
}

static void winograd_run(const tg__winograd *w, void *scratch, int first, int count)
{
    tiles t = tiles_of(w, scratch, first, count);
    size_t panels = winograd_panels(w);
    find_pixels(&t);
    for (int i = 0; i < POINTS; i++) {
        int row = row_order[i];
        switch (row) {
#define INPUT(n)                \
    case n:                     \
        transform_input(&t, n); \
        break;
            INPUT(0)
            INPUT(1)
            INPUT(2)
            INPUT(3)
            INPUT(4)
            INPUT(5)
#undef INPUT
        }
        for (size_t panel = 0; panel < panels; panel++) {
            multiply_panel(&t, (size_t)i, panel);
            add_panel(&t, panel, row);
            if (i == POINTS - 1)
                store_panel(&t, panel);
        }
    }
}

static void init_winograd(tg__kernels *kernels)
{
    kernels->winograd = (tg__winograd_kernel){PANEL,
                                              winograd_packed_bytes,
                                              winograd_pack,
                                              winograd_tile_bytes,
                                              winograd_scratch_bytes,
                                              winograd_run};
}

#endif
