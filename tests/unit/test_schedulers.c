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
    int cases;
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

enum { MOST_TIMESTEPS = 64 };

/* What a case asks for; timesteps: room for the list of it. */
static tg__steps steps_of(tg__config *line, int *timesteps)
{
    tg__steps steps = {
        .count = (int)tg__config_int(line, "steps", 1, 1000000, 1),
        .original_steps = (int)tg__config_int(line, "original", 1, 1000000, 0),
        .eta = tg__config_number(line, "eta", 0, 1, 0),
    };
    int count = tg__config_list(line, "timesteps", MOST_TIMESTEPS);
    for (int i = 0; i < count; i++)
        timesteps[i] = (int)tg__config_list_int(line, "timesteps", i, 0, 1000000);
    if (count >= 0) {
        steps.timesteps = timesteps;
        steps.count = count;
    }
    return steps;
}

/* A case of the script; returns a scheduler that is prepared, or NULL. */
static tg__scheduler *make(tg__config *line, tg__error *error, const char *short_name)
{
    tg__config *file = tg__config_object(line, "file");
    const char *class_name = tg__config_string(line, "class", ""),
               *prediction = tg__config_string(line, "prediction", "");
    int timesteps[MOST_TIMESTEPS];
    tg__scheduler_override override = {
        .class_name = *short_name   ? short_name
                      : *class_name ? class_name
                                    : NULL,
        .karras = (int)tg__config_int(line, "karras", -1, 1, -1),
        .prediction_type = *prediction ? prediction : NULL,
        .timestep_spacing = tg__config_string(line, "spacing", NULL),
        .force_stable_diffusion = tg__config_bool(line, "force", false),
    };
    tg__scheduler *s = tg__scheduler_new(file, &override, error);
    tg__steps steps = steps_of(line, timesteps);
    if (s && tg__scheduler_set_steps(s, &steps, N, COUNT, error) != TG_OK) {
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

/* Checks one line and counts it in *bad; returns how many values belong to it. */
static size_t check_case(const char *text, size_t length, const float *values, tally *all, int *bad)
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
                        error.status == TG_ERROR_FORMAT || error.status == TG_ERROR_NUMERIC);
    d->cases++;
    if (!good)
        print_error("%.*s\n  %s %s\n", (int)length, text, d->class_name, error.message);
    *bad += !good;
    tg__scheduler_free(s);
    tg__config_close(line);
    return expected ? 3 + (size_t)values[0] + N : 1;
}

static void test_goldens(void **state)
{
    tg__error error = {0};
    size_t length, bytes, used = 0;
    tally all[32] = {{0}};
    int bad = 0;
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
        used +=
            check_case(line, (size_t)(end - line), (const float *)(void *)values + used, all, &bad);
    }
    assert_int_equal(used, bytes / sizeof(float));
    for (tally *d = all; d->class_name; d++)
        print_message("%-32s %4d cases, sample %.1e, timestep %.1e\n", d->class_name, d->cases,
                      d->sample, d->timestep);
    assert_int_equal(bad, 0);
    free(cases);
    free(values);
}

/* ---------------------------------------------------------------------------------------- errors
 */

/* What becomes of a config's text with an override, prepared for steps: the message, "" if all is
 * well. */
static const char *outcome(tg__error *error, const char *text, tg__scheduler_override override,
                           int steps)
{
    *error = (tg__error){0};
    tg__config *config = tg__config_parse(text, strlen(text), "scheduler_config.json", error);
    tg__scheduler *s = config ? tg__scheduler_new(config, &override, error) : NULL;
    if (s)
        tg__scheduler_set_steps(s, &(tg__steps){.count = steps}, N, COUNT, error);
    assert_true(s || error->status != TG_OK);
    tg__scheduler_free(s);
    tg__config_close(config);
    return error->message;
}

/* The keys are put behind the class's name. */
static const char *outcome_of(tg__error *error, const char *class_name, const char *keys, int steps)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"_class_name\": \"%s\"%s%s}", class_name, *keys ? ", " : "",
             keys);
    return outcome(error, text, (tg__scheduler_override){.karras = -1}, steps);
}

#define AT "scheduler_config.json: "

static void test_refused_keys(void **state)
{
    static const struct {
        const char *class_name, *keys, *message;
        tg_status status;
    } cases[] = {
        {"DDIMScheduler", "\"use_beta_sigmas\": true",
         AT "use_beta_sigmas true is not a key of any scheduler", TG_ERROR_UNSUPPORTED},
        {"DDIMScheduler", "\"x\\ny\": [1]", AT "x?y [1] is not a key of any scheduler",
         TG_ERROR_UNSUPPORTED},
        {"FooScheduler", "",
         AT "_class_name \"FooScheduler\" is not implemented, expected ddim, ddpm, pndm, lms, "
            "euler, euler-a, heun, dpm2, dpmpp-2m, dpmpp-2m-sde, dpmpp-2s, unipc, deis, lcm or tcd",
         TG_ERROR_UNSUPPORTED},
        {"DDIMScheduler", "\"num_train_timesteps\": 1000000000000",
         AT "num_train_timesteps is 1000000000000, expected an integer from 1 to 100000",
         TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"num_train_timesteps\": 0",
         AT "num_train_timesteps is 0, expected an integer from 1 to 100000", TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"beta_start\": 1.5",
         AT "beta_start is 1.5, expected a number from 0 to 1", TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"beta_end\": NaN", AT "beta_end is NaN, expected a number from 0 to 1",
         TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"trained_betas\": []",
         AT "trained_betas is empty, expected a beta or more", TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"trained_betas\": [0.1, -3]",
         AT "trained_betas[1] is -3, expected 0 to 1", TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"trained_betas\": [0.1, NaN]",
         AT "trained_betas[1] is NaN, expected a finite number", TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"rescale_betas_zero_snr\": true, \"trained_betas\": [0.5]",
         AT "rescale_betas_zero_snr is impossible with these betas", TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"beta_schedule\": \"sigmoid\"",
         AT "beta_schedule \"sigmoid\" is not implemented for DDIMScheduler", TG_ERROR_UNSUPPORTED},
        {"DDIMScheduler", "\"timestep_spacing\": null",
         AT "timestep_spacing is null, expected a name", TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"timestep_spacing\": \"random\"",
         AT
         "timestep_spacing \"random\" is not implemented, expected leading, linspace or trailing",
         TG_ERROR_UNSUPPORTED},
        {"DDIMScheduler", "\"clip_sample\": \"yes\"",
         AT "clip_sample is \"yes\", expected true or false", TG_ERROR_FORMAT},
        {"DDIMScheduler", "\"prediction_type\": \"original_sample\"",
         AT "prediction_type \"original_sample\" is not implemented for DDIMScheduler",
         TG_ERROR_UNSUPPORTED},
        {"PNDMScheduler", "\"prediction_type\": \"sample\"",
         AT "prediction_type \"sample\" is not implemented for PNDMScheduler",
         TG_ERROR_UNSUPPORTED},
        {"DDPMScheduler", "\"variance_type\": \"learned\"",
         AT "variance_type \"learned\" is not implemented, expected fixed_small, fixed_small_log "
            "or fixed_large",
         TG_ERROR_UNSUPPORTED},
        {"DPMSolverMultistepScheduler", "\"variance_type\": \"learned_range\"",
         AT "variance_type \"learned_range\" is not implemented for DPMSolverMultistepScheduler",
         TG_ERROR_UNSUPPORTED},
        {"DPMSolverMultistepScheduler", "\"algorithm_type\": \"dpmsolver\"",
         AT "algorithm_type \"dpmsolver\" of DPMSolverMultistepScheduler needs final_sigmas_type "
            "\"sigma_min\", found \"zero\"",
         TG_ERROR_UNSUPPORTED},
        {"DPMSolverSinglestepScheduler", "\"algorithm_type\": \"sde-dpmsolver\"",
         AT "algorithm_type \"sde-dpmsolver\" is not implemented for DPMSolverSinglestepScheduler",
         TG_ERROR_UNSUPPORTED},
        {"DPMSolverSinglestepScheduler",
         "\"algorithm_type\": \"dpmsolver\", \"final_sigmas_type\": \"sigma_min\", "
         "\"thresholding\": true",
         AT "thresholding with algorithm_type \"dpmsolver\" is not implemented for "
            "DPMSolverSinglestepScheduler",
         TG_ERROR_UNSUPPORTED},
        {"DPMSolverSinglestepScheduler", "\"solver_order\": 4",
         AT "solver_order is 4, expected an integer from 1 to 3", TG_ERROR_FORMAT},
        {"UniPCMultistepScheduler", "\"solver_p\": {}", AT "solver_p {} is not implemented",
         TG_ERROR_UNSUPPORTED},
        {"UniPCMultistepScheduler", "\"predict_x0\": false",
         AT "predict_x0 false of UniPCMultistepScheduler needs final_sigmas_type \"sigma_min\", "
            "found \"zero\"",
         TG_ERROR_UNSUPPORTED},
        {"UniPCMultistepScheduler", "\"disable_corrector\": [0, 1.5]",
         AT "disable_corrector[1] is 1.5, expected an integer from -2147483648 to 2147483647",
         TG_ERROR_FORMAT},
        {"EulerDiscreteScheduler", "\"sigma_min\": -1",
         AT "sigma_min is -1, expected a number from 0 to 1e+06", TG_ERROR_FORMAT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tg__error error;
        assert_string_equal(outcome_of(&error, cases[i].class_name, cases[i].keys, 4),
                            cases[i].message);
        assert_int_equal(error.status, cases[i].status);
    }
}

static void test_refused_steps(void **state)
{
    static const struct {
        const char *class_name, *keys;
        int steps;
        const char *message;
    } cases[] = {
        {"DDIMScheduler", "", 0, "steps is 0, expected 1 to 1000"},
        {"DDIMScheduler", "", 1001, "steps is 1001, expected 1 to 1000"},
        {"DDIMScheduler", "\"steps_offset\": 1", 1000,
         "DDIMScheduler: 1000 steps with steps_offset 1 evaluate timestep 1000, expected 0 to 999"},
        {"DDIMScheduler", "\"steps_offset\": -40", 10,
         "DDIMScheduler: 10 steps with steps_offset -40 evaluate timestep -40, expected 0 to 999"},
        {"PNDMScheduler", "\"trained_betas\": [0.1, 0.2], \"skip_prk_steps\": true", 10,
         "PNDMScheduler: 10 steps with steps_offset 0 evaluate timestep 900, expected 0 to 1"},
        {"PNDMScheduler", "", 3,
         "PNDMScheduler: 3 steps, expected at least 4 without skip_prk_steps"},
        {"DDIMScheduler",
         "\"rescale_betas_zero_snr\": true, \"clip_sample\": false, "
         "\"timestep_spacing\": \"trailing\"",
         4, "DDIMScheduler: evaluation 1 of 4, at timestep 999, divides by zero"},
        {"UniPCMultistepScheduler", "\"timestep_spacing\": \"leading\"", 1000,
         "UniPCMultistepScheduler: 1000 steps start at timestep 0 twice, which it cannot do"},
        {"EulerDiscreteScheduler", "\"use_karras_sigmas\": true, \"sigma_max\": 1000", 10,
         "EulerDiscreteScheduler: 10 steps start at timestep 999 twice, which it cannot do"},
        {"DPMSolverMultistepScheduler",
         "\"algorithm_type\": \"sde-dpmsolver++\", \"solver_order\": 3", 6,
         "DPMSolverMultistepScheduler: solver_order 3 with algorithm_type \"sde-dpmsolver++\" is "
         "not implemented for 6 steps"},
        {"DPMSolverMultistepScheduler", "\"lambda_min_clipped\": Infinity", 4,
         "DPMSolverMultistepScheduler: lambda_min_clipped inf leaves no timestep"},
        {"HeunDiscreteScheduler", "\"num_train_timesteps\": 1, \"use_karras_sigmas\": true", 1,
         "HeunDiscreteScheduler: 1 steps have no timesteps"},
        {"LMSDiscreteScheduler", "\"beta_start\": 1", 4,
         "LMSDiscreteScheduler: evaluation 1 of 4, at timestep 999, divides by zero"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tg__error error;
        assert_string_equal(outcome_of(&error, cases[i].class_name, cases[i].keys, cases[i].steps),
                            cases[i].message);
        /* The number of steps can be helped, a noise schedule that ends in nothing cannot. */
        bool numeric = strstr(cases[i].message, "divides by zero");
        assert_int_equal(error.status, numeric ? TG_ERROR_NUMERIC : TG_ERROR_ARGUMENT);
    }
}

static void test_ignored_keys(void **state)
{
    tg__error error;
    (void)state;
    assert_string_equal(
        outcome_of(&error, "DDIMScheduler",
                   "\"_anything\": 1, \"flow_shift\": 3.0, \"time_shift_type\": \"exponential\", "
                   "\"use_beta_sigmas\": false, \"invented\": null, \"sigma_data\": 0.5, "
                   "\"noise_sampler_seed\": 7, \"use_karras_sigmas\": \"of another class\"",
                   4),
        "");
}

static void test_overrides(void **state)
{
    static const char text[] = "{\"_class_name\": \"PNDMScheduler\", \"skip_prk_steps\": true}";
    tg__error error;
    (void)state;
    assert_string_equal(
        outcome(&error, text, (tg__scheduler_override){.class_name = "fast", .karras = -1}, 4),
        "scheduler \"fast\" is not implemented, expected ddim, ddpm, pndm, lms, euler, euler-a, "
        "heun, dpm2, dpmpp-2m, dpmpp-2m-sde, dpmpp-2s, unipc, deis, lcm or tcd");
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    assert_string_equal(
        outcome(&error, text, (tg__scheduler_override){.folder_class = "Own", .karras = -1}, 4),
        "model_index.json: scheduler \"Own\" is not implemented, expected ddim, ddpm, pndm, lms, "
        "euler, euler-a, heun, dpm2, dpmpp-2m, dpmpp-2m-sde, dpmpp-2s, unipc, deis, lcm or tcd");
    assert_int_equal(error.status, TG_ERROR_UNSUPPORTED);
    for (int karras = 0; karras < 2; karras++) {
        assert_string_equal(outcome(&error, text, (tg__scheduler_override){.karras = karras}, 4),
                            "PNDMScheduler has no Karras sigmas");
        assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    }
    assert_string_equal(
        outcome(&error, text, (tg__scheduler_override){.prediction_type = "velocity", .karras = -1},
                4),
        "prediction type \"velocity\" is not known, expected epsilon, v_prediction or sample");
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    assert_string_equal(outcome(&error, text,
                                (tg__scheduler_override){.prediction_type = "sample", .karras = -1},
                                4),
                        "prediction type \"sample\" is not implemented for PNDMScheduler");
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    assert_string_equal(outcome(&error, "{}", (tg__scheduler_override){.karras = -1}, 4),
                        AT "_class_name is missing, expected the name of a scheduler");
    assert_string_equal(
        outcome(&error, "{}",
                (tg__scheduler_override){.folder_class = "DDIMScheduler", .karras = -1}, 4),
        "");
}

/* --------------------------------------------------------------------------------- the interface
 */

static void test_list(void **state)
{
    const char *class_name, *short_name;
    int count = 0;
    (void)state;
    for (; tg__scheduler_list(count, &class_name, &short_name); count++) {
        for (int by_class = 0; by_class < 2; by_class++) {
            tg__error error = {0};
            tg__scheduler_override override = {.class_name = by_class ? class_name : short_name,
                                               .karras = -1};
            tg__config *config = tg__config_parse("{}", 2, "x", &error);
            tg__scheduler *s = tg__scheduler_new(config, &override, &error);
            assert_string_equal(error.message, "");
            assert_string_equal(tg__scheduler_class(s), class_name);
            assert_string_equal(tg__scheduler_prediction(s), "epsilon");
            assert_int_equal(tg__scheduler_train_steps(s), 1000);
            tg__scheduler_free(s);
            tg__config_close(config);
        }
    }
    assert_int_equal(count, 15);
    assert_false(tg__scheduler_list(-1, &class_name, &short_name));
}

/* A scheduler that was used starts afresh, and one that has failed can be prepared again. */
static void test_again(void **state)
{
    const char *class_name, *short_name;
    (void)state;
    for (int i = 0; tg__scheduler_list(i, &class_name, &short_name); i++) {
        tg__error error = {0};
        float first[N], second[N];
        tg__scheduler_override override = {.class_name = short_name, .karras = -1};
        tg__config *config = tg__config_parse("{}", 2, "x", &error);
        tg__scheduler *s = tg__scheduler_new(config, &override, &error);
        assert_int_equal(tg__scheduler_set_steps(s, &(tg__steps){.count = 6}, N, COUNT, &error),
                         TG_OK);
        run(s, first);
        assert_int_equal(tg__scheduler_set_steps(s, &(tg__steps){.count = 1001}, N, COUNT, &error),
                         TG_ERROR_ARGUMENT);
        assert_int_equal(tg__scheduler_evaluations(s), 0);
        error = (tg__error){0};
        assert_int_equal(tg__scheduler_set_steps(s, &(tg__steps){.count = 9}, N, COUNT, &error),
                         TG_OK);
        run(s, second);
        assert_int_equal(tg__scheduler_set_steps(s, &(tg__steps){.count = 6}, N, COUNT, &error),
                         TG_OK);
        run(s, second);
        assert_memory_equal(first, second, sizeof first);
        tg__scheduler_free(s);
        tg__config_close(config);
    }
    tg__scheduler_free(NULL);
}

/* More floats than memory has. */
static void test_memory(void **state)
{
    tg__error error = {0};
    tg__scheduler_override override = {.class_name = "unipc", .karras = -1};
    tg__config *config = tg__config_parse("{}", 2, "x", &error);
    tg__scheduler *s = tg__scheduler_new(config, &override, &error);
    (void)state;
    assert_int_equal(tg__scheduler_set_steps(s, &(tg__steps){.count = 6}, SIZE_MAX / 4, 1, &error),
                     TG_ERROR_MEMORY);
    assert_string_equal(error.message, "out of memory");
    tg__scheduler_free(s);
    tg__config_close(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),       cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_refused_steps), cmocka_unit_test(test_ignored_keys),
        cmocka_unit_test(test_overrides),     cmocka_unit_test(test_list),
        cmocka_unit_test(test_again),         cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
