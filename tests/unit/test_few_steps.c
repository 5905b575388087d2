/* SPDX-License-Identifier: MIT */
/* Models and schedulers of a few steps: the defaults that follow from model and scheduler, what a
 * denoiser that is told the guidance makes of it, timesteps of the request's own. Values are held
 * against diffusers' in golden/test_pipelines.c. */
#include <stdio.h>

#include "unit/scratch.h"
#include "unit/sessions.h"

#define MODELS TG_TEST_DATA "/golden/models/"
#define LCM MODELS "lcm"

enum { SIDE = 64 };

static void test_defaults(void **state)
{
    static const struct {
        const char *path, *scheduler;
        int steps;
        double guidance;
        tg_gate gate;
        int width;
    } cases[] = {
        {LCM, NULL, 4, 8.5, {1, 1, 1, 0}, 64},
        {LCM, "ddim", 4, 8.5, {1, 1, 1, 0}, 64},
        {MODELS "sd1", NULL, 25, 7.5, {10, 5, 1, 2}, 512},
        {MODELS "sd1", "lcm", 4, 7.5, {1, 1, 1, 0}, 512},
        {MODELS "sd1", "tcd", 25, 7.5, {10, 5, 1, 2}, 512},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tg_model *model = open_model(cases[i].path, cases[i].scheduler, TG_CPU_AUTO);
        tg_generate_options o;
        tg_generate_options_init(&o, model);
        assert_int_equal(o.steps, cases[i].steps);
        assert_true(o.guidance == cases[i].guidance);
        assert_true(tg_model_describe(model)->guidance == cases[i].guidance);
        assert_memory_equal(&o.gate, &cases[i].gate, sizeof o.gate);
        assert_int_equal(o.width, cases[i].width);
        assert_true(o.eta == 0 && o.original_steps == 0 && !o.timesteps);
        tg_model_close(model);
    }
}

/* A small sample_size of an old config is one for StableDiffusionPipeline alone. */
static void test_old_size(void **state)
{
    static const char *const pipelines[] = {"LatentConsistencyModelPipeline",
                                            "StableDiffusionPipeline"};
    static const char *const parts[] = {"unet", "vae", "text_encoder", "tokenizer", "scheduler"};
    static const int widths[] = {64, 512};
    scratch *s = *state;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char target[512];
        snprintf(target, sizeof target, MODELS "sd1/%s", parts[i]);
        assert_int_equal(symlink(target, scratch_path(s, parts[i])), 0);
    }
    for (int i = 0; i < 2; i++) {
        char text[512];
        int n = snprintf(text, sizeof text,
                         "{\"_class_name\": \"%s\", \"scheduler\": [\"diffusers\", "
                         "\"PNDMScheduler\"], \"text_encoder\": [\"transformers\", "
                         "\"CLIPTextModel\"], \"tokenizer\": [\"transformers\", "
                         "\"CLIPTokenizer\"], \"unet\": [\"diffusers\", \"UNet2DConditionModel\"], "
                         "\"vae\": [\"diffusers\", \"AutoencoderKL\"]}",
                         pipelines[i]);
        scratch_write(s, "model_index.json", text, (size_t)n);
        tg_model *model = open_model(s->folder, NULL, TG_CPU_AUTO);
        assert_string_equal(tg_model_describe(model)->pipeline, pipelines[i]);
        assert_int_equal(tg_model_describe(model)->width, widths[i]);
        tg_model_close(model);
    }
}

/* The latents of one request of a model. */
static tg_result *make(tg_session *session, const char *negative, const tg_generate_options *o)
{
    tg_prompt *prompt = encode_prompt(session, "a fox", negative);
    tg_result *result = make_pictures(session, &prompt, 1, o);
    tg_prompt_free(prompt);
    return result;
}

static double difference(const tg_result *a, const tg_result *b)
{
    return compare(tg_result_latents(a), tg_result_latents(b)).worst;
}

/* Guidance is told, at every step and below 1 too, and there is no negative half. */
static void test_told(void **state)
{
    (void)state;
    tg_model *model = open_model(LCM, NULL, TG_CPU_AUTO);
    tg_session *session = open_session(model, TG_DTYPE_F32, 1);
    tg_generate_options o = picture_options(model, SIDE, 2);
    tg_result *usual = make(session, "", &o), *negative = make(session, "a house", &o);
    assert_true(difference(usual, negative) == 0);
    o.guidance = 0.5;
    tg_result *low = make(session, "", &o);
    o.guidance = 0.25;
    tg_result *lower = make(session, "", &o);
    assert_true(difference(usual, low) > 1e-3 && difference(low, lower) > 1e-4);
    tg_result_free(usual);
    tg_result_free(negative);
    tg_result_free(low);
    tg_result_free(lower);
    tg_session_free(session);
    tg_model_close(model);
}

/* A list sets the steps, whatever steps says, and the scheduler's own list is the same request. */
static void test_timesteps(void **state)
{
    static const int own[] = {999, 759, 499, 259};
    (void)state;
    tg_model *model = open_model(LCM, NULL, TG_CPU_AUTO);
    tg_session *session = open_session(model, TG_DTYPE_F32, 1);
    tg_generate_options o = picture_options(model, SIDE, 4);
    tg_result *usual = make(session, "", &o);
    o.steps = -7;
    o.timesteps = own;
    o.timestep_count = 4;
    tg_result *listed = make(session, "", &o);
    assert_true(difference(usual, listed) == 0);
    tg_result_free(usual);
    tg_result_free(listed);
    tg_session_free(session);
    tg_model_close(model);
}

/* Each picture of a batch with a seed of its own draws its own noise at every step, too. */
static void test_batch(void **state)
{
    static const uint64_t seeds[] = {3, 9};
    (void)state;
    tg_model *model = open_model(LCM, NULL, TG_CPU_C);
    tg_session *session = open_session(model, TG_DTYPE_F32, 1);
    tg_generate_options o = picture_options(model, 48, 3);
    o.gate = (tg_gate){1, 1, 1, 0};
    o.count = 2;
    o.seeds = seeds;
    tg_result *both = make(session, "", &o);
    o.count = 1;
    o.seeds = &seeds[1];
    tg_result *second = make(session, "", &o);
    assert_true(compare(one_of(tg_result_latents(both), 1), tg_result_latents(second)).worst == 0);
    tg_result_free(both);
    tg_result_free(second);
    tg_session_free(session);
    tg_model_close(model);
}

static void assert_refused(const tg_model *model, const tg_generate_options *o, const char *subject,
                           const char *message)
{
    tg_error error;
    assert_int_equal(tg_generate_check(model, o, NULL, &error), TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, message);
    assert_string_equal(error.subject, subject);
}

static void test_refused(void **state)
{
    static const int rising[] = {5, 6}, far[] = {1000};
    (void)state;
    tg_model *model = open_model(LCM, NULL, TG_CPU_AUTO);
    tg_generate_options usual, o;
    tg_generate_options_init(&usual, model);
    o = usual;
    o.eta = 0.5;
    assert_refused(model, &o, "eta", "LCMScheduler has no eta");
    o.eta = -1;
    assert_refused(model, &o, "eta", "eta is -1, expected 0 to 1");
    o = usual;
    o.original_steps = -1;
    assert_refused(model, &o, "original_steps", "original_steps is -1, expected 0 to 2147483647");
    o.original_steps = 3;
    assert_refused(model, &o, "steps",
                   "LCMScheduler: 4 steps, expected 1 to 3 as original_inference_steps");
    o.original_steps = 1001;
    assert_refused(model, &o, "original_steps",
                   "LCMScheduler: original_inference_steps is 1001, expected 1 to 1000 as "
                   "num_train_timesteps");
    o = usual;
    o.timesteps = rising;
    assert_refused(model, &o, "steps", "steps is 0, expected 1 to 1000");
    o.timestep_count = -3;
    assert_refused(model, &o, "steps", "steps is -3, expected 1 to 1000");
    o.timestep_count = 2;
    assert_refused(model, &o, "timesteps", "timesteps[1] is 6, expected less than 5 before it");
    o.timesteps = far;
    o.timestep_count = 1;
    assert_refused(model, &o, "timesteps", "timesteps[0] is 1000, expected 0 to 999");
    tg_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test_setup_teardown(test_old_size, scratch_make, scratch_remove),
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_timesteps),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
