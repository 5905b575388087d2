/* SPDX-License-Identifier: MIT */
/* Programs that were compiled against another header: an older one, whose structs of options end
 * earlier, and a newer one, whose structs have fields that this library does not know. Each struct
 * is in memory of exactly its size, so that a sanitizer sees whoever reads on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tgate.h"

#define GOLDEN TG_TEST_DATA "/golden/models/sd1"

enum { SIDE = 64, VALUES = 3 * SIDE * SIDE, MORE = 24 };

/* ------------------------------------------------------------------------- an older header's */

typedef struct old_model_options {
    size_t size;
    const char *variant;
    const char *config_dir;
    const char *tokenizer_dir;
} old_model_options;

/* Its end is padded: the bytes behind profile belong to vae_tiling today. */
typedef struct old_session_options {
    size_t size;
    tg_dtype dtype;
    int threads;
    bool profile;
} old_session_options;

typedef struct old_process_options {
    size_t size;
    int threads;
} old_process_options;

/* Its end is padded, too: today release_denoiser and preview are there. */
typedef struct old_generate_options {
    size_t size;
    int steps;
    double guidance;
    double guidance_rescale;
    int width, height;
    int count;
    uint64_t seed;
    const uint64_t *seeds;
    tg_rng rng;
    const tg_array *latents;
    tg_gate gate;
    bool decode;
} old_generate_options;

/* An even older one. */
typedef struct oldest_generate_options {
    size_t size;
    int steps;
    double guidance;
    double guidance_rescale;
    int width, height;
} oldest_generate_options;

#define SAME(old, new, field) \
    _Static_assert(offsetof(old, field) == offsetof(new, field), #field " has moved")

SAME(old_model_options, tg_model_options, tokenizer_dir);
SAME(old_session_options, tg_session_options, dtype);
SAME(old_session_options, tg_session_options, threads);
SAME(old_session_options, tg_session_options, profile);
SAME(old_process_options, tg_process_options, threads);
SAME(old_generate_options, tg_generate_options, steps);
SAME(old_generate_options, tg_generate_options, seeds);
SAME(old_generate_options, tg_generate_options, gate);
SAME(old_generate_options, tg_generate_options, decode);
SAME(oldest_generate_options, tg_generate_options, height);

/* ----------------------------------------------------------------------------- a newer header's */

#define NEWER(type)                \
    typedef struct new_##type {    \
        type now;                  \
        unsigned char later[MORE]; \
    } new_##type

NEWER(tg_model_options);
NEWER(tg_session_options);
NEWER(tg_prompt_options);
NEWER(tg_generate_options);
NEWER(tg_process_options);

/* Zeros are what a field that the library does not know begins as; the caller then sets it. */
static void set_later(unsigned char *later)
{
    for (int i = 0; i < MORE; i++)
        assert_int_equal(later[i], 0);
    memset(later, 0x5A, MORE);
}

static void *take(size_t bytes)
{
    void *memory = malloc(bytes);
    assert_non_null(memory);
    return memset(memory, 0x5A, bytes);
}

/* --------------------------------------------------------------------------------- a life */

/* How a program makes its options; NULL where it has none. All are given back by free(). */
typedef struct caller {
    tg_model_options *(*model)(void);
    tg_session_options *(*session)(void);
    tg_prompt_options *(*prompt)(void);
    tg_generate_options *(*generate)(const tg_model *);
} caller;

static void draw(const caller *c, float picture[VALUES])
{
    tg_model *model = NULL;
    tg_session *session = NULL;
    tg_prompt *prompt = NULL;
    tg_result *result = NULL;
    tg_model_options *mo = c->model();
    tg_session_options *so = c->session();
    tg_prompt_options *po = c->prompt();
    assert_int_equal(tg_model_open(&model, GOLDEN, mo), TG_OK);
    if (tg_session_new(&session, model, so) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    assert_int_equal(tg_session_dtype(session), TG_DTYPE_F32);
    assert_int_equal(tg_session_threads(session), 1);
    tg_generate_options *o = c->generate(model);
    assert_int_equal(tg_prompt_encode(&prompt, session, "a fox", "", po), TG_OK);
    assert_int_equal(tg_generate_check(model, o, po, NULL), TG_OK);
    if (tg_generate(&result, session, &prompt, 1, o) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    tg_array made = tg_result_image(result, 0);
    assert_int_equal(made.width * made.height * made.channels, VALUES);
    memcpy(picture, made.data, VALUES * sizeof *picture);
    tg_result_free(result);
    tg_prompt_free(prompt);
    tg_session_free(session);
    tg_model_close(model);
    free(mo);
    free(so);
    free(po);
    free(o);
}

/* ----------------------------------------------------------------------------- today's caller */

static tg_model_options *model_now(void)
{
    tg_model_options *o = take(sizeof *o);
    tg_model_options_init(o);
    return o;
}

static tg_session_options *session_now(void)
{
    tg_session_options *o = take(sizeof *o);
    tg_session_options_init(o);
    o->dtype = TG_DTYPE_F32;
    o->threads = 1;
    return o;
}

static tg_prompt_options *prompt_now(void)
{
    tg_prompt_options *o = take(sizeof *o);
    tg_prompt_options_init(o);
    return o;
}

static tg_generate_options *generate_now(const tg_model *model)
{
    tg_generate_options *o = take(sizeof *o);
    tg_generate_options_init(o, model);
    o->steps = 3;
    o->guidance = 5;
    o->width = o->height = SIDE;
    return o;
}

static const caller today = {model_now, session_now, prompt_now, generate_now};

static float expected[VALUES];

static void check(const caller *c)
{
    static float picture[VALUES];
    draw(c, picture);
    assert_memory_equal(picture, expected, sizeof picture);
}

/* ---------------------------------------------------------------------------- older callers */

static tg_model_options *model_then(void)
{
    old_model_options *o = take(sizeof *o);
    tg_model_options_init_sized((tg_model_options *)o, sizeof *o);
    assert_int_equal(o->size, sizeof *o);
    assert_null(o->variant);
    o->tokenizer_dir = GOLDEN "/tokenizer";
    return (tg_model_options *)o;
}

static tg_session_options *session_then(void)
{
    old_session_options *o = take(sizeof *o);
    tg_session_options_init_sized((tg_session_options *)o, sizeof *o);
    o->dtype = TG_DTYPE_F32;
    o->threads = 1;
    o->profile = true;
    return (tg_session_options *)o;
}

static tg_prompt_options *no_prompt_options(void) { return NULL; }

static tg_generate_options *generate_then(const tg_model *model)
{
    old_generate_options *o = take(sizeof *o);
    tg_generate_options_init_sized((tg_generate_options *)o, sizeof *o, model);
    assert_true(o->decode && o->count == 1 && o->gate.gate_step == 10);
    o->steps = 3;
    o->guidance = 5;
    o->width = o->height = SIDE;
    o->decode = true;
    return (tg_generate_options *)o;
}

static tg_generate_options *generate_long_ago(const tg_model *model)
{
    oldest_generate_options *o = take(sizeof *o);
    tg_generate_options_init_sized((tg_generate_options *)o, sizeof *o, model);
    o->steps = 3;
    o->guidance = 5;
    o->width = o->height = SIDE;
    return (tg_generate_options *)o;
}

static void test_older(void **state)
{
    (void)state;
    check(&(caller){model_then, session_then, no_prompt_options, generate_then});
    check(&(caller){model_then, session_then, no_prompt_options, generate_long_ago});
}

static void test_older_process(void **state)
{
    old_process_options *o = take(sizeof *o);
    (void)state;
    tg_process_options_init_sized((tg_process_options *)o, sizeof *o);
    o->threads = 2;
    assert_int_equal(tg_process_configure((tg_process_options *)o, NULL), TG_OK);
    check(&today);
    free(o);
    assert_int_equal(tg_process_configure(NULL, NULL), TG_OK);
}

/* Every length that a struct may ever have had: what it has is taken, the rest are defaults. */
static void test_every_length(void **state)
{
    tg_model *model;
    tg_error error;
    (void)state;
    assert_int_equal(tg_model_open(&model, GOLDEN, NULL), TG_OK);
    for (size_t size = sizeof size; size <= sizeof(tg_generate_options) + MORE; size++) {
        tg_generate_options *o = take(size);
        tg_generate_options_init_sized(o, size, model);
        if (tg_generate_check(model, o, NULL, &error) != TG_OK)
            fail_msg("%zu bytes: %s", size, error.message);
        free(o);
    }
    for (size_t size = 0; size < sizeof size; size++) {
        tg_generate_options *o = take(sizeof size);
        memcpy(o, &size, sizeof size);
        assert_int_equal(tg_generate_check(model, o, NULL, &error), TG_ERROR_ARGUMENT);
        assert_string_equal(error.subject, "tg_generate_options");
        free(o);
    }
    tg_model_close(model);
}

/* ---------------------------------------------------------------------------- a newer caller */

static tg_model_options *model_later(void)
{
    new_tg_model_options *o = take(sizeof *o);
    tg_model_options_init_sized(&o->now, sizeof *o);
    set_later(o->later);
    return &o->now;
}

static tg_session_options *session_later(void)
{
    new_tg_session_options *o = take(sizeof *o);
    tg_session_options_init_sized(&o->now, sizeof *o);
    o->now.dtype = TG_DTYPE_F32;
    o->now.threads = 1;
    set_later(o->later);
    return &o->now;
}

static tg_prompt_options *prompt_later(void)
{
    new_tg_prompt_options *o = take(sizeof *o);
    tg_prompt_options_init_sized(&o->now, sizeof *o);
    set_later(o->later);
    return &o->now;
}

static tg_generate_options *generate_later(const tg_model *model)
{
    new_tg_generate_options *o = take(sizeof *o);
    tg_generate_options_init_sized(&o->now, sizeof *o, model);
    o->now.steps = 3;
    o->now.guidance = 5;
    o->now.width = o->now.height = SIDE;
    set_later(o->later);
    return &o->now;
}

static void test_newer(void **state)
{
    new_tg_process_options *o = take(sizeof *o);
    (void)state;
    tg_process_options_init_sized(&o->now, sizeof *o);
    set_later(o->later);
    assert_int_equal(tg_process_configure(&o->now, NULL), TG_OK);
    free(o);
    check(&(caller){model_later, session_later, prompt_later, generate_later});
}

static int draw_expected(void **state)
{
    (void)state;
    draw(&today, expected);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_older),
        cmocka_unit_test(test_older_process),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_newer),
    };
    return cmocka_run_group_tests(tests, draw_expected, NULL);
}
