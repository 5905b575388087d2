/* SPDX-License-Identifier: MIT */
/* Cancelling, from the progress function and from another thread, in every phase of a call: it
 * returns soon, however long it would have taken, and the session then works as if nothing had
 * been.
 *
 * Soon is half a second, or a quarter of what the whole call takes where the machine is slow or has
 * other work. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/parallel.h"
#include "unit/sessions.h"

#ifdef __SANITIZE_ADDRESS__ /* which takes thirty times as long */
enum { SIDE = 256 };
#else
enum { SIDE = 768 };
#endif
enum { STEPS = 2, SMALL_SIDE = 64 };

static const double soon = 0.5, part = 0.25;

/* ----------------------------------------------------------------------------------- the fixture
 */

typedef enum way { BY_PROGRESS, BY_THREAD, BY_THREAD_UNHEARD, WAYS } way;
static const char *const way_names[WAYS] = {"progress", "thread", "thread, without progress"};

/* Who cancels, and where: at the call'th report of a phase. */
typedef struct canceller {
    tg_session *session;
    tg_phase phase;
    int call, calls;
    way way;
    bool wait;    /* the thread's cancel comes before the progress function returns */
    double delay; /* seconds until the thread cancels, where nobody tells it when */
    double asked;
    sem_t due, done;
} canceller;

static void cancel_now(canceller *c)
{
    c->asked = tg__seconds();
    tg_session_cancel(c->session);
}

static void *cancel_when_due(void *context)
{
    canceller *c = context;
    if (c->way == BY_THREAD_UNHEARD)
        nanosleep(&(struct timespec){(time_t)c->delay, (long)(fmod(c->delay, 1) * 1e9)}, NULL);
    else
        sem_wait(&c->due);
    cancel_now(c);
    sem_post(&c->done);
    return NULL;
}

static bool cancel_in_progress(void *user, const tg_progress *p)
{
    canceller *c = user;
    if (p->phase != c->phase || p->latents.data || ++c->calls != c->call)
        return true;
    if (c->way == BY_PROGRESS) {
        c->asked = tg__seconds();
        return false;
    }
    sem_post(&c->due);
    if (c->wait)
        sem_wait(&c->done);
    return true;
}

typedef tg_status (*call)(tg_session *session, tg_prompt *prompt, tg_result **result);

static tg_status text(tg_session *s, tg_prompt *prompt, tg_result **result)
{
    (void)prompt;
    tg_prompt *made;
    *result = NULL;
    tg_status status = tg_prompt_encode(&made, s, "a castle", "red", NULL);
    tg_prompt_free(made);
    return status;
}

static tg_status generate_of(tg_session *s, tg_prompt *prompt, tg_result **result, int side)
{
    tg_generate_options o;
    tg_generate_options_init(&o, NULL);
    o.width = o.height = side;
    o.steps = STEPS;
    o.gate.gate_step = 1;
    o.decode = side == SMALL_SIDE;
    return tg_generate(result, s, &prompt, 1, &o);
}

static tg_status generate(tg_session *s, tg_prompt *prompt, tg_result **result)
{
    return generate_of(s, prompt, result, SIDE);
}

static float *values; /* of latents and pictures: something smooth */

static tg_status decode(tg_session *s, tg_prompt *prompt, tg_result **result)
{
    (void)prompt;
    tg_array latents = {1, 4, SIDE / 8, SIDE / 8, values};
    return tg_decode(result, s, &latents, false);
}

static tg_status encode(tg_session *s, tg_prompt *prompt, tg_result **result)
{
    (void)prompt;
    tg_array picture = {1, 3, SIDE, SIDE, values};
    return tg_encode(result, s, &picture, false);
}

/* A call, and a picture of a session to compare with. */
typedef struct fixture {
    tg_model *model;
    tg_session *session;
    tg_prompt *prompt;
    tg_result *small; /* that the session makes */
} fixture;

static tg_result *small_picture(const fixture *f)
{
    tg_result *result;
    if (generate_of(f->session, f->prompt, &result, SMALL_SIDE) != TG_OK)
        fail_msg("%s", tg_session_message(f->session));
    return result;
}

static fixture begin(void)
{
    fixture f = {.model = open_model(TG_DEMO, NULL, TG_CPU_AUTO)};
    f.session = open_session(f.model, TG_DTYPE_F32, 0);
    f.prompt = encode_prompt(f.session, "a fox", NULL);
    f.small = small_picture(&f);
    return f;
}

static void end(fixture *f)
{
    tg_result_free(f->small);
    tg_prompt_free(f->prompt);
    tg_session_free(f->session);
    tg_model_close(f->model);
}

/* ------------------------------------------------------------------------------------- checking
 */

/* Seconds from asking to the end of the call. */
static double cancel(fixture *f, canceller *c, call make)
{
    pthread_t thread;
    tg_result *result = NULL;
    c->session = f->session;
    sem_init(&c->due, 0, 0);
    sem_init(&c->done, 0, 0);
    if (c->way != BY_THREAD_UNHEARD)
        tg_session_set_progress(f->session, cancel_in_progress, c);
    if (c->way != BY_PROGRESS)
        assert_int_equal(pthread_create(&thread, NULL, cancel_when_due, c), 0);
    tg_status status = make(f->session, f->prompt, &result);
    double returned = tg__seconds();
    tg_session_set_progress(f->session, NULL, NULL);
    sem_post(&c->due); /* the call may not have come so far */
    if (c->way != BY_PROGRESS)
        pthread_join(thread, NULL);
    sem_destroy(&c->due);
    sem_destroy(&c->done);
    assert_int_equal(status, TG_ERROR_CANCELLED);
    assert_null(result);
    assert_non_null(strstr(tg_session_message(f->session), "cancelled"));
    return returned - c->asked;
}

static void check_small(const fixture *f)
{
    tg_result *again = small_picture(f);
    assert_same_results(again, f->small);
    tg_result_free(again);
}

/* A call in full, then cut short in every way, then in full again. */
static void check_phase(tg_phase phase, const char *name, call make, int at, bool wait)
{
    fixture f = begin();
    tg_result *first = NULL, *again = NULL;
    double start = tg__seconds();
    assert_int_equal(make(f.session, f.prompt, &first), TG_OK);
    double whole = tg__seconds() - start;
    for (int w = 0; w < (wait ? BY_THREAD_UNHEARD : WAYS); w++) {
        canceller c = {
            .phase = phase, .call = at, .way = (way)w, .wait = wait, .delay = 0.3 * whole};
        double took = cancel(&f, &c, make);
        print_message("%s, by %s: %.3f s of %.2f s\n", name, way_names[w], took, whole);
        assert_true(took < fmax(soon, part * whole));
        check_small(&f);
    }
    assert_int_equal(make(f.session, f.prompt, &again), TG_OK);
    if (first) {
        assert_same(tg_result_latents(first), tg_result_latents(again));
        if (tg_result_pictures(first).data)
            assert_same(tg_result_pictures(first), tg_result_pictures(again));
    }
    tg_result_free(first);
    tg_result_free(again);
    end(&f);
}

static void while_denoising(void **state)
{
    (void)state;
    check_phase(TG_PHASE_DENOISE, "denoise", generate, 3, false);
}

static void while_decoding(void **state)
{
    (void)state;
    check_phase(TG_PHASE_DECODE, "decode", decode, 3, false);
}

static void while_encoding(void **state)
{
    (void)state;
    check_phase(TG_PHASE_ENCODE, "encode", encode, 3, false);
}

static void while_reading_text(void **state)
{
    (void)state;
    check_phase(TG_PHASE_TEXT, "text", text, 1, true);
}

/* In the midst of packing, which a session does once: each time another one. */
static void while_packing(void **state)
{
    (void)state;
    fixture whole = begin();
    for (int w = 0; w < BY_THREAD_UNHEARD; w++) {
        for (int at = 1; at < 300; at += 75) {
            fixture f = {.model = open_model(TG_DEMO, NULL, TG_CPU_AUTO)};
            f.session = open_session(f.model, TG_DTYPE_F32, 0);
            f.prompt = encode_prompt(f.session, "a fox", NULL);
            f.small = whole.small;
            canceller c = {.phase = TG_PHASE_LOAD, .call = at, .way = (way)w, .wait = true};
            double took = cancel(&f, &c, generate);
            assert_true(took < soon);
            check_small(&f);
            f.small = NULL;
            end(&f);
        }
    }
    end(&whole);
}

static int begin_all(void **state)
{
    (void)state;
    size_t n = (size_t)3 * SIDE * SIDE;
    values = malloc(n * sizeof *values);
    for (size_t i = 0; values && i < n; i++)
        values[i] = sinf((float)i / 300);
    return values ? 0 : -1;
}

static int end_all(void **state)
{
    (void)state;
    free(values);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_packing), cmocka_unit_test(while_reading_text),
        cmocka_unit_test(while_denoising), cmocka_unit_test(while_decoding),
        cmocka_unit_test(while_encoding)};
    return cmocka_run_group_tests(tests, begin_all, end_all);
}
