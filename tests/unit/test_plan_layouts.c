/* SPDX-License-Identifier: MIT */
/* What the plans of whole networks consist of: layouts are converted at the graph's ends alone, no
 * product is left to oneDNN's reference code, and the decoder's workspace holds no map that it need
 * not. The models are those of the goldens and the demo. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/backend.h"
#include "cpu/program.h"
#include "pipeline/session.h"
#include "skip.h"

#define GOLDEN(name) TG_TEST_DATA "/golden/models/" name

static const char *const models[] = {TG_PROJECT "/models/demo",
                                     GOLDEN("sd1"),
                                     GOLDEN("sd2"),
                                     GOLDEN("odd1"),
                                     GOLDEN("odd2"),
                                     GOLDEN("odd3")};
enum { MODELS = sizeof models / sizeof *models };

static const tg__gate_step gates[] = {
    {.guided = true},
    {.guided = false},
    {.cross = TG__STORE_MEAN, .self = TG__STORE, .guided = true},
    {.cross = TG__REUSE, .self = TG__REUSE, .guided = false},
};

/* The passes: unet with each gate, its text, decoder, encoder, text encoder. */
enum { GATES = sizeof gates / sizeof *gates, PASSES = GATES + 4 };

enum { UNET, VAE, TEXT_ENCODER };

typedef struct way {
    int role;
    tg__pass pass;
} way;

static way way_of(int i)
{
    if (i < GATES)
        return (way){UNET, {.gate = gates[i], .n = 1, .h = 32, .w = 24, .tokens = 77}};
    switch (i - GATES) {
    case 0:
        return (way){UNET, {.kind = TG__PASS_TEXT, .n = 2, .tokens = 77}};
    case 1:
        return (way){VAE, {.n = 1, .h = 8, .w = 12, .factor = 1}};
    case 2:
        return (way){VAE, {.kind = TG__PASS_ENCODE, .n = 1, .h = 64, .w = 96}};
    default:
        return (way){TEXT_ENCODER, {.n = 1, .tokens = 77}};
    }
}

static bool is_product(const tg__task *node)
{
    return strcmp(node->op->kind, "conv2d") == 0 || strcmp(node->op->kind, "linear") == 0;
}

/* ends: the pass reads and makes pictures or latents. Returns how many products it has. */
static int check_plan(const tg__program *plan, bool ends, bool fast, const char *model,
                      const char *network)
{
    int last = tg__program_task_count(plan) - 1, first = -1, products = 0;
    for (int i = 0; i <= last; i++) {
        const tg__task *node = tg__program_task(plan, i);
        const char *kind = node->op->kind;
        bool from = strcmp(kind, "from_nchw") == 0, to = strcmp(kind, "to_nchw") == 0;
        first = from ? i : first;
        if (from && products > 0)
            fail_msg("%s: %s: node %d of %d is %s", model, network, i, last, kind);
        if (to != (ends && i == last))
            fail_msg("%s: %s: node %d of %d is %s", model, network, i, last, kind);
        if (strstr(kind, "reorder"))
            fail_msg("%s: %s: a node that is %s", model, network, kind);
        products += is_product(node);
        if (is_product(node) && fast &&
            (strstr(node->shape, "ref") || strstr(node->shape, "reorder")))
            fail_msg("%s: %s: %s is %s", model, network, node->name, node->shape);
    }
    assert_true((first >= 0) == ends);
    return products;
}

static void check_model(const char *path, tg_dtype dtype)
{
    tg_model *model;
    tg_session *s;
    tg_session_options options;
    tg_session_options_init(&options);
    options.dtype = dtype;
    options.threads = 1;
    assert_int_equal(tg_model_open(&model, path, NULL), TG_OK);
    assert_int_equal(tg_session_new(&s, model, &options), TG_OK);
    bool fast = tg__cpu_kernels(s->backend)->level >= TG_CPU_AVX512;
    for (int i = 0; i < PASSES; i++) {
        way w = way_of(i);
        w.pass.tokens = w.pass.tokens ? model->contexts[TEXT_ENCODER] : 0;
        tg__program *program = tg__session_program(s, w.role, &w.pass);
        if (!program)
            fail_msg("%s: pass %d: %s", path, i, tg_session_message(s));
        bool text = w.pass.kind == TG__PASS_TEXT;
        const char *network = model->networks[w.role]->name;
        int products = check_plan(program, w.role != TEXT_ENCODER && !text, fast, path, network);
        assert_true(products >= (text ? 1 : 5));
    }
    tg_session_free(s);
    tg_model_close(model);
}

static void f32(void **state)
{
    (void)state;
    if (tg__cpu_level() < TG_CPU_AVX512)
        tg_skip_part("oneDNN's products are fast ones: this CPU has no AVX-512");
    for (int i = 0; i < MODELS; i++)
        check_model(models[i], TG_DTYPE_F32);
}

static void bf16(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    for (int i = 0; i < MODELS; i++)
        check_model(models[i], TG_DTYPE_BF16);
}

/* Norms work in place and a shortcut is computed before what it reads is overwritten: where a
 * residual block goes from wide maps to narrow ones, the wide map, both narrow ones and nothing
 * else are there at once. */
static void decoder_is_small(void **state)
{
    (void)state;
    tg_model *model;
    tg_session *s;
    tg_session_options options;
    tg_session_options_init(&options);
    options.dtype = TG_DTYPE_F32;
    options.threads = 1;
    assert_int_equal(tg_model_open(&model, TG_PROJECT "/models/demo", NULL), TG_OK);
    assert_int_equal(tg_session_new(&s, model, &options), TG_OK);
    tg__pass pass = {.n = 1, .h = 32, .w = 32, .factor = 1};
    tg__program *plan = tg__session_program(s, VAE, &pass);
    assert_non_null(plan);
    size_t largest = 0, workspace = tg__program_workspace_bytes(plan);
    for (int i = 0; i < tg__program_task_count(plan); i++) {
        size_t bytes = tg__bytes(tg__program_task(plan, i)->dst);
        largest = largest < bytes ? bytes : largest;
    }
    assert_true(largest >= (size_t)256 * 256 * 64 * sizeof(float));
    if (workspace > largest * 2 + largest / 8)
        fail_msg("%zu bytes, expected about two maps of %zu", workspace, largest);
    tg_session_free(s);
    tg_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(f32), cmocka_unit_test(bf16),
                                       cmocka_unit_test(decoder_is_small)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
