/* SPDX-License-Identifier: MIT */
/* StableDiffusionPipeline: Stable Diffusion 1.x and 2.x. */
#include "pipeline/session.h"

enum { UNET, VAE, TEXT_ENCODER, ROLES };

static void check(tg_model *m)
{
    static const char config[] = "unet/config.json";
    const tg__facts *unet = &m->networks[UNET]->facts, *text = &m->networks[TEXT_ENCODER]->facts;
    tg__check_latents(m, config);
    if (tg__failed(&m->error))
        return;
    if (unet->pooled_width > 0)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: addition_embed_type is \"text_time\", expected null in a %s", config,
                 m->class->names[0]);
    else if (unet->text_width != text->text_width)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: cross_attention_dim is %d, expected %d as hidden_size in "
                 "text_encoder/config.json",
                 config, unet->text_width, text->text_width);
}

static tg_status encode(tg_session *s, tg_prompt *prompt, const tg__texts *texts)
{
    const tg_model *m = s->model;
    tg__condition *text = tg__prompt_add(prompt, "text", m->contexts[TEXT_ENCODER],
                                         m->networks[TEXT_ENCODER]->facts.text_width, &s->error);
    if (!text)
        return s->error.status;
    tg__encoding negative = {.states = text->negative, .stride = (size_t)text->width};
    tg__encoding positive = negative;
    positive.states = text->positive;
    positive.skip = texts->clip_skip;
    /* The negative first: it is what a plan without skip is kept for. */
    tg__encode_text(s, prompt, TEXT_ENCODER, "the negative prompt",
                    texts->negative ? texts->negative : "", &negative);
    return tg__encode_text(s, prompt, TEXT_ENCODER, "the prompt", texts->text, &positive);
}

static const tg__role roles[ROLES] = {
    [UNET] = {.name = "unet", .classes = (const tg__network_class *const[]){&tg__unet_class, NULL}},
    [VAE] = {.name = "vae",
             .classes = (const tg__network_class *const[]){&tg__autoencoder_kl_class, NULL}},
    [TEXT_ENCODER] = {.name = "text_encoder",
                      .classes = (const tg__network_class *const[]){&tg__clip_text_class, NULL},
                      .tokenizer = "tokenizer",
                      .tokenizer_classes =
                          (const char *const[]){"CLIPTokenizer", "CLIPTokenizerFast", NULL}},
};

/* Latent consistency models: the same networks, without the corrections. */
const tg__pipeline_class tg__latent_consistency_class = {
    .names = (const char *const[]){"LatentConsistencyModelPipeline",
                                   "LatentConsistencyModelImg2ImgPipeline", NULL},
    .roles = roles,
    .role_count = ROLES,
    .denoiser = UNET,
    .autoencoder = VAE,
    .steps = 25,
    .guidance = 7.5,
    .embedded_guidance = 8.5,
    .gate = {.gate_step = 10, .sp_interval = 5, .fi_interval = 1, .warm_up = 2},
    .check = check,
    .encode = encode,
    .recipe = tg__gated_recipe,
};

const tg__pipeline_class tg__stable_diffusion_class = {
    .names =
        (const char *const[]){
            "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline",
            "StableDiffusionInpaintPipeline", "StableDiffusionInpaintPipelineLegacy",
            "StableDiffusionControlNetPipeline", "StableDiffusionControlNetImg2ImgPipeline",
            "StableDiffusionControlNetInpaintPipeline", "StableDiffusionAdapterPipeline",
            "StableDiffusionPAGPipeline", "StableDiffusionControlNetPAGPipeline",
            "StableDiffusionPanoramaPipeline", "StableDiffusionAttendAndExcitePipeline",
            "StableDiffusionSAGPipeline", NULL},
    .roles = roles,
    .role_count = ROLES,
    .denoiser = UNET,
    .autoencoder = VAE,
    .steps = 25,
    .guidance = 7.5,
    .embedded_guidance = 8.5,
    .gate = {.gate_step = 10, .sp_interval = 5, .fi_interval = 1, .warm_up = 2},
    .force_stable_diffusion = true,
    .check = check,
    .encode = encode,
    .recipe = tg__gated_recipe,
};
