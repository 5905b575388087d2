/* SPDX-License-Identifier: MIT */
/* What int8 costs each layer: int8_error MODEL [--prompt TEXT] [--steps N] [--step K]
 *
 * Runs the denoising loop of N steps, without a gate, in the session's usual format up to
 * evaluation K (from 0; half of N by default), keeps what every convolution and linear layer of the
 * UNet makes there, and evaluates the UNet in int8 twice with the same input: once with every
 * layer's result replaced by the kept one, so that each layer alone is off, once as it is. Prints a
 * line for each layer, in the order in which they run: its key, its kind, its share of all
 * multiplications, how far its result (with its gate and what is added to it) is off, as the root
 * of the mean square divided by that of the kept result, alone and accumulated, and its shape with
 * what computed it. Last the error of the network's output, as PSNR over its range. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/lower.h"
#include "models/unet.h"
#include "pipeline/session.h"

static void die(const char *message)
{
    fprintf(stderr, "int8_error: %s\n", message);
    exit(1);
}

static void *memory(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (!p)
        die("out of memory");
    return p;
}

/* --------------------------------------------------------------------------------------- options
 */

typedef struct options {
    const char *model, *prompt;
    int steps, step; /* step -1: half of them */
} options;

static int number_of(const char *text, int least)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (*end || end == text || n < least || n > 1000)
        die("--steps and --step: expected a number up to 1000");
    return (int)n;
}

static options read_options(int argc, char **argv)
{
    options o = {.prompt = "a fox", .steps = 20, .step = -1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strncmp(argv[i], "--", 2) != 0 && !o.model) {
            o.model = argv[i];
            continue;
        }
        if (value && strcmp(argv[i], "--prompt") == 0)
            o.prompt = value;
        else if (value && strcmp(argv[i], "--steps") == 0)
            o.steps = number_of(value, 1);
        else if (value && strcmp(argv[i], "--step") == 0)
            o.step = number_of(value, 0);
        else
            die("usage: int8_error MODEL [--prompt TEXT] [--steps N] [--step K]");
        i++;
    }
    if (!o.model)
        die("usage: int8_error MODEL [--prompt TEXT] [--steps N] [--step K]");
    return o;
}

/* ------------------------------------------------------------------------------------ what is kept
 */

/* The usual plan's evaluation: its inputs, and by node what it made. */
typedef struct kept {
    tg_session *session;
    const tg__made *entry;
    int step;                    /* at which it is kept */
    tg__tensor sample, timestep; /* of the plan */
    void *sample_data;
    float timestep_value;
    void **results; /* NULL: none of a layer */
    int node;       /* the next one */
    bool done;
} kept;

static bool is_product(const tg__task *node)
{
    return strcmp(node->op->kind, "conv2d") == 0 || strcmp(node->op->kind, "linear") == 0;
}

/* A layer's last node may lay its parts together, or multiply its halves. */
static bool is_result(const tg__task *node)
{
    return is_product(node) || strcmp(node->op->kind, "interleave") == 0 ||
           strcmp(node->op->kind, "geglu") == 0;
}

static void *copy_of(const tg__program *plan, tg__tensor x)
{
    void *copy = memory(1, tg__bytes(x));
    memcpy(copy, tg__program_data(plan, x), tg__bytes(x));
    return copy;
}

static void keep(void *context, const tg__program *plan, const tg__task *node)
{
    kept *k = context;
    int last = tg__program_task_count(plan) - 1;
    if (k->node == 0) {
        k->sample_data = copy_of(plan, k->sample);
        k->timestep_value = *(const float *)tg__program_data(plan, k->timestep);
    }
    if (is_result(node) || k->node == last)
        k->results[k->node] = copy_of(plan, node->dst);
    k->done = k->node++ == last;
}

static const tg__made *unet_program(const tg_session *s)
{
    for (const tg__made *entry = s->made; entry; entry = entry->next)
        if (entry->role == s->model->class->denoiser && entry->pass.kind == TG__PASS_RUN)
            return entry;
    die("the loop has no program of the UNet");
    return NULL;
}

/* Between two steps: whether the loop goes on. */
static bool at_step(void *user, const tg_progress *p)
{
    kept *k = user;
    if (p->phase != TG_PHASE_DENOISE || p->step < k->step)
        return true;
    if (p->step > k->step || k->step >= p->steps)
        return false;
    if (k->entry)
        return true; /* it is called more than once a step */
    k->entry = unet_program(k->session);
    const tg__pass *key = &k->entry->pass;
    int channels = tg__denoiser(k->session->model)->facts.in_channels;
    tg__program *plan = k->entry->program;
    k->results = memory((size_t)tg__program_task_count(plan), sizeof *k->results);
    k->sample =
        tg__program_external(plan, TG__UNET_SAMPLE, TG__F32, key->n, channels, key->h, key->w);
    k->timestep = tg__program_external(plan, TG__UNET_TIMESTEP, TG__F32, 1, 1, 1, 1);
    tg__program_observe(plan, keep, k);
    return true;
}

static void run_loop(kept *k, const options *o)
{
    tg_prompt *prompt;
    tg_result *result;
    tg_generate_options g;
    tg_generate_options_init(&g, k->session->model);
    g.steps = o->steps;
    g.seed = 1;
    g.decode = false;
    g.gate.gate_step = 0; /* all evaluations are alike */
    tg_session_set_progress(k->session, at_step, k);
    k->step = o->step < 0 ? o->steps / 2 : o->step;
    if (tg_prompt_encode(&prompt, k->session, o->prompt, "", NULL) != TG_OK)
        die(tg_session_message(k->session));
    tg_status status = tg_generate(&result, k->session, &prompt, 1, &g);
    if (status != TG_OK && status != TG_ERROR_CANCELLED)
        die(tg_session_message(k->session));
    if (!k->done)
        die("--step: the loop has fewer evaluations");
    tg_result_free(result);
    tg_prompt_free(prompt);
}

/* ---------------------------------------------------------------------------------------
 * comparison */

typedef struct row {
    const tg__task *node; /* of the int8 plan: the layer's last, and its last product */
    const tg__task *product;
    int kept; /* node of the usual plan */
    int64_t macs;
    double alone, accumulated;
} row;

typedef struct table {
    const kept *kept;
    row *rows;
    int count;
    bool replace; /* results by the kept ones */
} table;

/* Relative error of x, which the int8 plan has made. */
static double error_of(const tg__program *plan, tg__tensor x, const void *expected)
{
    size_t n = tg__count(x);
    float *a = memory(n, sizeof *a), *b = memory(n, sizeof *b);
    double off = 0, all = 0;
    tg__to_f32_array(a, tg__program_data(plan, x), x.dtype, n);
    tg__to_f32_array(b, expected, x.dtype, n);
    for (size_t i = 0; i < n; i++) {
        double d = (double)a[i] - (double)b[i];
        off += d * d;
        all += (double)b[i] * (double)b[i];
    }
    free(a);
    free(b);
    return off > 0 ? sqrt(off / all) : 0;
}

static void compare(void *context, const tg__program *plan, const tg__task *node)
{
    table *t = context;
    for (int i = 0; i < t->count; i++) {
        row *r = &t->rows[i];
        if (r->node != node)
            continue;
        const void *expected = t->kept->results[r->kept];
        *(t->replace ? &r->alone : &r->accumulated) = error_of(plan, node->dst, expected);
        if (t->replace)
            memcpy(tg__program_data(plan, node->dst), expected, tg__bytes(node->dst));
    }
}

/* The layer's last node in the usual plan. */
static int kept_node(const kept *k, const char *name)
{
    int found = -1;
    for (int i = 0; i < tg__program_task_count(k->entry->program); i++) {
        const tg__task *node = tg__program_task(k->entry->program, i);
        if (is_result(node) && strcmp(node->name, name) == 0)
            found = i;
    }
    if (found < 0)
        die("the two plans have different layers");
    return found;
}

/* A row for each layer of the int8 plan. */
static table make_table(const kept *k, const tg__program *plan)
{
    int nodes = tg__program_task_count(plan);
    table t = {.kept = k, .rows = memory((size_t)nodes, sizeof *t.rows)};
    for (int i = 0; i < nodes; i++) {
        const tg__task *node = tg__program_task(plan, i);
        if (!is_result(node))
            continue;
        int at = 0;
        while (at < t.count && strcmp(t.rows[at].node->name, node->name) != 0)
            at++;
        t.count += at == t.count;
        t.rows[at].node = node;
        if (is_product(node))
            t.rows[at].product = node;
        t.rows[at].kept = kept_node(k, node->name);
        t.rows[at].macs += node->macs;
    }
    return t;
}

static double decibels(const float *found, const float *expected, size_t n)
{
    double squares = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double d = (double)found[i] - (double)expected[i];
        squares += d * d;
        low = fmin(low, (double)expected[i]);
        high = fmax(high, (double)expected[i]);
    }
    return 10 * log10((high - low) * (high - low) * (double)n / squares);
}

static void print_table(const table *t, int64_t macs)
{
    printf("%-64s %-7s %7s %10s %11s  %s\n", "layer", "kind", "share", "alone", "accumulated",
           "shape");
    for (int i = 0; i < t->count; i++) {
        const row *r = &t->rows[i];
        printf("%-64s %-7s %6.2f%% %10.6f %11.6f  %s\n", r->node->name, r->product->op->kind,
               100 * (double)r->macs / (double)macs, r->alone, r->accumulated, r->product->shape);
    }
}

/* The UNet in int8 with the kept inputs. */
static void run_int8(const kept *k)
{
    tg_session *s = k->session;
    tg__error error = {0};
    const tg__context *usual = tg__cpu_context(s->backend, k->entry->role);
    tg__context context = {.kernels = usual->kernels, .dnnl = usual->dnnl};
    tg__plan *recorded = tg__network_plan(tg__denoiser(s->model), &k->entry->pass, &error);
    tg__program *plan = recorded ? tg__cpu_lower(&context, recorded,
                                                 tg__program_dtype(k->entry->program), true, &error)
                                 : NULL;
    tg__plan_free(recorded);
    if (!plan || tg__program_finish(plan, NULL) != TG_OK)
        die(error.message);
    size_t bytes = tg__program_external_bytes(plan, TG__UNET_OUTPUT);
    float *output = memory(1, bytes), timestep = k->timestep_value;
    void *workspace = tg__aligned(tg__program_workspace_bytes(plan));
    if (!workspace)
        die("out of memory");
    tg__program_bind_workspace(plan, workspace);
    tg__session_bind_kept(s, k->entry->role, plan);
    tg__program_bind(plan, TG__UNET_SAMPLE, k->sample_data);
    tg__program_bind(plan, TG__UNET_TIMESTEP, &timestep);
    tg__program_bind(plan, TG__UNET_OUTPUT, output);
    table t = make_table(k, plan);
    tg__program_observe(plan, compare, &t);
    t.replace = true;
    tg__program_run(plan, NULL);
    t.replace = false;
    tg__program_run(plan, NULL);
    print_table(&t, tg__program_macs(plan));
    const float *expected = k->results[tg__program_task_count(k->entry->program) - 1];
    printf("output: %.1f dB\n", decibels(output, expected, bytes / sizeof *output));
    tg__program_free(plan);
    tg__packs_free(&context.packs);
    free(t.rows);
    free(workspace);
    free(output);
}

int main(int argc, char **argv)
{
    options o = read_options(argc, argv);
    kept k = {0};
    tg_model *model;
    if (tg_model_open(&model, o.model, NULL) != TG_OK)
        die(tg_model_message(model));
    if (tg_session_new(&k.session, model, NULL) != TG_OK)
        die(tg_session_message(k.session));
    run_loop(&k, &o);
    int before = tg__threads_enter(tg_session_threads(k.session));
    run_int8(&k);
    tg__threads_leave(before);
    for (int i = 0; i < tg__program_task_count(k.entry->program); i++)
        free(k.results[i]);
    free(k.results);
    free(k.sample_data);
    tg_session_free(k.session);
    tg_model_close(model);
    return 0;
}
