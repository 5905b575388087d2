/* SPDX-License-Identifier: MIT */
/* Handles in every state that they can be in: how they are made, and what each must answer. */
#ifndef TG_TEST_STATES_H
#define TG_TEST_STATES_H

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tgate.h"
#include "tgate_profile.h"

#define GOLDEN TG_TEST_DATA "/golden/models/sd1"
#define OTHER TG_TEST_DATA "/golden/models/sd2"
#define NO_MODEL TG_TEST_DATA "/golden/json"
#define NO_FILE TG_TEST_DATA "/nowhere"
#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

enum { SIDE = 64, PICTURE = 3 * SIDE * SIDE, MOST_STATES = 32, LONG = 6000 };

/* What an out-pointer holds before a call that is to overwrite it. */
#define GARBAGE ((void *)(uintptr_t)0x5A5A)

/* Handles that could not be made, and why. The first of each list is NULL. */
typedef struct broken {
    const char *what[MOST_STATES];
    tg_model *model[MOST_STATES];
    tg_session *session[MOST_STATES];
    tg_tokenizer *tokenizer[MOST_STATES];
    tg_error reason[MOST_STATES];
    int count;
} broken;

static char long_text[LONG];

static bool never(void *user, const tg_progress *progress)
{
    (void)user;
    (void)progress;
    return false;
}

/* -------------------------------------------------------------------------------- models */

static void add_model(broken *b, const char *what, const char *path, const tg_model_options *o)
{
    tg_model *model = GARBAGE;
    tg_status status = tg_model_open(&model, path, o);
    assert_int_not_equal(status, TG_OK);
    assert_int_equal(tg_model_error(model)->status, status);
    assert_string_not_equal(tg_model_message(model), "");
    b->what[b->count] = what;
    b->reason[b->count] = *tg_model_error(model);
    b->model[b->count++] = model;
}

static tg_model_options usual_model(void)
{
    tg_model_options o;
    tg_model_options_init(&o);
    return o;
}

static void add_models_of_options(broken *b)
{
    static const tg_model_options zeroed;
    tg_model_options o = zeroed;
    add_model(b, "options zeroed", GOLDEN, &o);
    o = usual_model(), o.size = SIZE_MAX;
    add_model(b, "options too large", GOLDEN, &o);
    o = usual_model(), o.cpu = (tg_cpu)99;
    add_model(b, "cpu", GOLDEN, &o);
    o = usual_model(), o.cpu = (tg_cpu)-1;
    add_model(b, "cpu -1", GOLDEN, &o);
    o = usual_model(), o.karras = INT_MIN;
    add_model(b, "karras", GOLDEN, &o);
    o = usual_model(), o.scheduler = long_text;
    add_model(b, "scheduler", GOLDEN, &o);
    o = usual_model(), o.prediction_type = "";
    add_model(b, "prediction_type", GOLDEN, &o);
    o = usual_model(), o.variant = long_text;
    add_model(b, "variant", GOLDEN, &o);
    o = usual_model(), o.config_dir = NO_FILE;
    add_model(b, "config_dir", GOLDEN, &o);
    o = usual_model(), o.tokenizer_dir = long_text;
    add_model(b, "tokenizer_dir", GOLDEN, &o);
    static const tg_network_path nobodys = {"nobody", GOLDEN}, nowhere = {"vae", NO_FILE};
    o = usual_model(), o.networks = &nobodys, o.network_count = 1;
    add_model(b, "role of nobody", GOLDEN, &o);
    o = usual_model(), o.networks = &nowhere, o.network_count = 1;
    add_model(b, "network of nothing", GOLDEN, &o);
    o = usual_model(), o.network_count = 1;
    add_model(b, "networks NULL", GOLDEN, &o);
    o = usual_model(), o.progress = never;
    add_model(b, "cancelled", GOLDEN, &o);
}

static void make_broken_models(broken *b)
{
    memset(long_text, 'x', sizeof long_text - 1);
    b->what[0] = "NULL";
    b->reason[0] = *tg_model_error(NULL);
    b->count = 1;
    add_model(b, "path NULL", NULL, NULL);
    add_model(b, "path empty", "", NULL);
    add_model(b, "path of nothing", NO_FILE, NULL);
    add_model(b, "path too long", long_text, NULL);
    add_model(b, "folder that is no model", NO_MODEL, NULL);
    add_model(b, "file that is no model", TG_PROJECT "/README.md", NULL);
    add_models_of_options(b);
}

/* ------------------------------------------------------------------------------ sessions */

static void add_session(broken *b, const char *what, tg_model *model, const tg_session_options *o)
{
    tg_session *session = GARBAGE;
    tg_status status = tg_session_new(&session, model, o);
    assert_int_not_equal(status, TG_OK);
    assert_int_equal(tg_session_error(session)->status, status);
    assert_string_not_equal(tg_session_message(session), "");
    b->what[b->count] = what;
    b->reason[b->count] = *tg_session_error(session);
    b->session[b->count++] = session;
}

static tg_session_options usual_session(void)
{
    tg_session_options o;
    tg_session_options_init(&o);
    o.threads = 1;
    return o;
}

static void add_sessions_of_options(broken *b, tg_model *model)
{
    static const tg_session_options zeroed;
    tg_session_options o = zeroed;
    add_session(b, "options zeroed", model, &o);
    o = usual_session(), o.size = SIZE_MAX;
    add_session(b, "options too large", model, &o);
    o = usual_session(), o.threads = 5000;
    add_session(b, "threads", model, &o);
    o = usual_session(), o.threads = INT_MIN;
    add_session(b, "threads negative", model, &o);
    o = usual_session(), o.dtype = (tg_dtype)99;
    add_session(b, "dtype", model, &o);
    o = usual_session(), o.dtype = (tg_dtype)-1;
    add_session(b, "dtype -1", model, &o);
    o = usual_session(), o.vae_tiling = (tg_vae_tiling)3;
    add_session(b, "vae_tiling", model, &o);
    o = usual_session(), o.cache_dir = long_text;
    add_session(b, "cache_dir", model, &o);
}

/* capped: a model whose CPU has no AVX-512. */
static void make_broken_sessions(broken *b, const broken *models, tg_model *model, tg_model *capped)
{
    tg_session_options o = usual_session();
    b->what[0] = "NULL";
    b->reason[0] = (tg_error){.status = TG_ERROR_ARGUMENT};
    b->count = 1;
    add_sessions_of_options(b, model);
    o.dtype = TG_DTYPE_BF16;
    add_session(b, "bf16 without AVX-512", capped, &o);
    for (int i = 0; i < models->count; i++) {
        add_session(b, models->what[i], models->model[i], NULL);
        char begins[200] = "";
        memcpy(begins, models->reason[i].message, sizeof begins - 1); /* the end may be cut */
        if (models->model[i] && !strstr(tg_session_message(b->session[b->count - 1]), begins))
            fail_msg("a session of a model with \"%s\" says \"%s\"", begins,
                     tg_session_message(b->session[b->count - 1]));
    }
}

/* ---------------------------------------------------------------------------- tokenizers */

static void add_tokenizer(broken *b, const char *what, const char *path, const char *folder)
{
    tg_tokenizer *tokenizer = GARBAGE;
    tg_status status = tg_tokenizer_open(&tokenizer, path, folder);
    assert_int_not_equal(status, TG_OK);
    assert_int_equal(tg_tokenizer_error(tokenizer)->status, status);
    assert_string_not_equal(tg_tokenizer_message(tokenizer), "");
    b->what[b->count] = what;
    b->reason[b->count] = *tg_tokenizer_error(tokenizer);
    b->tokenizer[b->count++] = tokenizer;
}

static void make_broken_tokenizers(broken *b)
{
    b->what[0] = "NULL";
    b->reason[0] = (tg_error){.status = TG_ERROR_ARGUMENT};
    b->count = 1;
    add_tokenizer(b, "path NULL", NULL, NULL);
    add_tokenizer(b, "path of nothing", NO_FILE, NULL);
    add_tokenizer(b, "path too long", long_text, NULL);
    add_tokenizer(b, "folder without a tokenizer", NO_MODEL, NULL);
    add_tokenizer(b, "file that is no model", TG_PROJECT "/README.md", NULL);
    add_tokenizer(b, "tokenizer_dir of nothing", GOLDEN, NO_FILE);
    add_tokenizer(b, "tokenizer_dir too long", NULL, long_text);
}

static void free_broken(broken *b)
{
    for (int i = 0; i < b->count; i++) {
        tg_session_free(b->session[i]);
        tg_tokenizer_close(b->tokenizer[i]);
        tg_model_close(b->model[i]);
    }
}

#endif
