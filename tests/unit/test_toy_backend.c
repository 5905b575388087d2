/* SPDX-License-Identifier: MIT */
/* Nothing above core/backend.h knows which backend it has: whole requests on a toy one
 * (unit/toy_backend.h), held against the same on the CPU's in plain C; and what the library owes a
 * backend: everything is given back, nothing is used that was, hooks are asked, one backend serves
 * several sessions, and what it cannot do is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "cpu/backend.h"
#include "ops/ops.h"
#include "pipeline/session.h"
#include "unit/toy_backend.h"

#define GOLDEN(name) TG_TEST_DATA "/golden/models/" name

enum { UNET, VAE, TEXT_ENCODER };
enum { SIDE = 64, STEPS = 6 };

static const double tolerance = 1e-5; /* of the largest value */
static const tg_gate gated = {3, 2, 2, 1}, plain = {0, 1, 1, 0};

static tg_model *open_model(const char *path)
{
    tg_model *model;
    tg_model_options options;
    tg_model_options_init(&options);
    options.cpu = TG_CPU_C;
    if (tg_model_open(&model, path, &options) != TG_OK)
        fail_msg("%s", tg_model_message(model));
    return model;
}

static tg_session *open_session(tg_model *model, const tg__backend_opener *opener)
{
    tg_session *session;
    tg_session_options options;
    tg_session_options_init(&options);
    options.threads = 1;
    options.profile = true;
    options.dtype = TG_DTYPE_F32;
    if (tg__session_new_on(&session, model, &options, opener) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    return session;
}

static tg_generate_options options_of(const tg_model *model, tg_gate gate)
{
    tg_generate_options o;
    tg_generate_options_init(&o, model);
    o.steps = STEPS;
    o.width = o.height = SIDE;
    o.seed = 7;
    o.gate = gate;
    o.deepcache = (tg_deepcache){gate.gate_step ? 2 : 0, 1};
    return o;
}

/* From the prompt to the picture. */
static tg_status try_request(tg_result **result, tg_session *session, tg_gate gate)
{
    tg_prompt *prompt;
    tg_generate_options o = options_of(session->model, gate);
    *result = NULL;
    o.preview = session->progress_function != NULL;
    tg_status status = tg_prompt_encode(&prompt, session, "a red circle", "blue", NULL);
    if (status == TG_OK)
        status = tg_generate(result, session, &prompt, 1, &o);
    tg_prompt_free(prompt);
    return status;
}

static tg_result *request(tg_session *session, tg_gate gate)
{
    tg_result *result;
    if (try_request(&result, session, gate) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    return result;
}

static void close_all(tg_session *session, tg_model *model)
{
    tg_session_free(session);
    tg_model_close(model);
    assert_int_equal(open_count, 0);
}

/* ------------------------------------------------------------------------------ beside the CPU */

static void expect_close(const float *got, const float *expected, size_t n, const char *what)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)expected[i]);
        worst = !(d <= worst) ? d : worst; /* a NaN stays */
        largest = fmax(largest, fabs((double)expected[i]));
    }
    if (!(worst <= tolerance * largest))
        fail_msg("%s: off by %g where the largest is %g", what, worst, largest);
}

static void expect_close_arrays(tg_array got, tg_array expected, const char *what)
{
    assert_non_null(got.data);
    assert_int_equal(got.count, expected.count);
    assert_int_equal(got.channels, expected.channels);
    assert_int_equal(got.height, expected.height);
    assert_int_equal(got.width, expected.width);
    expect_close(got.data, expected.data,
                 (size_t)got.count * (size_t)got.channels * (size_t)got.height * (size_t)got.width,
                 what);
}

static void compare_requests(tg_session *toy_session, tg_session *cpu, tg_gate gate,
                             const char *path)
{
    tg_result *a = request(toy_session, gate), *b = request(cpu, gate), *c, *d;
    tg_array pictures = tg_result_pictures(b);
    expect_close_arrays(tg_result_latents(a), tg_result_latents(b), path);
    expect_close_arrays(tg_result_pictures(a), pictures, path);
    assert_int_equal(tg_encode(&c, toy_session, &pictures, false), TG_OK);
    assert_int_equal(tg_encode(&d, cpu, &pictures, false), TG_OK);
    expect_close_arrays(tg_result_latents(c), tg_result_latents(d), path);
    tg_result_free(a);
    tg_result_free(b);
    tg_result_free(c);
    tg_result_free(d);
}

static void draws_as_the_cpu(void **state)
{
    (void)state;
    static const char *const models[] = {GOLDEN("sd1"),  GOLDEN("sd2"),  GOLDEN("odd1"),
                                         GOLDEN("odd2"), GOLDEN("odd3"), GOLDEN("xl1"),
                                         GOLDEN("xl2")};
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        tg_model *model = open_model(models[i]);
        tg_session *s = open_session(model, &toy_opener);
        tg_session *cpu = open_session(model, &tg__cpu_opener);
        compare_requests(s, cpu, gated, models[i]);
        compare_requests(s, cpu, plain, models[i]);
        tg_session_free(cpu);
        close_all(s, model);
    }
}

/* ---------------------------------------------------------------------------------- every kind */

/* Slots of a plan that has every kind. */
enum { SAMPLE, TIMESTEP, VECTOR, MASK, BIAS, IDS, VALUES, MAPS, KEPT = TG__SLOT_KEPT, SLOTS };
enum { POOL = 4096, ENTRIES = 50 };

static float pool[POOL]; /* what all weights are made of */

static float value_of(size_t i) { return (float)((i * 7919 + 13) % 1000) / 1000 - 0.45f; }

static tg__weight weight(int out, int in, int kernel)
{
    return tg__weight_in_memory("weight", pool + out, TG__F32, 4,
                                (const int64_t[]){out, in, kernel, kernel});
}

static tg__layer layer(int out, int in, int kernel)
{
    return (tg__layer){.name = "layer",
                       .weight = {weight(out, in, kernel)},
                       .bias = {weight(out, 1, 1)},
                       .parts = 1,
                       .out = out,
                       .in = in,
                       .kernel = kernel,
                       .has_bias = true};
}

typedef struct parts {
    tg__layer time, half, same, pair, qkv, wide, last;
    tg__norm norm16, norm8, bare;
    tg__weight table, positions, biases, told;
} parts;

static parts make_parts(void)
{
    for (size_t i = 0; i < POOL; i++)
        pool[i] = value_of(i);
    return (parts){.time = layer(16, 8, 1),
                   .half = layer(8, 16, 3),
                   .same = layer(8, 8, 3),
                   .pair = layer(8, 24, 1),
                   .qkv = layer(24, 8, 1),
                   .wide = layer(16, 8, 1),
                   .last = layer(4, 8, 1),
                   .norm16 = {"norm16", weight(16, 1, 1), weight(16, 1, 1), 16},
                   .norm8 = {"norm8", weight(8, 1, 1), {0}, 8},
                   .bare = {"bare", {0}, {0}, 8},
                   .table = weight(ENTRIES, 8, 1),
                   .positions = weight(30, 8, 1),
                   .biases = weight(9, 2, 1),
                   .told = weight(4, 16, 1)};
}

/* Of (4, 5, 6, 8): norms, products, and what goes between maps of several sizes. */
static tg__tensor record_maps(tg__plan *p, const parts *w, tg__tensor x, tg__tensor vector)
{
    tg__tensor t = tg__plan_external(p, TIMESTEP, TG__F32, 1, 1, 1, 1);
    t = tg__timestep_embedding(p, t, w->time.in, true, 1);
    t = tg__linear(p, t, &w->time, (tg__product_options){.activation = TG__MISH, .f32 = true});
    tg__group_norm_options norm = {
        .groups = 4, .eps = 1e-5f, .silu = true, .vector = t, .modulate = vector};
    tg__tensor g = tg__group_norm_op(p, x, x, &w->norm16, norm);
    tg__product_options halve = {.stride = 2, .own_padding = true, .pad_after = 1};
    tg__tensor h = tg__conv2d(p, g, &w->half, halve);
    h = tg__upsample(p, "upsample", h, x.h, x.w);
    h = tg__conv2d(p, h, &w->same, (tg__product_options){.residual = x});
    h = tg__add(p, "add", h, tg__conv2d_pair(p, x, g, &w->pair));
    tg__row_norm_options modulated = {.eps = 1e-5f, .shift = {vector, 8}, .scale = {vector, 3}};
    h = tg__layer_norm(p, h, &w->bare, modulated);
    return tg__rms_norm(p, h, &w->norm8, 1e-6f);
}

static tg__tensor record_attention(tg__plan *p, const parts *w, tg__tensor x, tg__tensor vector)
{
    tg__tensor qkv = tg__linear(p, x, &w->qkv, (tg__product_options){0});
    tg__slice q = {qkv, 0}, k = {qkv, 8}, v = {qkv, 16};
    tg__attention_options biased = {.heads = 2, .head_dim = 4}, causal = biased;
    biased.mask = tg__plan_external(p, MASK, TG__F32, x.n, 1, x.h * x.w, 1);
    biased.bias = tg__plan_external(p, BIAS, TG__F32, 2, 1, x.h * x.w, x.h * x.w);
    causal.causal = true;
    causal.scale = 0.3f;
    causal.bias = tg__relative_bias(p, &w->biases, (tg__relative_buckets){9, 12}, 2, x.h * x.w);
    tg__tensor a = tg__attention_op(p, "biased", q, k, v, biased);
    tg__tensor b = tg__attention_op(p, "causal", q, k, v, causal);
    return tg__gated_add(p, "gated", a, b, (tg__slice){vector, 24});
}

static tg__tensor record_tokens(tg__plan *p, const parts *w)
{
    tg__tensor ids = tg__plan_external(p, IDS, TG__F32, 2, 1, 30, 1);
    return tg__add(p, "tokens", tg__embed_tokens(p, ids, &w->table, NULL, 8),
                   tg__embed_tokens(p, ids, &w->table, &w->positions, 8));
}

static void record_every_kind(tg__plan *p, const parts *w)
{
    tg__tensor vector = tg__plan_external(p, VECTOR, TG__F32, 4, 1, 1, 32);
    tg__tensor x = tg__from_nchw(p, tg__external_nchw(p, SAMPLE, 2, 8, 5, 6), 2, 0.5f, 0.25f);
    tg__tensor more = tg__join(p, "join", vector, vector);
    more = tg__add_table(p, "table", more, &w->told, 64);
    x = record_maps(p, w, x, vector);
    x = tg__add(p, "places", x, tg__grid_embedding(p, 5, 6, 8, 4, 1.5f));
    x = record_attention(p, w, x, more);
    for (int i = TG__SILU; i <= TG__GELU_TANH; i++)
        x = tg__activate(p, "activate", x, (tg__activation)i);
    x = tg__linear(p, x, &w->wide, (tg__product_options){.activation = TG__GEGLU_TANH});
    x = tg__linear(p, x, &w->wide, (tg__product_options){0});
    x = tg__scale(p, "scale", tg__activate(p, "geglu", x, TG__GEGLU), 0.7f);
    tg__tensor kept = tg__plan_external(p, KEPT, TG__ACTIVATIONS, 2, 5, 6, 8);
    x = tg__add(p, "add", tg__mean_halves(p, "mean", x, kept), record_tokens(p, w));
    tg__to_f32(p, "values", x, tg__plan_external(p, VALUES, TG__F32, 2, 5, 6, 8));
    x = tg__linear(p, x, &w->last, (tg__product_options){.f32 = true});
    tg__to_nchw(p, x, tg__external_nchw(p, MAPS, 2, 3, 5, 6));
}

static void fill(float *values, int slot, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        values[i] = slot == MASK ? i % 3 != 0 : slot == TIMESTEP ? 381 : value_of(i + (size_t)slot);
        int32_t id = (int32_t)(i * 31 % ENTRIES);
        if (slot == IDS)
            memcpy(&values[i], &id, sizeof id);
    }
}

/* The plan's slots behind one run of it. */
static void run_plan(const tg__backend_opener *opener, const tg__plan *plan, float *slots[SLOTS],
                     size_t bytes[SLOTS])
{
    tg__error error = {0};
    tg__memory memory[SLOTS] = {0}, workspace;
    tg__backend *b = opener->open(TG_CPU_C, TG_DTYPE_F32, &error);
    tg__program *program =
        b->class->lower(b, plan, &(tg__lowering){.use = TG__USE_A_STEP}, NULL, &error);
    if (!program)
        fail_msg("%s", error.message);
    workspace = b->class->allocate(b, b->class->needs(program).workspace_bytes);
    b->class->bind(program, TG__WORKSPACE, workspace);
    assert_int_equal(b->class->slot_end(program), SLOTS);
    for (int i = 0; i < SLOTS; i++) {
        size_t room = b->class->external_bytes(program, i); /* may be rounded up */
        if (room == 0)
            continue;
        bytes[i] = bytes[i] ? bytes[i] : room;
        slots[i] = calloc(1, room);
        memory[i] = b->class->allocate(b, room);
        fill(slots[i], i, bytes[i] / sizeof(float));
        b->class->upload(b, memory[i], slots[i], bytes[i]);
        b->class->bind(program, i, memory[i]);
    }
    assert_true(b->class->run(program, NULL));
    for (int i = 0; i < SLOTS; i++) {
        if (memory[i])
            b->class->download(b, slots[i], memory[i], bytes[i]);
        b->class->release(b, memory[i]);
    }
    b->class->release(b, workspace);
    b->class->free_program(b, program);
    b->class->close(b);
}

static void runs_every_kind(void **state)
{
    (void)state;
    tg__error error = {0};
    parts w = make_parts();
    tg__plan *plan = tg__plan_new("all", &error);
    float *got[SLOTS] = {0}, *expected[SLOTS] = {0};
    size_t bytes[SLOTS] = {0};
    bool seen[TG__KINDS] = {0};
    record_every_kind(plan, &w);
    if (tg__failed(&error))
        fail_msg("%s", error.message);
    for (int i = 0; i < tg__plan_node_count(plan); i++)
        seen[tg__plan_node(plan, i)->kind] = true;
    for (int i = 0; i < TG__KINDS; i++)
        if (!seen[i])
            fail_msg("no node of kind %d", i);
    run_plan(&toy_opener, plan, got, bytes);
    run_plan(&tg__cpu_opener, plan, expected, bytes);
    for (int i = 0; i < SLOTS; i++) {
        char what[32];
        snprintf(what, sizeof what, "slot %d", i);
        if (i == IDS)
            assert_memory_equal(got[i], expected[i], bytes[i]);
        else
            expect_close(got[i], expected[i], bytes[i] / sizeof(float), what);
        free(got[i]);
        free(expected[i]);
    }
    tg__plan_free(plan);
    assert_int_equal(open_count, 0);
}

static void refuses(void **state)
{
    (void)state;
    tg__error error = {0};
    tg__plan *plan = tg__plan_new("unet", &error);
    tg__backend *b = toy_opener.open(TG_CPU_AUTO, TG_DTYPE_F32, &error);
    tg__tensor x = tg__plan_external(plan, 0, TG__F32, 1, 1, 1, 1);
    tg__node *node = tg__plan_record(plan, TG__KINDS, "conv_in", NULL, 0);
    node->src[TG__X] = node->dst = x;
    assert_null(b->class->lower(b, plan, &(tg__lowering){0}, NULL, &error));
    assert_int_equal(error.status, TG_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "unet: conv_in: "));
    tg__plan_free(plan);
    b->class->close(b);

    tg_model *model = open_model(GOLDEN("sd1"));
    tg_session *session;
    tg_session_options options;
    tg_session_options_init(&options);
    options.dtype = TG_DTYPE_BF16;
    assert_int_equal(tg__session_new_on(&session, model, &options, &toy_opener),
                     TG_ERROR_UNSUPPORTED);
    assert_string_equal(tg_session_message(session), "dtype bf16: the toy computes in f32 alone");
    tg_session_free(session);
    options.dtype = TG_DTYPE_AUTO;
    assert_int_equal(tg__session_new_on(&session, model, &options, &toy_opener), TG_OK);
    assert_int_equal(tg_session_dtype(session), TG_DTYPE_F32);
    close_all(session, model);
}

/* ------------------------------------------------------------------------------- hooks, memory */

/* Says no at the tenth call of a phase and step. */
typedef struct stop {
    tg_phase phase;
    int step, calls;
} stop;

static bool stop_there(void *user, const tg_progress *p)
{
    stop *s = user;
    s->calls += p->phase == s->phase && p->step == s->step;
    return s->calls < 10;
}

static void stops_half_way(void **state)
{
    (void)state;
    tg_model *model = open_model(GOLDEN("sd1"));
    tg_session *s = open_session(model, &toy_opener);
    tg_result *before, *after;
    tg_prompt *prompt;
    stop loading = {TG_PHASE_LOAD, 0, 0}, drawing = {TG_PHASE_DENOISE, 2, 0};
    tg_generate_options o = options_of(model, gated);
    assert_int_equal(tg_prompt_encode(&prompt, s, "a red circle", "blue", NULL), TG_OK);

    tg_session_set_progress(s, stop_there, &loading);
    assert_int_equal(tg_generate(&before, s, &prompt, 1, &o), TG_ERROR_CANCELLED);
    assert_null(before);
    assert_int_equal(opened->programs[UNET] + opened->programs[tg__text_group(UNET)], 0);
    assert_true(packed_bytes(s->backend, UNET) + packed_bytes(s->backend, tg__text_group(UNET)) >
                0);
    tg_session_set_progress(s, NULL, NULL);
    before = request(s, gated);

    int live = opened->live;
    stopped_at = stopped_of = 0;
    tg_session_set_progress(s, stop_there, &drawing);
    assert_int_equal(tg_generate(&after, s, &prompt, 1, &o), TG_ERROR_CANCELLED);
    assert_string_equal(tg_session_message(s), "cancelled at step 2 of 6");
    assert_true(stopped_at > 0 && stopped_at < stopped_of);
    assert_int_equal(opened->live, live);
    tg_session_set_progress(s, NULL, NULL);
    after = request(s, gated);
    tg_array a = tg_result_pictures(before), b = tg_result_pictures(after);
    assert_memory_equal(a.data, b.data, sizeof(float) * 3 * SIDE * SIDE);
    tg_result_free(before);
    tg_result_free(after);
    tg_prompt_free(prompt);
    close_all(s, model);
}

/* Whichever of its allocations fails, the request says so, and what it took is given back. */
static void runs_out_of_memory(void **state)
{
    (void)state;
    tg_model *model = open_model(GOLDEN("sd1"));
    tg_status status = TG_ERROR_MEMORY;
    int failures = 0;
    for (long n = 1; status != TG_OK; n += 1 + n / 3) {
        tg_result *result;
        tg_session *s = open_session(model, &toy_opener);
        fail_in = n;
        status = try_request(&result, s, gated);
        if (status != TG_OK) {
            failures++;
            assert_int_equal(status, TG_ERROR_MEMORY);
            assert_non_null(strstr(tg_session_message(s), "out of memory"));
        }
        fail_in = 0;
        tg_result_free(result);
        tg_session_free(s);
        assert_int_equal(open_count, 0);
        assert_int_equal(tg_process_memory(), 0);
    }
    assert_true(failures > 10);
    tg_model_close(model);
}

static void gives_back_and_tells(void **state)
{
    (void)state;
    tg_model *model = open_model(GOLDEN("sd1"));
    tg_session *s = open_session(model, &toy_opener);
    const tg_peak *peak;
    int count, found = 0;
    tg_result_free(request(s, gated));
    assert_int_equal(tg_session_profile(s, &count), TG_OK);
    for (int i = 0; i < count; i++) {
        const tg_profile_row *row = tg_session_profile_row(s, i);
        found += strcmp(row->network, "unet") == 0 && strcmp(row->operator_name, "conv2d") == 0 &&
                 row->calls >= STEPS && row->seconds > 0 && row->gmac > 0;
    }
    assert_int_equal(found, 1);
    assert_int_equal(tg_session_measure_peak(s, &peak), TG_OK);
    assert_true(peak->f32_gmac_per_s == 0 && peak->gbytes_per_s == 0);

    assert_true(packed_bytes(s->backend, TEXT_ENCODER) > 0);
    assert_int_equal(tg_session_trim(s, TG_TRIM_TEXT_ENCODERS), TG_OK);
    assert_int_equal(packed_bytes(s->backend, TEXT_ENCODER), 0);
    assert_true(packed_bytes(s->backend, UNET) > 0 && packed_bytes(s->backend, VAE) > 0);
    assert_int_equal(tg_session_trim(s, TG_TRIM_ALL), TG_OK);
    assert_int_equal(opened->live, 0);
    close_all(s, model);
}

/* -------------------------------------------------------------------------------- two sessions */

typedef struct job {
    tg_session *session;
    tg_result *result;
    tg_status status;
} job;

static void *do_job(void *context)
{
    job *j = context;
    j->status = try_request(&j->result, j->session, gated);
    return NULL;
}

static void set_budget(int threads)
{
    tg_process_options options;
    tg_process_options_init(&options);
    options.threads = threads;
    assert_int_equal(tg_process_configure(&options, NULL), TG_OK);
}

/* Two new sessions at once, which take turns between operators, and while programs are made. */
static void check_two(const tg__backend_opener *opener)
{
    tg_model *model = open_model(GOLDEN("sd1"));
    job jobs[2] = {0};
    for (int i = 0; i < 2; i++)
        jobs[i].session = open_session(model, opener);
    assert_ptr_equal(jobs[0].session->backend, jobs[1].session->backend);
    pthread_t thread;
    set_budget(1);
    assert_int_equal(pthread_create(&thread, NULL, do_job, &jobs[1]), 0);
    do_job(&jobs[0]);
    pthread_join(thread, NULL);
    set_budget(0);
    for (int i = 0; i < 2; i++)
        if (jobs[i].status != TG_OK)
            fail_msg("%s", tg_session_message(jobs[i].session));
    tg_array a = tg_result_pictures(jobs[0].result), b = tg_result_pictures(jobs[1].result);
    assert_memory_equal(a.data, b.data, sizeof(float) * 3 * SIDE * SIDE);
    for (int i = 0; i < 2; i++) {
        tg_result_free(jobs[i].result);
        tg_session_free(jobs[i].session);
    }
    tg_model_close(model);
}

static void two_at_once(void **state)
{
    (void)state;
    int before = opened_count;
    check_two(&toy_opener);
    assert_int_equal(opened_count, before + 1);
    assert_int_equal(open_count, 0);
    check_two(&tg__cpu_opener);
}

/* The second packs nothing anew, and what it had of its own goes with it. */
static void second_shares(void **state)
{
    (void)state;
    tg_model *model = open_model(GOLDEN("sd1"));
    tg_session *first = open_session(model, &toy_opener);
    tg_result_free(request(first, gated));
    size_t bytes = packed_bytes(first->backend, UNET);
    int live = opened->live, programs = opened->programs[UNET];
    tg_session *second = open_session(model, &toy_opener);
    tg_result_free(request(second, gated));
    assert_int_equal(packed_bytes(first->backend, UNET), bytes);
    assert_int_equal(tg_session_trim(second, TG_TRIM_ALL), TG_OK); /* the first still needs them */
    assert_int_equal(packed_bytes(first->backend, UNET), bytes);
    tg_session_free(second);
    assert_int_equal(opened->live, live);
    assert_int_equal(opened->programs[UNET], programs);
    tg_result_free(request(first, plain));
    close_all(first, model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_every_kind),    cmocka_unit_test(refuses),
        cmocka_unit_test(draws_as_the_cpu),   cmocka_unit_test(stops_half_way),
        cmocka_unit_test(runs_out_of_memory), cmocka_unit_test(gives_back_and_tells),
        cmocka_unit_test(second_shares),      cmocka_unit_test(two_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
