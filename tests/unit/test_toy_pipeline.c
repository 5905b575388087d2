/* SPDX-License-Identifier: MIT */
/* That a new family of models is a file and a row: toy_family.h is opened, encodes, generates,
 * decodes and reads pictures by the library as it is, at the lowest and the best level, plain and
 * gated, and gives what toy_oracle.h computes without the library.
 *
 * f32: 1e-4 of the largest value; bf16: 30 dB, where rounding alone leaves 37. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "core/rng.h"
#include "scratch.h"
#include "skip.h"
#include "toy_family.h"

/* ----------------------------------------------------------------------------------- the folder */

static const char index_json[] =
    "{\"_class_name\": \"ToyPipeline\", \"painter\": [\"diffusers\", \"ToyPainter\"],"
    " \"codec\": [\"diffusers\", \"ToyCodec\"], \"words\": [\"transformers\", \"ToyWordEncoder\"],"
    " \"lines\": [\"transformers\", \"ToyLineEncoder\"],"
    " \"scheduler\": [\"diffusers\", \"DDIMScheduler\"]}";

static void write_config(scratch *s, const char *name, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    scratch_write(s, name, text, strlen(text));
}

static void write_painter_config(scratch *s, int text)
{
    write_config(s, "painter/config.json",
                 "{\"width\": %d, \"heads\": %d, \"inner\": %d, \"time_width\": %d, \"pooled\": %d,"
                 " \"text_width\": %d, \"in_channels\": %d, \"out_channels\": %d}",
                 WIDTH, HEADS, INNER, TIME, POOLED, text, LATENTS, 2 * LATENTS);
}

static void write_weights(scratch *s, const char *name, const toy_network *n)
{
    uint64_t head = 1 << 14;
    size_t bytes = 8 + head, end = 0, length = 0;
    for (int i = 0; i < n->count; i++)
        bytes += n->weights[i].count * sizeof(float);
    char *file = malloc(bytes), *json = file + 8;
    memcpy(file, &head, 8);
    for (int i = 0; i < n->count; i++) {
        const toy_weight *w = &n->weights[i];
        char shape[64];
        size_t size = w->count * sizeof(float);
        tg__show_shape(shape, sizeof shape, w->rank, w->shape);
        length += (size_t)snprintf(json + length, head - length,
                                   "%c\"%s\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":"
                                   "[%zu,%zu]}",
                                   i ? ',' : '{', w->name, shape, end, end + size);
        memcpy(json + head + end, w->values, size);
        end += size;
    }
    json[length++] = '}';
    memset(json + length, ' ', head - length);
    scratch_write(s, name, file, bytes);
    free(file);
}

static const char encoder_json[] = "{\"width\": %d, \"inner\": %d, \"heads\": %d, \"pooled\": %d,"
                                   " \"context\": %d, \"vocabulary\": %d}";

static void write_folder(scratch *s, const oracle *o)
{
    static const char *const files[NETWORKS] = {
        "painter/diffusion_pytorch_model.safetensors", "codec/diffusion_pytorch_model.safetensors",
        "words/model.safetensors", "lines/model.safetensors"};
    for (int i = 0; i < NETWORKS; i++) {
        scratch_folder(s, roles[i].name);
        write_weights(s, files[i], &o->networks[i]);
    }
    scratch_folder(s, "scheduler");
    scratch_write(s, "model_index.json", index_json, strlen(index_json));
    write_painter_config(s, TEXT_WIDTH);
    write_config(s, "codec/config.json", "{\"width\": %d, \"scaling_factor\": %g}", CODEC_WIDTH,
                 toy_scaling);
    write_config(s, "words/config.json", encoder_json, WORD_WIDTH, 1, 1, 1, WORD_CONTEXT,
                 VOCABULARY);
    write_config(s, "lines/config.json", encoder_json, LINE_WIDTH, INNER, LINE_HEADS, POOLED,
                 LINE_CONTEXT, VOCABULARY);
    write_config(s, "scheduler/scheduler_config.json",
                 "{\"beta_start\": %g, \"beta_end\": %g, \"beta_schedule\": \"scaled_linear\","
                 " \"steps_offset\": %d, \"clip_sample\": false, \"set_alpha_to_one\": false,"
                 " \"num_train_timesteps\": %d}",
                 toy_beta_start, toy_beta_end, STEPS_OFFSET, TRAIN_STEPS);
}

/* -------------------------------------------------------------------------------------- opening */

enum { H = 6, W = 5, PICTURES = 3, VALUES = LATENTS * H * W, PIXELS = 3 * FACTOR * H * FACTOR * W };

static scratch *folder;
static oracle *truth;

static int make_all(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    folder = *state;
    truth = oracle_new();
    write_folder(folder, truth);
    return 0;
}

static int remove_all(void **state)
{
    oracle_free(truth);
    return scratch_remove(state);
}

typedef struct level {
    tg_cpu cpu;
    tg_dtype dtype;
} level;

/* What is open at one level. */
typedef struct opened {
    tg_model *model;
    tg_session *session;
    tg_dtype dtype;
} opened;

static const tg__pipeline_class *const classes[] = {&toy_class, NULL};

static opened open_toy(level at_level)
{
    opened t = {.dtype = at_level.dtype};
    tg_model_options mo;
    tg_session_options so;
    tg_model_options_init(&mo);
    tg_session_options_init(&so);
    mo.cpu = at_level.cpu;
    so.dtype = at_level.dtype;
    so.threads = 2;
    tg__model_open(&t.model, folder->folder, &mo, classes);
    if (tg_session_new(&t.session, t.model, &so) != TG_OK)
        fail_msg("%s", tg_session_message(t.session));
    return t;
}

static void close_toy(opened *t)
{
    tg_session_free(t->session);
    tg_model_close(t->model);
}

/* How far got is from what it should be: of the largest value, and in decibels. */
typedef struct distance {
    double relative, decibels;
} distance;

static distance distance_of(const float *got, const double *expected, size_t n)
{
    double worst = 0, most = 0, squares = 0, power = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs(got[i] - expected[i]);
        worst = d <= worst ? worst : d; /* a NaN stays */
        most = fmax(most, fabs(expected[i]));
        squares += d * d;
        power += expected[i] * expected[i];
    }
    return (distance){worst / most, 10 * log10(power / squares)};
}

static bool is_close(distance d, tg_dtype dtype)
{
    return dtype == TG_DTYPE_F32 ? d.relative <= 1e-4 : d.decibels >= 30;
}

static void expect_close(const char *what, const float *got, const double *expected, size_t n,
                         tg_dtype dtype)
{
    distance d = distance_of(got, expected, n);
    if (!is_close(d, dtype))
        fail_msg("%s: off by %g of the largest, %.1f dB", what, d.relative, d.decibels);
}

/* -------------------------------------------------------------------------------------- prompts */

static tg_prompt *encoded(opened *t, const char *text, const char *negative)
{
    tg_prompt *prompt;
    if (tg_prompt_encode(&prompt, t->session, text, negative, NULL) != TG_OK)
        fail_msg("%s", tg_session_message(t->session));
    return prompt;
}

static void check_side(const tg_prompt *prompt, bool negative, const char *text, tg_dtype dtype)
{
    static const char *const names[] = {"text", "mask", "pooled"};
    side expected;
    oracle_encode(truth, text, &expected);
    const double *values[] = {expected.text, expected.mask, expected.pooled};
    for (int i = 0; i < 3; i++) {
        const tg__condition *c = tg__prompt_find(prompt, names[i]);
        expect_close(names[i], negative ? c->negative : c->positive, values[i],
                     (size_t)c->rows * (size_t)c->width, dtype);
    }
}

static void check_prompts(level at_level)
{
    opened t = open_toy(at_level);
    tg_prompt *prompt = encoded(&t, "a Fox", "red kite over sea");
    check_side(prompt, false, "a Fox", t.dtype);
    check_side(prompt, true, "red kite over sea", t.dtype);
    tg_prompt_free(prompt);
    close_toy(&t);
}

/* ----------------------------------------------------------------------------------- generating */

static const request usual = {.count = PICTURES,
                              .h = H,
                              .w = W,
                              .steps = 12,
                              .guidance = 3,
                              .texts = {"a fox", "moon", "red kite over sea"},
                              .negatives = {"", "not so blue", "x"}};

static void noise(float *x, size_t n)
{
    tg__rng rng;
    tg__rng_seed(&rng, TG_RNG_TORCH_CPU, 7);
    tg__rng_normal(&rng, x, n);
}

/* What the oracle makes of it; the caller frees it. */
static double *expected_latents(const request *q)
{
    size_t n = (size_t)q->count * VALUES;
    float *start = malloc(n * sizeof *start);
    double *x = malloc(n * sizeof *x);
    noise(start, n);
    for (size_t i = 0; i < n; i++)
        x[i] = start[i];
    oracle_generate(truth, q, x);
    free(start);
    return x;
}

static tg_result *generated(opened *t, const request *q, tg_prompt *const *prompts, int count)
{
    float start[PICTURES * VALUES];
    tg_array latents = {q->count, LATENTS, q->h, q->w, start};
    tg_generate_options o;
    tg_result *result;
    noise(start, (size_t)q->count * VALUES);
    tg_generate_options_init(&o, t->model);
    o.latents = &latents;
    o.steps = q->steps;
    o.guidance = q->guidance;
    o.gate = q->gate;
    if (tg_generate(&result, t->session, prompts, count, &o) != TG_OK)
        fail_msg("%s", tg_session_message(t->session));
    return result;
}

static tg_result *generated_of_texts(opened *t, const request *q)
{
    tg_prompt *prompts[MOST_COUNT];
    for (int i = 0; i < q->count; i++)
        prompts[i] = encoded(t, q->texts[i], q->negatives[i]);
    tg_result *result = generated(t, q, prompts, q->count);
    for (int i = 0; i < q->count; i++)
        tg_prompt_free(prompts[i]);
    return result;
}

static void check_request(opened *t, const request *q)
{
    char what[100];
    double *expected = expected_latents(q);
    tg_result *result = generated_of_texts(t, q);
    snprintf(what, sizeof what, "latents, guidance %g, gate at %d", q->guidance, q->gate.gate_step);
    expect_close(what, tg_result_latents(result).data, expected, (size_t)q->count * VALUES,
                 t->dtype);
    for (int i = 0; i < q->count; i++)
        expect_close("picture", tg_result_image(result, i).data,
                     oracle_decode(truth, expected + i * VALUES, H, W), PIXELS, t->dtype);
    tg_result_free(result);
    free(expected);
}

/* Of 8 evaluations of 12 the last 2 are unguided: the gate comes long before, right there, behind
 * that, or not at all. */
static const tg_gate gates[] = {{0, 1, 1, 0}, {4, 2, 2, 1}, {6, 3, 1, 0}, {7, 2, 3, 1}};
enum { GATES = sizeof gates / sizeof *gates };

static void check_generate(level at_level)
{
    static const double guidances[] = {3, 1};
    opened t = open_toy(at_level);
    for (int i = 0; i < GATES; i++)
        for (int j = 0; j < 2; j++) {
            request q = usual;
            q.gate = gates[i];
            q.guidance = guidances[j];
            check_request(&t, &q);
        }
    close_toy(&t);
}

/* ------------------------------------------------------------------------------- all of a level */

static void check_read_picture(level at_level)
{
    enum { READ = LATENTS * H * W };
    opened t = open_toy(at_level);
    float pixels[PIXELS];
    double exact[PIXELS];
    tg_array picture = {1, 3, FACTOR * H, FACTOR * W, pixels};
    tg_result *result;
    noise(pixels, PIXELS);
    for (int i = 0; i < PIXELS; i++)
        exact[i] = pixels[i];
    if (tg_encode(&result, t.session, &picture, false) != TG_OK)
        fail_msg("%s", tg_session_message(t.session));
    expect_close("a picture's latents", tg_result_latents(result).data,
                 oracle_read_picture(truth, exact, FACTOR * H, FACTOR * W), READ, t.dtype);
    tg_result_free(result);
    close_toy(&t);
}

static void check_level(level at_level)
{
    check_prompts(at_level);
    check_generate(at_level);
    check_read_picture(at_level);
}

static void test_plain_c(void **state)
{
    (void)state;
    check_level((level){TG_CPU_C, TG_DTYPE_F32});
}

static void test_f32(void **state)
{
    (void)state;
    check_level((level){TG_CPU_AUTO, TG_DTYPE_F32});
}

static void test_bf16(void **state)
{
    (void)state;
    tg_skip_without_avx512();
    check_level((level){TG_CPU_AUTO, TG_DTYPE_BF16});
}

/* ---------------------------------------------------------------------------------- sensitivity */

/* How far a result is from an oracle that makes a mistake. */
static distance distance_from(const tg_result *result, request q, mistake wrong)
{
    q.wrong = wrong;
    double *x = expected_latents(&q);
    distance d = distance_of(tg_result_latents(result).data, x, PICTURES * VALUES);
    free(x);
    return d;
}

/* Each mistake of the oracle's shows, at ten times the tolerance: plain, gated, or in both. */
static void test_mistakes(void **state)
{
    (void)state;
    opened t = open_toy((level){TG_CPU_AUTO, TG_DTYPE_F32});
    request plain = usual, gated = usual;
    plain.gate = gates[0];
    gated.gate = gates[1];
    tg_result *a = generated_of_texts(&t, &plain), *b = generated_of_texts(&t, &gated);
    for (mistake wrong = NONE + 1; wrong < MISTAKES; wrong++) {
        distance c = distance_from(a, plain, wrong), d = distance_from(b, gated, wrong);
        if (c.relative < 1e-3 && d.relative < 1e-3)
            fail_msg("mistake %d: plain off by %g, %.1f dB, gated off by %g, %.1f dB", (int)wrong,
                     c.relative, c.decibels, d.relative, d.decibels);
    }
    tg_result_free(a);
    tg_result_free(b);
    close_toy(&t);
}

/* ----------------------------------------------------------------------------- what is the same */

static void test_describes(void **state)
{
    (void)state;
    opened t = open_toy((level){TG_CPU_AUTO, TG_DTYPE_F32});
    const tg_model_info *info = tg_model_describe(t.model);
    tg_generate_options o;
    tg_generate_options_init(&o, t.model);
    assert_string_equal(info->pipeline, "ToyPipeline");
    assert_string_equal(info->scheduler, "DDIMScheduler");
    assert_int_equal(info->network_count, NETWORKS);
    assert_string_equal(tg_model_network(t.model, LINES)->name, "lines");
    assert_string_equal(tg_model_network(t.model, LINES)->class_name, "ToyLineEncoder");
    assert_int_equal(info->context, WORD_CONTEXT);
    assert_int_equal(info->width, 8 * FACTOR);
    assert_int_equal(info->latent_channels, LATENTS);
    assert_true(info->step_gmac > 0 && info->memory_f32 > 0);
    assert_int_equal(o.steps, 12);
    assert_int_equal(o.gate.gate_step, 4);
    close_toy(&t);
}

/* The gate saves; what it is measured against is all of the loop, guided. */
static void test_multiplications(void **state)
{
    (void)state;
    opened t = open_toy((level){TG_CPU_AUTO, TG_DTYPE_F32});
    request q = usual;
    tg_result *plain = generated_of_texts(&t, &q);
    q.gate = gates[1];
    tg_result *gated = generated_of_texts(&t, &q);
    assert_true(tg_result_gmac(plain) < tg_result_gmac_plain(plain));
    assert_true(tg_result_gmac(gated) < tg_result_gmac(plain));
    tg_result_free(plain);
    tg_result_free(gated);
    close_toy(&t);
}

/* DeepCache is for UNets. */
static void test_refuses_deepcache(void **state)
{
    (void)state;
    opened t = open_toy((level){TG_CPU_AUTO, TG_DTYPE_F32});
    tg_generate_options o;
    tg_error error;
    tg_generate_options_init(&o, t.model);
    o.deepcache.interval = 1;
    assert_int_equal(tg_generate_check(t.model, &o, NULL, NULL), TG_OK);
    o.deepcache.interval = 2;
    assert_int_equal(tg_generate_check(t.model, &o, NULL, &error), TG_ERROR_UNSUPPORTED);
    assert_string_equal(error.subject, "deepcache_interval");
    assert_string_equal(error.message, "deepcache_interval is 2: ToyPainter has no branch for "
                                       "DeepCache, which is for UNets");
    tg_gate gate = tg_gate_default(t.model, true);
    assert_true(gate.gate_step == 4 && gate.sp_interval == 1 && gate.warm_up == 0);
    close_toy(&t);
}

/* Text encoders go and come back; one prompt for all pictures is as good as the same for each. */
static void test_trims(void **state)
{
    (void)state;
    opened t = open_toy((level){TG_CPU_AUTO, TG_DTYPE_F32});
    request q = usual;
    tg_prompt *same[PICTURES];
    for (int i = 0; i < PICTURES; i++)
        same[i] = encoded(&t, "moon", "x");
    tg__backend *b = t.session->backend;
    assert_true(b->class->packed_bytes(b, WORDS) > 0 && b->class->packed_bytes(b, LINES) > 0);
    assert_int_equal(tg_session_trim(t.session, TG_TRIM_TEXT_ENCODERS), TG_OK);
    assert_true(b->class->packed_bytes(b, WORDS) == 0 && b->class->packed_bytes(b, LINES) == 0);
    tg_result *one = generated(&t, &q, same, 1), *each = generated(&t, &q, same, PICTURES);
    assert_memory_equal(tg_result_latents(one).data, tg_result_latents(each).data,
                        PICTURES * VALUES * sizeof(float));
    tg_prompt *again = encoded(&t, "moon", "x");
    assert_memory_equal(tg__prompt_find(again, "text")->positive,
                        tg__prompt_find(same[0], "text")->positive,
                        TEXT_TOKENS * TEXT_WIDTH * sizeof(float));
    tg_prompt_free(again);
    for (int i = 0; i < PICTURES; i++)
        tg_prompt_free(same[i]);
    tg_result_free(one);
    tg_result_free(each);
    close_toy(&t);
}

enum { CONDITIONS = 3 };

/* A caller's own embeddings do what the prompt's do; a mask or a pooled vector of other rows than
 * the text's is refused. */
static void test_embeddings(void **state)
{
    (void)state;
    opened t = open_toy((level){TG_CPU_AUTO, TG_DTYPE_F32});
    request q = usual;
    tg_embedding e[CONDITIONS];
    tg_prompt *prompt = encoded(&t, "moon", "x"), *own;
    tg_error error;
    for (int i = 0; i < CONDITIONS; i++)
        assert_true(tg_prompt_embedding(prompt, i, &e[i]));
    assert_int_equal(tg_prompt_from_embeddings(&own, t.model, e, CONDITIONS, &error), TG_OK);
    tg_result *a = generated(&t, &q, &prompt, 1), *b = generated(&t, &q, &own, 1);
    assert_memory_equal(tg_result_latents(a).data, tg_result_latents(b).data,
                        PICTURES * VALUES * sizeof(float));
    tg_result_free(a);
    tg_result_free(b);
    tg_prompt_free(own);
    e[1].rows--;
    assert_int_equal(tg_prompt_from_embeddings(&own, t.model, e, CONDITIONS, &error), TG_OK);
    assert_int_equal(tg_generate(&a, t.session, &own, 1, NULL), TG_ERROR_ARGUMENT);
    assert_string_equal(tg_session_message(t.session), "mask has 13 rows, expected 14");
    tg_prompt_free(own);
    tg_prompt_free(prompt);
    close_toy(&t);
}

static void expect_refusal(const char *message)
{
    tg_model *model;
    assert_int_not_equal(tg__model_open(&model, folder->folder, NULL, classes), TG_OK);
    assert_string_equal(tg_model_message(model), message);
    tg_model_close(model);
}

/* The class's own check, the shapes that its loading asks for, and the table of classes. */
static void test_refuses(void **state)
{
    (void)state;
    tg_model *model;
    write_painter_config(folder, TEXT_WIDTH + 1);
    expect_refusal("painter/diffusion_pytorch_model.safetensors: text_in.weight is [24,24], "
                   "expected [24,25]");
    write_painter_config(folder, TEXT_WIDTH);
    write_config(folder, "words/config.json", encoder_json, WORD_WIDTH, 1, 1, 1, 1, VOCABULARY);
    expect_refusal("words/config.json: context is 1, expected an integer from 2 to 32");
    write_config(folder, "words/config.json", encoder_json, WORD_WIDTH, 1, 1, 1, WORD_CONTEXT,
                 VOCABULARY);
    assert_int_equal(tg_model_open(&model, folder->folder, NULL), TG_ERROR_UNSUPPORTED);
    tg_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_describes),
                                       cmocka_unit_test(test_plain_c),
                                       cmocka_unit_test(test_f32),
                                       cmocka_unit_test(test_bf16),
                                       cmocka_unit_test(test_mistakes),
                                       cmocka_unit_test(test_trims),
                                       cmocka_unit_test(test_multiplications),
                                       cmocka_unit_test(test_refuses_deepcache),
                                       cmocka_unit_test(test_embeddings),
                                       cmocka_unit_test(test_refuses)};
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
