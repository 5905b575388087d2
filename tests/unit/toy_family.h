/* SPDX-License-Identifier: MIT */
/* A family of models that the library does not know, in one file: four network classes and the
 * pipeline class that names them. What it is made of no published family has together: two text
 * encoders of different widths whose texts lie one behind the other, a mask of their padding, a
 * pooled vector, a transformer that is modulated by time and pooled, an output of which half is
 * dropped, and a loop that leaves out the scheduler's first evaluations and ends guidance by
 * itself. */
#ifndef TG_TEST_TOY_FAMILY_H
#define TG_TEST_TOY_FAMILY_H

#include "core/parallel.h"
#include "models/blocks.h"
#include "pipeline/session.h"
#include "toy_oracle.h" /* its numbers */

/* ============================================================================ the text encoders */

/* Both classes'; ToyWordEncoder has no attention. */
typedef struct encoder {
    tg__network network;
    int width, inner, heads, pooled;
    tg__weight tokens, places;
    tg__norm norm1, norm2, norm;
    tg__layer mix, to_qkv, to_out, fc1, fc2, pool;
} encoder;

enum { IDS, STATES, LAST, POOLED_PORT };
enum { PASS_POOL = 1 }; /* one text's last state to its pooled vector */

static tg_status encoder_config(tg__network *network, tg__config *c)
{
    encoder *e = (encoder *)network;
    e->width = (int)tg__config_int(c, "width", 1, 4096, 16);
    e->inner = (int)tg__config_int(c, "inner", 1, 4096, 16);
    e->heads = (int)tg__config_int(c, "heads", 1, 64, 1);
    e->pooled = (int)tg__config_int(c, "pooled", 1, 4096, 16);
    network->facts = (tg__facts){
        .text_width = e->width,
        .positions = (int)tg__config_int(c, "context", 2, VOCABULARY, 8),
        .vocabulary = (int)tg__config_int(c, "vocabulary", FIRST_LETTER, 4096, VOCABULARY)};
    return tg__config_error(c)->status;
}

static tg_status load_words(tg__network *network, const tg__weights *weights, tg__error *error)
{
    encoder *e = (encoder *)network;
    tg__scope s = {weights, &network->arena, error, &network->tally, ""};
    e->tokens = tg__load_table(&s, "tokens.weight", network->facts.vocabulary, e->width);
    e->mix = tg__load_linear(&s, "mix", e->width, e->width, true);
    e->norm = tg__load_norm(&s, "norm", e->width);
    return error->status;
}

static tg_status load_lines(tg__network *network, const tg__weights *weights, tg__error *error)
{
    static const char *const qkv[] = {"to_q", "to_k", "to_v"};
    encoder *e = (encoder *)network;
    tg__scope s = {weights, &network->arena, error, &network->tally, ""};
    e->tokens = tg__load_table(&s, "tokens.weight", network->facts.vocabulary, e->width);
    e->places = tg__load_table(&s, "places.weight", network->facts.positions, e->width);
    e->norm1 = tg__load_norm(&s, "norm1", e->width);
    e->to_qkv = tg__load_stacked(&s, qkv, 3, e->width, e->width, true);
    e->to_out = tg__load_linear(&s, "to_out", e->width, e->width, true);
    e->norm2 = tg__load_norm(&s, "norm2", e->width);
    e->fc1 = tg__load_linear(&s, "fc1", e->width, e->inner, true);
    e->fc2 = tg__load_linear(&s, "fc2", e->inner, e->width, true);
    e->norm = tg__load_norm(&s, "norm", e->width);
    e->pool = tg__load_linear(&s, "pool", e->width, e->pooled, true);
    return error->status;
}

/* The final norm, and where the caller finds it. */
static void states(tg__plan *p, const encoder *e, tg__tensor x)
{
    x = tg__layer_norm(p, x, &e->norm, (tg__row_norm_options){.eps = 1e-5f});
    tg__to_f32(p, "states", x, tg__plan_external(p, STATES, TG__F32, x.n, 1, x.w, x.c));
}

static void record_words(tg__plan *p, const tg__network *network, const tg__pass *pass)
{
    const encoder *e = (const encoder *)network;
    tg__tensor ids = tg__plan_external(p, IDS, TG__F32, pass->n, 1, pass->tokens, 1);
    tg__tensor x = tg__embed_tokens(p, ids, &e->tokens, NULL, e->width);
    states(p, e, tg__linear(p, x, &e->mix, (tg__product_options){0}));
}

static void record_pool(tg__plan *p, const encoder *e, const tg__pass *pass)
{
    tg__tensor x = tg__plan_external(p, LAST, TG__F32, pass->n, 1, 1, e->width);
    x = tg__linear(p, tg__to_activations(p, "last", x), &e->pool, (tg__product_options){0});
    tg__to_f32(p, "pooled", x, tg__plan_external(p, POOLED_PORT, TG__F32, pass->n, 1, 1, x.c));
}

static void record_lines(tg__plan *p, const tg__network *network, const tg__pass *pass)
{
    const encoder *e = (const encoder *)network;
    tg__row_norm_options norm = {.eps = 1e-5f};
    tg__attention_options causal = {
        .heads = e->heads, .head_dim = e->width / e->heads, .causal = true};
    if (pass->kind == PASS_POOL) {
        record_pool(p, e, pass);
        return;
    }
    tg__tensor ids = tg__plan_external(p, IDS, TG__F32, pass->n, 1, pass->tokens, 1);
    tg__tensor x = tg__embed_tokens(p, ids, &e->tokens, &e->places, e->width);
    tg__tensor qkv =
        tg__linear(p, tg__layer_norm(p, x, &e->norm1, norm), &e->to_qkv, (tg__product_options){0});
    tg__tensor h = tg__attention_op(p, "attention", (tg__slice){qkv, 0}, (tg__slice){qkv, e->width},
                                    (tg__slice){qkv, 2 * e->width}, causal);
    x = tg__linear(p, h, &e->to_out, (tg__product_options){.residual = x});
    h = tg__layer_norm(p, x, &e->norm2, norm);
    h = tg__linear(p, h, &e->fc1, (tg__product_options){.activation = TG__GELU_TANH});
    states(p, e, tg__linear(p, h, &e->fc2, (tg__product_options){.residual = x}));
}

static const tg__port encoder_ports[] = {{"ids", .slot = IDS},
                                         {"states", .slot = STATES},
                                         {"last", .slot = LAST},
                                         {"pooled", .slot = POOLED_PORT},
                                         {.name = NULL}};

static const tg__network_class words_class = {
    .names = (const char *const[]){"ToyWordEncoder", NULL},
    .library = "transformers",
    .weights = "model",
    .bytes = sizeof(encoder),
    .use = TG__USE_ONCE,
    .ports = encoder_ports,
    .read_config = encoder_config,
    .load = load_words,
    .record = record_words,
};

static const tg__network_class lines_class = {
    .names = (const char *const[]){"ToyLineEncoder", NULL},
    .library = "transformers",
    .weights = "model",
    .bytes = sizeof(encoder),
    .use = TG__USE_ONCE,
    .ports = encoder_ports,
    .read_config = encoder_config,
    .load = load_lines,
    .record = record_lines,
};

/* ================================================================================== the painter */

typedef struct block {
    tg__layer to_qkv, self_out, to_q, to_kv, cross_out, modulation, fc1, fc2;
    tg__norm cross_norm;
} block;

typedef struct painter {
    tg__network network;
    int width, heads, inner, time_width, pooled, blocks;
    tg__layer proj_in, time_1, time_2, pooled_in, text_in, modulation_out, proj_out;
    tg__norm text_norm, bare; /* bare: without weights */
    block block[BLOCKS];
} painter;

enum { SAMPLE, TIMESTEP, OUTPUT, TEXT, TEXT_MASK, POOLED_IN };
enum { SHIFT_1, SCALE_1, GATE_1, SHIFT_2, SCALE_2, GATE_2, MODULATIONS };

static tg_status painter_config(tg__network *network, tg__config *c)
{
    painter *p = (painter *)network;
    p->width = (int)tg__config_int(c, "width", 1, 4096, 16);
    p->heads = (int)tg__config_int(c, "heads", 1, 64, 1);
    p->inner = (int)tg__config_int(c, "inner", 1, 4096, 16);
    p->time_width = (int)tg__config_int(c, "time_width", 2, 4096, 16);
    p->pooled = (int)tg__config_int(c, "pooled", 1, 4096, 16);
    p->blocks = (int)tg__config_int(c, "blocks", 1, BLOCKS, BLOCKS);
    network->facts = (tg__facts){.in_channels = (int)tg__config_int(c, "in_channels", 1, 64, 4),
                                 .out_channels = (int)tg__config_int(c, "out_channels", 1, 128, 8),
                                 .sample_size = (int)tg__config_int(c, "sample_size", 1, 1024, 8),
                                 .text_width = (int)tg__config_int(c, "text_width", 1, 4096, 16)};
    return tg__config_error(c)->status;
}

static block load_block(const tg__scope *s, const painter *p)
{
    static const char *const qkv[] = {"to_q", "to_k", "to_v"};
    tg__scope self = tg__at(s, "attn1"), cross = tg__at(s, "attn2");
    return (block){.to_qkv = tg__load_stacked(&self, qkv, 3, p->width, p->width, false),
                   .self_out = tg__load_linear(&self, "out", p->width, p->width, true),
                   .cross_norm = tg__load_rms_norm(&cross, "norm", p->width),
                   .to_q = tg__load_linear(&cross, "to_q", p->width, p->width, false),
                   .to_kv = tg__load_stacked(&cross, qkv + 1, 2, p->width, p->width, false),
                   .cross_out = tg__load_linear(&cross, "out", p->width, p->width, true),
                   .modulation =
                       tg__load_linear(s, "modulation", p->width, MODULATIONS * p->width, true),
                   .fc1 = tg__load_linear(s, "fc1", p->width, p->inner, true),
                   .fc2 = tg__load_linear(s, "fc2", p->inner, p->width, true)};
}

static tg_status load_painter(tg__network *network, const tg__weights *weights, tg__error *error)
{
    painter *p = (painter *)network;
    const tg__facts *f = &network->facts;
    tg__scope s = {weights, &network->arena, error, &network->tally, ""};
    p->proj_in = tg__load_linear(&s, "proj_in", f->in_channels, p->width, true);
    p->time_1 = tg__load_linear(&s, "time_1", p->time_width, p->width, true);
    p->time_2 = tg__load_linear(&s, "time_2", p->width, p->width, true);
    p->pooled_in = tg__load_linear(&s, "pooled", p->pooled, p->width, true);
    p->text_in = tg__load_linear(&s, "text_in", f->text_width, p->width, true);
    p->text_norm = tg__load_rms_norm(&s, "text_norm", p->width);
    p->bare = (tg__norm){.name = "norm", .c = p->width};
    for (int i = 0; i < p->blocks; i++) {
        tg__scope b = tg__at(&s, "blocks.%d", i);
        p->block[i] = load_block(&b, p);
    }
    p->modulation_out = tg__load_linear(&s, "modulation_out", p->width, 2 * p->width, true);
    p->proj_out = tg__load_linear(&s, "proj_out", p->width, f->out_channels, true);
    return error->status;
}

/* Slots of the attention layers: self's are even, cross's odd. */
static int self_index(int i) { return 2 * i; }
static int cross_index(int i) { return 2 * i + 1; }

/* A pass's batch, what it is told, and the gate. */
typedef struct run {
    tg__plan *plan;
    const painter *w;
    tg__gate_step gate;
    int tokens;
    tg__tensor told, mask;
} run;

/* Part of a modulation, which has `width` channels each. */
static tg__slice part(tg__tensor modulation, const painter *w, int which)
{
    return (tg__slice){modulation, which * w->width};
}

static tg__tensor modulated(const run *r, tg__tensor x, tg__tensor modulation, int shift)
{
    tg__row_norm_options o = {.eps = 1e-5f,
                              .shift = part(modulation, r->w, shift),
                              .scale = part(modulation, r->w, shift + 1)};
    return tg__layer_norm(r->plan, x, &r->w->bare, o);
}

static tg__tensor attend_self(const run *r, tg__tensor x, int i, tg__tensor modulation)
{
    const painter *w = r->w;
    tg__attention_options o = {.heads = w->heads, .head_dim = w->width / w->heads};
    tg__tensor qkv = tg__linear(r->plan, modulated(r, x, modulation, SHIFT_1), &w->block[i].to_qkv,
                                (tg__product_options){0});
    return tg__attention_op(r->plan, "attn1", part(qkv, w, 0), part(qkv, w, 1), part(qkv, w, 2), o);
}

static tg__tensor attend_text(const run *r, tg__tensor x, int i)
{
    const painter *w = r->w;
    tg__attention_options o = {.heads = w->heads, .head_dim = w->width / w->heads, .mask = r->mask};
    tg__tensor h = tg__rms_norm(r->plan, x, &w->block[i].cross_norm, 1e-5f);
    tg__tensor q = tg__linear(r->plan, h, &w->block[i].to_q, (tg__product_options){0});
    tg__tensor kv = tg__plan_external(r->plan, tg__slot_kv(cross_index(i)), TG__ACTIVATIONS, x.n, 1,
                                      r->tokens, 2 * (int64_t)w->width);
    return tg__attention_op(r->plan, "attn2", part(q, w, 0), part(kv, w, 0), part(kv, w, 1), o);
}

/* The output of an attention layer for x, or what the gate keeps of it: up to the residual and its
 * gate, which come anew at each step. */
static tg__tensor output_of(const run *r, tg__tensor x, int i, bool cross, tg__tensor modulation)
{
    tg__plan *p = r->plan;
    tg__gate_action action = cross ? r->gate.cross : r->gate.self;
    tg__tensor stored = tg__kept_output(p, x, action, cross ? cross_index(i) : self_index(i));
    if (action == TG__REUSE)
        return stored;
    const block *b = &r->w->block[i];
    tg__tensor h = cross ? attend_text(r, x, i) : attend_self(r, x, i, modulation);
    return tg__project_and_keep(p, h, cross ? &b->cross_out : &b->self_out, action, stored);
}

static tg__tensor paint_one_block(const run *r, tg__tensor x, int i)
{
    tg__plan *p = r->plan;
    const block *b = &r->w->block[i];
    tg__tensor m = tg__linear(p, r->told, &b->modulation, (tg__product_options){.f32 = true});
    tg__tensor h = output_of(r, x, i, false, m);
    x = tg__gated_add(p, "attn1.add", x, h, part(m, r->w, GATE_1));
    x = tg__add(p, "attn2.add", x, output_of(r, x, i, true, m));
    h = modulated(r, x, m, SHIFT_2);
    h = tg__linear(p, h, &b->fc1, (tg__product_options){.activation = TG__GELU_TANH});
    h = tg__linear(p, h, &b->fc2, (tg__product_options){0});
    return tg__gated_add(p, "ff.add", x, h, part(m, r->w, GATE_2));
}

/* The timestep and each picture's pooled vector. */
static tg__tensor told(tg__plan *p, const painter *w, int n)
{
    tg__tensor t = tg__plan_external(p, TIMESTEP, TG__F32, 1, 1, 1, 1);
    t = tg__timestep_embedding(p, t, w->time_width, true, 0);
    t = tg__linear(p, t, &w->time_1, (tg__product_options){.activation = TG__SILU});
    t = tg__linear(p, t, &w->time_2, (tg__product_options){0});
    tg__tensor pooled = tg__plan_external(p, POOLED_IN, TG__F32, n, 1, 1, w->pooled);
    pooled = tg__to_activations(p, "pooled", pooled);
    pooled = tg__linear(p, pooled, &w->pooled_in, (tg__product_options){0});
    return tg__activate(p, "told", tg__add(p, "told", pooled, t), TG__SILU);
}

static void record_run(tg__plan *p, const painter *w, const tg__pass *pass)
{
    const tg__facts *f = &w->network.facts;
    int copies = pass->gate.guided ? 2 : 1, n = copies * pass->n;
    run r = {.plan = p, .w = w, .gate = pass->gate, .tokens = pass->tokens};
    r.told = told(p, w, n);
    r.mask = tg__plan_external(p, TEXT_MASK, TG__F32, n, 1, pass->tokens, 1);
    tg__tensor x = tg__external_nchw(p, SAMPLE, pass->n, f->in_channels, pass->h, pass->w);
    x = tg__from_nchw(p, x, copies, 1, 0);
    x = tg__linear(p, x, &w->proj_in, (tg__product_options){0});
    for (int i = 0; i < w->blocks; i++)
        x = paint_one_block(&r, x, i);
    tg__tensor m = tg__linear(p, r.told, &w->modulation_out, (tg__product_options){.f32 = true});
    x = modulated(&r, x, m, SHIFT_1);
    x = tg__linear(p, x, &w->proj_out, (tg__product_options){.f32 = true});
    tg__to_nchw(p, x, tg__external_nchw(p, OUTPUT, n, f->in_channels, pass->h, pass->w));
}

static void record_text(tg__plan *p, const painter *w, const tg__pass *pass)
{
    tg__tensor x =
        tg__plan_external(p, TEXT, TG__F32, pass->n, 1, pass->tokens, w->network.facts.text_width);
    x = tg__linear(p, tg__to_activations(p, "text", x), &w->text_in,
                   (tg__product_options){.activation = TG__GELU_TANH});
    x = tg__rms_norm(p, x, &w->text_norm, 1e-5f);
    for (int i = 0; i < w->blocks; i++) {
        tg__tensor kv = tg__plan_external(p, tg__slot_kv(cross_index(i)), TG__ACTIVATIONS, pass->n,
                                          1, pass->tokens, 2 * (int64_t)w->width);
        tg__linear(p, x, &w->block[i].to_kv, (tg__product_options){.into = kv});
    }
}

static void record_painter(tg__plan *p, const tg__network *network, const tg__pass *pass)
{
    if (pass->kind == TG__PASS_TEXT)
        record_text(p, (const painter *)network, pass);
    else
        record_run(p, (const painter *)network, pass);
}

static int text_width(const tg__network *network) { return network->facts.text_width; }
static int mask_width(const tg__network *network) { return network != NULL; }
static int pooled_width(const tg__network *network) { return ((const painter *)network)->pooled; }

static const tg__network_class painter_class = {
    .names = (const char *const[]){"ToyPainter", NULL},
    .library = "diffusers",
    .weights = "diffusion_pytorch_model",
    .bytes = sizeof(painter),
    .use = TG__USE_A_STEP,
    .text_pass = true,
    .ports = (const tg__port[]){{"sample", .slot = SAMPLE},
                                {"timestep", .slot = TIMESTEP},
                                {"output", .slot = OUTPUT},
                                {"text", .slot = TEXT, .width = text_width},
                                {"mask", .slot = TEXT_MASK, .width = mask_width},
                                {"pooled", .slot = POOLED_IN, .width = pooled_width},
                                {.name = NULL}},
    .read_config = painter_config,
    .load = load_painter,
    .record = record_painter,
};

/* ==================================================================================== the codec */

typedef struct codec {
    tg__network network;
    int width;
    tg__layer conv_in, up, conv_out, down, moments;
} codec;

enum { CODEC_INPUT, CODEC_OUTPUT };

static tg_status codec_config(tg__network *network, tg__config *c)
{
    codec *k = (codec *)network;
    k->width = (int)tg__config_int(c, "width", 1, 4096, 8);
    int latents = (int)tg__config_int(c, "latent_channels", 1, 64, 4);
    network->facts =
        (tg__facts){.in_channels = 3,
                    .out_channels = 3,
                    .latent_channels = latents,
                    .moments = 2 * latents,
                    .factor = 2,
                    .sample_size = (int)tg__config_int(c, "sample_size", 2, 4096, 16),
                    .scaling_factor = tg__config_number(c, "scaling_factor", 1e-6, 1e6, 1)};
    return tg__config_error(c)->status;
}

static tg_status load_codec(tg__network *network, const tg__weights *weights, tg__error *error)
{
    codec *k = (codec *)network;
    tg__scope root = {weights, &network->arena, error, &network->tally, ""};
    tg__scope d = tg__at(&root, "decoder"), e = tg__at(&root, "encoder");
    k->conv_in = tg__load_conv(&d, "conv_in", network->facts.latent_channels, k->width, 3);
    k->up = tg__load_conv(&d, "up", k->width, k->width, 3);
    k->conv_out = tg__load_conv(&d, "conv_out", k->width, 3, 3);
    k->down = tg__load_conv(&e, "down", 3, k->width, 3);
    k->moments = tg__load_conv(&e, "conv_out", k->width, network->facts.moments, 3);
    return error->status;
}

static void record_codec(tg__plan *p, const tg__network *network, const tg__pass *pass)
{
    const codec *k = (const codec *)network;
    bool encode = pass->kind == TG__PASS_ENCODE;
    tg__product_options silu_behind = {.activation = TG__SILU};
    tg__product_options halve = {
        .stride = 2, .own_padding = true, .pad_after = 1, .activation = TG__SILU};
    int in = encode ? 3 : network->facts.latent_channels;
    int out = encode ? network->facts.moments : 3;
    tg__tensor x = tg__external_nchw(p, CODEC_INPUT, pass->n, in, pass->h, pass->w);
    x = tg__from_nchw(p, x, 1, encode ? 1 : pass->factor, 0);
    if (encode) {
        x = tg__conv2d(p, x, &k->down, halve);
    } else {
        x = tg__conv2d(p, x, &k->conv_in, silu_behind);
        x = tg__upsample_conv2d(p, x, &k->up, 2 * x.h, 2 * x.w);
        x = tg__activate(p, "up.silu", x, TG__SILU);
    }
    x = tg__conv2d(p, x, encode ? &k->moments : &k->conv_out, (tg__product_options){.f32 = true});
    tg__to_nchw(p, x, tg__external_nchw(p, CODEC_OUTPUT, pass->n, out, x.h, x.w));
}

static const tg__network_class codec_class = {
    .names = (const char *const[]){"ToyCodec", NULL},
    .library = "diffusers",
    .weights = "diffusion_pytorch_model",
    .bytes = sizeof(codec),
    .use = TG__USE_A_PICTURE,
    .ports = (const tg__port[]){{"input", .slot = CODEC_INPUT},
                                {"output", .slot = CODEC_OUTPUT},
                                {.name = NULL}},
    .read_config = codec_config,
    .load = load_codec,
    .record = record_codec,
};

/* ================================================================================= the pipeline */

static void check(tg_model *m)
{
    const tg__facts *paint_facts = &m->networks[PAINTER]->facts;
    const tg__facts *words = &m->networks[WORDS]->facts, *lines = &m->networks[LINES]->facts;
    int wider = words->text_width > lines->text_width ? words->text_width : lines->text_width;
    if (paint_facts->text_width != wider)
        tg__fail(&m->error, TG_ERROR_FORMAT, "painter/config.json: text_width is %d, expected %d",
                 paint_facts->text_width, wider);
    m->contexts[WORDS] = words->positions;
    m->contexts[LINES] = lines->positions;
}

/* Letters to ids; returns how many are no padding. */
static int spell(const char *text, int context, int32_t *ids)
{
    int count = 1;
    ids[0] = BEGIN;
    for (; *text && count < context - 1; text++) {
        bool letter = *text >= 'a' && *text <= 'z';
        ids[count++] = letter ? *text - 'a' + FIRST_LETTER : *text == ' ' ? 28 : OTHER;
    }
    ids[count++] = END;
    for (int i = count; i < context; i++)
        ids[i] = PAD;
    return count;
}

/* Where one text's conditions go. */
typedef struct into {
    float *text, *mask, *pooled;
} into;

/* One encoder's states of a text to rows of `stride` values; returns how many are no padding. */
static int read_text(tg_session *s, int role, const char *text, float *rows, float *mask,
                     int stride)
{
    int context = s->model->contexts[role], width = s->model->networks[role]->facts.text_width;
    int32_t ids[VOCABULARY];
    float *made = calloc((size_t)context * (size_t)width, sizeof *made);
    int count = spell(text, context, ids);
    tg__pass pass = {.n = 1, .tokens = context};
    tg__array_port ports[] = {
        {"ids", ids, NULL, (size_t)context * sizeof *ids},
        {"states", NULL, made, (size_t)context * (size_t)width * sizeof *made}};
    if (!made)
        tg__fail_memory(&s->error);
    else
        tg__session_run_pass(s, role, &pass, ports, 2);
    for (int i = 0; made && i < context; i++) {
        memcpy(rows + i * stride, made + i * width, (size_t)width * sizeof *rows);
        mask[i] = i < count;
    }
    free(made);
    return count;
}

static void encode_side(tg_session *s, const char *text, into to)
{
    const tg_model *m = s->model;
    int stride = m->networks[PAINTER]->facts.text_width, context = m->contexts[WORDS];
    size_t row = (size_t)stride * sizeof(float);
    float *line = to.text + context * stride;
    read_text(s, WORDS, text, to.text, to.mask, stride);
    int count = read_text(s, LINES, text, line, to.mask + context, stride);
    tg__pass pass = {.kind = PASS_POOL, .n = 1};
    int pooled = ((const encoder *)m->networks[LINES])->pooled;
    tg__array_port ports[] = {{"last", line + (count - 1) * stride, NULL, row},
                              {"pooled", NULL, to.pooled, (size_t)pooled * sizeof(float)}};
    if (!tg__failed(&s->error))
        tg__session_run_pass(s, LINES, &pass, ports, 2);
}

static tg_status encode(tg_session *s, tg_prompt *prompt, const tg__texts *texts)
{
    const tg_model *m = s->model;
    double start = tg__seconds();
    int tokens = m->contexts[WORDS] + m->contexts[LINES];
    tg__condition *text =
        tg__prompt_add(prompt, "text", tokens, m->networks[PAINTER]->facts.text_width, &s->error);
    tg__condition *mask = tg__prompt_add(prompt, "mask", tokens, 1, &s->error);
    tg__condition *pooled = tg__prompt_add(
        prompt, "pooled", 1, ((const encoder *)m->networks[LINES])->pooled, &s->error);
    if (tg__failed(&s->error))
        return s->error.status;
    encode_side(s, texts->negative ? texts->negative : "",
                (into){text->negative, mask->negative, pooled->negative});
    if (!tg__failed(&s->error))
        encode_side(s, texts->text, (into){text->positive, mask->positive, pooled->positive});
    prompt->seconds = tg__seconds() - start;
    return s->error.status;
}

/* The scheduler's list without its first third; the last quarter of it without guidance. */
static void recipe(tg__recipe *list, const tg__request *r)
{
    int evaluations = tg__scheduler_evaluations(r->scheduler), first = evaluations / 3;
    int count = evaluations - first, guided = count - count / 4;
    list->guidance = r->options->guidance > 1;
    list->count = list->steps = count;
    tg__gate_schedule(list->rules, count, count, 1, &r->options->gate, list->guidance);
    for (int i = 0; i < count; i++) {
        tg__gate_step *rule = &list->rules[i];
        if (i >= guided && rule->guided) { /* one half: there is no mean */
            rule->guided = false;
            rule->self = rule->self == TG__STORE_MEAN ? TG__STORE : rule->self;
            rule->cross = rule->cross == TG__STORE_MEAN ? TG__STORE : rule->cross;
        }
        list->evaluations[i] = (tg__evaluation){
            .role = PAINTER,
            .index = first + i,
            .step = first + i,
            .pass = {.n = r->count, .h = r->h, .w = r->w, .tokens = r->tokens, .gate = *rule}};
    }
}

static const tg__role roles[NETWORKS] = {
    [PAINTER] = {.name = "painter",
                 .classes = (const tg__network_class *const[]){&painter_class, NULL}},
    [CODEC] = {.name = "codec", .classes = (const tg__network_class *const[]){&codec_class, NULL}},
    [WORDS] = {.name = "words", .classes = (const tg__network_class *const[]){&words_class, NULL}},
    [LINES] = {.name = "lines", .classes = (const tg__network_class *const[]){&lines_class, NULL}},
};

static const tg__pipeline_class toy_class = {
    .names = (const char *const[]){"ToyPipeline", NULL},
    .roles = roles,
    .role_count = NETWORKS,
    .denoiser = PAINTER,
    .autoencoder = CODEC,
    .steps = 12,
    .guidance = 3,
    .gate = {.gate_step = 4, .sp_interval = 2, .fi_interval = 2, .warm_up = 1},
    .check = check,
    .encode = encode,
    .recipe = recipe,
};

#endif
