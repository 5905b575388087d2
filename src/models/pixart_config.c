/* SPDX-License-Identifier: MIT */
/* PixArtTransformer2DModel's config. Keys and defaults are diffusers'. The older class
 * Transformer2DModel is a PixArt where its norm_type says so: diffusers then reads its config as
 * the newer class's, with that one's defaults. */
#include <string.h>

#include "models/config_keys.h"
#include "models/pixart_transformer.h"

enum { MAX_LAYERS = 256, MAX_HEAD_DIM = 512, MAX_PATCH = 16, MAX_SAMPLE = 65536 };

static void refuse_others(tg__config *c)
{
    static const char *const types[] = {"ada_norm_single", NULL};
    bool newer = strcmp(tg__config_string(c, "_class_name", "PixArtTransformer2DModel"),
                        "Transformer2DModel") != 0;
    if (newer)
        tg__check_class(c, "PixArtTransformer2DModel");
    if (!tg__failed(tg__config_error(c)) &&
        tg__config_choice(c, "norm_type", types, newer ? 0 : -1) < 0)
        tg__fail(tg__config_error(c), TG_ERROR_UNSUPPORTED,
                 "%s: norm_type is missing: not a PixArt, which has \"ada_norm_single\"",
                 tg__config_where(c));
    tg__config_refuse(c, "num_vector_embeds", NULL);
    tg__config_refuse(c, "double_self_attention", NULL);
    tg__config_refuse(c, "only_cross_attention", NULL);
    tg__config_refuse(c, "attention_type", "\"default\"");
}

/* Of training, of classes that this one is not, and what is f32 in any case. */
static void ignore_keys(tg__config *c)
{
    static const char *const keys[] = {"dropout", "norm_num_groups", "num_embeds_ada_norm",
                                       "upcast_attention", "use_linear_projection"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        tg__config_ignore(c, keys[i]);
}

static void read_sizes(tg__pixart_config *p, tg__config *c)
{
    p->in_channels = (int)tg__config_int(c, "in_channels", 1, 1024, 4);
    /* null: as many as go in; absent: 8 */
    bool given = tg__config_is_set(c, "out_channels") || !tg__config_has(c, "out_channels");
    p->out_channels =
        (int)tg__config_int_or_null(c, "out_channels", 1, 1024, given ? 8 : p->in_channels);
    p->patch = (int)tg__config_int(c, "patch_size", 1, MAX_PATCH, 2);
    p->sample_size = (int)tg__config_int(c, "sample_size", 1, MAX_SAMPLE, 128);
    int usual = p->sample_size / 64 > 1 ? p->sample_size / 64 : 1;
    p->position_scale =
        (float)tg__config_number_or_null(c, "interpolation_scale", 1e-6, 1e6, usual);
    p->told_sizes = tg__config_has(c, "use_additional_conditions") &&
                            tg__config_value(c, "use_additional_conditions")->type != TG__JSON_NULL
                        ? tg__config_bool(c, "use_additional_conditions", false)
                        : p->sample_size == 128;
    tg__config_ignore(c, "use_additional_conditions");
    if (!tg__failed(tg__config_error(c)) && p->sample_size < p->patch)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: sample_size is %d, expected at least patch_size %d", tg__config_where(c),
                 p->sample_size, p->patch);
}

static void read_widths(tg__pixart_config *p, tg__config *c)
{
    p->heads = (int)tg__config_int(c, "num_attention_heads", 1, 4096, 16);
    int head_dim = (int)tg__config_int(c, "attention_head_dim", 1, MAX_HEAD_DIM, 72);
    p->width = p->heads * head_dim;
    p->inner = 4 * p->width;
    p->layers = (int)tg__config_int(c, "num_layers", 1, MAX_LAYERS, 28);
    p->caption_channels =
        (int)tg__config_int_or_null(c, "caption_channels", 1, TG__MAX_CHANNELS, 0);
    tg__config_refuse_null(c, "cross_attention_dim", "an integer");
    p->cross_dim = (int)tg__config_int(c, "cross_attention_dim", 1, TG__MAX_CHANNELS, 1152);
    p->attention_bias = tg__config_bool(c, "attention_bias", true);
    if (tg__failed(tg__config_error(c)))
        return;
    if (p->width > TG__MAX_CHANNELS || p->width % 4 != 0)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: num_attention_heads times attention_head_dim is %d, expected a multiple of 4 "
                 "up to %d",
                 tg__config_where(c), p->width, TG__MAX_CHANNELS);
    else if (p->caption_channels && p->cross_dim != p->width)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: cross_attention_dim is %d, expected %d as num_attention_heads times "
                 "attention_head_dim",
                 tg__config_where(c), p->cross_dim, p->width);
    else if (p->told_sizes && p->width % 3 != 0)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: num_attention_heads times attention_head_dim is %d, expected a multiple of 3 "
                 "with use_additional_conditions",
                 tg__config_where(c), p->width);
}

/* The feed forward's activations have names of their own. */
static void read_activation(tg__pixart_config *p, tg__config *c)
{
    static const char *const names[] = {"gelu-approximate", "gelu", "geglu", "geglu-approximate",
                                        NULL};
    static const tg__activation activations[] = {TG__GELU_TANH, TG__GELU, TG__GEGLU,
                                                 TG__QUICK_GELU};
    tg__config_refuse_null(c, "activation_fn", "a string");
    int found = tg__config_choice(c, "activation_fn", names, 0);
    p->activation = activations[found < 0 ? 0 : found];
}

tg_status tg__pixart_read_config(tg__network *network, tg__config *c)
{
    tg__pixart_config *p = &((tg__pixart *)network)->config;
    *p = (tg__pixart_config){0};
    refuse_others(c);
    ignore_keys(c);
    read_sizes(p, c);
    read_widths(p, c);
    read_activation(p, c);
    p->affine = tg__config_bool(c, "norm_elementwise_affine", false);
    p->eps = (float)tg__config_number(c, "norm_eps", 0, 1, 1e-6);
    bool learned = p->out_channels == 2 * p->in_channels; /* its variance is not handed out */
    network->facts =
        (tg__facts){.in_channels = p->in_channels,
                    .out_channels = learned ? p->in_channels : p->out_channels,
                    .patch = p->patch,
                    .sample_size = p->sample_size,
                    .text_width = p->caption_channels ? p->caption_channels : p->cross_dim};
    return tg__config_error(c)->status;
}
