/* SPDX-License-Identifier: MIT */
/* tgate decode and tgate encode: the VAE alone, from latents to pictures and back. */
#include "commands.h"
#include "engine.h"
#include "outputs.h"
#include "report.h"

/* Everything that can be refused has been, and the session is ready, when this returns EXIT_DONE.
 */
static int prepare(struct engine *engine, struct outputs *outputs, const char *path, size_t files)
{
    int code = engine_open_model(engine);
    if (code == EXIT_DONE)
        code = outputs_add(outputs, path, files);
    if (code == EXIT_DONE)
        code = outputs_check(outputs, engine->options->command);
    return code == EXIT_DONE ? engine_open_session(engine) : code;
}

static int finish(struct engine *engine, struct outputs *outputs, int code)
{
    if (code == EXIT_DONE)
        code = engine_check_interrupt(engine);
    if (code == EXIT_DONE)
        code = outputs_write(outputs);
    if (code == EXIT_DONE)
        engine_report_files(engine, outputs);
    return code;
}

static int decode(struct engine *engine, struct outputs *outputs, const tg_array *latents)
{
    tg_result *result = NULL;
    const struct options *options = engine->options;
    int code = prepare(engine, outputs, options->output, (size_t)latents->count);
    if (code == EXIT_DONE)
        code = engine_session_result(
            engine, tg_decode(&result, engine->session, latents, options->unscaled));
    for (int i = 0; i < latents->count && code == EXIT_DONE; i++)
        code = outputs_keep_picture(outputs, (size_t)i, tg_result_image(result, i), NULL);
    tg_result_free(result);
    return finish(engine, outputs, code);
}

static int encode(struct engine *engine, struct outputs *outputs, const tg_array *picture)
{
    tg_result *result = NULL;
    const struct options *options = engine->options;
    int code = prepare(engine, outputs, options->save_latents, 1);
    if (code == EXIT_DONE)
        code = engine_session_result(
            engine, tg_encode(&result, engine->session, picture, options->unscaled));
    if (code == EXIT_DONE)
        code = outputs_keep_array(outputs, 0, tg_result_latents(result));
    tg_result_free(result);
    return finish(engine, outputs, code);
}

/* What both commands have around their work: an input read, an output written. */
static int run_codec(const struct options *options, tg_array *input,
                     int (*work)(struct engine *, struct outputs *, const tg_array *))
{
    struct engine engine;
    struct outputs outputs = {.force = options->force};
    console_catch_signals();
    engine_init(&engine, options);
    int code = work(&engine, &outputs, input);
    outputs_free(&outputs);
    engine_close(&engine);
    tg_array_free(input);
    return code;
}

int run_decode(const struct options *options)
{
    tg_error error;
    tg_array latents = {0};
    if (!options->latents || !options->output)
        return fail_usage(options->command, "expected both --latents FILE.npy and -o PICTURE");
    int code = output_check_picture(options->command, "output", options->output);
    if (code != EXIT_DONE)
        return code;
    if (tg_npy_read(&latents, options->latents, &error) != TG_OK)
        return fail_error(options->command, &error);
    return run_codec(options, &latents, decode);
}

int run_encode(const struct options *options)
{
    tg_error error;
    tg_array picture = {0};
    if (!options->save_latents)
        return fail_usage(options->command, "expected --save-latents FILE.npy");
    int code = output_check_array(options->command, "save-latents", options->save_latents);
    if (code != EXIT_DONE)
        return code;
    if (tg_image_read(&picture, options->argument[1], &error) != TG_OK)
        return fail_error(options->command, &error);
    return run_codec(options, &picture, encode);
}
