/* SPDX-License-Identifier: MIT */
/* From diffusers' names to those of the original code. A name is read from the left: where the part
 * is (which block, which layer) is arithmetic on the config, as the original numbers all layers of
 * a direction in one row; what it is (a norm, a convolution) is a table. */
#include "pipeline/single_file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 256, MAX_LAYERS = 64 };

/* What is done to a tensor before it is handed out. */
typedef enum view { AS_IS, AS_MATRIX, AS_CONVOLUTION, THIRD_0, THIRD_1, THIRD_2 } view;

/* The name in the file, as far as it is known, and the rest of diffusers' name. */
typedef struct translation {
    char name[NAME_SIZE];
    size_t length;
    bool fits;
    const char *rest;
    view view;
} translation;

typedef struct part {
    const char *from, *to;
} part;

static const part unet_ends[] = {{"time_embedding.linear_1.", "time_embed.0."},
                                 {"time_embedding.linear_2.", "time_embed.2."},
                                 {"conv_in.", "input_blocks.0.0."},
                                 {"conv_norm_out.", "out.0."},
                                 {"conv_out.", "out.2."},
                                 {0}};
static const part unet_resnet[] = {{"norm1.", "in_layers.0."},
                                   {"conv1.", "in_layers.2."},
                                   {"time_emb_proj.", "emb_layers.1."},
                                   {"norm2.", "out_layers.0."},
                                   {"conv2.", "out_layers.3."},
                                   {"conv_shortcut.", "skip_connection."},
                                   {0}};
static const part same[] = {{"", ""}, {0}};
static const part vae_resnet[] = {{"conv_shortcut.", "nin_shortcut."}, {"", ""}, {0}};
static const part vae_attention[] = {{"group_norm.", "norm."},
                                     {"to_q.", "q."},
                                     {"to_k.", "k."},
                                     {"to_v.", "v."},
                                     {"to_out.0.", "proj_out."},
                                     {0}};
static const part vae_ends[] = {
    {"conv_norm_out.", "norm_out."}, {"conv_in.", "conv_in."}, {"conv_out.", "conv_out."}, {0}};
static const part vae_outside[] = {
    {"quant_conv.", "quant_conv."}, {"post_quant_conv.", "post_quant_conv."}, {0}};
static const part open_clip_ends[] = {
    {"embeddings.token_embedding.", "token_embedding."},
    {"embeddings.position_embedding.weight", "positional_embedding"},
    {"final_layer_norm.", "ln_final."},
    {0}};
static const part open_clip_layer[] = {{"layer_norm1.", "ln_1."},
                                       {"layer_norm2.", "ln_2."},
                                       {"mlp.fc1.", "mlp.c_fc."},
                                       {"mlp.fc2.", "mlp.c_proj."},
                                       {"self_attn.out_proj.", "attn.out_proj."},
                                       {0}};
static const part open_clip_fused[] = {{"self_attn.q_proj.", "attn.in_proj_"},
                                       {"self_attn.k_proj.", "attn.in_proj_"},
                                       {"self_attn.v_proj.", "attn.in_proj_"},
                                       {0}};

/* ------------------------------------------------------------------- reading and writing names */

__attribute__((format(printf, 2, 3))) static void put(translation *t, const char *format, ...)
{
    size_t room = sizeof t->name - t->length;
    va_list arguments;
    int n;
    va_start(arguments, format);
    n = vsnprintf(t->name + t->length, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room)
        t->fits = false;
    else
        t->length += (size_t)n;
}

static bool take(translation *t, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(t->rest, word, n) != 0)
        return false;
    t->rest += n;
    return true;
}

/* A number below limit as Python writes it, and the point behind it. */
static bool take_index(translation *t, int limit, int *index)
{
    const char *p = t->rest;
    int value = 0;
    if (*p == '0' && p[1] != '.')
        return false;
    while (*p >= '0' && *p <= '9' && value < limit)
        value = 10 * value + (*p++ - '0');
    if (p == t->rest || *p != '.' || value >= limit)
        return false;
    t->rest = p + 1;
    *index = value;
    return true;
}

/* Takes the first of the parts that comes next and puts what it becomes and all that follows.
 * Returns its index, -1 if none does. */
static int put_part(translation *t, const part *parts)
{
    for (int i = 0; parts[i].from; i++) {
        if (!take(t, parts[i].from))
            continue;
        put(t, "%s%s", parts[i].to, t->rest);
        return i;
    }
    return -1;
}

/* ---------------------------------------------------------------------------------------- unet */

static bool translate_attention(const tg__single_file_names *names, translation *t)
{
    if (strcmp(t->rest, "proj_in.weight") == 0 || strcmp(t->rest, "proj_out.weight") == 0)
        t->view = names->linear_projection ? AS_MATRIX : AS_CONVOLUTION;
    return put_part(t, same) >= 0;
}

/* What is in a block whose count layers are side.first to side.(first + count - 1). */
static bool translate_layer(const tg__single_file_names *names, translation *t, const char *side,
                            int first, int count)
{
    int layer;
    bool resnet = take(t, "resnets.");
    if ((!resnet && !take(t, "attentions.")) || !take_index(t, count, &layer))
        return false;
    put(t, "%s.%d.%d.", side, first + layer, resnet ? 0 : 1);
    return resnet ? put_part(t, unet_resnet) >= 0 : translate_attention(names, t);
}

static bool translate_down_block(const tg__single_file_names *names, translation *t)
{
    int level, first = 1; /* input_blocks.0 is conv_in */
    if (!take_index(t, names->levels, &level))
        return false;
    for (int i = 0; i < level; i++)
        first += names->layers[i] + 1;
    if (take(t, "downsamplers.0.conv.")) {
        put(t, "input_blocks.%d.0.op.", first + names->layers[level]);
        return put_part(t, same) >= 0;
    }
    return translate_layer(names, t, "input_blocks", first, names->layers[level]);
}

/* The upsampler follows the last layer's attention if there is one; the file tells. */
static bool translate_upsampler(const tg__single_file_names *names, translation *t, int layer)
{
    size_t start = t->length;
    for (int place = 2; place >= 1; place--) {
        t->length = start;
        put(t, "output_blocks.%d.%d.conv.%s", layer, place, t->rest);
        if (t->fits && tg__safetensors_find(names->single->file, t->name))
            return true;
    }
    return false;
}

static bool translate_up_block(const tg__single_file_names *names, translation *t)
{
    int block, count, first = 0;
    if (!take_index(t, names->levels, &block))
        return false;
    for (int i = 0; i < block; i++)
        first += names->layers[names->levels - 1 - i] + 1;
    count = names->layers[names->levels - 1 - block] + 1;
    if (take(t, "upsamplers.0.conv."))
        return translate_upsampler(names, t, first + count - 1);
    return translate_layer(names, t, "output_blocks", first, count);
}

static bool translate_mid_block(const tg__single_file_names *names, translation *t)
{
    int index;
    if (take(t, "attentions.0.")) {
        put(t, "middle_block.1.");
        return translate_attention(names, t);
    }
    if (!take(t, "resnets.") || !take_index(t, 2, &index))
        return false;
    put(t, "middle_block.%d.", 2 * index);
    return put_part(t, unet_resnet) >= 0;
}

static bool translate_unet(const tg__single_file_names *names, translation *t)
{
    put(t, "model.diffusion_model.");
    if (take(t, "down_blocks."))
        return translate_down_block(names, t);
    if (take(t, "mid_block."))
        return translate_mid_block(names, t);
    if (take(t, "up_blocks."))
        return translate_up_block(names, t);
    return put_part(t, unet_ends) >= 0;
}

/* ----------------------------------------------------------------------------------------- vae */

static bool translate_vae_mid(translation *t)
{
    int index;
    if (take(t, "attentions.0.")) {
        t->view = AS_MATRIX;
        put(t, "mid.attn_1.");
        return put_part(t, vae_attention) >= 0;
    }
    if (!take(t, "resnets.") || !take_index(t, 2, &index))
        return false;
    put(t, "mid.block_%d.", index + 1);
    return put_part(t, vae_resnet) >= 0;
}

/* down: the encoder's blocks; else the decoder's, which the original numbers by level. */
static bool translate_vae_block(const tg__single_file_names *names, translation *t, bool down)
{
    int level, layer;
    if (!take_index(t, names->levels, &level))
        return false;
    if (!down)
        level = names->levels - 1 - level;
    put(t, "%s.%d.", down ? "down" : "up", level);
    if (take(t, down ? "downsamplers.0.conv." : "upsamplers.0.conv.")) {
        put(t, down ? "downsample.conv." : "upsample.conv.");
        return put_part(t, same) >= 0;
    }
    if (!take(t, "resnets.") || !take_index(t, names->layers[level] + !down, &layer))
        return false;
    put(t, "block.%d.", layer);
    return put_part(t, vae_resnet) >= 0;
}

static bool translate_vae(const tg__single_file_names *names, translation *t)
{
    bool down = take(t, "encoder.");
    put(t, "%s", names->single->vae_prefix);
    if (!down && !take(t, "decoder."))
        return put_part(t, vae_outside) >= 0;
    put(t, down ? "encoder." : "decoder.");
    if (take(t, "mid_block."))
        return translate_vae_mid(t);
    if (take(t, down ? "down_blocks." : "up_blocks."))
        return translate_vae_block(names, t, down);
    return put_part(t, vae_ends) >= 0;
}

/* -------------------------------------------------------------------------------- text encoder */

static bool translate_open_clip_layer(translation *t)
{
    int third = put_part(t, open_clip_fused);
    if (third >= 0) {
        t->view = (view)(THIRD_0 + third);
        return true;
    }
    return put_part(t, open_clip_layer) >= 0;
}

static bool translate_text(const tg__single_file_names *names, translation *t)
{
    const tg__single_file_kind *kind = names->single->kind;
    int layer;
    if (!take(t, "text_model."))
        return false;
    put(t, "%s", kind->text_prefix);
    if (!take(t, "encoder.layers."))
        return put_part(t, kind->open_clip ? open_clip_ends : same) >= 0;
    if (!take_index(t, names->text_layers, &layer))
        return false;
    put(t, kind->open_clip ? "transformer.resblocks.%d." : "encoder.layers.%d.", layer);
    return kind->open_clip ? translate_open_clip_layer(t) : put_part(t, same) >= 0;
}

/* --------------------------------------------------------------------------------------- views */

static void drop_ones(tg__weight *tensor)
{
    for (int i = 2; i < tensor->rank; i++)
        if (tensor->shape[i] != 1)
            return;
    if (tensor->rank > 2)
        tensor->rank = 2;
}

static void add_ones(tg__weight *tensor)
{
    if (tensor->rank != 2)
        return;
    tensor->shape[2] = tensor->shape[3] = 1;
    tensor->rank = 4;
}

static void apply_view(tg__weight *tensor, view how)
{
    switch (how) {
    case AS_IS:
        return;
    case AS_MATRIX:
        drop_ones(tensor);
        return;
    case AS_CONVOLUTION:
        add_ones(tensor);
        return;
    case THIRD_0:
    case THIRD_1:
    case THIRD_2:
        tg__weight_take_part(tensor, (int)(how - THIRD_0), 3);
        return;
    }
}

/* --------------------------------------------------------------------------------------- lookup */

void tg__single_file_names_init(tg__single_file_names *names, const tg__single_file *single,
                                const tg__network_class *network, tg__config *config)
{
    int levels;
    *names = (tg__single_file_names){.single = single, .network = network};
    if (network == &tg__clip_text_class) {
        names->text_layers = (int)tg__config_int(config, "num_hidden_layers", 1, 1000, 12);
        return;
    }
    levels = tg__config_list(config, "block_out_channels", TG__MAX_LEVELS);
    if (levels <= 0)
        levels = network == &tg__unet_class ? 4 : 1;
    names->levels = levels;
    tg__config_ints(config, "layers_per_block", levels, 1, MAX_LAYERS,
                    network == &tg__unet_class ? 2 : 1, names->layers);
    if (network == &tg__unet_class)
        names->linear_projection = tg__config_bool(config, "use_linear_projection", false);
}

bool tg__single_file_lookup(const void *context, const char *name, int rank, const int64_t *shape,
                            tg__weight *found)
{
    (void)rank; /* the caller checks the shape, and names what is off */
    (void)shape;
    static const struct {
        const tg__network_class *network;
        bool (*translate)(const tg__single_file_names *, translation *);
    } rows[] = {{&tg__unet_class, translate_unet},
                {&tg__autoencoder_kl_class, translate_vae},
                {&tg__clip_text_class, translate_text}};
    const tg__single_file_names *names = context;
    const tg__weight *tensor;
    translation t = {.fits = true, .rest = name};
    size_t row = 0;
    while (rows[row].network != names->network)
        row++;
    if (!rows[row].translate(names, &t) || !t.fits)
        return false;
    tensor = tg__safetensors_find(names->single->file, t.name);
    if (!tensor)
        return false;
    *found = *tensor;
    apply_view(found, t.view);
    return true;
}
