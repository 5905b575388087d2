/* SPDX-License-Identifier: MIT */
#include "core/plan.h"

#include <stdlib.h>

typedef struct buffer {
    int slot; /* -1: not external */
} buffer;

struct tg__plan {
    const char *network;
    tg__error *error;
    tg__arena arena;
    buffer *buffers; /* [0] is the null tensor */
    int buffer_count, node_count;
    size_t buffer_room, node_room;
    tg__node **nodes;
};

tg__plan *tg__plan_new(const char *network, tg__error *error)
{
    tg__plan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        tg__fail_memory(error);
        return NULL;
    }
    plan->network = network;
    plan->error = error;
    plan->buffer_count = 1;
    return plan;
}

void tg__plan_free(tg__plan *plan)
{
    if (!plan)
        return;
    free(plan->nodes);
    free(plan->buffers);
    tg__arena_free(&plan->arena);
    free(plan);
}

const char *tg__plan_network(const tg__plan *plan) { return plan->network; }
tg__error *tg__plan_error(const tg__plan *plan) { return plan->error; }
tg__arena *tg__plan_arena(tg__plan *plan) { return &plan->arena; }
bool tg__plan_failed(const tg__plan *plan) { return tg__failed(plan->error); }

/* --------------------------------------------------------------------------------- buffers */

bool tg__tensor_size_fits(const char *network, size_t element, int64_t n, int64_t h, int64_t w,
                          int64_t c, tg__error *error)
{
    int64_t bytes = (int64_t)element;
    if (n >= 1 && h >= 1 && w >= 1 && c >= 1 && n <= INT32_MAX && h <= INT32_MAX &&
        w <= INT32_MAX && c <= INT32_MAX && !__builtin_mul_overflow(bytes, n, &bytes) &&
        !__builtin_mul_overflow(bytes, h, &bytes) && !__builtin_mul_overflow(bytes, w, &bytes) &&
        !__builtin_mul_overflow(bytes, c, &bytes) && bytes <= INT64_C(1) << 46 &&
        h * w <= INT32_MAX)
        return true;
    tg__fail(error, TG_ERROR_ARGUMENT,
             "%s: a feature map of %lld x %lld x %lld x %lld is too large or empty", network,
             (long long)n, (long long)h, (long long)w, (long long)c);
    return false;
}

static int new_buffer(tg__plan *plan, int slot)
{
    if (!tg__grow((void **)&plan->buffers, (size_t)plan->buffer_count, &plan->buffer_room,
                  sizeof *plan->buffers)) {
        tg__fail_memory(plan->error);
        return 0;
    }
    plan->buffers[plan->buffer_count] = (buffer){.slot = slot};
    return plan->buffer_count++;
}

/* A tensor's value without its buffer; zero with an error where the sizes make no sense. */
static tg__tensor shaped(tg__plan *plan, tg__dtype dtype, int64_t n, int64_t h, int64_t w,
                         int64_t c)
{
    if (tg__plan_failed(plan) ||
        !tg__tensor_size_fits(plan->network, tg__dtype_size(TG__F32), n, h, w, c, plan->error))
        return (tg__tensor){0};
    return (tg__tensor){.n = (int)n, .h = (int)h, .w = (int)w, .c = (int)c, .dtype = dtype};
}

tg__tensor tg__plan_tensor(tg__plan *plan, tg__dtype dtype, int64_t n, int64_t h, int64_t w,
                           int64_t c)
{
    tg__tensor x = shaped(plan, dtype, n, h, w, c);
    if (x.n)
        x.id = new_buffer(plan, -1);
    return x.id ? x : (tg__tensor){0};
}

tg__tensor tg__plan_external(tg__plan *plan, int slot, tg__dtype dtype, int64_t n, int64_t h,
                             int64_t w, int64_t c)
{
    tg__tensor x = shaped(plan, dtype, n, h, w, c);
    if (!x.n)
        return x;
    for (int i = 1; i < plan->buffer_count && !x.id; i++)
        if (plan->buffers[i].slot == slot)
            x.id = i;
    if (!x.id)
        x.id = new_buffer(plan, slot);
    return x.id ? x : (tg__tensor){0};
}

int tg__plan_slot(const tg__plan *plan, tg__tensor x)
{
    return x.id ? plan->buffers[x.id].slot : -1;
}

int tg__plan_tensor_end(const tg__plan *plan) { return plan->buffer_count; }

int tg__plan_uses(const tg__plan *plan, tg__tensor x)
{
    int uses = 0;
    for (int i = 0; i < plan->node_count; i++) {
        bool reads = false;
        for (int j = 0; j < TG__NODE_SOURCES; j++)
            reads |= plan->nodes[i]->src[j].id == x.id;
        uses += reads;
    }
    return uses;
}

/* ----------------------------------------------------------------------------------- nodes */

tg__node *tg__plan_record(tg__plan *plan, int kind, const char *name, const void *parameters,
                          size_t parameter_bytes)
{
    if (tg__plan_failed(plan))
        return NULL;
    tg__node *node = tg__arena_take(&plan->arena, 1, sizeof *node);
    void *copy = tg__arena_take(&plan->arena, 1, parameter_bytes ? parameter_bytes : 1);
    if (node) {
        node->kind = kind;
        node->name = tg__arena_copy(&plan->arena, name);
        node->parameters = copy;
    }
    if (!node || !copy || !node->name ||
        !tg__grow((void **)&plan->nodes, (size_t)plan->node_count, &plan->node_room,
                  sizeof *plan->nodes)) {
        tg__fail_memory(plan->error);
        return NULL;
    }
    if (parameter_bytes)
        memcpy(copy, parameters, parameter_bytes);
    plan->nodes[plan->node_count++] = node;
    return node;
}

int tg__plan_node_count(const tg__plan *plan) { return plan->node_count; }
const tg__node *tg__plan_node(const tg__plan *plan, int index) { return plan->nodes[index]; }

int64_t tg__plan_macs(const tg__plan *plan)
{
    int64_t macs = 0;
    for (int i = 0; i < plan->node_count; i++)
        macs += plan->nodes[i]->macs;
    return macs;
}
