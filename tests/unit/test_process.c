/* SPDX-License-Identifier: MIT */
/* The process's budgets, of memory and of threads, that all sessions share. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "core/process.h"
#include "pipeline/session.h"
#include "unit/sessions.h"

#define SMALL TG_TEST_DATA "/golden/models/sd1"
#define MIB ((int64_t)1 << 20)

enum { STEPS = 4, SIDE = 32 };

static void configure(int threads, int64_t memory_bytes)
{
    tg_process_options options;
    tg_error error;
    tg_process_options_init(&options);
    options.threads = threads;
    options.memory_bytes = memory_bytes;
    if (tg_process_configure(&options, &error) != TG_OK)
        fail_msg("%s", error.message);
}

/* Teardown: no test leaves a budget to the next, nor memory that counts. */
static int end(void **state)
{
    (void)state;
    configure(0, 0);
    return tg_process_memory() == 0 ? 0 : -1;
}

static tg_generate_options options_of(const tg_model *model)
{
    return picture_options(model, SIDE, STEPS);
}

/* ------------------------------------------------------------------------------ memory's budget */

static void counting(void **state)
{
    (void)state;
    configure(0, 10 * MIB);
    assert_int_equal(tg__memory_left(), 10 * MIB);
    assert_true(tg__memory_take(4 * MIB));
    assert_false(tg__memory_take(6 * MIB + 1));
    assert_int_equal(tg_process_memory(), 4 * MIB); /* what is refused does not count */
    assert_true(tg__memory_take(6 * MIB));
    assert_int_equal(tg__memory_left(), 0);
    configure(0, 5 * MIB); /* less than is held already */
    assert_int_equal(tg__memory_left(), 0);
    assert_false(tg__memory_take(1));
    tg__error error = {0};
    tg__fail_budget(&error, "the workspace", 3 * MIB / 2);
    assert_true(tg__over_budget(&error));
    assert_string_equal(error.subject, "memory_bytes");
    assert_string_equal(error.message, "out of memory: the workspace takes 1.5 MiB, and 10.0 of "
                                       "the budget's 5.0 MiB are taken");
    error = (tg__error){0};
    tg__fail_memory(&error);
    assert_false(tg__over_budget(&error));
    tg__memory_give(10 * MIB);
    configure(0, 0);
    assert_true(tg__memory_left() == SIZE_MAX);
}

/* A prompt and a picture with a session of its own. */
static tg_status whole_run(tg_model *model, tg_result **result, int64_t *held, tg_error *error)
{
    tg_session *s = open_session(model, TG_DTYPE_F32, 1);
    tg_prompt *prompt = NULL;
    tg_generate_options o = options_of(model);
    *result = NULL;
    tg_status status = tg_prompt_encode(&prompt, s, "a fox", NULL, NULL);
    if (status == TG_OK)
        status = tg_generate(result, s, &prompt, 1, &o);
    *held = tg_process_memory();
    *error = *tg_session_error(s);
    tg_prompt_free(prompt);
    tg_session_free(s);
    return status;
}

/* The budget is kept to the byte: with what a run has at its end it succeeds, and each smaller one
 * says what was wanted, and leaves nothing behind. */
static void within_memory(void **state)
{
    (void)state;
    tg_model *model = open_model(SMALL, NULL, TG_CPU_AUTO);
    tg_result *expected, *result;
    tg_error error;
    int64_t all, held;
    int failed = 0, made = 0;
    assert_int_equal(whole_run(model, &expected, &all, &error), TG_OK);
    assert_int_equal(tg_process_memory(), 0);
    assert_true(all > MIB);
    for (int64_t budget = 1; budget <= all; budget += (all - 1) / 16) {
        configure(0, budget);
        tg_status status = whole_run(model, &result, &held, &error);
        assert_true(held <= budget);
        assert_int_equal(tg_process_memory(), 0);
        if (status == TG_OK) {
            made++;
            assert_true(compare(tg_result_latents(result), tg_result_latents(expected)).worst <
                        1e-4);
        } else {
            failed++;
            assert_int_equal(status, TG_ERROR_MEMORY);
            assert_string_equal(error.subject, "memory_bytes");
            assert_non_null(strstr(error.message, "out of memory: "));
            assert_non_null(strstr(error.message, "of the budget's"));
        }
        tg_result_free(result);
    }
    configure(0, all);
    assert_int_equal(whole_run(model, &result, &held, &error), TG_OK);
    print_message("%.1f MiB wanted: %d budgets up to it were too small, %d were not\n",
                  (double)all / (double)MIB, failed, made);
    assert_true(failed > 8);
    tg_result_free(result);
    tg_result_free(expected);
    tg_model_close(model);
}

static tg_result *generate(tg_session *s, tg_prompt *prompt, int side)
{
    tg_generate_options o = picture_options(s->model, side, STEPS);
    o.decode = false;
    return make_pictures(s, &prompt, 1, &o);
}

/* What earlier calls left makes room for what this one needs: the text encoder's weights, then a
 * large picture's workspace. */
static void older_things_go(void **state)
{
    (void)state;
    tg_model *model = open_model(SMALL, NULL, TG_CPU_AUTO);
    tg_session *s = open_session(model, TG_DTYPE_F32, 1);
    tg_prompt *prompt = encode_prompt(s, "a fox", NULL);
    int64_t text = tg_process_memory();
    tg_result *first = generate(s, prompt, SIDE);
    int64_t both = tg_process_memory();
    tg_session_trim(s, TG_TRIM_ALL);
    assert_int_equal(tg_process_memory(), 0);
    configure(0, both - text / 2);
    tg_prompt_free(prompt);
    prompt = encode_prompt(s, "a fox", NULL);
    tg_result *again = generate(s, prompt, SIDE);
    assert_same_results(first, again);
    assert_true(tg_process_memory() <= both - text / 2);
    tg_prompt_free(prompt);
    prompt = encode_prompt(s, "a fox", NULL); /* and the other way round */
    tg_result_free(again);
    again = generate(s, prompt, SIDE);
    assert_same_results(first, again);
    tg_result_free(first);
    tg_result_free(again);
    tg_prompt_free(prompt);
    tg_session_free(s);
    tg_model_close(model);
}

/* One session's memory is refused to another, and is there once it is given back. */
static void another_holds_it(void **state)
{
    (void)state;
    tg_model *model = open_model(SMALL, NULL, TG_CPU_AUTO);
    tg_session *a = open_session(model, TG_DTYPE_F32, 1);
    tg_session *b = open_session(model, TG_DTYPE_F32, 1);
    tg_prompt *prompt = encode_prompt(a, "a fox", NULL);
    tg_result *first = generate(a, prompt, 64), *second = NULL;
    configure(0, tg_process_memory() + 1000);
    tg_generate_options o = picture_options(model, 64, STEPS);
    o.decode = false;
    assert_int_equal(tg_generate(&second, b, &prompt, 1, &o), TG_ERROR_MEMORY);
    assert_string_equal(tg_session_error(b)->subject, "memory_bytes");
    assert_int_equal(tg_session_trim(a, TG_TRIM_PROGRAMS), TG_OK);
    second = generate(b, prompt, 64);
    assert_same_results(first, second);
    tg_result_free(first);
    tg_result_free(second);
    tg_prompt_free(prompt);
    tg_session_free(a);
    tg_session_free(b);
    tg_model_close(model);
}

/* ----------------------------------------------------------------------------- threads' budget */

typedef struct job {
    tg_model *model;
    int threads;
    tg_status status;
    tg_result *result;
} job;

static void *run_job(void *context)
{
    job *j = context;
    tg_session_options so;
    tg_session *s = NULL;
    tg_prompt *prompt = NULL;
    tg_generate_options o = options_of(j->model);
    tg_session_options_init(&so);
    so.dtype = TG_DTYPE_F32;
    so.threads = j->threads;
    j->status = tg_session_new(&s, j->model, &so);
    if (j->status == TG_OK)
        j->status = tg_prompt_encode(&prompt, s, "a fox", NULL, NULL);
    if (j->status == TG_OK)
        j->status = tg_generate(&j->result, s, &prompt, 1, &o);
    tg_prompt_free(prompt);
    tg_session_free(s);
    return NULL;
}

/* Both pack the same weights at once, and each wants more threads than there are: one waits for a
 * turn that the other has, which waits for the weights. */
static void sessions_in_turn(void **state)
{
    (void)state;
    configure(1, 0);
    alarm(120); /* what waits for ever does not hold up the other tests */
    for (int round = 0; round < 4; round++) {
        job jobs[3] = {0};
        pthread_t threads[3];
        tg_model *model = open_model(SMALL, NULL, TG_CPU_AUTO);
        for (int i = 0; i < 3; i++) {
            jobs[i] = (job){.model = model, .threads = 1 + i % 2};
            assert_int_equal(pthread_create(&threads[i], NULL, run_job, &jobs[i]), 0);
        }
        for (int i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(jobs[i].status, TG_OK);
            assert_true(
                compare(tg_result_latents(jobs[i].result), tg_result_latents(jobs[0].result))
                    .worst < 1e-4);
        }
        for (int i = 0; i < 3; i++)
            tg_result_free(jobs[i].result);
        tg_model_close(model);
        assert_int_equal(tg_process_memory(), 0);
    }
    alarm(0);
}

typedef struct nested {
    tg_model *model;
    tg_session *inner; /* NULL: a new one each time */
    int calls;
    bool seen[TG_PHASE_ENCODE + 1];
    tg_phase last;
    tg_result *result;
} nested;

/* Once a phase, and then now and then, a whole picture by another session of the same model. */
static bool call_another(void *user, const tg_progress *p)
{
    nested *n = user;
    bool due = !n->seen[p->phase] || p->phase != n->last || (p->latents.data && p->step % 2 == 1);
    n->seen[p->phase] = true;
    n->last = p->phase;
    if (!due)
        return true;
    n->calls++;
    tg_session *s = n->inner ? n->inner : open_session(n->model, TG_DTYPE_F32, 1);
    tg_prompt *prompt = encode_prompt(s, "a castle", NULL);
    tg_generate_options o = options_of(n->model);
    tg_result_free(n->result);
    n->result = make_pictures(s, &prompt, 1, &o);
    tg_prompt_free(prompt);
    if (!n->inner)
        tg_session_free(s);
    return true;
}

/* Even while weights are being packed, which are the other's too. */
static void call_in_progress(void **state)
{
    (void)state;
    configure(1, 0);
    alarm(120);
    for (int own = 0; own < 2; own++) {
        tg_model *model = open_model(SMALL, NULL, TG_CPU_AUTO);
        tg_session *outer = open_session(model, TG_DTYPE_F32, 1);
        nested n = {.model = model, .last = TG_PHASE_OPEN};
        n.inner = own ? open_session(model, TG_DTYPE_F32, 2) : NULL;
        tg_session_set_progress(outer, call_another, &n);
        tg_prompt *prompt = encode_prompt(outer, "a fox", NULL);
        tg_generate_options o = options_of(model);
        tg_result *result = make_pictures(outer, &prompt, 1, &o);
        tg_session_set_progress(outer, NULL, NULL);
        tg_result *again = make_pictures(outer, &prompt, 1, &o);
        assert_same_results(result, again);
        assert_true(n.seen[TG_PHASE_LOAD] && n.seen[TG_PHASE_TEXT] && n.seen[TG_PHASE_DENOISE] &&
                    n.seen[TG_PHASE_DECODE] && n.calls >= 5);
        tg_result_free(result);
        tg_result_free(again);
        tg_result_free(n.result);
        tg_prompt_free(prompt);
        tg_session_free(outer);
        tg_session_free(n.inner);
        tg_model_close(model);
    }
    alarm(0);
}

/* ------------------------------------------------------------------------------------- options */

static void wrong_options(void **state)
{
    (void)state;
    tg_process_options options;
    tg_error error;
    tg_process_options_init(&options);
    options.threads = -1;
    assert_int_equal(tg_process_configure(&options, &error), TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, "threads is -1, expected 0 to 65536");
    options.threads = 0;
    options.memory_bytes = -2;
    assert_int_equal(tg_process_configure(&options, &error), TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, "memory_bytes is -2, expected 0 or more");
    assert_string_equal(error.subject, "memory_bytes");
    assert_int_equal(tg_process_configure(NULL, &error), TG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(counting, end),
        cmocka_unit_test_teardown(within_memory, end),
        cmocka_unit_test_teardown(older_things_go, end),
        cmocka_unit_test_teardown(another_holds_it, end),
        cmocka_unit_test_teardown(sessions_in_turn, end),
        cmocka_unit_test_teardown(call_in_progress, end),
        cmocka_unit_test_teardown(wrong_options, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
