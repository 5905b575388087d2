/* SPDX-License-Identifier: MIT */
/* Sessions of one model side by side: each makes what it makes alone, all have one set of packed
 * weights, and none is in another's way when it ends. tools/check runs it under ThreadSanitizer,
 * which knows neither OpenMP's threads nor oneDNN's code: there it is plain C in one thread a
 * session. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "core/process.h"
#include "cpu/backend.h"
#include "cpu/context.h"
#include "pipeline/session.h"
#include "unit/sessions.h"

#define SMALL TG_TEST_DATA "/golden/models/sd1"

#ifdef __SANITIZE_THREAD__
static const bool under_thread_sanitizer = true;
#else
static const bool under_thread_sanitizer = false;
#endif

enum { STEPS = 4, ROUNDS = 2 };

/* Of the group of tests that runs. In plain C two runs are the same to the bit; by oneDNN they need
 * not be: whichever session packs a weight first, says how, and the other's products follow. */
static const char *path;
static tg_cpu cpu;

/* Two sizes whose maps are different everywhere. */
static const int widths[2] = {32, 48}, heights[2] = {32, 16};

static tg_generate_options options_of(const tg_model *model, int which)
{
    tg_generate_options o = picture_options(model, 32, STEPS);
    o.width = widths[which];
    o.height = heights[which];
    o.seed = (uint64_t)which;
    return o;
}

/* ------------------------------------------------------------------------------------- threads */

/* What one thread does; it leaves assertions to the thread that started it. */
typedef struct job {
    tg_model *model;
    tg_session *session; /* NULL: one of its own in every round */
    int which, rounds, trim;
    pthread_barrier_t *start;
    tg_status status;
    char message[1024];
    tg_result *result; /* of the last round */
} job;

static tg_status make_one(job *j, tg_session *s)
{
    tg_prompt *prompt = NULL;
    tg_generate_options o = options_of(j->model, j->which);
    tg_status status = tg_prompt_encode(&prompt, s, j->which ? "a castle" : "a fox", "red", NULL);
    tg_result_free(j->result);
    j->result = NULL;
    if (status == TG_OK)
        status = tg_generate(&j->result, s, &prompt, 1, &o);
    tg_prompt_free(prompt);
    if (status == TG_OK && j->trim)
        status = tg_session_trim(s, (unsigned)j->trim);
    return status;
}

static void *run_job(void *context)
{
    job *j = context;
    tg_session_options options;
    tg_session_options_init(&options);
    options.dtype = TG_DTYPE_F32;
    options.threads = 1;
    options.vae_tiling = TG_VAE_TILING_OFF;
    if (j->start)
        pthread_barrier_wait(j->start);
    for (int i = 0; i < j->rounds && j->status == TG_OK; i++) {
        tg_session *own = NULL;
        if (!j->session)
            j->status = tg_session_new(&own, j->model, &options);
        if (j->status == TG_OK)
            j->status = make_one(j, j->session ? j->session : own);
        snprintf(j->message, sizeof j->message, "%s",
                 tg_session_message(j->session ? j->session : own));
        tg_session_free(own);
    }
    return NULL;
}

static void run_both(job *a, job *b)
{
    pthread_t threads[2];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, 2);
    a->start = b->start = &start;
    assert_int_equal(pthread_create(&threads[0], NULL, run_job, a), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, run_job, b), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    a->start = b->start = NULL;
}

static void assert_done(const job *j)
{
    if (j->status != TG_OK)
        fail_msg("%s", j->message);
}

/* The same with a model and a session of its own. */
static tg_result *alone(int which)
{
    job j = {.model = open_model(path, NULL, cpu), .which = which, .rounds = 1};
    run_job(&j);
    assert_done(&j);
    tg_model_close(j.model);
    return j.result;
}

static tg_result *expected[2];

static int make_expected(void)
{
    for (int i = 0; i < 2; i++)
        expected[i] = alone(i);
    return 0;
}

static int in_plain_c(void **state)
{
    (void)state;
    path = SMALL;
    cpu = TG_CPU_C;
    return make_expected();
}

static int as_fast_as_it_goes(void **state)
{
    (void)state;
    path = TG_DEMO;
    cpu = TG_CPU_AUTO;
    return make_expected();
}

static int free_expected(void **state)
{
    (void)state;
    tg_result_free(expected[0]);
    tg_result_free(expected[1]);
    return 0;
}

static void assert_expected(job *j)
{
    const tg_result *wanted = expected[j->which];
    assert_done(j);
    if (cpu == TG_CPU_C)
        assert_same_results(j->result, wanted);
    else
        assert_true(compare(tg_result_latents(j->result), tg_result_latents(wanted)).worst < 1e-4 &&
                    compare(tg_result_pictures(j->result), tg_result_pictures(wanted)).worst <
                        3e-4);
    tg_result_free(j->result);
    j->result = NULL;
}

/* ---------------------------------------------------------------------------------- what is held
 */

typedef struct held {
    size_t made, bytes;
    int programs;
} held;

/* Of all networks of the backend that the session shares. */
static held held_by(const tg_session *s)
{
    held h = {0};
    for (int i = 0; i < s->model->class->role_count; i++) {
        const tg__context *context = tg__cpu_context(s->backend, i);
        h.made += context->packs.made;
        h.bytes += context->packs.bytes;
        h.programs += context->programs;
    }
    return h;
}

/* Bytes that are the session's own. */
static size_t own_bytes(const tg_session *s)
{
    size_t bytes = s->workspace_bytes;
    for (int i = 0; i < s->model->class->role_count; i++)
        for (int j = 0; j < s->kept[i].count; j++)
            bytes += s->kept[i].bytes[j];
    return bytes;
}

static size_t resident(void)
{
    size_t all = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu %zu", &all, &pages), 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* --------------------------------------------------------------------------------------- tests */

/* From nothing: both pack what they need first. */
static void two_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        tg_model *model = open_model(path, NULL, cpu);
        job a = {.model = model, .session = open_session(model, TG_DTYPE_F32, 1), .rounds = 2};
        job b = {.model = model, .session = open_session(model, TG_DTYPE_F32, 1), .rounds = 2};
        b.which = 1;
        run_both(&a, &b);
        assert_expected(&a);
        assert_expected(&b);
        assert_true(a.session->backend == b.session->backend);
        tg_session_free(a.session);
        tg_session_free(b.session);
        tg_model_close(model);
        assert_int_equal(tg_process_memory(), 0);
    }
}

/* The second session adds its own memory and nothing else. */
static void one_set_of_weights(void **state)
{
    (void)state;
    tg_model *model = open_model(path, NULL, cpu);
    job a = {.model = model, .session = open_session(model, TG_DTYPE_F32, 1), .rounds = 1};
    job b = {.model = model, .session = open_session(model, TG_DTYPE_F32, 1), .rounds = 1};
    run_job(&a);
    held first = held_by(a.session);
    int64_t counted = tg_process_memory();
    size_t before = resident();
    assert_true(first.made > 0);
    assert_true(counted >= (int64_t)(first.bytes + own_bytes(a.session)));
    run_job(&b);
    held both = held_by(a.session);
    size_t grown = resident() - before;
    assert_int_equal(both.made, first.made);
    assert_int_equal(both.bytes, first.bytes);
    assert_int_equal(both.programs, 2 * first.programs);
    assert_int_equal(tg_process_memory() - counted, own_bytes(b.session));
    print_message("packed weights %.1f MiB; the second session's own memory %.1f MiB; resident "
                  "%.1f MiB more\n",
                  (double)first.bytes / (1 << 20), (double)own_bytes(b.session) / (1 << 20),
                  (double)grown / (1 << 20));
    assert_expected(&a);
    assert_expected(&b);
    tg_session_free(a.session);
    assert_int_equal(tg_process_memory(), counted); /* it was as large */
    tg_session_free(b.session);
    assert_int_equal(tg_process_memory(), 0);
    tg_model_close(model);
}

/* Sessions come and go beside one that stays; packed weights stay with it. */
static void others_end(void **state)
{
    (void)state;
    tg_model *model = open_model(path, NULL, cpu);
    job a = {.model = model, .session = open_session(model, TG_DTYPE_F32, 1), .rounds = 2 * ROUNDS};
    job b = {.model = model, .which = 1, .rounds = ROUNDS};
    run_both(&a, &b);
    assert_expected(&a);
    assert_expected(&b);
    size_t made = held_by(a.session).made;
    run_both(&a, &b);
    assert_expected(&a);
    assert_expected(&b);
    assert_int_equal(held_by(a.session).made, made);
    tg_session_free(a.session);
    tg_model_close(model);
    assert_int_equal(tg_process_memory(), 0);
}

/* No session stays: weights are packed and given back again and again. */
static void all_end(void **state)
{
    (void)state;
    tg_model *model = open_model(path, NULL, cpu);
    job a = {.model = model, .rounds = ROUNDS}, b = {.model = model, .which = 1, .rounds = ROUNDS};
    run_both(&a, &b);
    assert_expected(&a);
    assert_expected(&b);
    assert_int_equal(tg_process_memory(), 0);
    tg_model_close(model);
}

/* One gives back all it can after each picture; what the other's programs have stays. */
static void one_trims(void **state)
{
    (void)state;
    tg_model *model = open_model(path, NULL, cpu);
    job a = {.model = model, .session = open_session(model, TG_DTYPE_F32, 1), .rounds = 1};
    job b = {.model = model, .session = open_session(model, TG_DTYPE_F32, 1), .which = 1};
    run_job(&a);
    held before = held_by(a.session);
    b.rounds = ROUNDS;
    b.trim = TG_TRIM_ALL;
    a.rounds = ROUNDS;
    run_both(&a, &b);
    assert_expected(&a);
    assert_expected(&b);
    held after = held_by(a.session);
    assert_int_equal(after.programs, before.programs);
    assert_true(after.bytes >= before.bytes && after.bytes > 0);
    assert_int_equal(own_bytes(b.session), 0);
    b.rounds = 1;
    run_job(&b);
    assert_expected(&b);
    assert_int_equal(tg_session_trim(a.session, TG_TRIM_ALL), TG_OK);
    assert_int_equal(tg_session_trim(b.session, TG_TRIM_ALL), TG_OK);
    assert_int_equal(held_by(a.session).bytes, 0);
    assert_int_equal(tg_process_memory(), 0);
    tg_session_free(a.session);
    tg_session_free(b.session);
    tg_model_close(model);
}

/* From one size to another and back: no program and no pack is made twice. */
static void sizes_in_turn(void **state)
{
    (void)state;
    enum { MOST = 64 };
    const tg__program *programs[MOST];
    int count = 0;
    tg_model *model = open_model(path, NULL, cpu);
    tg_session *s = open_session(model, TG_DTYPE_F32, 1);
    job j = {.model = model, .session = s, .rounds = 1};
    for (int i = 0; i < 2; i++) {
        j.which = i;
        run_job(&j);
        assert_expected(&j);
    }
    held first = held_by(s);
    for (const tg__made *made = s->made; made && count < MOST; made = made->next)
        programs[count++] = made->program;
    assert_int_equal(count, first.programs);
    for (int i = 0; i < 2 * ROUNDS; i++) {
        j.which = i % 2;
        run_job(&j);
        assert_expected(&j);
    }
    int again = 0;
    for (const tg__made *made = s->made; made; made = made->next)
        assert_true(again < count && programs[again++] == made->program);
    assert_int_equal(again, count);
    assert_int_equal(held_by(s).made, first.made);
    tg_session_free(s);
    tg_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_at_once), cmocka_unit_test(one_set_of_weights),
        cmocka_unit_test(others_end),  cmocka_unit_test(all_end),
        cmocka_unit_test(one_trims),   cmocka_unit_test(sizes_in_turn)};
    int failed = cmocka_run_group_tests_name("plain C", tests, in_plain_c, free_expected);
    if (!under_thread_sanitizer)
        failed +=
            cmocka_run_group_tests_name("the CPU's best", tests, as_fast_as_it_goes, free_expected);
    return failed;
}
