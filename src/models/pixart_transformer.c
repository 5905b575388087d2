/* SPDX-License-Identifier: MIT */
/* The figure: latents are cut into patches, which become tokens with a place; all blocks are alike:
 * self-attention, cross-attention to the caption, feed forward. The timestep (and, in some models,
 * the picture's size) scales, shifts and gates the first and the last of these; what it says is
 * made once for all blocks (adaLN-single), each of which adds a table of its own. */
#include "models/pixart_transformer.h"

enum { SINUSOIDS = 256 };
/* What a block's table and the shared vector are made of, in their order. */
enum { SHIFT_MSA, SCALE_MSA, GATE_MSA, SHIFT_MLP, SCALE_MLP, GATE_MLP, PARTS };
enum { SHIFT, SCALE, FINAL_PARTS };

/* --------------------------------------------------------------------------- adaLN-single */

/* Two layers over the sinusoids of each of the numbers. */
static tg__tensor embed(tg__plan *p, tg__tensor numbers, const tg__pixart_embedder *w)
{
    tg__tensor x = tg__timestep_embedding(p, numbers, SINUSOIDS, true, 0);
    x = (tg__tensor){x.id, x.n, 1, numbers.c, SINUSOIDS, x.dtype};
    x = tg__linear(p, x, &w->linear_1,
                   (tg__product_options){.activation = TG__SILU, .exact = true});
    x = tg__linear(p, x, &w->linear_2, (tg__product_options){.f32 = true, .exact = true});
    return (tg__tensor){x.id, x.n, 1, 1, x.w * x.c, x.dtype};
}

/* Of the timestep, and of the size where the model is told it. */
static tg__tensor conditioning(tg__plan *p, const tg__pixart *w, int n)
{
    tg__tensor time = tg__plan_external(p, TG__PIXART_TIMESTEP, TG__F32, 1, 1, 1, 1);
    time = embed(p, time, &w->timestep);
    if (!w->config.told_sizes)
        return time;
    tg__tensor size = tg__plan_external(p, TG__PIXART_RESOLUTION, TG__F32, n, 1, 1, 2);
    tg__tensor ratio = tg__plan_external(p, TG__PIXART_ASPECT_RATIO, TG__F32, n, 1, 1, 1);
    size = tg__join(p, "adaln_single.emb", embed(p, size, &w->resolution),
                    embed(p, ratio, &w->aspect_ratio));
    return tg__add(p, "adaln_single.emb", size, time);
}

/* ----------------------------------------------------------------------------------- blocks */

/* What a pass through the network hands from block to block. */
typedef struct pass {
    tg__plan *plan;
    const tg__pixart *w;
    tg__gate_step gate;
    int tokens;
    tg__tensor told, mask;
} pass;

static tg__slice part(const pass *s, tg__tensor of, int which)
{
    return (tg__slice){of, which * s->w->config.width};
}

static tg__tensor modulated(const pass *s, tg__tensor x, const tg__norm *norm, tg__tensor told,
                            int shift, int scale)
{
    tg__row_norm_options o = {
        .eps = s->w->config.eps, .shift = part(s, told, shift), .scale = part(s, told, scale)};
    return tg__layer_norm(s->plan, x, norm, o);
}

static tg__tensor self_attention(const pass *s, tg__tensor x, const tg__pixart_block *b,
                                 tg__tensor told)
{
    const tg__attn *w = &b->attn1;
    tg__attention_options o = {.heads = w->heads, .head_dim = w->head_dim};
    x = modulated(s, x, &b->norm1, told, SHIFT_MSA, SCALE_MSA);
    x = tg__linear(s->plan, x, &w->to_qkv, (tg__product_options){0});
    return tg__attention_op(s->plan, w->to_qkv.name, part(s, x, 0), part(s, x, 1), part(s, x, 2),
                            o);
}

/* There is no norm in front of it. */
static tg__tensor cross_attention(const pass *s, tg__tensor x, const tg__pixart_block *b)
{
    const tg__attn *w = &b->attn2;
    tg__attention_options o = {.heads = w->heads, .head_dim = w->head_dim, .mask = s->mask};
    tg__tensor q = tg__linear(s->plan, x, &w->to_q, (tg__product_options){0});
    tg__tensor kv = tg__plan_external(s->plan, tg__slot_kv(w->index), TG__ACTIVATIONS, x.n, 1,
                                      s->tokens, w->to_kv.out);
    return tg__attention_op(s->plan, w->to_q.name, part(s, q, 0), part(s, kv, 0), part(s, kv, 1),
                            o);
}

/* The output of an attention layer for x, or what the gate keeps of it: it ends behind to_out,
 * before the residual and the gate of adaLN, which are new at each step. */
static tg__tensor attention(const pass *s, tg__tensor x, const tg__pixart_block *b,
                            const tg__attn *w, tg__tensor told)
{
    tg__gate_action action = w->cross ? s->gate.cross : s->gate.self;
    tg__tensor kept = tg__kept_output(s->plan, x, action, w->index);
    if (action == TG__REUSE)
        return kept;
    x = w->cross ? cross_attention(s, x, b) : self_attention(s, x, b, told);
    return tg__project_and_keep(s->plan, x, &w->to_out, action, kept);
}

static tg__tensor feed_forward(const pass *s, tg__tensor x, const tg__pixart_block *b,
                               tg__tensor told)
{
    x = modulated(s, x, &b->norm2, told, SHIFT_MLP, SCALE_MLP);
    x = tg__linear(s->plan, x, &b->ff_proj,
                   (tg__product_options){.activation = s->w->config.activation});
    return tg__linear(s->plan, x, &b->ff_out, (tg__product_options){0});
}

static tg__tensor block(const pass *s, tg__tensor x, const tg__pixart_block *b)
{
    tg__plan *p = s->plan;
    int values = PARTS * s->w->config.width;
    tg__tensor told =
        tg__add_table(p, b->scale_shift_table.name, s->told, &b->scale_shift_table, values);
    tg__tensor h = attention(s, x, b, &b->attn1, told);
    x = tg__gated_add(p, b->attn1.to_out.name, x, h, part(s, told, GATE_MSA));
    x = tg__add(p, b->attn2.to_out.name, x, attention(s, x, b, &b->attn2, told));
    h = feed_forward(s, x, b, told);
    return tg__gated_add(p, b->ff_out.name, x, h, part(s, told, GATE_MLP));
}

/* ----------------------------------------------------------------------------------- passes */

/* The network says a mean and, in most models, a variance that nobody asks for: the output has as
 * many channels as the sample. */
static void record_run(tg__plan *p, const tg__pixart *w, const tg__pass *how)
{
    const tg__pixart_config *c = &w->config;
    int copies = how->gate.guided ? 2 : 1, n = copies * how->n;
    pass s = {.plan = p, .w = w, .gate = how->gate, .tokens = how->tokens};
    tg__product_options by_patch = {.stride = c->patch, .own_padding = true};
    tg__product_options exact = {.exact = true, .f32 = true};
    tg__tensor embedded = conditioning(p, w, n);
    s.told = tg__activate(p, "adaln_single.silu", embedded, TG__SILU);
    s.told = tg__linear(p, tg__to_activations(p, "adaln_single.silu", s.told), &w->adaln, exact);
    if (how->gate.cross != TG__REUSE)
        s.mask = tg__plan_external(p, TG__PIXART_MASK, TG__F32, n, 1, how->tokens, 1);

    tg__tensor x = tg__external_nchw(p, TG__PIXART_SAMPLE, how->n, c->in_channels, how->h, how->w);
    x = tg__conv2d(p, tg__from_nchw(p, x, copies, 1, 0), &w->pos_embed, by_patch);
    x = tg__add(
        p, w->pos_embed.name, x,
        tg__grid_embedding(p, x.h, x.w, c->width, c->sample_size / c->patch, c->position_scale));
    for (int i = 0; i < c->layers; i++)
        x = block(&s, x, &w->blocks[i]);
    tg__tensor told = tg__add_table(p, "scale_shift_table", embedded, &w->scale_shift_table,
                                    FINAL_PARTS * c->width);
    x = modulated(&s, x, &w->norm_out, told, SHIFT, SCALE);
    x = tg__linear(p, x, &w->proj_out, exact);
    tg__to_nchw(p, x, tg__external_nchw(p, TG__PIXART_OUTPUT, n, c->in_channels, how->h, how->w));
}

/* What depends on the caption alone: keys and values for a batch of n captions. */
static void record_text(tg__plan *p, const tg__pixart *w, const tg__pass *how)
{
    const tg__pixart_config *c = &w->config;
    tg__tensor x = tg__plan_external(p, TG__PIXART_TEXT, TG__F32, how->n, 1, how->tokens,
                                     w->network.facts.text_width);
    x = tg__to_activations(p, "encoder_hidden_states", x);
    if (c->caption_channels) {
        x = tg__linear(p, x, &w->caption_1, (tg__product_options){.activation = TG__GELU_TANH});
        x = tg__linear(p, x, &w->caption_2, (tg__product_options){0});
    }
    for (int i = 0; i < c->layers; i++) {
        const tg__attn *attn = &w->blocks[i].attn2;
        tg__tensor kv = tg__plan_external(p, tg__slot_kv(attn->index), TG__ACTIVATIONS, how->n, 1,
                                          how->tokens, attn->to_kv.out);
        tg__linear(p, x, &attn->to_kv, (tg__product_options){.into = kv});
    }
}

static void record(tg__plan *p, const tg__network *network, const tg__pass *how)
{
    if (how->kind == TG__PASS_TEXT)
        record_text(p, (const tg__pixart *)network, how);
    else
        record_run(p, (const tg__pixart *)network, how);
}

/* ---------------------------------------------------------------------------------- loading */

static tg__attn load_attention(const tg__scope *scope, const char *key, const tg__pixart_config *c,
                               bool cross, int index)
{
    static const char *const qkv[] = {"to_q", "to_k", "to_v"};
    tg__scope s = tg__at(scope, "%s", key);
    int width = c->width;
    tg__attn w = {.heads = c->heads, .head_dim = width / c->heads, .cross = cross, .index = index};
    if (cross) {
        w.to_q = tg__load_linear(&s, "to_q", width, width, c->attention_bias);
        w.to_kv = tg__load_stacked(&s, qkv + 1, 2, c->cross_dim, width, c->attention_bias);
    } else {
        w.to_qkv = tg__load_stacked(&s, qkv, 3, width, width, c->attention_bias);
    }
    w.to_out = tg__load_linear(&s, "to_out.0", width, width, true);
    return w;
}

/* One without weights, unless the config says otherwise. */
static tg__norm load_norm(const tg__scope *s, const char *key, const tg__pixart_config *c)
{
    return c->affine ? tg__load_norm(s, key, c->width) : tg__bare_norm(s, key, c->width);
}

static tg__pixart_block load_block(const tg__scope *s, const tg__pixart_config *c, int index)
{
    int proj = tg__activation_halves(c->activation) ? 2 * c->inner : c->inner;
    tg__pixart_block b = {.norm1 = load_norm(s, "norm1", c), .norm2 = load_norm(s, "norm2", c)};
    b.attn1 = load_attention(s, "attn1", c, false, 2 * index);
    b.attn2 = load_attention(s, "attn2", c, true, 2 * index + 1);
    b.ff_proj = tg__load_linear(s, "ff.net.0.proj", c->width, proj, true);
    b.ff_out = tg__load_linear(s, "ff.net.2", c->inner, c->width, true);
    b.scale_shift_table = tg__load_table(s, "scale_shift_table", PARTS, c->width);
    return b;
}

static tg__pixart_embedder load_embedder(const tg__scope *scope, const char *key, int out)
{
    tg__scope s = tg__at(scope, "%s", key);
    return (tg__pixart_embedder){tg__load_linear(&s, "linear_1", SINUSOIDS, out, true),
                                 tg__load_linear(&s, "linear_2", out, out, true)};
}

static void load_conditioning(tg__pixart *w, const tg__scope *root)
{
    const tg__pixart_config *c = &w->config;
    tg__scope s = tg__at(root, "adaln_single"), emb = tg__at(&s, "emb");
    w->timestep = load_embedder(&emb, "timestep_embedder", c->width);
    if (c->told_sizes) {
        w->resolution = load_embedder(&emb, "resolution_embedder", c->width / 3);
        w->aspect_ratio = load_embedder(&emb, "aspect_ratio_embedder", c->width / 3);
    }
    w->adaln = tg__load_linear(&s, "linear", c->width, PARTS * c->width, true);
}

static tg_status load(tg__network *network, const tg__weights *weights, tg__error *error)
{
    tg__pixart *w = (tg__pixart *)network;
    const tg__pixart_config *c = &w->config;
    tg__scope s = {weights, &network->arena, error, &network->tally, ""};
    w->pos_embed = tg__load_conv(&s, "pos_embed.proj", c->in_channels, c->width, c->patch);
    load_conditioning(w, &s);
    if (c->caption_channels) {
        tg__scope caption = tg__at(&s, "caption_projection");
        w->caption_1 = tg__load_linear(&caption, "linear_1", c->caption_channels, c->width, true);
        w->caption_2 = tg__load_linear(&caption, "linear_2", c->width, c->width, true);
    }
    w->blocks = tg__load_array(&s, c->layers, sizeof *w->blocks);
    for (int i = 0; w->blocks && i < c->layers; i++) {
        tg__scope b = tg__at(&s, "transformer_blocks.%d", i);
        w->blocks[i] = load_block(&b, c, i);
    }
    w->norm_out = tg__bare_norm(&s, "norm_out", c->width);
    w->scale_shift_table = tg__load_table(&s, "scale_shift_table", FINAL_PARTS, c->width);
    w->proj_out =
        tg__load_linear(&s, "proj_out", c->width, c->patch * c->patch * c->out_channels, true);
    return error->status;
}

/* ------------------------------------------------------------------------------------- class */

static int text_width(const tg__network *network) { return network->facts.text_width; }
static int mask_width(const tg__network *network) { return network != NULL; }
static int told(const tg__network *network)
{
    return ((const tg__pixart *)network)->config.told_sizes;
}
static int resolution_width(const tg__network *network) { return told(network) ? 2 : 0; }
static int ratio_width(const tg__network *network) { return told(network) ? 1 : 0; }

static const tg__port ports[] = {
    {"sample", .slot = TG__PIXART_SAMPLE},
    {"timestep", .slot = TG__PIXART_TIMESTEP},
    {"output", .slot = TG__PIXART_OUTPUT},
    {"text", .slot = TG__PIXART_TEXT, .width = text_width},
    {"mask", .slot = TG__PIXART_MASK, .width = mask_width},
    {"resolution", .slot = TG__PIXART_RESOLUTION, .width = resolution_width, .of_request = true},
    {"aspect_ratio", .slot = TG__PIXART_ASPECT_RATIO, .width = ratio_width, .of_request = true},
    {.name = NULL}};

const tg__network_class tg__pixart_class = {
    .names = (const char *const[]){"PixArtTransformer2DModel", "Transformer2DModel", NULL},
    .library = "diffusers",
    .weights = "diffusion_pytorch_model",
    .bytes = sizeof(tg__pixart),
    .use = TG__USE_A_STEP,
    .rough = 1 << TG__PASS_RUN,
    .text_pass = true,
    .ports = ports,
    .read_config = tg__pixart_read_config,
    .load = load,
    .record = record,
    .anchor = "pos_embed.proj.weight",
    .original_name = tg__pixart_original_name,
};
