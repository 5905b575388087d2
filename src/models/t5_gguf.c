/* SPDX-License-Identifier: MIT */
/* From transformers' names of a T5 encoder's tensors to those of llama.cpp's GGUF files. */
#include <stdio.h>
#include <string.h>

#include "models/t5.h"

/* Behind "encoder.block.N." and before ".weight". */
static const struct {
    const char *from, *to;
} in_block[] = {
    {"layer.0.SelfAttention.q", "attn_q"},
    {"layer.0.SelfAttention.k", "attn_k"},
    {"layer.0.SelfAttention.v", "attn_v"},
    {"layer.0.SelfAttention.o", "attn_o"},
    {"layer.0.SelfAttention.relative_attention_bias", "attn_rel_b"},
    {"layer.0.layer_norm", "attn_norm"},
    {"layer.1.DenseReluDense.wi_0", "ffn_gate"},
    {"layer.1.DenseReluDense.wi_1", "ffn_up"},
    {"layer.1.DenseReluDense.wi", "ffn_up"},
    {"layer.1.DenseReluDense.wo", "ffn_down"},
    {"layer.1.layer_norm", "ffn_norm"},
};

static bool translate(const char *name, char *dst, size_t size)
{
    char rest[128];
    int block;
    if (strcmp(name, "shared.weight") == 0)
        return snprintf(dst, size, "token_embd.weight") > 0;
    if (strcmp(name, "encoder.final_layer_norm.weight") == 0)
        return snprintf(dst, size, "enc.output_norm.weight") > 0;
    if (sscanf(name, "encoder.block.%d.%127s", &block, rest) != 2)
        return false;
    for (size_t i = 0; i < sizeof in_block / sizeof *in_block; i++) {
        size_t length = strlen(in_block[i].from);
        if (strncmp(rest, in_block[i].from, length) == 0 && strcmp(rest + length, ".weight") == 0)
            return snprintf(dst, size, "enc.blk.%d.%s.weight", block, in_block[i].to) > 0;
    }
    return false;
}

static bool lookup(const void *context, const char *name, int rank, const int64_t *shape,
                   tg__weight *found)
{
    char own[128];
    (void)rank;
    (void)shape;
    const tg__weight *weight =
        translate(name, own, sizeof own) ? tg__gguf_find(context, own) : NULL;
    if (weight)
        *found = *weight;
    return weight != NULL;
}

tg__weights *tg__t5_weights_from_gguf(const tg__gguf *file, tg__error *error)
{
    const char *found = tg__gguf_string(file, "general.architecture");
    char shown[80];
    if (!found || (strcmp(found, "t5") != 0 && strcmp(found, "t5encoder") != 0)) {
        tg__fail(error, TG_ERROR_UNSUPPORTED,
                 "%s: general.architecture is %s, expected t5 or t5encoder", tg__gguf_where(file),
                 found ? tg__printable(shown, sizeof shown, found) : "missing");
        return NULL;
    }
    return tg__weights_from(lookup, file, tg__gguf_where(file), error);
}
