/* SPDX-License-Identifier: MIT */
/* Sessions of the demo model, and how far apart is what they make. A call that fails ends the test
 * with its message. */
#ifndef TG_TEST_SESSIONS_H
#define TG_TEST_SESSIONS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "tgate.h"

#define TG_DEMO TG_PROJECT "/models/demo"

/* scheduler: NULL for the model's. */
static inline tg_model *open_model(const char *path, const char *scheduler, tg_cpu cpu)
{
    tg_model *model;
    tg_model_options options;
    tg_model_options_init(&options);
    options.scheduler = scheduler;
    options.cpu = cpu;
    if (tg_model_open(&model, path, &options) != TG_OK)
        fail_msg("%s", tg_model_message(model));
    return model;
}

static inline tg_session *open_session(tg_model *model, tg_dtype dtype, int threads)
{
    tg_session *session;
    tg_session_options options;
    tg_session_options_init(&options);
    options.dtype = dtype;
    options.threads = threads;
    options.vae_tiling = TG_VAE_TILING_OFF; /* whatever else takes memory on this machine */
    if (tg_session_new(&session, model, &options) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    return session;
}

static inline tg_prompt *encode_prompt(tg_session *session, const char *text, const char *negative)
{
    tg_prompt *prompt;
    if (tg_prompt_encode(&prompt, session, text, negative, NULL) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    return prompt;
}

/* A square, gated picture of seed 1. */
static inline tg_generate_options picture_options(const tg_model *model, int side, int steps)
{
    tg_generate_options options;
    tg_generate_options_init(&options, model);
    options.width = options.height = side;
    options.steps = steps;
    options.seed = 1;
    options.gate = (tg_gate){steps / 2, 3, 1, 2};
    return options;
}

static inline tg_result *make_pictures(tg_session *session, tg_prompt *const *prompts, int count,
                                       const tg_generate_options *options)
{
    tg_result *result;
    if (tg_generate(&result, session, prompts, count, options) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    return result;
}

static inline size_t values_of(tg_array x)
{
    return (size_t)x.count * (size_t)x.channels * (size_t)x.height * (size_t)x.width;
}

/* Picture i of an array of several. */
static inline tg_array one_of(tg_array x, int i)
{
    x.data += values_of(x) / (size_t)x.count * (size_t)i;
    x.count = 1;
    return x;
}

static inline void assert_same(tg_array a, tg_array b)
{
    assert_int_equal(values_of(a), values_of(b));
    assert_true(values_of(a) > 0);
    assert_memory_equal(a.data, b.data, values_of(a) * sizeof(float));
}

/* The largest difference, as a part of b's largest value; signal to noise in dB. */
typedef struct apart {
    double worst, decibels;
} apart;

static inline apart compare(tg_array a, tg_array b)
{
    double worst = 0, largest = 0, noise = 0, signal = 0;
    assert_int_equal(values_of(a), values_of(b));
    assert_true(values_of(a) > 0);
    for (size_t i = 0; i < values_of(a); i++) {
        double y = (double)b.data[i], d = (double)a.data[i] - y;
        assert_true(isfinite(d));
        worst = fmax(worst, fabs(d));
        largest = fmax(largest, fabs(y));
        noise += d * d;
        signal += y * y;
    }
    return (apart){worst / largest, 10 * log10(signal / noise)};
}

/* What a session made, with the same options, before and after something. */
static inline void assert_same_results(const tg_result *a, const tg_result *b)
{
    assert_same(tg_result_latents(a), tg_result_latents(b));
    if (tg_result_pictures(a).data)
        assert_same(tg_result_pictures(a), tg_result_pictures(b));
}

#endif
