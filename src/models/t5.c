/* SPDX-License-Identifier: MIT */
#include "models/t5.h"

#include <string.h>

#include "models/config_keys.h"

enum {
    MAX_LAYERS = 256,
    MAX_VOCABULARY = 1 << 24,
    MAX_HEAD_DIM = 512,
    LEAST_BUCKETS = 4,
    MAX_BUCKETS = 1 << 16,
    MAX_DISTANCE = 1 << 24,
};

/* -------------------------------------------------------------------------------------- plan */

/* The sums along the residual are f32's whatever activations are: they grow to where half precision
 * has no numbers, and bf16 would lose what a layer adds to them. */
static const tg__product_options plain;

static tg__tensor normalize(tg__plan *p, tg__tensor x, const tg__norm *norm, float eps)
{
    return tg__to_activations(p, norm->name, tg__rms_norm(p, x, norm, eps));
}

static tg__tensor block(tg__plan *p, tg__tensor x, const tg__t5_block *w, const tg__t5_config *c,
                        tg__attention_options attention)
{
    int inner = c->heads * c->head_dim;
    tg__tensor h = normalize(p, x, &w->attention_norm, c->eps);
    tg__tensor qkv = tg__linear(p, h, &w->qkv, plain);
    h = tg__attention_op(p, w->qkv.name, (tg__slice){qkv, 0}, (tg__slice){qkv, inner},
                         (tg__slice){qkv, 2 * inner}, attention);
    x = tg__linear(p, h, &w->o, (tg__product_options){.residual = x, .f32 = true});
    h = normalize(p, x, &w->norm, c->eps);
    h = tg__linear(p, h, &w->wi, (tg__product_options){.activation = c->activation});
    return tg__linear(p, h, &w->wo, (tg__product_options){.residual = x, .f32 = true});
}

/* n texts of `tokens` ids below the vocabulary's size. */
static void record(tg__plan *p, const tg__network *network, const tg__pass *pass)
{
    const tg__t5 *t5 = (const tg__t5 *)network;
    const tg__t5_config *c = &t5->config;
    int n = pass->n, tokens = pass->tokens;
    tg__tensor ids = tg__plan_external(p, TG__T5_IDS, TG__F32, n, 1, tokens, 1);
    tg__tensor mask = tg__plan_external(p, TG__T5_MASK, TG__F32, n, 1, tokens, 1);
    tg__tensor x = tg__embed_tokens(p, ids, &t5->shared, NULL, c->width);
    x = tg__to_f32(p, "embeddings", x, tg__plan_tensor(p, TG__F32, n, 1, tokens, c->width));
    tg__attention_options attention = {
        .heads = c->heads,
        .head_dim = c->head_dim,
        .scale = 1,
        .mask = mask,
        .bias = tg__relative_bias(p, &t5->relative_attention_bias, c->buckets, c->heads, tokens),
    };
    for (int i = 0; i < c->layers; i++)
        x = block(p, x, &t5->blocks[i], c, attention);
    x = tg__rms_norm(p, x, &t5->final_layer_norm, c->eps);
    tg__to_f32(p, "hidden_states", x,
               tg__plan_external(p, TG__T5_OUTPUT, TG__F32, n, 1, tokens, c->width));
}

/* ------------------------------------------------------------------------------------- config */

/* Of training, of the decoder, of generating text, and what transformers notes for itself. */
static void ignore_keys(tg__config *c)
{
    static const char *const keys[] = {
        "architectures",          "classifier_dropout",  "d_decoder",
        "decoder_start_token_id", "dropout_rate",        "eos_token_id",
        "initializer_factor",     "is_encoder_decoder",  "n_positions",
        "num_decoder_layers",     "output_past",         "pad_token_id",
        "task_specific_params",   "tie_word_embeddings", "torch_dtype",
        "transformers_version",   "use_cache",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        tg__config_ignore(c, keys[i]);
}

typedef struct feed_forward {
    const char *name, *activation; /* of feed_forward_proj; by transformers' name */
    bool gated;
} feed_forward;

/* transformers' own rule: "gated-gelu" is the gelu by tanh. */
static const feed_forward feed_forwards[] = {
    {"relu", "relu", false},         {"gated-gelu", "gelu_new", true},
    {"gelu", "gelu", false},         {"silu", "silu", false},
    {"gelu_new", "gelu_new", false}, {"gated-gelu_new", "gelu_new", true},
    {"gated-silu", "silu", true},    {"gated-relu", "relu", true},
};

static const feed_forward *read_feed_forward(tg__config *c)
{
    enum { COUNT = sizeof feed_forwards / sizeof *feed_forwards };
    const char *names[COUNT + 1] = {0};
    for (int i = 0; i < COUNT; i++)
        names[i] = feed_forwards[i].name;
    tg__config_refuse_null(c, "feed_forward_proj", "a string");
    return &feed_forwards[tg__config_choice(c, "feed_forward_proj", names, 0)];
}

/* dense_act_fn and is_gated_act, where they are there, overrule feed_forward_proj. */
static tg__activation read_activation(tg__config *c)
{
    static const struct {
        const char *name;
        tg__activation activation, gated; /* gated TG__LINEAR: not implemented */
    } names[] = {
        {"relu", TG__RELU, TG__LINEAR},
        {"gelu_new", TG__GELU_TANH, TG__GEGLU_TANH},
        {"gelu_pytorch_tanh", TG__GELU_TANH, TG__GEGLU_TANH},
        {"gelu", TG__GELU, TG__GEGLU},
        {"silu", TG__SILU, TG__LINEAR},
        {"swish", TG__SILU, TG__LINEAR},
        {"quick_gelu", TG__QUICK_GELU, TG__LINEAR},
        {"mish", TG__MISH, TG__LINEAR},
    };
    const feed_forward *usual = read_feed_forward(c);
    bool gated = tg__config_bool(c, "is_gated_act", usual->gated);
    const char *name = tg__config_string(c, "dense_act_fn", usual->activation);
    if (tg__failed(tg__config_error(c)))
        return TG__LINEAR;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tg__activation found = gated ? names[i].gated : names[i].activation;
        if (strcmp(name, names[i].name) == 0 && found != TG__LINEAR)
            return found;
    }
    char shown[80];
    tg__fail(tg__config_error(c), TG_ERROR_UNSUPPORTED,
             "%s: %s %s is not implemented, expected \"gelu_new\", \"gelu_pytorch_tanh\"%s",
             tg__config_where(c), gated ? "a gated" : "dense_act_fn",
             tg__printable(shown, sizeof shown, name),
             gated ? " or \"gelu\"" : ", \"gelu\", \"quick_gelu\", \"relu\", \"silu\" or \"mish\"");
    return TG__LINEAR;
}

static tg_status read_config(tg__network *network, tg__config *c)
{
    tg__t5_config *t5 = &((tg__t5 *)network)->config;
    *t5 = (tg__t5_config){0};
    t5->vocabulary = (int)tg__config_int(c, "vocab_size", 1, MAX_VOCABULARY, 32128);
    t5->width = (int)tg__config_int(c, "d_model", 1, TG__MAX_CHANNELS, 512);
    t5->head_dim = (int)tg__config_int(c, "d_kv", 1, MAX_HEAD_DIM, 64);
    t5->inner = (int)tg__config_int(c, "d_ff", 1, TG__MAX_CHANNELS, 2048);
    t5->layers = (int)tg__config_int(c, "num_layers", 1, MAX_LAYERS, 6);
    t5->heads = (int)tg__config_int(c, "num_heads", 1, TG__MAX_CHANNELS / t5->head_dim, 8);
    t5->eps = (float)tg__config_number(c, "layer_norm_epsilon", 0, 1, 1e-6);
    t5->buckets.count =
        (int)tg__config_int(c, "relative_attention_num_buckets", LEAST_BUCKETS, MAX_BUCKETS, 32);
    t5->buckets.max_distance = (int)tg__config_int(c, "relative_attention_max_distance",
                                                   t5->buckets.count / 4 + 1, MAX_DISTANCE, 128);
    t5->activation = read_activation(c);
    ignore_keys(c);
    if (tg__config_has(c, "model_type"))
        tg__config_choice(c, "model_type", (const char *const[]){"t5", NULL}, 0);
    network->facts = (tg__facts){.text_width = t5->width, .vocabulary = t5->vocabulary};
    return tg__config_error(c)->status;
}

/* ------------------------------------------------------------------------------------ loading */

static tg__t5_block load_block(const tg__scope *s, const tg__t5_config *c)
{
    static const char *const qkv[] = {"q", "k", "v"}, *const gated[] = {"wi_1", "wi_0"};
    tg__scope layer[] = {tg__at(s, "layer.0"), tg__at(s, "layer.1")};
    tg__scope attention = tg__at(&layer[0], "SelfAttention");
    tg__scope dense = tg__at(&layer[1], "DenseReluDense");
    int inner = c->heads * c->head_dim;
    tg__t5_block w;
    w.attention_norm = tg__load_rms_norm(&layer[0], "layer_norm", c->width);
    w.qkv = tg__load_stacked(&attention, qkv, 3, c->width, inner, false);
    w.o = tg__load_linear(&attention, "o", inner, c->width, false);
    w.norm = tg__load_rms_norm(&layer[1], "layer_norm", c->width);
    w.wi = tg__activation_halves(c->activation)
               ? tg__load_stacked(&dense, gated, 2, c->width, c->inner, false)
               : tg__load_linear(&dense, "wi", c->width, c->inner, false);
    w.wo = tg__load_linear(&dense, "wo", c->inner, c->width, false);
    return w;
}

static tg_status load(tg__network *network, const tg__weights *weights, tg__error *error)
{
    tg__t5 *t5 = (tg__t5 *)network;
    const tg__t5_config *c = &t5->config;
    tg__scope root = {weights, &network->arena, error, &network->tally, ""};
    tg__scope s = tg__at(&root, "encoder");
    tg__weight found;
    bool old = !tg__weights_find(weights, "shared.weight", &found) &&
               tg__weights_find(weights, "encoder.embed_tokens.weight", &found);
    t5->shared = tg__load_table(&root, old ? "encoder.embed_tokens.weight" : "shared.weight",
                                c->vocabulary, c->width);
    t5->relative_attention_bias =
        tg__load_table(&s, "block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                       c->buckets.count, c->heads);
    t5->blocks = tg__load_array(&s, c->layers, sizeof *t5->blocks);
    for (int i = 0; t5->blocks && i < c->layers; i++) {
        tg__scope at = tg__at(&s, "block.%d", i);
        t5->blocks[i] = load_block(&at, c);
    }
    t5->final_layer_norm = tg__load_rms_norm(&s, "final_layer_norm", c->width);
    return error->status;
}

static const tg__port ports[] = {{.name = "ids", .slot = TG__T5_IDS},
                                 {.name = "mask", .slot = TG__T5_MASK},
                                 {.name = "hidden_states", .slot = TG__T5_OUTPUT},
                                 {0}};

const tg__network_class tg__t5_encoder_class = {
    .names = (const char *const[]){"T5EncoderModel", NULL},
    .library = "transformers",
    .weights = "model",
    .bytes = sizeof(tg__t5),
    .use = TG__USE_ONCE,
    .ports = ports,
    .read_config = read_config,
    .load = load,
    .record = record,
};
