/* SPDX-License-Identifier: MIT */
/*
 * tgate generate: pictures from prompts. A run goes through stages, from what costs nothing to what
 * takes minutes, so that whatever can be refused is refused at once; the first stage that does not
 * succeed ends it.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "commands.h"
#include "engine.h"
#include "json.h"
#include "outputs.h"
#include "parameters.h"
#include "profile.h"
#include "prompts.h"
#include "report.h"

/* The order of --rng's list. */
_Static_assert(TG_RNG_TORCH_CPU == 0 && TG_RNG_TORCH_CUDA == 1, "torch-cpu|torch-cuda");

enum { MOST_PICTURES = 1000000, MANY_STEPS = 10 };

struct run {
    const struct options *options;
    struct engine engine;
    struct prompts prompts;
    tg_prompt **encoded; /* one for each prompt */
    tg_array latents;    /* of --latents */
    int *timesteps;      /* of --timesteps */
    int timestep_count;
    const tg_model_info *info; /* the model's */
    tg_generate_options generate;
    tg_prompt_options prompt;
    struct outputs outputs; /* all pictures, then the latents of each prompt */
    size_t pictures;        /* how many of the outputs are pictures */
    double start, opened;   /* seconds on the clock; seconds it took to open model and session */
    tg_seconds seconds;     /* sums over the prompts, as the next two */
    double gmac, gmac_plain;
};

/* ------------------------------------------------------------------- what costs nothing */

static int check_text(const struct options *options, const char *option, const char *text)
{
    if (!text || tg_text_check(text, NULL) == TG_OK)
        return EXIT_DONE;
    return fail_usage(options->command, "--%s: expected UTF-8", option);
}

static int check_options(struct run *run)
{
    const struct options *o = run->options;
    if (GIVEN(o, prompt) && GIVEN(o, prompts))
        return fail_usage(o->command, "--prompts %s: not together with --prompt", o->prompts);
    if (!GIVEN(o, prompt) && !GIVEN(o, prompts))
        return fail_usage(o->command, "expected -p TEXT or --prompts FILE");
    const char *of_gate = GIVEN(o, sp_interval)   ? "sp-interval"
                          : GIVEN(o, fi_interval) ? "fi-interval"
                          : GIVEN(o, warm_up)     ? "warm-up"
                                                  : NULL;
    if (GIVEN(o, gate_step) && o->gate_step == 0 && of_gate)
        return fail_usage(o->command, "--%s: has no meaning with --gate-step off", of_gate);
    if (GIVEN(o, deepcache_branch) && o->deepcache_interval <= 1)
        return fail_usage(o->command, "--deepcache-branch: has no meaning without "
                                      "--deepcache-interval 2 or more");
    int code = check_text(o, "prompt", o->prompt);
    if (code == EXIT_DONE)
        code = check_text(o, "negative", o->negative);
    if (code == EXIT_DONE)
        code = check_text(o, "prompt-2", o->prompt_2);
    if (code == EXIT_DONE)
        code = check_text(o, "negative-2", o->negative_2);
    if (code == EXIT_DONE && o->output)
        code = output_check_picture(o->command, "output", o->output);
    if (code == EXIT_DONE && o->save_latents)
        code = output_check_array(o->command, "save-latents", o->save_latents);
    return code;
}

/* "999,759,499": their range and order are the library's to check. */
static int read_timesteps(struct run *run)
{
    const struct options *o = run->options;
    const char *at = o->timesteps;
    if (!at)
        return EXIT_DONE;
    run->timesteps = calloc(strlen(at), sizeof *run->timesteps); /* more than enough */
    if (!run->timesteps)
        return fail_memory();
    for (bool more = true; more; at++) {
        char *end;
        errno = 0;
        long number = strtol(at, &end, 10);
        if (end == at || !strchr("-0123456789", *at) || (*end && *end != ',') || errno ||
            number < INT_MIN || number > INT_MAX)
            return fail_usage(o->command,
                              "--timesteps %s: expected whole numbers with commas between them",
                              o->timesteps);
        run->timesteps[run->timestep_count++] = (int)number;
        more = *end;
        at = end;
    }
    if (GIVEN(o, steps) && o->steps != run->timestep_count)
        return fail_usage(o->command, "--steps %d: --timesteps %s has %d", o->steps, o->timesteps,
                          run->timestep_count);
    return EXIT_DONE;
}

static int read_inputs(struct run *run)
{
    const struct options *options = run->options;
    tg_error error;
    int code = read_timesteps(run);
    if (code == EXIT_DONE)
        code = prompts_read(&run->prompts, options);
    if (code != EXIT_DONE || !options->latents)
        return code;
    tg_npy_read(&run->latents, options->latents, &error);
    return fail_error(options->command, &error);
}

static int open_model(struct run *run)
{
    double start = console_seconds();
    int code = engine_open_model(&run->engine);
    if (code == EXIT_DONE)
        run->info = tg_model_describe(run->engine.model);
    run->opened = console_seconds() - start;
    return code;
}

static int agree(const struct run *run, const char *option, bool given, int asked, int64_t found)
{
    if (!given || asked == found)
        return EXIT_DONE;
    return fail_usage(run->options->command, "--%s %d: --latents %s has %lld", option, asked,
                      run->options->latents, (long long)found);
}

/* The file sets count, width and height; saying the same again does no harm. */
static int take_size_of_latents(struct run *run)
{
    const struct options *o = run->options;
    const tg_array *latents = &run->latents;
    int64_t width = (int64_t)latents->width * run->info->latent_size;
    int64_t height = (int64_t)latents->height * run->info->latent_size;
    int code = agree(run, "width", GIVEN(o, width), o->width, width);
    if (code == EXIT_DONE)
        code = agree(run, "height", GIVEN(o, height), o->height, height);
    if (code == EXIT_DONE)
        code = agree(run, "count", GIVEN(o, count), o->count, latents->count);
    if (code == EXIT_DONE && (width > INT32_MAX || height > INT32_MAX))
        code = fail("%s: %dx%d latents are too large", o->latents, latents->width, latents->height);
    run->generate.latents = latents;
    run->generate.count = latents->count;
    run->generate.width = (int)width;
    run->generate.height = (int)height;
    return code;
}

/* 32 bits: all that the CPU generator uses, and a short file name. */
static int draw_seed(struct run *run)
{
    uint32_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        return fail("no random seed could be drawn (--seed gives one)");
    run->generate.seed = seed;
    if (!run->options->quiet)
        say("seed %u", (unsigned)seed);
    return EXIT_DONE;
}

static tg_sizes sizes_of(struct pair original, struct pair crop, struct pair target)
{
    return (tg_sizes){.original_width = original.first,
                      .original_height = original.second,
                      .crop_top = crop.first,
                      .crop_left = crop.second,
                      .target_width = target.first,
                      .target_height = target.second};
}

/* What was given replaces the model's default. */
static void merge_options(struct run *run)
{
    const struct options *o = run->options;
    tg_generate_options *g = &run->generate;
#define MERGE(field, id) \
    if (GIVEN(o, id))    \
        field = o->id;
    MERGE(g->steps, steps)
    MERGE(g->guidance, guidance)
    MERGE(g->guidance_rescale, guidance_rescale)
    MERGE(g->width, width)
    MERGE(g->height, height)
    MERGE(g->count, count)
    MERGE(g->seed, seed)
    MERGE(g->deepcache.interval, deepcache_interval)
    MERGE(g->deepcache.branch, deepcache_branch)
    g->gate = tg_gate_default(run->engine.model, g->deepcache.interval > 1);
    MERGE(g->gate.gate_step, gate_step)
    MERGE(g->gate.sp_interval, sp_interval)
    MERGE(g->gate.fi_interval, fi_interval)
    MERGE(g->gate.warm_up, warm_up)
    MERGE(g->eta, eta)
    MERGE(g->original_steps, original_steps)
#undef MERGE
    g->no_resolution_binning = o->no_resolution_binning;
    g->timesteps = run->timesteps;
    g->timestep_count = run->timestep_count;
    if (run->timesteps)
        g->steps = run->timestep_count;
    g->sizes = sizes_of(o->original_size, o->crop_top_left, o->target_size);
    g->negative_sizes =
        sizes_of(o->negative_original_size, o->negative_crop_top_left, o->negative_target_size);
    g->rng = (tg_rng)o->rng;
    g->decode = o->output || !o->save_latents;
}

static int settle(struct run *run)
{
    const struct options *options = run->options;
    tg_error error;
    int code = EXIT_DONE;
    tg_prompt_options_init(&run->prompt);
    run->prompt.clip_skip = options->clip_skip;
    run->prompt.clean_caption = options->clean_caption == 1;
    run->prompt.text_2 = options->prompt_2;
    run->prompt.negative_2 = options->negative_2;
    tg_generate_options_init(&run->generate, run->engine.model);
    merge_options(run);
    if (options->latents)
        code = take_size_of_latents(run);
    if (code == EXIT_DONE) {
        tg_generate_check(run->engine.model, &run->generate, &run->prompt, &error);
        code = fail_error(options->command, &error);
    }
    if (code == EXIT_DONE && !GIVEN(options, seed))
        code = draw_seed(run);
    return code;
}

static int name_outputs(struct run *run)
{
    const struct options *options = run->options;
    size_t prompts = (size_t)run->prompts.count;
    size_t pictures = prompts * (size_t)run->generate.count;
    char standard[40];
    int code = EXIT_DONE;
    if (pictures > MOST_PICTURES)
        return fail_usage(options->command, "%zu pictures: expected at most %d", pictures,
                          MOST_PICTURES);
    snprintf(standard, sizeof standard, "tgate-%llu.png", (unsigned long long)run->generate.seed);
    if (run->generate.decode) {
        run->pictures = pictures;
        code = outputs_add(&run->outputs, options->output ? options->output : standard, pictures);
    }
    if (code == EXIT_DONE && options->save_latents)
        code = outputs_add(&run->outputs, options->save_latents, prompts);
    return code == EXIT_DONE ? outputs_check(&run->outputs, options->command) : code;
}

/* ------------------------------------------------------------------------ what takes time */

static int open_session(struct run *run)
{
    double start = console_seconds();
    int code = engine_open_session(&run->engine);
    run->opened += console_seconds() - start;
    return code;
}

/* All prompts before the first picture, so that the text encoder's memory can go. */
static int encode_prompts(struct run *run)
{
    const struct options *options = run->options;
    struct engine *engine = &run->engine;
    run->encoded = calloc((size_t)run->prompts.count, sizeof *run->encoded);
    if (!run->encoded)
        return fail_memory();
    engine->console.prompts = run->prompts.count;
    for (int i = 0; i < run->prompts.count; i++) {
        engine->console.prompt = i + 1;
        int code = engine_session_result(engine, tg_prompt_encode(&run->encoded[i], engine->session,
                                                                  run->prompts.items[i],
                                                                  options->negative, &run->prompt));
        if (code != EXIT_DONE)
            return code;
    }
    return engine_session_result(engine, tg_session_trim(engine->session, TG_TRIM_TEXT_ENCODERS));
}

static int keep_picture(struct run *run, const tg_result *result, int prompt, int index)
{
    struct parameters parameters = {
        .options = run->options,
        .generate = &run->generate,
        .scheduler = run->info->scheduler,
        .prompt = run->prompts.items[prompt],
        .index = index,
    };
    size_t output = (size_t)prompt * (size_t)run->generate.count + (size_t)index;
    char *text = parameters_text(&parameters);
    if (!text)
        return fail_memory();
    int code = outputs_keep_picture(&run->outputs, output, tg_result_image(result, index), text);
    free(text);
    return code;
}

static int keep_result(struct run *run, const tg_result *result, int prompt)
{
    int code = EXIT_DONE;
    for (int i = 0; run->pictures && i < run->generate.count && code == EXIT_DONE; i++)
        code = keep_picture(run, result, prompt, i);
    if (code == EXIT_DONE && run->options->save_latents)
        code = outputs_keep_array(&run->outputs, run->pictures + (size_t)prompt,
                                  tg_result_latents(result));
    return code;
}

static void add_figures(struct run *run, const tg_result *result)
{
    const tg_seconds *seconds = tg_result_seconds(result);
    run->seconds.load += seconds->load;
    run->seconds.text += seconds->text;
    run->seconds.denoise += seconds->denoise;
    run->seconds.decode += seconds->decode;
    run->gmac += tg_result_gmac(result);
    run->gmac_plain += tg_result_gmac_plain(result);
}

static int make_pictures(struct run *run)
{
    struct engine *engine = &run->engine;
    int code = EXIT_DONE;
    for (int i = 0; i < run->prompts.count && code == EXIT_DONE; i++) {
        tg_result *result = NULL;
        engine->console.prompt = i + 1;
        run->generate.release_denoiser = i + 1 == run->prompts.count;
        code = engine_session_result(
            engine, tg_generate(&result, engine->session, &run->encoded[i], 1, &run->generate));
        if (code == EXIT_DONE) {
            add_figures(run, result);
            code = keep_result(run, result, i);
        }
        tg_result_free(result);
    }
    return code == EXIT_DONE ? engine_check_interrupt(engine) : code;
}

/* -------------------------------------------------------------------------- what is said */

static void print_schedule(struct json *json, const struct run *run)
{
    const tg_generate_options *g = &run->generate;
    json_real(json, "eta", g->eta);
    if (run->options->timestep_spacing)
        json_text(json, "timestep_spacing", run->options->timestep_spacing);
    else
        json_null(json, "timestep_spacing");
    if (g->original_steps > 0)
        json_integer(json, "original_steps", g->original_steps);
    else
        json_null(json, "original_steps");
    if (!g->timesteps) {
        json_null(json, "timesteps");
        return;
    }
    json_open(json, "timesteps", '[');
    for (int i = 0; i < g->timestep_count; i++)
        json_integer(json, NULL, g->timesteps[i]);
    json_close(json, ']');
}

static void print_acceleration(struct json *json, const tg_generate_options *g)
{
    if (g->gate.gate_step == 0) {
        json_null(json, "gate");
    } else {
        json_open(json, "gate", '{');
        json_integer(json, "gate_step", g->gate.gate_step);
        json_integer(json, "sp_interval", g->gate.sp_interval);
        json_integer(json, "fi_interval", g->gate.fi_interval);
        json_integer(json, "warm_up", g->gate.warm_up);
        json_close(json, '}');
    }
    if (g->deepcache.interval <= 1) {
        json_null(json, "deepcache");
    } else {
        json_open(json, "deepcache", '{');
        json_integer(json, "interval", g->deepcache.interval);
        json_integer(json, "branch", g->deepcache.branch);
        json_close(json, '}');
    }
}

static void print_settings(struct json *json, const struct run *run)
{
    const tg_generate_options *g = &run->generate;
    json_open(json, "prompts", '[');
    for (int i = 0; i < run->prompts.count; i++)
        json_text(json, NULL, run->prompts.items[i]);
    json_close(json, ']');
    json_text(json, "negative_prompt", run->options->negative ? run->options->negative : "");
    json_unsigned(json, "seed", g->seed);
    json_integer(json, "width", g->width);
    json_integer(json, "height", g->height);
    json_integer(json, "count", g->count);
    json_integer(json, "steps", g->steps);
    json_real(json, "guidance", g->guidance);
    json_text(json, "scheduler", run->info->scheduler);
    print_schedule(json, run);
    json_text(json, "dtype", engine_dtype(&run->engine));
    json_integer(json, "threads", tg_session_threads(run->engine.session));
    print_acceleration(json, g);
}

/* getrusage counts what the process was before it became this program, too: a large parent's
 * memory. */
static double peak_rss_mib(void)
{
    struct rusage usage = {0};
    char line[256];
    double kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && kib == 0 && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtod(line + 6, NULL);
    if (status)
        fclose(status);
    if (kib == 0 && getrusage(RUSAGE_SELF, &usage) == 0)
        kib = (double)usage.ru_maxrss;
    return kib / 1024;
}

/* The share of the loop's multiplications that gate and DeepCache have saved. */
static double skipped(const struct run *run)
{
    return run->gmac_plain > 0 ? 1 - run->gmac / run->gmac_plain : 0;
}

/* What has been asked to skip work may find next to none; who looks at the times should know. */
static void say_skipped(const struct run *run)
{
    const tg_generate_options *g = &run->generate;
    bool skips = g->gate.gate_step > 0 || g->deepcache.interval > 1;
    if (!run->options->quiet && skips && g->steps < MANY_STEPS)
        say("%d step%s: %.1f %% of the multiplications skipped (few steps leave little to skip)",
            g->steps, g->steps > 1 ? "s" : "", 100 * skipped(run));
}

static void print_json(const struct run *run)
{
    struct json json = {.out = stdout};
    json_open(&json, NULL, '{');
    print_settings(&json, run);
    json_open(&json, "seconds", '{');
    json_real(&json, "load", run->opened + run->seconds.load);
    json_real(&json, "text", run->seconds.text);
    json_real(&json, "denoise", run->seconds.denoise);
    json_real(&json, "decode", run->seconds.decode);
    json_real(&json, "total", console_seconds() - run->start);
    json_close(&json, '}');
    json_open(&json, "gmac", '{');
    json_real(&json, "done", run->gmac);
    json_real(&json, "plain", run->gmac_plain);
    json_real(&json, "skipped", skipped(run));
    json_close(&json, '}');
    json_real(&json, "peak_rss_mib", peak_rss_mib());
    json_open(&json, "files", '[');
    for (size_t i = 0; i < run->outputs.count; i++)
        json_text(&json, NULL, run->outputs.items[i].path);
    json_close(&json, ']');
    json_close(&json, '}');
    putchar('\n');
}

/* Before the files get their names: if nobody can be told, the run has failed. The profile is last
 * because measuring the machine takes memory and time of its own. */
static int report(struct run *run)
{
    int code = EXIT_DONE;
    if (run->options->json) {
        print_json(run);
        code = finish_output();
    }
    return code == EXIT_DONE && run->options->profile ? profile_print(&run->engine) : code;
}

static int write_files(struct run *run)
{
    int code = outputs_write(&run->outputs);
    if (code == EXIT_DONE) {
        say_skipped(run);
        engine_report_files(&run->engine, &run->outputs);
    }
    return code;
}

static void close_run(struct run *run)
{
    outputs_free(&run->outputs);
    for (int i = 0; run->encoded && i < run->prompts.count; i++)
        tg_prompt_free(run->encoded[i]);
    free(run->encoded);
    engine_close(&run->engine);
    tg_array_free(&run->latents);
    free(run->timesteps);
    prompts_free(&run->prompts);
}

int run_generate(const struct options *options)
{
    static int (*const stages[])(struct run *) = {
        check_options, read_inputs,    open_model,    settle, name_outputs,
        open_session,  encode_prompts, make_pictures, report, write_files,
    };
    struct run run = {
        .options = options,
        .outputs.force = options->force,
        .start = console_seconds(),
    };
    int code = EXIT_DONE;
    console_catch_signals();
    engine_init(&run.engine, options);
    for (size_t i = 0; i < sizeof stages / sizeof *stages && code == EXIT_DONE; i++)
        code = stages[i](&run);
    close_run(&run);
    return code;
}
