/* SPDX-License-Identifier: MIT */
/* What went wrong, in a sentence, and what it is about: exactly, for the failures that a program is
 * likely to meet, and for NULL wherever an address is expected. */
#include "core/error.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "scratch.h"

#define DEMO TG_PROJECT "/models/demo"

static void check(const tg_error *error, tg_status status, const char *subject, const char *message)
{
    assert_string_equal(error->message, message);
    assert_string_equal(error->subject, subject);
    assert_int_equal(error->status, status);
}

/* Whether all of it is zero. */
static void check_none(const tg_error *error)
{
    static const tg_error none;
    assert_memory_equal(error, &none, sizeof none);
}

/* -------------------------------------------------------------------------------- inside */

static void test_subject(void **state)
{
    tg__error error = {0};
    (void)state;
    tg__fail(&error, TG_ERROR_FORMAT, "%s: %d bytes", "unet/config.json", 3);
    check(&error, TG_ERROR_FORMAT, "unet/config.json", "unet/config.json: 3 bytes");
    tg__fail(&error, TG_ERROR_IO, "%s", "later");
    tg__fail_about(&error, TG_ERROR_IO, "later", "later");
    check(&error, TG_ERROR_FORMAT, "unet/config.json", "unet/config.json: 3 bytes");
    error = (tg__error){0};
    tg__fail(&error, TG_ERROR_FORMAT, "%s/config.json: %d bytes", "vae", 3);
    check(&error, TG_ERROR_FORMAT, "vae/config.json", "vae/config.json: 3 bytes");
    error = (tg__error){0};
    tg__fail(&error, TG_ERROR_FORMAT, "%s%s is missing", "vae", ".bias");
    check(&error, TG_ERROR_FORMAT, "vae", "vae.bias is missing");
    error = (tg__error){0};
    tg__fail(&error, TG_ERROR_FORMAT, "its %s is %d", "size", 3);
    check(&error, TG_ERROR_FORMAT, "", "its size is 3");
    tg__error_in(&error, "a.png");
    check(&error, TG_ERROR_FORMAT, "a.png", "a.png: its size is 3");
    error = (tg__error){0};
    tg__error_in(&error, "a.png");
    check_none(&error);
    tg__fail_memory(&error);
    tg__error_in(&error, "a.png");
    check(&error, TG_ERROR_MEMORY, "", "out of memory");
    error = (tg__error){0};
    tg__fail_about(&error, TG_ERROR_ARGUMENT, "rng", "rng is %d", 9);
    check(&error, TG_ERROR_ARGUMENT, "rng", "rng is 9");
}

/* What is too long is cut where a character ends. */
static void test_long(void **state)
{
    tg__error error = {0};
    char name[600] = "";
    (void)state;
    for (int i = 0; i < 200; i++)
        strcat(name, "\xc3\xa4");
    tg__fail(&error, TG_ERROR_IO, "%s: cannot be read", name);
    assert_int_equal(strlen(error.subject), 255);
    assert_string_equal(error.subject + 250, "\xc3\xa4...");
    assert_memory_equal(error.subject, name, 250);
    assert_string_equal(error.message + 400, ": cannot be read");
    error = (tg__error){0};
    tg__fail(&error, TG_ERROR_IO, "%s: x", "a\x1b[1m\xff");
    assert_string_equal(error.subject, "a?[1m?");
}

/* ---------------------------------------------------------------------------------- calls */

static void test_files(void **state)
{
    scratch *s = *state;
    tg_array array;
    tg_error error = {.status = TG_ERROR_IO, .subject = "x", .message = "y"};
    char subject[128], message[256];
    assert_int_equal(tg_file_write(scratch_path(s, "f.png"), "x", 1, false, &error), TG_OK);
    check_none(&error);
    snprintf(subject, sizeof subject, "%s/f.png", s->folder + strlen("/tmp/"));
    tg_image_read(&array, s->path, &error);
    snprintf(message, sizeof message, "%s: is no picture, expected PNG, JPEG, WebP or .npy",
             subject);
    check(&error, TG_ERROR_FORMAT, subject, message);
    tg_npy_read(&array, s->path, &error);
    snprintf(message, sizeof message,
             "%s: is no .npy file, expected one that begins with \\x93NUMPY", subject);
    check(&error, TG_ERROR_FORMAT, subject, message);
    tg_file_write(s->path, "x", 1, false, &error);
    snprintf(message, sizeof message,
             "%s: exists already, expected a name that is free (or overwriting allowed)", subject);
    check(&error, TG_ERROR_IO, subject, message);
    tg_npy_read(&array, "/nowhere/x.npy", &error);
    check(&error, TG_ERROR_NOT_FOUND, "nowhere/x.npy", "nowhere/x.npy: there is no such file");
    tg_file_write("", NULL, 0, true, &error);
    check(&error, TG_ERROR_ARGUMENT, "path", "an empty name, expected that of a file");
}

static void test_pictures(void **state)
{
    (void)state;
    float values[12] = {0};
    tg_array picture = {1, 3, 2, 2, values}, latents = {2, 1, 3, 2, values};
    void *data = values;
    size_t bytes = 1;
    tg_error error;
    assert_int_equal(tg_image_encode(&data, &bytes, latents, TG_IMAGE_PNG, NULL, &error),
                     TG_ERROR_ARGUMENT);
    assert_true(!data && bytes == 0);
    check(&error, TG_ERROR_ARGUMENT, "picture",
          "picture: its shape is (2, 1, 3, 2), expected one picture, (1, 3, height, width)");
    tg_image_encode(&data, &bytes, picture, (tg_image_format)9, NULL, &error);
    check(&error, TG_ERROR_ARGUMENT, "format",
          "format is 9, expected TG_IMAGE_PNG, _JPEG, _WEBP or _NPY");
    tg_image_encode(&data, &bytes, picture, TG_IMAGE_JPEG, "a\xc3(", &error);
    check(&error, TG_ERROR_ARGUMENT, "text", "the text's byte 1 is 0xc3, expected UTF-8");
    values[7] = NAN;
    tg_image_encode(&data, &bytes, picture, TG_IMAGE_WEBP, NULL, &error);
    check(&error, TG_ERROR_NUMERIC, "picture",
          "picture: value [0, 1, 1, 1] is nan, expected a finite number");
    assert_true(!data && bytes == 0);
    tg_npy_encode(&data, &bytes, latents, &error);
    check(&error, TG_ERROR_NUMERIC, "array",
          "array: value [1, 0, 0, 1] is nan, expected a finite number");
    tg_image_decode(&picture, "x", 0, &error);
    check(&error, TG_ERROR_FORMAT, "data", "data: is no picture, expected PNG, JPEG, WebP or .npy");
    assert_null(picture.data);
}

static void test_text(void **state)
{
    tg_error error;
    (void)state;
    assert_int_equal(tg_text_check("", &error), TG_OK);
    assert_int_equal(tg_text_check("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xb1", &error), TG_OK);
    check_none(&error);
    assert_int_equal(tg_text_check("a\xed\xa0\x80", &error), TG_ERROR_ARGUMENT);
    check(&error, TG_ERROR_ARGUMENT, "text", "the text's byte 1 is 0xed, expected UTF-8");
    assert_int_equal(tg_text_check("\xc0\x80", NULL), TG_ERROR_ARGUMENT);
}

/* The options' fields, and the handles' errors. */
static void test_model(void **state)
{
    tg_model *model = NULL;
    tg_session *session = NULL;
    tg_prompt *prompt = NULL;
    tg_generate_options o;
    tg_session_options so;
    tg_prompt_options po;
    tg_error error;
    (void)state;
    assert_int_equal(tg_model_open(&model, DEMO, NULL), TG_OK);
    check_none(tg_model_error(model));
    tg_generate_options_init(&o, model);
    assert_int_equal(tg_generate_check(model, &o, NULL, &error), TG_OK);
    check_none(&error);
    o.steps = 1001;
    tg_generate_check(model, &o, NULL, &error);
    check(&error, TG_ERROR_ARGUMENT, "steps", "steps is 1001, expected 1 to 1000");
    o.steps = 25;
    o.rng = (tg_rng)7;
    tg_generate_check(model, &o, NULL, &error);
    check(&error, TG_ERROR_ARGUMENT, "rng", "rng is 7, expected TG_RNG_TORCH_CPU or _CUDA");
    o.rng = TG_RNG_TORCH_CPU;
    tg_prompt_options_init(&po);
    po.clip_skip = -1;
    tg_generate_check(model, &o, &po, &error);
    assert_string_equal(error.subject, "clip_skip");
    tg_session_options_init(&so);
    so.threads = 2000;
    assert_int_equal(tg_session_new(&session, model, &so), TG_ERROR_ARGUMENT);
    check(tg_session_error(session), TG_ERROR_ARGUMENT, "threads",
          "threads is 2000, expected 1 to 1024");
    tg_session_free(session);
    assert_int_equal(tg_session_new(&session, model, NULL), TG_OK);
    assert_int_equal(tg_prompt_encode(&prompt, session, "a\xff", NULL, NULL), TG_ERROR_ARGUMENT);
    check(tg_session_error(session), TG_ERROR_ARGUMENT, "the prompt",
          "the prompt: the text's byte 1 is 0xff, expected UTF-8");
    tg_session_free(session);
    tg_model_close(model);
    assert_int_equal(tg_model_open(&model, "/no/model", NULL), TG_ERROR_NOT_FOUND);
    check(tg_model_error(model), TG_ERROR_NOT_FOUND, "/no/model",
          "/no/model: not found, expected a diffusers folder or a .safetensors file");
    tg_model_close(model);
}

static void test_scheduler_options(void **state)
{
    static const struct {
        const char *scheduler, *prediction_type;
        int karras;
        const char *subject;
    } cases[] = {
        {"frobnicate", NULL, -1, "scheduler"},
        {NULL, "frobnicate", -1, "prediction_type"},
        {"ddim", NULL, 1, "karras"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tg_model_options o;
        tg_model *model;
        tg_model_options_init(&o);
        o.scheduler = cases[i].scheduler;
        o.prediction_type = cases[i].prediction_type;
        o.karras = cases[i].karras;
        assert_int_equal(tg_model_open(&model, DEMO, &o), TG_ERROR_ARGUMENT);
        assert_string_equal(tg_model_error(model)->subject, cases[i].subject);
        tg_model_close(model);
    }
}

static void test_tokenizer(void **state)
{
    tg_tokenizer *tokenizer;
    const tg_tokens *tokens;
    (void)state;
    assert_int_equal(tg_tokenizer_open(&tokenizer, DEMO, NULL), TG_OK);
    assert_int_equal(tg_tokenize(tokenizer, "\x80", &tokens), TG_ERROR_ARGUMENT);
    check(tg_tokenizer_error(tokenizer), TG_ERROR_ARGUMENT, "text",
          "the text's byte 0 is 0x80, expected UTF-8");
    assert_int_equal(tg_tokenize(tokenizer, "a", &tokens), TG_OK);
    check_none(tg_tokenizer_error(tokenizer));
    tg_tokenizer_close(tokenizer);
}

/* ----------------------------------------------------------------------------------- NULL */

static void test_null(void **state)
{
    (void)state;
    float values[3] = {0};
    tg_array array = {1, 3, 1, 1, values};
    tg_error error;
    void *data;
    size_t bytes;
#define NULL_IS(name, call)                    \
    assert_int_equal(call, TG_ERROR_ARGUMENT); \
    check(&error, TG_ERROR_ARGUMENT, name, name " is NULL, expected an address")
    NULL_IS("path", tg_image_write(array, NULL, NULL, true, &error));
    NULL_IS("path", tg_npy_write(array, NULL, true, &error));
    NULL_IS("path", tg_file_write(NULL, "", 0, true, &error));
    NULL_IS("data", tg_file_write("/nowhere/x", NULL, 1, true, &error));
    NULL_IS("data", tg_image_encode(NULL, &bytes, array, TG_IMAGE_PNG, NULL, &error));
    NULL_IS("bytes", tg_image_encode(&data, NULL, array, TG_IMAGE_PNG, NULL, &error));
    NULL_IS("data", tg_npy_encode(NULL, &bytes, array, &error));
    NULL_IS("bytes", tg_npy_encode(&data, NULL, array, &error));
    NULL_IS("picture", tg_image_decode(NULL, "", 0, &error));
    NULL_IS("data", tg_image_decode(&array, NULL, 0, &error));
    NULL_IS("array", tg_npy_decode(NULL, "", 0, &error));
    NULL_IS("data", tg_npy_decode(&array, NULL, 9, &error));
    NULL_IS("picture", tg_image_read(NULL, "x", &error));
    NULL_IS("path", tg_image_read(&array, NULL, &error));
    NULL_IS("array", tg_npy_read(NULL, "x", &error));
    NULL_IS("path", tg_npy_read(&array, NULL, &error));
    NULL_IS("text", tg_text_check(NULL, &error));
    NULL_IS("model", tg_generate_check(NULL, NULL, 0, &error));
    assert_int_equal(tg_image_encode(NULL, NULL, array, TG_IMAGE_PNG, NULL, NULL),
                     TG_ERROR_ARGUMENT);
    check(tg_model_error(NULL), TG_ERROR_MEMORY, "", "out of memory");
    check(tg_session_error(NULL), TG_ERROR_MEMORY, "", "out of memory");
    check(tg_tokenizer_error(NULL), TG_ERROR_MEMORY, "", "out of memory");
    assert_string_equal(tg_model_message(NULL), "out of memory");
    tg_array_free(NULL);
    tg_free(NULL);
}

/* ---------------------------------------------------------------------------------- names */

static void test_names(void **state)
{
    (void)state;
    for (int i = TG_DTYPE_AUTO; i <= TG_DTYPE_INT8; i++) {
        tg_dtype dtype = (tg_dtype)9;
        assert_true(tg_dtype_from_name(tg_dtype_name((tg_dtype)i), &dtype));
        assert_int_equal(dtype, i);
    }
    for (int i = TG_CPU_AUTO; i <= TG_CPU_AMX; i++) {
        tg_cpu cpu = (tg_cpu)9;
        assert_true(tg_cpu_from_name(tg_cpu_name((tg_cpu)i), &cpu));
        assert_int_equal(cpu, i);
    }
    tg_cpu cpu = TG_CPU_AVX2;
    assert_false(tg_cpu_from_name("AVX512", &cpu));
    assert_false(tg_cpu_from_name("", &cpu));
    assert_false(tg_cpu_from_name(NULL, &cpu));
    assert_int_equal(cpu, TG_CPU_AVX2);
    assert_true(tg_cpu_from_name("amx", NULL));
    assert_false(tg_dtype_from_name("f16", NULL));
    assert_string_equal(tg_dtype_name(TG_DTYPE_BF16), "bf16");
    assert_string_equal(tg_cpu_name(TG_CPU_AVX512_BF16), "avx512_bf16");
    assert_string_equal(tg_dtype_name((tg_dtype)-1), "unknown");
    assert_string_equal(tg_cpu_name((tg_cpu)INT_MAX), "unknown");
}

static void test_version(void **state)
{
    char text[32];
    (void)state;
    int number = tg_version_number();
    assert_int_equal(number, TG_VERSION_NUMBER);
    snprintf(text, sizeof text, "%d.%d.%d", number / 10000, number / 100 % 100, number % 100);
    assert_string_equal(tg_version(), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subject),   cmocka_unit_test(test_long),
        cmocka_unit_test(test_files),     cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_text),      cmocka_unit_test(test_model),
        cmocka_unit_test(test_tokenizer), cmocka_unit_test(test_scheduler_options),
        cmocka_unit_test(test_null),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_version),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
