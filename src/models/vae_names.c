/* SPDX-License-Identifier: MIT */
/* From diffusers' names of the VAE's tensors to the original ones. */
#include "models/original_names.h"
#include "models/vae.h"

static const tg__part resnet_parts[] = {{"conv_shortcut.", "nin_shortcut."}, {"", ""}, {0}};
/* By converter: the original's, and diffusers' new and old ones; the file tells which. */
static const tg__part attention_parts[] = {{"group_norm.", "norm."},
                                           {"group_norm.", "group_norm."},
                                           {"to_q.", "q."},
                                           {"to_q.", "to_q."},
                                           {"to_q.", "query."},
                                           {"to_k.", "k."},
                                           {"to_k.", "to_k."},
                                           {"to_k.", "key."},
                                           {"to_v.", "v."},
                                           {"to_v.", "to_v."},
                                           {"to_v.", "value."},
                                           {"to_out.0.", "proj_out."},
                                           {"to_out.0.", "to_out.0."},
                                           {"to_out.0.", "proj_attn."},
                                           {0}};
static const tg__part ends[] = {
    {"conv_norm_out.", "norm_out."}, {"conv_in.", "conv_in."}, {"conv_out.", "conv_out."}, {0}};
static const tg__part outside[] = {
    {"quant_conv.", "quant_conv."}, {"post_quant_conv.", "post_quant_conv."}, {0}};

static bool put_mid_block(tg__translation *t)
{
    int index;
    if (tg__take(t, "attentions.0.")) {
        t->view = TG__AS_MATRIX;
        tg__put(t, "mid.attn_1.");
        return tg__put_known_part(t, attention_parts);
    }
    if (!tg__take(t, "resnets.") || !tg__take_index(t, 2, &index))
        return false;
    tg__put(t, "mid.block_%d.", index + 1);
    return tg__put_part(t, resnet_parts) >= 0;
}

/* down: the encoder's blocks; else the decoder's, which the original numbers by level. */
static bool put_block(const tg__vae_config *c, tg__translation *t, bool down)
{
    int level, layer;
    if (!tg__take_index(t, c->levels, &level))
        return false;
    if (!down)
        level = c->levels - 1 - level;
    tg__put(t, "%s.%d.", down ? "down" : "up", level);
    if (tg__take(t, down ? "downsamplers.0.conv." : "upsamplers.0.conv.")) {
        tg__put(t, down ? "downsample.conv." : "upsample.conv.");
        return tg__put_part(t, tg__same_part) >= 0;
    }
    if (!tg__take(t, "resnets.") || !tg__take_index(t, c->layers + !down, &layer))
        return false;
    tg__put(t, "block.%d.", layer);
    return tg__put_part(t, resnet_parts) >= 0;
}

bool tg__vae_original_name(const tg__network *network, tg__translation *t)
{
    const tg__vae_config *c = &((const tg__vae *)network)->config;
    bool down = tg__take(t, "encoder.");
    if (!down && !tg__take(t, "decoder."))
        return tg__put_part(t, outside) >= 0;
    tg__put(t, down ? "encoder." : "decoder.");
    if (tg__take(t, "mid_block."))
        return put_mid_block(t);
    if (tg__take(t, down ? "down_blocks." : "up_blocks."))
        return put_block(c, t, down);
    return tg__put_part(t, ends) >= 0;
}
