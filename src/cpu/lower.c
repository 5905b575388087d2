/* SPDX-License-Identifier: MIT */
#include "cpu/lower.h"

#include <stdlib.h>

#include "cpu/tasks.h"
#include "ops/kinds.h"

typedef struct lowering {
    const tg__plan *plan;
    tg__program *program;
    int *ids;         /* of the program's tensors, by the plan's */
    tg__tensor small; /* what a doubling that is part of the next product reads; null: none */
} lowering;

static tg__dtype format_of(const lowering *l, tg__tensor x)
{
    return x.dtype == TG__ACTIVATIONS ? tg__program_dtype(l->program) : x.dtype;
}

/* The program's tensor for one of the plan's, which may look at its buffer in another shape. */
static tg__tensor lowered(const lowering *l, tg__tensor x)
{
    if (!x.id)
        return (tg__tensor){0};
    tg__dtype dtype = format_of(l, x);
    int slot = tg__plan_slot(l->plan, x);
    if (!l->ids[x.id] && slot >= 0)
        l->ids[x.id] = tg__program_external(l->program, slot, dtype, x.n, x.h, x.w, x.c).id;
    return (tg__tensor){l->ids[x.id], x.n, x.h, x.w, x.c, dtype};
}

/* dst where the caller brings its memory, else null: the task makes a tensor. */
static tg__tensor into(const lowering *l, tg__tensor dst)
{
    return tg__plan_slot(l->plan, dst) >= 0 ? lowered(l, dst) : (tg__tensor){0};
}

static tg__slice slice(const lowering *l, tg__tensor x, int first)
{
    return (tg__slice){lowered(l, x), first};
}

/* A doubling whose result one product alone reads is left to that product. */
static bool joins_next(const lowering *l, int index)
{
    const tg__node *node = tg__plan_node(l->plan, index);
    if (index + 1 == tg__plan_node_count(l->plan))
        return false;
    const tg__node *next = tg__plan_node(l->plan, index + 1);
    const tg__product_parameters *p = next->parameters;
    return next->kind == TG__PRODUCT && next->src[TG__X].id == node->dst.id &&
           !next->src[TG__Y].id && !next->src[TG__RESIDUAL].id &&
           tg__plan_uses(l->plan, node->dst) == 1 && p->layer->kernel == 3 && p->stride == 1 &&
           p->pad_before == 1 && p->pad_after == 1 && p->activation == TG__LINEAR &&
           next->dst.dtype == TG__ACTIVATIONS && tg__plan_slot(l->plan, next->dst) < 0;
}

static tg__tensor product(lowering *l, const tg__node *node)
{
    const tg__product_parameters *p = node->parameters;
    if (l->small.id) {
        tg__tensor x = l->small;
        l->small = (tg__tensor){0};
        return tg__cpu_upsample_conv2d(l->program, x, p->layer, node->dst.h, node->dst.w);
    }
    if (node->src[TG__Y].id)
        return tg__cpu_conv2d_pair(l->program, lowered(l, node->src[TG__X]),
                                   lowered(l, node->src[TG__Y]), p->layer);
    tg__product_options o = {.stride = p->stride,
                             .own_padding = true,
                             .pad_before = p->pad_before,
                             .pad_after = p->pad_after,
                             .activation = p->activation,
                             .residual = lowered(l, node->src[TG__RESIDUAL]),
                             .into = into(l, node->dst),
                             .f32 = node->dst.dtype == TG__F32,
                             .exact = p->exact};
    return tg__cpu_conv2d(l->program, lowered(l, node->src[TG__X]), p->layer, o);
}

static tg__tensor norm(const lowering *l, const tg__node *node)
{
    tg__tensor x = lowered(l, node->src[TG__X]);
    if (node->kind == TG__GROUP_NORM) {
        const tg__group_norm_parameters *p = node->parameters;
        tg__group_norm_options o = {p->groups, p->eps, p->silu, lowered(l, node->src[TG__VECTOR]),
                                    lowered(l, node->src[TG__MODULATE])};
        return tg__cpu_group_norm(l->program, x, lowered(l, node->src[TG__Y]), p->norm, o);
    }
    const tg__row_norm_parameters *p = node->parameters;
    tg__row_norm_options o = {.eps = p->eps,
                              .shift = slice(l, node->src[TG__SHIFT_SOURCE], p->shift_first),
                              .scale = slice(l, node->src[TG__SCALE_SOURCE], p->scale_first),
                              .into = into(l, node->dst)};
    if (node->kind == TG__RMS_NORM)
        return tg__cpu_rms_norm(l->program, x, p->norm, p->eps);
    return tg__cpu_layer_norm(l->program, x, p->norm, o);
}

static tg__tensor attention(const lowering *l, const tg__node *node)
{
    const tg__attention_parameters *p = node->parameters;
    tg__attention_options o = {.heads = p->heads,
                               .head_dim = p->head_dim,
                               .scale = p->scale,
                               .causal = p->causal,
                               .mask = lowered(l, node->src[TG__MASK]),
                               .bias = lowered(l, node->src[TG__BIAS])};
    return tg__cpu_attention(l->program, node->name, slice(l, node->src[TG__Q], p->q_first),
                             slice(l, node->src[TG__K], p->k_first),
                             slice(l, node->src[TG__V], p->v_first), o);
}

static tg__tensor elementwise(const lowering *l, const tg__node *node)
{
    tg__tensor x = lowered(l, node->src[TG__X]);
    switch (node->kind) {
    case TG__ADD:
        return tg__cpu_add(l->program, node->name, x, lowered(l, node->src[TG__Y]));
    case TG__GATED_ADD:
        return tg__cpu_gated_add(
            l->program, node->name, lowered(l, node->src[TG__RESIDUAL]), x,
            slice(l, node->src[TG__GATE],
                  ((const tg__gated_add_parameters *)node->parameters)->gate_first));
    case TG__SCALE:
        return tg__cpu_scale(l->program, node->name, x,
                             ((const tg__scale_parameters *)node->parameters)->factor);
    case TG__ADD_TABLE:
        return tg__cpu_add_table(l->program, node->name, x,
                                 ((const tg__table_parameters *)node->parameters)->table,
                                 node->dst.c);
    case TG__JOIN:
        return tg__cpu_join(l->program, node->name, x, lowered(l, node->src[TG__Y]));
    case TG__MEAN_HALVES:
        return tg__cpu_mean_halves(l->program, node->name, x, lowered(l, node->dst));
    case TG__CONVERT:
        return tg__cpu_convert(l->program, node->name, x, format_of(l, node->dst),
                               into(l, node->dst));
    default:
        return tg__cpu_activate(l->program, node->name, x,
                                ((const tg__activate_parameters *)node->parameters)->activation);
    }
}

static tg__tensor layout(const lowering *l, const tg__node *node)
{
    tg__tensor x = lowered(l, node->src[TG__X]);
    const void *parameters = node->parameters;
    const tg__from_nchw_parameters *from = parameters;
    const tg__timestep_parameters *time = parameters;
    const tg__embed_parameters *embed = parameters;
    const tg__grid_parameters *grid = parameters;
    const tg__relative_bias_parameters *relative = parameters;
    switch (node->kind) {
    case TG__FROM_NCHW:
        return tg__cpu_from_nchw(l->program, x, from->copies, from->factor, from->offset);
    case TG__TO_NCHW:
        return tg__cpu_to_nchw(l->program, x, lowered(l, node->dst));
    case TG__UPSAMPLE:
        return tg__cpu_upsample(l->program, node->name, x, node->dst.h, node->dst.w);
    case TG__TIMESTEP_EMBEDDING:
        return tg__cpu_timestep_embedding(l->program, x, node->dst.c / node->src[TG__X].c,
                                          time->flip_sin_to_cos, time->freq_shift);
    case TG__GRID_EMBEDDING:
        return tg__cpu_grid_embedding(l->program, node->dst.h, node->dst.w, node->dst.c, grid->base,
                                      grid->scale);
    case TG__RELATIVE_BIAS:
        return tg__cpu_relative_bias(l->program, relative->table, relative->buckets, node->dst.n,
                                     node->dst.c);
    default:
        return tg__cpu_embed_tokens(l->program, x, embed->table, embed->positions, node->dst.c);
    }
}

static tg__tensor lower_node(lowering *l, const tg__node *node)
{
    switch (node->kind) {
    case TG__PRODUCT:
        return product(l, node);
    case TG__GROUP_NORM:
    case TG__LAYER_NORM:
    case TG__RMS_NORM:
        return norm(l, node);
    case TG__ATTENTION:
        return attention(l, node);
    case TG__ADD:
    case TG__GATED_ADD:
    case TG__ADD_TABLE:
    case TG__JOIN:
    case TG__SCALE:
    case TG__ACTIVATE:
    case TG__CONVERT:
    case TG__MEAN_HALVES:
        return elementwise(l, node);
    default:
        return layout(l, node);
    }
}

static void lower_all(lowering *l)
{
    for (int i = 0; i < tg__plan_node_count(l->plan) && !tg__program_failed(l->program); i++) {
        const tg__node *node = tg__plan_node(l->plan, i);
        if (node->kind == TG__UPSAMPLE && joins_next(l, i))
            l->small = lowered(l, node->src[TG__X]);
        else
            l->ids[node->dst.id] = lower_node(l, node).id;
    }
}

tg__program *tg__cpu_lower(tg__context *context, const tg__plan *plan, tg__dtype dtype, bool int8,
                           tg__error *error)
{
    if (tg__failed(error))
        return NULL;
    lowering l = {.plan = plan,
                  .program = tg__program_new(context, tg__plan_network(plan), dtype, error),
                  .ids = calloc((size_t)tg__plan_tensor_end(plan), sizeof *l.ids)};
    if (!l.ids)
        tg__fail_memory(error);
    if (l.program && int8)
        tg__program_allow_int8(l.program);
    if (l.program && l.ids)
        lower_all(&l);
    free(l.ids);
    if (!tg__failed(error))
        return l.program;
    tg__program_free(l.program);
    return NULL;
}
