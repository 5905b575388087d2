/* SPDX-License-Identifier: MIT */
/* Text to what a denoiser is told. */
#include <stdlib.h>
#include <string.h>

#include "core/options.h"
#include "core/parallel.h"
#include "pipeline/check.h"
#include "pipeline/session.h"

/* ---------------------------------------------------------------------------------- conditions */

tg__condition *tg__prompt_add(tg_prompt *prompt, const char *name, int rows, int width,
                              tg__error *error)
{
    if (tg__failed(error))
        return NULL;
    size_t n = (size_t)rows * (size_t)width;
    tg__condition *c = &prompt->conditions[prompt->count];
    *c = (tg__condition){.name = name,
                         .rows = rows,
                         .width = width,
                         .positive = calloc(n, sizeof(float)),
                         .negative = calloc(n, sizeof(float))};
    prompt->count++;
    if (c->positive && c->negative)
        return c;
    tg__fail_memory(error);
    return NULL;
}

const tg__condition *tg__prompt_find(const tg_prompt *prompt, const char *name)
{
    for (int i = 0; i < prompt->count; i++)
        if (strcmp(prompt->conditions[i].name, name) == 0)
            return &prompt->conditions[i];
    return NULL;
}

bool tg__prompt_alike(const tg_prompt *a, const tg_prompt *b)
{
    bool alike = a->count == b->count;
    for (int i = 0; alike && i < a->count; i++)
        alike = strcmp(a->conditions[i].name, b->conditions[i].name) == 0 &&
                a->conditions[i].rows == b->conditions[i].rows &&
                a->conditions[i].width == b->conditions[i].width;
    return alike;
}

/* ---------------------------------------------------------------------------------------- text */

tg_status tg__token_ids(tg_session *s, int role, const char *what, const char *text, int32_t *ids,
                        int *count)
{
    const tg_model *m = s->model;
    int context = m->contexts[role], vocabulary = m->networks[role]->facts.vocabulary;
    const tg__tokenizer *tokenizer = m->tokenizers[role];
    size_t lost;
    if (tg__tokenize_padded(tokenizer, text, context, ids, count, &lost, &s->error) != TG_OK) {
        tg__error_where(&s->error, what);
        return s->error.status;
    }
    if (lost != SIZE_MAX) {
        char shown[1024];
        tg__log(&m->log, TG_LOG_WARNING, "%s is longer than %d tokens; these words are lost: %s",
                what, context - tokenizer->class->frame,
                tg__printable(shown, sizeof shown, text + lost));
    }
    for (int i = 0; i < context; i++)
        if (ids[i] < 0 || ids[i] >= vocabulary)
            return tg__fail(&s->error, TG_ERROR_FORMAT,
                            "%s: token %d, expected less than vocab_size %d in %s/config.json",
                            what, (int)ids[i], vocabulary, m->networks[role]->name);
    return TG_OK;
}

/* The place of the token whose state is the pooled one. */
static size_t end_of(const int32_t *ids, int context, int end_token)
{
    int largest = 0;
    for (int i = 0; i < context; i++) {
        if (ids[i] == end_token)
            return (size_t)i;
        if (ids[i] > ids[largest])
            largest = i;
    }
    return end_token < 0 ? (size_t)largest : 0; /* 0: as transformers, where there is none */
}

/* What a text encoder reads and makes. */
typedef struct text_arrays {
    int32_t *ids;
    float *states, *pooled;
    size_t context, width, pooled_width;
} text_arrays;

static void run_encoder(tg_session *s, int role, const text_arrays *a, const tg__encoding *to)
{
    const tg__facts *facts = &s->model->networks[role]->facts;
    size_t size = sizeof(float);
    tg__pass pass = {.kind = to->kind, .n = 1, .tokens = (int)a->context, .skip = to->skip};
    tg__array_port ports[] = {{"ids", a->ids, NULL, a->context * sizeof *a->ids},
                              {"hidden_states", NULL, a->states, a->context * a->width * size},
                              {"pooled", NULL, a->pooled, a->context * a->pooled_width * size}};
    if (tg__session_run_pass(s, role, &pass, ports, a->pooled_width > 0 ? 3 : 2) != TG_OK)
        return;
    for (size_t i = 0; i < a->context; i++)
        memcpy(to->states + i * to->stride, a->states + i * a->width, a->width * size);
    if (to->pooled)
        memcpy(to->pooled,
               a->pooled + end_of(a->ids, (int)a->context, facts->end_token) * a->pooled_width,
               a->pooled_width * size);
}

tg_status tg__encode_text(tg_session *s, tg_prompt *prompt, int role, const char *what,
                          const char *text, const tg__encoding *to)
{
    const tg__facts *facts = &s->model->networks[role]->facts;
    text_arrays a = {.context = (size_t)s->model->contexts[role],
                     .width = (size_t)facts->text_width,
                     .pooled_width = to->kind == TG__PASS_STATES ? (size_t)facts->pooled_width : 0};
    tg__pass pass = {.kind = to->kind, .n = 1, .tokens = (int)a.context, .skip = to->skip};
    a.ids = calloc(a.context, sizeof *a.ids);
    a.states = calloc(a.context * a.width, sizeof *a.states);
    a.pooled = calloc(a.context * a.pooled_width + 1, sizeof *a.pooled);
    double start = tg__seconds();
    int count;
    if (!a.ids || !a.states || !a.pooled) {
        tg__fail_memory(&s->error);
    } else if (tg__token_ids(s, role, what, text, a.ids, &count) == TG_OK &&
               tg__session_program(s, role, &pass)) {
        double loaded = tg__seconds();
        run_encoder(s, role, &a, to);
        prompt->load_seconds += loaded - start;
        prompt->seconds += tg__seconds() - loaded;
    }
    free(a.ids);
    free(a.states);
    free(a.pooled);
    return s->error.status;
}

int tg__most_skip(const tg_model *m)
{
    int least = INT32_MAX;
    for (int i = 0; i < m->class->role_count; i++)
        if (m->contexts[i] > 0 && m->networks[i]->facts.layers < least)
            least = m->networks[i]->facts.layers;
    return least - m->class->text_skip;
}

static bool has_second_text(const tg_model *m)
{
    int encoders = 0;
    for (int i = 0; i < m->class->role_count; i++)
        encoders += m->contexts[i] > 0;
    return encoders > 1;
}

static const tg_prompt_options default_options = {.size = sizeof(tg_prompt_options)};

void tg_prompt_options_init_sized(tg_prompt_options *options, size_t size)
{
    tg__options_init(options, size, &default_options, sizeof default_options);
}

tg_status tg__check_prompt(const tg_model *m, tg_prompt_options *o,
                           const tg_prompt_options *options, tg__error *error)
{
    int most = tg__most_skip(m);
    *o = default_options;
    tg__options_read(o, sizeof *o, options, "tg_prompt_options", error);
    if (o->clip_skip < 0 || o->clip_skip > most)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "clip_skip", "clip_skip is %d, expected 0 to %d",
                       o->clip_skip, most);
    if (o->clean_caption && !m->class->captions)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "clean_caption",
                       "clean_caption: %s does not clean captions", m->class->names[0]);
    const char *second = o->text_2 ? "text_2" : o->negative_2 ? "negative_2" : NULL;
    if (second && !has_second_text(m))
        tg__fail_about(error, TG_ERROR_ARGUMENT, second,
                       "%s: this model has one text encoder, expected a model with two", second);
    return error->status;
}

static tg_prompt *prompt_new(const tg_model *model, tg__error *error)
{
    tg_prompt *prompt = calloc(1, sizeof *prompt);
    if (!prompt) {
        tg__fail_memory(error);
        return NULL;
    }
    prompt->model = model;
    prompt->number = tg__identity_new().source;
    return prompt;
}

static void encode(tg_prompt **prompt, tg_session *s, const char *text, const char *negative,
                   const tg_prompt_options *options)
{
    tg_prompt_options o;
    if (!tg__given(prompt, "prompt", &s->error) || !tg__given(text, "text", &s->error) ||
        tg__check_prompt(s->model, &o, options, &s->error) != TG_OK)
        return;
    s->progress = (tg_progress){.phase = TG_PHASE_TEXT};
    if (!tg__session_report(s))
        return;
    tg_prompt *made = prompt_new(s->model, &s->error);
    tg__texts texts = {text, negative, o.text_2, o.negative_2, o.clip_skip, o.clean_caption};
    if (made && s->model->class->encode(s, made, &texts) == TG_OK)
        *prompt = made;
    else
        tg_prompt_free(made);
}

tg_status tg_prompt_encode(tg_prompt **prompt, tg_session *s, const char *text,
                           const char *negative, const tg_prompt_options *options)
{
    tg__call call;
    if (prompt)
        *prompt = NULL;
    if (tg__session_enter(s, &call) != TG_OK)
        return s ? s->error.status : TG_ERROR_ARGUMENT;
    encode(prompt, s, text, negative, options);
    if (!tg__failed(&s->unencoded))
        s->unencoded = s->error;
    return tg__session_leave(s, &call);
}

/* ---------------------------------------------------------------------------------- embeddings */

static void check_finite(const float *x, size_t n, const char *name, tg__error *error)
{
    size_t bad = x ? tg__first_not_finite(x, n) : n;
    if (bad < n)
        tg__fail(error, TG_ERROR_ARGUMENT, "%s: holds %g at %zu, expected finite numbers", name,
                 (double)x[bad], bad);
}

static void copy_embedding(tg_prompt *prompt, const tg__port *port, int width,
                           const tg_embedding *e, tg__error *error)
{
    enum { MOST_ROWS = 1 << 16 };
    if (e->rows < 1 || e->rows > MOST_ROWS || e->width != width || !e->positive) {
        tg__fail(error, TG_ERROR_ARGUMENT, "%s: %d rows of %d values, expected 1 to %d of %d",
                 port->name, e->rows, e->width, MOST_ROWS, width);
        return;
    }
    size_t n = (size_t)e->rows * (size_t)e->width;
    check_finite(e->positive, n, port->name, error);
    check_finite(e->negative, n, port->name, error);
    tg__condition *c = tg__prompt_add(prompt, port->name, e->rows, e->width, error);
    if (!c)
        return;
    memcpy(c->positive, e->positive, n * sizeof(float));
    if (e->negative)
        memcpy(c->negative, e->negative, n * sizeof(float));
}

static const tg_embedding *find_embedding(const tg_embedding *embeddings, int count,
                                          const char *name)
{
    for (int i = 0; i < count; i++)
        if (embeddings[i].name && strcmp(embeddings[i].name, name) == 0)
            return &embeddings[i];
    return NULL;
}

/* One embedding for each condition of the denoiser that a prompt has, and no other. */
static void copy_embeddings(tg_prompt *prompt, const tg_embedding *embeddings, int count,
                            tg__error *error)
{
    const tg__network *denoiser = tg__denoiser(prompt->model);
    for (const tg__port *port = denoiser->class->ports; port->name; port++) {
        int width = port->width && !port->of_request ? port->width(denoiser) : 0;
        const tg_embedding *e = find_embedding(embeddings, count, port->name);
        if (width > 0 && !e)
            tg__fail(error, TG_ERROR_ARGUMENT, "%s: missing among the embeddings", port->name);
        else if (width > 0 && !tg__failed(error))
            copy_embedding(prompt, port, width, e, error);
    }
    if (!tg__failed(error) && prompt->count != count)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "count",
                       "count is %d, expected %d as the denoiser's conditions", count,
                       prompt->count);
}

tg_status tg_prompt_from_embeddings(tg_prompt **prompt, const tg_model *model,
                                    const tg_embedding *embeddings, int count, tg_error *error)
{
    tg__error own, *e = tg__error_begin(error, &own);
    if (prompt)
        *prompt = NULL;
    if (!tg__given(prompt, "prompt", e) || !tg__given(model, "model", e))
        return e->status;
    if (tg__failed(&model->error))
        return tg__fail_about(e, TG_ERROR_ARGUMENT, "model", "the model is not open: %s",
                              model->error.message);
    if (!tg__given(embeddings, "embeddings", e))
        return e->status;
    tg_prompt *made = prompt_new(model, e);
    if (made)
        copy_embeddings(made, embeddings, count, e);
    if (tg__failed(e))
        tg_prompt_free(made);
    else
        *prompt = made;
    return e->status;
}

bool tg_prompt_embedding(const tg_prompt *prompt, int index, tg_embedding *embedding)
{
    if (embedding)
        *embedding = (tg_embedding){0};
    if (!prompt || !embedding || index < 0 || index >= prompt->count)
        return false;
    const tg__condition *c = &prompt->conditions[index];
    *embedding = (tg_embedding){c->name, c->rows, c->width, c->positive, c->negative};
    return true;
}

void tg__prompt_clear(tg_prompt *p)
{
    for (int i = 0; i < p->count; i++) {
        free(p->conditions[i].positive);
        free(p->conditions[i].negative);
    }
    p->count = 0;
}

void tg_prompt_free(tg_prompt *p)
{
    if (!p)
        return;
    tg__prompt_clear(p);
    free(p);
}
