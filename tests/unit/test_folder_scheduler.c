/* SPDX-License-Identifier: MIT */
/* Which scheduler a diffusers folder gets: the class that model_index.json names, with the keys of
 * scheduler_config.json as StableDiffusionPipeline corrects them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tgate.h"
#include "unit/scratch.h"

#define FOLDER TG_TEST_DATA "/golden/models/sd1"

enum { SIDE = 16, VALUES = 4 * (SIDE / 8) * (SIDE / 8) };

static void write_index(scratch *s, const char *class_name)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"_class_name\": \"StableDiffusionPipeline\","
                     "\"scheduler\": [\"diffusers\", \"%s\"],"
                     "\"text_encoder\": [\"transformers\", \"CLIPTextModel\"],"
                     "\"tokenizer\": [\"transformers\", \"CLIPTokenizer\"],"
                     "\"unet\": [\"diffusers\", \"UNet2DConditionModel\"],"
                     "\"vae\": [\"diffusers\", \"AutoencoderKL\"]}",
                     class_name);
    scratch_write(s, "model_index.json", text, (size_t)n);
}

static void write_config(scratch *s, const char *more)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"beta_start\": 0.00085, \"beta_end\": 0.012,"
                     "\"beta_schedule\": \"scaled_linear\"%s}",
                     more);
    scratch_write(s, "scheduler/scheduler_config.json", text, (size_t)n);
}

/* A model's folder whose networks are a golden model's. */
static int make_folder(void **state)
{
    static const char *const parts[] = {"unet", "vae", "text_encoder", "tokenizer"};
    if (scratch_make(state) != 0)
        return -1;
    scratch_folder(*state, "scheduler");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char target[512];
        snprintf(target, sizeof target, FOLDER "/%s", parts[i]);
        if (symlink(target, scratch_path(*state, parts[i])) != 0)
            return -1;
    }
    return 0;
}

static tg_status open_folder(tg_model **model, const scratch *s, const char *scheduler,
                             const char *prediction)
{
    tg_model_options options;
    tg_model_options_init(&options);
    options.scheduler = scheduler;
    options.prediction_type = prediction;
    return tg_model_open(model, s->folder, &options);
}

static void assert_scheduler(const scratch *s, const char *asked, const char *expected)
{
    tg_model *model;
    assert_int_equal(open_folder(&model, s, asked, NULL), TG_OK);
    assert_string_equal(tg_model_describe(model)->scheduler, expected);
    tg_model_close(model);
}

static void assert_refused(const scratch *s, const char *asked, tg_status expected)
{
    tg_model *model;
    assert_int_equal(open_folder(&model, s, asked, NULL), expected);
    assert_non_null(strstr(tg_model_message(model), "\"Other\" is not implemented"));
    tg_model_close(model);
}

static void test_class(void **state)
{
    scratch *s = *state;
    write_config(s, ", \"_class_name\": \"PNDMScheduler\"");
    write_index(s, "DDIMScheduler");
    assert_scheduler(s, NULL, "DDIMScheduler");
    assert_scheduler(s, "lms", "LMSDiscreteScheduler");
    assert_refused(s, "Other", TG_ERROR_ARGUMENT);
    write_index(s, "Other");
    assert_refused(s, NULL, TG_ERROR_UNSUPPORTED);
    assert_scheduler(s, "lms", "LMSDiscreteScheduler");
}

/* The latents after two steps. */
static void run(float *latents, const scratch *s, const char *prediction)
{
    tg_model *model;
    tg_session *session;
    tg_prompt *prompt;
    tg_result *result;
    tg_session_options how;
    tg_generate_options what;
    tg_session_options_init(&how);
    how.dtype = TG_DTYPE_F32;
    how.threads = 1;
    assert_int_equal(open_folder(&model, s, NULL, prediction), TG_OK);
    assert_int_equal(tg_session_new(&session, model, &how), TG_OK);
    assert_int_equal(tg_prompt_encode(&prompt, session, "a fox", "", NULL), TG_OK);
    tg_generate_options_init(&what, model);
    what.steps = 2;
    what.width = what.height = SIDE;
    what.decode = false;
    assert_int_equal(tg_generate(&result, session, &prompt, 1, &what), TG_OK);
    memcpy(latents, tg_result_latents(result).data, VALUES * sizeof *latents);
    tg_result_free(result);
    tg_prompt_free(prompt);
    tg_session_free(session);
    tg_model_close(model);
}

/* DDIM clips unless it is told not to, and begins at offset 0; the pipeline corrects both, in keys
 * that the file does not have as well. A scheduler made anew of such a file loses that. */
static void test_corrections(void **state)
{
    scratch *s = *state;
    float expected[VALUES], found[VALUES];
    write_index(s, "DDIMScheduler");
    write_config(s, ", \"clip_sample\": false, \"steps_offset\": 1");
    run(expected, s, NULL);
    write_config(s, "");
    run(found, s, NULL);
    assert_memory_equal(found, expected, sizeof found);
    write_config(s, ", \"clip_sample\": true, \"steps_offset\": 0");
    run(found, s, NULL);
    assert_memory_equal(found, expected, sizeof found);
    run(found, s, "epsilon");
    assert_memory_equal(found, expected, sizeof found);
    write_config(s, "");
    run(found, s, "epsilon");
    assert_memory_not_equal(found, expected, sizeof found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_class, make_folder, scratch_remove),
        cmocka_unit_test_setup_teardown(test_corrections, make_folder, scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
