/* SPDX-License-Identifier: MIT */
#include "pipeline/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/crowd.h"
#include "core/options.h"
#include "core/parallel.h"
#include "core/process.h"

enum { MAX_THREADS = 1024 };

static const tg_session_options default_options = {.size = sizeof(tg_session_options)};

void tg_session_options_init_sized(tg_session_options *options, size_t size)
{
    tg__options_init(options, size, &default_options, sizeof default_options);
}

static void check_options(const tg_session_options *o, tg__error *error)
{
    if (o->threads < 0 || o->threads > MAX_THREADS)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "threads", "threads is %d, expected 1 to %d",
                       o->threads, MAX_THREADS);
    if (o->dtype < TG_DTYPE_AUTO || o->dtype > TG_DTYPE_INT8)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "dtype", "dtype is %d, expected a tg_dtype",
                       (int)o->dtype);
    if (o->vae_tiling != TG_VAE_TILING_AUTO && o->vae_tiling != TG_VAE_TILING_ON &&
        o->vae_tiling != TG_VAE_TILING_OFF)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "vae_tiling",
                       "vae_tiling is %d, expected TG_VAE_TILING_AUTO, _ON or _OFF",
                       (int)o->vae_tiling);
}

/* Packed weights on disk, each group's in a file. */
static void keep_packs(tg_session *s, const char *folder)
{
    tg_model *m = s->model;
    for (int i = 0; i < m->class->role_count && !tg__failed(&s->error); i++) {
        char text[64];
        const tg__network *network = m->networks[i];
        tg__keep keep = {.folder = folder, .name = network->name, .log = &m->log};
        keep.files = tg__weights_files(m->weights[i], &keep.file_count);
        s->backend->class->keep(s->backend, i, &keep, &s->error);
        snprintf(text, sizeof text, "%s-text", network->name);
        keep.name = text;
        if (network->class->text_pass && !tg__failed(&s->error))
            s->backend->class->keep(s->backend, tg__text_group(i), &keep, &s->error);
    }
}

static void save_packs(tg_session *s)
{
    if (s->caches && s->backend->class->save && !tg__failed(&s->error))
        for (int i = 0; i < s->model->class->role_count; i++)
            s->backend->class->save(s->backend, i);
}

static void open_session(tg_session *s, const tg_session_options *options,
                         const tg__backend_opener *opener)
{
    tg_model *m = s->model;
    tg_session_options o = default_options;
    if (!tg__given(m, "model", &s->error))
        return;
    if (tg__failed(&m->error))
        tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "model", "the model is not open: %s",
                       m->error.message);
    else if (tg__options_read(&o, sizeof o, options, "tg_session_options", &s->error) == TG_OK)
        check_options(&o, &s->error);
    if (tg__failed(&s->error))
        return;
    s->progress_function = o.progress;
    s->progress_user = o.progress_user;
    s->profile = o.profile;
    s->tiling = o.vae_tiling;
    s->dtype = o.dtype == TG_DTYPE_AUTO ? opener->usual_dtype(m->cpu) : o.dtype;
    s->resident = tg__model_acquire(m, opener, s->dtype, &s->error);
    if (!s->resident)
        return;
    s->threads = o.threads ? o.threads : tg__cores();
    s->backend = s->resident->backend;
    s->caches = o.cache_dir != NULL;
    if (s->caches && s->backend->class->keep)
        keep_packs(s, o.cache_dir);
}

tg_status tg__session_new_on(tg_session **session, tg_model *model,
                             const tg_session_options *options, const tg__backend_opener *opener)
{
    if (!session)
        return TG_ERROR_ARGUMENT;
    tg_session *s = *session = calloc(1, sizeof *s);
    if (!s)
        return TG_ERROR_MEMORY;
    s->model = model;
    open_session(s, options, opener);
    s->broken = s->error;
    return s->error.status;
}

tg_status tg_session_new(tg_session **session, tg_model *model, const tg_session_options *options)
{
    return tg__session_new_on(session, model, options, tg__usual_backend);
}

/* What the f32 session of a session tells goes to whom that one tells; the turn is given already.
 */
static bool pass_on(void *user, const tg_progress *progress)
{
    tg_session *s = user;
    s->progress = *progress;
    if (atomic_load(&s->cancelled))
        return false;
    return !s->progress_function || s->progress_function(s->progress_user, progress);
}

tg_session *tg__session_in_f32(tg_session *s)
{
    tg_session *precise = NULL;
    tg_session_options o = default_options;
    o.dtype = TG_DTYPE_F32;
    o.threads = s->threads;
    o.vae_tiling = s->tiling;
    o.progress = pass_on;
    o.progress_user = s;
    tg__session_new_on(&precise, s->model, &o, s->resident->opener);
    if (!precise)
        tg__fail_memory(&s->error);
    else if (!tg__failed(&precise->error))
        return precise;
    tg__session_end_f32(s, precise);
    return NULL;
}

void tg__session_end_f32(tg_session *s, tg_session *precise)
{
    if (precise && tg__failed(&precise->error) && !tg__failed(&s->error))
        s->error = precise->error;
    tg_session_free(precise);
}

void tg_session_free(tg_session *s)
{
    if (!s)
        return;
    if (s->backend)
        tg__session_free_memory(s);
    tg__session_free_profile(s);
    free(s->preview.map);
    free(s->preview.picture);
    if (s->resident)
        tg__model_release(s->model, s->resident);
    free(s);
}

const tg_error *tg_session_error(const tg_session *s) { return s ? &s->error : &tg__no_handle; }
const char *tg_session_message(const tg_session *s) { return tg_session_error(s)->message; }

static bool works(const tg_session *s) { return s && !tg__failed(&s->broken); }

tg_dtype tg_session_dtype(const tg_session *s) { return works(s) ? s->dtype : TG_DTYPE_AUTO; }
int tg_session_threads(const tg_session *s) { return works(s) ? s->threads : 0; }

void tg_session_set_progress(tg_session *s, tg_progress_function progress, void *user)
{
    if (!s)
        return;
    s->progress_function = progress;
    s->progress_user = user;
}

void tg_session_cancel(tg_session *s)
{
    if (s)
        atomic_store(&s->cancelled, true);
}

/* ------------------------------------------------------------------------------- a call's frame */

tg_status tg__session_enter(tg_session *s, tg__call *call)
{
    if (!s)
        return TG_ERROR_ARGUMENT;
    s->error = s->broken;
    if (tg__failed(&s->error))
        return s->error.status;
    s->call++;
    tg__session_free_profile(s); /* its rows name programs that this call may drop */
    s->progress = (tg_progress){0};
    atomic_store(&s->cancelled, false);
    tg__turn_take(s->threads);
    tg__crowd_enter();
    call->threads_before = tg__threads_enter(s->threads);
    return TG_OK;
}

tg_status tg__session_leave(tg_session *s, const tg__call *call)
{
    save_packs(s);
    tg__threads_leave(call->threads_before);
    tg__crowd_leave();
    tg__turn_give(s->threads);
    return s->error.status;
}

bool tg__session_report(tg_session *s)
{
    bool go_on = !atomic_load(&s->cancelled);
    if (go_on && s->progress_function) {
        tg__turn_give(s->threads); /* the function may make calls of its own, and take its time */
        go_on = s->progress_function(s->progress_user, &s->progress);
        tg__turn_take(s->threads);
    }
    if (!go_on || atomic_load(&s->cancelled))
        tg__fail(&s->error, TG_ERROR_CANCELLED, "cancelled");
    return !tg__failed(&s->error);
}

bool tg__session_go_on(tg_session *s)
{
    tg__turn_pass(s->threads);
    tg__crowd_look(s->threads);
    return tg__session_report(s);
}

/* ------------------------------------------------------------------------------------- trimming */

static void release_networks(tg_session *s, bool all)
{
    for (int i = 0; i < s->model->class->role_count; i++)
        if (all || s->model->contexts[i] > 0)
            tg__session_release(s, i);
}

tg_status tg_session_trim(tg_session *s, unsigned what)
{
    tg__call call;
    if (tg__session_enter(s, &call) != TG_OK)
        return s ? s->error.status : TG_ERROR_ARGUMENT;
    if (what != TG_TRIM_ALL && what > (TG_TRIM_TEXT_ENCODERS | TG_TRIM_PROGRAMS))
        tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "what",
                       "what is %u, expected bits of TG_TRIM_*", what);
    else if (what == TG_TRIM_ALL)
        release_networks(s, true);
    else if (what & TG_TRIM_TEXT_ENCODERS)
        release_networks(s, false);
    if (!tg__failed(&s->error) && what & TG_TRIM_PROGRAMS)
        tg__session_free_memory(s);
    return tg__session_leave(s, &call);
}
