/* SPDX-License-Identifier: MIT */
/* The packed weights of a session on disk: a file for each network. */
#include <stdio.h>

#include "io/cache.h"
#include "pipeline/session.h"

/* The files that a network's weights lie in. */
static tg__safetensors *const *files_of(const tg_model *m, tg__network network, int *count)
{
    if (!m->is_single_file)
        return tg__weights_files(m->weights[network], count);
    *count = 1;
    return &m->file;
}

tg_status tg__session_open_caches(tg_session *s, const char *folder)
{
    static const char *const networks[TG__NETWORKS] = {"unet", "vae", "text_encoder"};
    char name[64], maker[128] = "plain C";
    if (s->dnnl)
        tg__dnnl_describe(maker, sizeof maker);
    for (int i = 0; i < TG__NETWORKS && !tg__failed(&s->error); i++) {
        tg__cache_spec spec = {
            .folder = folder, .name = name, .maker = maker, .log = &s->model->log};
        spec.files = files_of(s->model, (tg__network)i, &spec.file_count);
        snprintf(name, sizeof name, "%s-%s-%s", networks[i], tg_dtype_name(s->dtype),
                 tg_cpu_name(s->model->kernels.level));
        s->caches[i] = tg__cache_new(&spec, &s->error);
        if (s->caches[i])
            s->contexts[i].packs.store = tg__cache_store(s->caches[i]);
    }
    return s->error.status;
}

void tg__session_save_caches(tg_session *s)
{
    for (int i = 0; i < TG__NETWORKS && !s->caches_fail && !tg__failed(&s->error); i++)
        s->caches_fail = !tg__cache_save(s->caches[i], &s->contexts[i].packs);
}

void tg__session_free_caches(tg_session *s)
{
    for (int i = 0; i < TG__NETWORKS; i++)
        tg__cache_free(s->caches[i]);
}
