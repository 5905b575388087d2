/* SPDX-License-Identifier: MIT */
#include "cpu/backend.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cpu/lower.h"
#include "io/cache.h"
#include "kernels/peak.h"

typedef struct cpu {
    tg__backend base;
    tg__kernels kernels;
    tg_dtype dtype;        /* of the session's wish: f32, bf16 or int8 */
    tg__dtype activations; /* f32 or bf16 */
    tg__dnnl *dnnl;        /* NULL: plain C */
    pthread_mutex_t lock;  /* of all that follows, and of what packing goes through */
    tg__context contexts[TG__MAX_GROUPS];
    tg__cache *caches[TG__MAX_GROUPS]; /* NULL: none */
    bool caches_fail;                  /* writing one failed: no more attempts */
} cpu;

static cpu *cpu_of(const tg__backend *backend) { return (cpu *)(uintptr_t)backend; }

/* ------------------------------------------------------------------------------------ programs */

/* The more positions share a weight, the more time Winograd's larger form of it saves; in f32 that
 * form takes twice the memory, and a network that runs once a picture must gain what packing costs.
 * In Stable Diffusion 1.5 at 512x512 these are the UNet's levels of 64x64 and, but for f32, 32x32,
 * and the VAE's levels all. Beside int8's products f32's are no faster, and their form takes 16
 * times the memory. */
static int winograd_positions(const cpu *c, tg__use use, bool int8)
{
    switch (use) {
    case TG__USE_A_STEP:
        if (int8 && c->activations == TG__F32)
            return 0;
        return c->dtype != TG_DTYPE_F32 ? 3 << 8 : 1 << 11;
    case TG__USE_A_PICTURE:
        return 3 << 10;
    default:
        return 0;
    }
}

static tg__program *record(cpu *c, tg__context *context, const tg__plan *plan,
                           const tg__lowering *how, tg__error *error)
{
    bool int8 = how->rough && c->dtype == TG_DTYPE_INT8;
    context->winograd_positions = winograd_positions(c, how->use, int8);
    return tg__cpu_lower(context, plan, c->activations, int8, error);
}

/* Takes the lock, and asks the hooks while another session has it; false if they say stop. */
static bool lock_unless_stopped(cpu *c, const tg__hooks *hooks)
{
    const long interval = 20000000, second = 1000000000; /* nanoseconds */
    struct timespec until;
    for (;;) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += interval;
        until.tv_sec += until.tv_nsec / second;
        until.tv_nsec %= second;
        if (pthread_mutex_timedlock(&c->lock, &until) == 0)
            return true;
        if (hooks && hooks->go_on && !hooks->go_on(hooks->context))
            return false;
    }
}

typedef struct asking {
    cpu *cpu;
    const tg__hooks *hooks;
} asking;

/* The hooks are asked without the lock: they wait for turns, which calls may have that want the
 * lock, and make calls of their own. Between two operators no pack is half made. */
static bool ask_unlocked(void *context)
{
    const asking *a = context;
    pthread_mutex_unlock(&a->cpu->lock);
    bool go_on = a->hooks->go_on(a->hooks->context);
    if (go_on && lock_unless_stopped(a->cpu, a->hooks))
        return true;
    pthread_mutex_lock(&a->cpu->lock);
    return false;
}

/* Under the lock. The program counts from the beginning, so that its packs stay while the lock is
 * given back. */
static tg__program *finish(cpu *c, tg__context *context, tg__program *program,
                           const tg__hooks *hooks)
{
    asking ask = {c, hooks};
    tg__hooks unlocked = {.go_on = hooks && hooks->go_on ? ask_unlocked : NULL, .context = &ask};
    context->programs++;
    tg_status status = tg__program_finish(program, &unlocked);
    tg__dnnl_trim(c->dnnl);
    if (status == TG_OK)
        return program;
    context->programs--;
    tg__program_free(program);
    return NULL;
}

static tg__program *lower(tg__backend *backend, const tg__plan *plan, const tg__lowering *how,
                          const tg__hooks *hooks, tg__error *error)
{
    cpu *c = cpu_of(backend);
    tg__context *context = &c->contexts[how->group];
    if (!lock_unless_stopped(c, hooks)) {
        tg__fail(error, TG_ERROR_CANCELLED, "cancelled");
        return NULL;
    }
    tg__program *program = record(c, context, plan, how, error);
    if (program)
        program = finish(c, context, program, hooks);
    pthread_mutex_unlock(&c->lock);
    return program;
}

static void free_program(tg__backend *backend, tg__program *program)
{
    cpu *c = cpu_of(backend);
    if (!program)
        return;
    pthread_mutex_lock(&c->lock);
    tg__program_context(program)->programs--;
    pthread_mutex_unlock(&c->lock);
    tg__program_free(program);
}

static tg__needs needs(const tg__program *program)
{
    return (tg__needs){tg__program_workspace_bytes(program), tg__program_more_weights(program),
                       tg__program_macs(program)};
}

static tg_status measure(tg__backend *backend, const tg__plan *plan, const tg__lowering *how,
                         tg__needs *result, tg__error *error)
{
    cpu *c = cpu_of(backend);
    tg__context context = {.kernels = &c->kernels, .dnnl = c->dnnl};
    tg__program *program = record(c, &context, plan, how, error);
    *result = (tg__needs){0};
    if (program && tg__program_measure(program) == TG_OK)
        *result = needs(program);
    tg__program_free(program);
    return error->status;
}

static void bind(tg__program *program, int slot, tg__memory memory)
{
    if (slot == TG__WORKSPACE)
        tg__program_bind_workspace(program, (void *)memory);
    else
        tg__program_bind(program, slot, (void *)memory);
}

static tg_dtype factors_of(const tg__task *task)
{
    if (task->src[0].dtype == TG__U8)
        return TG_DTYPE_INT8;
    return task->src[0].dtype == TG__BF16 ? TG_DTYPE_BF16 : TG_DTYPE_F32;
}

static bool describe(const tg__program *program, int index, tg__operator *op)
{
    if (index >= tg__program_task_count(program))
        return false;
    const tg__task *task = tg__program_task(program, index);
    *op = (tg__operator){.kind = task->op->kind,
                         .name = task->name,
                         .shape = task->shape,
                         .dtype = factors_of(task),
                         .calls = task->calls,
                         .seconds = task->seconds,
                         .macs = (double)task->macs,
                         .bytes = (double)task->bytes};
    return true;
}

/* -------------------------------------------------------------------------------------- memory */

static tg__memory allocate(tg__backend *backend, size_t bytes)
{
    (void)backend;
    return (tg__memory)tg__aligned(bytes);
}

static void release(tg__backend *backend, tg__memory memory)
{
    (void)backend;
    free((void *)memory);
}

static void upload(tg__backend *backend, tg__memory dst, const void *src, size_t bytes)
{
    (void)backend;
    memcpy((void *)dst, src, bytes);
}

static void download(tg__backend *backend, void *dst, tg__memory src, size_t bytes)
{
    (void)backend;
    memcpy(dst, (const void *)src, bytes);
}

/* ------------------------------------------------------------------------------ packed weights */

static void forget(tg__backend *backend, int group)
{
    cpu *c = cpu_of(backend);
    pthread_mutex_lock(&c->lock);
    if (c->contexts[group].programs == 0)
        tg__packs_free(&c->contexts[group].packs);
    pthread_mutex_unlock(&c->lock);
}

static size_t packed_bytes(const tg__backend *backend, int group)
{
    return cpu_of(backend)->contexts[group].packs.bytes;
}

static tg_status keep(tg__backend *backend, int group, const tg__keep *k, tg__error *error)
{
    cpu *c = cpu_of(backend);
    char name[96], maker[128] = "plain C";
    if (c->caches[group])
        return TG_OK;
    if (c->dnnl)
        tg__dnnl_describe(maker, sizeof maker);
    snprintf(name, sizeof name, "%s-%s-%s", k->name, tg_dtype_name(c->dtype),
             tg_cpu_name(c->kernels.level));
    tg__cache_spec spec = {.folder = k->folder,
                           .name = name,
                           .maker = maker,
                           .files = k->files,
                           .file_count = k->file_count,
                           .log = k->log};
    pthread_mutex_lock(&c->lock);
    c->caches[group] = tg__cache_new(&spec, error);
    if (c->caches[group])
        c->contexts[group].packs.store = tg__cache_store(c->caches[group]);
    pthread_mutex_unlock(&c->lock);
    return error->status;
}

static void save(tg__backend *backend, int group)
{
    cpu *c = cpu_of(backend);
    pthread_mutex_lock(&c->lock);
    if (!c->caches_fail)
        c->caches_fail = !tg__cache_save(c->caches[group], &c->contexts[group].packs);
    pthread_mutex_unlock(&c->lock);
}

/* ---------------------------------------------------------------------------------------- peak */

static tg_peak peak(const tg__backend *backend, int threads)
{
    const double seconds = 0.1;
    const tg__kernels *k = tg__cpu_kernels(backend);
    return (tg_peak){
        .f32_gmac_per_s = tg__peak_gmac_all(k->peak_f32, seconds),
        .bf16_gmac_per_s = tg__peak_gmac_all(k->peak_bf16, seconds),
        .int8_gmac_per_s = tg__peak_gmac_all(k->peak_int8, seconds),
        .gbytes_per_s = tg__peak_gb(k, tg__beyond_caches(threads), seconds),
    };
}

/* ------------------------------------------------------------------------------ opening, closing
 */

static void close_cpu(tg__backend *backend)
{
    cpu *c = cpu_of(backend);
    for (int i = 0; i < TG__MAX_GROUPS; i++) {
        tg__packs_free(&c->contexts[i].packs);
        tg__cache_free(c->caches[i]);
    }
    tg__dnnl_free(c->dnnl);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static const tg__backend_class cpu_class = {
    .name = "cpu",
    .close = close_cpu,
    .lower = lower,
    .free_program = free_program,
    .measure = measure,
    .needs = needs,
    .external_bytes = tg__program_external_bytes,
    .slot_end = tg__program_slot_end,
    .bind = bind,
    .run = tg__program_run,
    .describe = describe,
    .allocate = allocate,
    .release = release,
    .upload = upload,
    .download = download,
    .forget = forget,
    .packed_bytes = packed_bytes,
    .keep = keep,
    .save = save,
    .peak = peak,
};

static tg_dtype usual_of(const tg__kernels *k)
{
    return k->bf16_fast && k->level >= TG_CPU_AVX512 ? TG_DTYPE_BF16 : TG_DTYPE_F32;
}

static tg_dtype usual_dtype(tg_cpu cap)
{
    tg__kernels kernels;
    tg__kernels_init(&kernels, cap);
    return usual_of(&kernels);
}

static void check_dtype(tg_dtype dtype, const tg__kernels *k, tg__error *error)
{
    if (dtype == TG_DTYPE_BF16 && k->level < TG_CPU_AVX512)
        tg__fail_about(
            error, TG_ERROR_UNSUPPORTED, "dtype",
            "dtype bf16: oneDNN computes in bf16 only with AVX-512, which this CPU lacks or "
            "the cap on instructions excludes; expected f32");
    if (dtype == TG_DTYPE_INT8 && k->level != TG_CPU_C && !k->int8_fast)
        tg__fail_about(
            error, TG_ERROR_UNSUPPORTED, "dtype",
            "dtype int8: its products need AVX512-VNNI, which this CPU lacks or the cap on "
            "instructions excludes; expected f32%s",
            k->level < TG_CPU_AVX512 ? "" : " or bf16");
}

static cpu *open_cpu(tg_cpu cap, tg_dtype dtype, tg__error *error)
{
    cpu *c = calloc(1, sizeof *c);
    if (!c) {
        tg__fail_memory(error);
        return NULL;
    }
    c->base.class = &cpu_class;
    pthread_mutex_init(&c->lock, NULL);
    tg__kernels_init(&c->kernels, cap);
    c->dtype = dtype == TG_DTYPE_AUTO ? usual_of(&c->kernels) : dtype;
    tg_dtype activations = c->dtype == TG_DTYPE_INT8 ? usual_of(&c->kernels) : c->dtype;
    c->activations = activations == TG_DTYPE_BF16 ? TG__BF16 : TG__F32;
    for (int i = 0; i < TG__MAX_GROUPS; i++)
        c->contexts[i].kernels = &c->kernels;
    return c;
}

static tg__backend *open_to_measure(tg_cpu cap, tg_dtype dtype, tg__error *error)
{
    cpu *c = open_cpu(cap, dtype, error);
    if (!c)
        return NULL;
    if (dtype == TG_DTYPE_INT8) /* as on all CPUs that have such a session */
        c->activations = TG__BF16;
    return &c->base;
}

static tg__backend *open_to_run(tg_cpu cap, tg_dtype dtype, tg__error *error)
{
    cpu *c = open_cpu(cap, dtype, error);
    if (!c)
        return NULL;
    check_dtype(c->dtype, &c->kernels, error);
    if (!tg__failed(error) && c->kernels.level != TG_CPU_C)
        c->dnnl = tg__dnnl_new(&c->kernels, cap, error);
    for (int i = 0; i < TG__MAX_GROUPS; i++)
        c->contexts[i].dnnl = c->dnnl;
    if (!tg__failed(error))
        return &c->base;
    close_cpu(&c->base);
    return NULL;
}

const tg__backend_opener tg__cpu_opener = {open_to_run, open_to_measure, usual_dtype};

const tg__kernels *tg__cpu_kernels(const tg__backend *backend) { return &cpu_of(backend)->kernels; }

tg__context *tg__cpu_context(tg__backend *backend, int group)
{
    return &cpu_of(backend)->contexts[group];
}
