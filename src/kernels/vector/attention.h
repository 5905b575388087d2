/* SPDX-License-Identifier: MIT */
/* Fused attention with online softmax (Dao et al., arXiv 2205.14135), written once for every vector
 * width and for three kinds of products: f32, pairs of bf16, and scores of four int8 at a time.
 *
 * The lanes of a vector are query rows. So maxima and sums of the softmax are lane by lane, no head
 * size needs padding, and keys and values are read one 32-bit unit at a time, broadcast. A unit
 * holds consecutive factors of a product's sum, UNIT of the values' products and SCORE_UNIT of the
 * scores': one f32, two bf16, four int8. Of a piece of work (ROWS query rows) scratch holds the
 * queries and the sums of the output, both transposed, and the weights of BLOCK keys, which stay in
 * L1. Both inner loops keep KEYS x QUERIES vectors of sums in registers and load KEYS + QUERIES for
 * KEYS * QUERIES multiplications.
 *
 * The softmax needs no exact maximum: what is taken off a row's exponents of 2, its base, may be
 * SLACK away from it, the weights being as precise there. So the base rarely moves, and a panel's
 * scores become weights while they are in registers; when it does move, the block is done anew.
 *
 * Rows that do not see all keys of a panel, and biases, take a way of their own through it
 * (special).
 *
 * Included behind vector.h, enum { UNIT, SCORE_UNIT, QUERIES } and typedef score_sum, LANES sums of
 * a score's products; the includer defines the unit_ functions. */
#ifndef TG_KERNELS_VECTOR_ATTENTION_H
#define TG_KERNELS_VECTOR_ATTENTION_H

#include <math.h>

#include "kernels/attention_keys.h"
#include "kernels/kernels.h"
#include "kernels/vector/math.h"

enum {
    KEYS = 6,     /* of a panel */
    CHANNELS = 6, /* of the values, at a time */
    BLOCK = 12 * KEYS * UNIT,
    ROWS = QUERIES * LANES, /* query rows of a piece of work */
    SLACK = 40,
};

/* ------------------------------------------------------------------- what the includer defines */

/* What a query of n elements, from element i on, is multiplied by when it is loaded; *scale, by
 * which its scores become exponents of 2, is changed to match. */
static float unit_factor(const void *src, size_t i, size_t n, bool bf16, float *scale);

/* LANES units of a query from element i on, of which left >= 1 remain; what is beyond is 0. */
static vec unit_load(const void *src, size_t i, size_t left, bool bf16, float factor);

/* sum + a * b, a of a key or value, b of a query or weight */
TG_SPECIALISED score_sum unit_score(vec a, vec b, score_sum sum);
TG_SPECIALISED vec unit_multiply(vec a, vec b, vec sum);

/* A vector's scores of a panel become weights, 2^(score * scale - base), as KEYS / UNIT rows of
 * units, ROWS apart at dst. *top becomes at least the largest exponent with base, *sum grows by the
 * weights as they were stored. special: of each lane only the first `visible` keys count, and if
 * bias is not NULL, KEYS rows ROWS apart there are added to the exponents. */
TG_SPECIALISED void unit_weigh(float *dst, const score_sum scores[KEYS], vec scale, vec base,
                               vec *top, vec *sum, vec visible, const float *bias, bool special);

/* The listed rows of n elements, stride apart, as dense rows of units: a unit's factors are
 * neighbours in a row (keys) or in a column (values); where there is no neighbour it is 0. Returned
 * is what the packed keys are to be multiplied by; what is the same for all keys may have been
 * taken off. */
static float unit_pack_keys(float *dst, const void *src, size_t stride, const key_list *list,
                            size_t n, bool bf16);
static void unit_pack_values(float *dst, const void *src, size_t stride, const key_list *list,
                             size_t n, bool bf16);

/* -------------------------------------------------------------------------------------- memory */

/* A piece of work, and where its parts lie in scratch: rows of ROWS values each. */
typedef struct work {
    const tg__attention *a;
    const float *keys, *values; /* packed: units */
    float *query;               /* key_units rows of units */
    float *weights;             /* BLOCK / UNIT rows of units */
    float *output;              /* head_dim rows */
    float *scale;               /* of a row's scores, to become exponents of 2 */
    float *base, *top, *sum;    /* of the exponents: what is taken off, their maximum; row sums */
    float *block_sum;
    float *visible;         /* how many keys of this panel each row sees */
    int *sees;              /* and of all keys */
    float *bias;            /* BLOCK rows: what is added to the block's exponents; NULL: nothing */
    const float *bias_rows; /* where it comes from: the piece's rows, kv_rows apart */
    key_list list;
    float key_scale; /* that of all rows */
    size_t head_dim, key_units;
    int row, rows, vectors; /* vectors of query rows */
} work;

static size_t units(size_t n) { return (n + UNIT - 1) / UNIT; }
static size_t score_units(size_t n) { return (n + SCORE_UNIT - 1) / SCORE_UNIT; }

#define LOG2E 1.44269504f

/* Whole panels of keys; what is behind the last key counts nowhere. */
static size_t key_floats(const tg__attention *a)
{
    size_t rows = ((size_t)a->kv_rows + KEYS - 1) / KEYS * KEYS;
    return rows * score_units((size_t)a->head_dim);
}

static size_t value_floats(const tg__attention *a)
{
    return units((size_t)a->kv_rows) * (size_t)a->head_dim;
}

/* Keys, values, the keys' scale, which keys they are. */
static size_t packed_bytes(const tg__attention *a)
{
    return (key_floats(a) + value_floats(a) + 1) * sizeof(float) + key_list_bytes(a);
}

static int *packed_list(const void *packed, const tg__attention *a)
{
    return (int *)((float *)packed + key_floats(a) + value_floats(a) + 1);
}

static size_t scratch_bytes(const tg__attention *a)
{
    size_t head_dim = (size_t)a->head_dim;
    size_t vectors = score_units(head_dim) + BLOCK / UNIT + head_dim + 6 + (a->bias ? BLOCK : 0);
    return vectors * ROWS * sizeof(float) + ROWS * sizeof(int);
}

static work work_of(const tg__attention *a, const void *packed, void *scratch, int head, int row,
                    int rows)
{
    work w = {.a = a, .keys = packed, .row = row, .rows = rows};
    w.list = key_list_at(packed_list(packed, a), a);
    w.head_dim = (size_t)a->head_dim;
    w.key_units = score_units(w.head_dim);
    w.values = w.keys + key_floats(a);
    w.key_scale = a->scale * LOG2E * w.values[value_floats(a)];
    w.query = scratch;
    w.weights = w.query + w.key_units * ROWS;
    w.output = w.weights + BLOCK / UNIT * ROWS;
    w.scale = w.output + w.head_dim * ROWS;
    w.base = w.scale + ROWS;
    w.top = w.base + ROWS;
    w.sum = w.top + ROWS;
    w.block_sum = w.sum + ROWS;
    w.visible = w.block_sum + ROWS;
    w.sees = (int *)(w.visible + ROWS);
    if (a->bias) {
        size_t first = (size_t)head * (size_t)a->q_rows + (size_t)row;
        w.bias = (float *)(w.sees + ROWS);
        w.bias_rows = a->bias + first * (size_t)a->kv_rows;
    }
    w.vectors = (rows + LANES - 1) / LANES;
    return w;
}

static size_t element_size(const tg__attention *a)
{
    return a->bf16 ? sizeof(tg__bf16) : sizeof(float);
}

/* The first element of a head's slice of an image. */
static size_t slice_start(int image, int rows, size_t stride, int head, int head_dim)
{
    return (size_t)image * (size_t)rows * stride + (size_t)head * (size_t)head_dim;
}

static void pack(void *packed, const tg__attention *a, int image, int head)
{
    float *keys = packed, *values = keys + key_floats(a);
    const char *k = a->k, *v = a->v;
    k += slice_start(image, a->kv_rows, a->k_stride, head, a->head_dim) * element_size(a);
    v += slice_start(image, a->kv_rows, a->v_stride, head, a->head_dim) * element_size(a);
    key_list list = key_list_find(packed_list(packed, a), a, image);
    values[value_floats(a)] =
        unit_pack_keys(keys, k, a->k_stride, &list, (size_t)a->head_dim, a->bf16);
    unit_pack_values(values, v, a->v_stride, &list, (size_t)a->head_dim, a->bf16);
}

/* ------------------------------------------------------------------------ queries and results */

static void load_queries(const work *w, int image, int head)
{
    const tg__attention *a = w->a;
    size_t start = slice_start(image, a->q_rows, a->q_stride, head, a->head_dim) +
                   (size_t)w->row * a->q_stride;
    for (int first = 0; first < w->vectors * LANES; first += LANES) {
        float factor[LANES] = {0};
        for (int i = 0; i < LANES; i++) {
            w->scale[first + i] = w->key_scale;
            if (first + i < w->rows)
                factor[i] = unit_factor(a->q, start + (size_t)(first + i) * a->q_stride,
                                        w->head_dim, a->bf16, &w->scale[first + i]);
        }
        for (size_t c = 0; c < w->key_units; c += LANES) {
            vec t[LANES];
            for (int i = 0; i < LANES; i++) {
                size_t done = c * SCORE_UNIT;
                size_t at = start + (size_t)(first + i) * a->q_stride + done;
                t[i] = first + i < w->rows
                           ? unit_load(a->q, at, w->head_dim - done, a->bf16, factor[i])
                           : vec_zero();
            }
            vec_transpose(t);
            size_t n = w->key_units - c < LANES ? w->key_units - c : LANES;
            for (size_t i = 0; i < n; i++)
                vec_store(w->query + (c + i) * ROWS + first, t[i]);
        }
    }
}

TG_SPECIALISED void store_vectors(const work *w, int image, int head, bool bf16)
{
    const tg__attention *a = w->a;
    size_t start = slice_start(image, a->q_rows, a->dst_stride, head, a->head_dim) +
                   (size_t)w->row * a->dst_stride;
    for (int first = 0; first < w->rows; first += LANES) {
        vec factor = vec_div(vec_set(1), vec_load(w->sum + first));
        for (size_t c = 0; c < w->head_dim; c += LANES) {
            vec t[LANES];
            for (size_t i = 0; i < LANES; i++)
                t[i] = c + i < w->head_dim
                           ? vec_mul(vec_load(w->output + (c + i) * ROWS + first), factor)
                           : vec_zero();
            vec_transpose(t);
            for (int i = 0; i < LANES && first + i < w->rows; i++)
                put(a->dst, start + (size_t)(first + i) * a->dst_stride + c, t[i], w->head_dim - c,
                    bf16);
        }
    }
}

static void store_output(const work *w, int image, int head)
{
    if (w->a->bf16)
        store_vectors(w, image, head, true);
    else
        store_vectors(w, image, head, false);
}

/* ------------------------------------------------------------------------------------- scores */

/* The biases of `left` >= 1 packed keys from `key` on, or the first LANES of them. */
static vec get_biases(const float *row, const key_list *list, int key, size_t left)
{
    float biases[LANES];
    if (list->dense)
        return get(row, (size_t)list->rows[key], left, false);
    for (size_t i = 0; i < LANES; i++)
        biases[i] = i < left ? row[list->rows[(size_t)key + i]] : 0;
    return vec_load(biases);
}

/* Those of a block, transposed as its scores are. */
static void load_biases(const work *w, int start, int stop)
{
    size_t stride = (size_t)w->a->kv_rows;
    for (int key = start; key < stop; key += LANES) {
        int left = stop - key < LANES ? stop - key : LANES;
        float *dst = w->bias + (size_t)(key - start) * ROWS;
        for (int first = 0; first < w->vectors * LANES; first += LANES, dst += LANES) {
            vec t[LANES];
            for (int i = 0; i < LANES; i++)
                t[i] = first + i < w->rows
                           ? vec_mul(get_biases(w->bias_rows + (size_t)(first + i) * stride,
                                                &w->list, key, (size_t)left),
                                     vec_set(LOG2E))
                           : vec_zero();
            vec_transpose(t);
            for (int i = 0; i < left; i++)
                vec_store(dst + i * ROWS, t[i]);
        }
    }
}

/* A panel's scores become weights; their sums and maxima are taken along. special: keys from
 * visible[row] on do not count, and bias, where there is one, is added. */
TG_SPECIALISED void weigh_panel(const work *w, float *weights, score_sum s[QUERIES][KEYS],
                                const float *bias, int vectors, bool special)
{
    TG_UNROLL
    for (int i = 0; i < vectors; i++) {
        vec scale = vec_load(w->scale + i * LANES);
        vec top = vec_load(w->top + i * LANES), sum = vec_load(w->block_sum + i * LANES);
        vec visible = special ? vec_load(w->visible + i * LANES) : vec_zero();
        unit_weigh(weights + i * LANES, s[i], scale, vec_load(w->base + i * LANES), &top, &sum,
                   visible, bias ? bias + i * LANES : NULL, special);
        vec_store(w->top + i * LANES, top);
        vec_store(w->block_sum + i * LANES, sum);
    }
}

/* KEYS keys against `vectors` vectors of queries. */
TG_SPECIALISED void score_panel(const work *w, float *weights, const float *keys, const float *bias,
                                int vectors, bool special)
{
    score_sum s[QUERIES][KEYS];
    TG_UNROLL
    for (int i = 0; i < vectors; i++) {
        TG_UNROLL
        for (int j = 0; j < KEYS; j++)
            s[i][j] = (score_sum){0};
    }
    size_t n = w->key_units;
    const float *query = w->query;
    for (size_t c = 0; c < n; c++, query += ROWS) {
        vec q[QUERIES];
        TG_UNROLL
        for (int i = 0; i < vectors; i++)
            q[i] = vec_load(query + i * LANES);
        TG_UNROLL
        for (int j = 0; j < KEYS; j++) {
            vec k = vec_set(keys[(size_t)j * n + c]);
            TG_UNROLL
            for (int i = 0; i < vectors; i++)
                s[i][j] = unit_score(k, q[i], s[i][j]);
        }
    }
    weigh_panel(w, weights, s, bias, vectors, special);
}

TG_SPECIALISED void score_panels(const work *w, int start, int stop, int vectors)
{
    int all_see = w->bias ? 0 : w->sees[0];
    for (int key = start; key < stop; key += KEYS) {
        const float *keys = w->keys + (size_t)key * w->key_units;
        float *weights = w->weights + (size_t)(key - start) / UNIT * ROWS;
        if (key + KEYS <= all_see) {
            score_panel(w, weights, keys, NULL, vectors, false);
            continue;
        }
        for (int i = 0; i < vectors * LANES; i++) {
            int here = w->sees[i] - key;
            w->visible[i] = (float)(here < 0 ? 0 : here > KEYS ? KEYS : here);
        }
        const float *bias = w->bias ? w->bias + (size_t)(key - start) * ROWS : NULL;
        score_panel(w, weights, keys, bias, vectors, true);
    }
}

static void score_block(const work *w, int start, int stop)
{
    for (int i = 0; i < ROWS; i++) {
        w->top[i] = -INFINITY;
        w->block_sum[i] = 0;
    }
    /* code for each number of vectors there can be, 1 to QUERIES */
    if (w->vectors == QUERIES)
        score_panels(w, start, stop, QUERIES);
    else if (w->vectors == 1)
        score_panels(w, start, stop, 1);
    else if (QUERIES > 2 && w->vectors == 2)
        score_panels(w, start, stop, QUERIES > 2 ? 2 : 1);
    else if (QUERIES > 3)
        score_panels(w, start, stop, QUERIES > 3 ? 3 : 1);
}

/* Moves the bases that the block's scores have left behind; whether there were any. Before the
 * first block nothing depends on the base, and it may fall too. */
static bool rebase(const work *w, bool first)
{
    bool moved = false;
    for (int i = 0; i < w->rows; i++) {
        float above = w->top[i] - w->base[i];
        if (!(above > SLACK || (first && above < -SLACK)))
            continue;
        moved = true;
        float factor = first ? 0 : exp2f(-above);
        w->base[i] = w->top[i];
        w->sum[i] *= factor;
        for (size_t c = 0; c < w->head_dim; c++)
            w->output[c * ROWS + (size_t)i] *= factor;
    }
    return moved;
}

/* ------------------------------------------------------------------------------------- values */

/* n channels of the values times the weights of `keys` units. A block's sums begin at 0: they lose
 * less so than if they were added to large ones one by one. */
TG_SPECIALISED void add_values(const work *w, size_t channel, size_t key, size_t keys, int n,
                               int vectors)
{
    vec s[CHANNELS][QUERIES];
    float *output = w->output + channel * ROWS;
    const float *values = w->values + key * w->head_dim + channel, *weights = w->weights;
    TG_UNROLL
    for (int j = 0; j < n; j++) {
        TG_UNROLL
        for (int i = 0; i < vectors; i++)
            s[j][i] = vec_zero();
    }
    for (size_t c = 0; c < keys; c++, weights += ROWS, values += w->head_dim) {
        vec p[QUERIES];
        TG_UNROLL
        for (int i = 0; i < vectors; i++)
            p[i] = vec_load(weights + i * LANES);
        TG_UNROLL
        for (int j = 0; j < n; j++) {
            vec v = vec_set(values[j]);
            TG_UNROLL
            for (int i = 0; i < vectors; i++)
                s[j][i] = unit_multiply(v, p[i], s[j][i]);
        }
    }
    TG_UNROLL
    for (int j = 0; j < n; j++) {
        TG_UNROLL
        for (int i = 0; i < vectors; i++)
            vec_store(output + j * ROWS + i * LANES,
                      vec_add(vec_load(output + j * ROWS + i * LANES), s[j][i]));
    }
}

/* All channels, in pieces of CHANNELS or (so that none is much smaller) one less. */
TG_SPECIALISED void add_all_values(const work *w, size_t key, size_t keys, int vectors)
{
    size_t pieces = (w->head_dim + CHANNELS - 1) / CHANNELS;
    for (size_t i = 0; i < pieces; i++) {
        size_t channel = i * w->head_dim / pieces, end = (i + 1) * w->head_dim / pieces;
        switch (end - channel) {
        case 6:
            add_values(w, channel, key, keys, 6, vectors);
            break;
        case 5:
            add_values(w, channel, key, keys, 5, vectors);
            break;
        case 4:
            add_values(w, channel, key, keys, 4, vectors);
            break;
        case 3:
            add_values(w, channel, key, keys, 3, vectors);
            break;
        case 2:
            add_values(w, channel, key, keys, 2, vectors);
            break;
        default:
            add_values(w, channel, key, keys, 1, vectors);
        }
    }
}

static void value_block(const work *w, int start, int stop)
{
    size_t key = (size_t)start / UNIT, keys = units((size_t)(stop - start));
    for (int i = 0; i < ROWS; i++)
        w->sum[i] += w->block_sum[i];
    if (w->vectors == QUERIES)
        add_all_values(w, key, keys, QUERIES);
    else if (w->vectors == 1)
        add_all_values(w, key, keys, 1);
    else if (QUERIES > 2 && w->vectors == 2)
        add_all_values(w, key, keys, QUERIES > 2 ? 2 : 1);
    else if (QUERIES > 3)
        add_all_values(w, key, keys, QUERIES > 3 ? 3 : 1);
}

static void run(const tg__attention *a, const void *packed, void *scratch, int image, int head,
                int row, int rows)
{
    work w = work_of(a, packed, scratch, head, row, rows);
    count_seen(w.sees, &w.list, a, row, ROWS);
    load_queries(&w, image, head);
    memset(w.output, 0, w.head_dim * ROWS * sizeof *w.output);
    for (int i = 0; i < ROWS; i++)
        w.base[i] = w.sum[i] = 0;
    int end = w.sees[rows - 1];
    for (int start = 0; start < end; start += BLOCK) {
        int stop = end - start < BLOCK ? end : start + BLOCK;
        if (w.bias)
            load_biases(&w, start, stop);
        score_block(&w, start, stop);
        if (rebase(&w, start == 0))
            score_block(&w, start, stop);
        value_block(&w, start, stop);
    }
    store_output(&w, image, head);
    clear_unseeing(a, w.sees, image, head, row, rows);
}

static const tg__attention_kernel attention = {packed_bytes, scratch_bytes, pack, run, ROWS};

#endif
