/* SPDX-License-Identifier: MIT */
/* A model that is open: what its sessions take of it, and its end. */
#include "pipeline/model.h"

#include <stdlib.h>

void tg_model_close(tg_model *m)
{
    if (!m)
        return;
    for (int i = 0; i < TG__MAX_NETWORKS; i++) {
        tg__clip_tokenizer_close(m->tokenizers[i]);
        tg__network_free(m->networks[i]);
        tg__weights_close(m->weights[i]);
        tg__safetensors_close(m->origins[i].file);
    }
    tg__safetensors_close(m->file);
    pthread_mutex_destroy(&m->lock);
    tg__arena_free(&m->arena);
    free(m);
}

const tg_error *tg_model_error(const tg_model *m) { return m ? &m->error : &tg__no_handle; }
const char *tg_model_message(const tg_model *m) { return tg_model_error(m)->message; }

tg__scheduler *tg__model_scheduler(const tg_model *m, tg__error *error)
{
    tg__config *config =
        tg__config_parse(m->scheduler_text, m->scheduler_length, m->scheduler_where, error);
    tg__scheduler *scheduler = config ? tg__scheduler_new(config, &m->scheduler, error) : NULL;
    tg__config_close(config);
    return scheduler;
}

/* ------------------------------------------------------------------------------------ backends */

static tg__resident *new_resident(tg_model *m, const tg__backend_opener *opener, tg_dtype dtype,
                                  tg__error *error)
{
    tg__resident *resident = calloc(1, sizeof *resident);
    if (!resident) {
        tg__fail_memory(error);
        return NULL;
    }
    resident->backend = opener->open(m->cpu, dtype, error);
    if (!resident->backend) {
        free(resident);
        return NULL;
    }
    resident->opener = opener;
    resident->dtype = dtype;
    resident->next = m->residents;
    m->residents = resident;
    return resident;
}

tg__resident *tg__model_acquire(tg_model *m, const tg__backend_opener *opener, tg_dtype dtype,
                                tg__error *error)
{
    pthread_mutex_lock(&m->lock);
    tg__resident *resident = m->residents;
    while (resident && (resident->opener != opener || resident->dtype != dtype))
        resident = resident->next;
    if (!resident)
        resident = new_resident(m, opener, dtype, error);
    if (resident)
        resident->sessions++;
    pthread_mutex_unlock(&m->lock);
    return resident;
}

void tg__model_release(tg_model *m, tg__resident *resident)
{
    pthread_mutex_lock(&m->lock);
    if (--resident->sessions == 0) {
        tg__resident **link = &m->residents;
        while (*link != resident)
            link = &(*link)->next;
        *link = resident->next;
        resident->backend->class->close(resident->backend);
        free(resident);
    }
    pthread_mutex_unlock(&m->lock);
}
