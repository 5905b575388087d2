/* SPDX-License-Identifier: MIT */
/* Fused attention with online softmax (Dao et al., arXiv 2205.14135) on tiles of bf16 products.
 *
 * Work goes by steps of GROUP query rows and CHUNK keys, in three stages:
 *
 *   1. scores   queries (tiles as they lie) times keys (packed): GROUP x CHUNK f32
 *   2. weights  2^(score * scale - base), rounded to bf16, and their sums along each row: vectors
 *   3. output   weights times values (packed), added to the output's tiles
 *
 * Tiles and vectors are different units of a core and take about as long as each other for small
 * heads. So the stages run as a pipeline: while step t's scores are multiplied, step t - 1's
 * weights are computed and step t - 2's added to the output, a few rows of weights behind every
 * block of four products, near enough for a core to run both at once. Scores and weights have two
 * buffers each for that. What a step touches is 48 KiB for a head of 40, about L1; the GROUPS
 * groups of a piece of work share keys and values, so that these need not fit L2.
 *
 * A block is 2 x 2 tiles of sums: four products for four loads. That takes all eight tiles, and
 * another configuration would clear them; so one serves both products, 16 rows of 64 bytes, and
 * channels are padded with zeros to 32 for scores, to 16 for values (head 40: 64 and 48).
 *
 * As in kernels/vector/attention.h the softmax needs no exact maximum: what is taken off a row's
 * exponents, its base, may be SLACK away from it. Here not even the maximum is computed: a weight
 * too large shows in the sums, and then the step's bases are moved and its weights computed anew
 * from the scores, which are still there.
 *
 * Included behind vector.h and the operations on tiles:
 *
 *   tiles_begin()                   this thread's tiles become full ones of zeros: some hundred
 *                                   cycles. Once for each piece of work, which takes thousands,
 *                                   since oneDNN has shapes of its own on the same threads.
 *   tiles_end()                     gives the tiles back
 *   tile_zero(t)                    t, a, b, sum are literal numbers
 *   tile_load(t, pointer, stride)   16 rows, stride bytes apart
 *   tile_store(t, pointer, stride)
 *   tile_multiply(sum, a, b)        sum[i][j] += a[i][2k] b[k][2j] + a[i][2k + 1] b[k][2j + 1]
 *   __m512i pairs_of(low, high)     two vectors as 32 bf16, low first
 *   vec pairs_add(sum, pairs)       sum[i] + pairs[2i] + pairs[2i + 1] */
#ifndef TG_KERNELS_AMX_ATTENTION_TILES_H
#define TG_KERNELS_AMX_ATTENTION_TILES_H

#include <math.h>

#include "kernels/attention_keys.h"
#include "kernels/kernels.h"
#include "kernels/vector/math.h"

enum {
    TILE = 16,         /* rows of a tile, and 32-bit columns */
    PAIRED = 2 * TILE, /* bf16 columns */
    TILE_BYTES = TILE * TILE * 4,
    GROUP = 2 * TILE,   /* query rows of a step */
    CHUNK = 2 * PAIRED, /* keys of a step: 2 halves, of which the last step may have one */
    GROUPS = 4,         /* of a piece of work; keys and values are read once for all of them */
    ROWS = GROUPS * GROUP,
    SLACK = 40,
};

/* ------------------------------------------------------------------------------------- memory */

/* A piece of work, and where its parts lie. */
typedef struct work {
    const tg__attention *a;
    const char *keys;   /* by 32 keys: by 32 channels: a tile of each 16 keys */
    const char *values; /* by 32 keys: tiles of 16 channels */
    char *queries;      /* by group: by 32 channels: a tile of each 16 rows */
    char *output;       /* by group: by 16 channels: a tile of each 16 rows */
    float *scores[2];   /* GROUP x CHUNK, of the last two steps */
    tg__bf16 *weights[2];
    float *sums[2]; /* by row LANES parts; after an even and an odd number of chunks */
    float *base;    /* by row: what is taken off its exponents */
    int *sees;      /* by row: how many of the packed keys */
    key_list list;
    const float *bias;                         /* the piece's rows, kv_rows apart; NULL: none */
    float scale;                               /* of scores, to become exponents of 2 */
    size_t head_dim, query_tiles, value_tiles; /* along the channels */
    int row, rows, groups, halves;             /* halves of chunks, as far as any row sees */
    bool huge; /* some base is so large that a product must be rounded before it is taken off */
} work;

static size_t tiles(size_t n, size_t size) { return (n + size - 1) / size; }

static size_t key_bytes(const tg__attention *a)
{
    return tiles((size_t)a->kv_rows, PAIRED) * 2 * tiles((size_t)a->head_dim, PAIRED) * TILE_BYTES;
}

static size_t value_bytes(const tg__attention *a)
{
    return tiles((size_t)a->kv_rows, PAIRED) * tiles((size_t)a->head_dim, TILE) * TILE_BYTES;
}

/* Keys, values, which keys they are. */
static size_t packed_bytes(const tg__attention *a)
{
    return key_bytes(a) + value_bytes(a) + key_list_bytes(a);
}

static int *packed_list(const void *packed, const tg__attention *a)
{
    return (int *)((char *)packed + key_bytes(a) + value_bytes(a));
}

static size_t scratch_bytes(const tg__attention *a)
{
    size_t head_dim = (size_t)a->head_dim, row_tiles = ROWS / TILE;
    return row_tiles * (tiles(head_dim, PAIRED) + tiles(head_dim, TILE)) * TILE_BYTES +
           2 * GROUP * CHUNK * (sizeof(float) + sizeof(tg__bf16)) +
           ROWS * ((2 * LANES + 1) * sizeof(float) + sizeof(int));
}

#define LOG2E 1.44269504f

static work work_of(const tg__attention *a, const void *packed, void *scratch, int head, int row,
                    int rows)
{
    work w = {.a = a, .keys = packed, .row = row, .rows = rows, .queries = scratch};
    w.list = key_list_at(packed_list(packed, a), a);
    w.scale = a->scale * LOG2E;
    w.head_dim = (size_t)a->head_dim;
    w.query_tiles = tiles(w.head_dim, PAIRED);
    w.value_tiles = tiles(w.head_dim, TILE);
    w.values = w.keys + key_bytes(a);
    w.output = w.queries + ROWS / TILE * w.query_tiles * TILE_BYTES;
    w.scores[0] = (float *)(w.output + ROWS / TILE * w.value_tiles * TILE_BYTES);
    w.scores[1] = w.scores[0] + GROUP * CHUNK;
    w.sums[0] = w.scores[1] + GROUP * CHUNK;
    w.sums[1] = w.sums[0] + ROWS * LANES;
    w.base = w.sums[1] + ROWS * LANES;
    w.weights[0] = (tg__bf16 *)(w.base + ROWS);
    w.weights[1] = w.weights[0] + GROUP * CHUNK;
    w.sees = (int *)(w.weights[1] + GROUP * CHUNK);
    count_seen(w.sees, &w.list, a, row, ROWS);
    if (a->bias) {
        size_t first = (size_t)head * (size_t)a->q_rows + (size_t)row;
        w.bias = a->bias + first * (size_t)a->kv_rows;
    }
    w.groups = (rows + GROUP - 1) / GROUP;
    w.halves = (w.sees[rows - 1] + PAIRED - 1) / PAIRED;
    return w;
}

/* Step t is group t % groups and chunk t / groups. */
static int steps_of(const work *w) { return (w->halves + 1) / 2 * w->groups; }

static int halves_of(const work *w, int t) { return w->halves - t / w->groups * 2 < 2 ? 1 : 2; }

/* A group's two tiles of each 16 channels. */
static char *output_of(const work *w, int group)
{
    return w->output + (size_t)group * w->value_tiles * 2 * TILE_BYTES;
}

/* The first element of a head's slice of a row of an image. */
static size_t slice_start(int image, int rows, int row, size_t stride, int head, int head_dim)
{
    return ((size_t)image * (size_t)rows + (size_t)row) * stride + (size_t)head * (size_t)head_dim;
}

/* ------------------------------------------------------------------------------------- packing */

/* 32 channels of a row, from c on as far as there are n; the rest is 0. */
TG_SPECIALISED vec load_row(const tg__bf16 *row, size_t c, size_t n)
{
    __mmask32 some = n - c < PAIRED ? ((__mmask32)1 << (n - c)) - 1 : ~(__mmask32)0;
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(some, row + c));
}

/* Row i of a tile holds the pairs of channels 2i, 2i + 1 of 16 keys. */
static void pack_keys(char *dst, const tg__attention *a, const tg__bf16 *src, const key_list *list)
{
    size_t n = (size_t)a->head_dim;
    for (int first = 0; first < list->count; first += PAIRED) {
        for (size_t c = 0; c < n; c += PAIRED) {
            for (int key = first; key < first + PAIRED; key += TILE, dst += TILE_BYTES) {
                vec t[TILE];
                for (int j = 0; j < TILE; j++)
                    t[j] = key + j < list->count
                               ? load_row(src + (size_t)list->rows[key + j] * a->k_stride, c, n)
                               : vec_zero();
                vec_transpose(t);
                for (int j = 0; j < TILE; j++)
                    vec_store((float *)dst + j * TILE, t[j]);
            }
        }
    }
}

/* Row i of a tile holds the pairs of keys 2i, 2i + 1 of 16 channels. */
static void pack_values(char *dst, const tg__attention *a, const tg__bf16 *src,
                        const key_list *list)
{
    size_t n = (size_t)a->head_dim;
    for (int key = 0; key < list->count; key += PAIRED) {
        for (size_t c = 0; c < n; c += TILE) {
            __mmask16 some = vec_lanes(n - c < TILE ? n - c : TILE);
            for (int i = key; i < key + PAIRED; i += 2, dst += TILE * 4) {
                const int *rows = list->rows + i;
                __m256i even = _mm256_setzero_si256(), odd = even;
                if (i < list->count)
                    even = _mm256_maskz_loadu_epi16(some, src + (size_t)rows[0] * a->v_stride + c);
                if (i + 1 < list->count)
                    odd = _mm256_maskz_loadu_epi16(some, src + (size_t)rows[1] * a->v_stride + c);
                _mm512_storeu_si512(
                    dst, _mm512_or_si512(_mm512_cvtepu16_epi32(even),
                                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(odd), 16)));
            }
        }
    }
}

static void pack(void *packed, const tg__attention *a, int image, int head)
{
    const tg__bf16 *k = a->k, *v = a->v;
    k += slice_start(image, a->kv_rows, 0, a->k_stride, head, a->head_dim);
    v += slice_start(image, a->kv_rows, 0, a->v_stride, head, a->head_dim);
    key_list list = key_list_find(packed_list(packed, a), a, image);
    pack_keys(packed, a, k, &list);
    pack_values((char *)packed + key_bytes(a), a, v, &list);
}

/* ------------------------------------------------------------------------ queries and results */

static void load_queries(const work *w, int image, int head)
{
    const tg__attention *a = w->a;
    const tg__bf16 *src = a->q;
    src += slice_start(image, a->q_rows, w->row, a->q_stride, head, a->head_dim);
    char *dst = w->queries;
    for (int group = 0; group < w->groups * GROUP; group += GROUP) {
        for (size_t c = 0; c < w->head_dim; c += PAIRED) {
            for (int i = group; i < group + GROUP; i++, dst += TILE * 4) {
                const tg__bf16 *row = src + (size_t)i * a->q_stride;
                vec_store((float *)dst, i < w->rows ? load_row(row, c, w->head_dim) : vec_zero());
            }
        }
    }
}

/* Row `row` of 16 channels, the first being c, of the output's tiles. */
static float *output_row(const work *w, int row, size_t c)
{
    size_t tile = c / TILE * 2 + (size_t)(row % GROUP / TILE);
    return (float *)(output_of(w, row / GROUP) + tile * TILE_BYTES) + row % TILE * TILE;
}

static void store_output(const work *w, int image, int head)
{
    const tg__attention *a = w->a;
    const float *sums = w->sums[(w->halves + 1) / 2 % 2];
    for (int row = 0; row < w->rows; row++) {
        size_t at = slice_start(image, a->q_rows, w->row + row, a->dst_stride, head, a->head_dim);
        vec factor = vec_set(1 / vec_sum(vec_load(sums + row * LANES)));
        for (size_t c = 0; c < w->head_dim; c += TILE)
            put(a->dst, at + c, vec_mul(vec_load(output_row(w, row, c)), factor), w->head_dim - c,
                true);
    }
}

/* ------------------------------------------------------------------------------------- weights */

/* A step's weights in the making. */
typedef struct weighing {
    const float *scores;
    float *base, *old_sums, *sums;
    tg__bf16 *weights;
    float scale;
    vec largest; /* of all rows' sums: a lane has those of CHUNK / LANES weights */
    int done;    /* rows */
    int halves;  /* of the chunk */
    int first;   /* the chunk's first key */
    const int *sees;
    const float *bias; /* from the first row on; NULL: none */
    int biased;        /* rows that have biases */
    const work *w;
    bool plain; /* all rows see the whole chunk, there is no bias, and no base is huge */
} weighing;

enum { HUGE_BASE = 1 << 20 };

static weighing weighing_of(const work *w, int t)
{
    int row = t % w->groups * GROUP, chunk = t / w->groups;
    weighing e = {.scores = w->scores[t % 2],
                  .base = w->base + row,
                  .old_sums = w->sums[chunk % 2] + row * LANES,
                  .sums = w->sums[(chunk + 1) % 2] + row * LANES,
                  .weights = w->weights[t % 2],
                  .scale = w->scale,
                  .largest = vec_zero(),
                  .halves = halves_of(w, t),
                  .first = chunk * CHUNK,
                  .sees = w->sees + row,
                  .bias = w->bias ? w->bias + (size_t)row * (size_t)w->a->kv_rows : NULL,
                  .biased = w->rows - row,
                  .w = w};
    e.plain = e.sees[0] >= e.first + CHUNK && !w->bias && !w->huge;
    return e;
}

/* The biases of up to 16 packed keys from `key` on. */
static vec biases(const weighing *e, int row, int key, __mmask16 seen)
{
    const float *bias = e->bias + (size_t)row * (size_t)e->w->a->kv_rows;
    const int *rows = e->w->list.rows;
    if (row >= e->biased || !seen)
        return vec_zero();
    if (e->w->list.dense)
        return _mm512_maskz_loadu_ps(seen, bias + rows[key]);
    __m512i index = _mm512_maskz_loadu_epi32(seen, rows + key);
    return _mm512_mask_i32gather_ps(vec_zero(), seen, index, bias, sizeof *bias);
}

/* The exponents of 16 keys of a row, its base not taken off; of keys that it does not see
 * -infinity. */
TG_SPECIALISED vec exponents(const weighing *e, int row, int key)
{
    int left = e->sees[row] - e->first - key;
    __mmask16 seen = vec_lanes(left < 0 ? 0 : left < LANES ? (size_t)left : LANES);
    vec x = vec_mul(vec_load(e->scores + row * CHUNK + key), vec_set(e->scale));
    if (e->bias)
        x = vec_fma(biases(e, row, e->first + key, seen), vec_set(LOG2E), x);
    return _mm512_mask_mov_ps(vec_set(-INFINITY), seen, x);
}

/* The exponents are rounded before their base is taken off, so that the largest of all becomes 0
 * exactly, however large it is. Returns the weights' sums. */
static vec weigh_carefully(const weighing *e, int row)
{
    vec base = vec_set(e->base[row]), sum = vec_zero();
    for (int key = 0; key < e->halves * PAIRED; key += PAIRED) {
        vec low = vec_exp2_rough(vec_sub(exponents(e, row, key), base));
        vec high = vec_exp2_rough(vec_sub(exponents(e, row, key + LANES), base));
        __m512i pairs = pairs_of(low, high);
        _mm512_storeu_si512(e->weights + row * CHUNK + key, pairs);
        sum = pairs_add(sum, pairs);
    }
    vec_store(e->sums + row * LANES, vec_add(vec_load(e->old_sums + row * LANES), sum));
    return sum;
}

TG_SPECIALISED vec weigh_plainly(const weighing *e, int row)
{
    const float *scores = e->scores + row * CHUNK;
    vec scale = vec_set(e->scale), base = vec_set(e->base[row]), sum = vec_zero();
    TG_UNROLL
    for (int key = 0; key < CHUNK; key += PAIRED) {
        vec low = _mm512_fmsub_ps(vec_load(scores + key), scale, base);
        vec high = _mm512_fmsub_ps(vec_load(scores + key + LANES), scale, base);
        __m512i pairs = pairs_of(vec_exp2_rough(low), vec_exp2_rough(high));
        _mm512_storeu_si512(e->weights + row * CHUNK + key, pairs);
        sum = pairs_add(sum, pairs);
    }
    vec_store(e->sums + row * LANES, vec_add(vec_load(e->old_sums + row * LANES), sum));
    return sum;
}

/* The next rows' weights. */
static void weigh(weighing *e, int rows)
{
    int end = e->done + rows < GROUP ? e->done + rows : GROUP;
    vec largest = e->largest; /* what is not a number is passed over: its row is lost anyway */
    if (e->plain)
        for (int row = e->done; row < end; row++)
            largest = vec_max(weigh_plainly(e, row), largest);
    else
        for (int row = e->done; row < end; row++)
            largest = vec_max(weigh_carefully(e, row), largest);
    e->largest = largest;
    e->done = end;
}

/* --------------------------------------------------------------------------------------- bases */

/* Whether a row's base is far above all of its exponents. */
static bool some_base_is_high(const weighing *e)
{
    vec limit = vec_set(exp2f(-SLACK));
    for (int row = 0; row < GROUP; row++)
        if (!_mm512_cmp_ps_mask(vec_load(e->sums + row * LANES), limit, _CMP_NLT_UQ))
            return true;
    return false;
}

/* Multiplies what a row has added up before the step. */
static void scale_row(const work *w, weighing *e, int group, int row, float factor)
{
    float *sums = e->old_sums + row * LANES;
    vec_store(sums, vec_mul(vec_load(sums), vec_set(factor)));
    for (size_t c = 0; c < w->head_dim; c += TILE) {
        float *output = output_row(w, group * GROUP + row, c);
        vec_store(output, vec_mul(vec_load(output), vec_set(factor)));
    }
}

/* Moves the bases that the step's exponents have left behind. Before the first step nothing depends
 * on a base, and it may fall too. */
static void move_bases(work *w, weighing *e, int group, bool first)
{
    for (int row = 0; row < GROUP; row++) {
        vec x = vec_set(-INFINITY);
        for (int key = 0; key < e->halves * PAIRED; key += LANES)
            x = vec_max(exponents(e, row, key), x);
        float top = _mm512_reduce_max_ps(x), above = top - e->base[row];
        if (!(above > SLACK || (first && above < -SLACK)))
            continue;
        e->base[row] = top;
        if (fabsf(top) > HUGE_BASE)
            w->huge = true;
        if (!first)
            scale_row(w, e, group, row, exp2f(-above));
    }
}

/* The step's weights are complete; if they are too large or too small, they are made anew. */
static void settle(work *w, int t, weighing *e)
{
    bool first = t < w->groups;
    if (!_mm512_cmp_ps_mask(e->largest, vec_set(exp2f(SLACK)), _CMP_GT_OQ) &&
        !(first && some_base_is_high(e)))
        return;
    move_bases(w, e, t % w->groups, first);
    for (int row = 0; row < GROUP; row++)
        weigh_carefully(e, row);
}

/* ------------------------------------------------------------------------------------ products */

/* Tiles: sums 0 to 3 (row by row of the 2 x 2), rows 4 and 5, columns 6 and 7. */
#define multiply_2x2(rows, row_stride, next_rows, columns) \
    do {                                                   \
        tile_load(4, rows, row_stride);                    \
        tile_load(6, columns, TILE * 4);                   \
        tile_multiply(0, 4, 6);                            \
        tile_load(7, (columns) + TILE_BYTES, TILE * 4);    \
        tile_multiply(1, 4, 7);                            \
        tile_load(5, (rows) + (next_rows), row_stride);    \
        tile_multiply(2, 5, 6);                            \
        tile_multiply(3, 5, 7);                            \
    } while (0)

/* A step's scores; `share` rows of e's weights behind each block of products. */
static void multiply_keys(const work *w, int t, weighing *e, int share)
{
    size_t half_bytes = w->query_tiles * 2 * TILE_BYTES;
    const char *queries = w->queries + (size_t)(t % w->groups) * half_bytes;
    const char *keys = w->keys + (size_t)(t / w->groups) * 2 * half_bytes;
    enum { STRIDE = CHUNK * sizeof(float) };
    for (int half = 0; half < halves_of(w, t); half++) {
        tile_zero(0);
        tile_zero(1);
        tile_zero(2);
        tile_zero(3);
        for (size_t at = 0; at < half_bytes; at += 2 * TILE_BYTES, keys += 2 * TILE_BYTES) {
            multiply_2x2(queries + at, TILE * 4, TILE_BYTES, keys);
            weigh(e, share);
        }
        float *scores = w->scores[t % 2] + half * PAIRED;
        tile_store(0, scores, STRIDE);
        tile_store(1, scores + TILE, STRIDE);
        tile_store(2, scores + TILE * CHUNK, STRIDE);
        tile_store(3, scores + TILE * CHUNK + TILE, STRIDE);
    }
}

/* Adds a step's weights times values to two tiles of channels. */
static void multiply_value_pair(const work *w, int t, char *output, const char *values, weighing *e,
                                int share)
{
    enum { STRIDE = CHUNK * sizeof(tg__bf16) };
    const char *weights = (const char *)w->weights[t % 2];
    tile_load(0, output, TILE * 4);
    tile_load(2, output + TILE_BYTES, TILE * 4);
    tile_load(1, output + 2 * TILE_BYTES, TILE * 4);
    tile_load(3, output + 3 * TILE_BYTES, TILE * 4);
    for (int half = 0; half < halves_of(w, t); half++) {
        multiply_2x2(weights, STRIDE, TILE * STRIDE, values);
        weigh(e, share);
        weights += PAIRED * sizeof(tg__bf16);
        values += w->value_tiles * TILE_BYTES;
    }
    tile_store(0, output, TILE * 4);
    tile_store(2, output + TILE_BYTES, TILE * 4);
    tile_store(1, output + 2 * TILE_BYTES, TILE * 4);
    tile_store(3, output + 3 * TILE_BYTES, TILE * 4);
}

/* The same for an odd tile at the end. */
static void multiply_last_value(const work *w, int t, char *output, const char *values, weighing *e,
                                int share)
{
    enum { STRIDE = CHUNK * sizeof(tg__bf16) };
    const char *weights = (const char *)w->weights[t % 2];
    tile_load(0, output, TILE * 4);
    tile_load(2, output + TILE_BYTES, TILE * 4);
    for (int half = 0; half < halves_of(w, t); half++) {
        tile_load(6, values, TILE * 4);
        tile_load(4, weights, STRIDE);
        tile_multiply(0, 4, 6);
        tile_load(5, weights + TILE * STRIDE, STRIDE);
        tile_multiply(2, 5, 6);
        weigh(e, share);
        weights += PAIRED * sizeof(tg__bf16);
        values += w->value_tiles * TILE_BYTES;
    }
    tile_store(0, output, TILE * 4);
    tile_store(2, output + TILE_BYTES, TILE * 4);
}

static void multiply_values(const work *w, int t, weighing *e, int share)
{
    char *output = output_of(w, t % w->groups);
    const char *values = w->values + (size_t)(t / w->groups) * 2 * w->value_tiles * TILE_BYTES;
    for (size_t i = 0; i + 1 < w->value_tiles; i += 2) {
        multiply_value_pair(w, t, output, values, e, share);
        output += 4 * TILE_BYTES;
        values += 2 * TILE_BYTES;
    }
    if (w->value_tiles % 2)
        multiply_last_value(w, t, output, values, e, share);
}

/* ----------------------------------------------------------------------------------------- run */

/* Rows of weights behind each block of products while step t's scores and step t - 2's output are
 * multiplied. */
static int share_of(const work *w, int t, int steps)
{
    int blocks = t < steps ? halves_of(w, t) * (int)w->query_tiles : 0;
    blocks += t >= 2 ? halves_of(w, t - 2) * (int)((w->value_tiles + 1) / 2) : 0;
    return blocks ? (GROUP + blocks - 1) / blocks : GROUP;
}

static void run(const tg__attention *a, const void *packed, void *scratch, int image, int head,
                int row, int rows)
{
    work w = work_of(a, packed, scratch, head, row, rows);
    int steps = steps_of(&w);
    load_queries(&w, image, head);
    memset(w.output, 0, (size_t)w.groups * w.value_tiles * 2 * TILE_BYTES);
    memset(w.sums[0], 0, ROWS * LANES * sizeof(float));
    memset(w.base, 0, ROWS * sizeof(float));
    tiles_begin();
    for (int t = 0; t < steps + 2; t++) {
        bool weighs = t >= 1 && t <= steps;
        weighing e = weighs ? weighing_of(&w, t - 1) : (weighing){.done = GROUP};
        int share = share_of(&w, t, steps);
        if (t < steps)
            multiply_keys(&w, t, &e, share);
        if (t >= 2)
            multiply_values(&w, t - 2, &e, share);
        weigh(&e, GROUP);
        if (weighs)
            settle(&w, t - 1, &e);
    }
    tiles_end();
    store_output(&w, image, head);
    clear_unseeing(a, w.sees, image, head, row, rows);
}

static const tg__attention_kernel attention = {packed_bytes, scratch_bytes, pack, run, ROWS};

#endif
