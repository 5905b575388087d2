/* SPDX-License-Identifier: MIT */
/* Where weights come from: a caller's memory and patched weights, read from anywhere to anywhere,
 * and what names them. Mapped files are test_safetensors.c's. */
#include <math.h>
#include <stdlib.h>

#include "io/gather.h"
#include "io/patch.h"
#include "io/safetensors.h"
#include "kernel_memory.h"
#include "kernels/kernels.h"
#include "scratch.h"

enum { OUT = 7, IN = 1100, RANK = 70, N = OUT * IN };

static tg__conversions conversions(tg_cpu level)
{
    static tg__kernels kernels;
    tg__kernels_init(&kernels, level);
    return tg__kernels_conversions(&kernels);
}

/* Multiples of `unit` up to four of it: what tests sum of them is exact in f32, in any order. */
static float exact_value(unsigned *random, float unit)
{
    return (float)((int)(scratch_random(random) % 9) - 4) * unit;
}

static uint16_t to_f16(float f) /* normal numbers and 0 */
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)(f == 0 ? 0 : (bits >> 16 & 0x8000) | ((bits >> 13 & 0x3FFFF) - (112 << 10)));
}

/* n values in dtype; free() it. */
static void *stored(const float *values, size_t n, tg__dtype dtype)
{
    char *dst = malloc(n * tg__dtype_size(dtype));
    for (size_t i = 0; i < n; i++) {
        uint16_t half = dtype == TG__BF16 ? tg__to_bf16(values[i]) : to_f16(values[i]);
        if (dtype == TG__F32)
            memcpy(dst + 4 * i, &values[i], 4);
        else
            memcpy(dst + 2 * i, &half, 2);
    }
    return dst;
}

static float *exact_values(size_t n, float unit, unsigned seed)
{
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = exact_value(&seed, unit);
    return values;
}

/* Any range, in both formats, is that of the values; nothing in front or behind is written. */
static void check_reading(const tg__weight *weight, const float *values)
{
    static const size_t ranges[][2] = {{0, N},        {1, 1},          {IN - 1, 2},     {3, 0},
                                       {IN, 3 * IN},  {2 * IN + 5, 7}, {N - 1, 1},      {17, 2049},
                                       {N - 2050, 9}, {5, N - 5},      {IN / 2, 2 * IN}};
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++) {
        tg__conversions c = conversions((tg_cpu)level);
        for (size_t r = 0; r < COUNT(ranges); r++) {
            size_t first = ranges[r][0], n = ranges[r][1];
            block wide = block_new(n * sizeof(float), sizeof(float));
            block narrow = block_new(n * sizeof(tg__bf16), sizeof(tg__bf16));
            tg__weight_read(weight, wide.data, TG__F32, first, n, &c);
            tg__weight_read(weight, narrow.data, TG__BF16, first, n, &c);
            for (size_t i = 0; i < n; i++) {
                assert_true(((float *)(void *)wide.data)[i] == values[first + i]);
                assert_int_equal(((tg__bf16 *)(void *)narrow.data)[i],
                                 tg__to_bf16(values[first + i]));
            }
            FINISH(&wide, &narrow);
        }
    }
}

static void test_memory(void **state)
{
    (void)state;
    static const tg__dtype dtypes[] = {TG__F32, TG__F16, TG__BF16};
    static const int64_t shape[] = {OUT, IN};
    float *values = exact_values(N, 0.5F, 1);
    for (size_t d = 0; d < COUNT(dtypes); d++)
        for (size_t off = 0; off < 2; off++) { /* and unaligned */
            size_t bytes = N * tg__dtype_size(dtypes[d]);
            void *data = stored(values, N, dtypes[d]);
            block memory = block_new(bytes, 1);
            memory.data -= off;
            memcpy(memory.data, data, bytes);
            tg__weight weight = tg__weight_in_memory("w", memory.data, dtypes[d], 2, shape);
            assert_int_equal(weight.bytes, bytes);
            assert_int_equal(tg__weight_count(&weight), N);
            assert_null(weight.source->drop);
            check_reading(&weight, values);
            free(data);
            munmap(memory.map, memory.map_bytes);
        }
    free(values);
}

/* All codes of the two formats of 8 bits, by what their bits mean. */
static void test_fp8(void **state)
{
    (void)state;
    static const struct {
        tg__dtype dtype;
        int mantissa, bias; /* bits; of the exponent */
        bool infinities;
    } formats[] = {{TG__F8_E4M3, 3, 7, false}, {TG__F8_E5M2, 2, 15, true}};
    uint8_t codes[256];
    for (int i = 0; i < 256; i++)
        codes[i] = (uint8_t)i;
    for (size_t f = 0; f < COUNT(formats); f++) {
        int m = formats[f].mantissa, top = (1 << (7 - m)) - 1;
        tg__weight weight = tg__weight_in_memory("w", codes, formats[f].dtype, 1, (int64_t[]){256});
        tg__conversions c = conversions(tg__cpu_level());
        float wide[256];
        tg__bf16 narrow[256];
        tg__weight_read(&weight, wide, TG__F32, 0, 256, &c);
        tg__weight_read(&weight, narrow, TG__BF16, 0, 256, &c);
        for (int i = 0; i < 256; i++) {
            int exponent = (i & 0x7F) >> m, fraction = i & ((1 << m) - 1);
            double value = ldexp(exponent ? fraction + (1 << m) : fraction,
                                 (exponent ? exponent : 1) - formats[f].bias - m);
            if (formats[f].infinities && exponent == top)
                value = fraction ? NAN : INFINITY;
            if (!formats[f].infinities && (i & 0x7F) == 0x7F)
                value = NAN;
            if (isnan(value)) {
                assert_true(isnan(wide[i]) && isnan(tg__from_bf16(narrow[i])));
                continue;
            }
            assert_true((double)wide[i] == (i & 0x80 ? -value : value));
            assert_int_equal(signbit(wide[i]) != 0, i >= 0x80);
            assert_true(tg__from_bf16(narrow[i]) == wide[i]);
        }
    }
}

static void test_f64(void **state)
{
    (void)state;
    static const double values[] = {0.1, -1e-300, 1 + 0x1p-24, 1 + 0x1.8p-24, 1e300, -0.0, 65504.3};
    tg__conversions c = conversions(tg__cpu_level());
    char memory[sizeof values + 1];
    memcpy(memory + 1, values, sizeof values); /* unaligned */
    tg__weight weight =
        tg__weight_in_memory("w", memory + 1, TG__F64, 1, (int64_t[]){COUNT(values)});
    for (size_t i = 0; i < COUNT(values); i++) {
        float wide;
        tg__bf16 narrow;
        tg__weight_read(&weight, &wide, TG__F32, i, 1, &c);
        tg__weight_read(&weight, &narrow, TG__BF16, i, 1, &c);
        assert_true(wide == (float)values[i]);
        assert_int_equal(narrow, tg__to_bf16((float)values[i]));
    }
}

static void test_parts(void **state)
{
    (void)state;
    float *values = exact_values(6L * N, 1, 2);
    tg__weight whole = tg__weight_in_memory("w", values, TG__F32, 2, (int64_t[]){6 * OUT, IN});
    for (int part = 0; part < 6; part++) {
        tg__weight weight = whole;
        tg__weight_take_part(&weight, part, 6);
        assert_int_equal(tg__weight_count(&weight), N);
        check_reading(&weight, values + (size_t)part * N);
        for (int later = part + 1; later < 6; later++) {
            tg__weight other = whole;
            tg__weight_take_part(&other, later, 6);
            assert_true(other.identity.at != weight.identity.at);
        }
    }
    tg__weight_take_part(&whole, 1, 5);
    assert_ptr_equal(whole.data, values);
    free(values);
}

/* ------------------------------------------------------------------------------------ patches */

typedef struct sums {
    tg__arena arena;
    float *values; /* of the sum so far */
    void *memory[16];
    int count;
} sums;

/* A weight of random values, kept until the end; *values (may be NULL) as f32. */
static tg__weight random_weight(sums *s, int64_t rows, int64_t row, tg__dtype dtype, float **values)
{
    size_t n = (size_t)(rows * row);
    float *wide = exact_values(n, 0.5F, (unsigned)s->count + 3);
    s->memory[s->count] = stored(wide, n, dtype);
    tg__weight weight =
        tg__weight_in_memory("w", s->memory[s->count++], dtype, 2, (int64_t[]){rows, row});
    if (values)
        *values = wide;
    else
        s->memory[s->count++] = wide;
    return weight;
}

/* A patch of base, added to s->values. */
static tg__patch random_patch(sums *s, int rank, float scale, tg__dtype up, tg__dtype down)
{
    float *a, *b;
    tg__patch patch = {random_weight(s, OUT, rank, up, &a), random_weight(s, rank, IN, down, &b),
                       scale};
    for (int o = 0; o < OUT; o++)
        for (int i = 0; i < IN; i++)
            for (int j = 0; j < rank; j++)
                s->values[o * IN + i] += scale * a[o * rank + j] * b[j * IN + i];
    free(a);
    free(b);
    return patch;
}

static void sums_free(sums *s)
{
    for (int i = 0; i < s->count; i++)
        free(s->memory[i]);
    free(s->values);
    tg__arena_free(&s->arena);
}

static void test_patched(void **state)
{
    (void)state;
    static const tg__dtype dtypes[] = {TG__F32, TG__F16, TG__BF16};
    for (size_t d = 0; d < COUNT(dtypes); d++) {
        sums s = {0};
        tg__error error = {0};
        tg__weight base = random_weight(&s, OUT, IN, dtypes[d], &s.values);
        tg__patch patches[] = {random_patch(&s, 3, 0.5F, TG__F32, TG__F32),
                               random_patch(&s, RANK, -0.25F, TG__F16, TG__BF16),
                               random_patch(&s, 1, 2, TG__F32, TG__F16)};
        tg__weight once = tg__weight_patched(&s.arena, &base, patches, 3, &error);
        check_reading(&once, s.values);
        assert_string_equal(once.name, base.name);
        /* one on the other is the same, by name too */
        tg__weight first = tg__weight_patched(&s.arena, &base, patches, 1, &error);
        tg__weight twice = tg__weight_patched(&s.arena, &first, patches + 1, 2, &error);
        check_reading(&twice, s.values);
        assert_memory_equal(&twice.identity, &once.identity, sizeof once.identity);
        assert_false(tg__failed(&error));
        sums_free(&s);
    }
}

static void test_no_patch(void **state)
{
    (void)state;
    sums s = {0};
    tg__error error = {0};
    tg__weight base = random_weight(&s, OUT, IN, TG__F32, &s.values);
    tg__weight weight = tg__weight_patched(&s.arena, &base, NULL, 0, &error);
    assert_memory_equal(&weight.identity, &base.identity, sizeof base.identity);
    check_reading(&weight, s.values);
    sums_free(&s);
}

/* A convolution's patch: down reads the input with the kernel, up is 1x1. */
static void test_convolution_shapes(void **state)
{
    (void)state;
    enum { O = 4, I = 5, K = 3, R = 2 };
    static const int64_t conv[] = {O, I, K, K}, up[] = {O, R, 1, 1}, down[] = {R, I, K, K};
    static const float zeros[O * I * K * K], ones[R * I * K * K] = {[I * K * K] = 8};
    static const float ups[O * R] = {[3] = 1};
    tg__arena arena = {0};
    tg__error error = {0};
    tg__weight base = tg__weight_in_memory("conv", zeros, TG__F32, 4, conv);
    tg__patch patch = {tg__weight_in_memory("up", ups, TG__F32, 4, up),
                       tg__weight_in_memory("down", ones, TG__F32, 4, down), 0.5F};
    tg__weight weight = tg__weight_patched(&arena, &base, &patch, 1, &error);
    tg__conversions c = conversions(TG_CPU_AUTO);
    float values[O * I * K * K];
    assert_false(tg__failed(&error));
    tg__weight_read(&weight, values, TG__F32, 0, COUNT(values), &c);
    for (size_t i = 0; i < COUNT(values); i++)
        assert_true(values[i] == (i == I * K * K ? 4 : 0));
    tg__arena_free(&arena);
}

static void check_refused(const tg__weight *base, tg__weight up, tg__weight down, tg_status status,
                          const char *message)
{
    tg__arena arena = {0};
    tg__error error = {0};
    tg__patch patch = {up, down, 1};
    assert_null(tg__weight_patched(&arena, base, &patch, 1, &error).data);
    assert_int_equal(error.status, status);
    assert_string_equal(error.message, message);
    tg__arena_free(&arena);
}

static void test_refused(void **state)
{
    (void)state;
    static const float data[1];
    tg__weight base = tg__weight_in_memory("w", data, TG__F32, 4, (int64_t[]){8, 4, 3, 3});
    tg__weight vector = tg__weight_in_memory("v\n", data, TG__F32, 1, (int64_t[]){8});
    tg__weight up = tg__weight_in_memory("up", data, TG__F32, 2, (int64_t[]){8, 2});
    tg__weight down = tg__weight_in_memory("down", data, TG__F32, 2, (int64_t[]){2, 36});
    tg__weight strange = up;
    strange.dtype = TG__OTHER;
    strange.dtype_name = "I64";
    check_refused(&base, down, down, TG_ERROR_FORMAT,
                  "memory: down is [2,36], expected [8,2] for w, which is [8,4,3,3]");
    check_refused(&base, up, up, TG_ERROR_FORMAT,
                  "memory: up is [8,2], expected [8,36] for w, which is [8,4,3,3]");
    check_refused(&base, vector, down, TG_ERROR_FORMAT,
                  "memory: v? is [8], expected two dimensions or more");
    check_refused(&vector, up, down, TG_ERROR_FORMAT,
                  "memory: v? is [8], expected two dimensions or more");
    check_refused(&base, strange, down, TG_ERROR_UNSUPPORTED,
                  "memory: up is I64, expected F64, F32, F16, BF16 or plain F8");
}

/* ---------------------------------------------------------------------------------- identities */

static bool same(tg__identity a, tg__identity b) { return a.source == b.source && a.at == b.at; }

/* Of all that differ in base, patches, their order or scales, no two are the same. */
static void test_identities(void **state)
{
    (void)state;
    enum { WAYS = 10 };
    static const float data[64];
    static const int64_t square[] = {8, 8};
    tg__arena arena = {0};
    tg__error error = {0};
    tg__weight w[5], made[WAYS];
    for (int i = 0; i < 5; i++)
        w[i] = tg__weight_in_memory("w", data, TG__F32, 2, square);
    const tg__patch a = {w[1], w[2], 1}, b = {w[3], w[4], 1}, half = {w[1], w[2], 0.5F},
                    turned = {w[2], w[1], 1};
    const struct {
        const tg__weight *base;
        tg__patch patches[2];
        int count;
    } ways[WAYS] = {{&w[0], {a}, 1},    {&w[0], {b}, 1},      {&w[0], {a, b}, 2},
                    {&w[0], {b, a}, 2}, {&w[0], {half}, 1},   {&w[0], {a, a}, 2},
                    {&w[1], {a}, 1},    {&w[0], {turned}, 1}, {&w[0], {half, b}, 2},
                    {&w[0], {a}, 0}};
    for (int i = 0; i < WAYS; i++) {
        made[i] = tg__weight_patched(&arena, ways[i].base, ways[i].patches, ways[i].count, &error);
        tg__weight again =
            tg__weight_patched(&arena, ways[i].base, ways[i].patches, ways[i].count, &error);
        assert_true(same(made[i].identity, again.identity));
        for (int j = 0; j < i; j++)
            assert_false(same(made[i].identity, made[j].identity));
        for (int j = 1; j < 5; j++)
            assert_false(same(made[i].identity, w[j].identity));
    }
    assert_false(tg__failed(&error));
    tg__arena_free(&arena);
}

/* A file that is closed and opened again may lie where it did; its tensors are others. */
static void test_file_again(void **state)
{
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],"
                                 "\"data_offsets\":[0,1]}}";
    enum { LENGTH = sizeof header - 1 };
    char text[8 + LENGTH + 1] = {LENGTH};
    scratch *s = *state;
    tg__error error = {0};
    tg__identity before = {0};
    memcpy(text + 8, header, LENGTH);
    scratch_write(s, "x.safetensors", text, sizeof text);
    for (int i = 0; i < 4; i++) {
        uint64_t offset;
        tg__safetensors *file = tg__safetensors_open(s->path, &error);
        assert_non_null(file);
        tg__identity now = tg__safetensors_find(file, "a")->identity;
        assert_false(same(now, before));
        assert_true(tg__safetensors_holds(file, now, &offset));
        assert_int_equal(offset, 8 + LENGTH);
        assert_false(tg__safetensors_holds(file, before, &offset));
        tg__safetensors_close(file);
        before = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),     cmocka_unit_test(test_fp8),
        cmocka_unit_test(test_f64),        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_patched),    cmocka_unit_test(test_no_patch),
        cmocka_unit_test(test_refused),    cmocka_unit_test(test_convolution_shapes),
        cmocka_unit_test(test_identities), cmocka_unit_test(test_file_again),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
