/* SPDX-License-Identifier: MIT */
/* Convolutions and linear layers in int8, recorded in small programs, against the exact result.
 *
 * The bound. Bytes are steps of s = (high - low) / 255 of an image (a row, for a linear layer), and
 * rounding moves an input x by e, |e| <= s / 2; 0 is a byte exactly, and so is the border. Weights
 * of one output are steps of r = largest / 127 and move by d, |d| <= r / 2. The output is
 *
 *     sum (x + e) (w + d) = sum x w + sum x d + sum e w + sum e d
 *
 * so that it is off by at most r / 2 sum |x| + s / 2 sum |w| + count r s / 4. No output may be
 * farther off. Steps are independent of one another and e and d spread evenly over theirs, as good
 * as, in random data: what is off has a mean square of r^2 / 12 sum x^2 + s^2 / 12 sum w^2. All
 * outputs together must be so far off, within a quarter: that is far tighter than the bound, and
 * tells also that the product was in int8 at all. */
#include <stdlib.h>

#include "core/parallel.h"
#include "cpu/tasks.h"
#include "kernel_memory.h"
#include "skip.h"

enum residual_kind { NONE, SEPARATE, IN_PLACE };

/* A product. before and after: with own padding. */
typedef struct shape {
    int n, h, w, in, out, kernel, stride;
    bool own_padding;
    int before, after;
    bool up;     /* a doubling, then the 3x3 convolution */
    double mean; /* of the input, whose values are up to 1 away from it */
    enum residual_kind residual;
    bool bias;
    bool glu; /* the first half of the outputs times gelu of the second */
} shape;

static int channels(const shape *s) { return s->glu ? s->out / 2 : s->out; }

/* -------------------------------------------------------------------------------------- levels */

typedef struct level {
    tg__kernels kernels;
    tg__dnnl *dnnl; /* NULL: plain C */
    bool bf16;
    const char *name;
} level;

enum { C, F32, BF16, LEVELS };

/* Plain C, then what this CPU has. */
static size_t open_levels(level levels[LEVELS])
{
    static const char *const names[] = {"plain C", "f32", "bf16"};
    for (size_t i = 0; i < LEVELS; i++) {
        tg__error error = {0};
        levels[i] = (level){.name = names[i], .bf16 = i == BF16};
        tg__kernels_init(&levels[i].kernels, i == C ? TG_CPU_C : TG_CPU_AUTO);
        if (i != C && !levels[i].kernels.int8_fast) {
            tg_skip_part("all but plain C: this CPU has no AVX512-VNNI");
            return 1;
        }
        if (i != C)
            levels[i].dnnl = tg__dnnl_new(&levels[i].kernels, TG_CPU_AUTO, &error);
        assert_true(i == C || levels[i].dnnl);
    }
    return LEVELS;
}

static void close_levels(level *levels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        tg__dnnl_free(levels[i].dnnl);
}

/* ---------------------------------------------------------------------------------------- data */

/* A layer and what it is applied to: numbers that bf16 can hold. residual is not below 0. */
typedef struct data {
    shape s;
    tg__layer layer;
    float *x, *weight, *bias, *residual;
    size_t x_count, weight_count, out_count;
    int out_h, out_w;
} data;

static float *random_values(size_t n, double mean, double spread)
{
    float *values = malloc(n * sizeof *values);
    assert_non_null(values);
    for (size_t i = 0; i < n; i++)
        values[i] = tg__from_bf16(tg__to_bf16((float)(mean + spread * random_value())));
    return values;
}

static tg__weight weight_of(const float *values, size_t n)
{
    return tg__weight_in_memory("test", values, TG__F32, 1, (int64_t[]){(int64_t)n});
}

static int padding_before(const shape *s) { return s->own_padding ? s->before : s->kernel / 2; }

static int side(const shape *s, int from)
{
    int padding = padding_before(s) + (s->own_padding ? s->after : s->kernel / 2);
    return s->up ? 2 * from : (from + padding - s->kernel) / s->stride + 1;
}

static data data_new(shape s)
{
    data d = {.s = s, .out_h = side(&s, s.h), .out_w = side(&s, s.w)};
    size_t out = (size_t)s.out;
    d.x_count = (size_t)(s.n * s.h * s.w * s.in);
    d.out_count = (size_t)(s.n * d.out_h * d.out_w * channels(&s));
    d.weight_count = (size_t)(s.out * s.in * s.kernel * s.kernel);
    d.x = random_values(d.x_count, s.mean, 1);
    d.weight = random_values(d.weight_count, 0, 0.1);
    d.bias = random_values(out, 0, 3);
    d.residual = random_values(d.out_count, 2, 2);
    for (size_t i = 0; i < d.weight_count; i++) /* outputs of different sizes */
        d.weight[i] *= (float)(1 << i / (d.weight_count / out) % 4);
    d.layer = (tg__layer){.name = "test",
                          .weight = {weight_of(d.weight, d.weight_count)},
                          .bias = {weight_of(d.bias, out)},
                          .parts = 1,
                          .out = s.out,
                          .in = s.in,
                          .kernel = s.kernel,
                          .has_bias = s.bias};
    return d;
}

static void data_free(data *d)
{
    free(d->x);
    free(d->weight);
    free(d->bias);
    free(d->residual);
}

/* ------------------------------------------------------------------------------- a small program
 */

/* How an operator is told to do it. */
typedef struct telling {
    bool int8, exact, f32;
    tg__activation activation;
} telling;

enum { SLOT_X, SLOT_RESIDUAL };

static tg__tensor record(tg__program *program, const data *d, telling t, tg__tensor *residual)
{
    const shape *s = &d->s;
    tg__dtype dtype = tg__program_dtype(program);
    tg__tensor x = tg__program_external(program, SLOT_X, dtype, s->n, s->h, s->w, s->in);
    if (s->up)
        return tg__cpu_upsample_conv2d(program, x, &d->layer, d->out_h, d->out_w);
    tg__product_options o = {.stride = s->stride,
                             .own_padding = s->own_padding,
                             .pad_before = s->before,
                             .pad_after = s->after,
                             .activation = s->glu ? TG__GEGLU : t.activation,
                             .exact = t.exact,
                             .f32 = t.f32};
    if (s->residual)
        o.residual = tg__program_external(program, SLOT_RESIDUAL, dtype, s->n, d->out_h, d->out_w,
                                          channels(s));
    if (s->residual == IN_PLACE) /* in the workspace, and needed by nobody else */
        o.residual = tg__cpu_activate(program, "residual", o.residual, TG__RELU);
    *residual = o.residual;
    return tg__cpu_conv2d(program, x, &d->layer, o);
}

static void *in_dtype(const float *values, size_t n, bool bf16)
{
    void *dst = malloc((n + 1) * sizeof *values);
    for (size_t i = 0; i < n; i++)
        set_value(dst, i, (double)values[i], bf16);
    return dst;
}

/* The layer applied to d->x, as f32. *tasks (may be NULL): how many the program has. */
static float *run(const level *l, const data *d, telling t, int *tasks)
{
    tg__error error = {0};
    tg__context context = {.kernels = &l->kernels, .dnnl = l->dnnl};
    tg__tensor residual = {0};
    void *x = in_dtype(d->x, d->x_count, l->bf16);
    void *added = in_dtype(d->residual, d->out_count, l->bf16);
    tg__program *program = tg__program_new(&context, "test", l->bf16 ? TG__BF16 : TG__F32, &error);
    if (t.int8)
        tg__program_allow_int8(program);
    tg__tensor y = record(program, d, t, &residual);
    if (tg__program_finish(program, NULL) != TG_OK)
        fail_msg("%s", error.message);
    void *workspace = tg__aligned(tg__program_workspace_bytes(program));
    memset(workspace, 0xFF, tg__program_workspace_bytes(program)); /* NaN */
    tg__program_bind_workspace(program, workspace);
    tg__program_bind(program, SLOT_X, x);
    tg__program_bind(program, SLOT_RESIDUAL, added);
    tg__program_run(program, NULL);
    assert_int_equal(tg__count(y), d->out_count);
    assert_int_equal(y.h, d->out_h);
    float *result = malloc(d->out_count * sizeof *result);
    tg__to_f32_array(result, tg__program_data(program, y), y.dtype, d->out_count);
    if (d->s.residual == IN_PLACE && t.int8)
        assert_ptr_equal(tg__program_data(program, y), tg__program_data(program, residual));
    if (tasks)
        *tasks = tg__program_task_count(program);
    tg__program_free(program);
    tg__packs_free(&context.packs);
    free(workspace);
    free(x);
    free(added);
    return result;
}

/* ------------------------------------------------------------------------------- the reference */

/* The weights of one output as they meet the map that becomes bytes: the layer's, or, where a
 * doubling is four small convolutions, those of one of them. */
typedef struct kernel {
    int k;
    double *weight; /* (k, k, in) */
    double step;
} kernel;

static kernel kernel_of(const data *d, int out, int py, int px, bool phases)
{
    const shape *s = &d->s;
    size_t taps = (size_t)(s->kernel * s->kernel), in = (size_t)s->in;
    kernel e = {.k = phases ? 2 : s->kernel, .weight = calloc(taps * in, sizeof(double))};
    for (size_t i = 0; i < in; i++) {
        for (int tap = 0; tap < (int)taps; tap++) {
            int y = tap / s->kernel, x = tap % s->kernel;
            if (phases) { /* which source pixel of two it meets */
                y = (py + y + 1) / 2 - py;
                x = (px + x + 1) / 2 - px;
            }
            e.weight[(size_t)(y * e.k + x) * in + i] +=
                (double)d->weight[((size_t)out * in + i) * taps + (size_t)tap];
        }
    }
    for (size_t i = 0; i < taps * in; i++)
        e.step = fmax(e.step, fabs(e.weight[i]) / 127);
    return e;
}

/* Where an output's values begin. */
typedef struct origin {
    int image, y, x;
} origin;

/* What one output should be, and how far off. */
typedef struct expectation {
    double value, magnitude, bound, square;
} expectation;

/* One pixel's part. */
static void add_pixel(expectation *e, const float *x, const double *w, size_t in, double s,
                      double r)
{
    for (size_t i = 0; i < in; i++) {
        double v = (double)x[i];
        e->value += v * w[i];
        e->magnitude += fabs(v * w[i]);
        e->bound += r / 2 * fabs(v) + s / 2 * fabs(w[i]) + r * s / 4;
        e->square += (r * r * v * v + s * s * w[i] * w[i]) / 12;
    }
}

/* large: the map is d->x doubled. */
static expectation expect(const data *d, const kernel *k, origin from, double step, bool large)
{
    expectation e = {0};
    int h = d->s.h, w = d->s.w, times = large ? 2 : 1;
    size_t in = (size_t)d->s.in;
    for (int tap = 0; tap < k->k * k->k; tap++) {
        int y = from.y + tap / k->k, x = from.x + tap % k->k;
        if (y < 0 || x < 0 || y >= times * h || x >= times * w)
            continue;
        size_t pixel = (size_t)((from.image * h + y / times) * w + x / times);
        add_pixel(&e, d->x + pixel * in, k->weight + (size_t)tap * in, in, step, k->step);
    }
    return e;
}

/* The step of an image's bytes, or of a row's. */
static double step_of(const data *d, int image, int y, int x)
{
    const shape *s = &d->s;
    bool row = s->kernel == 1;
    size_t n = (size_t)(row ? s->in : s->h * s->w * s->in);
    size_t first = row ? (size_t)((image * s->h + y) * s->w + x) * n : (size_t)image * n;
    double low = 0, high = 0;
    for (size_t i = first; i < first + n; i++) {
        low = fmin(low, (double)d->x[i]);
        high = fmax(high, (double)d->x[i]);
    }
    return (high - low) / 255;
}

/* Sums over all outputs: of squares found and expected. */
typedef struct squares {
    double found, expected;
} squares;

static void check_output(const level *l, const data *d, const float *found, size_t at,
                         expectation e, squares *all)
{
    double y = e.value + (d->s.residual ? (double)d->residual[at] : 0);
    double off = (double)found[at] - y, rounding = l->bf16 ? (fabs(y) + e.bound) * BF16_ULP : 0;
    check_close((double)found[at], y, e.bound + rounding + 16 * ULP * (e.magnitude + fabs(y)),
                l->name, at);
    all->found += off * off;
    all->expected += e.square + rounding * rounding / 12;
}

/* h gelu(g): the curve is nowhere steeper than 1.13. */
static expectation gated(expectation h, expectation g)
{
    double curve = 0.5 * g.value * erfc(-g.value / sqrt(2)), steep = 1.13 * fabs(h.value);
    return (expectation){h.value * curve, h.magnitude * fabs(curve) + steep * g.magnitude + 1,
                         h.bound * (fabs(curve) + 1.13 * g.bound) + steep * g.bound,
                         h.square * curve * curve + steep * steep * g.square};
}

/* One output of the layer. */
static expectation layer_output(const data *d, const kernel *k, origin from, double step,
                                bool large, int o)
{
    expectation e = expect(d, k, from, step, large);
    e.value += d->s.bias ? (double)d->bias[o] : 0;
    return e;
}

/* By position of the output. */
static double *steps_of(const data *d)
{
    int plane = d->out_h * d->out_w;
    double *steps = malloc((size_t)(d->s.n * plane) * sizeof *steps);
    for (int p = 0; p < d->s.n * plane; p++)
        steps[p] = p % plane && d->s.kernel > 1
                       ? steps[p - 1]
                       : step_of(d, p / plane, p % plane / d->out_w, p % d->out_w);
    return steps;
}

static void check_outputs(const level *l, const data *d, const float *found)
{
    const shape *s = &d->s;
    int outputs = channels(s);
    double *steps = steps_of(d);
    bool phases = s->up && l->dnnl, large = s->up && !phases;
    squares all = {0};
    int doubled = phases ? 2 : 1, before = phases ? 1 : padding_before(s);
    for (int i = 0; i < outputs * doubled * doubled; i++) {
        int o = i % outputs, py = i / outputs / 2, px = i / outputs % 2;
        kernel k = kernel_of(d, o, py, px, phases);
        kernel gate = kernel_of(d, s->glu ? o + outputs : o, py, px, phases);
        for (int p = 0; p < s->n * d->out_h * d->out_w; p++) {
            int image = p / (d->out_h * d->out_w), y = p / d->out_w % d->out_h, x = p % d->out_w;
            if (phases && (y % 2 != py || x % 2 != px))
                continue;
            origin from = {image, y / doubled * s->stride - before + py,
                           x / doubled * s->stride - before + px};
            expectation e = layer_output(d, &k, from, steps[p], large, o);
            if (s->glu)
                e = gated(e, layer_output(d, &gate, from, steps[p], large, o + outputs));
            check_output(l, d, found, (size_t)(p * outputs + o), e, &all);
        }
        free(k.weight);
        free(gate.weight);
    }
    free(steps);
    double ratio = sqrt(all.found / all.expected);
    if (ratio > 1.25 || (!l->bf16 && ratio < (s->glu ? 0.4 : 0.75)))
        fail_msg("%s: %dx%dx%dx%d to %d k%d s%d: off by %.3f times what is expected", l->name, s->n,
                 s->h, s->w, s->in, s->out, s->kernel, s->stride, ratio);
}

/* --------------------------------------------------------------------------------------- tests */

static const shape shapes[] = {
    {1, 9, 7, 32, 32, 3, .stride = 1},
    {2, 5, 13, 33, 47, 3, 1, .mean = 0.5, .bias = true},
    {3, 4, 6, 64, 100, 3, 1, .mean = -0.5, .residual = SEPARATE},
    {1, 17, 19, 100, 65, 3, 1, .residual = IN_PLACE, .bias = true},
    {2, 1, 40, 36, 32, 3, 1, .mean = 3, .residual = IN_PLACE},
    {1, 16, 3, 65, 33, 3, 1, .mean = -3, .bias = true},
    {2, 9, 7, 32, 40, 3, .stride = 2},
    {1, 8, 16, 64, 32, 3, 2, .residual = IN_PLACE, .bias = true},
    {3, 9, 11, 48, 33, 3, 2, true, 0, 1, .bias = true},
    {1, 12, 10, 33, 64, 3, 2, true, 0, 1, .mean = -1},
    {2, 7, 9, 40, 36, 3, 2, true, 1, 1, .residual = SEPARATE},
    {1, 10, 8, 40, 36, 3, 1, true, 0, 0, .bias = true},
    {1, 1, 77, 40, 64, 1, 1, .bias = true},
    {2, 3, 5, 96, 33, 1, 1, .mean = 0.5, .residual = IN_PLACE},
    {1, 13, 23, 32, 100, 1, 1, .residual = SEPARATE, .bias = true},
    {3, 9, 16, 70, 50, 1, 1, .mean = -2},
    {1, 13, 10, 33, 70, 1, 1, .bias = true, .glu = true},
    {2, 6, 7, 64, 128, 1, 1, .mean = 0.2, .residual = SEPARATE, .glu = true},
    {1, 9, 11, 32, 40, 5, 1, .bias = true},
    {2, 6, 5, 33, 32, 5, .stride = 2},
    {1, 11, 14, 40, 32, 3, .stride = 3},
    {2, 5, 7, 40, 33, 3, 1, .up = true, .bias = true},
    {1, 8, 8, 64, 64, 3, 1, .up = true, .mean = 1},
    {3, 3, 17, 32, 70, 3, 1, .up = true},
};

static void test_bound(void **state)
{
    (void)state;
    level levels[LEVELS];
    size_t count = open_levels(levels);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        data d = data_new(shapes[i]);
        for (size_t l = 0; l < count; l++) {
            float *found = run(&levels[l], &d, (telling){.int8 = true}, NULL);
            check_outputs(&levels[l], &d, found);
            free(found);
        }
        data_free(&d);
    }
    close_levels(levels, count);
}

/* The same bytes with every number of threads, whatever pieces the work falls into. */
static void test_threads(void **state)
{
    (void)state;
    level levels[LEVELS];
    size_t count = open_levels(levels);
    for (size_t i = 0; i < COUNT(shapes); i++) {
        data d = data_new(shapes[i]);
        for (size_t l = 0; l < count; l++) {
            float *first = NULL;
            for (int threads = 1; threads <= 7; threads += 2) {
                int before = tg__threads_enter(threads);
                float *found = run(&levels[l], &d, (telling){.int8 = true}, NULL);
                tg__threads_leave(before);
                if (first)
                    assert_memory_equal(found, first, d.out_count * sizeof *found);
                free(first);
                first = found;
            }
            free(first);
        }
        data_free(&d);
    }
    close_levels(levels, count);
}

/* What is told or known to be sensitive, or is no product of this form, is as without int8. */
static void test_exact(void **state)
{
    (void)state;
    static const struct {
        shape s;
        telling t;
    } cases[] = {
        {{1, 9, 7, 4, 64, 3, 1, .bias = true}, {0}},        /* the first convolution */
        {{1, 9, 7, 31, 64, 3, .stride = 1}, {0}},           /* few channels */
        {{2, 9, 7, 64, 4, 3, .stride = 1}, {.f32 = true}},  /* the last convolution */
        {{2, 9, 7, 64, 31, 3, .stride = 1}, {0}},           /* few outputs */
        {{2, 9, 7, 64, 64, 3, .stride = 1}, {.f32 = true}}, /* a result of another format */
        {{3, 1, 1, 64, 64, 1, 1, .bias = true}, {0}},       /* one position: the time embedding */
        {{3, 1, 1, 64, 64, 3, .stride = 1}, {0}},
        {{2, 9, 7, 64, 48, 1, .stride = 1}, {.exact = true}},
        {{2, 9, 7, 64, 48, 3, .stride = 2}, {.exact = true}},
        {{2, 9, 7, 64, 48, 3, .stride = 1}, {.activation = TG__SILU}},
        {{2, 9, 7, 64, 48, 1, .stride = 2}, {0}},
        {{2, 9, 7, 64, 48, 1, 1, true, 1, .after = 1}, {0}},
        {{1, 18, 18, 32, 32, 9, .stride = 1}, {0}}, /* too many taps */
        {{1, 2, 2, 7320, 32, 3, .stride = 1}, {0}}, /* sums too large for 32 bits */
    };
    level levels[LEVELS];
    size_t count = open_levels(levels);
    for (size_t i = 0; i < COUNT(cases); i++) {
        data d = data_new(cases[i].s);
        telling t = cases[i].t;
        for (size_t l = 0; l < count; l++) {
            int tasks, allowed_nodes;
            t.int8 = false;
            float *expected = run(&levels[l], &d, t, &tasks);
            t.int8 = true;
            float *found = run(&levels[l], &d, t, &allowed_nodes);
            assert_int_equal(tasks, allowed_nodes);
            assert_memory_equal(found, expected, d.out_count * sizeof *found);
            free(expected);
            free(found);
        }
        data_free(&d);
    }
    close_levels(levels, count);
}

/* ------------------------------------------------------------------------ what is not a number */

/* Outputs [first, first + n) are not finite, the others are. Of outputs only one in `every`. */
static void check_broken(const level *l, const float *found, size_t total, size_t first, size_t n,
                         size_t every, double broken)
{
    for (size_t i = 0; i < total; i++) {
        bool expected = i >= first && i < first + n && (i - first) % every == 0;
        if (isfinite(found[i]) == !expected)
            continue;
        fail_msg("%s: %g in the input: output %zu is %g", l->name, broken, i, (double)found[i]);
    }
}

static void broken_input(const level *l, data *d, size_t at, double broken)
{
    const shape *s = &d->s;
    float was = d->x[at];
    size_t image = d->x_count / (size_t)s->n, result = d->out_count / (size_t)s->n;
    if (s->kernel == 1) {
        image = (size_t)s->in;
        result = (size_t)s->out;
    }
    d->x[at] = (float)broken;
    float *found = run(l, d, (telling){.int8 = true}, NULL);
    check_broken(l, found, d->out_count, at / image * result, result, 1, broken);
    free(found);
    d->x[at] = was;
}

static const double broken_values[] = {NAN, INFINITY, -INFINITY};

/* In an image's first piece of work, in its last one, at the end of the first of two images. */
static void test_broken_input(void **state)
{
    (void)state;
    static const shape some[] = {{2, 70, 61, 32, 32, 3, 1, .bias = true},
                                 {2, 70, 61, 32, 32, 1, .stride = 1},
                                 {2, 4, 5, 40, 33, 3, 2, .residual = SEPARATE},
                                 {2, 5, 7, 40, 33, 3, 1, .up = true}};
    level levels[LEVELS];
    size_t count = open_levels(levels);
    for (size_t i = 0; i < COUNT(some); i++) {
        data d = data_new(some[i]);
        size_t places[] = {0, 77, d.x_count / 2 - 1, d.x_count / 2, d.x_count - 1};
        for (size_t l = 0; l < count; l++)
            for (size_t p = 0; p < COUNT(places); p++)
                for (size_t b = 0; b < COUNT(broken_values); b++)
                    broken_input(&levels[l], &d, places[p], broken_values[b]);
        data_free(&d);
    }
    close_levels(levels, count);
}

/* One weight: its output is lost, everywhere. */
static void test_broken_weight(void **state)
{
    (void)state;
    level levels[LEVELS];
    size_t count = open_levels(levels);
    data d = data_new((shape){1, 5, 6, 40, 50, 3, .stride = 1});
    for (size_t l = 0; l < count; l++) {
        for (size_t b = 0; b < COUNT(broken_values); b++) {
            size_t out = 7 + 11 * b, at = out * d.weight_count / 50 + 100;
            float was = d.weight[at];
            d.weight[at] = (float)broken_values[b];
            float *found = run(&levels[l], &d, (telling){.int8 = true}, NULL);
            check_broken(&levels[l], found, d.out_count, out, d.out_count, 50, broken_values[b]);
            free(found);
            d.weight[at] = was;
        }
    }
    data_free(&d);
    close_levels(levels, count);
}

/* All 0, and numbers so small that the reciprocal of their step is none. */
static void test_tiny_values(void **state)
{
    (void)state;
    static const float sizes[] = {0, 1e-37f, 1e-42f};
    level levels[LEVELS];
    size_t count = open_levels(levels);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (int of_weights = 0; of_weights < 2; of_weights++) {
            data d = data_new((shape){1, 5, 6, 40, 50, 3, 1, .bias = true});
            for (size_t j = 0; j < d.x_count && !of_weights; j++)
                d.x[j] *= sizes[i];
            for (size_t j = 0; j < d.weight_count && of_weights; j++)
                d.weight[j] *= sizes[i];
            for (size_t l = 0; l < count; l++) {
                float *found = run(&levels[l], &d, (telling){.int8 = true}, NULL);
                for (size_t j = 0; j < d.out_count; j++)
                    assert_true(found[j] == d.bias[j % 50]);
                free(found);
            }
            data_free(&d);
        }
    }
    close_levels(levels, count);
}

/* Maps so large that their bytes cannot be counted fail the program. */
static void test_absurd_sizes(void **state)
{
    (void)state;
    level l = {0};
    tg__error error = {0};
    tg__context context = {.kernels = &l.kernels};
    tg__kernels_init(&l.kernels, TG_CPU_AUTO);
    data d = data_new((shape){1, 2, 2, 32, 32, 3, .stride = 1});
    tg__program *program = tg__program_new(&context, "test", TG__BF16, &error);
    tg__program_allow_int8(program);
    tg__tensor x = tg__program_external(program, SLOT_X, TG__BF16, 1 << 12, 1 << 10, 1 << 10, 32);
    assert_int_not_equal(x.id, 0);
    tg__tensor y = tg__cpu_conv2d(program, x, &d.layer, (tg__product_options){0});
    (void)y;
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "test: a feature map of 1 x 1 x "));
    assert_non_null(strstr(error.message, " is too large or empty"));
    assert_int_equal(tg__program_measure(program), TG_ERROR_ARGUMENT);
    tg__program_free(program);
    data_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bound),         cmocka_unit_test(test_threads),
        cmocka_unit_test(test_exact),         cmocka_unit_test(test_broken_input),
        cmocka_unit_test(test_broken_weight), cmocka_unit_test(test_tiny_values),
        cmocka_unit_test(test_absurd_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
