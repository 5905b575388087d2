/* SPDX-License-Identifier: MIT */
/* UNet2DConditionModel's config. Keys and defaults are diffusers'. */
#include <stdio.h>
#include <string.h>

#include "models/config_keys.h"
#include "models/unet.h"

enum { MAX_TRANSFORMER_LAYERS = 64, MAX_HEADS = 4096, MAX_HEAD_DIM = 512 };

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

static bool has_list_in_list(const tg__config *c, const char *key)
{
    const tg__json *value = tg__config_value(c, key);
    bool found = false;
    for (uint32_t i = 0; value && value->type == TG__JSON_LIST && i < value->count; i++)
        found = found || value->items[i].type == TG__JSON_LIST;
    return found;
}

/* How many transformer layers an attention has: by block, or by the block's layer. Up blocks: the
 * down levels reversed, unless the config says otherwise. */
static void read_transformer_layers(tg__unet_config *u, tg__config *c)
{
    static const char *const key = "transformer_layers_per_block";
    static const char *const up_key = "reverse_transformer_layers_per_block";
    int n = u->levels, down[TG__MAX_LEVELS], up[TG__MAX_LEVELS];
    for (int i = 0; i < n; i++) {
        down[i] = u->down_cross[i] ? u->layers[i] : 1; /* of the middle, of an up block */
        up[i] = u->up_cross[i] ? u->layers[n - 1 - i] + 1 : 0;
    }
    tg__config_int_lists(c, key, n, down, 1, MAX_TRANSFORMER_LAYERS, 1, u->transformer_layers[0],
                         TG__MAX_UNET_LAYERS);
    u->mid_transformer_layers = u->transformer_layers[n - 1][0];
    if (tg__config_int_lists(c, up_key, n, up, 1, MAX_TRANSFORMER_LAYERS, 1,
                             u->up_transformer_layers[0], TG__MAX_UNET_LAYERS + 1))
        return;
    if (has_list_in_list(c, key))
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: %s is missing, expected as %s has lists", tg__config_where(c), up_key, key);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < up[i]; j++) /* the same for all of a level's */
            u->up_transformer_layers[i][j] = u->transformer_layers[n - 1 - i][0];
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

/* true, false or null, which change nothing. */
static void ignore_flag(tg__config *c, const char *key)
{
    if (tg__config_is_set(c, key))
        tg__config_bool(c, key, false);
    tg__config_ignore(c, key);
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
    ignore_flag(c, "upcast_attention"); /* scores are f32 in any case */
    /* Only UNetMidBlock2DSimpleCrossAttn heeds it, which is refused. */
    ignore_flag(c, "mid_block_only_cross_attention");
    tg__config_refuse(c, "num_attention_heads", NULL);
    tg__config_refuse(c, "dual_cross_attention", NULL);
    tg__config_refuse(c, "cross_attention_norm", NULL);
    tg__config_refuse(c, "attention_type", "\"default\"");
    read_transformer_layers(u, c);
    check_heads(u, c);
}

/* The sinusoids divide by half of their number less freq_shift. */
static void check_shift(const tg__unet_config *u, tg__config *c, int sinusoids, const char *of)
{
    int half = sinusoids / 2;
    if (!tg__failed(tg__config_error(c)) && u->freq_shift == (float)half)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: freq_shift is %g, expected other than half of %s", tg__config_where(c),
                 (double)u->freq_shift, of);
}

/* "text_time": the pooled text beside the sinusoids of a picture's sizes, six numbers where nobody
 * knows better. */
static void read_added(tg__unet_config *u, tg__config *c)
{
    enum { NUMBERS = 6, MOST = 4 * TG__MAX_CHANNELS };
    static const char *const kinds[] = {"text_time", NULL}, *const of = "addition_time_embed_dim";
    static const char *const all = "projection_class_embeddings_input_dim";
    bool added = tg__config_choice(c, "addition_embed_type", kinds, -1) == 0;
    tg__config_int_or_null(c, "addition_embed_type_num_heads", 0, INT32_MAX, 64); /* of no type */
    if (!added) {
        tg__config_refuse(c, of, NULL);
        tg__config_refuse(c, all, NULL);
        return;
    }
    u->added_time_channels = (int)tg__config_int(c, of, 1, TG__MAX_CHANNELS, 0);
    u->added_channels = (int)tg__config_int(c, all, 1, MOST, 0);
    if (tg__failed(tg__config_error(c)))
        return;
    if (u->added_time_channels == 0)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT, "%s: %s is missing, expected an integer",
                 tg__config_where(c), of);
    else if (u->added_channels <= NUMBERS * u->added_time_channels)
        tg__fail(tg__config_error(c), TG_ERROR_FORMAT,
                 "%s: %s is %d, expected more than %d times %s", tg__config_where(c), all,
                 u->added_channels, NUMBERS, of);
    u->pooled_width = u->added_channels - NUMBERS * u->added_time_channels;
    check_shift(u, c, u->added_time_channels, of);
}

static void read_time(tg__unet_config *u, tg__config *c)
{
    u->flip_sin_to_cos = tg__config_bool(c, "flip_sin_to_cos", true);
    u->freq_shift = (float)tg__config_number(c, "freq_shift", -1e3, 1e3, 0);
    u->time_channels = (int)tg__config_int_or_null(c, "time_embedding_dim", 1, TG__MAX_CHANNELS * 4,
                                                   (int64_t)u->channels[0] * 4);
    u->time_post_activation = tg__read_activation(c, "timestep_post_act", NULL);
    u->time_embed_activation = tg__read_activation(c, "time_embedding_act_fn", NULL);
    check_shift(u, c, u->channels[0], "block_out_channels[0]");
    tg__config_refuse(c, "time_embedding_type", "\"positional\"");
    /* Its sinusoids' frequencies are spaced by one over half of them less one. */
    u->time_cond_channels =
        (int)tg__config_int_or_null(c, "time_cond_proj_dim", 4, TG__MAX_CHANNELS, 0);
    read_added(u, c);
    tg__config_refuse(c, "encoder_hid_dim", NULL);
    tg__config_refuse(c, "encoder_hid_dim_type", NULL);
    const char *class_type = tg__config_string(c, "class_embed_type", NULL);
    if (class_type && strcmp(class_type, "projection") == 0)
        tg__fail(tg__config_error(c), TG_ERROR_UNSUPPORTED,
                 "%s: class_embed_type \"projection\" (an unCLIP model) is not implemented",
                 tg__config_where(c));
    tg__config_refuse(c, "class_embed_type", NULL);
    tg__config_refuse(c, "num_class_embeds", NULL);
    tg__config_refuse(c, "class_embeddings_concat", NULL);
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
                                 .pooled_width = u->pooled_width,
                                 .guidance_width = u->time_cond_channels,
                                 .branches = TG__BRANCHES_A_BLOCK * u->levels};
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
    tg__config_ints(c, "layers_per_block", u->levels, 1, TG__MAX_UNET_LAYERS, 2, u->layers);
    read_attention(u, c);
    read_time(u, c);
    read_resnet(u, c);
    read_mid(u, c);
    set_facts(network, u);
    return tg__config_error(c)->status;
}
