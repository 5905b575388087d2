/* SPDX-License-Identifier: MIT */
/* Prompts of Stable Diffusion XL: the embeddings that a caller takes and brings again, and a batch
 * of different ones. */
#include "unit/sessions.h"

#define XL TG_TEST_DATA "/golden/models/xl1"

enum { SIDE = 64, STEPS = 3 };

typedef struct world {
    tg_model *model;
    tg_session *session;
} world;

static world open_world(void)
{
    world w = {.model = open_model(XL, NULL, TG_CPU_AUTO)};
    w.session = open_session(w.model, TG_DTYPE_F32, 1);
    return w;
}

static void close_world(world *w)
{
    tg_session_free(w->session);
    tg_model_close(w->model);
}

static tg_result *draw(const world *w, tg_prompt *const *prompts, int count, const uint64_t *seeds)
{
    tg_result *result;
    tg_generate_options o = picture_options(w->model, SIDE, STEPS);
    o.gate = (tg_gate){2, 1, 1, 0};
    o.sizes = (tg_sizes){.original_width = 90, .original_height = 80, .crop_left = 8};
    o.count = count;
    o.seeds = seeds;
    o.decode = false;
    if (tg_generate(&result, w->session, prompts, count, &o) != TG_OK)
        fail_msg("%s", tg_session_message(w->session));
    return result;
}

static void embeddings_come_back(void **state)
{
    static const uint64_t seed = 3;
    world w = open_world();
    tg_embedding e[2], none;
    tg_error error;
    tg_prompt *again;
    (void)state;
    tg_prompt *prompt = encode_prompt(w.session, "a red circle", NULL);
    assert_true(tg_prompt_embedding(prompt, 0, &e[0]) && tg_prompt_embedding(prompt, 1, &e[1]));
    assert_false(tg_prompt_embedding(prompt, 2, &none));
    assert_string_equal(e[0].name, "text");
    assert_string_equal(e[1].name, "pooled");
    assert_true(e[0].rows == 77 && e[0].width == 96 && e[1].rows == 1 && e[1].width == 32);
    for (int i = 0; i < e[0].rows * e[0].width; i++)
        assert_true(e[0].negative[i] == 0); /* there is no negative */
    e[0].negative = e[1].negative = NULL;
    assert_int_equal(tg_prompt_from_embeddings(&again, w.model, e, 2, &error), TG_OK);
    tg_result *a = draw(&w, &prompt, 1, &seed), *b = draw(&w, &again, 1, &seed);
    tg_array x = tg_result_latents(a), y = tg_result_latents(b);
    assert_memory_equal(x.data, y.data, values_of(x) * sizeof *x.data);
    tg_prompt_free(again);
    assert_int_equal(tg_prompt_from_embeddings(&again, w.model, e, 1, &error), TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, "pooled: missing among the embeddings");
    e[1].width = 31;
    assert_int_equal(tg_prompt_from_embeddings(&again, w.model, e, 2, &error), TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, "pooled: 1 rows of 31 values, expected 1 to 65536 of 32");
    tg_prompt_free(prompt);
    tg_result_free(a);
    tg_result_free(b);
    close_world(&w);
}

/* Each picture as it is alone. */
static void a_batch_of_prompts(void **state)
{
    static const uint64_t seeds[] = {5, 9};
    world w = open_world();
    (void)state;
    tg_prompt *prompts[] = {encode_prompt(w.session, "a red circle", "night"),
                            encode_prompt(w.session, "a blue square", NULL)};
    tg_result *both = draw(&w, prompts, 2, seeds);
    tg_array all = tg_result_latents(both);
    size_t n = values_of(all) / 2;
    for (size_t i = 0; i < 2; i++) {
        tg_result *one = draw(&w, &prompts[i], 1, &seeds[i]);
        const float *got = all.data + i * n, *alone = tg_result_latents(one).data;
        for (size_t j = 0; j < n; j++)
            assert_true(fabsf(got[j] - alone[j]) < 1e-4f);
        tg_result_free(one);
    }
    for (size_t i = 0; i < 2; i++)
        tg_prompt_free(prompts[i]);
    tg_result_free(both);
    close_world(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(embeddings_come_back),
                                       cmocka_unit_test(a_batch_of_prompts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
