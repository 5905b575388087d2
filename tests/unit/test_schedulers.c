/* SPDX-License-Identifier: MIT */
/* Schedulers against diffusers 0.30.3: whole loops over a formula in place of a network (see
 * tests/golden/make_schedulers.py), and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/config.h"
#include "io/file.h"
#include "samplers/scheduler.h"

enum { COUNT = 2, N = COUNT * 3 * 4 * 4 };

/* The same as in the script. */
static void normals(float *dst, uint32_t draw)
{
    for (uint32_t i = 0; i < N; i++) {
        uint32_t h = i * 0x85EBCA77u + draw * 0x9E3779B1u + 12345u;
        h ^= h >> 15;
        h *= 0x2C1B3C6Du;
        h ^= h >> 12;
        h *= 0x297A2D39u;
        h ^= h >> 15;
        dst[i] = (float)((h / 4294967296.0 - 0.5) * sqrt(12));
    }
}

static void network(float *dst, const float *x, float t)
{
    for (int i = 0; i < N; i++)
        dst[i] = 0.7f * x[i] / (1 + 0.1f * x[i] * x[i]) + 0.05f * (t / 1000);
}

/* The whole loop; returns how often noise was drawn. */
static int run(tg__scheduler *s, float *sample)
{
    float input[N], output[N], noise[N];
    int draws = 0;
    normals(sample, 0);
    for (int i = 0; i < N; i++)
        sample[i] *= tg__scheduler_init_noise_sigma(s);
    for (int i = 0; i < tg__scheduler_evaluations(s); i++) {
        tg__scheduler_scale_input(s, i, input, sample);
        network(output, input, tg__scheduler_timestep(s, i));
        bool wanted = tg__scheduler_wants_noise(s, i);
        if (wanted)
            normals(noise, (uint32_t)++draws);
        tg__scheduler_step(s, i, output, sample, wanted ? noise : NULL);
    }
    return draws;
}

/* --------------------------------------------------------------------------------------- goldens
 */

/* What a class's cases came to. */
typedef struct tally {
    const char *class_name;
    double sample, timestep; /* largest deviations */
    int cases, refused, bad;
} tally;

static tally *tally_of(tally *all, const char *class_name)
{
    int i = 0;
    while (all[i].class_name && strcmp(all[i].class_name, class_name) != 0)
        i++;
    all[i].class_name = class_name;
    return &all[i];
}

/* How far a class may be from diffusers, relative to the largest value: about as far as diffusers
 * is from itself in f64. DEIS and UniPC take small differences of large f32 numbers there, and
 * samples that start at a sigma of thousands lose as many digits. */
static double tolerance(const char *class_name, float init_noise_sigma)
{
    bool rough = strcmp(class_name, "DEISMultistepScheduler") == 0 ||
                 strcmp(class_name, "UniPCMultistepScheduler") == 0;
    return (rough ? 3e-5 : 1e-5) + 6e-8 * (double)init_noise_sigma;
}

/* The largest difference. Whole timesteps are the same ones; those that are not whole come from
 * logarithms in f32. */
static double compare_timesteps(const tg__scheduler *s, const float *expected)
{
    double most = 0;
    for (int i = 0; i < tg__scheduler_evaluations(s); i++)
        most = fmax(most, fabs((double)tg__scheduler_timestep(s, i) - (double)expected[i]));
    return most;
}

static double compare_samples(const float *found, const float *expected)
{
    double most = 0, scale = 1e-30;
    for (int i = 0; i < N; i++) {
        double difference = fabs((double)found[i] - (double)expected[i]);
        most = isnan(difference) ? HUGE_VAL : fmax(most, difference);
        scale = fmax(scale, fabs((double)expected[i]));
    }
    return most / scale;
}

/* A case of the script; returns a scheduler that is prepared, or NULL. */
static tg__scheduler *make(tg__config *line, tg__error *error, const char *short_name)
{
    tg__config *file = tg__config_object(line, "file");
    const char *class_name = tg__config_string(line, "class", ""),
               *prediction = tg__config_string(line, "prediction", "");
    tg__scheduler_override override = {
        .class_name = *short_name   ? short_name
                      : *class_name ? class_name
                                    : NULL,
        .karras = (int)tg__config_int(line, "karras", -1, 1, -1),
        .prediction_type = *prediction ? prediction : NULL,
        .force_stable_diffusion = tg__config_bool(line, "force", false),
    };
    tg__scheduler *s = tg__scheduler_new(file, &override, error);
    int steps = (int)tg__config_int(line, "steps", 1, 1000000, 1);
    if (s && tg__scheduler_set_steps(s, steps, N, COUNT, error) != TG_OK) {
        tg__scheduler_free(s);
        return NULL;
    }
    return s;
}

/* Compares a loop with the values that diffusers gave. */
static bool check_loop(tg__scheduler *s, const float *values, tally *d)
{
    float sample[N];
    int evaluations = tg__scheduler_evaluations(s);
    if (evaluations != (int)values[0])
        return false;
    double timestep = compare_timesteps(s, values + 3);
    float sigma = tg__scheduler_init_noise_sigma(s);
    int draws = run(s, sample);
    double deviates = compare_samples(sample, values + 3 + evaluations);
    d->sample = fmax(d->sample, deviates);
    d->timestep = fmax(d->timestep, timestep);
    if (!(timestep <= 1e-3 && deviates <= tolerance(d->class_name, sigma)))
        print_error("timesteps %g, sample %g, of\n", timestep, deviates);
    return draws == (int)values[1] && fabsf(sigma - values[2]) <= 1e-6f * values[2] &&
           timestep <= 1e-3 && deviates <= tolerance(d->class_name, sigma);
}

/* Checks one line; returns how many values belong to it. */
static size_t check_case(const char *text, size_t length, const float *values, tally *all)
{
    tg__error error = {0};
    tg__config *line = tg__config_parse(text, length, "cases.jsonl", &error);
    assert_non_null(line);
    tg__scheduler *s = make(line, &error, tg__config_string(line, "short", ""));
    bool expected = values[0] >= 0, good = expected == (s != NULL);
    tally none = {.class_name = "refused"};
    tally *d = s ? tally_of(all, tg__scheduler_class(s)) : &none;
    if (s && expected)
        good = check_loop(s, values, d);
    else if (!s)
        good = good && (error.status == TG_ERROR_ARGUMENT || error.status == TG_ERROR_UNSUPPORTED ||
                        error.status == TG_ERROR_FORMAT);
    d->cases++;
    if (!good)
        print_error("%.*s\n  %s %s\n", (int)length, text, d->class_name, error.message);
    all->bad += !good;
    tg__scheduler_free(s);
    tg__config_close(line);
    return expected ? 3 + (size_t)values[0] + N : 1;
}

static void test_goldens(void **state)
{
    tg__error error = {0};
    size_t length, bytes, used = 0;
    tally all[32] = {{"all", 0, 0, 0, 0, 0}};
    char *cases =
        tg__file_read(TG_TEST_DATA "/golden/schedulers/cases.jsonl", 1 << 22, &length, &error);
    char *values =
        tg__file_read(TG_TEST_DATA "/golden/schedulers/values.f32", 1 << 22, &bytes, &error);
    (void)state;
    assert_string_equal(error.message, "");
    for (char *line = cases, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        assert_non_null(end);
        assert_true(used < bytes / sizeof(float));
        used += check_case(line, (size_t)(end - line), (const float *)(void *)values + used, all);
    }
    assert_int_equal(used, bytes / sizeof(float));
    for (tally *d = all; d->class_name; d++)
        print_message("%-32s %4d cases, sample %.1e, timestep %.1e\n", d->class_name, d->cases,
                      d->sample, d->timestep);
    assert_int_equal(all->bad, 0);
    free(cases);
    free(values);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
