/* SPDX-License-Identifier: MIT */
/* From transformers' names of a CLIP text encoder's tensors to those in checkpoints: transformers'
 * own, or OpenCLIP's, where the projections of attention are fused. */
#include <string.h>

#include "models/clip.h"
#include "models/original_names.h"

static const tg__part open_clip_ends[] = {
    {"embeddings.token_embedding.", "token_embedding."},
    {"embeddings.position_embedding.weight", "positional_embedding"},
    {"final_layer_norm.", "ln_final."},
    {0}};
static const tg__part open_clip_layer[] = {{"layer_norm1.", "ln_1."},
                                           {"layer_norm2.", "ln_2."},
                                           {"mlp.fc1.", "mlp.c_fc."},
                                           {"mlp.fc2.", "mlp.c_proj."},
                                           {"self_attn.out_proj.", "attn.out_proj."},
                                           {0}};
/* By third. */
static const tg__part open_clip_fused[] = {{"self_attn.q_proj.", "attn.in_proj_"},
                                           {"self_attn.k_proj.", "attn.in_proj_"},
                                           {"self_attn.v_proj.", "attn.in_proj_"},
                                           {0}};

static bool put_open_clip_layer(tg__translation *t)
{
    int third = tg__put_part(t, open_clip_fused);
    if (third >= 0) {
        t->view = (tg__view)((int)TG__THIRD_0 + third);
        return true;
    }
    return tg__put_part(t, open_clip_layer) >= 0;
}

/* Behind the text model: OpenCLIP keeps a parameter, transformers a layer, which lies beside the
 * text model. */
static bool put_projection(tg__translation *t, bool open_clip)
{
    static const tg__part parts[] = {{"text_projection.weight", "text_projection"}, {0}};
    static const char inner[] = "text_model.";
    size_t n = sizeof inner - 1;
    if (open_clip) {
        t->view = TG__TRANSPOSED;
        return tg__put_part(t, parts) >= 0;
    }
    if (t->length >= n && strcmp(t->name + t->length - n, inner) == 0)
        t->name[t->length -= n] = '\0';
    return strncmp(t->rest, "text_projection.", 16) == 0 && tg__put_part(t, tg__same_part) >= 0;
}

/* Which of the two it is, the file tells. */
bool tg__clip_original_name(const tg__network *network, tg__translation *t)
{
    const tg__clip_config *c = &((const tg__clip *)network)->config;
    bool open_clip = tg__names_tensor(t, "token_embedding.weight");
    int layer;
    if (!tg__take(t, "text_model."))
        return put_projection(t, open_clip);
    if (!tg__take(t, "encoder.layers."))
        return tg__put_part(t, open_clip ? open_clip_ends : tg__same_part) >= 0;
    if (!tg__take_index(t, c->layers, &layer))
        return false;
    tg__put(t, open_clip ? "transformer.resblocks.%d." : "encoder.layers.%d.", layer);
    return open_clip ? put_open_clip_layer(t) : tg__put_part(t, tg__same_part) >= 0;
}
