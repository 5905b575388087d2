/* SPDX-License-Identifier: MIT */
/* The denoising loop: it carries a recipe out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "core/rng.h"
#include "pipeline/bins.h"
#include "pipeline/check.h"
#include "pipeline/preview.h"
#include "pipeline/session.h"

typedef struct loop {
    tg_session *session;
    const tg_generate_options *options;
    tg_prompt *const *prompts; /* one, or one for each picture */
    int prompt_count;
    tg_result *result;
    tg__scheduler *scheduler;
    tg__recipe recipe;
    tg_prompt told; /* the conditions that follow from the request */
    tg__rng *rngs;  /* one, or one for each picture */
    int rng_count, count, channels, h, w;
    size_t n;               /* values of the whole batch */
    tg__program **programs; /* by evaluation */
    float *latents, *input, *output, *noise;
    tg__memory sample, timestep, made; /* the denoiser's ports */
    tg__memory guidance;               /* another, of a denoiser that is told it */
    /* The prompts' and then the request's: of a guided batch and of one without guidance, the same
     * memory where the one begins with the other. */
    tg__memory guided[TG__MAX_CONDITIONS], single[TG__MAX_CONDITIONS];
    double *times; /* of each evaluation, for the progress */
} loop;

static int halves(const loop *l) { return l->recipe.guidance ? 2 : 1; }

static int condition_count(const loop *l) { return l->prompts[0]->count + l->told.count; }

static const tg_prompt *prompt_of(const loop *l, int picture)
{
    return l->prompts[l->prompt_count == 1 ? 0 : picture];
}

static const tg__condition *condition_of(const loop *l, int i, int picture)
{
    const tg_prompt *prompt = prompt_of(l, picture);
    return i < prompt->count ? &prompt->conditions[i] : &l->told.conditions[i - prompt->count];
}

/* ---------------------------------------------------------------------------------- preparation */

static tg_status fail_latents(loop *l)
{
    return tg__fail(&l->session->error, TG_ERROR_MEMORY,
                    "out of memory: %d latents of %d x %d x %d", l->count, l->channels, l->h, l->w);
}

static tg_status make_recipe(loop *l)
{
    tg_session *s = l->session;
    size_t most = (size_t)tg__scheduler_evaluations(l->scheduler);
    const tg__condition *text = tg__prompt_find(l->prompts[0], "text");
    tg__request request = {.model = s->model,
                           .options = l->options,
                           .scheduler = l->scheduler,
                           .count = l->count,
                           .h = l->h,
                           .w = l->w,
                           .tokens = text ? text->rows : 0};
    l->recipe.evaluations = calloc(most, sizeof *l->recipe.evaluations);
    l->recipe.rules = calloc(most, sizeof *l->recipe.rules);
    l->recipe.deep_rules = calloc(most, sizeof *l->recipe.deep_rules);
    l->recipe.full = calloc(most, sizeof *l->recipe.full);
    l->programs = calloc(most, sizeof *l->programs);
    l->times = calloc(most, sizeof *l->times);
    if (!l->recipe.evaluations || !l->recipe.rules || !l->recipe.deep_rules || !l->recipe.full ||
        !l->programs || !l->times)
        return tg__fail_memory(&s->error);
    s->model->class->recipe(&l->recipe, &request);
    l->told.model = s->model;
    return s->model->class->tell ? s->model->class->tell(&l->told, &request, &s->error) : TG_OK;
}

static tg_status allocate(loop *l)
{
    tg_session *s = l->session;
    const tg__backend_class *backend = s->backend->class;
    size_t bytes = l->n * sizeof(float), made = (size_t)halves(l) * bytes;
    l->rngs = calloc((size_t)l->rng_count, sizeof *l->rngs);
    l->input = malloc(bytes);
    l->output = malloc(made);
    l->noise = malloc(bytes);
    l->sample = backend->allocate(s->backend, bytes);
    l->timestep = backend->allocate(s->backend, sizeof(float));
    l->made = backend->allocate(s->backend, made);
    if (!l->rngs || !l->input || !l->output || !l->noise || !l->sample || !l->timestep ||
        !l->made ||
        !tg__array_new(&l->result->latents, l->count, l->channels, l->h, l->w, &s->error))
        return fail_latents(l);
    l->latents = (float *)(uintptr_t)l->result->latents.data;
    return TG_OK;
}

static void release(loop *l)
{
    tg_session *s = l->session;
    const tg__backend_class *backend = s->backend->class;
    tg__scheduler_free(l->scheduler);
    free(l->recipe.evaluations);
    free(l->recipe.rules);
    free(l->recipe.deep_rules);
    free(l->recipe.full);
    free(l->programs);
    free(l->times);
    free(l->rngs);
    free(l->input);
    free(l->output);
    free(l->noise);
    backend->release(s->backend, l->sample);
    backend->release(s->backend, l->timestep);
    backend->release(s->backend, l->made);
    backend->release(s->backend, l->guidance);
    for (int i = 0; i < TG__MAX_CONDITIONS; i++) {
        backend->release(s->backend, l->guided[i]);
        if (l->single[i] != l->guided[i])
            backend->release(s->backend, l->single[i]);
    }
    tg__prompt_clear(&l->told);
}

/* Which side of its picture's condition a row of a batch is. */
typedef enum side { POSITIVE, NEGATIVE, HALVES, BY_TURNS } side; /* negative first */

static bool is_negative(const loop *l, side which, int row)
{
    if (which == HALVES)
        return row < l->count;
    return which == BY_TURNS ? row % 2 == 0 : which == NEGATIVE;
}

/* Row r of the batch is of picture r % count. */
static tg_status upload(loop *l, int i, side which, tg__memory *memory)
{
    tg_session *s = l->session;
    const tg__condition *first = condition_of(l, i, 0);
    int rows = which == HALVES || which == BY_TURNS ? 2 * l->count : l->count;
    size_t n = (size_t)first->rows * (size_t)first->width;
    size_t bytes = (size_t)rows * n * sizeof(float);
    float *all = malloc(bytes);
    *memory = s->backend->class->allocate(s->backend, bytes);
    if (!all || !*memory) {
        free(all);
        return tg__fail_memory(&s->error);
    }
    for (int row = 0; row < rows; row++) {
        const tg__condition *c = condition_of(l, i, row % l->count);
        memcpy(all + (size_t)row * n, is_negative(l, which, row) ? c->negative : c->positive,
               n * sizeof *all);
    }
    s->backend->class->upload(s->backend, *memory, all, bytes);
    free(all);
    return TG_OK;
}

/* The guidance scale as a denoiser with a guidance embedding is told it: sinusoids of a thousand
 * times the scale less one. In f32, whose rounding the large angles make visible. */
static void embed_guidance(float *dst, int width, double guidance)
{
    float w = (float)(guidance - 1) * 1000;
    int half = width / 2;
    float ratio = logf(10000) / (float)(half - 1);
    for (int i = 0; i < half; i++) {
        float angle = w * expf((float)i * -ratio);
        dst[i] = sinf(angle);
        dst[half + i] = cosf(angle);
    }
}

static tg_status upload_guidance(loop *l)
{
    tg_session *s = l->session;
    int width = tg__denoiser(s->model)->facts.guidance_width;
    size_t bytes = (size_t)width * sizeof(float);
    if (width == 0)
        return TG_OK;
    float *embedding = calloc((size_t)width, sizeof *embedding);
    l->guidance = s->backend->class->allocate(s->backend, bytes);
    if (embedding && l->guidance) {
        embed_guidance(embedding, width, l->options->guidance);
        s->backend->class->upload(s->backend, l->guidance, embedding, bytes);
    } else {
        tg__fail_memory(&s->error);
    }
    free(embedding);
    return s->error.status;
}

/* Condition i of all pictures. After the gate a request with guidance goes on with its negative
 * side. */
static tg_status upload_condition(loop *l, int i)
{
    bool guidance = l->recipe.guidance, by_turns = condition_of(l, i, 0)->by_turns;
    tg_status status = upload(l, i,
                              !guidance  ? POSITIVE
                              : by_turns ? BY_TURNS
                                         : HALVES,
                              &l->guided[i]);
    if (guidance && by_turns)
        return status == TG_OK ? upload(l, i, NEGATIVE, &l->single[i]) : status;
    l->single[i] = l->guided[i];
    return status;
}

/* To a program for a batch of n. It may want other rows than a caller's embeddings have. */
static tg_status bind_conditions(const loop *l, int role, int n, bool guided, tg__program *program)
{
    const tg__backend_class *backend = l->session->backend->class;
    for (int i = 0; i < condition_count(l); i++) {
        const tg__condition *c = condition_of(l, i, 0);
        int slot = tg__network_slot(l->session->model->networks[role], c->name);
        size_t row = (size_t)n * (size_t)c->width * sizeof(float);
        size_t wanted = slot >= 0 ? backend->external_bytes(program, slot) : 0;
        if (wanted == 0)
            continue;
        if (wanted != row * (size_t)c->rows)
            return tg__fail_about(&l->session->error, TG_ERROR_ARGUMENT, "prompts",
                                  "%s has %d rows, expected %zu", c->name, c->rows, wanted / row);
        backend->bind(program, slot, guided ? l->guided[i] : l->single[i]);
    }
    return TG_OK;
}

/* Whether what the network keeps of its text pass is of these prompts. */
static bool texts_are_kept(const loop *l, int role)
{
    const tg__kept *kept = &l->session->kept[role];
    bool same = kept->pictures == l->count && kept->negatives == l->recipe.guidance;
    for (int i = 0; same && i < l->count; i++)
        same = kept->prompts[i] == prompt_of(l, i)->number;
    return same;
}

/* Room to note these prompts; until then what is kept is nobody's. */
static tg_status forget_texts(const loop *l, int role)
{
    tg__kept *kept = &l->session->kept[role];
    kept->pictures = 0;
    free(kept->prompts);
    kept->prompts = malloc((size_t)l->count * sizeof *kept->prompts);
    return kept->prompts ? TG_OK : tg__fail_memory(&l->session->error);
}

static void note_texts(const loop *l, int role)
{
    tg__kept *kept = &l->session->kept[role];
    for (int i = 0; i < l->count; i++)
        kept->prompts[i] = prompt_of(l, i)->number;
    kept->pictures = l->count;
    kept->negatives = l->recipe.guidance;
}

/* What depends on the prompts alone. Its packed weights go before the others are made. */
static tg_status run_text_pass(loop *l, int role)
{
    tg_session *s = l->session;
    tg__pass pass = {.kind = TG__PASS_TEXT,
                     .n = l->count * halves(l),
                     .tokens = l->recipe.evaluations[0].pass.tokens};
    if (!s->model->networks[role]->class->text_pass || texts_are_kept(l, role))
        return TG_OK;
    tg__program *program =
        forget_texts(l, role) == TG_OK ? tg__session_program(s, role, &pass) : NULL;
    if (!program || tg__session_reserve_kept(s, role, program) != TG_OK ||
        tg__session_bind(s, program) != TG_OK)
        return s->error.status;
    if (bind_conditions(l, role, pass.n, l->recipe.guidance, program) != TG_OK)
        return s->error.status;
    tg__session_bind_kept(s, role, program);
    int64_t macs = s->backend->class->needs(program).macs;
    l->result->macs += macs;
    l->result->macs_plain += macs;
    if (tg__session_run(s, program))
        note_texts(l, role);
    tg__session_end_text(s, role);
    return s->error.status;
}

static tg_status bind_ports(const loop *l, const tg__evaluation *e, tg__program *program)
{
    const tg__backend_class *backend = l->session->backend->class;
    const tg__network *network = l->session->model->networks[e->role];
    backend->bind(program, tg__network_slot(network, "sample"), l->sample);
    backend->bind(program, tg__network_slot(network, "timestep"), l->timestep);
    backend->bind(program, tg__network_slot(network, "output"), l->made);
    if (network->facts.guidance_width > 0)
        backend->bind(program, tg__network_slot(network, "guidance"), l->guidance);
    bool guided = e->pass.gate.guided;
    return bind_conditions(l, e->role, guided ? 2 * e->pass.n : e->pass.n, guided, program);
}

/* One program for each pass that occurs, in a workspace that all of them share. */
static tg_status make_programs(loop *l)
{
    tg_session *s = l->session;
    for (int i = 0; i < condition_count(l); i++)
        if (upload_condition(l, i) != TG_OK)
            return s->error.status;
    if (upload_guidance(l) != TG_OK || run_text_pass(l, l->recipe.evaluations[0].role) != TG_OK)
        return s->error.status;
    for (int i = 0; i < l->recipe.count; i++) {
        const tg__evaluation *e = &l->recipe.evaluations[i];
        l->programs[i] = tg__session_program(s, e->role, &e->pass);
        if (!l->programs[i] || tg__session_reserve_kept(s, e->role, l->programs[i]) != TG_OK ||
            tg__session_bind(s, l->programs[i]) != TG_OK)
            return s->error.status;
    }
    for (int i = 0; i < l->recipe.count; i++) {
        const tg__evaluation *e = &l->recipe.evaluations[i];
        if (tg__session_bind(s, l->programs[i]) != TG_OK) /* the workspace may have moved since */
            return s->error.status;
        tg__session_bind_kept(s, e->role, l->programs[i]);
        if (bind_ports(l, e, l->programs[i]) != TG_OK)
            return s->error.status;
    }
    return TG_OK;
}

/* Multiplications of the loop, and of the same loop without the gate and DeepCache. */
static tg_status count_macs(loop *l)
{
    tg_session *s = l->session;
    tg__needs needs;
    tg__pass plain = l->recipe.evaluations[0].pass;
    plain.gate = (tg__gate_step){.guided = l->recipe.guidance};
    plain.deep = (tg__deep_step){0};
    tg__session_measure(s, l->recipe.evaluations[0].role, &plain, &needs);
    l->result->macs_plain += needs.macs * l->recipe.count;
    for (int i = 0; i < l->recipe.count; i++)
        l->result->macs += s->backend->class->needs(l->programs[i]).macs;
    return s->error.status;
}

/* -------------------------------------------------------------------------------------- noise */

/* Normal values for the whole batch. */
static void draw(loop *l, float *dst)
{
    size_t each = l->n / (size_t)l->rng_count;
    for (int i = 0; i < l->rng_count; i++)
        tg__rng_normal(&l->rngs[i], dst + (size_t)i * each, each);
}

static void first_latents(loop *l)
{
    const tg_generate_options *o = l->options;
    for (int i = 0; i < l->rng_count; i++)
        tg__rng_seed(&l->rngs[i], o->rng, o->seeds ? o->seeds[i] : o->seed);
    if (o->latents)
        memcpy(l->latents, o->latents->data, l->n * sizeof *l->latents);
    else
        draw(l, l->latents);
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

/* Inference steps that are done once `done` evaluations are. */
static int steps_done(const loop *l, int done)
{
    if (done == l->recipe.count)
        return l->recipe.steps;
    return l->recipe.evaluations[done].step - l->recipe.evaluations[0].step;
}

/* Where the loop is once `done` evaluations are. times of these are kept sorted, for their median.
 */
static bool report(loop *l, int done)
{
    tg_session *s = l->session;
    tg_progress *p = &s->progress;
    *p = (tg_progress){
        .phase = TG_PHASE_DENOISE, .step = steps_done(l, done), .steps = l->recipe.steps};
    if (done > 0) {
        double per_step = (double)l->recipe.count / l->recipe.steps;
        qsort(l->times, (size_t)done, sizeof *l->times, by_value);
        p->seconds_per_step = l->times[done / 2] * per_step;
        p->seconds_left = l->times[done / 2] * (l->recipe.count - done);
    }
    p->latents = (tg_array){l->count, l->channels, l->h, l->w, l->latents};
    if (l->options->preview && s->progress_function)
        p->preview = tg__preview_make(s, l->latents, l->count, l->h, l->w);
    bool go_on = tg__session_report(s);
    p->latents = p->preview = (tg_array){0}; /* they change while the next step runs */
    return go_on;
}

static bool all_finite(const float *x, size_t n)
{
    float sum = 0; /* 0 * x is 0, or NaN where x is not finite */
    for (size_t i = 0; i < n; i++)
        sum += 0 * x[i];
    return sum == 0;
}

/* False if the call was cancelled. */
static bool evaluate(loop *l, int i)
{
    tg_session *s = l->session;
    tg__scheduler *scheduler = l->scheduler;
    const tg__evaluation *e = &l->recipe.evaluations[i];
    size_t made = (e->pass.gate.guided ? 2 : 1) * l->n;
    float timestep = tg__scheduler_timestep(scheduler, e->index);
    tg__scheduler_scale_input(scheduler, e->index, l->input, l->latents);
    s->backend->class->upload(s->backend, l->sample, l->input, l->n * sizeof(float));
    s->backend->class->upload(s->backend, l->timestep, &timestep, sizeof timestep);
    if (!tg__session_run(s, l->programs[i]))
        return false;
    s->backend->class->download(s->backend, l->output, l->made, made * sizeof(float));
    if (e->pass.gate.guided)
        guide(l);
    bool noisy = tg__scheduler_wants_noise(scheduler, e->index);
    if (noisy)
        draw(l, l->noise);
    tg__scheduler_step(scheduler, e->index, l->output, l->latents, noisy ? l->noise : NULL);
    return true;
}

static tg_status cancelled_at(loop *l, int i)
{
    tg__error *error = &l->session->error;
    *error = (tg__error){0};
    if (i == l->recipe.count)
        return tg__fail(error, TG_ERROR_CANCELLED, "cancelled after the last step");
    return tg__fail(error, TG_ERROR_CANCELLED, "cancelled at step %d of %d", steps_done(l, i),
                    l->recipe.steps);
}

static tg_status denoise(loop *l)
{
    int broken = -1;
    first_latents(l);
    for (int i = 0; i < l->recipe.count; i++) {
        double start = tg__seconds();
        if (!report(l, i) || !evaluate(l, i))
            return cancelled_at(l, i);
        l->times[i] = tg__seconds() - start;
        if (broken < 0 && !all_finite(l->latents, l->n))
            broken = i;
    }
    if (!all_finite(l->latents, l->n))
        return tg__fail(
            &l->session->error, TG_ERROR_NUMERIC,
            "the latents are not finite, from step %d of %d on (timestep %g)", broken + 1,
            l->recipe.count,
            (double)tg__scheduler_timestep(l->scheduler, l->recipe.evaluations[broken].index));
    return report(l, l->recipe.count) ? TG_OK : cancelled_at(l, l->recipe.count);
}

static bool report_phase(tg_session *s, tg_phase phase)
{
    s->progress = (tg_progress){.phase = phase};
    return tg__session_report(s);
}

/* Pictures of another size than was asked for are a bin's. */
static tg_status fit_pictures(loop *l)
{
    tg_array *made = &l->result->pictures, fitted;
    const tg_generate_options *o = l->options;
    if (made->height == o->height && made->width == o->width)
        return TG_OK;
    if (!tg__array_new(&fitted, made->count, made->channels, o->height, o->width,
                       &l->session->error))
        return l->session->error.status;
    size_t from = (size_t)made->channels * (size_t)made->height * (size_t)made->width;
    size_t to = (size_t)made->channels * (size_t)o->height * (size_t)o->width;
    for (size_t i = 0; i < (size_t)made->count; i++)
        tg__fit_picture((float *)(uintptr_t)fitted.data + i * to, o->height, o->width,
                        made->data + i * from, made->channels, made->height, made->width);
    free((float *)(uintptr_t)made->data);
    *made = fitted;
    return TG_OK;
}

static void run(loop *l)
{
    tg_session *s = l->session;
    const tg_generate_options *o = l->options;
    tg_seconds *seconds = &l->result->seconds;
    double start = tg__seconds();
    if (!report_phase(s, TG_PHASE_LOAD))
        return;
    l->scheduler = tg__model_scheduler(s->model, &s->error);
    tg__steps steps = tg__steps_of(o);
    if (!l->scheduler ||
        tg__scheduler_set_steps(l->scheduler, &steps, l->n, l->count, &s->error) != TG_OK)
        return;
    if (o->preview && s->progress_function && tg__preview_prepare(s, l->count, l->h, l->w) != TG_OK)
        return;
    if (make_recipe(l) != TG_OK || allocate(l) != TG_OK || make_programs(l) != TG_OK ||
        count_macs(l) != TG_OK)
        return;
    double loaded = tg__seconds();
    tg_status status = denoise(l);
    double denoised = tg__seconds();
    for (int i = 0; i < l->prompt_count; i++) {
        seconds->text += l->prompts[i]->seconds;
        seconds->load += l->prompts[i]->load_seconds;
    }
    seconds->load += loaded - start;
    seconds->denoise = denoised - loaded;
    if (status != TG_OK || !o->decode || !report_phase(s, TG_PHASE_DECODE))
        return;
    if (o->release_denoiser && !s->profile && !s->caches)
        tg__session_release(s, s->model->class->denoiser);
    tg__session_decode(s, l->result, (float)(1 / tg__autoencoder(s->model)->facts.scaling_factor));
    if (!o->latents && !tg__failed(&s->error))
        fit_pictures(l);
}

static loop loop_of(tg_session *s, const tg_generate_options *o, tg_result *result)
{
    loop l = {.session = s, .options = o, .result = result};
    l.count = o->latents ? o->latents->count : o->count;
    l.channels = tg__denoiser(s->model)->facts.in_channels;
    tg__latents_of(s->model, o, &l.h, &l.w);
    l.n = (size_t)l.count * (size_t)l.channels * (size_t)l.h * (size_t)l.w;
    l.rng_count = o->seeds ? l.count : 1;
    return l;
}

/* A prompt is NULL: why it could not be encoded, if that is so. */
static tg_status fail_null_prompt(tg_session *s)
{
    if (tg__failed(&s->unencoded))
        s->error = s->unencoded;
    else
        tg__given(NULL, "prompt", &s->error);
    return s->error.status;
}

/* Whether these prompts make this batch: the model's own, with conditions of one size. */
static tg_status check_prompts(tg_session *s, tg_prompt *const *prompts, int prompt_count,
                               int count)
{
    const char *name = "prompts";
    if (!tg__given(prompts, name, &s->error))
        return s->error.status;
    if (prompt_count != 1 && prompt_count != count)
        return tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "prompt_count",
                              "prompt_count is %d, expected 1 or %d as count", prompt_count, count);
    for (int i = 0; i < prompt_count; i++) {
        if (!prompts[i])
            return fail_null_prompt(s);
        if (prompts[i]->model != s->model)
            return tg__fail_about(&s->error, TG_ERROR_ARGUMENT, name,
                                  "prompt %d belongs to another model", i);
        if (!tg__prompt_alike(prompts[0], prompts[i]))
            return tg__fail_about(&s->error, TG_ERROR_ARGUMENT, name,
                                  "prompt %d has embeddings of another size than prompt 0", i);
    }
    s->unencoded = (tg__error){0};
    return TG_OK;
}

static void generate(tg_result **result, tg_session *s, tg_prompt *const *prompts, int prompt_count,
                     const tg_generate_options *options)
{
    tg_generate_options o;
    if (tg__read_generate_options(&o, s->model, options, &s->error) != TG_OK ||
        tg__check_generate(s->model, &o, &s->error) != TG_OK)
        return;
    int count = o.latents ? o.latents->count : o.count;
    if (check_prompts(s, prompts, prompt_count, count) == TG_OK)
        *result = tg__result_new(&s->error);
    if (!*result)
        return;
    loop l = loop_of(s, &o, *result);
    l.prompts = prompts;
    l.prompt_count = prompt_count;
    run(&l);
    release(&l);
}

tg_status tg_generate(tg_result **result, tg_session *s, tg_prompt *const *prompts,
                      int prompt_count, const tg_generate_options *options)
{
    tg__call call;
    if (result)
        *result = NULL;
    if (tg__session_enter(s, &call) != TG_OK)
        return s ? s->error.status : TG_ERROR_ARGUMENT;
    if (tg__given(result, "result", &s->error))
        generate(result, s, prompts, prompt_count, options);
    return tg__result_leave(result, s, &call);
}
