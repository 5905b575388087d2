/* SPDX-License-Identifier: MIT */
/* StableDiffusionXLPipeline (arXiv 2307.01952): two text encoders whose states lie side by side,
 * the second's pooled text, and six numbers about sizes that the denoiser is told besides. */
#include "pipeline/session.h"

enum { UNET, VAE, TEXT_ENCODER, TEXT_ENCODER_2, ROLES };

static const char unet_config[] = "unet/config.json";

/* ---------------------------------------------------------------------------------------- check */

static void check_text(tg_model *m)
{
    const tg__facts *unet = &m->networks[UNET]->facts;
    const tg__facts *first = &m->networks[TEXT_ENCODER]->facts;
    const tg__facts *second = &m->networks[TEXT_ENCODER_2]->facts;
    if (unet->text_width != first->text_width + second->text_width)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: cross_attention_dim is %d, expected %d as the sum of hidden_size in "
                 "text_encoder/config.json and text_encoder_2/config.json",
                 unet_config, unet->text_width, first->text_width + second->text_width);
    else if (unet->pooled_width == 0)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: addition_embed_type is null, expected \"text_time\"", unet_config);
    else if (unet->pooled_width != second->pooled_width)
        tg__fail(
            &m->error, TG_ERROR_FORMAT,
            "%s: projection_class_embeddings_input_dim leaves %d for the pooled text, expected "
            "%d as projection_dim in text_encoder_2/config.json",
            unet_config, unet->pooled_width, second->pooled_width);
    else if (m->contexts[TEXT_ENCODER] != m->contexts[TEXT_ENCODER_2])
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "tokenizer_2/tokenizer_config.json: model_max_length is %d, expected %d as in "
                 "tokenizer/tokenizer_config.json",
                 m->contexts[TEXT_ENCODER_2], m->contexts[TEXT_ENCODER]);
}

static void check(tg_model *m)
{
    tg__check_latents(m, unet_config);
    if (!tg__failed(&m->error))
        check_text(m);
}

/* ----------------------------------------------------------------------------------------- text */

/* One side of a prompt. */
typedef struct side {
    const char *what, *text, *text_2;
    int skip;
    float *states, *pooled;
} side;

/* The penultimate layer's states of both encoders, side by side, and what the second pools. */
static void encode_side(tg_session *s, tg_prompt *prompt, const side *of)
{
    const tg_model *m = s->model;
    size_t stride = (size_t)m->networks[UNET]->facts.text_width;
    tg__encoding first = {.kind = TG__PASS_STATES,
                          .skip = of->skip + m->class->text_skip,
                          .states = of->states,
                          .stride = stride};
    tg__encoding second = first;
    second.states += m->networks[TEXT_ENCODER]->facts.text_width;
    second.pooled = of->pooled;
    if (tg__encode_text(s, prompt, TEXT_ENCODER, of->what, of->text, &first) == TG_OK)
        tg__encode_text(s, prompt, TEXT_ENCODER_2, of->what, of->text_2, &second);
}

/* As diffusers: an empty text counts as none. */
static const char *or_else(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

/* Without a negative text the negative side stays zeros where the model says so, whatever the
 * second encoder is given. */
static tg_status encode(tg_session *s, tg_prompt *prompt, const tg__texts *texts)
{
    const tg_model *m = s->model;
    const tg__facts *unet = &m->networks[UNET]->facts;
    tg__condition *text =
        tg__prompt_add(prompt, "text", m->contexts[TEXT_ENCODER], unet->text_width, &s->error);
    tg__condition *pooled = tg__prompt_add(prompt, "pooled", 1, unet->pooled_width, &s->error);
    if (!text || !pooled)
        return s->error.status;
    const char *nothing = texts->negative ? texts->negative : "";
    side negative = {.what = "the negative prompt",
                     .text = nothing,
                     .text_2 = or_else(texts->negative_2, nothing),
                     .states = text->negative,
                     .pooled = pooled->negative};
    side positive = {.what = "the prompt",
                     .text = texts->text,
                     .text_2 = or_else(texts->text_2, texts->text),
                     .skip = texts->clip_skip,
                     .states = text->positive,
                     .pooled = pooled->positive};
    if (texts->negative || !m->force_zeros)
        encode_side(s, prompt, &negative);
    else if (texts->negative_2)
        tg__log(&m->log, TG_LOG_WARNING,
                "the second negative prompt has no effect without a first one: this model takes "
                "zeros where there is none");
    if (!tg__failed(&s->error))
        encode_side(s, prompt, &positive);
    return s->error.status;
}

/* ---------------------------------------------------------------------------------------- sizes */

/* As the network counts: heights before widths. 0 x 0: the picture's size. */
static void put_sizes(float *dst, const tg_sizes *sizes, float width, float height)
{
    bool original = sizes->original_width > 0, target = sizes->target_width > 0;
    dst[0] = original ? (float)sizes->original_height : height;
    dst[1] = original ? (float)sizes->original_width : width;
    dst[2] = (float)sizes->crop_top;
    dst[3] = (float)sizes->crop_left;
    dst[4] = target ? (float)sizes->target_height : height;
    dst[5] = target ? (float)sizes->target_width : width;
}

/* The negative side has sizes of its own only where both of them are given. */
static tg_status tell(tg_prompt *told, const tg__request *r, tg__error *error)
{
    enum { NUMBERS = 6 };
    int factor = tg__autoencoder(r->model)->facts.factor;
    const tg_sizes *sizes = &r->options->sizes, *negative = &r->options->negative_sizes;
    bool own = negative->original_width > 0 && negative->target_width > 0;
    bool given = negative->original_width > 0 || negative->target_width > 0 ||
                 negative->crop_top > 0 || negative->crop_left > 0;
    if (given && !own)
        tg__log(&r->model->log, TG_LOG_WARNING,
                "the negative sizes have no effect unless both the original and the target one are "
                "given");
    tg__condition *ids = tg__prompt_add(told, "time_ids", 1, NUMBERS, error);
    if (!ids)
        return error->status;
    float width = (float)r->w * (float)factor, height = (float)r->h * (float)factor;
    ids->by_turns = true;
    put_sizes(ids->positive, sizes, width, height);
    put_sizes(ids->negative, own ? negative : sizes, width, height);
    return TG_OK;
}

/* ---------------------------------------------------------------------------------------- class */

static const char *const tokenizers[] = {"CLIPTokenizer", "CLIPTokenizerFast", NULL};

static const tg__role roles[ROLES] = {
    [UNET] = {.name = "unet", .classes = (const tg__network_class *const[]){&tg__unet_class, NULL}},
    [VAE] = {.name = "vae",
             .classes = (const tg__network_class *const[]){&tg__autoencoder_kl_class, NULL}},
    [TEXT_ENCODER] = {.name = "text_encoder",
                      .classes = (const tg__network_class *const[]){&tg__clip_text_class, NULL},
                      .tokenizer = "tokenizer",
                      .tokenizer_classes = tokenizers},
    [TEXT_ENCODER_2] = {.name = "text_encoder_2",
                        .classes =
                            (const tg__network_class *const[]){&tg__clip_text_projection_class,
                                                               NULL},
                        .tokenizer = "tokenizer_2",
                        .tokenizer_classes = tokenizers},
};

const tg__pipeline_class tg__stable_diffusion_xl_class = {
    .names =
        (const char *const[]){
            "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline",
            "StableDiffusionXLInpaintPipeline", "StableDiffusionXLControlNetPipeline",
            "StableDiffusionXLControlNetImg2ImgPipeline",
            "StableDiffusionXLControlNetInpaintPipeline", "StableDiffusionXLAdapterPipeline",
            "StableDiffusionXLPAGPipeline", "StableDiffusionXLPAGImg2ImgPipeline",
            "StableDiffusionXLPAGInpaintPipeline", "StableDiffusionXLControlNetPAGPipeline", NULL},
    .roles = roles,
    .role_count = ROLES,
    .denoiser = UNET,
    .autoencoder = VAE,
    .steps = 25,
    .guidance = 5,
    .embedded_guidance = 5,
    .gate = {.gate_step = 10, .sp_interval = 5, .fi_interval = 1, .warm_up = 2},
    .text_skip = 1,
    .check = check,
    .encode = encode,
    .tell = tell,
    .recipe = tg__gated_recipe,
};
