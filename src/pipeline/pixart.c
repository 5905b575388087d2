/* SPDX-License-Identifier: MIT */
/* PixArtAlphaPipeline and PixArtSigmaPipeline: a transformer that is told T5's states of the text,
 * which of its tokens are padding, and, Alpha at 1024 pixels, the picture's size. */
#include <stdlib.h>

#include "core/parallel.h"
#include "pipeline/session.h"
#include "text/caption.h"

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

/* ----------------------------------------------------------------------------------------- text */

/* One side of a prompt: its text and where it goes, the states of `tokens` tokens, and 1 for each
 * that is no padding. */
typedef struct side {
    const char *what, *text;
    float *states, *mask;
    int tokens;
    bool clean;
} side;

/* Padding sees and is seen by nothing: T5 runs over the first tokens alone, so many that texts of
 * about the same length share a program. The states of the rest stay zeros. */
static int tokens_to_run(const side *of, int count)
{
    enum { TOGETHER = 16 };
    int tokens = (count + TOGETHER - 1) / TOGETHER * TOGETHER;
    return tokens < of->tokens ? tokens : of->tokens;
}

static void run_encoder(tg_session *s, tg_prompt *prompt, const side *of, const int32_t *ids,
                        int count, double start)
{
    size_t width = (size_t)s->model->networks[TEXT_ENCODER]->facts.text_width;
    tg__pass pass = {.n = 1, .tokens = tokens_to_run(of, count)};
    size_t tokens = (size_t)pass.tokens;
    tg__array_port ports[] = {{"ids", ids, NULL, tokens * sizeof *ids},
                              {"mask", of->mask, NULL, tokens * sizeof *of->mask},
                              {"hidden_states", NULL, of->states, tokens * width * sizeof(float)}};
    for (int i = 0; i < count; i++)
        of->mask[i] = 1;
    if (!tg__session_program(s, TEXT_ENCODER, &pass))
        return;
    double loaded = tg__seconds();
    tg__session_run_pass(s, TEXT_ENCODER, &pass, ports, 3);
    prompt->load_seconds += loaded - start;
    prompt->seconds += tg__seconds() - loaded;
}

static void encode_side(tg_session *s, tg_prompt *prompt, const side *of)
{
    double start = tg__seconds();
    int count = 0;
    int32_t *ids = calloc((size_t)of->tokens, sizeof *ids);
    char *caption =
        of->clean ? tg__caption_clean(of->text, &s->error) : tg__caption_plain(of->text, &s->error);
    if (!ids)
        tg__fail_memory(&s->error);
    else if (!caption)
        tg__error_where(&s->error, of->what);
    else if (tg__token_ids(s, TEXT_ENCODER, of->what, caption, ids, &count) == TG_OK)
        run_encoder(s, prompt, of, ids, count, start);
    free(caption);
    free(ids);
}

static tg_status encode(tg_session *s, tg_prompt *prompt, const tg__texts *texts)
{
    const tg_model *m = s->model;
    int tokens = m->contexts[TEXT_ENCODER];
    tg__condition *text = tg__prompt_add(prompt, "text", tokens,
                                         m->networks[TEXT_ENCODER]->facts.text_width, &s->error);
    tg__condition *mask = tg__prompt_add(prompt, "mask", tokens, 1, &s->error);
    if (!text || !mask)
        return s->error.status;
    side negative = {"the negative prompt",
                     texts->negative ? texts->negative : "",
                     text->negative,
                     mask->negative,
                     tokens,
                     texts->clean_caption};
    side positive = {"the prompt",   texts->text, text->positive,
                     mask->positive, tokens,      texts->clean_caption};
    encode_side(s, prompt, &negative);
    if (!tg__failed(&s->error))
        encode_side(s, prompt, &positive);
    return s->error.status;
}

/* ---------------------------------------------------------------------------------------- class */

static const tg__role roles[ROLES] = {
    [TRANSFORMER] = {.name = "transformer",
                     .classes = (const tg__network_class *const[]){&tg__pixart_class, NULL}},
    [VAE] = {.name = "vae",
             .classes = (const tg__network_class *const[]){&tg__autoencoder_kl_class, NULL}},
    [TEXT_ENCODER] = {.name = "text_encoder",
                      .classes = (const tg__network_class *const[]){&tg__t5_encoder_class, NULL},
                      .tokenizer = "tokenizer",
                      .tokenizer_classes =
                          (const char *const[]){"T5Tokenizer", "T5TokenizerFast", NULL}},
};

/* The two differ in how many tokens a text has. */
#define WHAT_BOTH_ARE                                                                              \
    .roles = roles, .role_count = ROLES, .denoiser = TRANSFORMER, .autoencoder = VAE, .steps = 25, \
    .guidance = 4.5, .gate = {.gate_step = 15, .sp_interval = 3, .fi_interval = 1, .warm_up = 2},  \
    .captions = true, .distilled_unguided = true, .bins = true, .check = check, .encode = encode,  \
    .tell = tell, .recipe = tg__gated_recipe

const tg__pipeline_class tg__pixart_alpha_class = {
    .names = (const char *const[]){"PixArtAlphaPipeline", NULL}, .text_tokens = 120, WHAT_BOTH_ARE};

const tg__pipeline_class tg__pixart_sigma_class = {
    .names = (const char *const[]){"PixArtSigmaPipeline", NULL}, .text_tokens = 300, WHAT_BOTH_ARE};
