/* SPDX-License-Identifier: MIT */
/* The toy family of test_toy_pipeline.c a second time: its weights, and its networks, gate,
 * guidance and scheduler as plain loops in double precision, one picture and one half at a time.
 * Nothing of the library is used. */
#ifndef TG_TEST_TOY_ORACLE_H
#define TG_TEST_TOY_ORACLE_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tgate.h"

enum {
    VOCABULARY = 32,
    WORD_CONTEXT = 8,
    WORD_WIDTH = 16,
    LINE_CONTEXT = 6,
    LINE_WIDTH = 24,
    LINE_HEADS = 2,
    TEXT_TOKENS = WORD_CONTEXT + LINE_CONTEXT,
    TEXT_WIDTH = 24, /* the wider encoder's: the narrower one's rows end in zeros */
    POOLED = 12,
    LATENTS = 4,
    WIDTH = 24,
    HEADS = 3,
    INNER = 40,
    TIME = 16,
    BLOCKS = 2,
    CODEC_WIDTH = 8,
    FACTOR = 2, /* pixels that a latent is wide */
    TRAIN_STEPS = 1000,
    STEPS_OFFSET = 1,
};
enum { BEGIN, END, FIRST_LETTER, OTHER = 30, PAD = 31 }; /* ids; letters are 26, a space is 28 */
enum { PAINTER, CODEC, WORDS, LINES, NETWORKS };
static const double toy_scaling = 0.7, toy_eps = 1e-5, toy_beta_start = 0.00085,
                    toy_beta_end = 0.012;

/* -------------------------------------------------------------------------------------- weights */

enum { MOST_WEIGHTS = 64 };

typedef struct toy_weight {
    char name[64];
    int rank;
    int64_t shape[4];
    size_t count;
    float *values;
} toy_weight;

typedef struct toy_network {
    toy_weight weights[MOST_WEIGHTS];
    int count;
} toy_network;

/* What an oracle has: weights, and memory that lasts until it is wound back. */
typedef struct oracle {
    toy_network networks[NETWORKS];
    unsigned seed;
    double *pool;
    size_t used;
} oracle;

enum { POOL = 1 << 20 };

static double toy_random(oracle *o)
{
    o->seed = o->seed * 1664525u + 1013904223u;
    return (double)(o->seed >> 8) / (1 << 23) - 1;
}

static void add(oracle *o, int network, const char *key, const char *suffix, int rank,
                const int64_t *shape, double middle, double spread)
{
    toy_network *n = &o->networks[network];
    toy_weight *w = &n->weights[n->count++];
    snprintf(w->name, sizeof w->name, "%s%s", key, suffix);
    w->rank = rank;
    w->count = 1;
    for (int i = 0; i < rank; i++) {
        w->shape[i] = shape[i];
        w->count *= (size_t)shape[i];
    }
    w->values = malloc(w->count * sizeof *w->values);
    for (size_t i = 0; i < w->count; i++)
        w->values[i] = (float)(middle + spread * toy_random(o));
}

static void add_layer(oracle *o, int network, const char *key, int in, int out, int kernel,
                      bool bias)
{
    double spread = sqrt(3. / (in * kernel * kernel));
    add(o, network, key, ".weight", kernel > 1 ? 4 : 2, (int64_t[]){out, in, kernel, kernel}, 0,
        spread);
    if (bias)
        add(o, network, key, ".bias", 1, (int64_t[]){out}, 0, 0.3);
}

static void add_norm(oracle *o, int network, const char *key, int c, bool bias)
{
    add(o, network, key, ".weight", 1, (int64_t[]){c}, 1, 0.4);
    if (bias)
        add(o, network, key, ".bias", 1, (int64_t[]){c}, 0, 0.3);
}

/* "blocks.1.to_q"; until the next call. */
static const char *block_key(int block, const char *name)
{
    static char key[64];
    snprintf(key, sizeof key, "blocks.%d.%s", block, name);
    return key;
}

static void add_painter(oracle *o)
{
    add_layer(o, PAINTER, "proj_in", LATENTS, WIDTH, 1, true);
    add_layer(o, PAINTER, "time_1", TIME, WIDTH, 1, true);
    add_layer(o, PAINTER, "time_2", WIDTH, WIDTH, 1, true);
    add_layer(o, PAINTER, "pooled", POOLED, WIDTH, 1, true);
    add_layer(o, PAINTER, "text_in", TEXT_WIDTH, WIDTH, 1, true);
    add_norm(o, PAINTER, "text_norm", WIDTH, false);
    for (int i = 0; i < BLOCKS; i++) {
        static const char *const square[] = {"attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.out",
                                             "attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.out"};
        for (size_t j = 0; j < sizeof square / sizeof *square; j++)
            add_layer(o, PAINTER, block_key(i, square[j]), WIDTH, WIDTH, 1, j % 4 == 3);
        add_norm(o, PAINTER, block_key(i, "attn2.norm"), WIDTH, false);
        add_layer(o, PAINTER, block_key(i, "modulation"), WIDTH, 6 * WIDTH, 1, true);
        add_layer(o, PAINTER, block_key(i, "fc1"), WIDTH, INNER, 1, true);
        add_layer(o, PAINTER, block_key(i, "fc2"), INNER, WIDTH, 1, true);
    }
    add_layer(o, PAINTER, "modulation_out", WIDTH, 2 * WIDTH, 1, true);
    add_layer(o, PAINTER, "proj_out", WIDTH, 2 * LATENTS, 1, true);
}

static void add_encoders(oracle *o)
{
    add(o, WORDS, "tokens", ".weight", 2, (int64_t[]){VOCABULARY, WORD_WIDTH}, 0, 1);
    add_layer(o, WORDS, "mix", WORD_WIDTH, WORD_WIDTH, 1, true);
    add_norm(o, WORDS, "norm", WORD_WIDTH, true);
    add(o, LINES, "tokens", ".weight", 2, (int64_t[]){VOCABULARY, LINE_WIDTH}, 0, 1);
    add(o, LINES, "places", ".weight", 2, (int64_t[]){LINE_CONTEXT, LINE_WIDTH}, 0, 1);
    add_norm(o, LINES, "norm1", LINE_WIDTH, true);
    for (int i = 0; i < 4; i++)
        add_layer(o, LINES, (const char *const[]){"to_q", "to_k", "to_v", "to_out"}[i], LINE_WIDTH,
                  LINE_WIDTH, 1, true);
    add_norm(o, LINES, "norm2", LINE_WIDTH, true);
    add_layer(o, LINES, "fc1", LINE_WIDTH, INNER, 1, true);
    add_layer(o, LINES, "fc2", INNER, LINE_WIDTH, 1, true);
    add_norm(o, LINES, "norm", LINE_WIDTH, true);
    add_layer(o, LINES, "pool", LINE_WIDTH, POOLED, 1, true);
}

static void add_codec(oracle *o)
{
    add_layer(o, CODEC, "decoder.conv_in", LATENTS, CODEC_WIDTH, 3, true);
    add_layer(o, CODEC, "decoder.up", CODEC_WIDTH, CODEC_WIDTH, 3, true);
    add_layer(o, CODEC, "decoder.conv_out", CODEC_WIDTH, 3, 3, true);
    add_layer(o, CODEC, "encoder.down", 3, CODEC_WIDTH, 3, true);
    add_layer(o, CODEC, "encoder.conv_out", CODEC_WIDTH, 2 * LATENTS, 3, true);
}

static oracle *oracle_new(void)
{
    oracle *o = calloc(1, sizeof *o);
    o->pool = calloc(POOL, sizeof *o->pool);
    o->seed = 20240403;
    add_painter(o);
    add_encoders(o);
    add_codec(o);
    return o;
}

static void oracle_free(oracle *o)
{
    for (int i = 0; i < NETWORKS; i++)
        for (int j = 0; j < o->networks[i].count; j++)
            free(o->networks[i].weights[j].values);
    free(o->pool);
    free(o);
}

/* NULL: there is none. */
static const float *find(const oracle *o, int network, const char *key, const char *suffix)
{
    char name[64];
    const toy_network *n = &o->networks[network];
    snprintf(name, sizeof name, "%s%s", key, suffix);
    for (int i = 0; i < n->count; i++)
        if (strcmp(n->weights[i].name, name) == 0)
            return n->weights[i].values;
    return NULL;
}

/* ------------------------------------------------------------------------------------ operators */

/* Rows of c values. */
typedef struct matrix {
    int rows, c;
    double *x;
} matrix;

static double *take(oracle *o, size_t n)
{
    double *x = o->pool + o->used;
    o->used += n;
    if (o->used > POOL)
        abort();
    memset(x, 0, n * sizeof *x);
    return x;
}

static matrix matrix_new(oracle *o, int rows, int c)
{
    return (matrix){rows, c, take(o, (size_t)rows * (size_t)c)};
}

static double silu(double x) { return x / (1 + exp(-x)); }
static double gelu(double x)
{
    return x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))) / 2;
}

static matrix apply(double (*f)(double), matrix x)
{
    for (int i = 0; i < x.rows * x.c; i++)
        x.x[i] = f(x.x[i]);
    return x;
}

static matrix linear(oracle *o, int network, const char *key, matrix x, int out)
{
    matrix y = matrix_new(o, x.rows, out);
    const float *w = find(o, network, key, ".weight"), *b = find(o, network, key, ".bias");
    for (int i = 0; i < x.rows; i++)
        for (int j = 0; j < out; j++) {
            double sum = b ? b[j] : 0;
            for (int k = 0; k < x.c; k++)
                sum += x.x[i * x.c + k] * w[j * x.c + k];
            y.x[i * out + j] = sum;
        }
    return y;
}

/* key NULL: without weights. shift, scale NULL: none. centred: LayerNorm, else RMSNorm. */
static matrix norm_of(oracle *o, int network, const char *key, matrix x, bool centred,
                      const double *shift, const double *scale)
{
    matrix y = matrix_new(o, x.rows, x.c);
    const float *w = key ? find(o, network, key, ".weight") : NULL;
    const float *b = key ? find(o, network, key, ".bias") : NULL;
    for (int i = 0; i < x.rows; i++) {
        const double *row = x.x + i * x.c;
        double mean = 0, squares = 0;
        for (int k = 0; centred && k < x.c; k++)
            mean += row[k] / x.c;
        for (int k = 0; k < x.c; k++)
            squares += (row[k] - mean) * (row[k] - mean) / x.c;
        for (int k = 0; k < x.c; k++) {
            double v = (row[k] - mean) / sqrt(squares + toy_eps);
            v = v * (w ? w[k] : 1) + (b ? b[k] : 0);
            y.x[i * x.c + k] = v * (1 + (scale ? scale[k] : 0)) + (shift ? shift[k] : 0);
        }
    }
    return y;
}

/* One head's row of scores becomes weights. */
static void soften(double *scores, int keys)
{
    double most = -INFINITY, sum = 0;
    for (int j = 0; j < keys; j++)
        most = fmax(most, scores[j]);
    for (int j = 0; j < keys; j++)
        sum += scores[j] = exp(scores[j] - most);
    for (int j = 0; j < keys; j++)
        scores[j] /= sum;
}

/* mask NULL: every key is seen. */
static matrix attention(oracle *o, matrix q, matrix k, matrix v, int heads, const double *mask,
                        bool causal)
{
    matrix y = matrix_new(o, q.rows, q.c);
    int d = q.c / heads;
    for (int head = 0; head < heads; head++)
        for (int i = 0; i < q.rows; i++) {
            double *scores = take(o, (size_t)k.rows);
            for (int j = 0; j < k.rows; j++) {
                double dot = 0;
                for (int e = head * d; e < (head + 1) * d; e++)
                    dot += q.x[i * q.c + e] * k.x[j * k.c + e];
                bool seen = (!mask || mask[j] != 0) && (!causal || j <= i);
                scores[j] = seen ? dot / sqrt(d) : -INFINITY;
            }
            soften(scores, k.rows);
            for (int j = 0; j < k.rows; j++)
                for (int e = head * d; e < (head + 1) * d; e++)
                    y.x[i * y.c + e] += scores[j] * v.x[j * v.c + e];
        }
    return y;
}

/* x + y, y times gate where there is one. */
static matrix sum(matrix x, matrix y, const double *gate)
{
    for (int i = 0; i < x.rows * x.c; i++)
        x.x[i] += y.x[i] * (gate ? gate[i % x.c] : 1);
    return x;
}

/* ----------------------------------------------------------------------------------------- text */

/* One text's conditions. */
typedef struct side {
    double text[TEXT_TOKENS * TEXT_WIDTH], mask[TEXT_TOKENS], pooled[POOLED];
} side;

/* Ids between BEGIN and END, cut and padded; returns how many are no padding. */
static int letters(const char *text, int context, int *ids)
{
    int count = 0, length = (int)strlen(text);
    ids[count++] = BEGIN;
    for (int i = 0; i < length && count < context - 1; i++) {
        char c = text[i];
        ids[count++] = c == ' '               ? FIRST_LETTER + 26
                       : c >= 'a' && c <= 'z' ? FIRST_LETTER + (c - 'a')
                                              : OTHER;
    }
    ids[count++] = END;
    for (int i = count; i < context; i++)
        ids[i] = PAD;
    return count;
}

static matrix embed(oracle *o, int network, const int *ids, int tokens, int width, bool places)
{
    matrix x = matrix_new(o, tokens, width);
    const float *table = find(o, network, "tokens", ".weight");
    const float *at = places ? find(o, network, "places", ".weight") : NULL;
    for (int i = 0; i < tokens; i++)
        for (int k = 0; k < width; k++)
            x.x[i * width + k] = table[ids[i] * width + k] + (at ? at[i * width + k] : 0);
    return x;
}

static matrix read_line(oracle *o, const int *ids)
{
    matrix x = embed(o, LINES, ids, LINE_CONTEXT, LINE_WIDTH, true);
    matrix h = norm_of(o, LINES, "norm1", x, true, NULL, NULL);
    matrix q = linear(o, LINES, "to_q", h, LINE_WIDTH), k = linear(o, LINES, "to_k", h, LINE_WIDTH);
    h = attention(o, q, k, linear(o, LINES, "to_v", h, LINE_WIDTH), LINE_HEADS, NULL, true);
    x = sum(x, linear(o, LINES, "to_out", h, LINE_WIDTH), NULL);
    h = norm_of(o, LINES, "norm2", x, true, NULL, NULL);
    h = apply(gelu, linear(o, LINES, "fc1", h, INNER));
    x = sum(x, linear(o, LINES, "fc2", h, LINE_WIDTH), NULL);
    return norm_of(o, LINES, "norm", x, true, NULL, NULL);
}

static void oracle_encode(oracle *o, const char *text, side *s)
{
    int ids[WORD_CONTEXT], count = letters(text, WORD_CONTEXT, ids);
    *s = (side){0};
    o->used = 0;
    matrix x = embed(o, WORDS, ids, WORD_CONTEXT, WORD_WIDTH, false);
    x = norm_of(o, WORDS, "norm", linear(o, WORDS, "mix", x, WORD_WIDTH), true, NULL, NULL);
    for (int i = 0; i < WORD_CONTEXT; i++)
        memcpy(s->text + i * TEXT_WIDTH, x.x + i * WORD_WIDTH, WORD_WIDTH * sizeof(double));
    for (int i = 0; i < count; i++)
        s->mask[i] = 1;
    count = letters(text, LINE_CONTEXT, ids);
    x = read_line(o, ids);
    memcpy(s->text + WORD_CONTEXT * TEXT_WIDTH, x.x, LINE_CONTEXT * LINE_WIDTH * sizeof(double));
    for (int i = 0; i < count; i++)
        s->mask[WORD_CONTEXT + i] = 1;
    matrix last = {1, LINE_WIDTH, x.x + (count - 1) * LINE_WIDTH};
    memcpy(s->pooled, linear(o, LINES, "pool", last, POOLED).x, sizeof s->pooled);
}

/* -------------------------------------------------------------------------------------- painter */

/* What may be wrong: each must show in the result. */
typedef enum mistake {
    NONE,
    MASK_IGNORED,
    OTHER_HALF_KEPT,       /* the last output channels */
    POSITIVE_POOLED_AFTER, /* once guidance has ended */
    POSITIVE_TEXT_AFTER,
    FIRST_POOLED_FOR_ALL,
    POSITIVE_HALF_STORED, /* not the mean */
    WHOLE_LIST,           /* from the scheduler's first evaluation on */
    GUIDED_TO_THE_END,    /* as long as the gate lets it */
    NO_SHIFT,
    NO_GATE_OF_RESIDUALS,
    NO_REUSE,
    MISTAKES,
} mistake;

typedef enum toy_action { COMPUTE, STORE, REUSE } toy_action;

typedef struct toy_rule {
    bool guided, mean; /* mean: what both halves stored becomes its mean */
    toy_action self, cross;
} toy_rule;

/* What one half of one picture keeps. */
typedef struct kept {
    double *self[BLOCKS], *cross[BLOCKS];
} kept;

/* x's output, or what was kept of it. */
static matrix keep(toy_action action, double *memory, matrix x)
{
    size_t bytes = (size_t)x.rows * (size_t)x.c * sizeof(double);
    if (action == STORE)
        memcpy(memory, x.x, bytes);
    if (action == REUSE)
        memcpy(x.x, memory, bytes);
    return x;
}

static matrix time_and_pooled(oracle *o, double t, const double *pooled)
{
    matrix sinusoids = matrix_new(o, 1, TIME);
    for (int i = 0; i < TIME / 2; i++) {
        double angle = t * exp(-log(10000) * i / (TIME / 2));
        sinusoids.x[i] = cos(angle);
        sinusoids.x[TIME / 2 + i] = sin(angle);
    }
    matrix x = apply(silu, linear(o, PAINTER, "time_1", sinusoids, WIDTH));
    x = linear(o, PAINTER, "time_2", x, WIDTH);
    matrix p = {1, POOLED, take(o, POOLED)};
    memcpy(p.x, pooled, POOLED * sizeof(double));
    return apply(silu, sum(x, linear(o, PAINTER, "pooled", p, WIDTH), NULL));
}

static matrix project(oracle *o, int block, const char *name, matrix x)
{
    return linear(o, PAINTER, block_key(block, name), x, WIDTH);
}

static matrix paint_block(oracle *o, int i, matrix x, matrix time, matrix text, const side *s,
                          toy_rule r, kept *k, mistake wrong)
{
    const double *m = linear(o, PAINTER, block_key(i, "modulation"), time, 6 * WIDTH).x, *g = m;
    double ones[WIDTH];
    for (int j = 0; j < WIDTH; j++)
        ones[j] = 1;
    bool plain = wrong == NO_GATE_OF_RESIDUALS;
    matrix h = norm_of(o, PAINTER, NULL, x, true, wrong == NO_SHIFT ? NULL : m, m + WIDTH);
    h = attention(o, project(o, i, "attn1.to_q", h), project(o, i, "attn1.to_k", h),
                  project(o, i, "attn1.to_v", h), HEADS, NULL, false);
    h = keep(r.self, k->self[i], project(o, i, "attn1.out", h));
    x = sum(x, h, plain ? ones : g + 2 * WIDTH);
    h = norm_of(o, PAINTER, block_key(i, "attn2.norm"), x, false, NULL, NULL);
    h = attention(o, project(o, i, "attn2.to_q", h), project(o, i, "attn2.to_k", text),
                  project(o, i, "attn2.to_v", text), HEADS, wrong == MASK_IGNORED ? NULL : s->mask,
                  false);
    x = sum(x, keep(r.cross, k->cross[i], project(o, i, "attn2.out", h)), NULL);
    h = norm_of(o, PAINTER, NULL, x, true, m + 3 * WIDTH, m + 4 * WIDTH);
    h = apply(gelu, linear(o, PAINTER, block_key(i, "fc1"), h, INNER));
    return sum(x, linear(o, PAINTER, block_key(i, "fc2"), h, WIDTH), plain ? ones : g + 5 * WIDTH);
}

/* One evaluation of one half: out and sample are (LATENTS, positions). */
static void paint(oracle *o, double *out, const double *sample, int positions, double t,
                  const side *s, toy_rule r, kept *k, mistake wrong)
{
    o->used = 0;
    matrix x = matrix_new(o, positions, LATENTS), text = matrix_new(o, TEXT_TOKENS, TEXT_WIDTH);
    for (int i = 0; i < positions * LATENTS; i++)
        x.x[i] = sample[i % LATENTS * positions + i / LATENTS];
    memcpy(text.x, s->text, sizeof s->text);
    text = apply(gelu, linear(o, PAINTER, "text_in", text, WIDTH));
    text = norm_of(o, PAINTER, "text_norm", text, false, NULL, NULL);
    matrix time = time_and_pooled(o, t, s->pooled);
    x = linear(o, PAINTER, "proj_in", x, WIDTH);
    for (int i = 0; i < BLOCKS; i++)
        x = paint_block(o, i, x, time, text, s, r, k, wrong);
    const double *m = linear(o, PAINTER, "modulation_out", time, 2 * WIDTH).x;
    x = norm_of(o, PAINTER, NULL, x, true, m, m + WIDTH);
    x = linear(o, PAINTER, "proj_out", x, 2 * LATENTS);
    int first = wrong == OTHER_HALF_KEPT ? LATENTS : 0;
    for (int i = 0; i < positions * LATENTS; i++)
        out[i] = x.x[i % positions * 2 * LATENTS + first + i / positions];
}

/* ----------------------------------------------------------------------------------------- loop */

enum { MOST_COUNT = 4 };

typedef struct request {
    int count, h, w, steps;
    double guidance;
    tg_gate gate;
    const char *texts[MOST_COUNT], *negatives[MOST_COUNT];
    mistake wrong;
} request;

/* The recipe: a third of the scheduler's list is left out, of the rest the last quarter is without
 * guidance, gate or no gate. */
static int first_of(int evaluations) { return evaluations / 3; }
static int guided_of(int count) { return count - count / 4; }

static toy_action self_action(const tg_gate *g, int step)
{
    if (step < g->gate_step - 1)
        return step < g->warm_up                                  ? COMPUTE
               : step == g->warm_up || step % g->sp_interval == 0 ? STORE
                                                                  : REUSE;
    return step == g->gate_step - 1 || step % g->fi_interval == 0 ? STORE : REUSE;
}

/* step: of the recipe, of count. */
static toy_rule rule_at(const request *q, int step, int count)
{
    const tg_gate *g = &q->gate;
    int end = q->wrong == GUIDED_TO_THE_END ? count : guided_of(count);
    toy_rule r = {.guided = q->guidance > 1 && step < end};
    if (g->gate_step == 0)
        return r;
    r.guided = r.guided && step < g->gate_step;
    r.mean = r.guided && step == g->gate_step - 1;
    r.self = self_action(g, step);
    r.cross = step < g->gate_step - 1 ? COMPUTE : step == g->gate_step - 1 ? STORE : REUSE;
    if (q->wrong == NO_REUSE)
        r.self = r.cross = COMPUTE;
    return r;
}

static void mean_of(double *into, const double *other, size_t n, mistake wrong)
{
    for (size_t i = 0; i < n; i++)
        into[i] = wrong == POSITIVE_HALF_STORED ? other[i] : (into[i] + other[i]) / 2;
}

/* DDIM without noise: the step from timestep t to next, both of the training's. */
static void ddim(double *x, const double *noise, int n, int t, int next)
{
    double now = 1, then = 1, product = 1;
    for (int i = 0; i < TRAIN_STEPS && i <= t; i++) {
        double at = sqrt(toy_beta_start) +
                    (sqrt(toy_beta_end) - sqrt(toy_beta_start)) * i / (TRAIN_STEPS - 1);
        product *= 1 - at * at;
        now = product;
        if (i == (next > 0 ? next : 0)) /* set_alpha_to_one is false */
            then = product;
    }
    for (int i = 0; i < n; i++) {
        double clean = (x[i] - sqrt(1 - now) * noise[i]) / sqrt(now);
        x[i] = sqrt(then) * clean + sqrt(1 - then) * noise[i];
    }
}

/* One picture's memory. */
typedef struct toy_picture {
    side sides[2]; /* negative, positive */
    kept kept[2];
    double *output[2];
    size_t tokens; /* values of one attention's output */
} toy_picture;

static void picture_begin(toy_picture *p, oracle *o, const request *q, int index)
{
    int positions = q->h * q->w;
    p->tokens = (size_t)positions * WIDTH;
    oracle_encode(o, q->negatives[index], &p->sides[0]);
    oracle_encode(o, q->texts[index], &p->sides[1]);
    if (q->wrong == FIRST_POOLED_FOR_ALL) {
        side first;
        oracle_encode(o, q->texts[0], &first);
        memcpy(p->sides[1].pooled, first.pooled, sizeof first.pooled);
    }
    for (int i = 0; i < 2; i++) {
        p->output[i] = calloc((size_t)positions * LATENTS, sizeof(double));
        for (int j = 0; j < BLOCKS; j++) {
            p->kept[i].self[j] = calloc(p->tokens, sizeof(double));
            p->kept[i].cross[j] = calloc(p->tokens, sizeof(double));
        }
    }
}

static void picture_end(toy_picture *p)
{
    for (int i = 0; i < 2; i++) {
        free(p->output[i]);
        for (int j = 0; j < BLOCKS; j++) {
            free(p->kept[i].self[j]);
            free(p->kept[i].cross[j]);
        }
    }
}

/* output[0] = the guided noise at timestep t. What is not guided is the negative half, where there
 * is one: the first of the batch. */
static void predict(oracle *o, toy_picture *p, const request *q, toy_rule r, const double *x, int t)
{
    int positions = q->h * q->w;
    side alone = p->sides[q->guidance > 1 ? 0 : 1];
    if (!r.guided && q->wrong == POSITIVE_POOLED_AFTER)
        memcpy(alone.pooled, p->sides[1].pooled, sizeof alone.pooled);
    if (!r.guided && q->wrong == POSITIVE_TEXT_AFTER) {
        memcpy(alone.text, p->sides[1].text, sizeof alone.text);
        memcpy(alone.mask, p->sides[1].mask, sizeof alone.mask);
    }
    paint(o, p->output[0], x, positions, t, &alone, r, &p->kept[0], q->wrong);
    if (!r.guided)
        return;
    paint(o, p->output[1], x, positions, t, &p->sides[1], r, &p->kept[1], q->wrong);
    for (int i = 0; i < positions * LATENTS; i++)
        p->output[0][i] += q->guidance * (p->output[1][i] - p->output[0][i]);
    for (int j = 0; r.mean && j < BLOCKS; j++) {
        mean_of(p->kept[0].self[j], p->kept[1].self[j], p->tokens, q->wrong);
        mean_of(p->kept[0].cross[j], p->kept[1].cross[j], p->tokens, q->wrong);
    }
}

/* latents (count, LATENTS, h, w): from noise to what the loop leaves. */
static void oracle_generate(oracle *o, const request *q, double *latents)
{
    int n = LATENTS * q->h * q->w, ratio = TRAIN_STEPS / q->steps;
    int first = q->wrong == WHOLE_LIST ? 0 : first_of(q->steps), count = q->steps - first;
    for (int i = 0; i < q->count; i++) {
        toy_picture p = {0};
        picture_begin(&p, o, q, i);
        for (int j = 0; j < count; j++) {
            int t = (q->steps - 1 - first - j) * ratio + STEPS_OFFSET;
            predict(o, &p, q, rule_at(q, j, count), latents + i * n, t);
            ddim(latents + i * n, p.output[0], n, t, t - ratio);
        }
        picture_end(&p);
    }
}

/* ---------------------------------------------------------------------------------------- codec */

typedef struct map {
    int c, h, w;
    double *x;
} map;

static double at(map m, int c, int y, int x)
{
    bool inside = y >= 0 && y < m.h && x >= 0 && x < m.w;
    return inside ? m.x[(c * m.h + y) * m.w + x] : 0;
}

/* 3x3, pad zeros before and behind by one, but for stride 2: none before. */
static map conv(oracle *o, const char *key, map in, int out, int stride, bool activate)
{
    map m = {out, in.h / stride, in.w / stride, NULL};
    m.x = take(o, (size_t)out * (size_t)m.h * (size_t)m.w);
    const float *w = find(o, CODEC, key, ".weight"), *b = find(o, CODEC, key, ".bias");
    int before = stride == 2 ? 0 : 1;
    for (int k = 0; k < out * m.h * m.w; k++) {
        int c = k / (m.h * m.w), y = k / m.w % m.h, x = k % m.w;
        double total = b[c];
        for (int i = 0; i < in.c * 9; i++)
            total += w[c * in.c * 9 + i] *
                     at(in, i / 9, y * stride - before + i / 3 % 3, x * stride - before + i % 3);
        m.x[k] = activate ? silu(total) : total;
    }
    return m;
}

static map doubled(oracle *o, map in)
{
    map m = {in.c, 2 * in.h, 2 * in.w, take(o, (size_t)in.c * 4 * (size_t)in.h * (size_t)in.w)};
    for (int k = 0; k < m.c * m.h * m.w; k++)
        m.x[k] = at(in, k / (m.h * m.w), k / m.w % m.h / 2, k % m.w / 2);
    return m;
}

/* One picture; it lives until the oracle's next call. */
static const double *oracle_decode(oracle *o, const double *latents, int h, int w)
{
    o->used = 0;
    map m = {LATENTS, h, w, take(o, (size_t)LATENTS * (size_t)h * (size_t)w)};
    for (int i = 0; i < LATENTS * h * w; i++)
        m.x[i] = latents[i] / toy_scaling;
    m = conv(o, "decoder.conv_in", m, CODEC_WIDTH, 1, true);
    m = conv(o, "decoder.up", doubled(o, m), CODEC_WIDTH, 1, true);
    return conv(o, "decoder.conv_out", m, 3, 1, false).x;
}

static const double *oracle_read_picture(oracle *o, const double *pixels, int h, int w)
{
    o->used = 0;
    map m = {3, h, w, take(o, (size_t)3 * (size_t)h * (size_t)w)};
    memcpy(m.x, pixels, (size_t)3 * (size_t)h * (size_t)w * sizeof(double));
    m = conv(o, "encoder.down", m, CODEC_WIDTH, 2, true);
    m = conv(o, "encoder.conv_out", m, 2 * LATENTS, 1, false);
    for (int i = 0; i < LATENTS * m.h * m.w; i++)
        m.x[i] *= toy_scaling;
    return m.x;
}

#endif
