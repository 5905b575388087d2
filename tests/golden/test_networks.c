/* SPDX-License-Identifier: MIT */
/* Each network alone, block by block, against the reference: tests/golden/modules (README.md there
 * says how they were made).
 *
 * f32: 1e-4 of the reference's largest value; different summation orders leave a few 1e-6, and a
 * forgotten bias or norm weight leaves 1e-2. bf16: 35 dB, as for whole pipelines. */
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
#include "models/clip.h"
#include "models/unet.h"
#include "models/vae.h"
#include "skip.h"

static const double f32_tolerance = 1e-4, bf16_decibels = 35;

/* A model's networks at one level of arithmetic. */
typedef struct networks {
    const char *name;
    tg__error error;
    tg__kernels kernels;
    tg__dnnl *dnnl;
    tg__dtype dtype;
    tg__weights *weights[4];
    tg__network *networks[4];
    tg__context contexts[4];
    tg__safetensors *golden;
    int compared;
} networks;

enum { UNET, VAE, TEXT_ENCODER, TEXT_ENCODER_2, NETWORKS };

static void open_network(networks *n, int i, const char *role, const tg__network_class *class)
{
    char path[512];
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/models/%s/%s/config.json", n->name, role);
    tg__config *config = tg__config_open(path, role, &n->error);
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/models/%s/%s", n->name, role);
    n->weights[i] = tg__weights_open(path, class->weights, NULL, &n->error);
    n->networks[i] = tg__network_new(class, role, &n->error);
    if (!tg__failed(&n->error) && class->read_config(n->networks[i], config) == TG_OK)
        class->load(n->networks[i], n->weights[i], &n->error);
    tg__config_close(config);
    if (tg__failed(&n->error))
        fail_msg("%s", n->error.message);
}

static void open_networks(networks *n, const char *name, tg_cpu cap, tg__dtype dtype,
                          int winograd_positions)
{
    char path[512];
    *n = (networks){.name = name, .dtype = dtype};
    tg__kernels_init(&n->kernels, cap);
    if (cap != TG_CPU_C)
        n->dnnl = tg__dnnl_new(&n->kernels, TG_CPU_AUTO, &n->error);
    open_network(n, UNET, "unet", &tg__unet_class);
    open_network(n, VAE, "vae", &tg__autoencoder_kl_class);
    open_network(n, TEXT_ENCODER, "text_encoder", &tg__clip_text_class);
    if (strncmp(name, "xl", 2) == 0)
        open_network(n, TEXT_ENCODER_2, "text_encoder_2", &tg__clip_text_projection_class);
    for (int i = 0; i < NETWORKS; i++) {
        n->contexts[i].kernels = &n->kernels;
        n->contexts[i].dnnl = n->dnnl;
        n->contexts[i].winograd_positions = winograd_positions;
    }
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/modules/%s.safetensors", name);
    n->golden = tg__safetensors_open(path, &n->error);
    if (tg__failed(&n->error))
        fail_msg("%s", n->error.message);
}

static void close_networks(networks *n)
{
    for (int i = 0; i < NETWORKS; i++) {
        tg__network_free(n->networks[i]);
        tg__weights_close(n->weights[i]);
        tg__packs_free(&n->contexts[i].packs);
    }
    tg__dnnl_free(n->dnnl);
    tg__safetensors_close(n->golden);
}

/* ------------------------------------------------------------------------------- comparison */

static const tg__weight *golden(networks *n, const char *prefix, const char *what)
{
    char name[256];
    snprintf(name, sizeof name, "%s.%s", prefix, what);
    const tg__weight *x = tg__safetensors_find(n->golden, name);
    if (!x)
        fail_msg("%s: no golden %s", n->name, name);
    return x;
}

static float *golden_values(networks *n, const char *prefix, const char *what, size_t *count)
{
    const tg__weight *x = golden(n, prefix, what);
    float *values = malloc(x->bytes);
    memcpy(values, x->data, x->bytes);
    if (count)
        *count = x->bytes / sizeof(float);
    return values;
}

static void compare_values(networks *n, const char *prefix, const char *what, const float *got,
                           size_t count)
{
    size_t expected_count;
    float *expected = golden_values(n, prefix, what, &expected_count);
    assert_int_equal(count, expected_count);
    double worst = 0, most = 0, squares = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)got[i] - expected[i]);
        worst = !(d <= worst) ? d : worst; /* a NaN stays */
        most = fmax(most, fabs(expected[i]));
        squares += d * d;
        low = fmin(low, expected[i]);
        high = fmax(high, expected[i]);
    }
    double decibels = 10 * log10((high - low) * (high - low) / (squares / (double)count));
    if (n->dtype == TG__F32 ? !(worst <= f32_tolerance * fmax(most, 1))
                            : !(decibels >= bf16_decibels))
        fail_msg("%s: %s.%s: off by %g of %g, %.1f dB", n->name, prefix, what, worst, most,
                 decibels);
    free(expected);
    n->compared++;
}

/* A tensor of a plan, (n, h, w, c), against a golden (n, c, h, w). */
static void compare_block(networks *n, const char *prefix, const char *what,
                          const tg__program *plan, tg__tensor x)
{
    size_t plane = (size_t)x.h * (size_t)x.w, c = (size_t)x.c;
    float *got = malloc(tg__count(x) * sizeof *got), *flat = malloc(tg__count(x) * sizeof *flat);
    tg__to_f32_array(flat, tg__program_data(plan, x), x.dtype, tg__count(x));
    for (size_t i = 0; i < (size_t)x.n; i++)
        for (size_t j = 0; j < plane; j++)
            for (size_t k = 0; k < c; k++)
                got[(i * c + k) * plane + j] = flat[(i * plane + j) * c + k];
    size_t expected = golden(n, prefix, what)->bytes / sizeof(float), count = tg__count(x);
    float *all = malloc(expected * sizeof *all);
    /* the time embedding is computed once for all pictures */
    for (size_t i = 0; i < expected; i++)
        all[i] = got[x.n == 1 ? i % count : i];
    compare_values(n, prefix, what, all, x.n == 1 && expected % count == 0 ? expected : count);
    free(all);
    free(got);
    free(flat);
}

/* Block NAME's output is what the last node below NAME makes. -1: there is none. */
static int last_node(const tg__program *plan, const char *key_prefix, const char *block)
{
    char key[256];
    int last = -1;
    snprintf(key, sizeof key, "%s%s", key_prefix, block);
    size_t length = strlen(key);
    for (int i = 0; i < tg__program_task_count(plan); i++) {
        const char *name = tg__program_task(plan, i)->name;
        if (strncmp(name, key, length) == 0 && (name[length] == '.' || name[length] == '\0'))
            last = i;
    }
    return last;
}

typedef struct comparison {
    networks *n;
    const char *prefix, *key_prefix, *blocks;
} comparison;

/* Behind a node: the blocks that end with it. conv_norm_out is left out: ours has the activation in
 * it. */
static void compare_blocks(void *context, const tg__program *plan, const tg__task *node)
{
    comparison *c = context;
    char copy[4096], *at = copy;
    snprintf(copy, sizeof copy, "%s", c->blocks);
    for (char *name = strtok_r(at, " ", &at); name; name = strtok_r(NULL, " ", &at)) {
        int last = last_node(plan, c->key_prefix, name);
        if (strcmp(name, "conv_norm_out") == 0 || last < 0 || tg__program_task(plan, last) != node)
            continue;
        if (strcmp(name, "conv_out") != 0 || node->dst.dtype == TG__F32)
            compare_block(c->n, c->prefix, name, plan, node->dst);
    }
}

/* Runs the plan and holds each block of the list against its golden as soon as it is there. */
static void run_and_compare(networks *n, tg__program *plan, const char *prefix,
                            const char *key_prefix, const char *blocks)
{
    comparison c = {n, prefix, key_prefix, blocks};
    tg__program_observe(plan, compare_blocks, &c);
    tg__program_run(plan, NULL);
    tg__program_observe(plan, NULL, NULL);
}

/* A pass through a network on this CPU. */
static tg__program *lower(networks *n, int network, const tg__pass *pass)
{
    tg__plan *plan = tg__network_plan(n->networks[network], pass, &n->error);
    tg__program *program =
        plan ? tg__cpu_lower(&n->contexts[network], plan, n->dtype, false, &n->error) : NULL;
    tg__plan_free(plan);
    if (!program)
        fail_msg("%s: %s", n->name, n->error.message);
    return program;
}

static void *finish_plan(networks *n, tg__program *plan)
{
    if (tg__program_finish(plan, NULL) != TG_OK)
        fail_msg("%s: %s", n->name, n->error.message);
    void *workspace = tg__aligned(tg__program_workspace_bytes(plan));
    tg__program_bind_workspace(plan, workspace);
    return workspace;
}

/* ------------------------------------------------------------------------------------- cases */

static const char *text_of(json_t *c, const char *key)
{
    return json_string_value(json_object_get(c, key));
}
static int int_of(json_t *c, const char *key)
{
    return (int)json_integer_value(json_object_get(c, key));
}

static void text_case(networks *n, json_t *c)
{
    const char *prefix = text_of(c, "prefix");
    const tg__weight *ids = golden(n, prefix, "ids");
    int tokens = (int)(ids->bytes / sizeof(int32_t));
    size_t count = (size_t)tokens * (size_t)n->networks[TEXT_ENCODER]->facts.text_width;
    int32_t *copy = malloc(ids->bytes);
    memcpy(copy, ids->data, ids->bytes);
    tg__pass pass = {.n = 1, .tokens = tokens, .skip = int_of(c, "clip_skip")};
    tg__program *plan = lower(n, TEXT_ENCODER, &pass);
    void *workspace = finish_plan(n, plan), *out = tg__aligned(count * sizeof(float));
    tg__program_bind(plan, TG__CLIP_IDS, copy);
    tg__program_bind(plan, TG__CLIP_OUTPUT, out);
    tg__program_run(plan, NULL);
    compare_values(n, prefix, "hidden", out, count);
    tg__program_free(plan);
    free(workspace);
    free(out);
    free(copy);
}

/* Hidden states before the final norm and, where the network projects, what it pools. */
static void states_case(networks *n, json_t *c)
{
    const char *prefix = text_of(c, "prefix");
    int role = strcmp(text_of(c, "role"), "text_encoder") == 0 ? TEXT_ENCODER : TEXT_ENCODER_2;
    const tg__facts *facts = &n->networks[role]->facts;
    const tg__weight *ids = golden(n, prefix, "ids");
    size_t tokens = ids->bytes / sizeof(int32_t), width = (size_t)facts->text_width;
    size_t pooled = (size_t)facts->pooled_width, end = (size_t)int_of(c, "end");
    int32_t *copy = malloc(ids->bytes);
    memcpy(copy, ids->data, ids->bytes);
    tg__pass pass = {
        .kind = TG__PASS_STATES, .n = 1, .tokens = (int)tokens, .skip = int_of(c, "skip")};
    tg__program *plan = lower(n, role, &pass);
    void *workspace = finish_plan(n, plan);
    float *out = tg__aligned(tokens * width * sizeof(float));
    float *all = tg__aligned((tokens * pooled + 1) * sizeof(float));
    tg__program_bind(plan, TG__CLIP_IDS, copy);
    tg__program_bind(plan, TG__CLIP_OUTPUT, out);
    if (pooled > 0)
        tg__program_bind(plan, TG__CLIP_POOLED, all);
    tg__program_run(plan, NULL);
    compare_values(n, prefix, "hidden", out, tokens * width);
    if (pooled > 0)
        compare_values(n, prefix, "pooled", all + end * pooled, pooled);
    tg__program_free(plan);
    free(workspace);
    free(out);
    free(all);
    free(copy);
}

static void unet_case(networks *n, json_t *c)
{
    enum { SLOTS = 512 };
    const char *prefix = text_of(c, "prefix");
    int count = int_of(c, "count"), h = int_of(c, "height"), w = int_of(c, "width");
    float timestep = (float)json_number_value(json_object_get(c, "timestep"));
    size_t size;
    int tokens = (int)golden(n, prefix, "text")->shape[1];
    float *sample = golden_values(n, prefix, "sample", &size);
    float *text = golden_values(n, prefix, "text", NULL);
    bool told = n->networks[UNET]->facts.guidance_width > 0;
    float *guidance = told ? golden_values(n, prefix, "guidance", NULL) : NULL;
    void *slots[SLOTS] = {0};
    float *out = malloc(size * sizeof *out), *pooled = NULL, *time_ids = NULL;
    tg__pass text_pass = {.kind = TG__PASS_TEXT, .n = count, .tokens = tokens};
    tg__pass run = {.n = count, .h = h, .w = w, .tokens = tokens};
    tg__program *keys = lower(n, UNET, &text_pass), *plan = lower(n, UNET, &run);
    void *workspaces[] = {finish_plan(n, keys), finish_plan(n, plan)};
    assert_true(tg__program_slot_end(keys) <= SLOTS);
    for (int i = TG__SLOT_KEPT; i < tg__program_slot_end(keys); i++) {
        slots[i] = tg__aligned(tg__program_external_bytes(keys, i));
        tg__program_bind(keys, i, slots[i]);
        tg__program_bind(plan, i, slots[i]);
    }
    tg__program_bind(keys, TG__UNET_TEXT, text);
    tg__program_bind(plan, TG__UNET_SAMPLE, sample);
    tg__program_bind(plan, TG__UNET_TIMESTEP, &timestep);
    tg__program_bind(plan, TG__UNET_OUTPUT, out);
    if (told)
        tg__program_bind(plan, TG__UNET_GUIDANCE, guidance);
    if (n->networks[UNET]->facts.pooled_width > 0) {
        pooled = golden_values(n, prefix, "text_embeds", NULL);
        time_ids = golden_values(n, prefix, "time_ids", NULL);
        tg__program_bind(plan, TG__UNET_POOLED, pooled);
        tg__program_bind(plan, TG__UNET_TIME_IDS, time_ids);
    }
    tg__program_run(keys, NULL);
    run_and_compare(n, plan, prefix, "", text_of(c, "blocks"));
    compare_values(n, prefix, "out", out, size);
    tg__program_free(keys);
    tg__program_free(plan);
    for (int i = 0; i < SLOTS; i++)
        free(slots[i]);
    free(workspaces[0]);
    free(workspaces[1]);
    free(sample);
    free(text);
    free(guidance);
    free(out);
    free(pooled);
    free(time_ids);
}

static void vae_case(networks *n, json_t *c, bool decode)
{
    const char *prefix = text_of(c, "prefix"), *to = decode ? "picture" : "latents";
    int count = int_of(c, "count"), h = int_of(c, "height"), w = int_of(c, "width");
    float *in = golden_values(n, prefix, decode ? "latents" : "picture", NULL);
    float scale = (float)n->networks[VAE]->facts.scaling_factor;
    tg__pass pass = {.kind = decode ? TG__PASS_RUN : TG__PASS_ENCODE,
                     .n = count,
                     .h = h,
                     .w = w,
                     .factor = 1 / scale};
    tg__program *plan = lower(n, VAE, &pass);
    void *workspace = finish_plan(n, plan);
    size_t size = tg__program_external_bytes(plan, TG__VAE_OUTPUT) / sizeof(float);
    float *out = malloc(size * sizeof *out);
    tg__program_bind(plan, TG__VAE_INPUT, in);
    tg__program_bind(plan, TG__VAE_OUTPUT, out);
    run_and_compare(n, plan, prefix, decode ? "decoder." : "encoder.", text_of(c, "blocks"));
    if (!decode) { /* of the moments the means, scaled */
        size_t half = size / (size_t)count / 2;
        for (size_t i = 0; i < (size_t)count; i++)
            for (size_t j = 0; j < half; j++)
                out[i * half + j] = out[2 * i * half + j] * scale;
        size /= 2;
    }
    int64_t bytes = (int64_t)golden(n, prefix, to)->bytes / (int64_t)sizeof(float);
    compare_values(n, prefix, to, out, bytes < (int64_t)size ? (size_t)bytes : size);
    tg__program_free(plan);
    free(workspace);
    free(in);
    free(out);
}

static void compare_model(const char *model, tg_cpu cap, tg__dtype dtype, int winograd_positions)
{
    char path[512];
    networks n;
    json_error_t fault;
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/modules/%s.json", model);
    json_t *cases = json_load_file(path, 0, &fault), *c;
    assert_non_null(cases);
    open_networks(&n, model, cap, dtype, winograd_positions);
    size_t i;
    json_array_foreach(cases, i, c)
    {
        const char *kind = text_of(c, "kind");
        if (strcmp(kind, "text") == 0)
            text_case(&n, c);
        else if (strcmp(kind, "states") == 0)
            states_case(&n, c);
        else if (strcmp(kind, "unet") == 0)
            unet_case(&n, c);
        else
            vae_case(&n, c, strcmp(kind, "decode") == 0);
    }
    assert_true(n.compared > 20);
    close_networks(&n);
    json_decref(cases);
}

static const char *const models[] = {"sd1", "sd2", "odd1", "odd2", "odd3", "lcm", "xl1", "xl2"};

/* winograd_positions: 0, or 1 for Winograd's convolutions wherever they can be. */
static void compare_all(tg_cpu cap, tg__dtype dtype, int winograd_positions)
{
    for (size_t i = 0; i < sizeof models / sizeof *models; i++)
        compare_model(models[i], cap, dtype, winograd_positions);
}

static void f32(void **state)
{
    (void)state;
    compare_all(TG_CPU_AUTO, TG__F32, 0);
    compare_all(TG_CPU_AVX2, TG__F32, 1);
    compare_all(TG_CPU_AUTO, TG__F32, 1);
}

static void plain_c(void **state)
{
    (void)state;
    compare_all(TG_CPU_C, TG__F32, 1);
}

static void bf16(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    compare_all(TG_CPU_AUTO, TG__BF16, 0);
    compare_all(TG_CPU_AUTO, TG__BF16, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(f32), cmocka_unit_test(plain_c),
                                       cmocka_unit_test(bf16)};
    return cmocka_run_group_tests(tests, tg_skip_levels, NULL);
}
