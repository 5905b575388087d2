/* SPDX-License-Identifier: MIT */
/* A picture that 16 bits cannot hold: the VAE's decoder runs again in f32, which a warning says.
 * The CPU's backend stands in for such a VAE: in bf16 it hands out pictures that are not finite.
 * And a VAE with force_upcast encodes in f32. */
#include <stdlib.h>

#include "pipeline/session.h"
#include "skip.h"
#include "unit/sessions.h"

enum { SIDE = 8, FACTOR = 8, COUNT = 2, PICTURE = 3 * SIDE * FACTOR * SIDE * FACTOR };

static const tg__backend_class *usual_class;
static tg__backend_class spoiled_class;
static int spoiled; /* the downloads that are; from the last one on */
static char warning[256];

/* The second picture alone, which is the second download of a picture's size. */
static void download(tg__backend *backend, void *dst, tg__memory src, size_t bytes)
{
    usual_class->download(backend, dst, src, bytes);
    if (bytes == PICTURE * sizeof(float) && ++spoiled == 2)
        ((float *)dst)[PICTURE / 2] = NAN;
}

static tg__backend *open_spoiled(tg_cpu cap, tg_dtype dtype, tg__error *error)
{
    tg__backend *backend = tg__usual_backend->open(cap, dtype, error);
    if (!backend || dtype == TG_DTYPE_F32)
        return backend;
    usual_class = backend->class;
    spoiled_class = *usual_class;
    spoiled_class.download = download;
    backend->class = &spoiled_class;
    return backend;
}

static void keep_warning(void *user, tg_log_level level, const char *message)
{
    (void)user;
    if (level == TG_LOG_WARNING)
        snprintf(warning, sizeof warning, "%s", message);
}

static tg_model *open_logging(const char *path)
{
    tg_model *model;
    tg_model_options options;
    tg_model_options_init(&options);
    options.log = keep_warning;
    if (tg_model_open(&model, path, &options) != TG_OK)
        fail_msg("%s", tg_model_message(model));
    return model;
}

static tg_result *decode(tg_session *session, tg_array latents)
{
    tg_result *result;
    if (tg_decode(&result, session, &latents, false) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    return result;
}

static bool count_pictures(void *user, const tg_progress *progress)
{
    int *last = user;
    if (progress->phase == TG_PHASE_DECODE)
        *last = progress->step;
    return true;
}

static void decodes_again(void **state)
{
    float values[COUNT * 4 * SIDE * SIDE];
    tg_array latents = {COUNT, 4, SIDE, SIDE, values};
    int last = -1;
    (void)state;
    tg_skip_without_avx512();
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        values[i] = (float)(i % 17) * 0.1f - 0.8f;
    tg__backend_opener opener = *tg__usual_backend;
    opener.open = open_spoiled;
    tg_model *model = open_logging(TG_DEMO);
    tg_session *session = NULL;
    tg_session_options options;
    tg_session_options_init(&options);
    options.dtype = TG_DTYPE_BF16;
    options.threads = 1;
    options.progress = count_pictures;
    options.progress_user = &last;
    assert_int_equal(tg__session_new_on(&session, model, &options, &opener), TG_OK);
    tg_result *again = decode(session, latents);
    assert_string_equal(warning, "vae: picture 2 is not finite in bf16: decoded again in f32");
    assert_int_equal(last, 1);
    tg_session *f32 = open_session(model, TG_DTYPE_F32, 1);
    tg_session *bf16 = open_session(model, TG_DTYPE_BF16, 1);
    tg_result *exact = decode(f32, latents), *rough = decode(bf16, latents);
    const float *got = tg_result_pictures(again).data;
    assert_memory_equal(got, tg_result_pictures(rough).data, PICTURE * sizeof *got);
    assert_memory_equal(got + PICTURE, tg_result_pictures(exact).data + PICTURE,
                        PICTURE * sizeof *got);
    tg_result_free(again);
    tg_result_free(exact);
    tg_result_free(rough);
    tg_session_free(session);
    tg_session_free(f32);
    tg_session_free(bf16);
    tg_model_close(model);
}

/* xl1's VAE has force_upcast, xl2's has not. */
static void encodes_in_f32(void **state)
{
    static const char *const models[] = {TG_TEST_DATA "/golden/models/xl1",
                                         TG_TEST_DATA "/golden/models/xl2"};
    float *values = malloc(PICTURE * sizeof *values);
    (void)state;
    tg_skip_without_avx512();
    for (size_t i = 0; i < PICTURE; i++)
        values[i] = (float)(i % 23) * 0.08f - 0.9f;
    tg_array picture = {1, 3, SIDE * FACTOR, SIDE * FACTOR, values};
    for (int i = 0; i < 2; i++) {
        tg_model *model = open_logging(models[i]);
        tg_session *f32 = open_session(model, TG_DTYPE_F32, 1);
        tg_session *bf16 = open_session(model, TG_DTYPE_BF16, 1);
        tg_result *exact, *other;
        assert_int_equal(tg_encode(&exact, f32, &picture, false), TG_OK);
        assert_int_equal(tg_encode(&other, bf16, &picture, false), TG_OK);
        int differs = memcmp(tg_result_latents(exact).data, tg_result_latents(other).data,
                             4 * SIDE * SIDE * sizeof(float));
        assert_int_equal(differs != 0, i);
        tg_result_free(exact);
        tg_result_free(other);
        tg_session_free(f32);
        tg_session_free(bf16);
        tg_model_close(model);
    }
    free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decodes_again),
                                       cmocka_unit_test(encodes_in_f32)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
