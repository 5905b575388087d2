/* SPDX-License-Identifier: MIT */
/* The VAE in tiles against diffusers: tests/golden/tiles (make_tiles.py made them).
 *
 * f32: 1e-3 of values of about 1, as for whole pipelines; the whole picture differs by far more, so
 * that tiles that lie or blend otherwise are found. bf16: 35 dB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "skip.h"
#include "tgate.h"

static const double f32_tolerance = 1e-3, bf16_decibels = 35, whole_differs = 1e-2;

static const char *text_of(json_t *c, const char *key)
{
    return json_string_value(json_object_get(c, key));
}

static tg_array read_array(const char *file)
{
    char path[512];
    tg_error error;
    tg_array array;
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/tiles/%s", file);
    if (tg_npy_read(&array, path, &error) != TG_OK)
        fail_msg("%s", error.message);
    return array;
}

typedef struct difference {
    double worst, decibels;
} difference;

static difference compare(tg_array got, tg_array expected)
{
    assert_int_equal(got.count, expected.count);
    assert_int_equal(got.channels, expected.channels);
    assert_int_equal(got.height, expected.height);
    assert_int_equal(got.width, expected.width);
    size_t n = (size_t)got.count * (size_t)got.channels * (size_t)got.height * (size_t)got.width;
    double worst = 0, squares = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got.data[i] - (double)expected.data[i]);
        worst = !(d <= worst) ? d : worst; /* a NaN stays */
        squares += d * d;
        low = fmin(low, (double)expected.data[i]);
        high = fmax(high, (double)expected.data[i]);
    }
    return (difference){worst, 10 * log10((high - low) * (high - low) / (squares / (double)n))};
}

static difference run_case(json_t *c, tg_dtype dtype, tg_cpu cpu, tg_vae_tiling tiling)
{
    char path[512];
    bool decode = strcmp(text_of(c, "kind"), "decode") == 0;
    tg_array latents = read_array(text_of(c, "latents")),
             picture = read_array(text_of(c, "picture"));
    tg_model_options options;
    tg_session_options so;
    tg_model *model;
    tg_session *session = NULL;
    tg_result *result = NULL;
    tg_model_options_init(&options);
    options.cpu = cpu;
    tg_session_options_init(&so);
    so.dtype = dtype;
    so.threads = 1; /* several tests run at once */
    so.vae_tiling = tiling;
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/models/%s", text_of(c, "model"));
    if (tg_model_open(&model, path, &options) != TG_OK)
        fail_msg("%s", tg_model_message(model));
    /* twice: the second time with what the session has kept */
    for (int i = 0; i < 2; i++) {
        tg_result_free(result);
        if ((!session && tg_session_new(&session, model, &so) != TG_OK) ||
            (decode ? tg_decode(&result, session, &latents, false)
                    : tg_encode(&result, session, &picture, false)) != TG_OK)
            fail_msg("%s: %s", path, tg_session_message(session));
    }
    difference d = decode ? compare(tg_result_pictures(result), picture)
                          : compare(tg_result_latents(result), latents);
    tg_result_free(result);
    tg_session_free(session);
    tg_model_close(model);
    tg_array_free(&latents);
    tg_array_free(&picture);
    return d;
}

static void each_case(void (*check)(json_t *))
{
    json_error_t fault;
    json_t *cases = json_load_file(TG_TEST_DATA "/golden/tiles/cases.json", 0, &fault), *c;
    assert_non_null(cases);
    assert_true(json_array_size(cases) >= 5);
    size_t i;
    json_array_foreach(cases, i, c) check(c);
    json_decref(cases);
}

static void expect_within(json_t *c, difference d)
{
    if (!(d.worst <= f32_tolerance))
        fail_msg("%s %s: off by %g, %.1f dB", text_of(c, "model"), text_of(c, "kind"), d.worst,
                 d.decibels);
}

static void check_f32(json_t *c)
{
    expect_within(c, run_case(c, TG_DTYPE_F32, TG_CPU_AUTO, TG_VAE_TILING_ON));
}

static void check_plain_c(json_t *c)
{
    expect_within(c, run_case(c, TG_DTYPE_F32, TG_CPU_C, TG_VAE_TILING_ON));
}

static void check_bf16(json_t *c)
{
    difference d = run_case(c, TG_DTYPE_BF16, TG_CPU_AUTO, TG_VAE_TILING_ON);
    if (!(d.decibels >= bf16_decibels))
        fail_msg("%s %s: %.1f dB", text_of(c, "model"), text_of(c, "kind"), d.decibels);
}

/* Memory is never short for pictures as small as these. */
static void check_whole(json_t *c)
{
    difference off = run_case(c, TG_DTYPE_F32, TG_CPU_AUTO, TG_VAE_TILING_OFF);
    difference automatic = run_case(c, TG_DTYPE_F32, TG_CPU_AUTO, TG_VAE_TILING_AUTO);
    assert_true(off.worst > whole_differs);
    assert_float_equal(off.worst, automatic.worst, 0);
}

static void f32(void **state)
{
    (void)state;
    each_case(check_f32);
}

static void bf16(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    each_case(check_bf16);
}

static void whole(void **state)
{
    (void)state;
    each_case(check_whole);
}

static void plain_c(void **state)
{
    (void)state;
    each_case(check_plain_c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(f32), cmocka_unit_test(bf16),
                                       cmocka_unit_test(whole), cmocka_unit_test(plain_c)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
