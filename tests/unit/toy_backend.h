/* SPDX-License-Identifier: MIT */
/* A backend that is not the CPU's: what a GPU's has to be, in short. Its memory is a table of its
 * own, and a handle the number of an entry: whoever takes one for a pointer crashes. It lowers
 * plans to a list of its own operators, which run in f32 and plain C without a line of src/cpu.
 * What the library does wrong with it ends the program: it may happen on any thread. */
#ifndef TG_TEST_TOY_BACKEND_H
#define TG_TEST_TOY_BACKEND_H

#include "core/parallel.h"
#include "kernels/kernels.h"
#include "unit/toy_operators.h"

/* ------------------------------------------------------------------------------------ lowering */

/* The first time that a buffer is seen it gets its place; no two share one. */
static void place(tg__program *p, const tg__plan *plan, tg__tensor x)
{
    buffer *b = &p->buffers[x.id];
    if (!x.id || b->bytes)
        return;
    b->bytes = tg__count(x) * sizeof(float);
    b->slot = tg__plan_slot(plan, x);
    b->offset = b->slot < 0 ? p->workspace_bytes : 0;
    if (b->slot < 0)
        p->workspace_bytes += b->bytes;
}

static void pack_norm(toy *t, int network, operation *o, const tg__norm *norm, tg__error *error)
{
    o->weight = pack(t, network, &norm->weight, 1, 1, 1, error);
    o->bias = pack(t, network, &norm->bias, 1, 1, 1, error);
}

static void pack_operation(toy *t, int network, operation *o, tg__error *error)
{
    const void *parameters = o->node.parameters;
    const tg__layer *layer;
    switch (o->node.kind) {
    case TG__PRODUCT:
        layer = ((const tg__product_parameters *)parameters)->layer;
        o->weight = pack(t, network, layer->weight, layer->parts, layer->in,
                         layer->kernel * layer->kernel, error);
        if (layer->has_bias)
            o->bias = pack(t, network, layer->bias, layer->parts, 1, 1, error);
        break;
    case TG__GROUP_NORM:
        pack_norm(t, network, o, ((const tg__group_norm_parameters *)parameters)->norm, error);
        break;
    case TG__LAYER_NORM:
    case TG__RMS_NORM:
        pack_norm(t, network, o, ((const tg__row_norm_parameters *)parameters)->norm, error);
        break;
    case TG__ADD_TABLE:
        o->weight =
            pack(t, network, ((const tg__table_parameters *)parameters)->table, 1, 1, 1, error);
        break;
    case TG__EMBED_TOKENS:
        o->weight =
            pack(t, network, ((const tg__embed_parameters *)parameters)->table, 1, 1, 1, error);
        o->bias =
            pack(t, network, ((const tg__embed_parameters *)parameters)->positions, 1, 1, 1, error);
        break;
    case TG__RELATIVE_BIAS:
        o->weight = pack(t, network, ((const tg__relative_bias_parameters *)parameters)->table, 1,
                         1, 1, error);
        break;
    default:
        break;
    }
}

static bool is_known(const tg__plan *plan, const tg__node *node, tg__error *error)
{
    if (node->kind < 0 || node->kind >= TG__KINDS || !kinds[node->kind].run) {
        tg__fail(error, TG_ERROR_UNSUPPORTED, "%s: %s: the toy has no operator of kind %d",
                 tg__plan_network(plan), node->name, node->kind);
        return false;
    }
    if (node->dst.dtype != TG__F32 && node->dst.dtype != TG__ACTIVATIONS)
        tg__fail(error, TG_ERROR_UNSUPPORTED, "%s: %s: the toy makes no %s", tg__plan_network(plan),
                 node->name, tg__dtype_name(node->dst.dtype));
    return !tg__failed(error);
}

/* How many values are added up at a time. */
static size_t sums_of(const tg__node *node)
{
    if (node->kind == TG__ATTENTION)
        return (size_t)node->src[TG__K].h * (size_t)node->src[TG__K].w;
    if (node->kind == TG__PRODUCT)
        return (size_t)((const tg__product_parameters *)node->parameters)->layer->out;
    return 0;
}

static void lower_node(tg__program *p, const tg__plan *plan, const tg__node *node, tg__error *error)
{
    operation *o = &p->operations[p->count];
    size_t bytes = kinds[node->kind].bytes;
    void *parameters = tg__arena_take(&p->arena, 1, bytes + 1);
    *o = (operation){.run = kinds[node->kind].run, .node = *node};
    o->node.name = tg__arena_copy(&p->arena, node->name);
    o->node.parameters = parameters;
    if (!parameters || !o->node.name) {
        tg__fail_memory(error);
        return;
    }
    if (bytes)
        memcpy(parameters, node->parameters, bytes);
    place(p, plan, node->dst);
    for (int i = 0; i < TG__NODE_SOURCES; i++)
        place(p, plan, node->src[i]);
    p->sum_count = p->sum_count < sums_of(node) ? sums_of(node) : p->sum_count;
    p->macs += node->macs;
    p->count++;
}

static void free_memory(tg__program *p)
{
    tg__arena_free(&p->arena);
    free(p->sums);
    free(p);
}

/* Without weights; NULL with an error. */
static tg__program *shape(toy *t, const tg__plan *plan, int network, tg__error *error)
{
    tg__program *p = tg__failed(error) ? NULL : calloc(1, sizeof *p);
    if (!p) {
        tg__fail_memory(error);
        return NULL;
    }
    p->toy = t;
    p->network = network;
    p->buffer_count = tg__plan_tensor_end(plan);
    p->buffers = tg__arena_take(&p->arena, (size_t)p->buffer_count, sizeof *p->buffers);
    p->operations =
        tg__arena_take(&p->arena, (size_t)tg__plan_node_count(plan) + 1, sizeof *p->operations);
    if (!p->buffers || !p->operations)
        tg__fail_memory(error);
    for (int i = 0; i < tg__plan_node_count(plan) && !tg__failed(error); i++)
        if (is_known(plan, tg__plan_node(plan, i), error))
            lower_node(p, plan, tg__plan_node(plan, i), error);
    p->sums = calloc(p->sum_count + 1, sizeof *p->sums);
    if (!p->sums)
        tg__fail_memory(error);
    if (!tg__failed(error))
        return p;
    free_memory(p);
    return NULL;
}

/* A network's weights stay while there is a program of it. */
static void count_program(toy *t, int network, int more)
{
    pthread_mutex_lock(&t->packing);
    t->programs[network] += more;
    pthread_mutex_unlock(&t->packing);
}

static void free_program(tg__backend *backend, tg__program *p)
{
    if (!p)
        return;
    count_program(toy_of(backend), p->network, -1);
    free_memory(p);
}

static bool asks_on(const tg__hooks *hooks)
{
    return !hooks || !hooks->go_on || hooks->go_on(hooks->context);
}

static tg__program *lower(tg__backend *backend, const tg__plan *plan, const tg__lowering *how,
                          const tg__hooks *hooks, tg__error *error)
{
    toy *t = toy_of(backend);
    tg__program *p = shape(t, plan, how->group, error);
    if (!p)
        return NULL;
    count_program(t, how->group, 1);
    for (int i = 0; i < p->count && !tg__failed(error); i++) {
        if (!asks_on(hooks))
            tg__fail(error, TG_ERROR_CANCELLED, "cancelled");
        pthread_mutex_lock(&t->packing);
        pack_operation(t, how->group, &p->operations[i], error);
        pthread_mutex_unlock(&t->packing);
    }
    if (!tg__failed(error))
        return p;
    free_program(backend, p);
    return NULL;
}

static tg__needs needs(const tg__program *p)
{
    return (tg__needs){.workspace_bytes = p->workspace_bytes, .macs = p->macs};
}

static tg_status measure(tg__backend *backend, const tg__plan *plan, const tg__lowering *how,
                         tg__needs *result, tg__error *error)
{
    tg__program *p = shape(toy_of(backend), plan, how->group, error);
    *result = p ? needs(p) : (tg__needs){0};
    if (p)
        free_memory(p);
    return error->status;
}

static size_t external_bytes(const tg__program *p, int slot)
{
    for (int i = 1; i < p->buffer_count; i++)
        if (p->buffers[i].bytes && p->buffers[i].slot == slot)
            return p->buffers[i].bytes;
    return 0;
}

static int slot_end(const tg__program *p)
{
    int end = 0;
    for (int i = 1; i < p->buffer_count; i++)
        if (p->buffers[i].bytes && p->buffers[i].slot >= end)
            end = p->buffers[i].slot + 1;
    return end;
}

/* ------------------------------------------------------------------------------------- running */

static void bind(tg__program *p, int slot, tg__memory memory)
{
    if (slot == TG__WORKSPACE)
        p->workspace = memory;
    for (int i = 1; i < p->buffer_count; i++)
        if (p->buffers[i].bytes && p->buffers[i].slot == slot && slot >= 0)
            p->buffers[i].memory = memory;
}

/* Everything that the program touches is there; nothing of an earlier run is left to it. */
static void begin_run(tg__program *p)
{
    for (int i = 1; i < p->buffer_count; i++)
        if (p->buffers[i].bytes && p->buffers[i].slot >= 0)
            data_of(p->toy, p->buffers[i].memory, 0, p->buffers[i].bytes);
    if (p->workspace_bytes)
        memset(data_of(p->toy, p->workspace, 0, p->workspace_bytes), 0xFF, p->workspace_bytes);
}

static bool run(tg__program *p, const tg__hooks *hooks)
{
    begin_run(p);
    for (int i = 0; i < p->count; i++) {
        operation *o = &p->operations[i];
        if (!asks_on(hooks)) {
            stopped_at = i;
            stopped_of = p->count;
            return false;
        }
        double start = tg__seconds();
        o->run(p, o);
        o->calls++;
        o->seconds += hooks && hooks->profile ? tg__seconds() - start : 0;
    }
    return true;
}

static bool describe(const tg__program *p, int index, tg__operator *op)
{
    if (index >= p->count)
        return false;
    const operation *o = &p->operations[index];
    *op = (tg__operator){.kind = tg__kind_name(&o->node),
                         .name = o->node.name,
                         .shape = "",
                         .dtype = TG_DTYPE_F32,
                         .calls = o->calls,
                         .seconds = o->seconds,
                         .macs = (double)o->node.macs};
    return true;
}

/* ------------------------------------------------------------------------------ opening, closing
 */

/* Of all that was given out something may be left only by mistake. */
static void close_toy(tg__backend *backend)
{
    toy *t = toy_of(backend);
    for (int i = 0; i < TG__MAX_GROUPS; i++) {
        if (t->programs[i] != 0)
            die("%d programs of network %d are left", t->programs[i], i);
        free_packed(t, i);
    }
    if (t->live != 0)
        die("%d pieces of memory are left", t->live);
    pthread_mutex_destroy(&t->table);
    pthread_mutex_destroy(&t->packing);
    free(t);
    open_count--;
}

static const tg__backend_class toy_class = {
    .name = "toy",
    .close = close_toy,
    .lower = lower,
    .free_program = free_program,
    .measure = measure,
    .needs = needs,
    .external_bytes = external_bytes,
    .slot_end = slot_end,
    .bind = bind,
    .run = run,
    .describe = describe,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .forget = forget,
    .packed_bytes = packed_bytes,
};

static tg__backend *open_toy(tg_cpu cap, tg_dtype dtype, tg__error *error)
{
    (void)cap;
    if (dtype != TG_DTYPE_F32) {
        tg__fail_about(error, TG_ERROR_UNSUPPORTED, "dtype",
                       "dtype %s: the toy computes in f32 alone", tg_dtype_name(dtype));
        return NULL;
    }
    toy *t = calloc(1, sizeof *t);
    if (!t) {
        tg__fail_memory(error);
        return NULL;
    }
    tg__kernels kernels;
    tg__kernels_init(&kernels, TG_CPU_C);
    t->base.class = &toy_class;
    t->conversions = tg__kernels_conversions(&kernels);
    pthread_mutex_init(&t->table, NULL);
    pthread_mutex_init(&t->packing, NULL);
    opened = t;
    open_count++;
    opened_count++;
    return &t->base;
}

static tg_dtype usual_dtype(tg_cpu cap)
{
    (void)cap;
    return TG_DTYPE_F32;
}

static const tg__backend_opener toy_opener = {open_toy, open_toy, usual_dtype};

#endif
