/* SPDX-License-Identifier: MIT */
#include "cpu/program.h"

#include <stdlib.h>

#include "core/parallel.h"
#include "core/plan.h"

enum { ALIGNMENT = 64 };

typedef struct buffer {
    size_t bytes, offset;
    int first, last; /* tasks; first -1: never written */
    int slot;        /* -1: in the workspace */
    int alias;       /* id of the buffer whose memory it has taken over; 0: its own */
    void *data;      /* where it is; set by binding */
} buffer;

struct tg__program {
    tg__context *context;
    const char *network;
    tg__dtype dtype;
    bool int8;
    tg__observer observer;
    void *observer_context;
    tg__error *error;
    tg__arena arena;
    buffer *buffers; /* [0] is the null tensor */
    int buffer_count, task_count;
    size_t buffer_room, task_room;
    tg__task **tasks;
    size_t workspace_bytes;
};

tg__program *tg__program_new(tg__context *context, const char *network, tg__dtype dtype,
                             tg__error *error)
{
    tg__program *program = calloc(1, sizeof *program);
    if (!program) {
        tg__fail_memory(error);
        return NULL;
    }
    program->context = context;
    program->network = network;
    program->dtype = dtype;
    program->error = error;
    program->buffer_count = 1;
    return program;
}

void tg__program_free(tg__program *program)
{
    if (!program)
        return;
    for (int i = 0; i < program->task_count; i++)
        if (program->tasks[i]->op->release)
            program->tasks[i]->op->release(program->tasks[i]);
    free(program->tasks);
    free(program->buffers);
    tg__arena_free(&program->arena);
    free(program);
}

void tg__program_allow_int8(tg__program *program) { program->int8 = true; }
bool tg__program_int8(const tg__program *program) { return program->int8; }
tg__context *tg__program_context(const tg__program *program) { return program->context; }
tg__dtype tg__program_dtype(const tg__program *program) { return program->dtype; }
const char *tg__program_network(const tg__program *program) { return program->network; }
tg__error *tg__program_error(const tg__program *program) { return program->error; }
tg__arena *tg__program_arena(tg__program *program) { return &program->arena; }
bool tg__program_failed(const tg__program *program) { return tg__failed(program->error); }

static int new_buffer(tg__program *program, size_t bytes, int slot)
{
    if (!tg__grow((void **)&program->buffers, (size_t)program->buffer_count, &program->buffer_room,
                  sizeof *program->buffers)) {
        tg__fail_memory(program->error);
        return 0;
    }
    program->buffers[program->buffer_count] =
        (buffer){.bytes = bytes, .first = -1, .last = -1, .slot = slot};
    return program->buffer_count++;
}

/* A tensor's value without its buffer; zero with an error where the sizes make no sense. */
static tg__tensor shaped(tg__program *program, tg__dtype dtype, int64_t n, int64_t h, int64_t w,
                         int64_t c)
{
    if (tg__program_failed(program) ||
        !tg__tensor_size_fits(program->network, tg__dtype_size(dtype), n, h, w, c, program->error))
        return (tg__tensor){0};
    return (tg__tensor){.n = (int)n, .h = (int)h, .w = (int)w, .c = (int)c, .dtype = dtype};
}

tg__tensor tg__program_tensor(tg__program *program, tg__dtype dtype, int64_t n, int64_t h,
                              int64_t w, int64_t c)
{
    tg__tensor x = shaped(program, dtype, n, h, w, c);
    if (x.n)
        x.id = new_buffer(program, tg__bytes(x), -1);
    return x.id ? x : (tg__tensor){0};
}

tg__tensor tg__program_external(tg__program *program, int slot, tg__dtype dtype, int64_t n,
                                int64_t h, int64_t w, int64_t c)
{
    tg__tensor x = shaped(program, dtype, n, h, w, c);
    if (!x.n)
        return x;
    for (int i = 1; i < program->buffer_count && !x.id; i++)
        if (program->buffers[i].slot == slot)
            x.id = i;
    if (!x.id)
        x.id = new_buffer(program, tg__bytes(x), slot);
    return x.id ? x : (tg__tensor){0};
}

tg__task *tg__program_record(tg__program *program, const tg__op *op, const char *name,
                             size_t state_bytes)
{
    if (tg__program_failed(program))
        return NULL;
    tg__task *task = tg__arena_take(&program->arena, 1, sizeof *task);
    if (task) {
        task->op = op;
        task->name = tg__arena_copy(&program->arena, name);
        task->shape = "";
        task->state = tg__arena_take(&program->arena, 1, state_bytes ? state_bytes : 1);
    }
    if (!task || !task->name || !task->state ||
        !tg__grow((void **)&program->tasks, (size_t)program->task_count, &program->task_room,
                  sizeof *program->tasks)) {
        tg__fail_memory(program->error);
        return NULL;
    }
    program->tasks[program->task_count++] = task;
    return task;
}

static int root_of(const tg__program *program, int id)
{
    while (program->buffers[id].alias)
        id = program->buffers[id].alias;
    return id;
}

static void note_use(tg__program *program, int id, int task)
{
    buffer *b = &program->buffers[root_of(program, id)];
    if (b->first < 0)
        b->first = task;
    if (b->last < task)
        b->last = task;
}

bool tg__program_dies(const tg__program *program, const tg__task *task, tg__tensor x)
{
    const buffer *b = &program->buffers[root_of(program, x.id)];
    return x.id && b->slot < 0 && program->tasks[b->last] == task;
}

bool tg__program_same(const tg__program *program, tg__tensor a, tg__tensor b)
{
    return root_of(program, a.id) == root_of(program, b.id);
}

bool tg__program_is_inner(const tg__program *program, tg__tensor x)
{
    return program->buffers[root_of(program, x.id)].slot < 0;
}

void tg__program_alias(tg__program *program, tg__tensor dst, tg__tensor src)
{
    int id = root_of(program, src.id);
    program->buffers[dst.id].alias = id;
    if (program->buffers[id].last < program->buffers[dst.id].last)
        program->buffers[id].last = program->buffers[dst.id].last;
    if (program->buffers[id].bytes < program->buffers[dst.id].bytes)
        program->buffers[id].bytes = program->buffers[dst.id].bytes;
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
static void pack(tg__program *program)
{
    buffer **order = tg__arena_take(&program->arena, (size_t)program->buffer_count, sizeof *order);
    buffer **placed =
        tg__arena_take(&program->arena, (size_t)program->buffer_count, sizeof *placed);
    if (!order || !placed) {
        tg__fail_memory(program->error);
        return;
    }
    int count = 0;
    for (int i = 1; i < program->buffer_count; i++) {
        buffer *b = &program->buffers[i];
        if (b->slot >= 0)
            continue;
        b->bytes = (b->bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (!b->alias && b->first >= 0)
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
        if (program->workspace_bytes < b->offset + b->bytes)
            program->workspace_bytes = b->offset + b->bytes;
    }
}

/* A source that is named twice (slices of one matrix) counts once. */
static size_t moved_bytes(const tg__task *task)
{
    size_t bytes = tg__bytes(task->dst);
    for (int j = 0; j < TG__TASK_SOURCES; j++) {
        int same = 0;
        while (same < j && task->src[same].id != task->src[j].id)
            same++;
        if (same == j)
            bytes += tg__bytes(task->src[j]);
    }
    return bytes;
}

static void note_uses(tg__program *program)
{
    for (int i = 0; i < program->task_count; i++) {
        tg__task *task = program->tasks[i];
        task->bytes += moved_bytes(task);
        note_use(program, task->dst.id, i);
        for (int j = 0; j < TG__TASK_SOURCES; j++)
            if (task->src[j].id)
                note_use(program, task->src[j].id, i);
    }
}

tg_status tg__program_measure(tg__program *program)
{
    if (!tg__program_failed(program)) {
        note_uses(program);
        pack(program);
    }
    return program->error->status;
}

tg_status tg__program_finish(tg__program *program, const tg__hooks *hooks)
{
    if (tg__program_failed(program))
        return program->error->status;
    note_uses(program);
    for (int i = 0; i < program->task_count && !tg__program_failed(program); i++) {
        tg__task *task = program->tasks[i];
        if (hooks && hooks->go_on && !hooks->go_on(hooks->context))
            tg__fail(program->error, TG_ERROR_CANCELLED, "cancelled");
        else if (task->op->prepare)
            task->op->prepare(program, task);
        if (task->scratch_bytes && !tg__program_failed(program)) {
            task->scratch = new_buffer(program, task->scratch_bytes, -1);
            if (task->scratch)
                note_use(program, task->scratch, i);
        }
    }
    if (!tg__program_failed(program))
        pack(program);
    return program->error->status;
}

size_t tg__program_workspace_bytes(const tg__program *program) { return program->workspace_bytes; }

size_t tg__program_external_bytes(const tg__program *program, int slot)
{
    for (int i = 1; i < program->buffer_count; i++)
        if (program->buffers[i].slot == slot)
            return program->buffers[i].bytes;
    return 0;
}

int tg__program_slot_end(const tg__program *program)
{
    int end = 0;
    for (int i = 1; i < program->buffer_count; i++)
        if (program->buffers[i].slot >= end)
            end = program->buffers[i].slot + 1;
    return end;
}

int64_t tg__program_macs(const tg__program *program)
{
    int64_t macs = 0;
    for (int i = 0; i < program->task_count; i++)
        macs += program->tasks[i]->macs;
    return macs;
}

int64_t tg__program_more_weights(const tg__program *program)
{
    int64_t bytes = 0;
    for (int i = 0; i < program->task_count; i++)
        bytes += program->tasks[i]->more_weights;
    return bytes;
}

void tg__program_bind_workspace(tg__program *program, void *workspace)
{
    for (int i = 1; i < program->buffer_count; i++) {
        buffer *b = &program->buffers[i];
        const buffer *root = &program->buffers[root_of(program, i)];
        if (b->slot < 0)
            b->data = root->slot < 0 ? (char *)workspace + root->offset : root->data;
    }
}

void tg__program_bind(tg__program *program, int slot, void *data)
{
    for (int i = 1; i < program->buffer_count; i++)
        if (program->buffers[i].slot == slot)
            program->buffers[i].data = data;
}

bool tg__program_run(tg__program *program, const tg__hooks *hooks)
{
    static const tg__hooks none;
    const tg__hooks *h = hooks ? hooks : &none;
    tg__work work = {.go_on = h->go_on, .context = h->context};
    tg__work *outer = tg__work_begin(&work);
    for (int i = 0; i < program->task_count && tg__work_goes_on(&work); i++) {
        tg__task *task = program->tasks[i];
        double start = h->profile ? tg__seconds() : 0;
        task->op->run(program, task);
        task->calls++;
        if (h->profile)
            task->seconds += tg__seconds() - start;
        if (program->observer)
            program->observer(program->observer_context, program, task);
    }
    bool done = tg__work_goes_on(&work);
    tg__work_end(outer);
    return done;
}

void tg__program_observe(tg__program *program, tg__observer observer, void *context)
{
    program->observer = observer;
    program->observer_context = context;
}

void *tg__program_data(const tg__program *program, tg__tensor x)
{
    return x.id ? program->buffers[x.id].data : NULL;
}

void *tg__program_scratch(const tg__program *program, const tg__task *task)
{
    return task->scratch ? program->buffers[task->scratch].data : NULL;
}

int tg__program_task_count(const tg__program *program) { return program->task_count; }
const tg__task *tg__program_task(const tg__program *program, int index)
{
    return program->tasks[index];
}
