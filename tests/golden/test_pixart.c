/* SPDX-License-Identifier: MIT */
/* PixArt against the reference: tests/golden/pixart (README.md there says how it was made). The
 * transformer alone, block by block; the bins alone; whole requests, plain and gated.
 *
 * f32: 1e-4 of the largest value for blocks, 1e-3 for loops; bf16: 35 dB. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "cpu/lower.h"
#include "models/original_names.h"
#include "models/pixart_transformer.h"
#include "pipeline/bins.h"
#include "pipeline/session.h"
#include "skip.h"

#define GOLDEN TG_TEST_DATA "/golden/pixart/"
#define MODELS TG_TEST_DATA "/golden/models/"

static const double block_tolerance = 1e-4, loop_tolerance = 1e-3, bf16_decibels = 35;

static const char *text_of(json_t *c, const char *key)
{
    return json_string_value(json_object_get(c, key));
}
static int int_of(json_t *c, const char *key)
{
    return (int)json_integer_value(json_object_get(c, key));
}

/* How far found is from expected. */
typedef struct difference {
    double worst, largest, decibels;
} difference;

static difference compare(const float *found, const float *expected, size_t n)
{
    difference d = {0};
    double squares = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)found[i] - (double)expected[i]);
        d.worst = !(off <= d.worst) ? off : d.worst; /* a NaN stays */
        d.largest = fmax(d.largest, fabs((double)expected[i]));
        squares += off * off;
        low = fmin(low, (double)expected[i]);
        high = fmax(high, (double)expected[i]);
    }
    d.decibels = 10 * log10((high - low) * (high - low) / (squares / (double)n));
    return d;
}

static tg__safetensors *open_tensors(void)
{
    tg__error error = {0};
    tg__safetensors *file = tg__safetensors_open(GOLDEN "networks.safetensors", &error);
    if (!file)
        fail_msg("%s", error.message);
    return file;
}

/* A tensor "prefix.what"; free it. */
static float *values(const tg__safetensors *file, const char *prefix, const char *what, size_t *n)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", prefix, what);
    const tg__weight *x = tg__safetensors_find(file, name);
    if (!x)
        fail_msg("no golden %s", name);
    const tg__conversions c = {NULL, NULL};
    float *copy = malloc(tg__weight_count(x) * sizeof *copy);
    tg__weight_read(x, copy, TG__F32, 0, tg__weight_count(x), &c);
    if (n)
        *n = tg__weight_count(x);
    return copy;
}

static json_t *read_cases(const char *path)
{
    json_error_t fault;
    json_t *cases = json_load_file(path, 0, &fault);
    assert_non_null(cases);
    return cases;
}

/* ------------------------------------------------------------------------- the transformer alone
 */

/* A model's transformer at one level of arithmetic. */
typedef struct bench {
    tg__error error;
    tg__kernels kernels;
    tg__dtype dtype;
    tg__weights *weights;
    tg__network *network;
    tg__context context;
    tg__safetensors *golden, *file;
    tg__original original;
    const char *prefix, *blocks;
    int compared;
} bench;

/* Where the weights are: under their original names in a file of their own, or in the folder. */
static void open_weights(bench *b, const char *model, bool original)
{
    char path[512];
    snprintf(path, sizeof path,
             original ? MODELS "%s-transformer.safetensors" : MODELS "%s/transformer", model);
    if (!original) {
        b->weights = tg__weights_open(path, tg__pixart_class.weights, NULL, &b->error);
        return;
    }
    b->file = tg__safetensors_open(path, &b->error);
    b->original = (tg__original){.file = b->file, .network = b->network, .place = {.prefix = ""}};
    b->weights = tg__weights_from(tg__original_lookup, &b->original, model, &b->error);
}

static void open_bench(bench *b, const char *model, tg_cpu cap, tg__dtype dtype, bool original)
{
    char path[512];
    const tg__network_class *class = &tg__pixart_class;
    *b = (bench){.dtype = dtype};
    tg__kernels_init(&b->kernels, cap);
    b->context.kernels = &b->kernels;
    if (cap != TG_CPU_C)
        b->context.dnnl = tg__dnnl_new(&b->kernels, TG_CPU_AUTO, &b->error);
    snprintf(path, sizeof path, MODELS "%s/transformer/config.json", model);
    tg__config *config = tg__config_open(path, "transformer/config.json", &b->error);
    b->network = tg__network_new(class, "transformer", &b->error);
    if (!tg__failed(&b->error) && class->read_config(b->network, config) == TG_OK)
        open_weights(b, model, original);
    if (!tg__failed(&b->error))
        class->load(b->network, b->weights, &b->error);
    if (tg__failed(&b->error))
        fail_msg("%s: %s", model, b->error.message);
    for (int i = 0; tg__config_key(config, i); i++)
        if (!tg__config_was_read(config, tg__config_key(config, i)) &&
            tg__config_key(config, i)[0] != '_')
            fail_msg("%s: %s is not read", model, tg__config_key(config, i));
    tg__config_close(config);
    b->golden = open_tensors();
}

static void close_bench(bench *b)
{
    tg__network_free(b->network);
    tg__weights_close(b->weights);
    tg__packs_free(&b->context.packs);
    tg__dnnl_free(b->context.dnnl);
    tg__safetensors_close(b->golden);
    tg__safetensors_close(b->file);
}

static void hold(bench *b, const char *what, const float *found, size_t n)
{
    size_t count;
    float *expected = values(b->golden, b->prefix, what, &count);
    assert_int_equal(n, count);
    difference d = compare(found, expected, n);
    if (b->dtype == TG__F32 ? !(d.worst <= block_tolerance * fmax(d.largest, 1))
                            : !(d.decibels >= bf16_decibels))
        fail_msg("%s.%s: off by %g of %g, %.1f dB", b->prefix, what, d.worst, d.largest,
                 d.decibels);
    free(expected);
    b->compared++;
}

/* Block NAME's output is what the last task below NAME makes. */
static const tg__task *last_task(const tg__program *program, const char *name)
{
    const tg__task *last = NULL;
    size_t length = strlen(name);
    for (int i = 0; i < tg__program_task_count(program); i++) {
        const tg__task *task = tg__program_task(program, i);
        if (strncmp(task->name, name, length) == 0 &&
            (task->name[length] == '.' || task->name[length] == '\0'))
            last = task;
    }
    return last;
}

/* The last task of an attention, of the feed forward and of the patches adds what is no part of the
 * module in the reference. */
static bool is_whole(const char *name) { return !strstr(name, ".attn") && !strstr(name, ".ff"); }

static void compare_blocks(void *context, const tg__program *program, const tg__task *task)
{
    bench *b = context;
    char copy[4096], *at = copy;
    snprintf(copy, sizeof copy, "%s", b->blocks);
    for (char *name = strtok_r(at, " ", &at); name; name = strtok_r(NULL, " ", &at)) {
        if (!is_whole(name) || last_task(program, name) != task)
            continue;
        float *found = malloc(tg__count(task->dst) * sizeof *found);
        tg__to_f32_array(found, tg__program_data(program, task->dst), task->dst.dtype,
                         tg__count(task->dst));
        hold(b, name, found, tg__count(task->dst));
        free(found);
    }
}

static tg__program *lower(bench *b, const tg__pass *pass, void **workspace)
{
    tg__plan *plan = tg__network_plan(b->network, pass, &b->error);
    tg__program *program =
        plan ? tg__cpu_lower(&b->context, plan, b->dtype, false, &b->error) : NULL;
    tg__plan_free(plan);
    if (!program || tg__program_finish(program, NULL) != TG_OK)
        fail_msg("%s: %s", b->prefix, b->error.message);
    *workspace = tg__aligned(tg__program_workspace_bytes(program));
    tg__program_bind_workspace(program, *workspace);
    return program;
}

/* The same for each of n pictures. */
static float *repeated(const float *row, int width, int n)
{
    float *all = malloc((size_t)n * (size_t)width * sizeof *all);
    for (int i = 0; i < n * width; i++)
        all[i] = row[i % width];
    return all;
}

static void network_case(bench *b, json_t *c)
{
    enum { SLOTS = 64 };
    b->prefix = text_of(c, "name");
    b->blocks = text_of(c, "blocks");
    int n = int_of(c, "count"), tokens = int_of(c, "tokens");
    float timestep = (float)json_number_value(json_object_get(c, "timestep"));
    float size[2] = {(float)int_of(c, "told_height"), (float)int_of(c, "told_width")};
    float ratio = (float)((double)int_of(c, "told_height") / int_of(c, "told_width"));
    size_t count;
    float *sample = values(b->golden, b->prefix, "sample", &count);
    float *text = values(b->golden, b->prefix, "text", NULL);
    float *mask = values(b->golden, b->prefix, "mask", NULL);
    float *sizes = repeated(size, 2, n), *ratios = repeated(&ratio, 1, n);
    float *out = malloc(count * sizeof *out);
    void *workspaces[2], *slots[SLOTS] = {0};
    tg__pass text_pass = {.kind = TG__PASS_TEXT, .n = n, .tokens = tokens};
    tg__pass run = {.n = n, .h = int_of(c, "height"), .w = int_of(c, "width"), .tokens = tokens};
    tg__program *keys = lower(b, &text_pass, &workspaces[0]), *all = lower(b, &run, &workspaces[1]);
    assert_true(tg__program_slot_end(keys) <= SLOTS);
    for (int i = TG__SLOT_KEPT; i < tg__program_slot_end(keys); i++) {
        slots[i] = tg__aligned(tg__program_external_bytes(keys, i));
        tg__program_bind(keys, i, slots[i]);
        tg__program_bind(all, i, slots[i]);
    }
    tg__program_bind(keys, TG__PIXART_TEXT, text);
    tg__program_bind(all, TG__PIXART_SAMPLE, sample);
    tg__program_bind(all, TG__PIXART_TIMESTEP, &timestep);
    tg__program_bind(all, TG__PIXART_OUTPUT, out);
    tg__program_bind(all, TG__PIXART_MASK, mask);
    tg__program_bind(all, TG__PIXART_RESOLUTION, sizes);
    tg__program_bind(all, TG__PIXART_ASPECT_RATIO, ratios);
    tg__program_run(keys, NULL);
    tg__program_observe(all, compare_blocks, b);
    tg__program_run(all, NULL);
    hold(b, "out", out, count);
    tg__program_free(keys);
    tg__program_free(all);
    for (int i = 0; i < SLOTS; i++)
        free(slots[i]);
    free(workspaces[0]);
    free(workspaces[1]);
    free(sample);
    free(text);
    free(mask);
    free(sizes);
    free(ratios);
    free(out);
}

static const char *const models[] = {"px1", "px2", "px3", "px4"};
enum { MODEL_COUNT = sizeof models / sizeof *models };

static void compare_network(const char *model, tg_cpu cap, tg__dtype dtype, bool original)
{
    json_t *cases = read_cases(GOLDEN "networks.json"), *c;
    size_t i;
    bench b;
    open_bench(&b, model, cap, dtype, original);
    json_array_foreach(cases, i, c) if (strcmp(text_of(c, "model"), model) == 0)
        network_case(&b, c);
    assert_true(b.compared >= 9);
    close_bench(&b);
    json_decref(cases);
}

static void compare_networks(tg_cpu cap, tg__dtype dtype)
{
    for (int i = 0; i < MODEL_COUNT; i++)
        compare_network(models[i], cap, dtype, false);
}

static void networks_f32(void **state)
{
    (void)state;
    compare_networks(TG_CPU_AUTO, TG__F32);
    compare_networks(TG_CPU_AVX2, TG__F32);
    compare_networks(TG_CPU_C, TG__F32);
}

static void original_names(void **state)
{
    (void)state;
    compare_network("px1", TG_CPU_AUTO, TG__F32, true);
    compare_network("px3", TG_CPU_AUTO, TG__F32, true);
}

static void networks_bf16(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    compare_networks(TG_CPU_AUTO, TG__BF16);
}

/* -------------------------------------------------------------------------------------- the bins
 */

static void bins(void **state)
{
    (void)state;
    json_t *cases = read_cases(GOLDEN "bins.json"), *c;
    size_t i;
    json_array_foreach(cases, i, c)
    {
        int h = 0, w = 0, asked_h = int_of(c, "height"), asked_w = int_of(c, "width");
        assert_true(tg__has_bins(int_of(c, "sample_size")));
        tg__bin_of(int_of(c, "sample_size"), asked_h, asked_w, &h, &w);
        if (h != int_of(c, "bin_height") || w != int_of(c, "bin_width"))
            fail_msg("%d: %d x %d is in %d x %d, expected %d x %d", int_of(c, "sample_size"),
                     asked_h, asked_w, h, w, int_of(c, "bin_height"), int_of(c, "bin_width"));
    }
    assert_true(i > 700);
    assert_false(tg__has_bins(96));
    json_decref(cases);
}

/* Where size * (wanted / size) rounds to less than wanted, torch's own way leaves no picture. */
static void covering(void **state)
{
    (void)state;
    for (int from = 8; from <= 256; from += 8)
        for (int to = 1; to <= 300; to += 7) {
            float *src = malloc((size_t)from * 8 * sizeof *src);
            float *dst = malloc((size_t)to * 3 * sizeof *dst);
            for (int i = 0; i < from * 8; i++)
                src[i] = 0.25f;
            tg__fit_picture(dst, 3, to, src, 1, 8, from);
            for (int i = 0; i < to * 3; i++)
                assert_true(fabsf(dst[i] - 0.25f) < 1e-6f);
            free(src);
            free(dst);
        }
}

/* ---------------------------------------------------------------------------- whole requests */

/* What a run is made with. */
typedef struct setting {
    tg_dtype dtype;
    tg_cpu cpu;
    size_t every; /* which of the cases */
} setting;

static float *read_array(const char *name, tg_array *array)
{
    char path[512];
    tg_error error;
    snprintf(path, sizeof path, GOLDEN "%s", name);
    if (tg_npy_read(array, path, &error) != TG_OK)
        fail_msg("%s", error.message);
    return (float *)(uintptr_t)array->data;
}

/* Caption i and the negative one as a prompt. */
static tg_prompt *caption_prompt(const tg_model *model, const tg__safetensors *golden,
                                 const char *name, int i, int negative)
{
    char prefix[64];
    size_t n, m;
    tg_prompt *prompt = NULL;
    tg_error error;
    snprintf(prefix, sizeof prefix, "%s", name);
    float *text = values(golden, prefix, "text", &n), *mask = values(golden, prefix, "mask", &m);
    enum { CAPTIONS = 4 };
    int rows = (int)m / CAPTIONS, width = (int)(n / m);
    size_t each = (size_t)rows * (size_t)width;
    tg_embedding embeddings[] = {
        {"text", rows, width, text + (size_t)i * each, text + (size_t)negative * each},
        {"mask", rows, 1, mask + i * rows, mask + negative * rows}};
    if (tg_prompt_from_embeddings(&prompt, model, embeddings, 2, &error) != TG_OK)
        fail_msg("%s", error.message);
    free(text);
    free(mask);
    return prompt;
}

enum { MOST_PROMPTS = 8 };

/* The prompts of a case; returns how many. */
static int prompts_of(json_t *c, const tg_model *model, tg_session *session,
                      const tg__safetensors *golden, tg_prompt **prompts)
{
    int count = 0;
    char *end;
    if (*text_of(c, "prompt")) {
        if (tg_prompt_encode(&prompts[0], session, text_of(c, "prompt"),
                             text_of(c, "negative_prompt"), NULL) != TG_OK)
            fail_msg("%s", tg_session_message(session));
        return 1;
    }
    for (const char *at = text_of(c, "captions"); *at && count < MOST_PROMPTS; at = end)
        prompts[count++] = caption_prompt(model, golden, text_of(c, "model"),
                                          (int)strtol(at, &end, 10), int_of(c, "negative"));
    return count;
}

static tg_generate_options options_of(json_t *c, const tg_model *model)
{
    tg_generate_options o;
    tg_generate_options_init(&o, model);
    o.steps = int_of(c, "steps");
    o.guidance = json_number_value(json_object_get(c, "guidance"));
    o.width = int_of(c, "width");
    o.height = int_of(c, "height");
    o.count = int_of(c, "count");
    o.seed = (uint64_t)int_of(c, "seed");
    o.gate = (tg_gate){int_of(c, "gate_step"), int_of(c, "sp_interval"), int_of(c, "fi_interval"),
                       int_of(c, "warm_up")};
    o.no_resolution_binning = !int_of(c, "binning");
    o.decode = *text_of(c, "picture") != '\0';
    return o;
}

/* Whether an array is what a file holds. */
static bool is_expected(tg_array found, const char *file, const setting *s, const char *name)
{
    tg_array expected;
    float *data = read_array(file, &expected);
    assert_int_equal(found.height, expected.height);
    assert_int_equal(found.width, expected.width);
    size_t n = (size_t)expected.count * (size_t)expected.channels * (size_t)expected.height *
               (size_t)expected.width;
    difference d = compare(found.data, data, n);
    bool good = s->dtype == TG_DTYPE_F32 ? d.worst <= loop_tolerance * fmax(d.largest, 1)
                                         : d.decibels >= bf16_decibels;
    if (!good)
        print_error("%s: off by %g of %g, %.1f dB\n", name, d.worst, d.largest, d.decibels);
    tg_array_free(&expected);
    return good;
}

static bool check_case(json_t *c, const tg__safetensors *golden, const setting *s)
{
    char path[512];
    tg_model *model;
    tg_session *session;
    tg_prompt *prompts[MOST_PROMPTS] = {NULL};
    tg_result *result = NULL;
    tg_model_options mo;
    tg_session_options so;
    tg_model_options_init(&mo);
    mo.cpu = s->cpu;
    mo.scheduler = *text_of(c, "scheduler") ? text_of(c, "scheduler") : NULL;
    snprintf(path, sizeof path, MODELS "%s", text_of(c, "model"));
    if (tg_model_open(&model, path, &mo) != TG_OK)
        fail_msg("%s", tg_model_message(model));
    tg_session_options_init(&so);
    so.dtype = s->dtype;
    so.threads = 1; /* several tests run at once */
    tg_generate_options o = options_of(c, model);
    if (tg_session_new(&session, model, &so) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    int count = prompts_of(c, model, session, golden, prompts);
    if (tg_generate(&result, session, prompts, count, &o) != TG_OK)
        fail_msg("%s: %s", text_of(c, "name"), tg_session_message(session));
    bool good =
        is_expected(tg_result_latents(result), text_of(c, "latents"), s, text_of(c, "name"));
    if (o.decode && s->dtype == TG_DTYPE_F32)
        good = is_expected(tg_result_pictures(result), text_of(c, "picture"), s,
                           text_of(c, "picture")) &&
               good;
    for (int i = 0; i < count; i++)
        tg_prompt_free(prompts[i]);
    tg_result_free(result);
    tg_session_free(session);
    tg_model_close(model);
    return good;
}

static void check_all(setting s)
{
    json_t *cases = read_cases(GOLDEN "cases.json");
    tg__safetensors *golden = open_tensors();
    int off = 0;
    for (size_t i = 0; i < json_array_size(cases); i += s.every)
        off += !check_case(json_array_get(cases, i), golden, &s);
    tg__safetensors_close(golden);
    json_decref(cases);
    assert_int_equal(off, 0);
}

static void loops_f32(void **state)
{
    (void)state;
    check_all((setting){.dtype = TG_DTYPE_F32, .every = 1});
}

static void loops_bf16(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    check_all((setting){.dtype = TG_DTYPE_BF16, .every = 1});
}

static void loops_int8(void **state)
{
    (void)state;
    tg_skip_without_vnni();
    check_all((setting){.dtype = TG_DTYPE_INT8, .every = 3});
}

static void loops_plain_c(void **state)
{
    (void)state;
    check_all((setting){.dtype = TG_DTYPE_F32, .cpu = TG_CPU_C, .every = 17});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_f32),  cmocka_unit_test(networks_bf16),
        cmocka_unit_test(bins),          cmocka_unit_test(original_names),
        cmocka_unit_test(loops_int8),    cmocka_unit_test(covering),
        cmocka_unit_test(loops_f32),     cmocka_unit_test(loops_bf16),
        cmocka_unit_test(loops_plain_c),
    };
    return cmocka_run_group_tests(tests, tg_skip_levels, NULL);
}
