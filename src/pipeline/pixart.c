/* SPDX-License-Identifier: MIT */
/* PixArtAlphaPipeline and PixArtSigmaPipeline: a transformer that is told T5's states of the text,
 * which of its tokens are padding, and, Alpha at 1024 pixels, the picture's size. */
#include "pipeline/session.h"

enum { TRANSFORMER, VAE, TEXT_ENCODER, ROLES };

static const char config[] = "transformer/config.json";

static void check(tg_model *m)
{
    const tg__facts *transformer = &m->networks[TRANSFORMER]->facts;
    const tg__facts *text = &m->networks[TEXT_ENCODER]->facts;
    tg__check_latents(m, config);
    if (!tg__failed(&m->error) && transformer->text_width != text->text_width)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: caption_channels is %d, expected %d as d_model in text_encoder/config.json",
                 config, transformer->text_width, text->text_width);
}

/* Of the picture that is computed, heights before widths. */
static tg_status tell(tg_prompt *told, const tg__request *r, tg__error *error)
{
    int factor = tg__autoencoder(r->model)->facts.factor, h = r->h * factor, w = r->w * factor;
    if (tg__network_condition(tg__denoiser(r->model), "resolution") == 0)
        return TG_OK;
    tg__condition *resolution = tg__prompt_add(told, "resolution", 1, 2, error);
    tg__condition *ratio = tg__prompt_add(told, "aspect_ratio", 1, 1, error);
    if (!resolution || !ratio)
        return error->status;
    resolution->positive[0] = resolution->negative[0] = (float)h;
    resolution->positive[1] = resolution->negative[1] = (float)w;
    ratio->positive[0] = ratio->negative[0] = (float)((double)h / w);
    return TG_OK;
}
