/* SPDX-License-Identifier: MIT */
/* Every public function with handles in every state, and with arguments that nobody should give:
 * each call answers with a status and the first reason, leaves its out-pointers empty, and does no
 * harm. A session that works then makes the picture that a fresh one makes. A function that the
 * headers declare and no row of the table (state_rows.h) calls fails the first test. */
#include <dirent.h>
#include <sys/resource.h>

#include "hostile/state_rows.h"

/* Sizes that no machine has are refused, as without the sanitizer. */
TG_API const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:max_allocation_size_mb=8192";
}

/* ------------------------------------------------------------------- headers and the table */

static bool has_row(const char *function, size_t length)
{
    for (int i = 0; i < COUNT(rows); i++)
        if (strlen(rows[i].function) == length && memcmp(rows[i].function, function, length) == 0)
            return true;
    return false;
}

/* How many functions a header declares; each must have a row. */
static int check_header(const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256];
    int declared = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, "TG_API ", 7) != 0)
            continue;
        const char *end = strchr(line, '(');
        assert_non_null(end);
        size_t length = 0;
        while (end[-1 - (ptrdiff_t)length] != ' ' && end[-1 - (ptrdiff_t)length] != '*')
            length++;
        if (!has_row(end - length, length))
            fail_msg("no row calls %.*s", (int)length, end - length);
        declared++;
    }
    fclose(file);
    return declared;
}

static void test_every_function_has_a_row(void **state)
{
    int declared = 0, names_in_rows = 0;
    DIR *folder = opendir(TG_PROJECT "/include");
    (void)state;
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char path[512];
        snprintf(path, sizeof path, TG_PROJECT "/include/%s", entry->d_name);
        if (entry->d_name[0] != '.')
            declared += check_header(path);
    }
    closedir(folder);
    for (int i = 0; i < COUNT(rows); i++)
        names_in_rows += i == 0 || strcmp(rows[i].function, rows[i - 1].function) != 0;
    assert_int_equal(declared, names_in_rows);
}

/* ---------------------------------------------------------------------------- good handles */

static world good;
static float picture[PICTURE]; /* what a fresh session makes */

static tg_status draw(tg_session *session, float *dst)
{
    tg_prompt *prompt = NULL;
    tg_result *result = NULL;
    tg_generate_options o = usual();
    tg_status status = tg_prompt_encode(&prompt, session, "a red circle", "blue", NULL);
    if (status == TG_OK)
        status = tg_generate(&result, session, &prompt, 1, &o);
    if (status == TG_OK)
        memcpy(dst, tg_result_pictures(result).data, sizeof picture);
    tg_result_free(result);
    tg_prompt_free(prompt);
    return status;
}

static void check_picture(tg_session *session)
{
    static float again[PICTURE];
    if (draw(session, again) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    assert_memory_equal(again, picture, sizeof picture);
}

static tg_session *new_session(bool profiles)
{
    tg_session *session;
    tg_session_options o = usual_session();
    o.profile = profiles;
    assert_int_equal(tg_session_new(&session, good.model, &o), TG_OK);
    return session;
}

static tg_model *capped;

static int make_good(void **state)
{
    tg_model *other;
    tg_session *of_other;
    tg_model_options o;
    tg_generate_options g = usual();
    (void)state;
    with_nan[70] = NAN;
    with_infinity[3] = -INFINITY;
    tg_model_options_init(&o);
    o.cpu = TG_CPU_AVX2;
    assert_int_equal(tg_model_open(&good.model, GOLDEN, NULL), TG_OK);
    assert_int_equal(tg_model_open(&other, OTHER, NULL), TG_OK);
    assert_int_equal(tg_model_open(&capped, GOLDEN, &o), TG_OK);
    assert_int_equal(tg_tokenizer_open(&good.tokenizer, GOLDEN, NULL), TG_OK);
    good.session = new_session(false);
    assert_int_equal(draw(good.session, picture), TG_OK);
    assert_int_equal(tg_prompt_encode(&good.prompt, good.session, "a", "b", NULL), TG_OK);
    assert_int_equal(tg_generate(&good.result, good.session, &good.prompt, 1, &g), TG_OK);
    assert_int_equal(tg_session_new(&of_other, other, NULL), TG_OK);
    assert_int_equal(tg_prompt_encode(&good.foreign, of_other, "a", "b", NULL), TG_OK);
    tg_session_free(of_other);
    *state = other;
    return 0;
}

static int free_good(void **state)
{
    tg_result_free(good.result);
    tg_prompt_free(good.prompt);
    tg_prompt_free(good.foreign);
    tg_session_free(good.session);
    tg_tokenizer_close(good.tokenizer);
    tg_model_close(good.model);
    tg_model_close(capped);
    tg_model_close(*state);
    return 0;
}

/* -------------------------------------------------------------------------------- the walk */

static void check_given_error(const row *r, const char *what, const world *w, tg_status status)
{
    static const tg_error none;
    char begins[200] = "";
    if (!r->error || !w->error)
        return;
    if (w->error->status != status)
        fail_msg("%s, %s: the error's status is %d", r->function, what, (int)w->error->status);
    if (status == TG_OK)
        assert_memory_equal(w->error, &none, sizeof none);
    else
        assert_string_not_equal(w->error->message, "");
    if (w->works || !w->model)
        return;
    memcpy(begins, w->reason->message, sizeof begins - 1); /* the end may be cut */
    if (!strstr(w->error->message, begins))
        fail_msg("%s, %s: \"%s\", expected \"%s\"", r->function, what, w->error->message, begins);
}

/* A broken session says what it said when it was made; a good one, what the call returned. */
static void check_session(const row *r, const char *what, const world *w, tg_status status)
{
    if (r->uses != SESSION || !w->session)
        return;
    if (!w->works)
        assert_memory_equal(tg_session_error(w->session), w->reason, sizeof *w->reason);
    else if (r->expected != TG_OK && tg_session_error(w->session)->status != status)
        fail_msg("%s, %s: the session's status is %d", r->function, what,
                 (int)tg_session_error(w->session)->status);
}

static void try_row(const row *r, const char *what, world w)
{
    for (int i = 0; i < r->variants || i == 0; i++)
        for (int given = 0; given <= r->error; given++) {
            tg_error error;
            memset(&error, 0x5A, sizeof error);
            w.error = given ? &error : NULL;
            w.expected = w.works            ? r->expected
                         : r->uses == MODEL ? TG_ERROR_ARGUMENT
                                            : w.reason->status;
            tg_status status = r->call(&w, i);
            if (status != w.expected)
                fail_msg("%s, variant %d, %s: status %d, expected %d", r->function, i, what,
                         (int)status, (int)w.expected);
            check_given_error(r, what, &w, status);
            check_session(r, what, &w, status);
        }
}

static void try_rows(handle kind, const char *what, const world *w)
{
    for (int i = 0; i < COUNT(rows); i++)
        if (rows[i].uses == kind)
            try_row(&rows[i], what, *w);
}

static void test_without_handles(void **state)
{
    world w = good;
    (void)state;
    w.works = true;
    try_rows(NOTHING, "no handle", &w);
}

static void test_models(void **state)
{
    static broken models;
    world w = good;
    (void)state;
    make_broken_models(&models);
    w.works = true;
    try_rows(MODEL, "open", &w);
    w.works = false;
    for (int i = 0; i < models.count; i++) {
        w.model = models.model[i];
        w.reason = &models.reason[i];
        try_rows(MODEL, models.what[i], &w);
    }
    free_broken(&models);
}

static void test_tokenizers(void **state)
{
    static broken tokenizers;
    world w = good;
    (void)state;
    make_broken_tokenizers(&tokenizers);
    w.works = true;
    try_rows(TOKENIZER, "open", &w);
    w.works = false;
    for (int i = 0; i < tokenizers.count; i++) {
        w.tokenizer = tokenizers.tokenizer[i];
        w.reason = &tokenizers.reason[i];
        try_rows(TOKENIZER, tokenizers.what[i], &w);
    }
    free_broken(&tokenizers);
}

static void test_broken_sessions(void **state)
{
    static broken models, sessions;
    world w = good;
    (void)state;
    make_broken_models(&models);
    make_broken_sessions(&sessions, &models, good.model, capped);
    for (int i = 0; i < sessions.count; i++) {
        w.session = sessions.session[i];
        w.reason = &sessions.reason[i];
        try_rows(SESSION, sessions.what[i], &w);
    }
    free_broken(&sessions);
    free_broken(&models);
}

static void fail_once(tg_session *session)
{
    tg_prompt *prompt;
    assert_int_equal(tg_prompt_encode(&prompt, session, "\xff", "", NULL), TG_ERROR_ARGUMENT);
}

static void cancel_once(tg_session *session)
{
    tg_result *result;
    tg_generate_options o = usual();
    tg_session_set_progress(session, never, NULL);
    assert_int_equal(tg_generate(&result, session, &good.prompt, 1, &o), TG_ERROR_CANCELLED);
    assert_null(result);
    tg_session_set_progress(session, NULL, NULL);
}

static void nothing_once(tg_session *session) { (void)session; }

/* Each row on a session that works, before which nothing, a failed or a cancelled call was. */
static void test_good_sessions(void **state)
{
    static const struct {
        const char *what;
        void (*before)(tg_session *);
    } states[] = {{"fresh", nothing_once}, {"failed once", fail_once}, {"cancelled", cancel_once}};
    world w = good;
    (void)state;
    w.works = true;
    w.session = new_session(false);
    for (int s = 0; s < COUNT(states); s++)
        for (int i = 0; i < COUNT(rows); i++) {
            if (rows[i].uses != SESSION)
                continue;
            states[s].before(w.session);
            try_row(&rows[i], states[s].what, w);
            check_picture(w.session);
        }
    tg_session_free(w.session);
}

/* ------------------------------------------------------------------------------ first
 * reasons
 */

/* The header's example as it is there, but that the message goes to where it can be read. */
static void example(const char *path, const char *text, char said[1200])
{
    FILE *err = fmemopen(said, 1200, "w");
    tg_model *model = NULL;
    tg_session *session = NULL;
    tg_prompt *prompt = NULL;
    tg_result *result = NULL;
    tg_generate_options options;
    tg_model_open(&model, path, NULL);
    tg_session_new(&session, model, NULL);
    tg_prompt_encode(&prompt, session, text, "", NULL);
    tg_generate_options_init(&options, model);
    if (tg_generate(&result, session, &prompt, 1, &options) == TG_OK)
        tg_image_write(tg_result_image(result, 0), "fox.png", NULL, true, NULL);
    else
        fprintf(err, "%s\n", tg_session_message(session));
    fclose(err);
    tg_result_free(result);
    tg_prompt_free(prompt);
    tg_session_free(session);
    tg_model_close(model);
}

static void test_example(void **state)
{
    char said[1200];
    (void)state;
    example("/no/model", "a fox", said);
    assert_string_equal(said, "the model is not open: /no/model: not found, expected a diffusers "
                              "folder or a .safetensors file\n");
    example(GOLDEN, "a \xff fox", said);
    assert_string_equal(said, "the prompt: the text's byte 2 is 0xff, expected UTF-8\n");
}

/* A prompt that came out as NULL is explained until a picture was made, and no longer. */
static void test_null_prompt(void **state)
{
    tg_session *session = new_session(false);
    tg_generate_options o = usual();
    tg_prompt *prompt = NULL, *none = NULL;
    tg_result *result;
    (void)state;
    tg_session_set_progress(session, never, NULL);
    assert_int_equal(tg_prompt_encode(&none, session, "a", "", NULL), TG_ERROR_CANCELLED);
    tg_session_set_progress(session, NULL, NULL);
    assert_int_equal(tg_prompt_encode(&prompt, session, "a", "", NULL), TG_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(tg_generate(&result, session, &none, 1, &o), TG_ERROR_CANCELLED);
        assert_string_equal(tg_session_message(session), "cancelled");
    }
    assert_int_equal(tg_generate(&result, session, &prompt, 1, &o), TG_OK);
    tg_result_free(result);
    assert_int_equal(tg_generate(&result, session, &none, 1, &o), TG_ERROR_ARGUMENT);
    assert_string_equal(tg_session_message(session), "prompt is NULL, expected an address");
    tg_prompt_free(prompt);
    tg_session_free(session);
}

/* -------------------------------------------------------------------------------- cancelling */

typedef struct countdown {
    int left;            /* calls until it cancels */
    tg_session *session; /* cancels by tg_session_cancel instead */
} countdown;

static bool count_down(void *user, const tg_progress *progress)
{
    countdown *c = user;
    (void)progress;
    if (c->left-- > 0)
        return true;
    if (c->session)
        tg_session_cancel(c->session);
    return c->session != NULL;
}

static tg_status call_all(tg_session *session, int which)
{
    static float unseen[PICTURE];
    tg_result *result = NULL;
    tg_status status = which == 0   ? draw(session, unseen)
                       : which == 1 ? tg_decode(&result, session, &good_latents, false)
                                    : tg_encode(&result, session, &good_picture, false);
    assert_true(which == 0 || (status == TG_OK) == (result != NULL));
    tg_result_free(result);
    return status;
}

/* At each of the calls that the progress function gets, while it packs weights (trimmed before) and
 * when they are there. */
static void cancel_everywhere(tg_session *session, int which, bool trim, bool by_function)
{
    tg_status status = TG_ERROR_CANCELLED;
    int at = 0;
    for (; status == TG_ERROR_CANCELLED; at += 1 + at / 2) {
        countdown c = {at, by_function ? session : NULL};
        if (trim)
            assert_int_equal(tg_session_trim(session, TG_TRIM_ALL), TG_OK);
        tg_session_set_progress(session, count_down, &c);
        status = call_all(session, which);
        tg_session_set_progress(session, NULL, NULL);
        check_picture(session);
    }
    assert_int_equal(status, TG_OK);
    assert_true(at > 1);
}

static void test_cancelled_everywhere(void **state)
{
    tg_session *session = new_session(false);
    (void)state;
    for (int which = 0; which < 3; which++)
        for (int i = 0; i < 4; i++)
            cancel_everywhere(session, which, i & 1, i & 2);
    tg_session_free(session);
}

/* ------------------------------------------------------------------------------------ memory */

/* The largest request that the options allow: nobody has that much. */
static void check_largest(tg_session *session)
{
    tg_generate_options o = usual();
    tg_result *result = GARBAGE;
    o.count = 4096;
    o.width = o.height = 16384;
    assert_int_equal(tg_generate(&result, session, &good.prompt, 1, &o), TG_ERROR_MEMORY);
    assert_null(result);
    check_picture(session);
}

static void test_memory(void **state)
{
    tg_session *session = new_session(false);
    tg_process_options o;
    static float unseen[PICTURE];
    (void)state;
    tg_process_options_init(&o);
    o.memory_bytes = 1;
    assert_int_equal(tg_process_configure(&o, NULL), TG_OK);
    assert_int_equal(draw(session, unseen), TG_ERROR_MEMORY);
    assert_int_equal(tg_process_configure(NULL, NULL), TG_OK);
    check_picture(session);
#ifndef __SANITIZE_ADDRESS__ /* it takes terabytes of addresses */
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)8 << 30;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    check_largest(session);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
#else
    check_largest(session);
#endif
    tg_session_free(session);
}

/* The smallest sizes, of which some are too small for the VAE or the UNet: a result, or none and a
 * reason. */
static void check_sizes(tg_session *session, int h, int w)
{
    tg_generate_options o = usual();
    tg_array latents = {1, 4, h, w, zeros}, pixels = {1, 3, h, w, zeros};
    o.latents = &latents;
    for (int which = 0; which < 3; which++) {
        tg_result *result = GARBAGE;
        tg_status status = which == 0   ? tg_generate(&result, session, &good.prompt, 1, &o)
                           : which == 1 ? tg_decode(&result, session, &latents, true)
                                        : tg_encode(&result, session, &pixels, true);
        assert_true((status == TG_OK) == (result != NULL));
        assert_int_equal(tg_session_error(session)->status, status);
        if (status != TG_OK && status != TG_ERROR_ARGUMENT)
            fail_msg("%d of %dx%d: %s", which, h, w, tg_session_message(session));
        tg_result_free(result);
    }
}

static void test_small_sizes(void **state)
{
    static const int sizes[] = {1, 3, 8, 9, 17};
    (void)state;
    for (int tiling = 0; tiling < 2; tiling++) {
        tg_session *session;
        tg_session_options o = usual_session();
        o.vae_tiling = tiling ? TG_VAE_TILING_ON : TG_VAE_TILING_AUTO;
        assert_int_equal(tg_session_new(&session, good.model, &o), TG_OK);
        for (int i = 0; i < COUNT(sizes); i++)
            for (int j = 0; j < COUNT(sizes); j++)
                check_sizes(session, sizes[i], sizes[j]);
        check_picture(session);
        tg_session_free(session);
    }
}

/* Options at the ends of their ranges. */
static void test_limits(void **state)
{
    static const tg_gate gates[] = {{INT_MAX, INT_MAX, INT_MAX, INT_MAX},
                                    {1, 1, 1, INT_MAX},
                                    {INT_MAX, 1, INT_MAX, 0},
                                    {2, INT_MAX, 1, 0}};
    tg_session *session = new_session(false);
    (void)state;
    for (int i = 0; i < 4 * COUNT(gates); i++) {
        tg_generate_options o = usual();
        tg_result *result;
        o.gate = gates[i / 4];
        o.deepcache = (tg_deepcache){i & 1 ? INT_MAX : 2, i & 2 ? 11 : 0};
        o.guidance = i & 1 ? 1e4 : -1e4;
        o.guidance_rescale = i & 2 ? 1 : 0;
        o.seed = UINT64_MAX;
        tg_status status = tg_generate(&result, session, &good.prompt, 1, &o);
        if (status != TG_OK && status != TG_ERROR_NUMERIC)
            fail_msg("%d: %s", i, tg_session_message(session));
        tg_result_free(result);
    }
    check_picture(session);
    tg_session_free(session);
}

/* Rows of a profile are there until the session's next call, and not a call longer. */
static void test_profile_rows(void **state)
{
    tg_session *session = new_session(true);
    int count = 0;
    (void)state;
    check_picture(session);
    assert_int_equal(tg_session_profile(session, &count), TG_OK);
    assert_true(count > 0 && tg_session_profile_row(session, count - 1)->shape[0]);
    assert_null(tg_session_profile_row(session, count));
    assert_null(tg_session_profile_row(session, -1));
    assert_int_equal(tg_session_trim(session, TG_TRIM_ALL), TG_OK);
    assert_null(tg_session_profile_row(session, 0));
    tg_session_free(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_function_has_a_row),
        cmocka_unit_test(test_without_handles),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_tokenizers),
        cmocka_unit_test(test_broken_sessions),
        cmocka_unit_test(test_good_sessions),
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_null_prompt),
        cmocka_unit_test(test_cancelled_everywhere),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_small_sizes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_profile_rows),
    };
    return cmocka_run_group_tests(tests, make_good, free_good);
}
