/* SPDX-License-Identifier: MIT */
/* From diffusers' names of the UNet's tensors to the original ones. */
#include <string.h>

#include "models/original_names.h"
#include "models/unet.h"

static const tg__part ends[] = {{"time_embedding.linear_1.", "time_embed.0."},
                                {"time_embedding.linear_2.", "time_embed.2."},
                                {"time_embedding.cond_proj.", "time_embed.cond_proj."},
                                {"add_embedding.linear_1.", "label_emb.0.0."},
                                {"add_embedding.linear_2.", "label_emb.0.2."},
                                {"conv_in.", "input_blocks.0.0."},
                                {"conv_norm_out.", "out.0."},
                                {"conv_out.", "out.2."},
                                {0}};
static const tg__part resnet_parts[] = {{"norm1.", "in_layers.0."},
                                        {"conv1.", "in_layers.2."},
                                        {"time_emb_proj.", "emb_layers.1."},
                                        {"norm2.", "out_layers.0."},
                                        {"conv2.", "out_layers.3."},
                                        {"conv_shortcut.", "skip_connection."},
                                        {0}};

static bool put_attention(const tg__unet_config *c, tg__translation *t)
{
    if (strcmp(t->rest, "proj_in.weight") == 0 || strcmp(t->rest, "proj_out.weight") == 0)
        t->view = c->linear_projection ? TG__AS_MATRIX : TG__AS_CONVOLUTION;
    return tg__put_part(t, tg__same_part) >= 0;
}

/* What is in a block whose count layers are side.first to side.(first + count - 1). */
static bool put_layer(const tg__unet_config *c, tg__translation *t, const char *side, int first,
                      int count)
{
    int layer;
    bool resnet = tg__take(t, "resnets.");
    if ((!resnet && !tg__take(t, "attentions.")) || !tg__take_index(t, count, &layer))
        return false;
    tg__put(t, "%s.%d.%d.", side, first + layer, resnet ? 0 : 1);
    return resnet ? tg__put_part(t, resnet_parts) >= 0 : put_attention(c, t);
}

static bool put_down_block(const tg__unet_config *c, tg__translation *t)
{
    int level, first = 1; /* input_blocks.0 is conv_in */
    if (!tg__take_index(t, c->levels, &level))
        return false;
    for (int i = 0; i < level; i++)
        first += c->layers[i] + 1;
    if (tg__take(t, "downsamplers.0.conv.")) {
        tg__put(t, "input_blocks.%d.0.op.", first + c->layers[level]);
        return tg__put_part(t, tg__same_part) >= 0;
    }
    return put_layer(c, t, "input_blocks", first, c->layers[level]);
}

/* The upsampler follows the last layer's attention if there is one; the file tells. */
static bool put_upsampler(tg__translation *t, int layer)
{
    tg__translation start = *t;
    for (int place = 2; place >= 1; place--) {
        *t = start;
        tg__put(t, "output_blocks.%d.%d.conv.", layer, place);
        if (tg__names_tensor(t, t->rest))
            return tg__put_part(t, tg__same_part) >= 0;
    }
    return false;
}

static bool put_up_block(const tg__unet_config *c, tg__translation *t)
{
    int block, first = 0;
    if (!tg__take_index(t, c->levels, &block))
        return false;
    for (int i = 0; i < block; i++)
        first += c->layers[c->levels - 1 - i] + 1;
    int count = c->layers[c->levels - 1 - block] + 1;
    if (tg__take(t, "upsamplers.0.conv."))
        return put_upsampler(t, first + count - 1);
    return put_layer(c, t, "output_blocks", first, count);
}

static bool put_mid_block(const tg__unet_config *c, tg__translation *t)
{
    int index;
    if (tg__take(t, "attentions.0.")) {
        tg__put(t, "middle_block.1.");
        return put_attention(c, t);
    }
    if (!tg__take(t, "resnets.") || !tg__take_index(t, 2, &index))
        return false;
    tg__put(t, "middle_block.%d.", 2 * index);
    return tg__put_part(t, resnet_parts) >= 0;
}

bool tg__unet_original_name(const tg__network *network, tg__translation *t)
{
    const tg__unet_config *c = &((const tg__unet *)network)->config;
    if (tg__take(t, "down_blocks."))
        return put_down_block(c, t);
    if (tg__take(t, "mid_block."))
        return put_mid_block(c, t);
    if (tg__take(t, "up_blocks."))
        return put_up_block(c, t);
    return tg__put_part(t, ends) >= 0;
}
