/* SPDX-License-Identifier: MIT */
#include "models/clip.h"

#include "models/config_keys.h"

enum { MAX_LAYERS = 256, MAX_POSITIONS = 65536, MAX_VOCABULARY = 1 << 24 };

/* -------------------------------------------------------------------------------------- plan */

static tg__tensor encoder_layer(tg__plan *p, tg__tensor x, const tg__clip_layer *w,
                                const tg__clip_config *c)
{
    tg__row_norm_options norm = {.eps = c->eps};
    tg__attention_options causal = {
        .heads = c->heads, .head_dim = c->width / c->heads, .causal = true};
    tg__tensor h = tg__layer_norm(p, x, &w->layer_norm1, norm);
    tg__tensor qkv = tg__linear(p, h, &w->qkv_proj, (tg__product_options){0});
    h = tg__attention_op(p, w->qkv_proj.name, (tg__slice){qkv, 0}, (tg__slice){qkv, c->width},
                         (tg__slice){qkv, 2 * c->width}, causal);
    x = tg__linear(p, h, &w->out_proj, (tg__product_options){.residual = x});
    h = tg__layer_norm(p, x, &w->layer_norm2, norm);
    h = tg__linear(p, h, &w->fc1, (tg__product_options){.activation = c->activation});
    return tg__linear(p, h, &w->fc2, (tg__product_options){.residual = x});
}

static tg__tensor layers(tg__plan *p, tg__tensor x, const tg__clip *clip, int first, int end)
{
    for (int i = first; i < end; i++)
        x = encoder_layer(p, x, &clip->layers[i], &clip->config);
    return x;
}

static tg__tensor final_norm(tg__plan *p, tg__tensor x, const tg__clip *clip)
{
    return tg__layer_norm(p, x, &clip->final_layer_norm,
                          (tg__row_norm_options){.eps = clip->config.eps});
}

static void hidden_states(tg__plan *p, tg__tensor x)
{
    tg__to_f32(p, "hidden_states", x,
               tg__plan_external(p, TG__CLIP_OUTPUT, TG__F32, x.n, 1, x.w, x.c));
}

/* One token's would do, at a place that the plan does not know; all together take less than a
 * tenth of a layer. */
static void pooled_states(tg__plan *p, tg__tensor x, const tg__clip *clip)
{
    x = tg__linear(p, x, &clip->text_projection, (tg__product_options){0});
    tg__to_f32(p, "text_embeds", x,
               tg__plan_external(p, TG__CLIP_POOLED, TG__F32, x.n, 1, x.w, x.c));
}

/* n texts of `tokens` ids below the vocabulary's size; the last `skip` layers are left out. Pooled
 * states come from all layers. */
static void record(tg__plan *p, const tg__network *network, const tg__pass *pass)
{
    const tg__clip *clip = (const tg__clip *)network;
    const tg__clip_config *c = &clip->config;
    int end = c->layers - pass->skip;
    tg__tensor ids = tg__plan_external(p, TG__CLIP_IDS, TG__F32, pass->n, 1, pass->tokens, 1);
    tg__tensor x =
        tg__embed_tokens(p, ids, &clip->token_embedding, &clip->position_embedding, c->width);
    x = layers(p, x, clip, 0, end);
    if (pass->kind != TG__PASS_STATES) {
        hidden_states(p, final_norm(p, x, clip));
        return;
    }
    hidden_states(p, x);
    if (c->projection > 0)
        pooled_states(p, final_norm(p, layers(p, x, clip, end, c->layers), clip), clip);
}

/* ------------------------------------------------------------------------------------- config */

/* Of training, of the pooled state, of the tokenizer, and what transformers notes for itself. */
static void ignore_keys(tg__config *c)
{
    static const char *const keys[] = {
        "architectures",  "attention_dropout",  "bos_token_id",         "dropout",
        "eos_token_id",   "initializer_factor", "initializer_range",    "pad_token_id",
        "projection_dim", "torch_dtype",        "transformers_version",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        tg__config_ignore(c, keys[i]);
}

static tg_status read_config(tg__network *network, tg__config *c)
{
    tg__clip_config *clip = &((tg__clip *)network)->config;
    *clip = (tg__clip_config){0};
    clip->vocabulary = (int)tg__config_int(c, "vocab_size", 1, MAX_VOCABULARY, 49408);
    clip->positions = (int)tg__config_int(c, "max_position_embeddings", 2, MAX_POSITIONS, 77);
    clip->width = (int)tg__config_int(c, "hidden_size", 1, TG__MAX_CHANNELS, 512);
    clip->inner = (int)tg__config_int(c, "intermediate_size", 1, TG__MAX_CHANNELS * 4, 2048);
    clip->layers = (int)tg__config_int(c, "num_hidden_layers", 1, MAX_LAYERS, 12);
    clip->heads = (int)tg__config_int(c, "num_attention_heads", 1, TG__MAX_CHANNELS, 8);
    clip->eps = (float)tg__config_number(c, "layer_norm_eps", 0, 1, 1e-5);
    clip->activation = tg__read_activation(c, "hidden_act", "quick_gelu");
    ignore_keys(c);
    tg__config_refuse(c, "use_attention_mask", NULL);
    if (tg__config_has(c, "model_type"))
        tg__config_choice(c, "model_type", (const char *const[]){"clip_text_model", NULL}, 0);
    if (!tg__failed(tg__config_error(c)) &&
        (clip->width % clip->heads != 0 || clip->width / clip->heads > 512))
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: num_attention_heads is %d, expected a divisor of hidden_size %d that leaves "
                 "at most 512",
                 tg__config_where(c), clip->heads, clip->width);
    network->facts = (tg__facts){.end_token = -1,
                                 .text_width = clip->width,
                                 .layers = clip->layers,
                                 .positions = clip->positions,
                                 .vocabulary = clip->vocabulary};
    return tg__config_error(c)->status;
}

/* The pooled state is the end token's. transformers once wrote 2 for its id, whatever it was, and
 * takes the largest one there. */
static tg_status read_config_with_projection(tg__network *network, tg__config *c)
{
    enum { END_TOKEN = 49407, NOT_KNOWN = 2 };
    tg__clip_config *clip = &((tg__clip *)network)->config;
    read_config(network, c);
    clip->projection = (int)tg__config_int(c, "projection_dim", 1, TG__MAX_CHANNELS, 512);
    int end = (int)tg__config_int(c, "eos_token_id", 0, MAX_VOCABULARY, END_TOKEN);
    network->facts.pooled_width = clip->projection;
    network->facts.end_token = end == NOT_KNOWN ? -1 : end;
    return tg__config_error(c)->status;
}

/* ------------------------------------------------------------------------------------ loading */

static tg__clip_layer load_layer(const tg__scope *s, const tg__clip_config *c)
{
    static const char *const qkv[] = {"q_proj", "k_proj", "v_proj"};
    tg__scope attention = tg__at(s, "self_attn"), mlp = tg__at(s, "mlp");
    tg__clip_layer w;
    w.layer_norm1 = tg__load_norm(s, "layer_norm1", c->width);
    w.qkv_proj = tg__load_stacked(&attention, qkv, 3, c->width, c->width, true);
    w.out_proj = tg__load_linear(&attention, "out_proj", c->width, c->width, true);
    w.layer_norm2 = tg__load_norm(s, "layer_norm2", c->width);
    w.fc1 = tg__load_linear(&mlp, "fc1", c->width, c->inner, true);
    w.fc2 = tg__load_linear(&mlp, "fc2", c->inner, c->width, true);
    return w;
}

static tg_status load(tg__network *network, const tg__weights *weights, tg__error *error)
{
    tg__clip *clip = (tg__clip *)network;
    const tg__clip_config *c = &clip->config;
    tg__scope root = {weights, &network->arena, error, &network->tally, ""};
    tg__scope s = tg__at(&root, "text_model"), embeddings = tg__at(&s, "embeddings");
    clip->token_embedding =
        tg__load_table(&embeddings, "token_embedding.weight", c->vocabulary, c->width);
    clip->position_embedding =
        tg__load_table(&embeddings, "position_embedding.weight", c->positions, c->width);
    clip->layers = tg__load_array(&s, c->layers, sizeof *clip->layers);
    for (int i = 0; clip->layers && i < c->layers; i++) {
        tg__scope layer = tg__at(&s, "encoder.layers.%d", i);
        clip->layers[i] = load_layer(&layer, c);
    }
    clip->final_layer_norm = tg__load_norm(&s, "final_layer_norm", c->width);
    if (c->projection > 0)
        clip->text_projection =
            tg__load_linear(&root, "text_projection", c->width, c->projection, false);
    return error->status;
}

static const tg__port ports[] = {{"ids", .slot = TG__CLIP_IDS},
                                 {"hidden_states", .slot = TG__CLIP_OUTPUT},
                                 {"pooled", .slot = TG__CLIP_POOLED},
                                 {.name = NULL}};

const tg__network_class tg__clip_text_class = {
    .names = (const char *const[]){"CLIPTextModel", NULL},
    .library = "transformers",
    .weights = "model",
    .bytes = sizeof(tg__clip),
    .use = TG__USE_ONCE,
    .ports = ports,
    .read_config = read_config,
    .load = load,
    .record = record,
    .anchor = "text_model.embeddings.token_embedding.weight",
    .original_name = tg__clip_original_name,
};

const tg__network_class tg__clip_text_projection_class = {
    .names = (const char *const[]){"CLIPTextModelWithProjection", NULL},
    .library = "transformers",
    .weights = "model",
    .bytes = sizeof(tg__clip),
    .use = TG__USE_ONCE,
    .ports = ports,
    .read_config = read_config_with_projection,
    .load = load,
    .record = record,
    .anchor = "text_model.embeddings.token_embedding.weight",
    .original_name = tg__clip_original_name,
};
