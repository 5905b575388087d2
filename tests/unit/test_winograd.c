/* SPDX-License-Identifier: MIT */
/* Winograd's convolution at every level that has it, as a kernel and as an operator, against naive
 * arithmetic in double precision.
 *
 * Tolerances are relative to the largest |x| times the sum of an output channel's |weight|, because
 * an output's error comes from all pixels of its tile. The transforms multiply what cancels again.
 * Of f32's errors that leaves 3.4 ULP at most here, of f16 weights' 2^-12.1, of 16-bit products'
 * 2^-11.8: less than the rounding to bf16 of weights that no transform enlarges. */
#include "kernel_memory.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/parallel.h"
#include "cpu/tasks.h"
#include "kernels/kernels.h"
#include "skip.h"

enum { SIDE = 4, TAPS = 9 };
static const double f32_tolerance = 8 * ULP, f16_tolerance = 0x1p-11;

typedef struct conv_case {
    int n, h, w, in, out;
    double scale; /* of the weights */
    bool doubled; /* h x w is twice the source */
} conv_case;

static const conv_case conv_cases[] = {
    {1, 1, 1, 1, 1, 1, false},       {2, 2, 3, 5, 7, 1, false},      {1, 4, 4, 16, 32, 1, false},
    {3, 5, 6, 17, 33, 1, false},     {1, 8, 12, 32, 16, 1, false},   {2, 7, 9, 31, 65, 1, false},
    {1, 23, 19, 40, 24, 1, false},   {1, 1, 22, 3, 40, 1, false},    {2, 21, 2, 64, 15, 1, false},
    {1, 16, 16, 48, 64, 1, false},   {1, 9, 9, 20, 20, 1e-6, false}, {1, 9, 9, 20, 20, 1e3, false},
    {1, 6, 7, 18, 34, 1e-30, false}, {1, 6, 7, 18, 34, 1e30, false}, {1, 13, 5, 130, 8, 1, false},
    {2, 10, 6, 17, 20, 1, true},     {1, 2, 2, 3, 4, 1, true},       {1, 9, 6, 300, 20, 1, false},
    {1, 3, 9, 530, 34, 1, false},
};

/* One product's numbers. Channel o's weights are scaled by 4^(o % 5) too, the last but one's are 0.
 */
typedef struct numbers {
    conv_case t;
    bool bf16;
    block src, residual, dst;
    float *weights; /* (out, in, 9) */
    float *bias;
} numbers;

static size_t positions(const conv_case *t) { return (size_t)t->n * (size_t)t->h * (size_t)t->w; }

static size_t source_positions(const conv_case *t)
{
    return t->doubled ? positions(t) / 4 : positions(t);
}

static numbers numbers_new(const conv_case *t, bool bf16)
{
    size_t in = (size_t)t->in, out = (size_t)t->out;
    numbers x = {.t = *t, .bf16 = bf16};
    x.src = random_block(source_positions(t) * in, 0.2, 1, bf16);
    x.residual = random_block(positions(t) * out, 0, t->scale, bf16);
    x.dst = values_new(positions(t) * out, bf16);
    x.weights = malloc(out * in * TAPS * sizeof *x.weights);
    x.bias = malloc(out * sizeof *x.bias);
    for (size_t o = 0; o < out; o++) {
        double scale = o == out - 2 ? 0 : t->scale * pow(4, (double)(o % 5));
        x.bias[o] = (float)(t->scale * random_value());
        for (size_t i = 0; i < in * TAPS; i++)
            x.weights[o * in * TAPS + i] = (float)(scale * random_value());
    }
    return x;
}

static void numbers_free(numbers *x)
{
    FINISH(&x->src, &x->residual, &x->dst);
    free(x->weights);
    free(x->bias);
}

static double convolve(const numbers *x, size_t image, int y, int column, size_t o)
{
    const conv_case *t = &x->t;
    size_t in = (size_t)t->in;
    int shift = t->doubled, h = t->h >> shift, w = t->w >> shift;
    double sum = 0;
    for (int tap = 0; tap < TAPS; tap++) {
        int from_y = y + tap / 3 - 1, from_x = column + tap % 3 - 1;
        if (from_y < 0 || from_y >= t->h || from_x < 0 || from_x >= t->w)
            continue;
        size_t row = image * (size_t)h + (size_t)(from_y >> shift);
        size_t pixel = row * (size_t)w + (size_t)(from_x >> shift);
        for (size_t c = 0; c < in; c++)
            sum += value(x->src.data, pixel * in + c, x->bf16) *
                   (double)x->weights[(o * in + c) * TAPS + (size_t)tap];
    }
    return sum;
}

/* dst against what it is to be; residual NULL: none. */
static void check_numbers(const numbers *x, const void *residual, bool half, const char *name)
{
    const conv_case *t = &x->t;
    size_t out = (size_t)t->out, in = (size_t)t->in;
    for (size_t i = 0; i < positions(t) * out; i++) {
        size_t o = i % out, at = i / out, row = at / (size_t)t->w;
        double absolute = 0;
        for (size_t j = 0; j < in * TAPS; j++)
            absolute += fabs((double)x->weights[o * in * TAPS + j]);
        double expected =
            convolve(x, row / (size_t)t->h, (int)(row % (size_t)t->h), (int)(at % (size_t)t->w), o);
        expected += (double)x->bias[o] + (residual ? value(residual, i, x->bf16) : 0);
        double tolerance = absolute * 1.2 * (half ? f16_tolerance : f32_tolerance);
        tolerance += (fabs(expected) + 2 * t->scale) * (x->bf16 ? BF16_ULP : 2 * ULP);
        check_close(value(x->dst.data, i, x->bf16), expected, tolerance, name, i);
    }
}

/* -------------------------------------------------------------------------------------- kernel */

static const tg__winograd_kernel *kernel_of(const tg__kernels *kernels, bool bf16)
{
    return bf16 ? &kernels->winograd_bf16 : &kernels->winograd_f32;
}

static void pack(const tg__winograd_kernel *kernel, const tg__winograd *w, void *packed,
                 const numbers *x)
{
    size_t panel = (size_t)kernel->panel, in = (size_t)w->in, out = (size_t)w->out;
    float *taps = calloc(in * TAPS * panel, sizeof *taps);
    for (size_t first = 0; first < out; first += panel) {
        for (size_t i = 0; i < in * TAPS; i++)
            for (size_t lane = 0; lane < panel; lane++)
                taps[i * panel + lane] =
                    first + lane < out ? x->weights[(first + lane) * in * TAPS + i] : 0;
        kernel->pack(packed, w, (int)(first / panel), taps);
    }
    free(taps);
}

/* in_place: dst starts as the residual. */
static void kernel_at(const conv_case *t, const tg__winograd_kernel *kernel, const char *level,
                      bool bf16, int tiles_each, bool in_place)
{
    numbers x = numbers_new(t, bf16);
    tg__winograd w = {.dst = x.dst.data,
                      .src = x.src.data,
                      .residual = in_place ? x.dst.data : x.residual.data,
                      .bias = x.bias,
                      .n = t->n,
                      .h = t->h,
                      .w = t->w,
                      .in = t->in,
                      .out = t->out,
                      .block = tiles_each,
                      .src_bf16 = bf16,
                      .dst_bf16 = bf16,
                      .doubled = t->doubled,
                      .half = bf16};
    block packed = block_new(kernel->packed_bytes(&w), 64);
    block scratch = block_new(kernel->scratch_bytes(&w), 64);
    memset(packed.data, 0xFF, packed.bytes);
    pack(kernel, &w, packed.data, &x);
    w.weights = packed.data;
    if (in_place)
        memcpy(x.dst.data, x.residual.data, x.dst.bytes);
    int tiles = t->n * ((t->h + SIDE - 1) / SIDE) * ((t->w + SIDE - 1) / SIDE);
    for (int tile = 0; tile < tiles; tile += tiles_each) {
        memset(scratch.data, 0xFF, scratch.bytes);
        kernel->run(&w, scratch.data, tile, tiles - tile < tiles_each ? tiles - tile : tiles_each);
    }
    char name[128];
    snprintf(name, sizeof name, "winograd %s %s %dx%dx%dx%d to %d, blocks of %d", level,
             bf16 ? "bf16" : "f32", t->n, t->h, t->w, t->in, t->out, tiles_each);
    check_numbers(&x, x.residual.data, bf16, name);
    FINISH(&packed, &scratch);
    numbers_free(&x);
}

static void test_kernel(void **state)
{
    (void)state;
    static const int blocks[] = {1, 2, 3, 4, 5, 7, 11, 12, 13, 29, 48};
    for (int level = TG_CPU_AVX2; level <= (int)tg__cpu_level(); level++) {
        tg__kernels kernels;
        tg__kernels_init(&kernels, (tg_cpu)level);
        for (size_t i = 0; i < COUNT(conv_cases); i++)
            for (int bf16 = 0; bf16 < 2; bf16++)
                kernel_at(&conv_cases[i], kernel_of(&kernels, bf16), tg_cpu_name((tg_cpu)level),
                          bf16, blocks[i % COUNT(blocks)], i % 2);
        for (size_t i = 0; i < COUNT(blocks); i++)
            kernel_at(&(conv_case){1, 16, 29, 20, 36, 1, false}, kernel_of(&kernels, i % 2),
                      tg_cpu_name((tg_cpu)level), i % 2, blocks[i], i % 3 == 0);
    }
}

/* Sums as large as they can be: pixels of 1, and weights that all have their sign or, `odd`, that
 * of the far points. */
static void largest_at(const tg__winograd_kernel *kernel, int in, bool odd, const char *level)
{
    numbers x = numbers_new(&(conv_case){1, 8, 8, in, 34, 1, false}, true);
    for (size_t i = 0; i < positions(&x.t) * (size_t)in; i++)
        set_value(x.src.data, i, 1, true);
    for (size_t i = 0; i < (size_t)in * 34 * TAPS; i++)
        x.weights[i] = odd && i % 2 ? -1 : 1;
    tg__winograd w = {.dst = x.dst.data,
                      .src = x.src.data,
                      .bias = x.bias,
                      .n = 1,
                      .h = 8,
                      .w = 8,
                      .in = in,
                      .out = 34,
                      .block = 4,
                      .src_bf16 = true,
                      .dst_bf16 = true,
                      .half = true};
    block packed = block_new(kernel->packed_bytes(&w), 64);
    block scratch = block_new(kernel->scratch_bytes(&w), 64);
    pack(kernel, &w, packed.data, &x);
    w.weights = packed.data;
    kernel->run(&w, scratch.data, 0, 4);
    check_numbers(&x, NULL, true, level);
    FINISH(&packed, &scratch);
    numbers_free(&x);
}

static void test_largest(void **state)
{
    (void)state;
    if (!tg_has_vnni())
        tg_skip_part("16-bit integers, in all tests: this CPU has no AVX512-VNNI");
    static const int in[] = {16, 250, 256, 512, 1000};
    for (int level = TG_CPU_AVX2; level <= (int)tg__cpu_level(); level++) {
        tg__kernels kernels;
        tg__kernels_init(&kernels, (tg_cpu)level);
        for (size_t i = 0; i < COUNT(in); i++)
            for (int odd = 0; odd < 2; odd++)
                largest_at(&kernels.winograd_bf16, in[i], odd, tg_cpu_name((tg_cpu)level));
    }
}

enum { SMALL_IN = 16, SMALL_OUT = 40 };

/* One tile of numbers in f32. */
static void run_tile(numbers *x, tg_cpu level, bool half)
{
    tg__kernels kernels;
    tg__kernels_init(&kernels, level);
    const tg__winograd_kernel *kernel = kernel_of(&kernels, half);
    tg__winograd w = {.dst = x->dst.data,
                      .src = x->src.data,
                      .n = 1,
                      .h = SIDE,
                      .w = SIDE,
                      .in = SMALL_IN,
                      .out = SMALL_OUT,
                      .block = 1,
                      .half = half};
    block packed = block_new(kernel->packed_bytes(&w), 64);
    block scratch = block_new(kernel->scratch_bytes(&w), 64);
    pack(kernel, &w, packed.data, x);
    w.weights = packed.data;
    kernel->run(&w, scratch.data, 0, 1);
    FINISH(&packed, &scratch);
}

/* A weight that is not a number makes its channel none, and no other. */
static void broken_weight(tg_cpu level, bool half, float broken)
{
    enum { BAD = 3 };
    numbers x = numbers_new(&(conv_case){1, SIDE, SIDE, SMALL_IN, SMALL_OUT, 1, false}, false);
    x.weights[BAD * SMALL_IN * TAPS + 4] = broken;
    run_tile(&x, level, half);
    for (size_t i = 0; i < (size_t)SIDE * SIDE * SMALL_OUT; i++)
        assert_true((i % SMALL_OUT != BAD) == isfinite(((float *)x.dst.data)[i]));
    numbers_free(&x);
}

/* A pixel that is not a number makes what is around it none; it may do so to all of its tile. */
static void broken_pixel(tg_cpu level, bool half, float broken)
{
    numbers x = numbers_new(&(conv_case){1, SIDE, SIDE, SMALL_IN, SMALL_OUT, 1, false}, false);
    for (int pixel = 0; pixel < SIDE * SIDE; pixel++) {
        float *value = (float *)x.src.data + (pixel * SMALL_IN + 5), was = *value;
        *value = broken;
        run_tile(&x, level, half);
        for (int i = 0; i < SIDE * SIDE * SMALL_OUT; i++) {
            int y = i / SMALL_OUT / SIDE - pixel / SIDE, c = i / SMALL_OUT % SIDE - pixel % SIDE;
            if (abs(y) <= 1 && abs(c) <= 1)
                assert_false(isfinite(((float *)x.dst.data)[i]));
        }
        *value = was;
    }
    numbers_free(&x);
}

static void test_not_numbers(void **state)
{
    (void)state;
    static const float broken[] = {NAN, INFINITY, -INFINITY};
    for (int level = TG_CPU_AVX2; level <= (int)tg__cpu_level(); level++)
        for (int half = 0; half < 2; half++)
            for (size_t i = 0; i < COUNT(broken); i++) {
                broken_weight((tg_cpu)level, half, broken[i]);
                broken_pixel((tg_cpu)level, half, broken[i]);
            }
}

/* ------------------------------------------------------------------------------------ operator */

/* x and, after conv, the residual unless it may die there; the convolution's result. */
static void operator_at(const conv_case *t, tg_cpu level, bool bf16, bool residual, bool dies)
{
    numbers x = numbers_new(t, bf16);
    tg__error error = {0};
    tg__kernels kernels;
    tg__kernels_init(&kernels, level);
    tg__context context = {.kernels = &kernels, .winograd_positions = 1};
    const int64_t shape[] = {t->out, t->in, 3, 3};
    tg__layer layer = {.name = "conv",
                       .weight = {tg__weight_in_memory("weight", x.weights, TG__F32, 4, shape)},
                       .bias = {tg__weight_in_memory("bias", x.bias, TG__F32, 1, shape)},
                       .parts = 1,
                       .out = t->out,
                       .in = t->in,
                       .kernel = 3,
                       .has_bias = true};
    tg__dtype dtype = bf16 ? TG__BF16 : TG__F32;
    tg__program *program = tg__program_new(&context, "test", dtype, &error);
    int shift = t->doubled;
    tg__tensor src =
        tg__program_external(program, 0, dtype, t->n, t->h >> shift, t->w >> shift, t->in);
    tg__tensor given = tg__program_external(program, 1, dtype, t->n, t->h, t->w, t->out);
    tg__tensor inner = tg__cpu_add(program, "residual", given, given);
    tg__product_options o = {.residual = residual ? inner : (tg__tensor){0}};
    tg__tensor sum = t->doubled ? tg__cpu_upsample_conv2d(program, src, &layer, t->h, t->w)
                                : tg__cpu_conv2d(program, src, &layer, o);
    if (!dies)
        tg__cpu_add(program, "later", sum, inner);
    assert_int_equal(tg__program_finish(program, NULL), TG_OK);
    int conv = 1;
    assert_non_null(strstr(tg__program_task(program, conv)->shape, "winograd"));
    int64_t tiles = (int64_t)t->n * ((t->h + 3) / 4) * ((t->w + 3) / 4);
    assert_int_equal(tg__program_task(program, conv)->macs, tiles * 36 * t->in * t->out);
    assert_int_equal(tg__program_same(program, sum, inner), residual && dies);
    void *workspace = tg__aligned(tg__program_workspace_bytes(program));
    tg__program_bind_workspace(program, workspace);
    tg__program_bind(program, 0, x.src.data);
    tg__program_bind(program, 1, x.residual.data);
    for (int i = 0; i <= conv; i++)
        tg__program_task(program, i)->op->run(program, tg__program_task(program, i));
    memcpy(x.dst.data, tg__program_data(program, sum), x.dst.bytes);
    for (size_t i = 0; i < positions(t) * (size_t)t->out; i++)
        set_value(x.residual.data, i, 2 * value(x.residual.data, i, bf16), bf16);
    check_numbers(&x, residual ? x.residual.data : NULL, bf16, "operator");
    tg__program_free(program);
    tg__packs_free(&context.packs);
    free(workspace);
    numbers_free(&x);
}

static void test_operator(void **state)
{
    (void)state;
    static const conv_case cases[] = {
        {2, 10, 7, 33, 50, 1, false}, {1, 23, 23, 16, 16, 1, false}, {1, 40, 41, 16, 33, 1, false}};
    tg_cpu levels[] = {TG_CPU_AVX2, TG_CPU_AVX512};
    for (size_t level = 0; level < COUNT(levels) && levels[level] <= tg__cpu_level(); level++)
        for (size_t i = 0; i < COUNT(cases); i++)
            for (int way = 0; way < 6; way++) {
                int before = tg__threads_enter(1 + way % 3);
                operator_at(&cases[i], levels[level], way % 2, way > 1, way > 3);
                tg__threads_leave(before);
            }
    for (size_t level = 0; level < COUNT(levels) && levels[level] <= tg__cpu_level(); level++) {
        tg__kernels kernels;
        tg__kernels_init(&kernels, levels[level]);
        for (int bf16 = 0; bf16 <= kernels.winograd_bf16.words; bf16++)
            operator_at(&(conv_case){2, 10, 14, 20, 40, 1, true}, levels[level], bf16, false,
                        false);
    }
}

/* Products that only look like it, and levels where it is not faster, go another way. */
static void test_choice(void **state)
{
    (void)state;
    enum { C = 256, FEW = 128 };
    tg__error error = {0};
    tg__kernels kernels;
    tg__kernels_init(&kernels, TG_CPU_AVX512_BF16);
    if (kernels.level < TG_CPU_AVX2)
        tg_skip("this CPU has no AVX2");
    tg__context context = {.kernels = &kernels, .winograd_positions = 100};
    tg__layer layer = {.name = "conv", .parts = 1, .out = C, .in = C, .kernel = 3};
    tg__program *program = tg__program_new(&context, "test", TG__BF16, &error);
    tg__tensor x = tg__program_external(program, 0, TG__BF16, 1, 10, 10, C);
    tg__tensor small = tg__program_external(program, 1, TG__BF16, 4, 9, 11, C);
    tg__tensor few = tg__program_external(program, 2, TG__BF16, 1, 8, 8, FEW);
    tg__tensor too_few = tg__program_external(program, 3, TG__BF16, 1, 7, 9, FEW);
    const int64_t pairs = C * C, direct = 100 * 9 * pairs;
    tg__cpu_conv2d(program, x, &layer, (tg__product_options){0});
    tg__cpu_conv2d(program, small, &layer, (tg__product_options){0});
    tg__cpu_conv2d(program, x, &layer, (tg__product_options){.activation = TG__SILU});
    tg__cpu_conv2d(program, x, &layer, (tg__product_options){.own_padding = true, .pad_after = 2});
    tg__cpu_conv2d(program, x, &layer, (tg__product_options){.stride = 2});
    layer.kernel = 1;
    tg__cpu_conv2d(program, x, &layer, (tg__product_options){0});
    layer.kernel = 3;
    kernels.winograd_bf16.words = true;
    context.winograd_positions = 200;
    tg__cpu_upsample_conv2d(program, x, &layer, 20, 20);
    context.winograd_positions = 100;
    kernels.level = TG_CPU_AMX;
    tg__cpu_conv2d(program, x, &layer, (tg__product_options){0});
    kernels.level = TG_CPU_AVX2;
    tg__layer slight = {.name = "conv", .parts = 1, .out = FEW, .in = FEW, .kernel = 3};
    tg__cpu_conv2d(program, few, &slight, (tg__product_options){0});
    tg__cpu_conv2d(program, too_few, &slight, (tg__product_options){0});
    context.winograd_positions = 0;
    tg__cpu_conv2d(program, x, &layer, (tg__product_options){0});
    const int64_t macs[] = {9 * 36 * pairs,     direct / 100 * 396, direct,          direct,
                            direct / 4,         direct / 9,         25 * 36 * pairs, direct,
                            4 * 36 * FEW * FEW, 63 * 9 * FEW * FEW, direct};
    assert_false(tg__failed(&error));
    assert_int_equal(tg__program_task_count(program), COUNT(macs));
    for (int i = 0; i < (int)COUNT(macs); i++)
        assert_int_equal(tg__program_task(program, i)->macs, macs[i]);
    tg__program_free(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel), cmocka_unit_test(test_largest),
        cmocka_unit_test(test_not_numbers), cmocka_unit_test(test_operator),
        cmocka_unit_test(test_choice)};
    return cmocka_run_group_tests(tests, tg_skip_levels, NULL);
}
