/* SPDX-License-Identifier: MIT */
/* Weights written in pairs of inputs come out as oneDNN's reorder has them and where arithmetic on
 * indices puts them, and other layouts are not taken for such. */
#include "onednn/pairs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct shape {
    int64_t out, in, k, width, block; /* block: pairs of inputs that lie together */
} shape;

/* The layout [out/width][taps][in/2][width][2] of a convolution, or of a matrix (in, out). */
static dnnl_memory_desc_t pairs_of(const shape *s, bool matrix)
{
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {s->out, s->in, s->k, s->k}, matrix_dims = {s->in, s->out};
    if (matrix)
        dnnl_memory_desc_init_by_tag(&md, 2, matrix_dims, dnnl_bf16, dnnl_ab);
    else
        dnnl_memory_desc_init_by_tag(&md, 4, dims, dnnl_bf16, dnnl_abcd);
    dnnl_blocking_desc_t *b = &md.format_desc.blocking;
    int out = matrix ? 1 : 0, n = 0;
    b->strides[out] = s->width * s->in * s->k * s->k;
    b->strides[1 - out] = s->width * 2 * s->block;
    if (!matrix) {
        b->strides[3] = s->width * s->in;
        b->strides[2] = b->strides[3] * s->k;
    }
    if (s->block > 1) {
        b->inner_idxs[n] = 1 - out;
        b->inner_blks[n++] = s->block;
    }
    b->inner_idxs[n] = out;
    b->inner_blks[n++] = s->width;
    b->inner_idxs[n] = 1 - out;
    b->inner_blks[n++] = 2;
    b->inner_nblks = n;
    return md;
}

static void reorder(const dnnl_memory_desc_t *from, void *src, const dnnl_memory_desc_t *to,
                    void *dst)
{
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t a, b;
    assert_int_equal(dnnl_engine_create(&engine, dnnl_cpu, 0), dnnl_success);
    assert_int_equal(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), dnnl_success);
    assert_int_equal(dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, NULL),
                     dnnl_success);
    assert_int_equal(dnnl_primitive_create(&primitive, pd), dnnl_success);
    assert_int_equal(dnnl_memory_create(&a, from, engine, src), dnnl_success);
    assert_int_equal(dnnl_memory_create(&b, to, engine, dst), dnnl_success);
    const dnnl_exec_arg_t arguments[] = {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}};
    assert_int_equal(dnnl_primitive_execute(primitive, stream, 2, arguments), dnnl_success);
    dnnl_stream_wait(stream);
    dnnl_memory_destroy(a);
    dnnl_memory_destroy(b);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
}

enum { CANARY = 32 };

/* The rows of a shape's weights, written in pairs, with canaries behind; free the result. */
static tg__bf16 *written(const shape *s, const tg__bf16 *src)
{
    size_t row = (size_t)(s->in * s->k * s->k), n = (size_t)s->out * row;
    tg__bf16 *dst = malloc((n + CANARY) * sizeof *dst);
    assert_non_null(dst);
    memset(dst, 0xA5, (n + CANARY) * sizeof *dst);
    for (size_t first = 0; first < (size_t)s->out; first += TG__PAIR_ROWS)
        tg__pairs_write(dst, src + first * row, first, (size_t)s->width, (size_t)s->in,
                        (size_t)(s->k * s->k));
    for (size_t i = n; i < n + CANARY; i++)
        assert_int_equal(dst[i], 0xA5A5);
    return dst;
}

/* Normal numbers alone: for subnormal ones oneDNN's reorder writes 0 on a CPU that has AVX2 and
 * nothing newer. */
static void check_reorder(const shape *s, bool matrix)
{
    enum { LEAST_NORMAL = 0x0080, INFINITE = 0x7F80 };
    dnnl_memory_desc_t to = pairs_of(s, matrix), from;
    dnnl_dims_t dims = {s->out, s->in, s->k, s->k}, matrix_dims = {s->in, s->out};
    size_t width = 0, n = (size_t)(s->out * s->in * s->k * s->k);
    tg__bf16 *src = malloc(n * sizeof *src), *expected = malloc(n * sizeof *src);
    for (size_t i = 0; i < n; i++)
        src[i] = (tg__bf16)(LEAST_NORMAL + i * 40503u % (INFINITE - LEAST_NORMAL));
    if (matrix)
        dnnl_memory_desc_init_by_tag(&from, 2, matrix_dims, dnnl_bf16, dnnl_ba);
    else
        dnnl_memory_desc_init_by_tag(&from, 4, dims, dnnl_bf16, dnnl_abcd);
    reorder(&from, src, &to, expected);
    assert_true(tg__pairs_match(&to, &width));
    assert_int_equal(width, s->width);
    tg__bf16 *found = written(s, src);
    assert_memory_equal(found, expected, n * sizeof *found);
    free(src);
    free(expected);
    free(found);
}

/* All 65536 bit patterns, subnormals and NaN among them, arrive as they are, each at its index in
 * [out/width][taps][in/2][width][2]. */
static void check_indices(const shape *s)
{
    size_t in = (size_t)s->in, taps = (size_t)(s->k * s->k), width = (size_t)s->width;
    size_t n = (size_t)s->out * in * taps;
    tg__bf16 *src = malloc(n * sizeof *src);
    assert_non_null(src);
    for (size_t i = 0; i < n; i++)
        src[i] = (tg__bf16)(i * 40503u);
    tg__bf16 *found = written(s, src);
    for (size_t i = 0; i < n; i++) {
        size_t out = i / (in * taps), input = i / taps % in, tap = i % taps;
        size_t block = (out / width * taps + tap) * (in / 2) + input / 2;
        size_t at = (block * width + out % width) * 2 + input % 2;
        if (found[at] != src[i])
            fail_msg("weight %zu is 0x%04X, expected 0x%04X", i, found[at], src[i]);
    }
    free(src);
    free(found);
}

static const shape shapes[] = {
    {32, 32, 3, 32, 1},  {64, 64, 3, 64, 1},  {64, 96, 3, 32, 16}, {128, 64, 1, 64, 1},
    {48, 32, 2, 16, 16}, {320, 40, 3, 64, 1}, {96, 2, 1, 48, 1},   {192, 64, 5, 64, 16},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void test_as_oneDNN(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        check_reorder(&shapes[i], false);
        if (shapes[i].k == 1)
            check_reorder(&shapes[i], true);
    }
    check_reorder(&(shape){320, 1280, 1, 64, 16}, true);
    check_reorder(&(shape){16, 32, 1, 16, 16}, true);
}

static void test_indices(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++)
        check_indices(&shapes[i]);
}

static void test_others(void **state)
{
    const shape s = {64, 64, 3, 32, 16};
    const dnnl_memory_desc_t good = pairs_of(&s, false);
    size_t width;
    (void)state;
    assert_true(tg__pairs_match(&good, &width));
    for (int i = 0; i < 13; i++) {
        dnnl_memory_desc_t md = good;
        dnnl_blocking_desc_t *b = &md.format_desc.blocking;
        switch (i) {
        case 0:
            md.data_type = dnnl_f32;
            break;
        case 1:
            md.format_kind = dnnl_format_kind_any;
            break;
        case 2:
            md.offset0 = 64;
            break;
        case 3:
            md.extra.flags = dnnl_memory_extra_flag_compensation_conv_s8s8;
            break;
        case 4:
            md.padded_dims[0] = 96;
            break;
        case 5:
            b->strides[0] *= 2;
            break;
        case 6:
            b->strides[1] *= 2;
            break;
        case 7:
            b->strides[2] = b->strides[3];
            break;
        case 8:
            b->strides[3] *= 2;
            break;
        case 9:
            b->inner_blks[2] = 4;
            break;
        case 10:
            b->inner_idxs[1] = 2;
            break;
        case 11:
            b->inner_nblks = 1;
            break;
        default:
            b->inner_idxs[0] = 0;
        }
        if (tg__pairs_match(&md, &width))
            fail_msg("case %d", i);
    }
    assert_false(tg__pairs_match(&(dnnl_memory_desc_t){0}, &width));
    dnnl_memory_desc_t plain;
    dnnl_memory_desc_init_by_tag(&plain, 4, (dnnl_dims_t){64, 64, 3, 3}, dnnl_bf16, dnnl_abcd);
    assert_false(tg__pairs_match(&plain, &width));
    const shape narrow = {64, 64, 3, 8, 1};
    dnnl_memory_desc_t eight = pairs_of(&narrow, false);
    assert_false(tg__pairs_match(&eight, &width));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_oneDNN),
                                       cmocka_unit_test(test_indices),
                                       cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
