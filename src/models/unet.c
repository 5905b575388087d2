/* SPDX-License-Identifier: MIT */
/* The figure: conv_in, down, mid, up, conv_out; each level's residual blocks and transformers see
 * the timestep and the text, and what went down comes back across as a skip connection. */
#include "models/unet.h"

/* Numbers that are added to the timestep: what the pooled text leaves room for. */
static int time_ids_width(const tg__network *network)
{
    const tg__unet_config *c = &((const tg__unet *)network)->config;
    return c->added_channels
               ? (c->added_channels - network->facts.pooled_width) / c->added_time_channels
               : 0;
}

/* -------------------------------------------------------------------------------------- plan */

/* What each of n pictures is told besides: its pooled text and sizes. */
static tg__tensor added_embedding(tg__plan *p, const tg__unet *u, int n)
{
    const tg__unet_config *c = &u->config;
    const tg__network *network = &u->network;
    tg__tensor pooled =
        tg__plan_external(p, TG__UNET_POOLED, TG__F32, n, 1, 1, network->facts.pooled_width);
    tg__tensor ids =
        tg__plan_external(p, TG__UNET_TIME_IDS, TG__F32, n, 1, 1, time_ids_width(network));
    ids = tg__timestep_embedding(p, ids, c->added_time_channels, c->flip_sin_to_cos, c->freq_shift);
    tg__tensor x =
        tg__conv2d_pair(p, tg__to_activations(p, "text_embeds", pooled), ids, &u->add_linear_1);
    x = tg__activate(p, u->add_linear_1.name, x, TG__SILU);
    return tg__linear(p, x, &u->add_linear_2, (tg__product_options){0});
}

static tg__tensor time_embedding(tg__plan *p, const tg__unet *u, int n)
{
    const tg__unet_config *c = &u->config;
    tg__activation act = c->resnet.activation;
    tg__tensor t = tg__plan_external(p, TG__UNET_TIMESTEP, TG__F32, 1, 1, 1, 1);
    t = tg__timestep_embedding(p, t, u->time_linear_1.in, c->flip_sin_to_cos, c->freq_shift);
    if (c->time_cond_channels) {
        tg__tensor guidance =
            tg__plan_external(p, TG__UNET_GUIDANCE, TG__F32, 1, 1, 1, c->time_cond_channels);
        guidance = tg__to_activations(p, "timestep_cond", guidance);
        t = tg__linear(p, guidance, &u->time_cond_proj, (tg__product_options){.residual = t});
    }
    t = tg__linear(p, t, &u->time_linear_1, (tg__product_options){.activation = act});
    t = tg__linear(p, t, &u->time_linear_2, (tg__product_options){0});
    t = tg__activate(p, "time_embedding.post_act", t, c->time_post_activation);
    if (c->added_channels)
        t = tg__add(p, "aug_emb", added_embedding(p, u, n), t);
    t = tg__activate(p, "time_embed_act", t, c->time_embed_activation);
    return tg__activate(p, "time_act", t, act); /* each residual block would do it anew */
}

/* What a pass through the network hands from block to block. Layers go by the skip connection that
 * they make on the way down and take on the way up: those behind `branch` are deep. */
typedef struct pass {
    tg__plan *plan;
    const tg__unet *unet;
    const tg__pass *how;
    tg__tensor time;
    tg__tensor *skips; /* a stack */
    int skip_count;
    int branch; /* the skip connection of the layer that the deep feature enters */
} pass;

static bool deep(const pass *s) { return s->skip_count > s->branch; }
static bool left_out(const pass *s) { return s->how->deep.depth == TG__DEPTH_SHALLOW && deep(s); }

static tg__tensor resnet(const pass *s, tg__tensor x, tg__tensor skip, const tg__resnet *w)
{
    return tg__resnet_block(s->plan, x, skip, s->time, w, &s->unet->config.resnet, 1.f);
}

static tg__tensor attention(const pass *s, tg__tensor x, const tg__transformer *w)
{
    tg__gate_step gate = deep(s) ? s->how->deep.gate : s->how->gate;
    return tg__transformer_2d(s->plan, x, w, gate, s->how->tokens);
}

/* Kept memory of the deep feature, behind the attention layers'. */
static int slot_deep(const tg__unet *u) { return tg__slot_stored(u->attention_count); }

static tg__tensor push(pass *s, tg__tensor x) { return s->skips[s->skip_count++] = x; }
static tg__tensor pop(pass *s) { return s->skips[--s->skip_count]; }

static tg__tensor down_level(pass *s, tg__tensor x, const tg__level *level)
{
    int padding = s->unet->config.downsample_padding;
    tg__product_options halve = {.stride = 2,
                                 .own_padding = true,
                                 .pad_before = padding,
                                 .pad_after = padding ? padding : 1};
    for (int j = 0; j < level->layers && !left_out(s); j++) {
        x = resnet(s, x, (tg__tensor){0}, &level->resnets[j]);
        if (level->attentions)
            x = attention(s, x, &level->attentions[j]);
        push(s, x);
    }
    if (!level->has_sampler || left_out(s))
        return x;
    return push(s, tg__conv2d(s->plan, x, &level->sampler, halve));
}

static tg__tensor mid_block(const pass *s, tg__tensor x)
{
    const tg__unet_config *c = &s->unet->config;
    const tg__resnet *w = s->unet->mid_resnets;
    if (c->mid == TG__MID_NONE || left_out(s))
        return x;
    x = tg__resnet_block(s->plan, x, (tg__tensor){0}, s->time, &w[0], &c->resnet, c->mid_scale);
    if (c->mid == TG__MID_RESNET)
        return x;
    x = attention(s, x, &s->unet->mid_attention);
    return tg__resnet_block(s->plan, x, (tg__tensor){0}, s->time, &w[1], &c->resnet, c->mid_scale);
}

/* What enters a layer of the way up: at the branch it is kept, or what was kept last. */
static tg__tensor entering(const pass *s, tg__tensor x, tg__tensor skip, const tg__resnet *w)
{
    tg__depth depth = s->how->deep.depth;
    if (s->skip_count != s->branch || (depth != TG__DEPTH_KEEP && depth != TG__DEPTH_SHALLOW))
        return x;
    tg__tensor kept = tg__plan_external(s->plan, slot_deep(s->unet), TG__ACTIVATIONS, skip.n,
                                        skip.h, skip.w, w->norm1.c - skip.c);
    if (depth == TG__DEPTH_SHALLOW)
        return kept;
    tg__copy(s->plan, "deep_feature", x, kept);
    return x;
}

static tg__tensor up_level(pass *s, tg__tensor x, const tg__level *level)
{
    for (int j = 0; j < level->layers; j++) {
        tg__tensor skip = pop(s);
        if (left_out(s))
            continue;
        x = entering(s, x, skip, &level->resnets[j]);
        x = resnet(s, x, skip, &level->resnets[j]);
        if (level->attentions)
            x = attention(s, x, &level->attentions[j]);
    }
    if (!level->has_sampler || left_out(s))
        return x;
    tg__tensor next = s->skips[s->skip_count - 1]; /* odd sizes: not always twice as large */
    return tg__upsample_conv2d(s->plan, x, &level->sampler, next.h, next.w);
}

static int skip_total(const tg__unet_config *c)
{
    int total = c->levels;
    for (int i = 0; i < c->levels; i++)
        total += c->layers[i];
    return total;
}

/* The skip connection of the layer that a branch names: those of the blocks before, and so many of
 * its own, of which a block may have fewer. Without DeepCache all of them are before it. */
static int branch_of(const tg__unet_config *c, const tg__deep_step *deep)
{
    int block = deep->branch / TG__BRANCHES_A_BLOCK, layer = deep->branch % TG__BRANCHES_A_BLOCK;
    if (deep->depth == TG__DEPTH_PLAIN)
        return skip_total(c);
    int skip = layer < c->layers[block] ? layer : c->layers[block];
    for (int i = 0; i < block; i++)
        skip += c->layers[i] + 1;
    return skip;
}

/* One evaluation for n pictures of h x w latents. */
static void record_run(tg__plan *p, const tg__unet *u, const tg__pass *how)
{
    const tg__unet_config *c = &u->config;
    int n = how->n, h = how->h, w = how->w;
    pass s = {.plan = p, .unet = u, .how = how, .branch = branch_of(c, &how->deep)};
    s.skips = tg__arena_take(tg__plan_arena(p), (size_t)skip_total(c), sizeof *s.skips);
    if (!s.skips) {
        tg__fail_memory(tg__plan_error(p));
        return;
    }
    int copies = how->gate.guided ? 2 : 1;
    tg__tensor x = tg__external_nchw(p, TG__UNET_SAMPLE, n, c->in_channels, h, w);
    x = tg__from_nchw(p, x, copies, c->center_input_sample ? 2.f : 1.f,
                      c->center_input_sample ? -1.f : 0.f);
    s.time = time_embedding(p, u, copies * n);

    x = push(&s, tg__conv2d(p, x, &u->conv_in, (tg__product_options){0}));
    for (int i = 0; i < c->levels; i++)
        x = down_level(&s, x, &u->down[i]);
    x = mid_block(&s, x);
    s.skip_count = skip_total(c); /* a shallow pass made the first of them */
    for (int i = 0; i < c->levels; i++)
        x = up_level(&s, x, &u->up[i]);

    tg__group_norm_options norm = {.groups = c->resnet.groups, .eps = c->resnet.eps};
    x = tg__norm_activation(p, x, (tg__tensor){0}, &u->conv_norm_out, norm, c->resnet.activation);
    x = tg__conv2d(p, x, &u->conv_out, (tg__product_options){.f32 = true});
    tg__to_nchw(p, x,
                tg__external_nchw(p, TG__UNET_OUTPUT, (int64_t)copies * n, c->out_channels, h, w));
}

static void level_text(tg__plan *p, tg__tensor text, const tg__level *level)
{
    for (int j = 0; level->attentions && j < level->layers; j++)
        tg__transformer_text(p, text, &level->attentions[j]);
}

/* What depends on the text alone: keys and values for a batch of n texts. */
static void record_text(tg__plan *p, const tg__unet *u, const tg__pass *how)
{
    const tg__unet_config *c = &u->config;
    tg__tensor text =
        tg__plan_external(p, TG__UNET_TEXT, TG__F32, how->n, 1, how->tokens, c->cross_dim[0]);
    text = tg__to_activations(p, "encoder_hidden_states", text);
    for (int i = 0; i < c->levels; i++) {
        level_text(p, text, &u->down[i]);
        level_text(p, text, &u->up[i]);
    }
    if (c->mid == TG__MID_CROSS_ATTENTION)
        tg__transformer_text(p, text, &u->mid_attention);
}

static void record(tg__plan *plan, const tg__network *network, const tg__pass *how)
{
    const tg__unet *unet = (const tg__unet *)network;
    if (how->kind == TG__PASS_TEXT)
        record_text(plan, unet, how);
    else
        record_run(plan, unet, how);
}

/* ------------------------------------------------------------------------------------ loading */

typedef struct level_shape {
    int level, layers;
    const int *transformer_layers; /* by layer */
    bool cross;
} level_shape;

/* in[j]: input channels of residual block j. */
static void load_level(tg__level *level, const tg__scope *s, tg__unet *u, level_shape shape,
                       const int *in)
{
    const tg__unet_config *c = &u->config;
    int out = c->channels[shape.level];
    tg__transformer_config attention = {.groups = c->resnet.groups,
                                        .heads = c->heads[shape.level],
                                        .cross_dim = c->cross_dim[shape.level],
                                        .linear_projection = c->linear_projection,
                                        .only_cross = c->only_cross[shape.level]};
    level->resnets = tg__load_array(s, shape.layers, sizeof *level->resnets);
    if (shape.cross)
        level->attentions = tg__load_array(s, shape.layers, sizeof *level->attentions);
    if (tg__failed(s->error))
        return;
    level->layers = shape.layers;
    for (int j = 0; j < shape.layers; j++) {
        tg__scope r = tg__at(s, "resnets.%d", j), a = tg__at(s, "attentions.%d", j);
        level->resnets[j] = tg__load_resnet(&r, &c->resnet, in[j], out);
        attention.layers = shape.transformer_layers[j];
        if (shape.cross)
            level->attentions[j] = tg__load_transformer(&a, &attention, out, &u->attention_count);
    }
}

static void load_down(tg__unet *u, const tg__scope *root, int i)
{
    const tg__unet_config *c = &u->config;
    tg__scope s = tg__at(root, "down_blocks.%d", i);
    int in[TG__MAX_UNET_LAYERS];
    for (int j = 0; j < c->layers[i]; j++)
        in[j] = c->channels[j == 0 && i > 0 ? i - 1 : i];
    level_shape shape = {i, c->layers[i], c->transformer_layers[i], c->down_cross[i]};
    load_level(&u->down[i], &s, u, shape, in);
    u->down[i].has_sampler = i < c->levels - 1;
    if (u->down[i].has_sampler)
        u->down[i].sampler =
            tg__load_conv(&s, "downsamplers.0.conv", c->channels[i], c->channels[i], 3);
}

/* Up block i mirrors level levels-1-i: its residual blocks read what came before beside a skip. */
static void load_up(tg__unet *u, const tg__scope *root, int i)
{
    const tg__unet_config *c = &u->config;
    tg__scope s = tg__at(root, "up_blocks.%d", i);
    int level = c->levels - 1 - i, out = c->channels[level], layers = c->layers[level] + 1;
    int in[TG__MAX_UNET_LAYERS + 1];
    for (int j = 0; j < layers; j++) {
        int before = j > 0 || i == 0 ? out : c->channels[level + 1];
        int skip = j < layers - 1 || level == 0 ? out : c->channels[level - 1];
        in[j] = before + skip;
    }
    level_shape shape = {level, layers, c->up_transformer_layers[i], c->up_cross[i]};
    load_level(&u->up[i], &s, u, shape, in);
    u->up[i].has_sampler = i < c->levels - 1;
    if (u->up[i].has_sampler)
        u->up[i].sampler = tg__load_conv(&s, "upsamplers.0.conv", out, out, 3);
}

static void load_mid(tg__unet *u, const tg__scope *root)
{
    const tg__unet_config *c = &u->config;
    int last = c->levels - 1, channels = c->channels[last];
    tg__transformer_config attention = {.groups = c->resnet.groups,
                                        .heads = c->heads[last],
                                        .layers = c->mid_transformer_layers,
                                        .cross_dim = c->cross_dim[last],
                                        .linear_projection = c->linear_projection};
    tg__scope first = tg__at(root, "mid_block.resnets.0");
    tg__scope second = tg__at(root, "mid_block.resnets.1");
    tg__scope between = tg__at(root, "mid_block.attentions.0");
    if (c->mid == TG__MID_NONE)
        return;
    u->mid_resnets[0] = tg__load_resnet(&first, &c->resnet, channels, channels);
    if (c->mid == TG__MID_RESNET)
        return;
    u->mid_attention = tg__load_transformer(&between, &attention, channels, &u->attention_count);
    u->mid_resnets[1] = tg__load_resnet(&second, &c->resnet, channels, channels);
}

/* A guidance embedding is there whether or not the config speaks of it: a UNet alone may come with
 * another one's. */
static void find_guidance(tg__unet *u, const tg__weights *weights)
{
    tg__weight found;
    if (u->config.time_cond_channels > 0 ||
        !tg__weights_find(weights, "time_embedding.cond_proj.weight", &found) || found.rank != 2 ||
        found.shape[1] < 4 || found.shape[1] > 65536)
        return;
    u->config.time_cond_channels = (int)found.shape[1];
    u->network.facts.guidance_width = u->config.time_cond_channels;
}

static tg_status load(tg__network *network, const tg__weights *weights, tg__error *error)
{
    tg__unet *u = (tg__unet *)network;
    const tg__unet_config *c = &u->config;
    tg__scope s = {weights, &network->arena, error, &network->tally, ""};
    int first = c->channels[0], time = c->time_channels;
    find_guidance(u, weights);
    u->conv_in = tg__load_conv(&s, "conv_in", c->in_channels, first, c->conv_in_kernel);
    u->time_linear_1 = tg__load_linear(&s, "time_embedding.linear_1", first, time, true);
    if (c->time_cond_channels)
        u->time_cond_proj =
            tg__load_linear(&s, "time_embedding.cond_proj", c->time_cond_channels, first, false);
    u->time_linear_2 = tg__load_linear(&s, "time_embedding.linear_2", time, time, true);
    if (c->added_channels) {
        u->add_linear_1 =
            tg__load_linear(&s, "add_embedding.linear_1", c->added_channels, time, true);
        u->add_linear_2 = tg__load_linear(&s, "add_embedding.linear_2", time, time, true);
    }
    for (int i = 0; i < c->levels; i++)
        load_down(u, &s, i);
    load_mid(u, &s);
    for (int i = 0; i < c->levels; i++)
        load_up(u, &s, i);
    u->conv_norm_out = tg__load_norm(&s, "conv_norm_out", first);
    u->conv_out = tg__load_conv(&s, "conv_out", first, c->out_channels, c->conv_out_kernel);
    return error->status;
}

static int text_width(const tg__network *network) { return network->facts.text_width; }
static int pooled_width(const tg__network *network) { return network->facts.pooled_width; }

static const tg__port ports[] = {
    {"sample", .slot = TG__UNET_SAMPLE},
    {"timestep", .slot = TG__UNET_TIMESTEP},
    {"output", .slot = TG__UNET_OUTPUT},
    {"text", .slot = TG__UNET_TEXT, .width = text_width},
    {"pooled", .slot = TG__UNET_POOLED, .width = pooled_width},
    {"time_ids", .slot = TG__UNET_TIME_IDS, .width = time_ids_width, .of_request = true},
    {"guidance", .slot = TG__UNET_GUIDANCE},
    {.name = NULL}};

const tg__network_class tg__unet_class = {
    .names = (const char *const[]){"UNet2DConditionModel", NULL},
    .library = "diffusers",
    .weights = "diffusion_pytorch_model",
    .bytes = sizeof(tg__unet),
    .use = TG__USE_A_STEP,
    .rough = 1 << TG__PASS_RUN,
    .text_pass = true,
    .ports = ports,
    .read_config = tg__unet_read_config,
    .load = load,
    .record = record,
    .anchor = "conv_norm_out.weight",
    .original_name = tg__unet_original_name,
};
