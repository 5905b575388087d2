/* SPDX-License-Identifier: MIT */
/* The programs of a session and the memory that they work on. */
#include <stdlib.h>

#include "core/process.h"
#include "pipeline/session.h"

/* ------------------------------------------------------------------------------------ programs */

static bool go_on(void *context) { return tg__session_go_on(context); }

static tg__hooks hooks_of(tg_session *s)
{
    return (tg__hooks){.go_on = go_on, .context = s, .profile = s->profile};
}

static void drop(tg_session *s, tg__made **link)
{
    tg__made *entry = *link;
    *link = entry->next;
    s->backend->class->free_program(s->backend, entry->program);
    free(entry);
}

static bool same_kind(const tg__made *entry, int role, const tg__pass *pass)
{
    return entry->role == role && entry->pass.kind == pass->kind;
}

/* The newest call before `before` that used a program of this kind; 0: there is none. */
static unsigned call_before(const tg_session *s, int role, const tg__pass *pass, unsigned before)
{
    unsigned newest = 0;
    for (const tg__made *entry = s->made; entry; entry = entry->next)
        if (same_kind(entry, role, pass) && entry->call < before && entry->call > newest)
            newest = entry->call;
    return newest;
}

static void drop_oldest(tg_session *s, int role, const tg__pass *pass)
{
    unsigned last = call_before(s, role, pass, s->call);
    unsigned oldest = call_before(s, role, pass, last);
    for (tg__made **link = &s->made; *link;) {
        if (same_kind(*link, role, pass) && (*link)->call < oldest)
            drop(s, link);
        else
            link = &(*link)->next;
    }
}

static tg__program *make(tg_session *s, int role, const tg__pass *pass)
{
    const tg__backend_class *backend = s->backend->class;
    tg__lowering how = tg__network_lowering(s->model->networks[role], role, pass);
    tg__hooks hooks = hooks_of(s);
    tg__plan *plan = tg__network_plan(s->model->networks[role], pass, &s->error);
    if (!plan)
        return NULL;
    size_t packed = backend->packed_bytes(s->backend, how.group);
    tg__program *program = backend->lower(s->backend, plan, &how, &hooks, &s->error);
    if (packed != backend->packed_bytes(s->backend, how.group))
        tg__weights_drop(s->model->weights[role]); /* reading a little brings whole ranges in */
    tg__plan_free(plan);
    return program;
}

static bool has_program(const tg_session *s, int role)
{
    const tg__made *entry = s->made;
    while (entry && entry->role != role)
        entry = entry->next;
    return entry != NULL;
}

static void release_memory(tg_session *s, tg__memory *memory, size_t *held)
{
    s->backend->class->release(s->backend, *memory);
    tg__memory_give(*held);
    *memory = 0;
    *held = 0;
}

static void forget(tg_session *s, int role)
{
    s->backend->class->forget(s->backend, role);
    s->backend->class->forget(s->backend, tg__text_group(role));
}

static void free_kept(tg_session *s, tg__kept *kept)
{
    for (int i = 0; i < kept->count; i++)
        release_memory(s, &kept->slots[i], &kept->bytes[i]);
    free(kept->slots);
    free(kept->bytes);
    free(kept->prompts);
    *kept = (tg__kept){0};
}

static void free_workspace(tg_session *s) { release_memory(s, &s->workspace, &s->workspace_bytes); }

/* Gives back what earlier calls left and this one has no use for, so far. The workspace is taken
 * again where a program is bound. */
static void give_back(tg_session *s)
{
    for (tg__made **link = &s->made; *link;) {
        if ((*link)->call != s->call)
            drop(s, link);
        else
            link = &(*link)->next;
    }
    for (int i = 0; i < s->model->class->role_count; i++) {
        if (has_program(s, i))
            continue;
        if (s->kept[i].call != s->call)
            free_kept(s, &s->kept[i]);
        forget(s, i);
    }
    free_workspace(s);
}

/* The same as make; where the process's budget does not hold the packed weights, once more without
 * what earlier calls left. */
static tg__program *make_in_budget(tg_session *s, int role, const tg__pass *pass)
{
    tg__program *program = make(s, role, pass);
    if (program || !tg__over_budget(&s->error))
        return program;
    s->error = (tg__error){0};
    give_back(s);
    program = make(s, role, pass);
    if (!program && tg__over_budget(&s->error) && !has_program(s, role))
        forget(s, role); /* half of a network's weights help nobody */
    return program;
}

tg__program *tg__session_program(tg_session *s, int role, const tg__pass *pass)
{
    for (tg__made *entry = s->made; entry; entry = entry->next)
        if (entry->role == role && tg__pass_same(&entry->pass, pass)) {
            entry->call = s->call;
            return entry->program;
        }
    drop_oldest(s, role, pass);
    tg__made *entry = malloc(sizeof *entry);
    if (!entry) {
        tg__fail_memory(&s->error);
        return NULL;
    }
    tg__program *program = make_in_budget(s, role, pass);
    if (!program) {
        free(entry);
        return NULL;
    }
    *entry = (tg__made){role, *pass, program, s->call, s->made};
    s->made = entry;
    return program;
}

tg_status tg__session_measure(tg_session *s, int role, const tg__pass *pass, tg__needs *needs)
{
    tg__error error = {0};
    tg__lowering how = tg__network_lowering(s->model->networks[role], role, pass);
    tg__plan *plan = tg__network_plan(s->model->networks[role], pass, &error);
    *needs = (tg__needs){0};
    if (plan)
        s->backend->class->measure(s->backend, plan, &how, needs, &error);
    tg__plan_free(plan);
    if (error.status == TG_ERROR_MEMORY)
        tg__fail_memory(&s->error);
    return error.status;
}

void tg__session_drop_programs(tg_session *s, int role)
{
    for (tg__made **link = &s->made; *link;) {
        if ((*link)->role == role)
            drop(s, link);
        else
            link = &(*link)->next;
    }
}

void tg__session_end_text(tg_session *s, int role)
{
    for (tg__made **link = &s->made; *link;) {
        if ((*link)->role == role && (*link)->pass.kind == TG__PASS_TEXT)
            drop(s, link);
        else
            link = &(*link)->next;
    }
    if (s->caches && s->backend->class->save)
        s->backend->class->save(s->backend, tg__text_group(role));
    s->backend->class->forget(s->backend, tg__text_group(role));
}

void tg__session_release(tg_session *s, int role)
{
    tg__session_drop_programs(s, role);
    forget(s, role);
    tg__weights_drop(s->model->weights[role]); /* rows of a table of tokens were read meanwhile */
}

/* -------------------------------------------------------------------------------------- memory */

tg_status tg__fail_size(tg__error *error, const char *what, size_t bytes)
{
    return tg__fail(error, TG_ERROR_MEMORY, "out of memory: %s takes %zu MiB", what, bytes >> 20);
}

/* Other memory of so many bytes instead, counted against the budget; false, and an error, if there
 * is none. */
static bool replace_memory(tg_session *s, tg__memory *memory, size_t *held, size_t bytes,
                           const char *what)
{
    release_memory(s, memory, held);
    if (!tg__memory_take(bytes)) {
        give_back(s);
        if (!tg__memory_take(bytes)) {
            tg__fail_budget(&s->error, what, bytes);
            return false;
        }
    }
    *memory = s->backend->class->allocate(s->backend, bytes);
    if (*memory) {
        *held = bytes;
    } else {
        tg__memory_give(bytes);
        tg__fail_size(&s->error, what, bytes);
    }
    return *memory != 0;
}

tg_status tg__session_bind(tg_session *s, tg__program *program)
{
    const tg__backend_class *backend = s->backend->class;
    size_t bytes = backend->needs(program).workspace_bytes;
    if (bytes > s->workspace_bytes &&
        !replace_memory(s, &s->workspace, &s->workspace_bytes, bytes, "the workspace"))
        return s->error.status;
    backend->bind(program, TG__WORKSPACE, s->workspace);
    return TG_OK;
}

static bool more_slots(tg__kept *kept, int end)
{
    if (end <= kept->count)
        return true;
    tg__memory *slots = realloc(kept->slots, (size_t)end * sizeof *slots);
    kept->slots = slots ? slots : kept->slots;
    size_t *bytes = realloc(kept->bytes, (size_t)end * sizeof *bytes);
    kept->bytes = bytes ? bytes : kept->bytes;
    if (!slots || !bytes)
        return false;
    for (; kept->count < end; kept->count++) {
        slots[kept->count] = 0;
        bytes[kept->count] = 0;
    }
    return true;
}

tg_status tg__session_reserve_kept(tg_session *s, int role, const tg__program *program)
{
    const tg__backend_class *backend = s->backend->class;
    tg__kept *kept = &s->kept[role];
    int end = backend->slot_end(program);
    kept->call = s->call;
    if (!more_slots(kept, end))
        return tg__fail_memory(&s->error);
    for (int i = TG__SLOT_KEPT; i < end; i++) {
        size_t bytes = backend->external_bytes(program, i);
        if (bytes > kept->bytes[i] &&
            !replace_memory(s, &kept->slots[i], &kept->bytes[i], bytes, "what one layer keeps"))
            return s->error.status;
    }
    return TG_OK;
}

void tg__session_bind_kept(tg_session *s, int role, tg__program *program)
{
    const tg__backend_class *backend = s->backend->class;
    int end = backend->slot_end(program);
    for (int i = TG__SLOT_KEPT; i < end; i++)
        backend->bind(program, i, s->kept[role].slots[i]);
}

void tg__session_free_memory(tg_session *s)
{
    for (int i = 0; i < TG__MAX_NETWORKS; i++) {
        tg__session_drop_programs(s, i);
        free_kept(s, &s->kept[i]);
    }
    free_workspace(s);
}

/* ------------------------------------------------------------------------------------- running */

bool tg__session_run(tg_session *s, tg__program *program)
{
    tg__hooks hooks = hooks_of(s);
    bool done = s->backend->class->run(program, &hooks);
    if (!done)
        tg__fail(&s->error, TG_ERROR_CANCELLED, "cancelled");
    return done;
}

tg_status tg__session_run_pass(tg_session *s, int role, const tg__pass *pass,
                               const tg__array_port *ports, int count)
{
    const tg__backend_class *backend = s->backend->class;
    const tg__network *network = s->model->networks[role];
    tg__memory memory[TG__SLOT_KEPT] = {0};
    tg__program *program = tg__session_program(s, role, pass);
    if (!program || tg__session_bind(s, program) != TG_OK)
        return s->error.status;
    for (int i = 0; i < count && !tg__failed(&s->error); i++) {
        memory[i] = backend->allocate(s->backend, ports[i].bytes);
        if (!memory[i])
            tg__fail_size(&s->error, ports[i].name, ports[i].bytes);
        else if (ports[i].in)
            backend->upload(s->backend, memory[i], ports[i].in, ports[i].bytes);
        backend->bind(program, tg__network_slot(network, ports[i].name), memory[i]);
    }
    bool done = !tg__failed(&s->error) && tg__session_run(s, program);
    for (int i = 0; i < count; i++) {
        if (done && ports[i].out)
            backend->download(s->backend, ports[i].out, memory[i], ports[i].bytes);
        backend->release(s->backend, memory[i]);
    }
    return s->error.status;
}
