/* SPDX-License-Identifier: MIT */
/* A model that is open: what its sessions take of it, and its end. */
#include "pipeline/model.h"

#include <stdlib.h>

void tg_model_close(tg_model *m)
{
    if (!m)
        return;
    for (int i = 0; i < TG__MAX_NETWORKS; i++) {
        tg__tokenizer_close(m->tokenizers[i]);
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

void tg__check_latents(tg_model *m, const char *where)
{
    static const struct {
        int channels;
        const char *what;
    } others[] = {{5, "a depth model"},
                  {7, "an upscaler"},
                  {8, "an instruct-pix2pix model"},
                  {9, "an inpainting model"}};
    const tg__facts *denoiser = &tg__denoiser(m)->facts, *autoencoder = &tg__autoencoder(m)->facts;
    int in = denoiser->in_channels, latents = autoencoder->latent_channels;
    for (size_t i = 0; latents == 4 && i < sizeof others / sizeof *others; i++)
        if (in == others[i].channels) {
            tg__fail(&m->error, TG_ERROR_UNSUPPORTED, "%s: in_channels is %d (%s): not implemented",
                     where, in, others[i].what);
            return;
        }
    if (in != latents)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: in_channels is %d, expected %d as latent_channels in %s/config.json", where,
                 in, latents, tg__autoencoder(m)->name);
    else if (denoiser->out_channels != in)
        tg__fail(&m->error, TG_ERROR_UNSUPPORTED,
                 "%s: out_channels is %d, expected %d as in_channels", where,
                 denoiser->out_channels, in);
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
