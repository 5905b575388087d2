/* SPDX-License-Identifier: MIT */
/* The toy backend's programs (unit/toy_backend.h) and its operators, as ops/kinds.h describes them:
 * in f32, sums in doubles, nothing clever. */
#ifndef TG_TEST_TOY_OPERATORS_H
#define TG_TEST_TOY_OPERATORS_H

#include <math.h>

#include "ops/kinds.h"
#include "unit/toy_memory.h"

/* ------------------------------------------------------------------------------------ programs */

typedef struct operation {
    void (*run)(const tg__program *program, const struct operation *o);
    tg__node node; /* with copies of its name and parameters: the plan goes */
    tg__memory weight, bias;
    int64_t calls;
    double seconds;
} operation;

/* Of a tensor, by its id in the plan. */
typedef struct buffer {
    int slot; /* -1: in the workspace, from offset on */
    size_t bytes, offset;
    tg__memory memory; /* bound to the slot */
} buffer;

struct tg__program {
    toy *toy;
    int network;
    tg__arena arena;
    buffer *buffers;
    int buffer_count;
    operation *operations;
    int count;
    tg__memory workspace;
    size_t workspace_bytes;
    double *sums; /* room for what one operator adds up at a time */
    size_t sum_count;
    int64_t macs;
};

static float *at(const tg__program *p, tg__tensor x)
{
    if (!x.id)
        return NULL;
    const buffer *b = &p->buffers[x.id];
    tg__memory memory = b->slot >= 0 ? b->memory : p->workspace;
    return (float *)(void *)data_of(p->toy, memory, b->offset, tg__count(x) * sizeof(float));
}

static const float *weights_at(const tg__program *p, tg__memory memory)
{
    return memory ? (const float *)(const void *)data_of(p->toy, memory, 0, 0) : NULL;
}

/* Image n's values of a tensor that has one row for all or one for each; NULL for none. */
static const float *row_at(const tg__program *p, tg__tensor x, int n)
{
    return x.id ? at(p, x) + (x.n == 1 ? 0 : (size_t)n * (size_t)x.c) : NULL;
}

/* ----------------------------------------------------------------------------------- operators */

static double gelu(double x) { return 0.5 * x * erfc(-x * sqrt(0.5)); }
static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

/* gate: of those that halve the channels. */
static double activated(tg__activation activation, double x, double gate)
{
    switch (activation) {
    case TG__LINEAR:
        return x;
    case TG__SILU:
        return x / (1 + exp(-x));
    case TG__GELU:
        return gelu(x);
    case TG__QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    case TG__RELU:
        return x > 0 ? x : 0;
    case TG__MISH:
        return x * tanh(log1p(exp(x)));
    case TG__GELU_TANH:
        return gelu_tanh(x);
    case TG__GEGLU:
        return x * gelu(gate);
    default:
        return x * gelu_tanh(gate);
    }
}

/* sums += one pixel's c channels times weights (c, out). */
static void add_pixel(double *sums, const float *src, const float *weight, int c, int out)
{
    for (int i = 0; i < c; i++, weight += out)
        for (int j = 0; j < out; j++)
            sums[j] += (double)src[i] * (double)weight[j];
}

/* sums = bias + the layer's outputs at (y, x) of image n. */
static void add_taps(const tg__program *p, const operation *o, int n, int y, int x)
{
    const tg__product_parameters *q = o->node.parameters;
    const float *weight = weights_at(p, o->weight), *bias = weights_at(p, o->bias);
    tg__tensor a = o->node.src[TG__X], b = o->node.src[TG__Y];
    int kernel = q->layer->kernel, out = q->layer->out;
    for (int i = 0; i < out; i++)
        p->sums[i] = bias ? (double)bias[i] : 0;
    for (int tap = 0; tap < kernel * kernel; tap++, weight += (a.c + b.c) * out) {
        int from_y = y * q->stride - q->pad_before + tap / kernel;
        int from_x = x * q->stride - q->pad_before + tap % kernel;
        if (from_y < 0 || from_y >= a.h || from_x < 0 || from_x >= a.w)
            continue;
        size_t pixel = ((size_t)n * (size_t)a.h + (size_t)from_y) * (size_t)a.w + (size_t)from_x;
        add_pixel(p->sums, at(p, a) + pixel * (size_t)a.c, weight, a.c, out);
        if (b.id)
            add_pixel(p->sums, at(p, b) + pixel * (size_t)b.c, weight + a.c * out, b.c, out);
    }
}

static void product(const tg__program *p, const operation *o)
{
    const tg__product_parameters *q = o->node.parameters;
    tg__tensor x = o->node.src[TG__X];
    int room = q->pad_before + q->pad_after - q->layer->kernel;
    int h = (x.h + room) / q->stride + 1, w = (x.w + room) / q->stride + 1;
    bool halves = tg__activation_halves(q->activation);
    int c = halves ? q->layer->out / 2 : q->layer->out;
    float *dst = at(p, o->node.dst);
    const float *residual = at(p, o->node.src[TG__RESIDUAL]);
    for (int row = 0; row < x.n * h; row++)
        for (int column = 0; column < w; column++) {
            add_taps(p, o, row / h, row % h, column);
            for (int i = 0; i < c; i++, dst++) {
                double gate = halves ? p->sums[c + i] : 0;
                double y = activated(q->activation, p->sums[i], gate);
                *dst = (float)(y + (residual ? (double)*residual++ : 0));
            }
        }
}

/* Channel c of X, or behind X's of Y, plus VECTOR's. */
static double beside(const tg__program *p, const tg__node *node, size_t row, int n, int c)
{
    tg__tensor x = node->src[TG__X], y = node->src[TG__Y];
    const float *vector = row_at(p, node->src[TG__VECTOR], n);
    double value = c < x.c ? (double)at(p, x)[row * (size_t)x.c + (size_t)c]
                           : (double)at(p, y)[row * (size_t)y.c + (size_t)(c - x.c)];
    return value + (vector ? (double)vector[c] : 0);
}

static void normalise_group(const tg__program *p, const operation *o, int n, int first, int count)
{
    const tg__group_norm_parameters *q = o->node.parameters;
    tg__tensor y = o->node.dst;
    const float *weight = weights_at(p, o->weight), *bias = weights_at(p, o->bias);
    const float *modulate = row_at(p, o->node.src[TG__MODULATE], n);
    size_t rows = (size_t)y.h * (size_t)y.w, begin = (size_t)n * rows;
    double mean = 0, squares = 0, values = (double)rows * count;
    for (size_t i = begin; i < begin + rows; i++)
        for (int c = first; c < first + count; c++)
            mean += beside(p, &o->node, i, n, c) / values;
    for (size_t i = begin; i < begin + rows; i++)
        for (int c = first; c < first + count; c++)
            squares += pow(beside(p, &o->node, i, n, c) - mean, 2);
    for (size_t i = begin; i < begin + rows; i++)
        for (int c = first; c < first + count; c++) {
            double x = beside(p, &o->node, i, n, c) - mean;
            x /= sqrt(squares / values + (double)q->eps);
            x = x * (weight ? (double)weight[c] : 1) + (bias ? (double)bias[c] : 0);
            if (modulate)
                x = x * (1 + (double)modulate[c]) + (double)modulate[y.c + c];
            at(p, y)[i * (size_t)y.c + (size_t)c] =
                (float)activated(q->silu ? TG__SILU : TG__LINEAR, x, 0);
        }
}

static void group_norm(const tg__program *p, const operation *o)
{
    const tg__group_norm_parameters *q = o->node.parameters;
    int count = o->node.dst.c / q->groups;
    for (int i = 0; i < o->node.dst.n * q->groups; i++)
        normalise_group(p, o, i / q->groups, i % q->groups * count, count);
}

/* Of each row; RMSNorm takes no mean off. */
static void row_norm(const tg__program *p, const operation *o)
{
    const tg__row_norm_parameters *q = o->node.parameters;
    tg__tensor x = o->node.src[TG__X];
    const float *weight = weights_at(p, o->weight), *bias = weights_at(p, o->bias);
    const float *src = at(p, x);
    float *dst = at(p, o->node.dst);
    for (int row = 0; row < (int)tg__rows(x); row++, src += x.c, dst += x.c) {
        const float *shift = row_at(p, o->node.src[TG__SHIFT_SOURCE], row / (x.h * x.w));
        const float *scale = row_at(p, o->node.src[TG__SCALE_SOURCE], row / (x.h * x.w));
        double mean = 0, squares = 0;
        for (int c = 0; o->node.kind == TG__LAYER_NORM && c < x.c; c++)
            mean += (double)src[c] / x.c;
        for (int c = 0; c < x.c; c++)
            squares += pow((double)src[c] - mean, 2);
        for (int c = 0; c < x.c; c++) {
            double y = ((double)src[c] - mean) / sqrt(squares / x.c + (double)q->eps);
            y = y * (weight ? (double)weight[c] : 1) + (bias ? (double)bias[c] : 0);
            if (shift)
                y = y * (1 + (double)scale[q->scale_first + c]) + (double)shift[q->shift_first + c];
            dst[c] = (float)y;
        }
    }
}

/* sums = each key's weight for one query of one head; they are not divided by their sum, which is
 * returned. */
static double weigh_keys(const tg__program *p, const operation *o, int image, int head, int row)
{
    const tg__attention_parameters *a = o->node.parameters;
    tg__tensor q = o->node.src[TG__Q], k = o->node.src[TG__K];
    int rows = q.h * q.w, keys = k.h * k.w, first = head * a->head_dim;
    const float *mask = at(p, o->node.src[TG__MASK]), *bias = at(p, o->node.src[TG__BIAS]);
    const float *query = at(p, q) + ((size_t)image * (size_t)rows + (size_t)row) * (size_t)q.c;
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < keys; i++) {
        size_t at_key = (size_t)image * (size_t)keys + (size_t)i;
        const float *key = at(p, k) + at_key * (size_t)k.c + a->k_first + first;
        double score = 0;
        for (int c = 0; c < a->head_dim; c++)
            score += (double)query[a->q_first + first + c] * (double)key[c];
        score *= (double)a->scale;
        score +=
            bias ? (double)
                       bias[((size_t)head * (size_t)rows + (size_t)row) * (size_t)keys + (size_t)i]
                 : 0;
        bool seen = (!mask || mask[at_key] != 0) && !(a->causal && i > row);
        p->sums[i] = seen ? score : -INFINITY;
        top = p->sums[i] > top ? p->sums[i] : top;
    }
    for (int i = 0; i < keys; i++) {
        p->sums[i] = isinf(p->sums[i]) ? 0 : exp(p->sums[i] - top);
        sum += p->sums[i];
    }
    return sum;
}

static void attention(const tg__program *p, const operation *o)
{
    const tg__attention_parameters *a = o->node.parameters;
    tg__tensor y = o->node.dst, v = o->node.src[TG__V];
    int rows = y.h * y.w, keys = v.h * v.w;
    for (int i = 0; i < y.n * rows * a->heads; i++) {
        int head = i % a->heads, row = i / a->heads, image = row / rows;
        double sum = weigh_keys(p, o, image, head, row % rows);
        float *dst = at(p, y) + (size_t)row * (size_t)y.c + head * a->head_dim;
        const float *values = at(p, v) + (size_t)image * (size_t)keys * (size_t)v.c + a->v_first;
        for (int c = 0; c < a->head_dim; c++) {
            double x = 0;
            for (int j = 0; j < keys; j++)
                x += p->sums[j] *
                     (double)values[(size_t)j * (size_t)v.c + (size_t)(head * a->head_dim + c)];
            dst[c] = sum == 0 ? 0 : (float)(x / sum);
        }
    }
}

static void add(const tg__program *p, const operation *o)
{
    const float *a = at(p, o->node.src[TG__X]), *b = at(p, o->node.src[TG__Y]);
    float *dst = at(p, o->node.dst);
    for (size_t i = 0; i < tg__count(o->node.dst); i++)
        dst[i] = a[i] + b[i % tg__count(o->node.src[TG__Y])];
}

static void gated_add(const tg__program *p, const operation *o)
{
    const tg__gated_add_parameters *q = o->node.parameters;
    tg__tensor y = o->node.dst;
    const float *x = at(p, o->node.src[TG__X]), *residual = at(p, o->node.src[TG__RESIDUAL]);
    size_t image = tg__count(y) / (size_t)y.n;
    for (size_t i = 0; i < tg__count(y); i++) {
        const float *gate = row_at(p, o->node.src[TG__GATE], (int)(i / image)) + q->gate_first;
        at(p, y)[i] = residual[i] + x[i] * gate[i % (size_t)y.c];
    }
}

static void scale(const tg__program *p, const operation *o)
{
    const tg__scale_parameters *q = o->node.parameters;
    for (size_t i = 0; i < tg__count(o->node.dst); i++)
        at(p, o->node.dst)[i] = at(p, o->node.src[TG__X])[i] * q->factor;
}

static void activate(const tg__program *p, const operation *o)
{
    const tg__activate_parameters *q = o->node.parameters;
    tg__tensor x = o->node.src[TG__X];
    size_t c = (size_t)o->node.dst.c, gate = (size_t)x.c - c; /* 0: none is looked at */
    for (size_t i = 0; i < tg__count(o->node.dst); i++) {
        const float *src = at(p, x) + i / c * (size_t)x.c + i % c;
        at(p, o->node.dst)[i] = (float)activated(q->activation, (double)src[0], (double)src[gate]);
    }
}

/* All that is computed in is f32. */
static void convert(const tg__program *p, const operation *o)
{
    memcpy(at(p, o->node.dst), at(p, o->node.src[TG__X]), tg__count(o->node.dst) * sizeof(float));
}

static void mean_halves(const tg__program *p, const operation *o)
{
    size_t n = tg__count(o->node.dst);
    const float *src = at(p, o->node.src[TG__X]);
    for (size_t i = 0; i < n; i++)
        at(p, o->node.dst)[i] = (src[i] + src[n + i]) / 2;
}

/* Where (n, y, x, c) of a tensor that is in memory as (n, c, h, w) lies, by its index in the usual
 * order. */
static size_t planar(tg__tensor t, size_t index, int channels)
{
    size_t c = index % (size_t)t.c, pixel = index / (size_t)t.c, plane = (size_t)t.h * (size_t)t.w;
    return (pixel / plane * (size_t)channels + c) * plane + pixel % plane;
}

static void from_nchw(const tg__program *p, const operation *o)
{
    const tg__from_nchw_parameters *q = o->node.parameters;
    tg__tensor x = o->node.src[TG__X];
    for (size_t i = 0; i < tg__count(o->node.dst); i++)
        at(p, o->node.dst)[i] = at(p, x)[planar(x, i % tg__count(x), x.c)] * q->factor + q->offset;
}

/* A position of x is side x side pixels of y. */
static void to_nchw(const tg__program *p, const operation *o)
{
    tg__tensor y = o->node.dst, x = o->node.src[TG__X];
    size_t side = (size_t)(y.w / x.w), pixel = (size_t)x.c / (side * side);
    for (size_t i = 0; i < tg__count(y); i++) {
        size_t at_y = i / (size_t)y.c, column = at_y % (size_t)y.w, line = at_y / (size_t)y.w;
        size_t row = line / side * (size_t)x.w + column / side;
        size_t inside = line % side * side + column % side;
        at(p, y)[planar(y, i, y.c)] =
            at(p, x)[row * (size_t)x.c + inside * pixel + i % (size_t)y.c];
    }
}

static void add_table(const tg__program *p, const operation *o)
{
    tg__tensor x = o->node.src[TG__X], y = o->node.dst;
    const float *table = weights_at(p, o->weight);
    for (size_t i = 0; i < tg__count(y); i++)
        at(p, y)[i] = table[i % (size_t)y.c] +
                      at(p, x)[i / (size_t)y.c * (size_t)x.c + i % (size_t)y.c % (size_t)x.c];
}

static void join(const tg__program *p, const operation *o)
{
    tg__tensor a = o->node.src[TG__X], b = o->node.src[TG__Y], y = o->node.dst;
    for (int i = 0; i < (int)tg__count(y); i++) {
        int n = i / y.c, c = i % y.c;
        at(p, y)[i] = c < a.c ? at(p, a)[n * a.c + c] : at(p, b)[n * b.c + c - a.c];
    }
}

static void grid_embedding(const tg__program *p, const operation *o)
{
    const tg__grid_parameters *q = o->node.parameters;
    tg__tensor y = o->node.dst;
    int quarter = y.c / 4;
    for (int i = 0; i < (int)tg__count(y); i++) {
        int c = i % y.c, column = i / y.c % y.w, row = i / y.c / y.w;
        bool by_row = c >= 2 * quarter, cosine = c / quarter % 2 == 1;
        float place = by_row ? (float)row / (float)((double)y.h / q->base)
                             : (float)column / (float)((double)y.w / q->base);
        double angle = (double)(place / q->scale) / pow(10000, (double)(c % quarter) / quarter);
        at(p, y)[i] = (float)(cosine ? cos(angle) : sin(angle));
    }
}

static int nearest(int i, int from, int to)
{
    int found = (int)floorf((float)i * ((float)from / (float)to)); /* in f32, as torch does */
    return found < from ? found : from - 1;
}

static void upsample(const tg__program *p, const operation *o)
{
    tg__tensor x = o->node.src[TG__X], y = o->node.dst;
    size_t bytes = (size_t)y.c * sizeof(float);
    for (int i = 0; i < (int)tg__rows(y); i++) {
        int from_y = nearest(i / y.w % y.h, x.h, y.h), from_x = nearest(i % y.w, x.w, y.w);
        int from = (i / (y.h * y.w) * x.h + from_y) * x.w + from_x;
        memcpy(at(p, y) + (size_t)i * (size_t)y.c, at(p, x) + (size_t)from * (size_t)x.c, bytes);
    }
}

static void timestep_embedding(const tg__program *p, const operation *o)
{
    const tg__timestep_parameters *q = o->node.parameters;
    tg__tensor x = o->node.src[TG__X], y = o->node.dst;
    int c = y.c / x.c, half = c / 2;
    for (int j = 0; j < x.n * x.c; j++) {
        float *dst = at(p, y) + (size_t)j * (size_t)c, number = at(p, x)[j];
        dst[c - 1] = 0; /* where there is an odd one */
        for (int i = 0; i < half; i++) {
            float exponent = -logf(10000.f) * (float)i / ((float)half - q->freq_shift);
            float angle = number * expf(exponent);
            dst[q->flip_sin_to_cos ? half + i : i] = sinf(angle);
            dst[q->flip_sin_to_cos ? i : half + i] = cosf(angle);
        }
    }
}

static void embed_tokens(const tg__program *p, const operation *o)
{
    tg__tensor y = o->node.dst;
    const float *table = weights_at(p, o->weight), *positions = weights_at(p, o->bias);
    const int32_t *ids = (const int32_t *)(const void *)at(p, o->node.src[TG__X]);
    for (size_t i = 0; i < tg__count(y); i++) {
        size_t token = i / (size_t)y.c, c = i % (size_t)y.c;
        at(p, y)[i] = table[(size_t)ids[token] * (size_t)y.c + c] +
                      (positions ? positions[token % (size_t)y.w * (size_t)y.c + c] : 0);
    }
}

static void relative_bias(const tg__program *p, const operation *o)
{
    const tg__relative_bias_parameters *q = o->node.parameters;
    tg__tensor y = o->node.dst;
    const float *table = weights_at(p, o->weight);
    for (int head = 0; head < y.n; head++)
        for (int i = 0; i < y.w; i++)
            for (int j = 0; j < y.c; j++)
                at(p, y)[((size_t)head * (size_t)y.w + (size_t)i) * (size_t)y.c + (size_t)j] =
                    table[tg__relative_bucket(&q->buckets, j - i) * y.n + head];
}

/* By kind. */
static const struct {
    void (*run)(const tg__program *program, const operation *o);
    size_t bytes; /* of its parameters */
} kinds[TG__KINDS] = {
    [TG__PRODUCT] = {product, sizeof(tg__product_parameters)},
    [TG__GROUP_NORM] = {group_norm, sizeof(tg__group_norm_parameters)},
    [TG__LAYER_NORM] = {row_norm, sizeof(tg__row_norm_parameters)},
    [TG__RMS_NORM] = {row_norm, sizeof(tg__row_norm_parameters)},
    [TG__ATTENTION] = {attention, sizeof(tg__attention_parameters)},
    [TG__ADD] = {add, 0},
    [TG__GATED_ADD] = {gated_add, sizeof(tg__gated_add_parameters)},
    [TG__SCALE] = {scale, sizeof(tg__scale_parameters)},
    [TG__ACTIVATE] = {activate, sizeof(tg__activate_parameters)},
    [TG__ADD_TABLE] = {add_table, sizeof(tg__table_parameters)},
    [TG__JOIN] = {join, 0},
    [TG__CONVERT] = {convert, 0},
    [TG__MEAN_HALVES] = {mean_halves, 0},
    [TG__FROM_NCHW] = {from_nchw, sizeof(tg__from_nchw_parameters)},
    [TG__TO_NCHW] = {to_nchw, 0},
    [TG__UPSAMPLE] = {upsample, 0},
    [TG__TIMESTEP_EMBEDDING] = {timestep_embedding, sizeof(tg__timestep_parameters)},
    [TG__GRID_EMBEDDING] = {grid_embedding, sizeof(tg__grid_parameters)},
    [TG__EMBED_TOKENS] = {embed_tokens, sizeof(tg__embed_parameters)},
    [TG__RELATIVE_BIAS] = {relative_bias, sizeof(tg__relative_bias_parameters)},
};

#endif
