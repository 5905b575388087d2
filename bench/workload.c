/* SPDX-License-Identifier: MIT */
/* One workload of ours for bench/bench.c: workload WHAT DTYPE MODEL
 *
 * Prints "ready GMAC" when it is warm, then for each line on standard input does the work once and
 * prints the seconds it took; ends at the end of input. bench/peers/peer.py speaks the same. WHAT:
 * unet_step, vae_decode, text_encoder, loop_plain, loop_gated, loop_deepcache (every third step in
 * full, branch 0). Exit code 3: the dtype is not supported. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tgate_profile.h>
#include <time.h>

enum { LOOP_STEPS = 10, LOOP_GATE = 5, DEEPCACHE = 3, NOT_HERE = 3 };

typedef struct work {
    const char *what;
    tg_model *model;
    tg_session *session;
    tg_prompt *prompt;
    double began; /* the last step */
    int done;
} work;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void die(const char *message)
{
    fprintf(stderr, "workload: %s\n", message);
    exit(1);
}

/* Waits for the next request; false at the end. */
static bool asked(void)
{
    char line[64];
    return fgets(line, sizeof line, stdin) != NULL;
}

static void say(const char *format, double value)
{
    printf(format, value);
    fflush(stdout);
}

/* 10^9 multiplications of all that ran so far. */
static double profiled(work *w)
{
    int count;
    double gmac = 0;
    if (tg_session_profile(w->session, &count) != TG_OK)
        die(tg_session_message(w->session));
    for (int i = 0; i < count; i++)
        gmac += tg_session_profile_row(w->session, i)->gmac;
    return gmac;
}

/* Steps one by one: the loop waits in its own progress report. */
static bool at_step(void *user, const tg_progress *p)
{
    work *w = user;
    if (!p->latents.data) /* not between two steps */
        return true;
    if (w->done == 1)
        say("ready %.9g\n", tg_model_describe(w->model)->step_gmac);
    else if (w->done > 1)
        say("%.9g\n", now() - w->began);
    if (w->done++ > 0 && !asked())
        return false;
    w->began = now();
    return true;
}

static tg_generate_options loop_options(const work *w, int steps, int gate)
{
    tg_generate_options o;
    tg_generate_options_init(&o, w->model);
    o.steps = steps;
    o.decode = false;
    o.gate = (tg_gate){gate, 1, 1, 0};
    return o;
}

static void steps(work *w)
{
    tg_result *result;
    tg_generate_options o = loop_options(w, 500, 0);
    tg_session_set_progress(w->session, at_step, w);
    if (tg_generate(&result, w->session, &w->prompt, 1, &o) != TG_ERROR_CANCELLED)
        die(tg_session_message(w->session));
}

static double loop(work *w, double *gmac)
{
    tg_result *result;
    bool gated = strcmp(w->what, "loop_gated") == 0;
    tg_generate_options o = loop_options(w, LOOP_STEPS, gated ? LOOP_GATE : 0);
    if (strcmp(w->what, "loop_deepcache") == 0)
        o.deepcache.interval = DEEPCACHE;
    if (tg_generate(&result, w->session, &w->prompt, 1, &o) != TG_OK)
        die(tg_session_message(w->session));
    double seconds = tg_result_seconds(result)->denoise;
    *gmac = tg_result_gmac(result);
    tg_result_free(result);
    return seconds;
}

static double decode(work *w, double *gmac)
{
    const tg_model_info *info = tg_model_describe(w->model);
    int h = info->height / info->size_multiple, width = info->width / info->size_multiple;
    size_t n = (size_t)info->latent_channels * (size_t)h * (size_t)width;
    float *data = calloc(n, sizeof *data);
    tg_array latents = {1, info->latent_channels, h, width, data};
    tg_result *result;
    for (size_t i = 0; data && i < n; i++)
        data[i] = (float)(i * 7919 % 1000) * 1e-3f - .5f;
    double before = profiled(w);
    if (tg_decode(&result, w->session, &latents, false) != TG_OK)
        die(tg_session_message(w->session));
    double seconds = tg_result_seconds(result)->decode;
    *gmac = profiled(w) - before;
    tg_result_free(result);
    free(data);
    return seconds;
}

static double encode(work *w, double *gmac)
{
    tg_prompt *prompt;
    double before = profiled(w), start = now();
    if (tg_prompt_encode(&prompt, w->session, "a lighthouse in a storm", "blurry", NULL) != TG_OK)
        die(tg_session_message(w->session));
    double seconds = now() - start;
    *gmac = profiled(w) - before;
    tg_prompt_free(prompt);
    return seconds;
}

static double once(work *w, double *gmac)
{
    *gmac = 0;
    if (strcmp(w->what, "vae_decode") == 0)
        return decode(w, gmac);
    if (strcmp(w->what, "text_encoder") == 0)
        return encode(w, gmac);
    return loop(w, gmac);
}

static tg_dtype dtype_named(const char *name)
{
    tg_dtype dtype = TG_DTYPE_AUTO;
    if (!tg_dtype_from_name(name, &dtype))
        die("the dtype is none of f32, bf16, int8");
    return dtype;
}

int main(int argc, char **argv)
{
    double gmac;
    if (argc != 4)
        die("usage: workload WHAT f32|bf16|int8 MODEL");
    work w = {.what = argv[1]};
    tg_session_options o;
    tg_session_options_init(&o);
    o.dtype = dtype_named(argv[2]);
    o.profile = strcmp(w.what, "vae_decode") == 0 || strcmp(w.what, "text_encoder") == 0;
    if (tg_model_open(&w.model, argv[3], NULL) != TG_OK)
        die(tg_model_message(w.model));
    tg_status status = tg_session_new(&w.session, w.model, &o);
    if (status == TG_ERROR_UNSUPPORTED) {
        fprintf(stderr, "workload: %s\n", tg_session_message(w.session));
        return NOT_HERE;
    }
    if (status != TG_OK)
        die(tg_session_message(w.session));
    bool denoises = strcmp(w.what, "unet_step") == 0 || strncmp(w.what, "loop", 4) == 0;
    if (denoises && tg_prompt_encode(&w.prompt, w.session, "a lighthouse", "", NULL) != TG_OK)
        die(tg_session_message(w.session));
    if (denoises)
        tg_session_trim(w.session, TG_TRIM_TEXT_ENCODERS);
    if (strcmp(w.what, "unet_step") == 0) {
        steps(&w);
    } else {
        once(&w, &gmac);
        say("ready %.9g\n", gmac);
        while (asked())
            say("%.9g\n", once(&w, &gmac));
    }
    tg_prompt_free(w.prompt);
    tg_session_free(w.session);
    tg_model_close(w.model);
    return 0;
}
