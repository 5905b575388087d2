/* SPDX-License-Identifier: MIT */
#include "engine.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "outputs.h"
#include "report.h"

/* The order of --dtype's list. */
static_assert(TG_DTYPE_AUTO == 0 && TG_DTYPE_F32 == 1 && TG_DTYPE_BF16 == 2 && TG_DTYPE_INT8 == 3,
              "auto|f32|bf16|int8");

/* The order of --vae-tiling's list. */
static_assert(TG_VAE_TILING_AUTO == 0 && TG_VAE_TILING_ON == 1 && TG_VAE_TILING_OFF == 2,
              "auto|on|off");

void engine_init(struct engine *engine, const struct options *options)
{
    *engine = (struct engine){.options = options};
    console_init(&engine->console, options);
}

void engine_close(struct engine *engine)
{
    console_clear(&engine->console);
    tg_session_free(engine->session);
    tg_model_close(engine->model);
}

/* TG_CPU caps the instruction set; empty is as good as absent. */
static int read_cpu(enum command command, tg_cpu *cpu)
{
    const char *text = getenv("TG_CPU");
    *cpu = TG_CPU_AUTO;
    if (!text || !*text || tg_cpu_from_name(text, cpu))
        return EXIT_DONE;
    return fail_usage(command, "TG_CPU=%s: expected c, avx2, avx512, avx512_bf16 or amx", text);
}

/* The options that put a network in the place of the model's, by role. */
#define NETWORK_OPTIONS(F) F(unet) F(transformer) F(vae) F(text_encoder) F(text_encoder_2)

static const struct network_option {
    const char *role;
    size_t field; /* of struct options */
} network_options[] = {
#define NETWORK_OPTION(id) {#id, offsetof(struct options, id)},
    NETWORK_OPTIONS(NETWORK_OPTION)
#undef NETWORK_OPTION
};
enum { NETWORKS = sizeof network_options / sizeof *network_options };

/* Those that were given; returns how many. */
static int list_networks(const struct options *options, tg_network_path list[NETWORKS])
{
    int count = 0;
    for (int i = 0; i < NETWORKS; i++) {
        const char *path;
        memcpy(&path, (const char *)options + network_options[i].field, sizeof path);
        if (path)
            list[count++] = (tg_network_path){network_options[i].role, path};
    }
    return count;
}

/* An error about a role is one about its option. */
static int fail_network(const struct engine *engine, const tg_network_path *list, int count)
{
    const tg_error *error = tg_model_error(engine->model);
    char option[40];
    for (int i = 0; error->status == TG_ERROR_ARGUMENT && i < count; i++) {
        if (strcmp(error->subject, list[i].role) != 0)
            continue;
        snprintf(option, sizeof option, "%s", list[i].role);
        for (char *p = option; *p; p++)
            *p = *p == '_' ? '-' : *p;
        return fail_usage(engine->options->command, "--%s %s: %s", option, list[i].path,
                          error->message);
    }
    return fail_error(engine->options->command, error);
}

int engine_open_model(struct engine *engine)
{
    const struct options *options = engine->options;
    tg_model_options model_options;
    tg_network_path networks[NETWORKS];
    tg_model_options_init(&model_options);
    model_options.networks = networks;
    model_options.network_count = list_networks(options, networks);
    model_options.variant = options->variant;
    model_options.config_dir = options->config;
    model_options.tokenizer_dir = options->tokenizer;
    model_options.scheduler = options->scheduler;
    model_options.karras = options->karras ? 1 : -1;
    model_options.prediction_type = options->prediction_type;
    model_options.timestep_spacing = options->timestep_spacing;
    model_options.log = console_log;
    model_options.log_user = &engine->console;
    model_options.progress = console_progress;
    model_options.progress_user = &engine->console;
    int code = read_cpu(options->command, &model_options.cpu);
    if (code != EXIT_DONE)
        return code;
    tg_status status = tg_model_open(&engine->model, options->argument[0], &model_options);
    console_clear(&engine->console);
    return status == TG_OK ? EXIT_DONE
                           : fail_network(engine, networks, model_options.network_count);
}

int engine_open_session(struct engine *engine)
{
    tg_session_options session_options;
    tg_session_options_init(&session_options);
    session_options.dtype = (tg_dtype)engine->options->dtype;
    session_options.threads = engine->options->threads;
    session_options.vae_tiling = (tg_vae_tiling)engine->options->vae_tiling;
    session_options.profile = engine->options->profile;
    session_options.cache_dir = engine->options->cache_dir;
    session_options.progress = console_progress;
    session_options.progress_user = &engine->console;
    return engine_session_result(engine,
                                 tg_session_new(&engine->session, engine->model, &session_options));
}

int engine_session_result(struct engine *engine, tg_status status)
{
    console_clear(&engine->console);
    return status == TG_OK
               ? EXIT_DONE
               : fail_error(engine->options->command, tg_session_error(engine->session));
}

int engine_check_interrupt(struct engine *engine)
{
    if (!console_interrupted())
        return EXIT_DONE;
    console_clear(&engine->console);
    return fail_interrupted();
}

void engine_report_files(struct engine *engine, const struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->count && !engine->console.quiet; i++)
        say("wrote %s", outputs->items[i].path);
}

const char *engine_dtype(const struct engine *engine)
{
    return tg_dtype_name(tg_session_dtype(engine->session));
}
