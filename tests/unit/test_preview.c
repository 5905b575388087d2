/* SPDX-License-Identifier: MIT */
/* What progress functions see of a picture in the making: latents, previews, and which step it is.
 */
#include <stdio.h>
#include <stdlib.h>

#include "unit/sessions.h"

enum { SIDE = 128, FACTOR = 8, STEPS = 25, MOST = 128 };

/* The reports between steps, and the last of their arrays. */
typedef struct seen {
    int reports, steps[MOST], others;
    bool preview; /* expected */
    int count, side, of;
    float *latents, *first, *last; /* copies; previews */
} seen;

static void copy(float **dst, tg_array x)
{
    free(*dst);
    *dst = malloc(values_of(x) * sizeof **dst);
    memcpy(*dst, x.data, values_of(x) * sizeof **dst);
}

static void check_shape(tg_array x, const seen *s, int channels)
{
    assert_int_equal(x.count, s->count);
    assert_int_equal(x.channels, channels);
    assert_int_equal(x.height, s->side / FACTOR);
    assert_int_equal(x.width, s->side / FACTOR);
    for (size_t i = 0; i < values_of(x); i++)
        assert_true(isfinite(x.data[i]));
}

static bool look(void *user, const tg_progress *p)
{
    seen *s = user;
    if (!p->latents.data) {
        assert_null(p->preview.data);
        s->others += p->phase == TG_PHASE_DENOISE;
        return true;
    }
    assert_int_equal(p->phase, TG_PHASE_DENOISE);
    assert_int_equal(p->steps, s->of);
    assert_true(s->reports < MOST);
    s->steps[s->reports++] = p->step;
    check_shape(p->latents, s, 4);
    copy(&s->latents, p->latents);
    assert_true((p->preview.data != NULL) == s->preview);
    if (s->preview) {
        check_shape(p->preview, s, 3);
        for (size_t i = 0; i < values_of(p->preview); i++)
            assert_true(fabsf(p->preview.data[i]) <= 1);
        copy(s->reports == 1 ? &s->first : &s->last, p->preview);
    }
    return true;
}

static void forget(seen *s)
{
    free(s->latents);
    free(s->first);
    free(s->last);
}

/* ----------------------------------------------------------------------------------- the picture
 */

/* Pictures (count, 3, h, w) shrunk to latents' size: the mean of each square. */
static float *shrink(tg_array x)
{
    int h = x.height / FACTOR, w = x.width / FACTOR;
    size_t planes = (size_t)x.count * (size_t)x.channels;
    float *small = calloc(planes * (size_t)h * (size_t)w, sizeof *small);
    for (size_t plane = 0; plane < planes; plane++)
        for (int y = 0; y < x.height; y++)
            for (int column = 0; column < x.width; column++)
                small[(plane * (size_t)h + (size_t)(y / FACTOR)) * (size_t)w +
                      (size_t)(column / FACTOR)] +=
                    x.data[(plane * (size_t)x.height + (size_t)y) * (size_t)x.width +
                           (size_t)column] /
                    (FACTOR * FACTOR);
    return small;
}

/* How alike two arrays are, whatever their mean and scale: 1 at most. */
static double correlation(const float *a, const float *b, size_t n)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (size_t i = 0; i < n; i++) {
        ma += (double)a[i] / (double)n;
        mb += (double)b[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double x = (double)a[i] - ma, y = (double)b[i] - mb;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    return ab / sqrt(aa * bb);
}

static double decibels(const float *a, const float *b, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return 10 * log10(4 * (double)n / squares);
}

/* The last preview is the picture, small; the first, of noise, is not, nor is another's. */
static void resembles(void **state)
{
    (void)state;
    static const char *const texts[2] = {"a castle on a yellow background",
                                         "a red apple on a blue background"};
    tg_model *model = open_model(TG_DEMO, NULL, TG_CPU_AUTO);
    tg_session *s = open_session(model, TG_DTYPE_F32, 0);
    tg_prompt *prompts[2] = {encode_prompt(s, texts[0], NULL), encode_prompt(s, texts[1], NULL)};
    tg_generate_options o = picture_options(model, SIDE, STEPS);
    seen look_at = {.preview = true, .count = 2, .side = SIDE, .of = STEPS};
    o.count = 2;
    o.preview = true;
    tg_session_set_progress(s, look, &look_at);
    tg_result *result = make_pictures(s, prompts, 2, &o);
    float *small = shrink(tg_result_pictures(result));
    size_t n = 3 * (SIDE / FACTOR) * (SIDE / FACTOR);
    for (size_t i = 0; i < 2; i++) {
        const float *wanted = small + i * n, *other = small + (1 - i) * n;
        const float *last = look_at.last + i * n, *noise = look_at.first + i * n;
        print_message("%s: the last preview's correlation with the picture %.3f, %.1f dB; of noise "
                      "%.3f, %.1f dB; with the other picture %.3f, %.1f dB\n",
                      texts[i], correlation(last, wanted, n), decibels(last, wanted, n),
                      correlation(noise, wanted, n), decibels(noise, wanted, n),
                      correlation(last, other, n), decibels(last, other, n));
        assert_true(correlation(last, wanted, n) > 0.9);
        assert_true(decibels(last, wanted, n) > 15);
        assert_true(correlation(noise, wanted, n) < 0.5 && correlation(last, other, n) < 0.5);
        assert_true(decibels(noise, wanted, n) < 12 && decibels(last, other, n) < 12);
    }
    assert_int_equal(look_at.reports, STEPS + 1);
    assert_memory_equal(look_at.latents, tg_result_latents(result).data,
                        values_of(tg_result_latents(result)) * sizeof(float));
    free(small);
    forget(&look_at);
    tg_result_free(result);
    tg_prompt_free(prompts[0]);
    tg_prompt_free(prompts[1]);
    tg_session_free(s);
    tg_model_close(model);
}

/* ----------------------------------------------------------------------------------------- steps
 */

/* Steps are inference steps, however often the network is evaluated for one. */
static void check_steps(const char *path, const char *scheduler, int steps, int evaluations)
{
    tg_model *model = open_model(path, scheduler, TG_CPU_AUTO);
    tg_session *s = open_session(model, TG_DTYPE_F32, 1);
    tg_prompt *prompt = encode_prompt(s, "a fox", NULL);
    tg_generate_options o = picture_options(model, 64, steps);
    seen look_at = {.count = 1, .side = 64, .of = steps};
    o.decode = false;
    tg_session_set_progress(s, look, &look_at);
    tg_result *plain = make_pictures(s, &prompt, 1, &o);
    assert_int_equal(look_at.reports, evaluations + 1);
    assert_int_equal(look_at.steps[0], 0);
    assert_int_equal(look_at.steps[evaluations], steps);
    for (int i = 1; i <= evaluations; i++) { /* none is left out, none comes again */
        int step = look_at.steps[i] - look_at.steps[i - 1];
        assert_true(step == 0 || step == 1);
    }
    look_at.reports = 0; /* a preview changes nothing */
    look_at.preview = o.preview = true;
    tg_result *seen_one = make_pictures(s, &prompt, 1, &o);
    assert_int_equal(look_at.reports, evaluations + 1);
    assert_same_results(plain, seen_one);
    forget(&look_at);
    tg_result_free(plain);
    tg_result_free(seen_one);
    tg_prompt_free(prompt);
    tg_session_free(s);
    tg_model_close(model);
}

static void steps_of_schedulers(void **state)
{
    (void)state;
    enum { N = 7 };
    check_steps(TG_DEMO, NULL, N, N);
    check_steps(TG_DEMO, "heun", N, 2 * N - 1);
    check_steps(TG_DEMO, "dpm2", N, 2 * N - 1);
    check_steps(TG_DEMO, "pndm", N, N + 9); /* three steps of four evaluations first */
    check_steps(TG_TEST_DATA "/golden/models/sd1", NULL, N, N + 1); /* PNDM without these */
    check_steps(TG_DEMO, "euler", 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resembles),
                                       cmocka_unit_test(steps_of_schedulers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
