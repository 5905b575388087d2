/* SPDX-License-Identifier: MIT */
/* What a model is and what it needs: from its configs and plans, without touching the weights. */
#include "pipeline/check.h"

static const char *dtype_of(const tg__tally *tally)
{
    const char *name = NULL;
    for (int i = 0; i < TG__OTHER; i++) {
        if (tally->by_dtype[i] > 0 && name)
            return "mixed";
        if (tally->by_dtype[i] > 0)
            name = tg__dtype_name((tg__dtype)i);
    }
    return name ? name : "f32";
}

/* What a pass needs on a backend; all 0 where it cannot be planned: such a size is reported when it
 * is used. */
static tg__needs needs_of(tg_model *m, tg__backend *backend, int role, const tg__pass *pass)
{
    tg__error error = {0};
    tg__needs needs = {0};
    tg__lowering how = tg__network_lowering(m->networks[role], role, pass);
    tg__plan *plan = tg__network_plan(m->networks[role], pass, &error);
    if (plan)
        backend->class->measure(backend, plan, &how, &needs, &error);
    tg__plan_free(plan);
    if (error.status == TG_ERROR_MEMORY)
        tg__fail_memory(&m->error);
    return needs;
}

/* Packed weights of denoiser and autoencoder (the text encoders' are given back before), and the
 * larger of their workspaces. *macs: the multiplications of a step, guided where the denoiser is
 * not told the guidance. */
static int64_t memory_of(tg_model *m, tg_dtype dtype, int64_t *macs)
{
    int denoiser = m->class->denoiser, autoencoder = m->class->autoencoder;
    int side = m->default_size / m->networks[autoencoder]->facts.factor;
    bool guided = m->networks[denoiser]->facts.guidance_width == 0;
    tg__pass step = {
        .gate = {.guided = guided}, .n = 1, .h = side, .w = side, .tokens = m->info.context};
    tg__pass decode = {.n = 1, .h = side, .w = side, .factor = 1};
    tg__backend *backend = tg__usual_backend->open_to_measure(m->cpu, dtype, &m->error);
    if (!backend)
        return 0;
    tg__needs a = needs_of(m, backend, denoiser, &step);
    tg__needs b = needs_of(m, backend, autoencoder, &decode);
    backend->class->close(backend);
    int64_t usual = dtype == TG_DTYPE_F32 ? 4 : 2, rough = dtype == TG_DTYPE_INT8 ? 1 : usual;
    size_t larger = a.workspace_bytes > b.workspace_bytes ? a.workspace_bytes : b.workspace_bytes;
    *macs = a.macs;
    return m->networks[denoiser]->tally.parameters * rough +
           m->networks[autoencoder]->tally.parameters * usual + a.more_weights + b.more_weights +
           (int64_t)larger;
}

static void fill_networks(tg_model *m)
{
    tg_model_info *info = &m->info;
    for (int i = 0; i < m->class->role_count; i++) {
        const tg__network *network = m->networks[i];
        m->network_info[i] =
            (tg_network_info){network->name, network->class->names[0], dtype_of(&network->tally),
                              network->tally.parameters, network->tally.bytes};
        if (!info->context)
            info->context = m->contexts[i];
    }
    info->network_count = m->class->role_count;
}

void tg__model_fill_info(tg_model *m)
{
    int64_t macs = 0, other;
    tg_model_info *info = &m->info;
    const tg__facts *denoiser = &tg__denoiser(m)->facts;
    fill_networks(m);
    info->pipeline = m->class->names[0];
    info->layout = m->is_single_file ? "single file" : "diffusers folder";
    info->width = info->height = m->default_size;
    info->latent_size = tg__autoencoder(m)->facts.factor;
    info->size_multiple = info->latent_size * (denoiser->patch ? denoiser->patch : 1);
    info->latent_channels = tg__denoiser(m)->facts.in_channels;
    info->guidance = tg__usual_guidance(m);
    info->memory_bf16 = memory_of(m, TG_DTYPE_BF16, &other);
    info->memory_int8 = memory_of(m, TG_DTYPE_INT8, &other);
    info->memory_f32 = memory_of(m, TG_DTYPE_F32, &macs);
    info->step_gmac = 1e-9 * (double)macs;
}

const tg_model_info *tg_model_describe(const tg_model *m)
{
    static const tg_model_info none = {
        .pipeline = "", .layout = "", .scheduler = "", .prediction_type = ""};
    return m && !tg__failed(&m->error) ? &m->info : &none;
}

const tg_network_info *tg_model_network(const tg_model *m, int index)
{
    int count = tg_model_describe(m)->network_count;
    return index >= 0 && index < count ? &m->network_info[index] : NULL;
}
