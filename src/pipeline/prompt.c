/* SPDX-License-Identifier: MIT */
/* Text to what a denoiser is told. */
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "pipeline/session.h"

/* ---------------------------------------------------------------------------------- conditions */

tg__condition *tg__prompt_add(tg_prompt *prompt, const char *name, int rows, int width,
                              tg__error *error)
{
    if (tg__failed(error))
        return NULL;
    size_t n = (size_t)rows * (size_t)width;
    tg__condition *c = &prompt->conditions[prompt->count];
    *c = (tg__condition){name, rows, width, calloc(n, sizeof(float)), calloc(n, sizeof(float))};
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

/* ---------------------------------------------------------------------------------------- text */

tg_status tg__token_ids(tg_session *s, int role, const char *what, const char *text, int32_t *ids)
{
    const tg_model *m = s->model;
    int context = m->contexts[role], vocabulary = m->networks[role]->facts.vocabulary;
    size_t lost;
    if (tg__clip_tokenize_padded(m->tokenizers[role], text, context, ids, &lost, &s->error) !=
        TG_OK) {
        tg__error_where(&s->error, what);
        return s->error.status;
    }
    if (lost != SIZE_MAX) {
        char shown[1024];
        tg__log(&m->log, TG_LOG_WARNING, "%s is longer than %d tokens; these words are lost: %s",
                what, context - 2, tg__printable(shown, sizeof shown, text + lost));
    }
    for (int i = 0; i < context; i++)
        if (ids[i] < 0 || ids[i] >= vocabulary)
            return tg__fail(&s->error, TG_ERROR_FORMAT,
                            "%s: token %d, expected less than vocab_size %d in %s/config.json",
                            what, (int)ids[i], vocabulary, m->networks[role]->name);
    return TG_OK;
}

tg_status tg__encode_text(tg_session *s, tg_prompt *prompt, int role, const char *what,
                          const char *text, int skip, float *dst)
{
    int context = s->model->contexts[role], width = s->model->networks[role]->facts.text_width;
    tg__pass pass = {.n = 1, .tokens = context, .skip = skip};
    int32_t *ids = calloc((size_t)context, sizeof *ids);
    if (!ids)
        return tg__fail_memory(&s->error);
    double start = tg__seconds();
    if (tg__token_ids(s, role, what, text, ids) == TG_OK && tg__session_program(s, role, &pass)) {
        double loaded = tg__seconds();
        tg__array_port ports[] = {
            {"ids", ids, NULL, (size_t)context * sizeof *ids},
            {"hidden_states", NULL, dst, (size_t)context * (size_t)width * sizeof *dst}};
        tg__session_run_pass(s, role, &pass, ports, 2);
        prompt->load_seconds += loaded - start;
        prompt->seconds += tg__seconds() - loaded;
    }
    free(ids);
    return s->error.status;
}

int tg__most_skip(const tg_model *m)
{
    int least = INT32_MAX;
    for (int i = 0; i < m->class->role_count; i++)
        if (m->class->roles[i].tokenizer && m->networks[i]->facts.layers < least)
            least = m->networks[i]->facts.layers;
    return least;
}

static tg_status encode(tg_session *s, tg_prompt *prompt, const tg__texts *texts)
{
    int most = tg__most_skip(s->model);
    if (texts->clip_skip < 0 || texts->clip_skip > most)
        return tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "clip_skip",
                       "clip_skip is %d, expected 0 to %d",
                        texts->clip_skip, most);
    prompt->model = s->model;
    return s->model->class->encode(s, prompt, texts);
}

tg_status tg_prompt_encode(tg_prompt **prompt, tg_session *s, const char *text,
                           const char *negative, int clip_skip)
{
    int before;
    *prompt = NULL;
    if (!tg__session_enter(s, &before))
        return s->error.status;
    tg__texts texts = {text, negative, clip_skip};
    tg_prompt *p = *prompt = calloc(1, sizeof *p);
    s->progress.phase = TG_PHASE_TEXT;
    if (!p)
        tg__fail_memory(&s->error);
    else
        encode(s, p, &texts);
    if (tg__failed(&s->error)) {
        tg_prompt_free(p);
        *prompt = NULL;
    }
    return tg__session_leave(s, before);
}

void tg_prompt_free(tg_prompt *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->count; i++) {
        free(p->conditions[i].positive);
        free(p->conditions[i].negative);
    }
    free(p);
}
