/* SPDX-License-Identifier: MIT */
/* Batches that mix: pictures with prompts, negatives and seeds of their own come out as each does
 * alone, and a prompt made of embeddings is the one that they came from.
 *
 * In plain C they do to the bit. Elsewhere a batch may go by other kernels than one picture does,
 * so they differ by rounding: latents in f32 by at most 1e-4 of the largest value, and pictures by
 * a few times that, for the decoder amplifies it; bf16 and int8, where the loop amplifies it too,
 * by as much as they may differ from f32 (golden/test_pipelines.c). */
#include <stdio.h>

#include "skip.h"
#include "unit/sessions.h"

#define SMALL TG_TEST_DATA "/golden/models/sd1" /* for plain C */

enum { COUNT = 3, SIDE = 64, STEPS = 8 };

static const double f32_latents = 1e-4, f32_pictures = 3e-4, short_decibels = 35;

static const char *const texts[COUNT] = {"a fox", "two red apples on a blue background",
                                         "a castle"};
static const char *const negatives[COUNT] = {"", "a green background", "blurry"};
static const uint64_t seeds[COUNT] = {7, 1, UINT64_C(1) << 40};

static const tg_gate plain = {0, 1, 1, 0}, v1 = {4, 1, 1, 0}, v2 = {4, 3, 2, 2};

typedef struct setting {
    const char *path, *scheduler;
    tg_cpu cpu;
    tg_dtype dtype;
} setting;

typedef struct fixture {
    tg_model *model;
    tg_session *session;
    tg_prompt *prompts[COUNT];
} fixture;

static fixture begin(setting s)
{
    fixture f = {.model = open_model(s.path, s.scheduler, s.cpu)};
    f.session = open_session(f.model, s.dtype, 1);
    for (int i = 0; i < COUNT; i++)
        f.prompts[i] = encode_prompt(f.session, texts[i], negatives[i]);
    return f;
}

static void end(fixture *f)
{
    for (int i = 0; i < COUNT; i++)
        tg_prompt_free(f->prompts[i]);
    tg_session_free(f->session);
    tg_model_close(f->model);
}

static tg_generate_options options_of(const fixture *f, tg_gate gate, double guidance)
{
    tg_generate_options o = picture_options(f->model, SIDE, STEPS);
    o.gate = gate;
    o.guidance = guidance;
    o.guidance_rescale = 0.3; /* takes each picture's deviation */
    o.count = COUNT;
    o.seeds = seeds;
    return o;
}

/* How far a batch is from its pictures made alone. */
typedef struct distance {
    double latents, pictures, decibels;
} distance;

static void check_one(distance *all, fixture *f, const tg_result *batch, tg_generate_options o,
                      int i)
{
    o.count = 1;
    o.seeds = &seeds[i];
    tg_result *alone = make_pictures(f->session, &f->prompts[i], 1, &o);
    apart z = compare(one_of(tg_result_latents(batch), i), tg_result_latents(alone));
    apart x = compare(tg_result_image(batch, i), tg_result_pictures(alone));
    all->latents = fmax(all->latents, z.worst);
    all->pictures = fmax(all->pictures, x.worst);
    all->decibels = fmin(all->decibels, fmin(z.decibels, x.decibels));
    tg_result_free(alone);
}

static void check_batch(distance *all, fixture *f, tg_gate gate, double guidance)
{
    tg_generate_options o = options_of(f, gate, guidance);
    tg_result *batch = make_pictures(f->session, f->prompts, COUNT, &o);
    for (int i = 0; i < COUNT; i++) {
        check_one(all, f, batch, o, i);
        for (int j = 0; j < i; j++) /* they are different pictures */
            assert_true(compare(tg_result_image(batch, i), tg_result_image(batch, j)).decibels <
                        25);
    }
    tg_result_free(batch);
}

static void check_setting(setting s)
{
    fixture f = begin(s);
    distance all = {0, 0, INFINITY};
    check_batch(&all, &f, plain, 5);
    check_batch(&all, &f, v1, 5);
    check_batch(&all, &f, v2, 5);
    check_batch(&all, &f, v2, 1);
    print_message("%s, %s, cpu %s: latents apart by %.2g of the largest value, pictures by %.2g; "
                  "%.1f dB\n",
                  tg_dtype_name(s.dtype), tg_model_describe(f.model)->scheduler, tg_cpu_name(s.cpu),
                  all.latents, all.pictures, all.decibels);
    if (s.cpu == TG_CPU_C)
        assert_true(all.latents == 0 && all.pictures == 0);
    else if (s.dtype == TG_DTYPE_F32)
        assert_true(all.latents < f32_latents && all.pictures < f32_pictures);
    else
        assert_true(all.decibels > short_decibels);
    end(&f);
}

static void in_f32(void **state)
{
    static const char *const schedulers[] = {NULL, "euler-a", "dpmpp-2m-sde", "pndm"};
    (void)state;
    for (size_t i = 0; i < sizeof schedulers / sizeof *schedulers; i++)
        check_setting((setting){TG_DEMO, schedulers[i], TG_CPU_AUTO, TG_DTYPE_F32});
}

static void in_bf16(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    check_setting((setting){TG_DEMO, NULL, TG_CPU_AUTO, TG_DTYPE_BF16});
    check_setting((setting){TG_DEMO, "euler-a", TG_CPU_AUTO, TG_DTYPE_BF16});
}

static void in_int8(void **state)
{
    (void)state;
    tg_skip_without_vnni();
    check_setting((setting){TG_DEMO, NULL, TG_CPU_AUTO, TG_DTYPE_INT8});
    check_setting((setting){TG_DEMO, "euler-a", TG_CPU_AUTO, TG_DTYPE_INT8});
}

static void in_plain_c(void **state)
{
    (void)state;
    check_setting((setting){SMALL, "dpmpp-2m-sde", TG_CPU_C, TG_DTYPE_F32});
    check_setting((setting){SMALL, "euler-a", TG_CPU_C, TG_DTYPE_INT8});
}

/* ---------------------------------------------------------------------------------- embeddings */

static void from_embeddings(void **state)
{
    (void)state;
    fixture f = begin((setting){TG_DEMO, "euler-a", TG_CPU_AUTO, TG_DTYPE_F32});
    tg_prompt *copies[COUNT];
    for (int i = 0; i < COUNT; i++) {
        tg_embedding embedding;
        tg_error error;
        assert_true(tg_prompt_embedding(f.prompts[i], 0, &embedding));
        assert_false(tg_prompt_embedding(f.prompts[i], 1, &(tg_embedding){0}));
        if (tg_prompt_from_embeddings(&copies[i], f.model, &embedding, 1, &error) != TG_OK)
            fail_msg("%s", error.message);
    }
    tg_generate_options o = options_of(&f, v2, 5);
    tg_result *texts_made = make_pictures(f.session, f.prompts, COUNT, &o);
    tg_result *copies_made = make_pictures(f.session, copies, COUNT, &o);
    assert_same_results(texts_made, copies_made);
    tg_result_free(texts_made);
    tg_result_free(copies_made);
    for (int i = 0; i < COUNT; i++)
        tg_prompt_free(copies[i]);
    end(&f);
}

/* ----------------------------------------------------------------------- the same prompt again */

typedef struct wish {
    int prompt;
    double guidance;
} wish;

static tg_result *draw(fixture *f, wish w)
{
    tg_generate_options o = options_of(f, v1, w.guidance);
    o.count = 1;
    o.seeds = NULL;
    return make_pictures(f->session, &f->prompts[w.prompt], 1, &o);
}

/* A session keeps what follows from a text for the next request of the same prompt, and for no
 * other. */
static void texts_stay(void **state)
{
    (void)state;
    static const wish wishes[] = {{0, 5}, {0, 5}, {1, 5}, {0, 5}, {0, 1}, {0, 5}};
    enum { WISHES = sizeof wishes / sizeof *wishes };
    setting s = {SMALL, NULL, TG_CPU_C, TG_DTYPE_F32};
    fixture f = begin(s);
    double gmac[WISHES];
    for (int i = 0; i < WISHES; i++) {
        fixture fresh = begin(s);
        tg_result *got = draw(&f, wishes[i]), *expected = draw(&fresh, wishes[i]);
        assert_int_equal(compare(tg_result_latents(got), tg_result_latents(expected)).worst, 0);
        gmac[i] = tg_result_gmac(got);
        tg_result_free(got);
        tg_result_free(expected);
        end(&fresh);
    }
    assert_true(gmac[1] < gmac[0] && gmac[2] == gmac[0] && gmac[3] == gmac[0]);
    assert_true(gmac[4] < gmac[0] && gmac[5] == gmac[0]);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_f32),          cmocka_unit_test(in_bf16),
        cmocka_unit_test(in_int8),         cmocka_unit_test(in_plain_c),
        cmocka_unit_test(from_embeddings), cmocka_unit_test(texts_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
