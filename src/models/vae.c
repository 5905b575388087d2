/* SPDX-License-Identifier: MIT */
#include "models/vae.h"

#include <stdio.h>
#include <string.h>

#include "models/config_keys.h"

/* The factor between pixels and latents doubles with each level. */
enum { MAX_LAYERS = 64, MAX_VAE_LEVELS = 11 };

/* -------------------------------------------------------------------------------------- plan */

static tg__tensor resnet(tg__plan *p, tg__tensor x, const tg__resnet *w, const tg__vae *v)
{
    return tg__resnet_block(p, x, (tg__tensor){0}, (tg__tensor){0}, w, &v->config.resnet, 1.f);
}

/* One head over all channels. */
static tg__tensor mid_attention(tg__plan *p, tg__tensor x, const tg__vae_half *w, const tg__vae *v)
{
    tg__group_norm_options norm = {.groups = v->config.resnet.groups, .eps = v->config.resnet.eps};
    tg__tensor h = tg__group_norm_op(p, x, (tg__tensor){0}, &w->attention_norm, norm);
    tg__tensor qkv = tg__linear(p, h, &w->to_qkv, (tg__product_options){0});
    h = tg__attention_op(p, w->to_qkv.name, (tg__slice){qkv, 0}, (tg__slice){qkv, x.c},
                         (tg__slice){qkv, 2 * x.c},
                         (tg__attention_options){.heads = 1, .head_dim = x.c});
    return tg__linear(p, h, &w->to_out, (tg__product_options){.residual = x});
}

static tg__tensor mid_block(tg__plan *p, tg__tensor x, const tg__vae_half *w, const tg__vae *v)
{
    x = resnet(p, x, &w->mid_resnets[0], v);
    if (v->config.mid_attention)
        x = mid_attention(p, x, w, v);
    return resnet(p, x, &w->mid_resnets[1], v);
}

static tg__tensor norm_out(tg__plan *p, tg__tensor x, const tg__vae_half *w, const tg__vae *v)
{
    tg__group_norm_options norm = {.groups = v->config.resnet.groups, .eps = v->config.resnet.eps};
    /* act_fn is the residual blocks' alone. */
    return tg__norm_activation(p, x, (tg__tensor){0}, &w->conv_norm_out, norm, TG__SILU);
}

/* n latents of h x w, times factor, to pictures (-1 to 1). */
static void record_decode(tg__plan *p, const tg__vae *v, const tg__pass *how)
{
    const tg__vae_half *d = &v->decoder;
    const tg__vae_config *c = &v->config;
    tg__tensor in = tg__external_nchw(p, TG__VAE_INPUT, how->n, c->latent_channels, how->h, how->w);
    tg__tensor x = tg__from_nchw(p, in, 1, how->factor, 0.f);
    if (c->post_quant_conv)
        x = tg__conv2d(p, x, &d->quant, (tg__product_options){0});
    x = tg__conv2d(p, x, &d->conv_in, (tg__product_options){0});
    x = mid_block(p, x, d, v);
    for (int i = 0; i < c->levels; i++) {
        const tg__level *level = &d->levels[i];
        for (int j = 0; j < level->layers; j++)
            x = resnet(p, x, &level->resnets[j], v);
        if (level->has_sampler)
            x = tg__upsample_conv2d(p, x, &level->sampler, 2 * x.h, 2 * x.w);
    }
    x = norm_out(p, x, d, v);
    x = tg__conv2d(p, x, &d->conv_out, (tg__product_options){.f32 = true});
    tg__to_nchw(p, x, tg__external_nchw(p, TG__VAE_OUTPUT, how->n, c->out_channels, x.h, x.w));
}

/* n pictures of h x w to the moments (mean, then log variance) of their latents. */
static void record_encode(tg__plan *p, const tg__vae *v, const tg__pass *how)
{
    const tg__product_options halve = {
        .stride = 2, .own_padding = true, .pad_before = 0, .pad_after = 1};
    const tg__vae_half *e = &v->encoder;
    const tg__vae_config *c = &v->config;
    tg__tensor x = tg__from_nchw(
        p, tg__external_nchw(p, TG__VAE_INPUT, how->n, c->in_channels, how->h, how->w), 1, 1.f,
        0.f);
    x = tg__conv2d(p, x, &e->conv_in, (tg__product_options){0});
    for (int i = 0; i < c->levels; i++) {
        const tg__level *level = &e->levels[i];
        for (int j = 0; j < level->layers; j++)
            x = resnet(p, x, &level->resnets[j], v);
        if (level->has_sampler)
            x = tg__conv2d(p, x, &level->sampler, halve);
    }
    x = mid_block(p, x, e, v);
    x = norm_out(p, x, e, v);
    x = tg__conv2d(p, x, &e->conv_out, (tg__product_options){.f32 = !c->quant_conv});
    if (c->quant_conv)
        x = tg__conv2d(p, x, &e->quant, (tg__product_options){.f32 = true});
    tg__to_nchw(p, x,
                tg__external_nchw(p, TG__VAE_OUTPUT, how->n, 2 * c->latent_channels, x.h, x.w));
}

static void record(tg__plan *plan, const tg__network *network, const tg__pass *pass)
{
    const tg__vae *vae = (const tg__vae *)network;
    if (pass->kind == TG__PASS_ENCODE)
        record_encode(plan, vae, pass);
    else
        record_decode(plan, vae, pass);
}

/* ------------------------------------------------------------------------------------- config */

static void read_blocks(tg__config *c, const char *key, const char *only, int levels)
{
    tg__config_refuse_null(c, key, "a list");
    int n = tg__config_list(c, key, MAX_VAE_LEVELS);
    if (!tg__failed(tg__config_error(c)) && n < 0 && levels != 1)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: %s is missing, expected a list of %d as block_out_channels",
                 tg__config_where(c), key, levels);
    else if (!tg__failed(tg__config_error(c)) && n >= 0 && n != levels)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: %s is a list of %d, expected %d as block_out_channels", tg__config_where(c),
                 key, n, levels);
    for (int i = 0; i < n; i++) {
        const char *type = tg__config_list_string(c, key, i);
        char shown[80];
        if (!tg__failed(tg__config_error(c)) && strcmp(type, only) != 0)
            tg__fail(tg__config_error(c), TG_ERROR_UNSUPPORTED,
                     "%s: %s[%d] \"%s\" is not implemented, expected \"%s\"", tg__config_where(c),
                     key, i, tg__printable(shown, sizeof shown, type), only);
    }
}

static void read_channels(tg__vae_config *v, tg__config *c)
{
    tg__config_refuse_null(c, "block_out_channels", "a list");
    int n = tg__config_list(c, "block_out_channels", MAX_VAE_LEVELS);
    for (int i = 0; i < n; i++)
        v->channels[i] = (int)tg__config_list_int(c, "block_out_channels", i, 1, TG__MAX_CHANNELS);
    if (n < 0)
        v->channels[0] = 64;
    v->levels = n < 0 ? 1 : n;
    if (n == 0)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: block_out_channels is empty, expected 1 level or more", tg__config_where(c));
    read_blocks(c, "down_block_types", "DownEncoderBlock2D", v->levels);
    read_blocks(c, "up_block_types", "UpDecoderBlock2D", v->levels);
    for (int i = 0; i < v->levels; i++)
        tg__check_groups(c, v->resnet.groups, v->channels[i], "block_out_channels");
    if (!tg__failed(tg__config_error(c)) && v->mid_attention && v->channels[v->levels - 1] > 512)
        tg__fail(tg__config_error(c), TG_ERROR_UNSUPPORTED,
                 "%s: block_out_channels ends in %d, expected 512 or less (one head's attention)",
                 tg__config_where(c), v->channels[v->levels - 1]);
}

static tg_status read_config(tg__network *network, tg__config *c)
{
    tg__vae_config *v = &((tg__vae *)network)->config;
    *v = (tg__vae_config){0};
    tg__check_class(c, network->class->names[0]);
    v->in_channels = (int)tg__config_int(c, "in_channels", 1, 1024, 3);
    v->out_channels = (int)tg__config_int(c, "out_channels", 1, 1024, 3);
    v->latent_channels = (int)tg__config_int(c, "latent_channels", 1, 1024, 4);
    v->layers = (int)tg__config_int(c, "layers_per_block", 1, MAX_LAYERS, 1);
    v->resnet.groups = (int)tg__config_int(c, "norm_num_groups", 1, TG__MAX_CHANNELS, 32);
    v->resnet.activation = tg__read_activation(c, "act_fn", "silu");
    v->resnet.eps = 1e-6f;
    v->mid_attention = tg__config_bool(c, "mid_block_add_attention", true);
    v->quant_conv = tg__config_bool(c, "use_quant_conv", true);
    v->post_quant_conv = tg__config_bool(c, "use_post_quant_conv", true);
    v->scaling_factor = tg__config_number(c, "scaling_factor", -1e6, 1e6, 0.18215);
    v->sample_size = (int)tg__config_int(c, "sample_size", 1, 65536, 32);
    /* Decoding heeds it in f16 alone, which we do not compute in. diffusers' default is true, but
     * only pipelines whose models say so heed it. */
    v->force_upcast = tg__config_bool(c, "force_upcast", false);
    tg__config_refuse(c, "shift_factor", NULL);
    tg__config_refuse(c, "latents_mean", NULL);
    tg__config_refuse(c, "latents_std", NULL);
    if (!tg__failed(tg__config_error(c)) && v->scaling_factor == 0)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: scaling_factor is 0, expected another number", tg__config_where(c));
    if (!tg__failed(tg__config_error(c)))
        read_channels(v, c);
    network->facts = (tg__facts){.in_channels = v->in_channels,
                                 .out_channels = v->out_channels,
                                 .sample_size = v->sample_size,
                                 .latent_channels = v->latent_channels,
                                 .factor = 1 << (v->levels > 0 ? v->levels - 1 : 0),
                                 .moments = 2 * v->latent_channels,
                                 .encodes_in_f32 = v->force_upcast,
                                 .scaling_factor = v->scaling_factor};
    return tg__config_error(c)->status;
}

/* ------------------------------------------------------------------------------------ loading */

/* What converters call the attention's parts: diffusers today, diffusers once, the original. */
typedef struct attention_names {
    const char *norm, *qkv[3], *out;
} attention_names;

static const attention_names all_names[] = {{"group_norm", {"to_q", "to_k", "to_v"}, "to_out.0"},
                                            {"group_norm", {"query", "key", "value"}, "proj_attn"},
                                            {"norm", {"q", "k", "v"}, "proj_out"}};

static bool is_there(const tg__scope *s, const char *key, tg__weight *found)
{
    char name[200];
    snprintf(name, sizeof name, "%s%s.weight", s->prefix, key);
    return tg__weights_find(s->weights, name, found);
}

/* The first of the names that is there, else the first. */
static const char *known(const tg__scope *s, const char *const names[3])
{
    tg__weight found;
    for (int i = 0; i < 3; i++)
        if (is_there(s, names[i], &found))
            return names[i];
    return names[0];
}

/* A linear layer, which some files keep as a convolution. */
static tg__layer load_part(const tg__scope *s, const char *key, int channels)
{
    tg__weight found;
    bool conv = is_there(s, key, &found) && found.rank == 4;
    return tg__load_projection(s, key, channels, channels, conv);
}

static void load_attention(tg__vae_half *w, const tg__scope *mid, int channels)
{
    tg__scope s = tg__at(mid, "attentions.0");
    tg__layer parts[3];
    const attention_names *n = all_names;
    for (int i = 0; i < 3; i++)
        parts[i] = load_part(
            &s, known(&s, (const char *const[]){n[0].qkv[i], n[1].qkv[i], n[2].qkv[i]}), channels);
    w->attention_norm = tg__load_norm(
        &s, known(&s, (const char *const[]){n[0].norm, n[1].norm, n[2].norm}), channels);
    w->to_qkv = tg__stack(parts, 3);
    w->to_out =
        load_part(&s, known(&s, (const char *const[]){n[0].out, n[1].out, n[2].out}), channels);
}

static void load_mid(tg__vae_half *w, const tg__scope *half, const tg__vae_config *c)
{
    tg__scope s = tg__at(half, "mid_block");
    int channels = c->channels[c->levels - 1];
    for (int i = 0; i < 2; i++) {
        tg__scope r = tg__at(&s, "resnets.%d", i);
        w->mid_resnets[i] = tg__load_resnet(&r, &c->resnet, channels, channels);
    }
    if (c->mid_attention)
        load_attention(w, &s, channels);
}

/* sampler: its key, or NULL. */
static void load_level(tg__level *level, const tg__scope *s, const tg__vae_config *c, int layers,
                       int in, int out, const char *sampler)
{
    level->resnets = tg__load_array(s, layers, sizeof *level->resnets);
    for (int j = 0; level->resnets && j < layers; j++, level->layers++) {
        tg__scope r = tg__at(s, "resnets.%d", j);
        level->resnets[j] = tg__load_resnet(&r, &c->resnet, j == 0 ? in : out, out);
    }
    level->has_sampler = sampler != NULL;
    if (sampler)
        level->sampler = tg__load_conv(s, sampler, out, out, 3);
}

static void load_encoder(tg__vae *v, const tg__scope *root)
{
    const tg__vae_config *c = &v->config;
    tg__vae_half *e = &v->encoder;
    tg__scope s = tg__at(root, "encoder");
    e->conv_in = tg__load_conv(&s, "conv_in", c->in_channels, c->channels[0], 3);
    for (int i = 0; i < c->levels; i++) {
        tg__scope block = tg__at(&s, "down_blocks.%d", i);
        load_level(&e->levels[i], &block, c, c->layers, c->channels[i > 0 ? i - 1 : 0],
                   c->channels[i], i < c->levels - 1 ? "downsamplers.0.conv" : NULL);
    }
    load_mid(e, &s, c);
    int last = c->channels[c->levels - 1], moments = 2 * c->latent_channels;
    e->conv_norm_out = tg__load_norm(&s, "conv_norm_out", last);
    e->conv_out = tg__load_conv(&s, "conv_out", last, moments, 3);
    if (c->quant_conv)
        e->quant = tg__load_conv(root, "quant_conv", moments, moments, 1);
}

static void load_decoder(tg__vae *v, const tg__scope *root)
{
    const tg__vae_config *c = &v->config;
    tg__vae_half *d = &v->decoder;
    tg__scope s = tg__at(root, "decoder");
    int in = c->channels[c->levels - 1];
    if (c->post_quant_conv)
        d->quant =
            tg__load_conv(root, "post_quant_conv", c->latent_channels, c->latent_channels, 1);
    d->conv_in = tg__load_conv(&s, "conv_in", c->latent_channels, in, 3);
    load_mid(d, &s, c);
    for (int i = 0; i < c->levels; i++) {
        tg__scope block = tg__at(&s, "up_blocks.%d", i);
        int out = c->channels[c->levels - 1 - i];
        load_level(&d->levels[i], &block, c, c->layers + 1, in, out,
                   i < c->levels - 1 ? "upsamplers.0.conv" : NULL);
        in = out;
    }
    d->conv_norm_out = tg__load_norm(&s, "conv_norm_out", c->channels[0]);
    d->conv_out = tg__load_conv(&s, "conv_out", c->channels[0], c->out_channels, 3);
}

static tg_status load(tg__network *network, const tg__weights *weights, tg__error *error)
{
    tg__vae *v = (tg__vae *)network;
    tg__scope s = {weights, &network->arena, error, &network->tally, ""};
    tg__weight found;
    if (tg__weights_find(weights, "encoder.conv_in.weight", &found))
        load_encoder(v, &s);
    else
        network->facts.moments = 0;
    load_decoder(v, &s);
    return error->status;
}

static const tg__port ports[] = {
    {"input", .slot = TG__VAE_INPUT}, {"output", .slot = TG__VAE_OUTPUT}, {.name = NULL}};

const tg__network_class tg__autoencoder_kl_class = {
    .names = (const char *const[]){"AutoencoderKL", NULL},
    .library = "diffusers",
    .weights = "diffusion_pytorch_model",
    .bytes = sizeof(tg__vae),
    .use = TG__USE_A_PICTURE,
    .ports = ports,
    .read_config = read_config,
    .load = load,
    .record = record,
    .anchor = "decoder.mid_block.resnets.0.conv1.weight",
    .original_name = tg__vae_original_name,
};
