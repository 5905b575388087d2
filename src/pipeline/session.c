/* SPDX-License-Identifier: MIT */
#include "pipeline/session.h"

#include <stdlib.h>

#include "core/parallel.h"
#include "cpu/backend.h"

enum { MAX_THREADS = 1024 };

void tg_session_options_init(tg_session_options *options)
{
    *options = (tg_session_options){.dtype = TG_DTYPE_AUTO, .vae_tiling = TG_VAE_TILING_AUTO};
}

static void check_options(const tg_session_options *o, tg__error *error)
{
    if (o->threads < 0 || o->threads > MAX_THREADS)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "threads", "threads is %d, expected 1 to %d", o->threads,
                 MAX_THREADS);
    if (o->vae_tiling != TG_VAE_TILING_AUTO && o->vae_tiling != TG_VAE_TILING_ON &&
        o->vae_tiling != TG_VAE_TILING_OFF)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "vae_tiling",
                 "vae_tiling is %d, expected TG_VAE_TILING_AUTO, _ON or _OFF", (int)o->vae_tiling);
}

/* Packed weights on disk, each network's in a file. */
static void keep_packs(tg_session *s, const char *folder)
{
    tg_model *m = s->model;
    for (int i = 0; i < m->class->role_count && !tg__failed(&s->error); i++) {
        tg__keep keep = {.folder = folder,
                         .name = m->networks[i]->name,
                         .files = &m->file,
                         .file_count = 1,
                         .log = &m->log};
        if (!m->is_single_file)
            keep.files = tg__weights_files(m->weights[i], &keep.file_count);
        s->backend->class->keep(s->backend, i, &keep, &s->error);
    }
}

static void open_session(tg_session *s, const tg_session_options *o)
{
    tg_model *m = s->model;
    if (tg__failed(&m->error))
        tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "model", "the model is not open: %s", m->error.message);
    else
        check_options(o, &s->error);
    if (tg__failed(&s->error))
        return;
    s->threads = o->threads ? o->threads : tg__cores();
    s->profile = o->profile;
    s->tiling = o->vae_tiling;
    s->dtype = o->dtype == TG_DTYPE_AUTO ? tg__cpu_usual_dtype(m->cpu) : o->dtype;
    s->resident = tg__model_acquire(m, s->dtype, &s->error);
    if (!s->resident)
        return;
    s->backend = s->resident->backend;
    s->caches = o->cache_dir != NULL;
    if (s->caches && s->backend->class->keep)
        keep_packs(s, o->cache_dir);
}

tg_status tg_session_new(tg_session **session, tg_model *model, const tg_session_options *options)
{
    tg_session_options defaults;
    tg_session_options_init(&defaults);
    tg_session *s = *session = calloc(1, sizeof *s);
    if (!s)
        return TG_ERROR_MEMORY;
    s->model = model;
    open_session(s, options ? options : &defaults);
    s->broken = s->error;
    return s->error.status;
}

void tg_session_free(tg_session *s)
{
    if (!s)
        return;
    if (s->backend)
        tg__session_free_memory(s);
    tg__session_free_profile(s);
    if (s->resident)
        tg__model_release(s->model, s->resident);
    free(s);
}

const tg_error *tg_session_error(const tg_session *s) { return s ? &s->error : &tg__no_handle; }
const char *tg_session_message(const tg_session *s) { return tg_session_error(s)->message; }
tg_dtype tg_session_dtype(const tg_session *s) { return s->dtype; }
int tg_session_threads(const tg_session *s) { return s->threads; }

bool tg__session_enter(tg_session *s, int *threads_before)
{
    s->error = s->broken;
    if (tg__failed(&s->error))
        return false;
    s->call++;
    s->progress = (tg_progress){0};
    *threads_before = tg__threads_enter(s->threads);
    return true;
}

tg_status tg__session_leave(tg_session *s, int threads_before)
{
    if (s->caches && s->backend->class->save && !tg__failed(&s->error))
        s->backend->class->save(s->backend);
    tg__threads_leave(threads_before);
    s->progress_function = NULL;
    return s->error.status;
}

bool tg__session_report(tg_session *s)
{
    if (s->progress_function && !s->progress_function(s->progress_user, &s->progress))
        tg__fail(&s->error, TG_ERROR_CANCELLED, "cancelled");
    return !tg__failed(&s->error);
}

void tg_session_release_text_encoder(tg_session *s)
{
    for (int i = 0; s->backend && i < s->model->class->role_count; i++)
        if (s->model->class->roles[i].tokenizer)
            tg__session_release(s, i);
}
