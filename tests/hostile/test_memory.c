/* SPDX-License-Identifier: MIT */
/* Memory: none of ours is taken between the first and the last step, and whichever allocation
 * fails, the call says so and leaves nothing broken behind. The linker's --wrap puts these
 * functions between the library and the C library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "cpu/tasks.h"
#include "skip.h"
#include "tgate.h"
#include "unit/scratch.h"

static long allocations; /* so far */
static long fail_at;     /* the allocation that fails; 0: none */
static bool failed;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);

static bool fails(void)
{
    bool now = ++allocations == fail_at;
    failed = failed || now;
    return now;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}
void *__wrap_realloc(void *old, size_t size) { return fails() ? NULL : __real_realloc(old, size); }
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
    return fails() ? ENOMEM : __real_posix_memalign(memory, alignment, size);
}

typedef struct steps {
    long at_first, at_last;
    int seen;
} steps;

static bool count_steps(void *user, const tg_progress *p)
{
    steps *s = user;
    if (p->latents.data) { /* between two steps */
        s->at_first = p->step == 0 ? allocations : s->at_first;
        s->at_last = allocations;
        s->seen++;
    }
    return true;
}

/* Handles that are NULL for want of memory say so, too. */
static void expect_message(tg_status status, const tg_model *model, const tg_session *session)
{
    const char *of_model = tg_model_message(model);
    const char *message = *of_model ? of_model : tg_session_message(session);
    if (status == TG_ERROR_MEMORY && !strstr(message, "out of memory"))
        fail_msg("allocation %ld: the message is \"%s\"", fail_at, message);
}

static const char *cache_dir; /* of whole_run; NULL: none */

/* From opening to the picture. The first status that is not TG_OK. */
static tg_status whole_run(const char *path, steps *s, tg_dtype dtype)
{
    tg_model *model = NULL;
    tg_session *session = NULL;
    tg_prompt *prompt = NULL;
    tg_result *result = NULL;
    tg_generate_options o;
    tg_session_options so;
    tg_session_options_init(&so);
    so.dtype = dtype;
    so.threads = 1;
    so.cache_dir = cache_dir;
    tg_status status = tg_model_open(&model, path, NULL);
    if (status == TG_OK)
        status = tg_session_new(&session, model, &so);
    if (status == TG_OK)
        status = tg_prompt_encode(&prompt, session, "a red circle", "blue", NULL);
    if (status == TG_OK) {
        tg_generate_options_init(&o, model);
        o.steps = 6;
        o.width = o.height = 64;
        o.gate = (tg_gate){3, 2, 2, 0};
        o.deepcache = (tg_deepcache){2, 1};
        tg_session_set_progress(session, count_steps, s);
        status = tg_generate(&result, session, &prompt, 1, &o);
        assert_true((status == TG_OK) == (result != NULL));
    }
    expect_message(status, model, session);
    tg_result_free(result);
    tg_prompt_free(prompt);
    tg_session_free(session);
    tg_model_close(model);
    return status;
}

/* Latents to pictures and back in tiles, of four sizes each. */
static tg_status tiled_run(const char *path, steps *s, tg_dtype dtype)
{
    enum { SIDE = 11, FACTOR = 8 };
    static const float values[4 * SIDE * SIDE], pixels[3 * SIDE * FACTOR * SIDE * FACTOR];
    const tg_array latents = {1, 4, SIDE, SIDE, values};
    const tg_array picture = {1, 3, SIDE * FACTOR, SIDE * FACTOR, pixels};
    tg_model *model = NULL;
    tg_session *session = NULL;
    tg_result *decoded = NULL, *encoded = NULL;
    tg_session_options so;
    tg_session_options_init(&so);
    so.dtype = dtype;
    so.threads = 1;
    so.vae_tiling = TG_VAE_TILING_ON;
    tg_status status = tg_model_open(&model, path, NULL);
    if (status == TG_OK)
        status = tg_session_new(&session, model, &so);
    s->at_first = allocations;
    if (status == TG_OK)
        status = tg_decode(&decoded, session, &latents, false);
    if (status == TG_OK)
        status = tg_encode(&encoded, session, &picture, false);
    assert_true((status == TG_OK) == (encoded != NULL));
    expect_message(status, model, session);
    tg_result_free(decoded);
    tg_result_free(encoded);
    tg_session_free(session);
    tg_model_close(model);
    return status;
}

#define USUAL TG_TEST_DATA "/golden/models/sd1"
#define XL TG_TEST_DATA "/golden/models/xl1"
#define TOLD TG_TEST_DATA "/golden/models/lcm" /* the guidance; it draws noise at every step */

static void check_loop(const char *path, tg_dtype dtype)
{
    steps s = {0};
    fail_at = 0;
    assert_int_equal(whole_run(path, &s, dtype), TG_OK);
    assert_true(s.seen > 6);
    assert_true(s.at_first > 100);
    assert_int_equal(s.at_last - s.at_first, 0);
}

static void no_allocation_in_the_loop(void **state)
{
    (void)state;
    check_loop(USUAL, TG_DTYPE_F32);
    check_loop(TOLD, TG_DTYPE_F32);
}

static void no_allocation_in_the_int8_loop(void **state)
{
    (void)state;
    tg_skip_without_vnni();
    check_loop(USUAL, TG_DTYPE_INT8);
}

/* Every allocation from the first on, then ever fewer. */
static void fail_each(tg_status (*run)(const char *, steps *, tg_dtype), const char *path,
                      tg_dtype dtype, bool from_work)
{
    steps s = {0};
    allocations = fail_at = 0;
    assert_int_equal(run(path, &s, dtype), TG_OK);
    long all = allocations, tried = 0, first = from_work ? s.at_first + 1 : 1;
    for (long at = first; at <= all; at += 1 + (at - first) / 100) {
        allocations = 0;
        fail_at = at;
        failed = false;
        tg_status status = run(path, &s, dtype);
        fail_at = 0;
        if (!failed || status != TG_ERROR_MEMORY)
            fail_msg("allocation %ld of %ld: failed %d, status %d", at, all, failed, (int)status);
        tried++;
    }
    assert_true(tried > 200);
}

static void each_allocation_fails(void **state)
{
    (void)state;
    fail_each(whole_run, USUAL, TG_DTYPE_F32, false);
    fail_each(whole_run, TOLD, TG_DTYPE_F32, false);
}

/* Two text encoders, and conditions that the request adds. */
static void each_allocation_of_xl_fails(void **state)
{
    (void)state;
    fail_each(whole_run, XL, TG_DTYPE_F32, false);
}

/* A VAE that encodes in an f32 session of its own. */
static void each_allocation_of_encoding_in_f32_fails(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    fail_each(tiled_run, XL, TG_DTYPE_BF16, true);
}

/* A program of one Winograd convolution, for the models here have too small maps for it. */
static tg_status winograd_plan(void)
{
    enum { SIDE = 8, C = 16 };
    static const float weights[9 * C * C], biases[C];
    static const int64_t shape[] = {C, C, 3, 3};
    static tg__kernels kernels;
    tg__error error = {0};
    tg__kernels_init(&kernels, TG_CPU_AUTO);
    tg__context context = {.kernels = &kernels, .winograd_positions = 1};
    tg__layer layer = {.name = "conv",
                       .weight = {tg__weight_in_memory("weight", weights, TG__F32, 4, shape)},
                       .bias = {tg__weight_in_memory("bias", biases, TG__F32, 1, shape)},
                       .parts = 1,
                       .out = C,
                       .in = C,
                       .kernel = 3,
                       .has_bias = true};
    int before = tg__threads_enter(1);
    tg__program *program = tg__program_new(&context, "test", TG__F32, &error);
    if (program) {
        tg__tensor x = tg__program_external(program, 0, TG__F32, 1, SIDE, SIDE, C);
        tg__cpu_conv2d(program, x, &layer, (tg__product_options){0});
        tg__program_finish(program, NULL);
    }
    tg__program_free(program);
    tg__packs_free(&context.packs);
    tg__threads_leave(before);
    return error.status;
}

static void each_allocation_of_winograd_fails(void **state)
{
    (void)state;
    if (tg__cpu_level() < TG_CPU_AVX2)
        tg_skip("this CPU has no AVX2");
    allocations = fail_at = 0;
    assert_int_equal(winograd_plan(), TG_OK);
    long all = allocations;
    assert_true(all > 8);
    for (long at = 1; at <= all; at++) {
        allocations = 0;
        fail_at = at;
        assert_int_equal(winograd_plan(), TG_ERROR_MEMORY);
    }
    fail_at = 0;
}

static void each_allocation_of_int8_fails(void **state)
{
    (void)state;
    tg_skip_without_vnni();
    fail_each(whole_run, USUAL, TG_DTYPE_INT8, false);
}

static void each_allocation_of_tiles_fails(void **state)
{
    (void)state;
    fail_each(tiled_run, USUAL, TG_DTYPE_F32, true);
}

/* With a cache that is not there yet, and with one that is: a failed allocation fails the call, or
 * the cache alone, which then costs nothing but time. */
static void each_allocation_fails_with_a_cache(void **state)
{
    scratch *folder = *state;
    const char *path = USUAL;
    char cache[128];
    snprintf(cache, sizeof cache, "%s/cache", folder->folder);
    cache_dir = cache;
    for (int present = 0; present < 2; present++) {
        steps s = {0};
        fail_at = 0;
        if (present)
            assert_int_equal(whole_run(path, &s, TG_DTYPE_F32), TG_OK);
        allocations = 0;
        assert_int_equal(whole_run(path, &s, TG_DTYPE_F32), TG_OK);
        long all = allocations, survived = 0;
        for (long at = 1; at <= all; at += 1 + at / 100) {
            if (!present)
                nftw(cache, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS);
            allocations = 0;
            fail_at = at;
            failed = false;
            tg_status status = whole_run(path, &s, TG_DTYPE_F32);
            fail_at = 0;
            if (!failed || (status != TG_ERROR_MEMORY && status != TG_OK))
                fail_msg("allocation %ld of %ld: failed %d, status %d", at, all, failed,
                         (int)status);
            survived += status == TG_OK;
        }
        assert_true(survived < 20); /* most are not the cache's */
    }
    cache_dir = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_allocation_in_the_loop),
        cmocka_unit_test(no_allocation_in_the_int8_loop),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(each_allocation_of_int8_fails),
        cmocka_unit_test(each_allocation_of_xl_fails),
        cmocka_unit_test(each_allocation_of_encoding_in_f32_fails),
        cmocka_unit_test(each_allocation_of_winograd_fails),
        cmocka_unit_test(each_allocation_of_tiles_fails),
        cmocka_unit_test_setup_teardown(each_allocation_fails_with_a_cache, scratch_make,
                                        scratch_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
