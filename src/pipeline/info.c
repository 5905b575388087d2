/* SPDX-License-Identifier: MIT */
/* What a model is and what it needs: from its configs and plans, without touching the weights. */
#include "pipeline/session.h"

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

static tg_network_info network_info(const char *name, const char *class_name,
                                    const tg__tally *tally)
{
    return (tg_network_info){name, class_name, dtype_of(tally), tally->parameters, tally->bytes};
}

/* Workspace of one pass; *macs (may be NULL) its multiplications, *weights grows by what packing
 * adds to them. 0 where it cannot be planned. */
static int64_t workspace_of(tg_model *m, const tg__plan_key *key, tg__dtype dtype, bool int8,
                            int64_t *macs, int64_t *weights)
{
    tg_dtype session_dtype = int8 ? TG_DTYPE_INT8 : dtype == TG__F32 ? TG_DTYPE_F32 : TG_DTYPE_BF16;
    tg__error error = {0}; /* a size that cannot be planned is reported when it is used */
    tg__context context = {.kernels = &m->kernels,
                           .winograd_positions =
                               tg__winograd_positions(key->network, session_dtype)};
    tg__program *plan = tg__record_plan(m, &context, key, dtype, int8, &error);
    int64_t bytes = 0;
    if (plan && tg__program_measure(plan) == TG_OK) {
        bytes = (int64_t)tg__program_workspace_bytes(plan);
        if (macs)
            *macs = tg__program_macs(plan);
        *weights += tg__program_more_weights(plan);
    }
    if (error.status == TG_ERROR_MEMORY)
        tg__fail_memory(&m->error);
    tg__program_free(plan);
    return bytes;
}

/* Packed weights of UNet and VAE (the text encoder's are given back before), and the larger of
 * their workspaces. */
static int64_t memory_of(tg_model *m, tg__dtype dtype, bool int8, int64_t *macs)
{
    int side = m->default_size / tg__vae_factor(&m->vae.config);
    tg__plan_key unet = {
        .network = TG__UNET, .gate = {.guided = true}, .n = 1, .h = side, .w = side};
    tg__plan_key vae = {.network = TG__VAE, .n = 1, .h = side, .w = side, .factor = 1};
    int64_t size = (int64_t)tg__dtype_size(dtype);
    int64_t weights = m->unet.tally.parameters * (int8 ? 1 : size) + m->vae.tally.parameters * size;
    int64_t a = workspace_of(m, &unet, dtype, int8, macs, &weights);
    int64_t b = workspace_of(m, &vae, dtype, false, NULL, &weights);
    return weights + (a > b ? a : b);
}

void tg__model_fill_info(tg_model *m)
{
    int64_t macs = 0;
    tg_model_info *info = &m->info;
    m->network_info[TG__UNET] = network_info("unet", "UNet2DConditionModel", &m->unet.tally);
    m->network_info[TG__VAE] = network_info("vae", "AutoencoderKL", &m->vae.tally);
    m->network_info[TG__TEXT_ENCODER] =
        network_info("text_encoder", "CLIPTextModel", &m->clip.tally);
    info->pipeline = "StableDiffusionPipeline";
    info->layout = m->is_single_file ? "single file" : "diffusers folder";
    info->networks = m->network_info;
    info->network_count = TG__NETWORKS;
    info->width = info->height = m->default_size;
    info->size_multiple = tg__vae_factor(&m->vae.config);
    info->latent_channels = m->unet.config.in_channels;
    info->guidance = 7.5;
    info->context = m->context;
    info->memory_f32 = memory_of(m, TG__F32, false, &macs);
    info->memory_bf16 = memory_of(m, TG__BF16, false, NULL);
    info->memory_int8 = memory_of(m, TG__BF16, true, NULL);
    info->step_gmac = 1e-9 * (double)macs;
}

tg_model_info tg_model_describe(const tg_model *m) { return m->info; }
