/* SPDX-License-Identifier: MIT */
/* From diffusers' names of PixArt's tensors to the original ones. */
#include <string.h>

#include "models/original_names.h"
#include "models/pixart_transformer.h"

static const tg__part ends[] = {
    {"pos_embed.proj.", "x_embedder.proj."},
    {"caption_projection.linear_1.", "y_embedder.y_proj.fc1."},
    {"caption_projection.linear_2.", "y_embedder.y_proj.fc2."},
    {"adaln_single.emb.timestep_embedder.linear_1.", "t_embedder.mlp.0."},
    {"adaln_single.emb.timestep_embedder.linear_2.", "t_embedder.mlp.2."},
    {"adaln_single.emb.resolution_embedder.linear_1.", "csize_embedder.mlp.0."},
    {"adaln_single.emb.resolution_embedder.linear_2.", "csize_embedder.mlp.2."},
    {"adaln_single.emb.aspect_ratio_embedder.linear_1.", "ar_embedder.mlp.0."},
    {"adaln_single.emb.aspect_ratio_embedder.linear_2.", "ar_embedder.mlp.2."},
    {"adaln_single.linear.", "t_block.1."},
    {"proj_out.", "final_layer.linear."},
    {"scale_shift_table", "final_layer.scale_shift_table"},
    {0}};

static const tg__part block_parts[] = {{"attn1.to_q.", "attn.qkv."},
                                       {"attn1.to_k.", "attn.qkv."},
                                       {"attn1.to_v.", "attn.qkv."},
                                       {"attn2.to_k.", "cross_attn.kv_linear."},
                                       {"attn2.to_v.", "cross_attn.kv_linear."},
                                       {"attn1.to_out.0.", "attn.proj."},
                                       {"attn2.to_q.", "cross_attn.q_linear."},
                                       {"attn2.to_out.0.", "cross_attn.proj."},
                                       {"ff.net.0.proj.", "mlp.fc1."},
                                       {"ff.net.2.", "mlp.fc2."},
                                       {"scale_shift_table", "scale_shift_table"},
                                       {0}};
/* Of the first ones, in their order: the rest is as it is. */
static const tg__view block_views[] = {TG__THIRD_0, TG__THIRD_1, TG__THIRD_2, TG__HALF_0,
                                       TG__HALF_1};
enum { FUSED = sizeof block_views / sizeof *block_views };

bool tg__pixart_original_name(const tg__network *network, tg__translation *t)
{
    const tg__pixart_config *c = &((const tg__pixart *)network)->config;
    int block;
    if (!tg__take(t, "transformer_blocks."))
        return tg__put_part(t, ends) >= 0;
    if (!tg__take_index(t, c->layers, &block))
        return false;
    tg__put(t, "blocks.%d.", block);
    int part = tg__put_part(t, block_parts);
    if (part >= 0 && part < FUSED)
        t->view = block_views[part];
    return part >= 0;
}
