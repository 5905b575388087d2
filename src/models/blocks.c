/* SPDX-License-Identifier: MIT */
#include "models/blocks.h"

/* ------------------------------------------------------------------------- residual block */

tg__resnet tg__load_resnet(const tg__scope *scope, const tg__resnet_config *config, int in, int out)
{
    tg__resnet w = {.has_time = config->time_channels > 0,
                    .has_shortcut = in != out,
                    .scale_shift = config->scale_shift};
    w.norm1 = tg__load_norm(scope, "norm1", in);
    w.conv1 = tg__load_conv(scope, "conv1", in, out, 3);
    if (w.has_time)
        w.time_emb_proj = tg__load_linear(scope, "time_emb_proj", config->time_channels,
                                          config->scale_shift ? 2 * out : out, true);
    w.norm2 = tg__load_norm(scope, "norm2", out);
    w.conv2 = tg__load_conv(scope, "conv2", out, out, 3);
    if (w.has_shortcut)
        w.conv_shortcut = tg__load_conv(scope, "conv_shortcut", in, out, 1);
    return w;
}

tg__tensor tg__norm_activation(tg__plan *plan, tg__tensor a, tg__tensor b, const tg__norm *norm,
                               tg__group_norm_options options, tg__activation activation)
{
    options.silu = activation == TG__SILU;
    tg__tensor x = tg__group_norm_op(plan, a, b, norm, options);
    return options.silu ? x : tg__activate(plan, norm->name, x, activation);
}

tg__tensor tg__resnet_block(tg__plan *plan, tg__tensor a, tg__tensor skip, tg__tensor time,
                            const tg__resnet *w, const tg__resnet_config *config, float out_scale)
{
    tg__group_norm_options norm1 = {.groups = config->groups, .eps = config->eps}, norm2 = norm1;
    if (w->has_time) {
        tg__tensor shift =
            tg__linear(plan, time, &w->time_emb_proj, (tg__product_options){.f32 = true});
        *(w->scale_shift ? &norm2.modulate : &norm2.vector) = shift;
    }
    /* The shortcut first: what it reads need not outlive the norm then. */
    tg__tensor shortcut = w->has_shortcut ? tg__conv2d_pair(plan, a, skip, &w->conv_shortcut) : a;
    tg__tensor h = tg__norm_activation(plan, a, skip, &w->norm1, norm1, config->activation);
    h = tg__conv2d(plan, h, &w->conv1, (tg__product_options){0});
    h = tg__norm_activation(plan, h, (tg__tensor){0}, &w->norm2, norm2, config->activation);
    h = tg__conv2d(plan, h, &w->conv2, (tg__product_options){.residual = shortcut});
    return tg__scale(plan, w->conv2.name, h, 1.f / out_scale);
}

/* ------------------------------------------------------------------------------- attention */

static tg__attn load_attention(const tg__scope *scope, const char *key, const char *norm,
                               int channels, int heads, int cross_dim, int *count)
{
    static const char *const qkv[] = {"to_q", "to_k", "to_v"};
    tg__scope s = tg__at(scope, "%s", key);
    tg__attn w = {
        .heads = heads, .head_dim = channels / heads, .cross = cross_dim > 0, .index = (*count)++};
    w.norm = tg__load_norm(scope, norm, channels);
    if (w.cross) {
        w.to_q = tg__load_linear(&s, "to_q", channels, channels, false);
        w.to_kv = tg__load_stacked(&s, qkv + 1, 2, cross_dim, channels, false);
    } else {
        w.to_qkv = tg__load_stacked(&s, qkv, 3, channels, channels, false);
    }
    w.to_out = tg__load_linear(&s, "to_out.0", channels, channels, true);
    return w;
}

/* The attention itself, up to to_out's input. */
static tg__tensor attend(tg__plan *plan, tg__tensor x, const tg__attn *w, float eps,
                         int text_tokens)
{
    tg__tensor h = tg__layer_norm(plan, x, &w->norm, (tg__row_norm_options){.eps = eps});
    int c = w->heads * w->head_dim;
    tg__attention_options options = {.heads = w->heads, .head_dim = w->head_dim};
    if (w->cross) {
        tg__tensor kv = tg__plan_external(plan, tg__slot_kv(w->index), TG__ACTIVATIONS, x.n, 1,
                                          text_tokens, 2 * (int64_t)c);
        tg__tensor q = tg__linear(plan, h, &w->to_q, (tg__product_options){0});
        return tg__attention_op(plan, w->to_q.name, (tg__slice){q, 0}, (tg__slice){kv, 0},
                                (tg__slice){kv, c}, options);
    }
    tg__tensor qkv = tg__linear(plan, h, &w->to_qkv, (tg__product_options){0});
    return tg__attention_op(plan, w->to_qkv.name, (tg__slice){qkv, 0}, (tg__slice){qkv, c},
                            (tg__slice){qkv, 2 * c}, options);
}

tg__tensor tg__kept_output(tg__plan *plan, tg__tensor x, tg__gate_action action, int index)
{
    if (action == TG__COMPUTE)
        return (tg__tensor){0};
    return tg__plan_external(plan, tg__slot_stored(index), x.dtype,
                             action == TG__STORE_MEAN ? x.n / 2 : x.n, x.h, x.w, x.c);
}

tg__tensor tg__project_and_keep(tg__plan *plan, tg__tensor h, const tg__layer *to_out,
                                tg__gate_action action, tg__tensor kept)
{
    tg__product_options into = {.into = action == TG__STORE ? kept : (tg__tensor){0}};
    h = tg__linear(plan, h, to_out, into);
    if (action == TG__STORE_MEAN)
        tg__mean_halves(plan, to_out->name, h, kept);
    return h;
}

tg__tensor tg__gated_attention(tg__plan *plan, tg__tensor x, const tg__attn *w, float eps,
                               tg__gate_step gate, int text_tokens)
{
    tg__gate_action action = w->cross ? gate.cross : gate.self;
    tg__tensor kept = tg__kept_output(plan, x, action, w->index);
    if (action == TG__REUSE)
        return tg__add(plan, w->to_out.name, x, kept);
    tg__tensor h = attend(plan, x, w, eps, text_tokens);
    if (action == TG__COMPUTE) /* the sum rides on the product */
        return tg__linear(plan, h, &w->to_out, (tg__product_options){.residual = x});
    return tg__add(plan, w->to_out.name, x,
                   tg__project_and_keep(plan, h, &w->to_out, action, kept));
}

/* ----------------------------------------------------------------------------- transformer */

enum { FEED_FORWARD_FACTOR = 4 };
static const float layer_norm_eps = 1e-5f, transformer_norm_eps = 1e-6f;

static tg__transformer_block load_block(const tg__scope *scope,
                                        const tg__transformer_config *config, int channels,
                                        int *count)
{
    tg__transformer_block w;
    int inner = channels * FEED_FORWARD_FACTOR;
    w.attn1 = load_attention(scope, "attn1", "norm1", channels, config->heads,
                             config->only_cross ? config->cross_dim : 0, count);
    w.attn2 =
        load_attention(scope, "attn2", "norm2", channels, config->heads, config->cross_dim, count);
    w.norm3 = tg__load_norm(scope, "norm3", channels);
    w.ff_proj = tg__load_linear(scope, "ff.net.0.proj", channels, 2 * inner, true);
    w.ff_out = tg__load_linear(scope, "ff.net.2", inner, channels, true);
    return w;
}

tg__transformer tg__load_transformer(const tg__scope *scope, const tg__transformer_config *config,
                                     int channels, int *attention_count)
{
    int inner = channels / config->heads * config->heads;
    tg__transformer w = {.groups = config->groups};
    w.norm = tg__load_norm(scope, "norm", channels);
    w.proj_in = tg__load_projection(scope, "proj_in", channels, inner, !config->linear_projection);
    w.blocks = tg__load_array(scope, config->layers, sizeof *w.blocks);
    for (; w.blocks && w.layers < config->layers; w.layers++) {
        tg__scope s = tg__at(scope, "transformer_blocks.%d", w.layers);
        w.blocks[w.layers] = load_block(&s, config, inner, attention_count);
    }
    w.proj_out =
        tg__load_projection(scope, "proj_out", inner, channels, !config->linear_projection);
    return w;
}

static tg__tensor feed_forward(tg__plan *plan, tg__tensor x, const tg__transformer_block *w)
{
    tg__tensor h =
        tg__layer_norm(plan, x, &w->norm3, (tg__row_norm_options){.eps = layer_norm_eps});
    h = tg__linear(plan, h, &w->ff_proj, (tg__product_options){.activation = TG__GEGLU});
    return tg__linear(plan, h, &w->ff_out, (tg__product_options){.residual = x});
}

tg__tensor tg__transformer_2d(tg__plan *plan, tg__tensor x, const tg__transformer *w,
                              tg__gate_step gate, int text_tokens)
{
    tg__group_norm_options norm = {.groups = w->groups, .eps = transformer_norm_eps};
    tg__tensor h = tg__group_norm_op(plan, x, (tg__tensor){0}, &w->norm, norm);
    h = tg__linear(plan, h, &w->proj_in, (tg__product_options){0});
    for (int i = 0; i < w->layers; i++) {
        const tg__transformer_block *b = &w->blocks[i];
        h = tg__gated_attention(plan, h, &b->attn1, layer_norm_eps, gate, text_tokens);
        h = tg__gated_attention(plan, h, &b->attn2, layer_norm_eps, gate, text_tokens);
        h = feed_forward(plan, h, b);
    }
    return tg__linear(plan, h, &w->proj_out, (tg__product_options){.residual = x});
}

static void text_keys_values(tg__plan *plan, tg__tensor text, const tg__attn *w)
{
    if (!w->cross || !text.id)
        return;
    tg__tensor kv = tg__plan_external(plan, tg__slot_kv(w->index), TG__ACTIVATIONS, text.n, 1,
                                      text.w, w->to_kv.out);
    tg__linear(plan, text, &w->to_kv, (tg__product_options){.into = kv});
}

void tg__transformer_text(tg__plan *plan, tg__tensor text, const tg__transformer *w)
{
    for (int i = 0; i < w->layers; i++) {
        text_keys_values(plan, text, &w->blocks[i].attn1);
        text_keys_values(plan, text, &w->blocks[i].attn2);
    }
}
