/* SPDX-License-Identifier: MIT */
#include "core/plan.h"

#include <stdlib.h>

#include "core/parallel.h"

enum { ALIGNMENT = 64 };

typedef struct buffer {
    size_t bytes, offset;
    int first, last; /* nodes; first -1: never written */
    int slot;        /* -1: in the workspace */
    int alias;       /* id of the buffer whose memory it has taken over; 0: its own */
    void *data;      /* where it is; set by binding */
} buffer;

struct tg__plan {
    struct tg__context *context;
    const char *network;
    tg__dtype dtype;
    bool int8;
    tg__observer observer;
    void *observer_context;
    tg__error *error;
    tg__arena arena;
    buffer *buffers; /* [0] is the null tensor */
    int buffer_count, buffer_room;
    tg__node **nodes;
    int node_count, node_room;
    size_t workspace_bytes;
};

tg__plan *tg__plan_new(struct tg__context *context, const char *network, tg__dtype dtype,
                       tg__error *error)
{
    tg__plan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        tg__fail_memory(error);
        return NULL;
    }
    plan->context = context;
    plan->network = network;
    plan->dtype = dtype;
    plan->error = error;
    plan->buffer_count = 1;
    return plan;
}

void tg__plan_free(tg__plan *plan)
{
    if (!plan)
        return;
    for (int i = 0; i < plan->node_count; i++)
        if (plan->nodes[i]->op->release)
            plan->nodes[i]->op->release(plan->nodes[i]);
    free(plan->nodes);
    free(plan->buffers);
    tg__arena_free(&plan->arena);
    free(plan);
}

void tg__plan_allow_int8(tg__plan *plan) { plan->int8 = true; }
bool tg__plan_int8(const tg__plan *plan) { return plan->int8; }
struct tg__context *tg__plan_context(const tg__plan *plan) { return plan->context; }
tg__dtype tg__plan_dtype(const tg__plan *plan) { return plan->dtype; }
const char *tg__plan_network(const tg__plan *plan) { return plan->network; }
tg__error *tg__plan_error(const tg__plan *plan) { return plan->error; }
tg__arena *tg__plan_arena(tg__plan *plan) { return &plan->arena; }
bool tg__plan_failed(const tg__plan *plan) { return tg__failed(plan->error); }

/* Makes room for one more element; the array's memory may move. */
static bool grow(void **array, int count, int *room, size_t size)
{
    if (count < *room)
        return true;
    int more = *room ? *room * 2 : 64;
    void *larger = realloc(*array, (size_t)more * size);
    if (!larger)
        return false;
    *array = larger;
    *room = more;
    return true;
}

static int new_buffer(tg__plan *plan, size_t bytes, int slot)
{
    if (!grow((void **)&plan->buffers, plan->buffer_count, &plan->buffer_room,
              sizeof *plan->buffers)) {
        tg__fail_memory(plan->error);
        return 0;
    }
    plan->buffers[plan->buffer_count] =
        (buffer){.bytes = bytes, .first = -1, .last = -1, .slot = slot};
    return plan->buffer_count++;
}

/* A tensor's value without its buffer; zero with an error where the sizes make no sense. */
static tg__tensor shaped(tg__plan *plan, tg__dtype dtype, int64_t n, int64_t h, int64_t w,
                         int64_t c)
{
    int64_t bytes = (int64_t)tg__dtype_size(dtype);
    if (tg__plan_failed(plan))
        return (tg__tensor){0};
    if (n < 1 || h < 1 || w < 1 || c < 1 || n > INT32_MAX || h > INT32_MAX || w > INT32_MAX ||
        c > INT32_MAX || __builtin_mul_overflow(bytes, n, &bytes) ||
        __builtin_mul_overflow(bytes, h, &bytes) || __builtin_mul_overflow(bytes, w, &bytes) ||
        __builtin_mul_overflow(bytes, c, &bytes) || bytes > INT64_C(1) << 46 || h * w > INT32_MAX) {
        tg__fail(plan->error, TG_ERROR_ARGUMENT,
                 "%s: a feature map of %lld x %lld x %lld x %lld is too large or empty",
                 plan->network, (long long)n, (long long)h, (long long)w, (long long)c);
        return (tg__tensor){0};
    }
    return (tg__tensor){.n = (int)n, .h = (int)h, .w = (int)w, .c = (int)c, .dtype = dtype};
}

tg__tensor tg__plan_tensor(tg__plan *plan, tg__dtype dtype, int64_t n, int64_t h, int64_t w,
                           int64_t c)
{
    tg__tensor x = shaped(plan, dtype, n, h, w, c);
    if (x.n)
        x.id = new_buffer(plan, tg__bytes(x), -1);
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
        x.id = new_buffer(plan, tg__bytes(x), slot);
    return x.id ? x : (tg__tensor){0};
}

tg__node *tg__plan_record(tg__plan *plan, const tg__op *op, const char *name, size_t state_bytes)
{
    if (tg__plan_failed(plan))
        return NULL;
    tg__node *node = tg__arena_take(&plan->arena, 1, sizeof *node);
    if (node) {
        node->op = op;
        node->name = tg__arena_copy(&plan->arena, name);
        node->shape = "";
        node->state = tg__arena_take(&plan->arena, 1, state_bytes ? state_bytes : 1);
    }
    if (!node || !node->name || !node->state ||
        !grow((void **)&plan->nodes, plan->node_count, &plan->node_room, sizeof *plan->nodes)) {
        tg__fail_memory(plan->error);
        return NULL;
    }
    plan->nodes[plan->node_count++] = node;
    return node;
}

static int root_of(const tg__plan *plan, int id)
{
    while (plan->buffers[id].alias)
        id = plan->buffers[id].alias;
    return id;
}

static void note_use(tg__plan *plan, int id, int node)
{
    buffer *b = &plan->buffers[root_of(plan, id)];
    if (b->first < 0)
        b->first = node;
    if (b->last < node)
        b->last = node;
}

bool tg__plan_dies(const tg__plan *plan, const tg__node *node, tg__tensor x)
{
    const buffer *b = &plan->buffers[root_of(plan, x.id)];
    return x.id && b->slot < 0 && plan->nodes[b->last] == node;
}

bool tg__plan_same(const tg__plan *plan, tg__tensor a, tg__tensor b)
{
    return root_of(plan, a.id) == root_of(plan, b.id);
}

bool tg__plan_is_inner(const tg__plan *plan, tg__tensor x)
{
    return plan->buffers[root_of(plan, x.id)].slot < 0;
}

void tg__plan_alias(tg__plan *plan, tg__tensor dst, tg__tensor src)
{
    int id = root_of(plan, src.id);
    plan->buffers[dst.id].alias = id;
    if (plan->buffers[id].last < plan->buffers[dst.id].last)
        plan->buffers[id].last = plan->buffers[dst.id].last;
    if (plan->buffers[id].bytes < plan->buffers[dst.id].bytes)
        plan->buffers[id].bytes = plan->buffers[dst.id].bytes;
}

static bool overlap_in_time(const buffer *a, const buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

static int by_falling_size(const void *a, const void *b)
{
    const buffer *x = *(buffer *const *)a, *y = *(buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->first - y->first;
}

/* The lowest offset at which b fits beside the placed buffers (sorted by offset) that live when it
 * does. */
static size_t place(const buffer *b, buffer *const *placed, int count)
{
    size_t offset = 0;
    for (int i = 0; i < count; i++) {
        const buffer *other = placed[i];
        if (!overlap_in_time(b, other))
            continue;
        if (offset + b->bytes <= other->offset)
            break;
        if (offset < other->offset + other->bytes)
            offset = other->offset + other->bytes;
    }
    return offset;
}

/* Largest first, each as low as it goes. */
static void pack(tg__plan *plan)
{
    buffer **order = tg__arena_take(&plan->arena, (size_t)plan->buffer_count, sizeof *order);
    buffer **placed = tg__arena_take(&plan->arena, (size_t)plan->buffer_count, sizeof *placed);
    if (!order || !placed) {
        tg__fail_memory(plan->error);
        return;
    }
    int count = 0;
    for (int i = 1; i < plan->buffer_count; i++) {
        buffer *b = &plan->buffers[i];
        b->bytes = (b->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (b->slot < 0 && !b->alias && b->first >= 0)
            order[count++] = b;
    }
    qsort(order, (size_t)count, sizeof *order, by_falling_size);
    for (int i = 0; i < count; i++) {
        buffer *b = order[i];
        b->offset = place(b, placed, i);
        int at = i;
        for (; at > 0 && placed[at - 1]->offset > b->offset; at--)
            placed[at] = placed[at - 1];
        placed[at] = b;
        if (plan->workspace_bytes < b->offset + b->bytes)
            plan->workspace_bytes = b->offset + b->bytes;
    }
}

/* A source that is named twice (slices of one matrix) counts once. */
static size_t moved_bytes(const tg__node *node)
{
    size_t bytes = tg__bytes(node->dst);
    for (int j = 0; j < TG__NODE_SOURCES; j++) {
        int same = 0;
        while (same < j && node->src[same].id != node->src[j].id)
            same++;
        if (same == j)
            bytes += tg__bytes(node->src[j]);
    }
    return bytes;
}

static void note_uses(tg__plan *plan)
{
    for (int i = 0; i < plan->node_count; i++) {
        tg__node *node = plan->nodes[i];
        node->bytes += moved_bytes(node);
        note_use(plan, node->dst.id, i);
        for (int j = 0; j < TG__NODE_SOURCES; j++)
            if (node->src[j].id)
                note_use(plan, node->src[j].id, i);
    }
}

tg_status tg__plan_measure(tg__plan *plan)
{
    if (!tg__plan_failed(plan)) {
        note_uses(plan);
        pack(plan);
    }
    return plan->error->status;
}

tg_status tg__plan_finish(tg__plan *plan)
{
    if (tg__plan_failed(plan))
        return plan->error->status;
    note_uses(plan);
    for (int i = 0; i < plan->node_count && !tg__plan_failed(plan); i++) {
        tg__node *node = plan->nodes[i];
        if (node->op->prepare)
            node->op->prepare(plan, node);
        if (node->scratch_bytes && !tg__plan_failed(plan)) {
            node->scratch = new_buffer(plan, node->scratch_bytes, -1);
            if (node->scratch)
                note_use(plan, node->scratch, i);
        }
    }
    if (!tg__plan_failed(plan))
        pack(plan);
    return plan->error->status;
}

size_t tg__plan_workspace_bytes(const tg__plan *plan) { return plan->workspace_bytes; }

size_t tg__plan_external_bytes(const tg__plan *plan, int slot)
{
    for (int i = 1; i < plan->buffer_count; i++)
        if (plan->buffers[i].slot == slot)
            return plan->buffers[i].bytes;
    return 0;
}

int tg__plan_slot_end(const tg__plan *plan)
{
    int end = 0;
    for (int i = 1; i < plan->buffer_count; i++)
        if (plan->buffers[i].slot >= end)
            end = plan->buffers[i].slot + 1;
    return end;
}

int64_t tg__plan_macs(const tg__plan *plan)
{
    int64_t macs = 0;
    for (int i = 0; i < plan->node_count; i++)
        macs += plan->nodes[i]->macs;
    return macs;
}

int64_t tg__plan_more_weights(const tg__plan *plan)
{
    int64_t bytes = 0;
    for (int i = 0; i < plan->node_count; i++)
        bytes += plan->nodes[i]->more_weights;
    return bytes;
}

void tg__plan_bind_workspace(tg__plan *plan, void *workspace)
{
    for (int i = 1; i < plan->buffer_count; i++) {
        buffer *b = &plan->buffers[i];
        const buffer *root = &plan->buffers[root_of(plan, i)];
        if (b->slot < 0)
            b->data = root->slot < 0 ? (char *)workspace + root->offset : root->data;
    }
}

void tg__plan_bind(tg__plan *plan, int slot, void *data)
{
    for (int i = 1; i < plan->buffer_count; i++)
        if (plan->buffers[i].slot == slot)
            plan->buffers[i].data = data;
}

void tg__plan_run(tg__plan *plan, bool profile)
{
    for (int i = 0; i < plan->node_count; i++) {
        tg__node *node = plan->nodes[i];
        double start = profile ? tg__seconds() : 0;
        node->op->run(plan, node);
        node->calls++;
        if (profile)
            node->seconds += tg__seconds() - start;
        if (plan->observer)
            plan->observer(plan->observer_context, plan, node);
    }
}

void tg__plan_observe(tg__plan *plan, tg__observer observer, void *context)
{
    plan->observer = observer;
    plan->observer_context = context;
}

void *tg__plan_data(const tg__plan *plan, tg__tensor x)
{
    return x.id ? plan->buffers[x.id].data : NULL;
}

void *tg__plan_scratch(const tg__plan *plan, const tg__node *node)
{
    return node->scratch ? plan->buffers[node->scratch].data : NULL;
}

int tg__plan_node_count(const tg__plan *plan) { return plan->node_count; }
const tg__node *tg__plan_node(const tg__plan *plan, int index) { return plan->nodes[index]; }
