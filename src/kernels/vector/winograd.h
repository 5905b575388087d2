/* SPDX-License-Identifier: MIT */
/* Winograd's convolution F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308), written once for every
 * vector width and for two kinds of products: f32, and 16-bit integers. It takes 36 multiplications
 * for 16 outputs of a 3x3 kernel instead of 144.
 *
 * A tile is 4x4 outputs; it reads 6x6 pixels d. Y = A^T [(G g G^T) * (B^T d B)] A, where * is
 * pointwise in the 6x6 points and a product of matrices over the channels: tiles x in times
 * in x out at each point. Channels are the lanes of both transforms, output channels those of the
 * products, which broadcast the tiles' values.
 *
 * A piece of work is a block of tiles, small enough that all that belongs to it stays in the L2
 * cache while the weights pass by once. So that many tiles fit, the rows of points come in passes
 * of one or two, each with its own transforms: of the input, a pass's values; of the output, the
 * sums of the 16 results. Two at a time share half of the transforms, and take twice the memory.
 *
 * Included behind vector.h, enum { TILES, PASS_ROWS } and typedef winograd_value; the includer
 * defines the winograd_ functions that are declared here. */
#ifndef TG_KERNELS_VECTOR_WINOGRAD_H
#define TG_KERNELS_VECTOR_WINOGRAD_H

#include <math.h>

#include "kernels/kernels.h"
#include "kernels/vector/math.h"

enum {
    POINTS = 6, /* of a side; pixels too */
    ALL_POINTS = POINTS * POINTS,
    PASS = PASS_ROWS * POINTS, /* points */
    PASSES = POINTS / PASS_ROWS,
    SIDE = 4, /* outputs of a side */
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

static const float near_powers[SIDE] = {1, NEAR, NEAR2, NEAR3};
static const float far_powers[SIDE] = {1, FAR, FAR2, FAR3};

/* The rows of points in the order of use, by pairs: a point with either sign, whose transforms are
 * much the same. The first pair enters all rows of outputs, the last one (0 and infinity) two. */
static const int row_order[POINTS] = {1, 2, 3, 4, 0, 5};

/* The rows of a pass in that order, and the pair that it is or is half of. */
static inline int first_of(int pass) { return pass * PASS_ROWS; }
static inline int pair_of(int pass) { return first_of(pass) / 2; }

/* Where the parts of a piece of work lie in scratch. */
typedef struct tiles {
    const tg__winograd *w;
    int first, count;
    winograd_value *values; /* (PASS, slices, count, LANES): a pass's, of the input */
    float *scales;          /* what else the includer keeps of count tiles, */
    float *spare;           /* and of one piece of work */
    float *products;        /* (PASS, count, PANEL) */
    float *outputs;         /* (panels, count, 16, PANEL) */
    float *zeros;           /* a pixel beyond the edge */
    const char **pixels;    /* count x 36 */
} tiles;

/* ------------------------------------------------------------------- what the includer defines */

static size_t winograd_packed_bytes(const tg__winograd *w);
static void winograd_pack(void *packed, const tg__winograd *w, int panel, const float *taps);

/* Floats of `scales`, by tile, and of `spare`. */
static size_t winograd_scales(const tg__winograd *w);
static size_t winograd_spare(const tg__winograd *w);

/* Fills values by transform_pass. */
TG_SPECIALISED void winograd_transform(const tiles *t, int pass, bool bf16);

/* Fills products: those of a panel with a pass's values, for all tiles. */
static void winograd_multiply(const tiles *t, size_t pass, size_t panel);

/* What the outputs of LANES channels are multiplied by. */
TG_SPECIALISED vec winograd_factor(const tg__winograd *w, size_t channel);

/* ------------------------------------------------------------------------------------- weights */

static size_t winograd_panels(const tg__winograd *w)
{
    return ((size_t)w->out + PANEL - 1) / PANEL;
}

/* Vectors of input channels. */
static size_t winograd_slices(const tg__winograd *w) { return ((size_t)w->in + LANES - 1) / LANES; }

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

/* All points of one input channel: u[POINTS * (place of the row in row_order) + column]. */
static void transform_weights(vec u[ALL_POINTS], const float *taps)
{
    vec g[9], t[3 * POINTS]; /* t: transformed along columns, by kernel column and then point */
    for (int i = 0; i < 9; i++)
        g[i] = vec_load(taps + i * PANEL);
    for (int i = 0; i < 3; i++)
        transform_taps(t + i * POINTS, g + i, 3);
    for (int i = 0; i < POINTS; i++)
        transform_taps(u + i * POINTS, t + row_order[i], POINTS);
}

/* -------------------------------------------------------------------------------------- memory */

static size_t winograd_tile_bytes(const tg__winograd *w)
{
    size_t floats = winograd_scales(w) + PASS * PANEL + winograd_panels(w) * OUTPUTS * PANEL;
    return PASS * winograd_slices(w) * LANES * sizeof(winograd_value) + floats * sizeof(float) +
           POINTS * POINTS * sizeof(char *);
}

static size_t winograd_scratch_bytes(const tg__winograd *w)
{
    size_t floats = winograd_spare(w) + winograd_slices(w) * LANES;
    return (size_t)w->block * winograd_tile_bytes(w) + floats * sizeof(float);
}

static tiles tiles_of(const tg__winograd *w, void *scratch, int first, int count)
{
    tiles t = {.w = w, .first = first, .count = count, .values = scratch};
    size_t n = (size_t)count;
    t.products = (float *)(void *)(t.values + n * PASS * winograd_slices(w) * LANES);
    t.outputs = t.products + n * PASS * PANEL;
    t.spare = t.outputs + n * winograd_panels(w) * OUTPUTS * PANEL;
    t.zeros = t.spare + winograd_spare(w);
    t.pixels = (const char **)(void *)(t.zeros + winograd_slices(w) * LANES);
    t.scales = (float *)(void *)(t.pixels + n * POINTS * POINTS);
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

/* A pair's points of a column of pixels. */
TG_SPECIALISED void transform_column(vec *first, vec *second, const char *const pixels[], size_t c,
                                     size_t left, int pair, bool bf16)
{
#define PIXEL(y) get(pixels[(y)*POINTS], c, left, bf16)
    if (pair == 2) {
        *first = point_end(PIXEL(0), PIXEL(2), PIXEL(4));
        *second = point_end(PIXEL(1), PIXEL(3), PIXEL(5));
        return;
    }
    float point = pair ? FAR : NEAR, other = pair ? NEAR : FAR;
    vec even = point_half(PIXEL(2), PIXEL(4), other), odd = point_half(PIXEL(1), PIXEL(3), other);
#undef PIXEL
    *first = vec_fma(vec_set(point), odd, even);
    *second = vec_fnma(vec_set(point), odd, even);
}

/* A row of points from its columns' t; points lie step apart. */
TG_SPECIALISED void transform_row(float *dst, size_t step, const vec t[POINTS])
{
    vec near = vec_set(NEAR), far = vec_set(FAR);
    vec even = point_half(t[2], t[4], FAR), odd = point_half(t[1], t[3], FAR);
    vec even2 = point_half(t[2], t[4], NEAR), odd2 = point_half(t[1], t[3], NEAR);
    vec_store(dst, point_end(t[0], t[2], t[4]));
    vec_store(dst + step, vec_fma(near, odd, even));
    vec_store(dst + 2 * step, vec_fnma(near, odd, even));
    vec_store(dst + 3 * step, vec_fma(far, odd2, even2));
    vec_store(dst + 4 * step, vec_fnma(far, odd2, even2));
    vec_store(dst + 5 * step, point_end(t[1], t[3], t[5]));
}

/* A pass's points of one tile's LANES channels from c on, of which left >= 1 remain; what is beyond
 * is 0. */
TG_SPECIALISED void transform_pass(float *dst, size_t step, const char *const pixels[], size_t c,
                                   size_t left, int pass, bool bf16)
{
    vec rows[2][POINTS];
    TG_UNROLL
    for (int x = 0; x < POINTS; x++)
        transform_column(&rows[0][x], &rows[1][x], pixels + x, c, left, pair_of(pass), bf16);
    transform_row(dst, step, rows[first_of(pass) % 2]);
    if (PASS_ROWS == 2)
        transform_row(dst + POINTS * step, step, rows[1]);
}

TG_SPECIALISED void transform_input(const tiles *t, int pass)
{
    if (t->w->src_bf16)
        winograd_transform(t, pass, true);
    else
        winograd_transform(t, pass, false);
}

/* -------------------------------------------------------------------------------------- output */

/* A row of points becomes one of outputs: A. */
TG_SPECIALISED void sum_row(vec z[SIDE], const float *products, size_t step)
{
    vec m[POINTS];
    TG_UNROLL
    for (int i = 0; i < POINTS; i++)
        m[i] = vec_load(products + (size_t)i * step);
    vec even = vec_add(m[1], m[2]), odd = vec_sub(m[1], m[2]);
    vec even2 = vec_add(m[3], m[4]), odd2 = vec_sub(m[3], m[4]);
    z[0] = vec_add(m[0], vec_add(even, even2));
    TG_UNROLL
    for (int i = 1; i < SIDE; i++)
        z[i] = vec_fma(vec_set(near_powers[i]), i % 2 ? odd : even,
                       vec_mul(vec_set(far_powers[i]), i % 2 ? odd2 : even2));
    z[3] = vec_add(z[3], m[5]);
}

/* Adds what a pass gives to LANES channels of a tile's outputs; the first one sets them. */
TG_SPECIALISED void add_pass(float *outputs, const float *products, size_t step, int pass)
{
    const bool both = PASS_ROWS == 2, second = first_of(pass) % 2;
    const int pair = pair_of(pass), row = SIDE * PANEL;
    vec a[SIDE], b[SIDE];
    sum_row(a, products, step);
    if (both)
        sum_row(b, products + POINTS * step, step);
    TG_UNROLL
    for (int j = 0; j < SIDE; j++) {
        float *y = outputs + j * PANEL;
        if (pair == 2) {
            float *end = second ? y + 3 * row : y;
            vec_store(end, vec_add(vec_load(end), a[j]));
            if (both)
                vec_store(y + 3 * row, vec_add(vec_load(y + 3 * row), b[j]));
            continue;
        }
        vec even = both ? vec_add(a[j], b[j]) : a[j];
        vec odd = both ? vec_sub(a[j], b[j]) : second ? vec_sub(vec_zero(), a[j]) : a[j];
        TG_UNROLL
        for (int i = 0; i < SIDE; i++) {
            vec factor = vec_set(pair == 0 ? near_powers[i] : far_powers[i]),
                part = i % 2 ? odd : even;
            vec_store(y + i * row, pass == 0 ? vec_mul(factor, part)
                                             : vec_fma(factor, part, vec_load(y + i * row)));
        }
    }
}

TG_SPECIALISED void add_panel(const tiles *t, size_t panel, int pass)
{
    size_t count = (size_t)t->count;
    float *outputs = t->outputs + panel * count * OUTPUTS * PANEL;
    for (size_t i = 0; i < count; i++)
        for (size_t lane = 0; lane < PANEL; lane += LANES)
            add_pass(outputs + i * OUTPUTS * PANEL + lane, t->products + i * PANEL + lane,
                     count * PANEL, pass);
}

/* A panel of one tile, as far as it is inside the map: factor, bias, residual. */
TG_SPECIALISED void store_tile(const tg__winograd *w, place p, const float *outputs, size_t panel,
                               bool bf16)
{
    size_t out = (size_t)w->out;
    int rows = w->h - p.y < SIDE ? w->h - p.y : SIDE,
        columns = w->w - p.x < SIDE ? w->w - p.x : SIDE;
    for (size_t lane = 0; lane < PANEL && panel * PANEL + lane < out; lane += LANES) {
        size_t c = panel * PANEL + lane, left = out - c;
        vec factor = winograd_factor(w, c),
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

/* What a panel of a tile will be added to comes into the L2 cache. */
static void fetch_tile(const tg__winograd *w, place p, size_t panel)
{
    size_t size = w->dst_bf16 ? sizeof(tg__bf16) : sizeof(float), out = (size_t)w->out;
    const char *from = w->residual ? w->residual : w->dst;
    for (int y = p.y; y < p.y + SIDE && y < w->h; y++)
        for (int x = p.x; x < p.x + SIDE && x < w->w; x++) {
            size_t row = (size_t)p.image * (size_t)w->h + (size_t)y;
            size_t at = ((row * (size_t)w->w + (size_t)x) * out + panel * PANEL) * size;
            for (size_t i = 0; i < PANEL * size; i += 64)
                __builtin_prefetch(from + at + i, 0, 2);
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

/* All of a pass; panels are stored when the last one is added. */
TG_SPECIALISED void run_pass(const tiles *t, int pass)
{
    transform_input(t, pass);
    for (size_t panel = 0; panel < winograd_panels(t->w); panel++) {
        winograd_multiply(t, (size_t)pass, panel);
        for (int i = 0; pass == PASSES - 1 && i < t->count; i++)
            fetch_tile(t->w, place_of(t->w, t->first + i), panel);
        add_panel(t, panel, pass);
        if (pass == PASSES - 1)
            store_panel(t, panel);
    }
}

static void winograd_run(const tg__winograd *w, void *scratch, int first, int count)
{
    tiles t = tiles_of(w, scratch, first, count);
    find_pixels(&t);
    run_pass(&t, 0);
    run_pass(&t, 1);
    run_pass(&t, 2);
    if (PASSES == 3)
        return;
    run_pass(&t, 3);
    run_pass(&t, 4);
    run_pass(&t, 5);
}

static const tg__winograd_kernel winograd = {.panel = PANEL,
                                             .words = sizeof(winograd_value) == 2,
                                             .packed_bytes = winograd_packed_bytes,
                                             .pack = winograd_pack,
                                             .tile_bytes = winograd_tile_bytes,
                                             .scratch_bytes = winograd_scratch_bytes,
                                             .run = winograd_run};

#endif
