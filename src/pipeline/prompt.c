/* SPDX-License-Identifier: MIT */
/* Text to what the UNet attends to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "pipeline/session.h"

/* Token ids of a text, cut and padded; says what was cut. */
static tg_status padded_ids(tg_session *s, const char *what, const char *text, int32_t *ids)
{
    const tg_model *m = s->model;
    size_t lost;
    if (tg__clip_tokenize_padded(m->tokenizer, text, m->context, ids, &lost, &s->error) != TG_OK) {
        tg__error_where(&s->error, what);
        return s->error.status;
    }
    if (lost != SIZE_MAX) {
        char shown[1024];
        tg__log(&m->log, TG_LOG_WARNING, "%s is longer than %d tokens; these words are lost: %s",
                what, m->context - 2, tg__printable(shown, sizeof shown, text + lost));
    }
    for (int i = 0; i < m->context; i++)
        if (ids[i] < 0 || ids[i] >= m->clip.config.vocabulary)
            return tg__fail(&s->error, TG_ERROR_FORMAT,
                            "%s: token %d, expected less than vocab_size %d in "
                            "text_encoder/config.json",
                            what, (int)ids[i], m->clip.config.vocabulary);
    return TG_OK;
}

static tg_status encode(tg_session *s, const char *what, const char *text, int skip, void *dst,
                        tg_prompt *prompt)
{
    int32_t *ids = calloc((size_t)s->model->context, sizeof *ids);
    if (!ids)
        return tg__fail_memory(&s->error);
    double start = tg__seconds();
    if (padded_ids(s, what, text, ids) == TG_OK) {
        tg__plan_key key = {.network = TG__TEXT_ENCODER, .n = 1, .skip = skip};
        tg__plan *plan = tg__session_plan(s, &key);
        if (plan && tg__session_bind(s, plan) == TG_OK) {
            double loaded = tg__seconds();
            tg__plan_bind(plan, TG__CLIP_IDS, ids);
            tg__plan_bind(plan, TG__CLIP_OUTPUT, dst);
            tg__plan_run(plan, s->profile);
            prompt->load_seconds += loaded - start;
            prompt->seconds += tg__seconds() - loaded;
        }
    }
    free(ids);
    return s->error.status;
}

static void encode_both(tg_prompt *p, tg_session *s, const char *text, const char *negative,
                        int clip_skip)
{
    int layers = s->model->clip.config.layers;
    p->session = s;
    p->tokens = s->model->context;
    p->width = s->model->clip.config.width;
    p->dtype = tg__session_dtype(s);
    p->bytes = (size_t)p->tokens * (size_t)p->width * tg__dtype_size(p->dtype);
    if (clip_skip < 0 || clip_skip > layers) {
        tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "clip_skip",
                       "clip_skip is %d, expected 0 to %d", clip_skip, layers);
        return;
    }
    p->positive = tg__aligned(p->bytes);
    p->negative = tg__aligned(p->bytes);
    if (!p->positive || !p->negative) {
        tg__fail_memory(&s->error);
        return;
    }
    /* The negative first: it is what a plan without skip is kept for. */
    encode(s, "the negative prompt", negative ? negative : "", 0, p->negative, p);
    encode(s, "the prompt", text, clip_skip, p->positive, p);
}

tg_status tg_prompt_encode(tg_prompt **prompt, tg_session *s, const char *text,
                           const char *negative, int clip_skip)
{
    int before = tg__session_enter(s);
    tg_prompt *p = *prompt = calloc(1, sizeof *p);
    if (!p)
        tg__fail_memory(&s->error);
    else
        encode_both(p, s, text, negative, clip_skip);
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
    free(p->positive);
    free(p->negative);
    free(p);
}
