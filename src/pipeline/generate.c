/* SPDX-License-Identifier: MIT */
/* The denoising loop. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "core/rng.h"
#include "pipeline/check.h"
#include "pipeline/session.h"

typedef struct loop {
    tg_session *session;
    const tg_generate_options *options;
    const tg_prompt *prompt;
    tg_result *result;
    tg__scheduler *scheduler;
    tg__rng rng;
    bool guidance; /* classifier-free guidance is used at all */
    int count, channels, h, w;
    size_t n; /* values of the whole batch */
    int evaluations;
    tg__gate_step *rules; /* by evaluation */
    tg__plan **plans;     /* by evaluation */
    float *latents, *input, *output, *noise;
    void *text;
    float timestep;
    double *times; /* of each evaluation, for the progress */
} loop;

/* ---------------------------------------------------------------------------------- preparation */

static tg_status allocate(loop *l)
{
    size_t evaluations = (size_t)l->evaluations, halves = l->guidance ? 2 : 1;
    l->rules = calloc(evaluations, sizeof *l->rules);
    l->plans = calloc(evaluations, sizeof *l->plans);
    l->times = calloc(evaluations, sizeof *l->times);
    l->input = malloc(l->n * sizeof *l->input);
    l->output = malloc(halves * l->n * sizeof *l->output);
    l->noise = malloc(l->n * sizeof *l->noise);
    l->text = tg__aligned(halves * (size_t)l->count * l->prompt->bytes);
    if (!l->rules || !l->plans || !l->times || !l->input || !l->output || !l->noise || !l->text ||
        !tg__array_new(&l->result->latents, l->count, l->channels, l->h, l->w, &l->session->error))
        return tg__fail(&l->session->error, TG_ERROR_MEMORY,
                        "out of memory: %d latents of %d x %d x %d", l->count, l->channels, l->h,
                        l->w);
    l->latents = (float *)l->result->latents.data;
    return TG_OK;
}

static void release(loop *l)
{
    tg__scheduler_free(l->scheduler);
    free(l->rules);
    free(l->plans);
    free(l->times);
    free(l->input);
    free(l->output);
    free(l->noise);
    free(l->text);
}

static tg__plan_key unet_key(const loop *l, tg__gate_step gate)
{
    return (tg__plan_key){.network = TG__UNET, .gate = gate, .n = l->count, .h = l->h, .w = l->w};
}

/* Keys and values of the text, once for the whole request. */
static tg_status run_text_plan(loop *l)
{
    tg_session *s = l->session;
    size_t bytes = l->prompt->bytes, count = (size_t)l->count;
    char *text = l->text;
    for (size_t i = 0; i < count; i++) {
        if (l->guidance)
            memcpy(text + i * bytes, l->prompt->negative, bytes);
        memcpy(text + ((l->guidance ? count : 0) + i) * bytes, l->prompt->positive, bytes);
    }
    tg__plan_key key = {
        .network = TG__UNET, .kind = TG__PASS_TEXT, .n = l->count * (l->guidance ? 2 : 1)};
    tg__plan *plan = tg__session_plan(s, &key);
    if (!plan || tg__session_reserve_slots(s, plan, TG__SLOT_LAYERS) != TG_OK ||
        tg__session_bind(s, plan) != TG_OK)
        return s->error.status;
    tg__plan_bind(plan, TG__UNET_TEXT, l->text);
    tg__session_bind_slots(s, plan, TG__SLOT_LAYERS);
    tg__plan_run(plan, s->profile);
    l->result->macs += tg__plan_macs(plan);
    l->result->macs_plain += tg__plan_macs(plan);
    return TG_OK;
}

/* One plan for each rule that occurs, in a workspace that all of them share. */
static tg_status make_plans(loop *l)
{
    tg_session *s = l->session;
    tg__gate_schedule(l->rules, l->evaluations, l->options->steps,
                      tg__scheduler_order(l->scheduler), &l->options->gate, l->guidance);
    for (int i = 0; i < l->evaluations; i++) {
        tg__plan_key key = unet_key(l, l->rules[i]);
        l->plans[i] = tg__session_plan(s, &key);
        if (!l->plans[i] || tg__session_reserve_slots(s, l->plans[i], TG__SLOT_LAYERS) != TG_OK ||
            tg__session_bind(s, l->plans[i]) != TG_OK)
            return s->error.status;
    }
    if (run_text_plan(l) != TG_OK)
        return s->error.status;
    for (int i = 0; i < l->evaluations; i++) {
        tg__session_bind(s, l->plans[i]); /* the workspace may have moved since */
        tg__session_bind_slots(s, l->plans[i], TG__SLOT_LAYERS);
        tg__plan_bind(l->plans[i], TG__UNET_SAMPLE, l->input);
        tg__plan_bind(l->plans[i], TG__UNET_TIMESTEP, &l->timestep);
        tg__plan_bind(l->plans[i], TG__UNET_OUTPUT, l->output);
    }
    return TG_OK;
}

/* Multiplications of the loop, and of the same loop without the gate. */
static tg_status count_macs(loop *l)
{
    tg_session *s = l->session;
    tg__plan_key key = unet_key(l, (tg__gate_step){.guided = l->guidance});
    tg__plan *plain = tg__record_plan(s->model, &s->contexts[TG__UNET], &key, tg__session_dtype(s),
                                      s->dtype == TG_DTYPE_INT8, &s->error);
    if (!plain)
        return s->error.status;
    l->result->macs_plain += tg__plan_macs(plain) * l->evaluations;
    for (int i = 0; i < l->evaluations; i++)
        l->result->macs += tg__plan_macs(l->plans[i]);
    tg__plan_free(plain);
    return s->error.status;
}

static void first_latents(loop *l)
{
    const tg_generate_options *o = l->options;
    tg__rng_seed(&l->rng, o->rng, o->seed);
    if (o->latents)
        memcpy(l->latents, o->latents->data, l->n * sizeof *l->latents);
    else
        tg__rng_normal(&l->rng, l->latents, l->n);
    float sigma = tg__scheduler_init_noise_sigma(l->scheduler);
    for (size_t i = 0; i < l->n; i++)
        l->latents[i] *= sigma;
}

/* ------------------------------------------------------------------------------------- guidance */

static double deviation(const float *x, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    return sqrt(squares / (double)(n - 1));
}

/* output = unconditional + scale * (conditional - unconditional), each picture's deviation drawn
 * towards the conditional one's by rescale (arXiv 2305.08891, section 3.4). */
static void guide(const loop *l)
{
    float scale = (float)l->options->guidance, rescale = (float)l->options->guidance_rescale;
    float *plain = l->output;
    const float *text = l->output + l->n;
    for (size_t i = 0; i < l->n; i++)
        plain[i] += scale * (text[i] - plain[i]);
    size_t picture = l->n / (size_t)l->count;
    for (size_t at = 0; rescale > 0 && at < l->n; at += picture) {
        float factor = (float)(deviation(text + at, picture) / deviation(plain + at, picture));
        for (size_t i = at; i < at + picture; i++)
            plain[i] = rescale * (plain[i] * factor) + (1 - rescale) * plain[i];
    }
}

/* ----------------------------------------------------------------------------------------- loop */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* times: of the evaluations so far; kept sorted, for their median. */
static bool report(loop *l, int done, double *times)
{
    const tg_generate_options *o = l->options;
    if (!o->progress)
        return true;
    tg_progress p = {.phase = TG_PHASE_DENOISE, .step = done, .steps = l->evaluations};
    if (done > 0) {
        qsort(times, (size_t)done, sizeof *times, by_value);
        p.seconds_per_step = times[done / 2];
        p.seconds_left = p.seconds_per_step * (l->evaluations - done);
    }
    return o->progress(o->progress_user, &p);
}

static bool all_finite(const float *x, size_t n)
{
    float sum = 0; /* 0 * x is 0, or NaN where x is not finite */
    for (size_t i = 0; i < n; i++)
        sum += 0 * x[i];
    return sum == 0;
}

static void evaluate(loop *l, int i)
{
    tg__scheduler *scheduler = l->scheduler;
    tg__scheduler_scale_input(scheduler, i, l->input, l->latents);
    l->timestep = tg__scheduler_timestep(scheduler, i);
    tg__plan_run(l->plans[i], l->session->profile);
    if (l->rules[i].guided)
        guide(l);
    bool noisy = tg__scheduler_wants_noise(scheduler, i);
    if (noisy)
        tg__rng_normal(&l->rng, l->noise, l->n);
    tg__scheduler_step(scheduler, i, l->output, l->latents, noisy ? l->noise : NULL);
}

static tg_status denoise(loop *l)
{
    tg__error *error = &l->session->error;
    int broken = 0;
    first_latents(l);
    for (int i = 0; i < l->evaluations; i++) {
        if (!report(l, i, l->times))
            return tg__fail(error, TG_ERROR_CANCELLED, "cancelled at step %d of %d", i,
                            l->evaluations);
        double start = tg__seconds();
        evaluate(l, i);
        l->times[i] = tg__seconds() - start;
        if (!broken && !all_finite(l->latents, l->n))
            broken = i + 1;
    }
    if (!all_finite(l->latents, l->n))
        return tg__fail(error, TG_ERROR_NUMERIC,
                        "the latents are not finite, from step %d of %d on (timestep %g)", broken,
                        l->evaluations, (double)tg__scheduler_timestep(l->scheduler, broken - 1));
    if (!report(l, l->evaluations, l->times))
        return tg__fail(error, TG_ERROR_CANCELLED, "cancelled after the last step");
    return TG_OK;
}

static bool report_phase(const tg_generate_options *o, tg_phase phase, tg__error *error)
{
    tg_progress p = {.phase = phase};
    if (o->progress && !o->progress(o->progress_user, &p))
        tg__fail(error, TG_ERROR_CANCELLED, "cancelled");
    return !tg__failed(error);
}

static void run(loop *l)
{
    tg_session *s = l->session;
    const tg_generate_options *o = l->options;
    tg_seconds *seconds = &l->result->seconds;
    double start = tg__seconds();
    if (!report_phase(o, TG_PHASE_LOAD, &s->error))
        return;
    l->scheduler = tg__model_scheduler(s->model, &s->error);
    if (!l->scheduler ||
        tg__scheduler_set_steps(l->scheduler, o->steps, l->n, l->count, &s->error) != TG_OK)
        return;
    l->evaluations = tg__scheduler_evaluations(l->scheduler);
    if (allocate(l) != TG_OK || make_plans(l) != TG_OK || count_macs(l) != TG_OK)
        return;
    double loaded = tg__seconds();
    tg_status status = denoise(l);
    double denoised = tg__seconds();
    seconds->text = l->prompt->seconds;
    seconds->load = l->prompt->load_seconds + loaded - start;
    seconds->denoise = denoised - loaded;
    if (status != TG_OK || !o->decode || !report_phase(o, TG_PHASE_DECODE, &s->error))
        return;
    if (o->release_unet && !s->profile && !s->caches[TG__UNET])
        tg__session_release(s, TG__UNET);
    tg__session_decode(s, l->result, (float)(1 / s->model->vae.config.scaling_factor));
}

static loop loop_of(tg_session *s, const tg_prompt *prompt, const tg_generate_options *o,
                    tg_result *result)
{
    int factor = tg__vae_factor(&s->model->vae.config);
    loop l = {.session = s, .options = o, .prompt = prompt, .result = result};
    l.guidance = o->guidance > 1;
    l.count = o->latents ? o->latents->count : o->count;
    l.channels = s->model->unet.config.in_channels;
    l.h = o->latents ? o->latents->height : o->height / factor;
    l.w = o->latents ? o->latents->width : o->width / factor;
    l.n = (size_t)l.count * (size_t)l.channels * (size_t)l.h * (size_t)l.w;
    return l;
}

tg_status tg_generate(tg_result **result, tg_session *s, const tg_prompt *prompt,
                      const tg_generate_options *options)
{
    int before = tg__session_enter(s);
    *result = NULL;
    if (!prompt || prompt->session != s)
        tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "prompt",
                       "the prompt was encoded by another session");
    else if (tg__check_generate(s->model, options, 0, &s->error) == TG_OK)
        *result = tg__result_new(&s->error);
    if (*result) {
        loop l = loop_of(s, prompt, options, *result);
        run(&l);
        release(&l);
    }
    if (tg__failed(&s->error)) {
        tg_result_free(*result);
        *result = NULL;
    }
    return tg__session_leave(s, before);
}
