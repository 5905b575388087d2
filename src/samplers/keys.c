/* SPDX-License-Identifier: MIT */
/* Reading a scheduler's config: diffusers 0.30.3's keys with each class's defaults, what its
 * constructor replaces, and what it refuses. */
#include "samplers/keys.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_UNCORRECTED = 1000, MOST_OFFSET = 1000000 };

/* The last is Euler's other name for "sample". */
const char *const tg__prediction_names[] = {"epsilon", "v_prediction", "sample", "original_sample",
                                            NULL};
static const char *const beta_names[] = {"linear",  "scaled_linear", "squaredcos_cap_v2",
                                         "sigmoid", "exp",           NULL};
const char *const tg__spacing_names[] = {"leading", "linspace", "trailing", NULL};
static const char *const algorithm_names[] = {"dpmsolver",       "dpmsolver++", "sde-dpmsolver",
                                              "sde-dpmsolver++", "deis",        NULL};
static const char *const solver_names[] = {"midpoint", "heun", "logrho", "bh1", "bh2", NULL};

/* ----------------------------------------------------------------------------------- single keys
 */

/* What "%s: KEY VALUE is not implemented for CLASS" tells. */
static void refuse(const tg__scheduler *s, tg__config *config, const char *key, const char *value)
{
    char shown[80];
    tg__fail(tg__config_error(config), TG_ERROR_UNSUPPORTED,
             "%s: %s \"%s\" is not implemented for %s", tg__config_where(config), key,
             tg__printable(shown, sizeof shown, value), s->sampler->name);
}

/* true, false, or null for false. */
static bool read_flag(tg__config *config, const char *key, bool otherwise)
{
    if (tg__config_has(config, key) && !tg__config_is_set(config, key))
        return false;
    return tg__config_bool(config, key, otherwise);
}

/* One of names, which null is not. */
static int read_choice(tg__config *config, const char *key, const char *const *names, int otherwise)
{
    char shown[80];
    if (tg__config_has(config, key) && !tg__config_is_set(config, key))
        tg__fail(tg__config_error(config), TG_ERROR_FORMAT, "%s: %s is %s, expected a name",
                 tg__config_where(config), key, tg__config_show(config, key, shown, sizeof shown));
    return tg__config_choice(config, key, names, otherwise);
}

/* The same; those not in the set are refused. */
static int read_choice_of(const tg__scheduler *s, tg__config *config, const char *key,
                          const char *const *names, unsigned set, int otherwise)
{
    int choice = read_choice(config, key, names, otherwise);
    if (!(set & TG__SET(choice)))
        refuse(s, config, key, names[choice]);
    return choice;
}

/* ------------------------------------------------------------------------------- groups of keys */

static void read_trained_betas(tg__scheduler *s, tg__config *config)
{
    tg__error *error = tg__config_error(config);
    int count = tg__config_list(config, "trained_betas", TG__MOST_TRAIN_STEPS);
    if (count < 0)
        return;
    if (count == 0) {
        tg__fail(error, TG_ERROR_FORMAT, "%s: trained_betas is empty, expected a beta or more",
                 tg__config_where(config));
        return;
    }
    s->trained_betas = malloc((size_t)count * sizeof *s->trained_betas);
    if (!s->trained_betas) {
        tg__fail_memory(error);
        return;
    }
    s->length = count;
    for (int i = 0; i < count && !tg__failed(error); i++) {
        double beta = tg__config_list_number(config, "trained_betas", i);
        if (!(beta >= 0 && beta <= 1))
            tg__fail(error, TG_ERROR_FORMAT, "%s: trained_betas[%d] is %g, expected 0 to 1",
                     tg__config_where(config), i, beta);
        s->trained_betas[i] = (float)beta;
    }
}

static void read_betas(tg__scheduler *s, const tg__key_source *source)
{
    tg__config *config = source->config;
    tg__keys *k = &s->keys;
    k->train_steps =
        (int)tg__config_int(config, "num_train_timesteps", 1, TG__MOST_TRAIN_STEPS, 1000);
    s->length = k->train_steps;
    k->beta_start = tg__config_number(config, "beta_start", 0, 1, s->sampler->beta_start);
    k->beta_end = tg__config_number(config, "beta_end", 0, 1, s->sampler->beta_end);
    read_trained_betas(s, config);
    if (!s->trained_betas)
        k->beta_schedule =
            (tg__beta_schedule)read_choice_of(s, config, "beta_schedule", beta_names,
                                              s->sampler->betas, (int)s->sampler->beta_schedule);
    if (s->sampler->keys & TG__HAS_ZERO_SNR)
        k->rescale_betas_zero_snr =
            read_flag(config, "rescale_betas_zero_snr", false) || source->zero_snr;
}

static void read_prediction(tg__scheduler *s, const tg__key_source *source)
{
    tg__config *config = source->config;
    const char *const *names = tg__prediction_names;
    int choice = TG__EPSILON;
    if (source->prediction)
        while (strcmp(names[choice], source->prediction) != 0)
            choice++;
    else
        choice = read_choice(config, "prediction_type", names, TG__EPSILON);
    bool alias = choice > TG__SAMPLE;
    s->keys.prediction = alias ? TG__SAMPLE : (tg__prediction)choice;
    if ((s->sampler->predictions & TG__SET(s->keys.prediction)) &&
        !(alias && !(s->sampler->keys & TG__HAS_EULER)))
        return;
    if (source->prediction)
        tg__fail_about(tg__config_error(config), TG_ERROR_ARGUMENT, "prediction_type",
                       "prediction type \"%s\" is not implemented for %s", names[choice],
                       s->sampler->name);
    else
        refuse(s, config, "prediction_type", names[choice]);
}

/* steps_offset and clip_sample, which StableDiffusionPipeline sets to 1 and to false in the config
 * of the scheduler that it is given. In one made of that scheduler's config, a key that was in the
 * file keeps what it was set to; one that was not takes the class's default. */
static bool is_forced(const tg__key_source *source, const char *key)
{
    return source->force_stable_diffusion &&
           (tg__config_has(source->config, key) || !source->again);
}

static void read_spacing(tg__scheduler *s, const tg__key_source *source)
{
    tg__config *config = source->config;
    bool forced = is_forced(source, "steps_offset");
    s->keys.spacing = (tg__spacing)read_choice(config, "timestep_spacing", tg__spacing_names,
                                               (int)s->sampler->spacing);
    for (int i = 0; source->spacing && tg__spacing_names[i]; i++)
        if (strcmp(tg__spacing_names[i], source->spacing) == 0)
            s->keys.spacing = (tg__spacing)i;
    /* Only leading timesteps have it added to them. */
    bool unused = forced || s->keys.spacing != TG__LEADING;
    int64_t offset =
        unused ? tg__config_int_or_null(config, "steps_offset", -MOST_OFFSET, MOST_OFFSET, 0)
               : tg__config_int(config, "steps_offset", -MOST_OFFSET, MOST_OFFSET, 0);
    s->keys.steps_offset = forced ? 1 : (int)offset;
}

static void read_clip(tg__scheduler *s, const tg__key_source *source)
{
    tg__config *config = source->config;
    bool clip = read_flag(config, "clip_sample", s->sampler->clip_sample);
    s->keys.clip_sample = clip && !is_forced(source, "clip_sample");
    s->keys.clip_range = tg__config_number(config, "clip_sample_range", 0, 1e6, 1);
}

static void read_thresholding(tg__scheduler *s, tg__config *config)
{
    tg__keys *k = &s->keys;
    k->thresholding = read_flag(config, "thresholding", false);
    k->threshold_ratio = tg__config_number(config, "dynamic_thresholding_ratio", 0, 1, 0.995);
    k->threshold_most = tg__config_number(config, "sample_max_value", 1e-6, 1e6, 1);
}

static void read_karras(tg__scheduler *s, const tg__key_source *source)
{
    tg__config *config = source->config;
    tg__keys *k = &s->keys;
    k->karras = read_flag(config, "use_karras_sigmas", false);
    if (source->karras >= 0)
        k->karras = source->karras > 0;
    /* Only Euler has these keys, but every class finds them in the config that it keeps. */
    if (s->sampler->keys & TG__HAS_SIGMA_RANGE) {
        k->sigma_min = tg__config_number_or_null(config, "sigma_min", 0, 1e6, -1);
        k->sigma_max = tg__config_number_or_null(config, "sigma_max", 0, 1e6, -1);
    }
}

static void read_final_sigma(tg__scheduler *s, tg__config *config)
{
    static const char *const names[] = {"zero", "sigma_min", NULL};
    s->keys.final_sigma_min = read_choice(config, "final_sigmas_type", names, 0) == 1;
}

static void read_solver(tg__scheduler *s, const tg__key_source *source)
{
    tg__config *config = source->config;
    const tg__sampler *original = source->original;
    tg__keys *k = &s->keys;
    int default_solver = (int)s->sampler->solver;
    int most = s->sampler == &tg__dpm_singlestep ? 3 : TG__MOST_ORDER;
    k->solver_order = (int)tg__config_int(config, "solver_order", 1, most, 2);
    int solver = read_choice(config, "solver_type", solver_names, default_solver);
    if (source->again && original && (original->keys & TG__HAS_SOLVER) &&
        !(original->solvers & TG__SET(solver)) && tg__config_has(config, "solver_type"))
        solver = (int)original->solver;
    k->solver = s->sampler->solvers & TG__SET(solver) ? (tg__solver)solver : s->sampler->solver;
    k->lower_order_final = read_flag(config, "lower_order_final", s->sampler->lower_order_final);
}

/* The algorithm before the class's constructor has replaced it. */
static int given_algorithm(const tg__scheduler *s, const tg__key_source *source)
{
    const tg__sampler *original = source->original;
    int algorithm = 0;
    if (source->algorithm) {
        while (strcmp(algorithm_names[algorithm], source->algorithm) != 0)
            algorithm++;
        return algorithm;
    }
    algorithm =
        read_choice(source->config, "algorithm_type", algorithm_names, (int)s->sampler->algorithm);
    bool replaced = source->again && original &&
                    (original->mapped_algorithms & TG__SET(algorithm)) &&
                    tg__config_has(source->config, "algorithm_type");
    return replaced ? (int)original->algorithm : algorithm;
}

static void read_algorithm(tg__scheduler *s, const tg__key_source *source)
{
    tg__config *config = source->config;
    tg__keys *k = &s->keys;
    int given = given_algorithm(s, source);
    bool works = s->sampler->algorithms & TG__SET(given);
    k->algorithm = works ? (tg__algorithm)given : s->sampler->algorithm;
    if (!works && !(s->sampler->mapped_algorithms & TG__SET(given))) {
        refuse(s, config, "algorithm_type", algorithm_names[given]);
        return;
    }
    if (!(s->sampler->keys & TG__HAS_FINAL_SIGMA) || given == TG__DPMPP || given == TG__SDE_DPMPP)
        return;
    /* diffusers looks at the name that it was given, even where it has just replaced it. */
    if (!k->final_sigma_min)
        tg__fail(tg__config_error(config), TG_ERROR_UNSUPPORTED,
                 "%s: algorithm_type \"%s\" of %s needs final_sigmas_type \"sigma_min\", found "
                 "\"zero\"",
                 tg__config_where(config), algorithm_names[given], s->sampler->name);
    else if (k->thresholding && s->sampler == &tg__dpm_singlestep && given == TG__DPM)
        tg__fail(tg__config_error(config), TG_ERROR_UNSUPPORTED,
                 "%s: thresholding with algorithm_type \"dpmsolver\" is not implemented for %s",
                 tg__config_where(config), s->sampler->name);
}

static void read_variance(tg__scheduler *s, tg__config *config)
{
    static const char *const ddpm[] = {"fixed_small", "fixed_small_log", "fixed_large", NULL};
    if (s->sampler->keys & TG__HAS_VARIANCE) {
        s->keys.fixed_large = tg__config_choice(config, "variance_type", ddpm, 0) == 2;
        return;
    }
    /* DPM-Solver asks whether the network's output of noise holds a variance, too, to be cut off.
     */
    const char *type = tg__config_string(config, "variance_type", "");
    if ((strcmp(type, "learned") == 0 || strcmp(type, "learned_range") == 0) &&
        s->keys.prediction == TG__EPSILON)
        refuse(s, config, "variance_type", type);
}

static void read_euler(tg__scheduler *s, tg__config *config)
{
    static const char *const interpolations[] = {"linear", "log_linear", NULL};
    static const char *const types[] = {"discrete", "continuous", NULL};
    s->keys.log_linear = read_choice(config, "interpolation_type", interpolations, 0) == 1;
    s->keys.continuous = tg__config_choice(config, "timestep_type", types, 0) == 1;
}

static void read_unipc(tg__scheduler *s, tg__config *config)
{
    tg__error *error = tg__config_error(config);
    s->keys.predict_x0 = read_flag(config, "predict_x0", true);
    if (!s->keys.predict_x0)
        s->keys.thresholding = false;
    tg__config_refuse(config, "solver_p", NULL);
    /* diffusers multiplies infinity by zero there. */
    bool to_zero = s->keys.predict_x0 && s->keys.solver != TG__BH1;
    if (!to_zero && !s->keys.final_sigma_min)
        tg__fail(error, TG_ERROR_UNSUPPORTED,
                 "%s: %s of %s needs final_sigmas_type \"sigma_min\", found \"zero\"",
                 tg__config_where(config),
                 s->keys.predict_x0 ? "solver_type \"bh1\"" : "predict_x0 false", s->sampler->name);
    int count = tg__config_list(config, "disable_corrector", MOST_UNCORRECTED);
    if (count <= 0)
        return;
    s->uncorrected = malloc((size_t)count * sizeof *s->uncorrected);
    if (!s->uncorrected) {
        tg__fail_memory(error);
        return;
    }
    s->uncorrected_count = count;
    for (int i = 0; i < count; i++)
        s->uncorrected[i] =
            (int)tg__config_list_int(config, "disable_corrector", i, INT_MIN, INT_MAX);
}

static void read_distilled(tg__scheduler *s, tg__config *config)
{
    unsigned has = s->sampler->keys;
    if (has & TG__HAS_ORIGINAL_STEPS)
        s->keys.original_steps =
            (int)tg__config_int(config, "original_inference_steps", 1, TG__MOST_TRAIN_STEPS, 50);
    if (has & TG__HAS_TIMESTEP_SCALING)
        s->keys.timestep_scaling = tg__config_number(config, "timestep_scaling", -1e6, 1e6, 10);
}

tg_status tg__read_keys(tg__scheduler *s, const tg__key_source *source, tg__error *error)
{
    tg__config *config = source->config;
    unsigned has = s->sampler->keys;
    s->keys = (tg__keys){
        .spacing = s->sampler->spacing,
        .final_sigma_min = s->sampler->final_sigma_min,
        .sigma_min = -1,
        .sigma_max = -1,
        .lambda_min_clipped = -HUGE_VAL,
        .predict_x0 = true,
    };
    read_betas(s, source);
    read_prediction(s, source);
    if (has & TG__HAS_SPACING)
        read_spacing(s, source);
    if (has & TG__HAS_CLIP)
        read_clip(s, source);
    if (has & TG__HAS_THRESHOLDING)
        read_thresholding(s, config);
    if (has & TG__HAS_ALPHA_TO_ONE)
        s->keys.set_alpha_to_one =
            read_flag(config, "set_alpha_to_one", s->sampler->set_alpha_to_one);
    if (has & TG__HAS_SKIP_PRK)
        s->keys.skip_prk_steps = read_flag(config, "skip_prk_steps", false);
    if (has & TG__HAS_KARRAS)
        read_karras(s, source);
    if (has & TG__HAS_FINAL_SIGMA)
        read_final_sigma(s, config);
    if (has & TG__HAS_SOLVER)
        read_solver(s, source);
    if (has & TG__HAS_ALGORITHM)
        read_algorithm(s, source);
    if (has & TG__HAS_LAMBDA_MIN)
        s->keys.lambda_min_clipped =
            tg__config_number(config, "lambda_min_clipped", -HUGE_VAL, HUGE_VAL, -HUGE_VAL);
    if (has & (TG__HAS_VARIANCE | TG__HAS_MEAN_OF_VARIANCE))
        read_variance(s, config);
    if (has & TG__HAS_EULER)
        read_euler(s, config);
    if (has & TG__HAS_DPM_MULTISTEP) {
        s->keys.euler_at_final = read_flag(config, "euler_at_final", false);
        s->keys.lu_lambdas = read_flag(config, "use_lu_lambdas", false);
    }
    if (has & TG__HAS_UNIPC)
        read_unipc(s, config);
    read_distilled(s, config);
    return error->status;
}

/* --------------------------------------------------------------------------- keys of any class */

/* The arguments of all schedulers in diffusers 0.30.3, and two keys that it does not know but that
 * are found in files. */
static const char *const known[] = {"algorithm_type",
                                    "alpha_cum_end",
                                    "alpha_cum_start",
                                    "base_image_seq_len",
                                    "base_shift",
                                    "beta_end",
                                    "beta_max",
                                    "beta_min",
                                    "beta_schedule",
                                    "beta_start",
                                    "clip_denoised",
                                    "clip_sample",
                                    "clip_sample_range",
                                    "correct_steps",
                                    "corrector_order",
                                    "disable_corrector",
                                    "dynamic_thresholding_ratio",
                                    "eta",
                                    "euler_at_final",
                                    "final_sigmas_type",
                                    "flow_shift",
                                    "gamma_cum_end",
                                    "gamma_cum_start",
                                    "interpolation_type",
                                    "lambda_min_clipped",
                                    "lower_order_final",
                                    "mask_token_id",
                                    "masking_schedule",
                                    "max_image_seq_len",
                                    "max_shift",
                                    "noise_sampler_seed",
                                    "num_train_timesteps",
                                    "num_vec_classes",
                                    "original_inference_steps",
                                    "predict_x0",
                                    "prediction_type",
                                    "predictor_order",
                                    "rescale_betas_zero_snr",
                                    "rho",
                                    "s",
                                    "s_churn",
                                    "s_max",
                                    "s_min",
                                    "s_noise",
                                    "sample_max_value",
                                    "sampling_eps",
                                    "scaler",
                                    "set_alpha_to_one",
                                    "shift",
                                    "sigma_data",
                                    "sigma_max",
                                    "sigma_min",
                                    "sigma_schedule",
                                    "skip_prk_steps",
                                    "snr",
                                    "snr_shift_scale",
                                    "solver_order",
                                    "solver_p",
                                    "solver_type",
                                    "steps_offset",
                                    "tau_func",
                                    "thresholding",
                                    "time_shift_type",
                                    "timestep_scaling",
                                    "timestep_spacing",
                                    "timestep_type",
                                    "trained_betas",
                                    "use_dynamic_shifting",
                                    "use_karras_sigmas",
                                    "use_lu_lambdas",
                                    "variance_type"};

static bool is_known(const char *key)
{
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], key) == 0)
            return true;
    return key[0] == '_';
}

void tg__refuse_unknown_keys(tg__config *config)
{
    char shown[80], value[80];
    const char *key;
    for (int i = 0; (key = tg__config_key(config, i)) != NULL; i++)
        if (!is_known(key) && tg__config_is_set(config, key))
            tg__fail(tg__config_error(config), TG_ERROR_UNSUPPORTED,
                     "%s: %s %s is not a key of any scheduler", tg__config_where(config),
                     tg__printable(shown, sizeof shown, key),
                     tg__config_show(config, key, value, sizeof value));
}
