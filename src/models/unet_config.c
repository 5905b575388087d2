/* SPDX-License-Identifier: MIT */
/* UNet2DConditionModel's config. Keys and defaults are diffusers'. */
#include <stdio.h>
#include <string.h>

#include "models/config_keys.h"
#include "models/unet.h"

enum { MAX_LAYERS = 64, MAX_TRANSFORMER_LAYERS = 64, MAX_HEADS = 4096, MAX_HEAD_DIM = 512 };

static const char *const down_cross_type = "CrossAttnDownBlock2D";
static const char *const up_cross_type = "CrossAttnUpBlock2D";

/* A list of block types with attention (true) and without. */
static int read_blocks(tg__config *c, const char *key, const char *with, const char *without,
                       bool *cross)
{
    int n = tg__config_list(c, key, TG__MAX_LEVELS);
    if (n < 0) { /* diffusers' default: four levels, the coarsest without attention */
        for (int i = 0; i < 4; i++)
            cross[i] = with == down_cross_type ? i < 3 : i > 0;
        return 4;
    }
    for (int i = 0; i < n; i++) {
        const char *type = tg__config_list_string(c, key, i);
        if (tg__failed(tg__config_error(c)))
            return 0;
        cross[i] = strcmp(type, with) == 0;
        if (!cross[i] && strcmp(type, without) != 0) {
            char shown[80];
            tg__fail(tg__config_error(c), TG_ERROR_UNSUPPORTED,
                     "%s: %s[%d] \"%s\" is not implemented, expected \"%s\" or \"%s\"",
                     tg__config_where(c), key, i, tg__printable(shown, sizeof shown, type), with,
                     without);
        }
    }
    return n;
}

static void read_channels(tg__unet_config *u, tg__config *c)
{
    static const int usual[] = {320, 640, 1280, 1280};
    int n = tg__config_list(c, "block_out_channels", TG__MAX_LEVELS);
    for (int i = 0; i < n; i++)
        u->channels[i] = (int)tg__config_list_int(c, "block_out_channels", i, 1, TG__MAX_CHANNELS);
    if (n < 0) {
        n = 4;
        memcpy(u->channels, usual, sizeof usual);
    }
    int down = read_blocks(c, "down_block_types", down_cross_type, "DownBlock2D", u->down_cross);
    int up = read_blocks(c, "up_block_types", up_cross_type, "UpBlock2D", u->up_cross);
    u->levels = n;
    if (!tg__failed(tg__config_error(c)) && (n == 0 || down != n || up != n))
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: block_out_channels has %d levels, down_block_types %d and up_block_types %d, "
                 "expected the same number, 1 or more",
                 tg__config_where(c), n, down, up);
}

/* By up block: the down levels reversed, unless the config says otherwise. */
static void read_transformer_layers(tg__unet_config *u, tg__config *c)
{
    int n = u->levels;
    tg__config_ints(c, "transformer_layers_per_block", n, 1, MAX_TRANSFORMER_LAYERS, 1,
                    u->transformer_layers);
    for (int i = 0; i < n; i++)
        u->up_transformer_layers[i] = u->transformer_layers[n - 1 - i];
    int reversed = tg__config_list(c, "reverse_transformer_layers_per_block", TG__MAX_LEVELS);
    if (reversed >= 0 && reversed != n)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: reverse_transformer_layers_per_block has %d elements, expected %d",
                 tg__config_where(c), reversed, n);
    for (int i = 0; i < reversed; i++)
        u->up_transformer_layers[i] = (int)tg__config_list_int(
            c, "reverse_transformer_layers_per_block", i, 1, MAX_TRANSFORMER_LAYERS);
}

static void check_heads(const tg__unet_config *u, tg__config *c)
{
    for (int i = 0; i < u->levels && !tg__failed(tg__config_error(c)); i++) {
        int head_dim = u->channels[i] / u->heads[i];
        if (head_dim < 1 || head_dim > MAX_HEAD_DIM)
            tg__fail(tg__config_error(c), head_dim < 1 ? TG_ERROR_FORMAT : TG_ERROR_UNSUPPORTED,
                     "%s: attention_head_dim (the number of heads) is %d for %d channels, expected "
                     "1 to %d channels a head",
                     tg__config_where(c), u->heads[i], u->channels[i], MAX_HEAD_DIM);
    }
}

static void read_attention(tg__unet_config *u, tg__config *c)
{
    int n = u->levels;
    tg__config_ints(c, "attention_head_dim", n, 1, MAX_HEADS, 8, u->heads);
    tg__config_ints(c, "cross_attention_dim", n, 1, TG__MAX_CHANNELS, 1280, u->cross_dim);
    tg__config_bools(c, "only_cross_attention", n, false, u->only_cross);
    for (int i = 1; i < n; i++)
        if (!tg__failed(tg__config_error(c)) && u->cross_dim[i] != u->cross_dim[0])
            tg__fail(tg__config_error(c), TG_ERROR_UNSUPPORTED,
                     "%s: cross_attention_dim has different values, expected one for all levels",
                     tg__config_where(c));
    u->linear_projection = tg__config_bool(c, "use_linear_projection", false);
    tg__config_bool(c, "upcast_attention", false); /* scores are f32 in any case */
    /* Only UNetMidBlock2DSimpleCrossAttn heeds it, which is refused. */
    if (tg__config_has(c, "mid_block_only_cross_attention") &&
        tg__config_is_set(c, "mid_block_only_cross_attention"))
        tg__config_bool(c, "mid_block_only_cross_attention", false);
    tg__config_ignore(c, "mid_block_only_cross_attention"); /* null, too, is known */
    tg__config_refuse(c, "num_attention_heads", NULL);
    tg__config_refuse(c, "dual_cross_attention", NULL);
    tg__config_refuse(c, "cross_attention_norm", NULL);
    tg__config_refuse(c, "attention_type", "\"default\"");
    read_transformer_layers(u, c);
    check_heads(u, c);
}

static void read_time(tg__unet_config *u, tg__config *c)
{
    u->flip_sin_to_cos = tg__config_bool(c, "flip_sin_to_cos", true);
    u->freq_shift = (float)tg__config_number(c, "freq_shift", -1e3, 1e3, 0);
    u->time_channels = (int)tg__config_int_or_null(c, "time_embedding_dim", 1, TG__MAX_CHANNELS * 4,
                                                   (int64_t)u->channels[0] * 4);
    u->time_post_activation = tg__read_activation(c, "timestep_post_act", NULL);
    u->time_embed_activation = tg__read_activation(c, "time_embedding_act_fn", NULL);
    int half = u->channels[0] / 2;
    if (!tg__failed(tg__config_error(c)) && u->freq_shift == (float)half)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: freq_shift is %g, expected other than half of block_out_channels[0]",
                 tg__config_where(c), (double)u->freq_shift);
    tg__config_refuse(c, "time_embedding_type", "\"positional\"");
    /* Its sinusoids' frequencies are spaced by one over half of them less one. */
    u->time_cond_channels =
        (int)tg__config_int_or_null(c, "time_cond_proj_dim", 4, TG__MAX_CHANNELS, 0);
    tg__config_refuse(c, "addition_embed_type", NULL);
    tg__config_refuse(c, "addition_time_embed_dim", NULL);
    tg__config_refuse(c, "encoder_hid_dim", NULL);
    tg__config_refuse(c, "encoder_hid_dim_type", NULL);
    tg__config_refuse(c, "class_embed_type", NULL);
    tg__config_refuse(c, "num_class_embeds", NULL);
    tg__config_refuse(c, "class_embeddings_concat", NULL);
    tg__config_refuse(c, "projection_class_embeddings_input_dim", NULL);
    tg__config_int_or_null(c, "addition_embed_type_num_heads", 0, INT32_MAX, 64); /* of no type */
}

static void read_resnet(tg__unet_config *u, tg__config *c)
{
    static const char *const shifts[] = {"default", "scale_shift", NULL};
    u->resnet.groups = (int)tg__config_int(c, "norm_num_groups", 1, TG__MAX_CHANNELS, 32);
    u->resnet.eps = (float)tg__config_number(c, "norm_eps", 0, 1, 1e-5);
    u->resnet.activation = tg__read_activation(c, "act_fn", "silu");
    u->resnet.time_channels = u->time_channels;
    u->resnet.scale_shift = tg__config_choice(c, "resnet_time_scale_shift", shifts, 0) == 1;
    tg__config_number(c, "dropout", 0, 1, 0); /* of training */
    /* Block types that heed these two are refused. */
    tg__config_number(c, "resnet_out_scale_factor", -1e30, 1e30, 1);
    tg__config_bool(c, "resnet_skip_time_act", false);
    for (int i = 0; i < u->levels; i++) {
        char place[40];
        snprintf(place, sizeof place, "level %d", i);
        tg__check_groups(c, u->resnet.groups, u->channels[i], place);
    }
}

static void read_mid(tg__unet_config *u, tg__config *c)
{
    static const char *const kinds[] = {"UNetMidBlock2D", "UNetMidBlock2DCrossAttn", NULL};
    bool none = tg__config_has(c, "mid_block_type") && !tg__config_is_set(c, "mid_block_type");
    int kind = tg__config_choice(c, "mid_block_type", kinds, 1);
    u->mid = none ? TG__MID_NONE : kind == 0 ? TG__MID_RESNET : TG__MID_CROSS_ATTENTION;
    u->mid_scale = (float)tg__config_number(c, "mid_block_scale_factor", -1e6, 1e6, 1);
    if (!tg__failed(tg__config_error(c)) && u->mid_scale == 0)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: mid_block_scale_factor is 0, expected another number", tg__config_where(c));
}

static int read_kernel(tg__config *c, const char *key)
{
    int kernel = (int)tg__config_int(c, key, 1, 31, 3);
    if (!tg__failed(tg__config_error(c)) && kernel % 2 == 0)
        tg__fail(tg__config_error(c), TG_ERROR_UNSUPPORTED,
                 "%s: %s %d is not implemented, expected an odd number", tg__config_where(c), key,
                 kernel);
    return kernel;
}

static bool older_than_0_9(tg__config *c)
{
    const char *version = tg__config_string(c, "_diffusers_version", NULL);
    int major, minor;
    return version && sscanf(version, "%d.%d", &major, &minor) == 2 && major == 0 && minor < 9;
}

/* Keys without which diffusers has a default, but not with null. */
static void refuse_nulls(tg__config *c)
{
    static const char *const lists[] = {"block_out_channels", "down_block_types", "up_block_types"};
    static const char *const numbers[] = {"layers_per_block", "attention_head_dim",
                                          "cross_attention_dim", "transformer_layers_per_block"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        tg__config_refuse_null(c, lists[i], "a list");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        tg__config_refuse_null(c, numbers[i], "an integer or a list");
    tg__config_refuse_null(c, "only_cross_attention", "true, false or a list");
    tg__config_refuse_null(c, "resnet_time_scale_shift", "a string");
}

static void set_facts(tg__network *network, const tg__unet_config *u)
{
    network->facts = (tg__facts){.in_channels = u->in_channels,
                                 .out_channels = u->out_channels,
                                 .sample_size = u->sample_size,
                                 .old = u->old,
                                 .text_width = u->cross_dim[0],
                                 .guidance_width = u->time_cond_channels};
}

tg_status tg__unet_read_config(tg__network *network, tg__config *c)
{
    tg__unet_config *u = &((tg__unet *)network)->config;
    *u = (tg__unet_config){0};
    refuse_nulls(c);
    tg__check_class(c, network->class->names[0]);
    u->old = older_than_0_9(c);
    u->in_channels = (int)tg__config_int(c, "in_channels", 1, 1024, 4);
    u->out_channels = (int)tg__config_int(c, "out_channels", 1, 1024, 4);
    u->sample_size = (int)tg__config_int_or_null(c, "sample_size", 1, 65536, 0);
    u->center_input_sample = tg__config_bool(c, "center_input_sample", false);
    u->conv_in_kernel = read_kernel(c, "conv_in_kernel");
    u->conv_out_kernel = read_kernel(c, "conv_out_kernel");
    u->downsample_padding = (int)tg__config_int(c, "downsample_padding", 0, 1, 1);
    read_channels(u, c);
    if (tg__failed(tg__config_error(c)))
        return tg__config_error(c)->status;
    tg__config_ints(c, "layers_per_block", u->levels, 1, MAX_LAYERS, 2, u->layers);
    read_attention(u, c);
    read_time(u, c);
    read_resnet(u, c);
    read_mid(u, c);
    set_facts(network, u);
    return tg__config_error(c)->status;
}
