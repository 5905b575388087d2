/* SPDX-License-Identifier: MIT */
/* The calls of test_states.c that have a handle, each with good arguments or with bad ones. A call
 * checks what it was given back and returns the status, or what was expected where there is none.
 */
#ifndef TG_TEST_STATE_CALLS_H
#define TG_TEST_STATE_CALLS_H

#include "hostile/states.h"

/* What a row's call works with: one handle is in the state that is tried, the others are good. */
typedef struct world {
    tg_model *model;
    tg_session *session;
    tg_tokenizer *tokenizer;
    tg_error *error;
    tg_prompt *prompt, *foreign; /* of this model and of another */
    tg_result *result;
    bool works;             /* the handle that is tried */
    const tg_error *reason; /* why it does not */
    tg_status expected;
} world;

typedef enum handle { NOTHING, MODEL, SESSION, TOKENIZER } handle;

typedef struct row {
    const char *function;
    handle uses;
    bool error;         /* takes a tg_error */
    tg_status expected; /* where the handle works */
    tg_status (*call)(const world *w, int variant);
    int variants; /* 0: one */
} row;

/* ------------------------------------------------------------------------ what is wrong */

/* One field of options at a value that it cannot have. */
typedef struct spoil {
    const char *field;
    size_t at;
    enum { INT, DOUBLE, SIZE } kind;
    double value;
} spoil;

#define NUMBER(type, name, bad)                                                 \
    {                                                                           \
        .field = #name, .at = offsetof(type, name), .kind = INT, .value = (bad) \
    }
#define REAL(type, name, bad)                                                      \
    {                                                                              \
        .field = #name, .at = offsetof(type, name), .kind = DOUBLE, .value = (bad) \
    }
#define GATE(name, bad)                                                              \
    {                                                                                \
        .field = #name, .at = offsetof(tg_generate_options, gate.name), .kind = INT, \
        .value = (bad)                                                               \
    }
#define DEEPCACHE(name, bad)                                                              \
    {                                                                                     \
        .field = "deepcache_" #name, .at = offsetof(tg_generate_options, deepcache.name), \
        .kind = INT, .value = (bad)                                                       \
    }
#define SIZE_IS(type, bad)                                    \
    {                                                         \
        .field = #type, .at = 0, .kind = SIZE, .value = (bad) \
    }

static const spoil generate_spoils[] = {
    SIZE_IS(tg_generate_options, 0),
    SIZE_IS(tg_generate_options, 1e9),
    SIZE_IS(tg_generate_options, 7),
    NUMBER(tg_generate_options, steps, 0),
    NUMBER(tg_generate_options, steps, INT_MIN),
    NUMBER(tg_generate_options, steps, INT_MAX),
    REAL(tg_generate_options, guidance, NAN),
    REAL(tg_generate_options, guidance, INFINITY),
    REAL(tg_generate_options, guidance, -1e300),
    REAL(tg_generate_options, guidance_rescale, NAN),
    REAL(tg_generate_options, guidance_rescale, -1),
    NUMBER(tg_generate_options, width, 0),
    NUMBER(tg_generate_options, width, -64),
    NUMBER(tg_generate_options, width, 63),
    NUMBER(tg_generate_options, width, INT_MAX),
    NUMBER(tg_generate_options, height, INT_MIN),
    NUMBER(tg_generate_options, height, 1 << 30),
    NUMBER(tg_generate_options, count, 0),
    NUMBER(tg_generate_options, count, -1),
    NUMBER(tg_generate_options, count, INT_MAX),
    NUMBER(tg_generate_options, rng, 2),
    NUMBER(tg_generate_options, rng, -1),
    GATE(gate_step, -1),
    GATE(sp_interval, 0),
    GATE(fi_interval, INT_MIN),
    GATE(warm_up, -1),
    DEEPCACHE(interval, -1),
    DEEPCACHE(branch, -1),
    DEEPCACHE(branch, 12),
};

static const spoil prompt_spoils[] = {
    SIZE_IS(tg_prompt_options, 0),
    SIZE_IS(tg_prompt_options, 1e9),
    SIZE_IS(tg_prompt_options, 7),
    NUMBER(tg_prompt_options, clip_skip, -1),
    NUMBER(tg_prompt_options, clip_skip, INT_MAX),
};

static const spoil process_spoils[] = {
    SIZE_IS(tg_process_options, 0),
    SIZE_IS(tg_process_options, 1e9),
    SIZE_IS(tg_process_options, 7),
    NUMBER(tg_process_options, threads, -1),
    NUMBER(tg_process_options, threads, INT_MAX),
    {"memory_bytes", offsetof(tg_process_options, memory_bytes), SIZE, -1},
};

static void apply(void *options, const spoil *s)
{
    int number = s->kind == INT ? (int)s->value : 0;
    int64_t size = s->kind == SIZE ? (int64_t)s->value : 0;
    if (s->kind == INT)
        memcpy((char *)options + s->at, &number, sizeof number);
    else if (s->kind == SIZE)
        memcpy((char *)options + s->at, &size, sizeof size);
    else
        memcpy((char *)options + s->at, &s->value, sizeof s->value);
}

static float zeros[PICTURE], with_nan[PICTURE], with_infinity[PICTURE];

/* Arrays that are no latents and no picture, whichever was asked for. */
static const tg_array bad_arrays[] = {
    {0},
    {1, 4, 8, 8, NULL},
    {1, 3, 8, 8, NULL},
    {0, 4, 8, 8, zeros},
    {-1, 3, 8, 8, zeros},
    {1, 0, 8, 8, zeros},
    {1, -4, 8, 8, zeros},
    {1, 4, 0, 8, zeros},
    {1, 3, 8, 0, zeros},
    {1, 4, -8, -8, zeros},
    {1, 3, INT_MIN, INT_MIN, zeros},
    {1, 4, INT_MAX, INT_MAX, zeros},
    {1, 3, INT_MAX, INT_MAX, zeros},
    {INT_MAX, INT_MAX, INT_MAX, INT_MAX, zeros},
    {1 << 16, 1 << 16, 1 << 16, 1 << 16, zeros}, /* 2^64: 0 */
    {1 << 30, 4, 1 << 30, 1 << 2, zeros},        /* the bytes are 2^66: 0 */
    {INT_MIN, INT_MIN, INT_MIN, INT_MIN, zeros},
};

/* Of good sizes, but for what they hold. */
static const tg_array bad_latents[] = {{1, 4, 8, 8, with_nan}, {1, 4, 8, 8, with_infinity}};
static const tg_array bad_pictures[] = {{1, 3, 8, 8, with_nan}, {1, 3, 8, 8, with_infinity}};
static const tg_array good_latents = {1, 4, 8, 8, zeros};
static const tg_array good_picture = {1, 3, SIDE, SIDE, zeros};

static void about(const world *w, const tg_error *error, const char *subject)
{
    if (w->works && error)
        assert_string_equal(error->subject, subject);
}

/* -------------------------------------------------------------------------------- prompts */

static tg_status encode_text(const world *w, const char *text, const tg_prompt_options *options)
{
    tg_prompt *prompt = GARBAGE;
    tg_status status = tg_prompt_encode(&prompt, w->session, text, "", options);
    assert_true((status == TG_OK) == (prompt != NULL));
    tg_prompt_free(prompt);
    return status;
}

static tg_status encode_good(const world *w, int i)
{
    tg_prompt_options o;
    tg_prompt_options_init(&o);
    return encode_text(w, i ? "" : "a fox", i ? &o : NULL);
}

static tg_status encode_bad_text(const world *w, int i)
{
    static const char *const texts[] = {NULL, "\xff", "\xc0\x80"};
    return encode_text(w, texts[i], NULL);
}

static tg_status encode_bad_negative(const world *w, int i)
{
    tg_prompt *prompt = GARBAGE;
    (void)i;
    tg_status status = tg_prompt_encode(&prompt, w->session, "a", "\x80", NULL);
    assert_null(prompt);
    return status;
}

/* This model has one text encoder. */
static tg_status encode_second(const world *w, int i)
{
    tg_prompt_options o;
    tg_prompt_options_init(&o);
    *(i ? &o.negative_2 : &o.text_2) = "a fox";
    tg_status status = encode_text(w, "a", &o);
    about(w, tg_session_error(w->session), i ? "negative_2" : "text_2");
    return status;
}

static tg_status encode_nowhere(const world *w, int i)
{
    (void)i;
    return tg_prompt_encode(NULL, w->session, "a", NULL, NULL);
}

static tg_status encode_spoiled(const world *w, int i)
{
    tg_prompt_options o;
    tg_prompt_options_init(&o);
    apply(&o, &prompt_spoils[i]);
    tg_status status = encode_text(w, "a", &o);
    about(w, tg_session_error(w->session), prompt_spoils[i].field);
    return status;
}

static tg_status from_embeddings(const world *w, const tg_embedding *e, int count)
{
    tg_prompt *prompt = GARBAGE;
    tg_status status = tg_prompt_from_embeddings(&prompt, w->model, e, count, w->error);
    assert_true((status == TG_OK) == (prompt != NULL));
    tg_prompt_free(prompt);
    return status;
}

static tg_embedding good_embedding(const world *w)
{
    tg_embedding e;
    assert_true(tg_prompt_embedding(w->prompt, 0, &e));
    return e;
}

static tg_status embeddings_good(const world *w, int i)
{
    tg_embedding e = good_embedding(w);
    e.negative = i ? NULL : e.negative;
    return from_embeddings(w, &e, 1);
}

static tg_status embeddings_nowhere(const world *w, int i)
{
    tg_embedding e = good_embedding(w);
    (void)i;
    return tg_prompt_from_embeddings(NULL, w->model, &e, 1, w->error);
}

static tg_status embeddings_bad(const world *w, int i)
{
    tg_embedding good = good_embedding(w), two[] = {good, good};
    static const int counts[] = {0, -1, INT_MIN, 2};
    static float nan_row[PICTURE];
    if (i < COUNT(counts))
        return from_embeddings(w, two, counts[i]);
    nan_row[0] = NAN;
    tg_embedding bad[] = {
        {0},
        {NULL, good.rows, good.width, good.positive, NULL},
        {"image", good.rows, good.width, good.positive, NULL},
        {"text", good.rows, good.width, NULL, good.negative},
        {"text", 0, good.width, good.positive, NULL},
        {"text", -1, good.width, good.positive, NULL},
        {"text", INT_MAX, good.width, good.positive, NULL},
        {"text", good.rows, 0, good.positive, NULL},
        {"text", good.rows, INT_MAX, good.positive, NULL},
        {"text", 1, good.width, nan_row, NULL},
        {"text", 1, good.width, good.positive, nan_row},
    };
    i -= COUNT(counts);
    return i < COUNT(bad) ? from_embeddings(w, &bad[i], 1) : from_embeddings(w, NULL, 1);
}

enum { BAD_EMBEDDINGS = 4 + 11 + 1 };

static tg_status embedding_of(const world *w, int i)
{
    static const int bad[] = {-1, INT_MIN, INT_MAX, 1};
    tg_embedding e = {.name = GARBAGE};
    assert_true(tg_prompt_embedding(w->prompt, 0, &e) && strcmp(e.name, "text") == 0);
    assert_false(tg_prompt_embedding(w->prompt, bad[i], &e));
    assert_true(!e.name && !e.positive && !e.rows);
    assert_false(tg_prompt_embedding(NULL, 0, &e));
    assert_false(tg_prompt_embedding(w->prompt, 0, NULL));
    return w->expected;
}

static tg_status prompt_free_null(const world *w, int i)
{
    (void)i;
    tg_prompt_free(NULL);
    return w->expected;
}

/* ------------------------------------------------------------------------------- generate */

static tg_generate_options usual(void)
{
    tg_generate_options o;
    tg_generate_options_init(&o, NULL);
    o.steps = 2;
    o.width = o.height = SIDE;
    o.gate = (tg_gate){1, 1, 1, 0};
    return o;
}

static tg_status generate_with(const world *w, tg_prompt *const *prompts, int count,
                               const tg_generate_options *o)
{
    tg_result *result = GARBAGE;
    tg_status status = tg_generate(&result, w->session, prompts, count, o);
    assert_true((status == TG_OK) == (result != NULL));
    assert_true((status == TG_OK) == (tg_result_image(result, 0).data != NULL));
    tg_result_free(result);
    return status;
}

static tg_status generate_good(const world *w, int i)
{
    tg_generate_options o = usual();
    (void)i;
    return generate_with(w, &w->prompt, 1, &o);
}

static tg_status generate_nowhere(const world *w, int i)
{
    tg_generate_options o = usual();
    (void)i;
    return tg_generate(NULL, w->session, &w->prompt, 1, &o);
}

static tg_status generate_spoiled(const world *w, int i)
{
    tg_generate_options o = usual();
    apply(&o, &generate_spoils[i]);
    tg_status status = generate_with(w, &w->prompt, 1, &o);
    about(w, tg_session_error(w->session), generate_spoils[i].field);
    return status;
}

/* This model is not told sizes. */
static tg_status generate_with_sizes(const world *w, int i)
{
    tg_generate_options o = usual();
    tg_sizes *sizes = i / 3 ? &o.negative_sizes : &o.sizes;
    *(i % 3 == 0   ? &sizes->original_width
      : i % 3 == 1 ? &sizes->crop_left
                   : &sizes->target_height) = 64;
    tg_status status = generate_with(w, &w->prompt, 1, &o);
    about(w, tg_session_error(w->session), i / 3 ? "negative_sizes" : "sizes");
    return status;
}

static tg_status generate_wrong_count(const world *w, int i)
{
    static const int counts[] = {0, -1, 2, 4, INT_MIN, INT_MAX};
    tg_prompt *prompts[] = {w->prompt, w->prompt, w->prompt};
    tg_generate_options o = usual();
    o.count = 3;
    tg_status status = generate_with(w, prompts, counts[i], &o);
    about(w, tg_session_error(w->session), "prompt_count");
    return status;
}

static tg_status generate_bad_prompts(const world *w, int i)
{
    tg_prompt *missing[] = {w->prompt, NULL}, *foreign[] = {w->prompt, w->foreign};
    tg_generate_options o = usual();
    o.count = i < 2 ? 1 : 2;
    switch (i) {
    case 0:
        return generate_with(w, NULL, 1, &o);
    case 1:
        return generate_with(w, &w->foreign, 1, &o);
    case 2:
        return generate_with(w, missing, 2, &o);
    case 3:
        return generate_with(w, foreign, 2, &o);
    default:
        return generate_with(w, &missing[1], 1, &o);
    }
}

static tg_status generate_bad_latents(const world *w, int i)
{
    tg_generate_options o = usual();
    o.latents = i < COUNT(bad_arrays) ? &bad_arrays[i] : &bad_latents[i - COUNT(bad_arrays)];
    return generate_with(w, &w->prompt, 1, &o);
}

static tg_status check_good(const world *w, int i)
{
    tg_generate_options o = usual();
    tg_prompt_options p;
    tg_prompt_options_init(&p);
    return tg_generate_check(w->model, i & 1 ? &o : NULL, i & 2 ? &p : NULL, w->error);
}

static tg_status check_spoiled(const world *w, int i)
{
    tg_generate_options o = usual();
    apply(&o, &generate_spoils[i]);
    tg_status status = tg_generate_check(w->model, &o, NULL, w->error);
    about(w, w->error, generate_spoils[i].field);
    return status;
}

static tg_status check_spoiled_prompt(const world *w, int i)
{
    tg_prompt_options o;
    tg_prompt_options_init(&o);
    apply(&o, &prompt_spoils[i]);
    tg_status status = tg_generate_check(w->model, NULL, &o, w->error);
    about(w, w->error, prompt_spoils[i].field);
    return status;
}

static tg_status check_bad_latents(const world *w, int i)
{
    tg_generate_options o = usual();
    o.latents = i < COUNT(bad_arrays) ? &bad_arrays[i] : &bad_latents[i - COUNT(bad_arrays)];
    return tg_generate_check(w->model, &o, NULL, w->error);
}

/* --------------------------------------------------------------------------------- the VAE */

typedef tg_status codec(tg_result **, tg_session *, const tg_array *, bool);

static tg_status code(const world *w, codec *call, const tg_array *array)
{
    tg_result *result = GARBAGE;
    tg_status status = call(&result, w->session, array, false);
    assert_true((status == TG_OK) == (result != NULL));
    tg_result_free(result);
    return status;
}

static tg_status decode_good(const world *w, int i)
{
    (void)i;
    return code(w, tg_decode, &good_latents);
}

static tg_status decode_bad(const world *w, int i)
{
    int left = i - COUNT(bad_arrays);
    if (left >= COUNT(bad_latents))
        return left == COUNT(bad_latents) ? code(w, tg_decode, NULL)
                                          : tg_decode(NULL, w->session, &good_latents, true);
    return code(w, tg_decode, left < 0 ? &bad_arrays[i] : &bad_latents[left]);
}

static tg_status encode_picture_good(const world *w, int i)
{
    (void)i;
    return code(w, tg_encode, &good_picture);
}

static tg_status encode_picture_bad(const world *w, int i)
{
    int left = i - COUNT(bad_arrays);
    if (left >= COUNT(bad_pictures))
        return left == COUNT(bad_pictures) ? code(w, tg_encode, NULL)
                                           : tg_encode(NULL, w->session, &good_picture, true);
    return code(w, tg_encode, left < 0 ? &bad_arrays[i] : &bad_pictures[left]);
}

enum {
    ARRAYS = sizeof bad_arrays / sizeof *bad_arrays + 2,
    CODECS = ARRAYS + 2,
};

/* -------------------------------------------------------------------------------- sessions */

static tg_status session_new(const world *w, int i)
{
    tg_session *session = GARBAGE;
    (void)i;
    tg_status status = tg_session_new(&session, w->model, NULL);
    assert_non_null(session);
    assert_int_equal(tg_session_error(session)->status, status);
    if (w->error)
        *w->error = *tg_session_error(session);
    tg_session_free(session);
    return status;
}

static tg_status session_new_nowhere(const world *w, int i)
{
    (void)i;
    return tg_session_new(NULL, w->model, NULL);
}

static tg_status session_about(const world *w, int i)
{
    const tg_error *error = tg_session_error(w->session);
    assert_string_equal(tg_session_message(w->session), error->message);
    assert_true(w->works == (tg_session_dtype(w->session) != TG_DTYPE_AUTO));
    assert_int_equal(tg_session_threads(w->session), w->works);
    tg_session_set_progress(w->session, i ? never : NULL, NULL);
    tg_session_set_progress(w->session, NULL, NULL);
    tg_session_cancel(w->session);
    return w->expected;
}

static tg_status session_free_null(const world *w, int i)
{
    (void)i;
    tg_session_free(NULL);
    return w->expected;
}

static tg_status trim_good(const world *w, int i)
{
    static const unsigned what[] = {0, TG_TRIM_TEXT_ENCODERS, TG_TRIM_PROGRAMS, 3, TG_TRIM_ALL};
    return tg_session_trim(w->session, what[i]);
}

static tg_status trim_bad(const world *w, int i)
{
    static const unsigned what[] = {4, 5, 6, 8, 0x80000000u, UINT_MAX};
    return tg_session_trim(w->session, what[i]);
}

static tg_status profile(const world *w, int i)
{
    int count = -1;
    (void)i;
    tg_status status = tg_session_profile(w->session, &count);
    assert_true(w->works ? count > 0 : count == 0);
    return status;
}

static tg_status profile_nowhere(const world *w, int i)
{
    (void)i;
    return tg_session_profile(w->session, NULL);
}

static tg_status profile_row(const world *w, int i)
{
    static const int indices[] = {0, -1, INT_MIN, INT_MAX};
    assert_null(tg_session_profile_row(w->session, indices[i]));
    return w->expected;
}

static tg_status peak(const world *w, int i)
{
    const tg_peak *found = GARBAGE;
    tg_status status = TG_ERROR_ARGUMENT;
    (void)i;
    if (w->works) /* takes its time: once is enough */
        return tg_session_measure_peak(w->session, NULL);
    status = tg_session_measure_peak(w->session, &found);
    assert_null(found);
    return status;
}

/* ---------------------------------------------------------------------------------- models */

static tg_status model_about(const world *w, int i)
{
    static const int indices[] = {-1, INT_MIN, INT_MAX, 3};
    const tg_model_info *info = tg_model_describe(w->model);
    const tg_error *error = tg_model_error(w->model);
    assert_string_equal(tg_model_message(w->model), error->message);
    assert_true(w->works == (error->status == TG_OK));
    assert_true(w->works == (info->network_count == 3));
    assert_true(w->works == (strlen(info->pipeline) > 0));
    assert_true(w->works == (strlen(info->layout) > 0));
    assert_true(w->works == (strlen(info->scheduler) > 0));
    assert_true(w->works == (strlen(info->prediction_type) > 0));
    assert_true(w->works == (tg_model_network(w->model, 0) != NULL));
    assert_null(tg_model_network(w->model, indices[i]));
    if (!w->works)
        assert_memory_equal(error, w->reason, sizeof *error);
    return w->expected;
}

static tg_status generate_init(const world *w, int i)
{
    tg_generate_options o;
    (void)i;
    memset(&o, 0x5A, sizeof o);
    tg_generate_options_init_sized(NULL, sizeof o, w->model);
    tg_generate_options_init_sized(&o, 7, w->model);
    assert_int_equal(((unsigned char *)&o)[0], 0x5A);
    tg_generate_options_init(&o, w->model);
    assert_int_equal(o.steps, 25);
    assert_true(o.count == 1 && o.decode && o.width >= 64 && o.width == o.height && !o.latents);
    if (!w->works)
        assert_int_equal(o.width, 512);
    return w->expected;
}

static tg_status gate_default(const world *w, int i)
{
    tg_gate gate = tg_gate_default(w->model, i);
    assert_true(gate.gate_step == 10 && gate.fi_interval == 1);
    assert_int_equal(gate.sp_interval, i ? 1 : 5);
    assert_int_equal(gate.warm_up, i ? 0 : 2);
    return w->expected;
}

/* Without room nothing is written; with it, the size and the defaults. */
#define INIT_OF(type)                                       \
    static tg_status type##_init_row(const world *w, int i) \
    {                                                       \
        struct {                                            \
            type options;                                   \
            unsigned char behind[16];                       \
        } o;                                                \
        (void)i;                                            \
        memset(&o, 0x5A, sizeof o);                         \
        type##_init_sized(NULL, sizeof o.options);          \
        type##_init_sized(&o.options, 0);                   \
        type##_init_sized(&o.options, 7);                   \
        assert_int_equal(((unsigned char *)&o)[0], 0x5A);   \
        type##_init(&o.options);                            \
        assert_int_equal(o.options.size, sizeof(type));     \
        assert_int_equal(o.behind[0], 0x5A);                \
        type##_init_sized(&o.options, sizeof o);            \
        assert_int_equal(o.options.size, sizeof o);         \
        assert_int_equal(o.behind[0] | o.behind[15], 0);    \
        return w->expected;                                 \
    }

INIT_OF(tg_model_options)
INIT_OF(tg_session_options)
INIT_OF(tg_prompt_options)
INIT_OF(tg_process_options)

static tg_status model_open_nowhere(const world *w, int i)
{
    (void)w;
    return tg_model_open(NULL, i ? GOLDEN : NULL, NULL);
}

static tg_status model_open_bad(const world *w, int i)
{
    tg_model *model = GARBAGE;
    (void)w;
    tg_status status = tg_model_open(&model, i ? NO_MODEL "/x" : NULL, NULL);
    assert_non_null(model);
    tg_model_close(model);
    tg_model_close(NULL);
    return i && status == TG_ERROR_NOT_FOUND ? TG_ERROR_ARGUMENT : status;
}

/* ------------------------------------------------------------------------------ tokenizers */

static tg_status tokenizer_nowhere(const world *w, int i)
{
    (void)w;
    tg_tokenizer_close(NULL);
    return tg_tokenizer_open(NULL, i ? GOLDEN : NULL, i ? NULL : GOLDEN);
}

static tg_status tokenizer_about(const world *w, int i)
{
    const tg_error *error = tg_tokenizer_error(w->tokenizer);
    (void)i;
    assert_string_equal(tg_tokenizer_message(w->tokenizer), error->message);
    if (!w->works && w->tokenizer)
        assert_memory_equal(error, w->reason, sizeof *error);
    return w->expected;
}

static tg_status tokenize_good(const world *w, int i)
{
    const tg_tokens *tokens = GARBAGE;
    tg_status status = tg_tokenize(w->tokenizer, i ? "a fox" : "", &tokens);
    assert_true((status == TG_OK) == (tokens != NULL));
    return status;
}

static tg_status tokenize_bad(const world *w, int i)
{
    static const char *const texts[] = {NULL, "\xff", "a\xed\xa0\x80"};
    const tg_tokens *tokens = GARBAGE;
    if (i == COUNT(texts))
        return tg_tokenize(w->tokenizer, "a", NULL);
    tg_status status = tg_tokenize(w->tokenizer, texts[i], &tokens);
    assert_null(tokens);
    return status;
}

/* ---------------------------------------------------------------------------------- result */

static tg_status result_of_none(const world *w, int i)
{
    static const int indices[] = {0, -1, INT_MIN, INT_MAX};
    (void)w;
    assert_null(tg_result_image(NULL, indices[i]).data);
    assert_null(tg_result_image(w->result, i ? indices[i] : 1).data);
    assert_null(tg_result_latents(NULL).data);
    assert_null(tg_result_pictures(NULL).data);
    assert_true(tg_result_gmac(NULL) == 0 && tg_result_gmac_plain(NULL) == 0);
    assert_true(tg_result_seconds(NULL)->denoise == 0);
    assert_non_null(tg_result_image(w->result, 0).data);
    tg_result_free(NULL);
    return w->expected;
}

#endif
