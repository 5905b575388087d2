/* SPDX-License-Identifier: MIT */
/* T5 encoders against the reference (make_t5.py): f32 to 1e-4 of the largest value, bf16 35 dB. */
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
#include "models/t5.h"
#include "skip.h"

static const double f32_tolerance = 1e-4, bf16_decibels = 35;

/* An encoder at one level of arithmetic. */
typedef struct encoder {
    const char *name;
    tg__error error;
    tg__kernels kernels;
    tg__dtype dtype;
    tg__weights *weights;
    tg__network *network;
    tg__context context;
    tg__gguf *gguf; /* that the weights are of; NULL: of a folder */
    tg__safetensors *golden;
} encoder;

static void open_weights(encoder *e)
{
    char path[512];
    const tg__network_class *class = &tg__t5_encoder_class;
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/%s.gguf", e->name);
    if (strcmp(e->name, "gguf/t5") != 0) {
        snprintf(path, sizeof path, TG_TEST_DATA "/golden/%s/text_encoder", e->name);
        e->weights = tg__weights_open(path, class->weights, NULL, &e->error);
        return;
    }
    e->gguf = tg__gguf_open(path, &e->error);
    e->weights = e->gguf ? tg__t5_weights_from_gguf(e->gguf, &e->error) : NULL;
}

/* folder: where config.json is. */
static void open_encoder(encoder *e, const char *name, const char *folder, tg_cpu cap,
                         tg__dtype dtype)
{
    char path[512];
    const tg__network_class *class = &tg__t5_encoder_class;
    *e = (encoder){.name = name, .dtype = dtype};
    tg__kernels_init(&e->kernels, cap);
    e->context.kernels = &e->kernels;
    if (cap != TG_CPU_C)
        e->context.dnnl = tg__dnnl_new(&e->kernels, TG_CPU_AUTO, &e->error);
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/%s/config.json", folder);
    tg__config *config = tg__config_open(path, "text_encoder/config.json", &e->error);
    open_weights(e);
    e->network = tg__network_new(class, "text_encoder", &e->error);
    if (!tg__failed(&e->error) && class->read_config(e->network, config) == TG_OK)
        class->load(e->network, e->weights, &e->error);
    for (int i = 0; config && tg__config_key(config, i); i++)
        if (!tg__config_was_read(config, tg__config_key(config, i)))
            fail_msg("%s: %s is not read", name, tg__config_key(config, i));
    tg__config_close(config);
    snprintf(path, sizeof path, TG_TEST_DATA "/golden/%s.safetensors", name);
    e->golden = tg__safetensors_open(path, &e->error);
    if (tg__failed(&e->error))
        fail_msg("%s", e->error.message);
}

static void close_encoder(encoder *e)
{
    tg__network_free(e->network);
    tg__weights_close(e->weights);
    tg__packs_free(&e->context.packs);
    tg__dnnl_free((tg__dnnl *)(uintptr_t)e->context.dnnl);
    tg__gguf_close(e->gguf);
    tg__safetensors_close(e->golden);
}

static void *golden(const encoder *e, const char *prefix, const char *what)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", prefix, what);
    const tg__weight *x = tg__safetensors_find(e->golden, name);
    if (!x)
        fail_msg("%s: no golden %s", e->name, name);
    void *copy = malloc(x->bytes);
    memcpy(copy, x->data, x->bytes);
    return copy;
}

/* Rows of tokens that are not seen do not count. */
static void compare(const encoder *e, const char *prefix, const float *got, const float *expected,
                    const float *mask, size_t rows)
{
    size_t width = (size_t)e->network->facts.text_width, count = 0;
    double worst = 0, most = 0, squares = 0, low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < rows * width; i++) {
        if (mask[i / width] == 0)
            continue;
        double d = fabs((double)got[i] - expected[i]);
        worst = !(d <= worst) ? d : worst; /* a NaN stays */
        most = fmax(most, fabs(expected[i]));
        squares += d * d;
        low = fmin(low, expected[i]);
        high = fmax(high, expected[i]);
        count++;
    }
    double decibels = 10 * log10((high - low) * (high - low) / (squares / (double)count));
    if (e->dtype == TG__F32 ? !(worst <= f32_tolerance * fmax(most, 1))
                            : !(decibels >= bf16_decibels))
        fail_msg("%s: %s: off by %g of %g, %.1f dB", e->name, prefix, worst, most, decibels);
    if (getenv("TG_SHOW"))
        printf("%s %s: off by %g of %g, %.1f dB\n", e->name, prefix, worst, most, decibels);
}

/* A pass over n texts whose states are to be out; tokens a row of ids and mask. */
static void run_pass(encoder *e, int n, int tokens, void *ids, float *mask, float *out)
{
    tg__pass pass = {.n = n, .tokens = tokens};
    tg__plan *plan = tg__network_plan(e->network, &pass, &e->error);
    tg__program *program =
        plan ? tg__cpu_lower(&e->context, plan, e->dtype, false, &e->error) : NULL;
    tg__plan_free(plan);
    if (!program || tg__program_finish(program, NULL) != TG_OK)
        fail_msg("%s: %s", e->name, e->error.message);
    void *workspace = tg__aligned(tg__program_workspace_bytes(program));
    tg__program_bind_workspace(program, workspace);
    tg__program_bind(program, TG__T5_IDS, ids);
    tg__program_bind(program, TG__T5_MASK, mask);
    tg__program_bind(program, TG__T5_OUTPUT, out);
    tg__program_run(program, NULL);
    tg__program_free(program);
    free(workspace);
}

/* The whole batch under its mask, and then each text's seen tokens alone, which is the same. */
static void run_case(encoder *e, json_t *c)
{
    const char *prefix = json_string_value(json_object_get(c, "prefix"));
    int n = (int)json_integer_value(json_object_get(c, "count"));
    int tokens = (int)json_integer_value(json_object_get(c, "tokens"));
    size_t rows = (size_t)n * (size_t)tokens, width = (size_t)e->network->facts.text_width;
    int32_t *ids = golden(e, prefix, "ids");
    float *mask = golden(e, prefix, "mask"), *expected = golden(e, prefix, "hidden");
    float *out = tg__aligned(rows * width * sizeof *out);
    run_pass(e, n, tokens, ids, mask, out);
    compare(e, prefix, out, expected, mask, rows);
    for (int i = 0; i < n; i++) {
        size_t first = (size_t)i * (size_t)tokens;
        int seen = 0;
        while (seen < tokens && mask[first + (size_t)seen] != 0)
            seen++;
        run_pass(e, 1, seen, ids + first, mask + first, out);
        compare(e, prefix, out, expected + first * width, mask + first, (size_t)seen);
    }
    free(ids);
    free(mask);
    free(expected);
    free(out);
}

static void compare_all(tg_cpu cap, tg__dtype dtype)
{
    static const char *const names[] = {"t5/gated", "t5/relu", "t5/erf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[512];
        encoder e;
        json_error_t fault;
        snprintf(path, sizeof path, TG_TEST_DATA "/golden/%s.json", names[i]);
        json_t *cases = json_load_file(path, 0, &fault), *c;
        assert_non_null(cases);
        snprintf(path, sizeof path, "%s/text_encoder", names[i]);
        open_encoder(&e, names[i], path, cap, dtype);
        size_t j;
        json_array_foreach(cases, j, c) run_case(&e, c);
        close_encoder(&e);
        json_decref(cases);
    }
}

/* make_gguf.py's: one text without padding. */
static void compare_gguf(tg_cpu cap, tg__dtype dtype)
{
    encoder e;
    open_encoder(&e, "gguf/t5", "gguf", cap, dtype);
    const tg__weight *hidden = tg__safetensors_find(e.golden, "hidden");
    size_t tokens = (size_t)hidden->shape[1];
    float *mask = malloc(tokens * sizeof *mask), *out = tg__aligned(hidden->bytes);
    int32_t *ids = malloc(tokens * sizeof *ids);
    memcpy(ids, tg__safetensors_find(e.golden, "ids")->data, tokens * sizeof *ids);
    for (size_t i = 0; i < tokens; i++)
        mask[i] = 1;
    run_pass(&e, 1, (int)tokens, ids, mask, out);
    float *expected = tg__aligned(hidden->bytes);
    memcpy(expected, hidden->data, hidden->bytes);
    compare(&e, "hidden", out, expected, mask, tokens);
    free(expected);
    free(mask);
    free(out);
    free(ids);
    close_encoder(&e);
}

static void from_gguf(void **state)
{
    (void)state;
    tg__error error = {0};
    compare_gguf(TG_CPU_AUTO, TG__F32);
    compare_gguf(TG_CPU_C, TG__F32);
    if (tg__cpu_level() >= TG_CPU_AVX512)
        compare_gguf(TG_CPU_AUTO, TG__BF16);
    tg__gguf *other = tg__gguf_open(TG_TEST_DATA "/golden/gguf/other.gguf", &error);
    assert_non_null(other);
    assert_null(tg__t5_weights_from_gguf(other, &error));
    assert_string_equal(error.message, "gguf/other.gguf: general.architecture is llama, expected "
                                       "t5 or t5encoder");
    tg__gguf_close(other);
}

static void f32(void **state)
{
    (void)state;
    compare_all(TG_CPU_AUTO, TG__F32);
    compare_all(TG_CPU_AVX2, TG__F32);
}

static void plain_c(void **state)
{
    (void)state;
    compare_all(TG_CPU_C, TG__F32);
}

static void bf16(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    compare_all(TG_CPU_AUTO, TG__BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(f32), cmocka_unit_test(plain_c),
                                       cmocka_unit_test(bf16), cmocka_unit_test(from_gguf)};
    return cmocka_run_group_tests(tests, tg_skip_levels, NULL);
}
