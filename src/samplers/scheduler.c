/* SPDX-License-Identifier: MIT */
/* The schedulers by their names, and what every class does: choosing it, preparing a number of
 * steps, calling it. */
#include "samplers/scheduler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "samplers/keys.h"

/* A short name may choose an algorithm_type, too. */
static const struct scheduler_name {
    const char *short_name;
    const tg__sampler *sampler;
    const char *algorithm;
} names[] = {
    {"ddim", &tg__ddim, NULL},
    {"ddpm", &tg__ddpm, NULL},
    {"pndm", &tg__pndm, NULL},
    {"lms", &tg__lms, NULL},
    {"euler", &tg__euler, NULL},
    {"euler-a", &tg__euler_ancestral, NULL},
    {"heun", &tg__heun, NULL},
    {"dpm2", &tg__kdpm2, NULL},
    {"dpmpp-2m", &tg__dpm_multistep, NULL},
    {"dpmpp-2m-sde", &tg__dpm_multistep, "sde-dpmsolver++"},
    {"dpmpp-2s", &tg__dpm_singlestep, NULL},
    {"unipc", &tg__unipc, NULL},
    {"deis", &tg__deis, NULL},
    {"lcm", &tg__lcm, NULL},
    {"tcd", &tg__tcd, NULL},
};

enum { NAMES = sizeof names / sizeof *names };

bool tg__scheduler_list(int index, const char **class_name, const char **short_name)
{
    if (index < 0 || index >= NAMES)
        return false;
    *class_name = names[index].sampler->name;
    *short_name = names[index].short_name;
    return true;
}

/* NULL if there is none. */
static const struct scheduler_name *find(const char *name)
{
    for (int i = 0; name && i < NAMES; i++)
        if (strcmp(names[i].short_name, name) == 0 || strcmp(names[i].sampler->name, name) == 0)
            return &names[i];
    return NULL;
}

/* ---------------------------------------------------------------------------------- new, free */

/* subject: the option or the file; what: that and the key. */
static void fail_name(tg__error *error, tg_status status, const char *subject, const char *what,
                      const char *found)
{
    char shown[80], list[300] = "";
    for (int i = 0; i < NAMES; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s",
                 i == 0           ? ""
                 : i + 1 == NAMES ? " or "
                                  : ", ",
                 names[i].short_name);
    }
    tg__fail_about(error, status, subject, "%s \"%s\" is not implemented, expected %s", what,
                   tg__printable(shown, sizeof shown, found), list);
}

/* The class of the folder: the one that model_index.json names, or the config. */
static const char *folder_class(tg__config *config, const tg__scheduler_override *o)
{
    const char *name = tg__config_string(config, "_class_name", NULL);
    return o->folder_class ? o->folder_class : name;
}

/* The class wanted; NULL and an error if it is not known. */
static const struct scheduler_name *choose(tg__config *config, const tg__scheduler_override *o)
{
    tg__error *error = tg__config_error(config);
    const char *folder = folder_class(config, o), *where = tg__config_where(config);
    const struct scheduler_name *name = find(o->class_name ? o->class_name : folder);
    char key[160];
    if (name)
        return name;
    if (o->class_name) {
        fail_name(error, TG_ERROR_ARGUMENT, "scheduler", "scheduler", o->class_name);
    } else if (o->folder_class) {
        fail_name(error, TG_ERROR_UNSUPPORTED, "model_index.json", "model_index.json: scheduler",
                  folder);
    } else if (folder) {
        snprintf(key, sizeof key, "%s: _class_name", where);
        fail_name(error, TG_ERROR_UNSUPPORTED, where, key, folder);
    } else {
        tg__fail(error, TG_ERROR_FORMAT,
                 "%s: _class_name is missing, expected the name of a scheduler", where);
    }
    return NULL;
}

static void check_spacing(const tg__sampler *sampler, const char *spacing, tg__error *error)
{
    char shown[80];
    if (spacing && !(sampler->keys & TG__HAS_SPACING))
        tg__fail_about(error, TG_ERROR_ARGUMENT, "timestep_spacing", "%s has no timestep spacing",
                       sampler->name);
    for (int i = 0; spacing && tg__spacing_names[i]; i++)
        if (strcmp(tg__spacing_names[i], spacing) == 0)
            return;
    if (spacing)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "timestep_spacing",
                       "timestep spacing \"%s\" is not known, expected leading, linspace or "
                       "trailing",
                       tg__printable(shown, sizeof shown, spacing));
}

/* Faults of the override alone. */
static void check_override(const tg__sampler *sampler, const tg__scheduler_override *o,
                           tg__error *error)
{
    if (o->karras >= 0 && !(sampler->keys & TG__HAS_KARRAS))
        tg__fail_about(error, TG_ERROR_ARGUMENT, "karras", "%s has no Karras sigmas",
                       sampler->name);
    check_spacing(sampler, o->timestep_spacing, error);
    for (int i = 0; o->prediction_type && i <= TG__SAMPLE; i++)
        if (strcmp(tg__prediction_names[i], o->prediction_type) == 0)
            return;
    char shown[80];
    if (o->prediction_type)
        tg__fail_about(
            error, TG_ERROR_ARGUMENT, "prediction_type",
            "prediction type \"%s\" is not known, expected epsilon, v_prediction or sample",
            tg__printable(shown, sizeof shown, o->prediction_type));
}

tg__scheduler *tg__scheduler_new(tg__config *config, const tg__scheduler_override *o,
                                 tg__error *error)
{
    const struct scheduler_name *name = choose(config, o);
    if (!name)
        return NULL;
    const struct scheduler_name *original = find(folder_class(config, o));
    check_override(name->sampler, o, error);
    tg__key_source source = {
        .config = config,
        .original = original ? original->sampler : NULL,
        .again = o->class_name || o->karras >= 0 || o->prediction_type || o->timestep_spacing,
        .force_stable_diffusion = o->force_stable_diffusion,
        .algorithm = name->algorithm,
        .prediction = o->prediction_type,
        .spacing = o->timestep_spacing,
        .karras = o->karras,
        .zero_snr = o->zero_snr,
    };
    tg__refuse_unknown_keys(config);
    tg__scheduler *s = tg__failed(error) ? NULL : calloc(1, sizeof *s);
    if (!s) {
        tg__fail_memory(error);
        return NULL;
    }
    s->sampler = name->sampler;
    s->init_noise_sigma = 1;
    if (tg__read_keys(s, &source, error) == TG_OK &&
        tg__make_alphas(s, tg__config_where(config), error) == TG_OK)
        return s;
    tg__scheduler_free(s);
    return NULL;
}

/* What set_steps has made. */
static void clear(tg__scheduler *s)
{
    free(s->timesteps);
    free(s->sigmas);
    free(s->rows);
    free(s->slots);
    s->timesteps = s->rows = NULL;
    s->sigmas = s->slots = NULL;
    s->evaluations = s->sigma_count = 0;
    s->init_noise_sigma = 1;
}

void tg__scheduler_free(tg__scheduler *s)
{
    if (!s)
        return;
    clear(s);
    free(s->trained_betas);
    free(s->uncorrected);
    free(s->alphas_cumprod);
    free(s);
}

/* ------------------------------------------------------------------------------------ set_steps */

/* diffusers looks the first step up by its timestep and takes the second of equal ones, so that the
 * last step has no sigma to go to. */
static tg_status check_first(const tg__scheduler *s, tg__error *error)
{
    for (int i = 1; s->sampler->by_sigma && i < s->evaluations; i++)
        if (s->timesteps[i] == s->timesteps[0])
            return tg__fail_about(error, TG_ERROR_ARGUMENT, "steps",
                                  "%s: %d steps start at timestep %g twice, which it cannot do",
                                  s->sampler->name, s->steps, s->timesteps[0]);
    return TG_OK;
}

static bool is_finite(const double *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(row[i]))
            return false;
    return true;
}

static tg_status make_rows(tg__scheduler *s, tg__error *error)
{
    if (!is_finite(s->timesteps, (size_t)s->evaluations))
        return tg__fail_about(error, TG_ERROR_ARGUMENT, "steps", "%s: %d steps have no timesteps",
                              s->sampler->name, s->steps);
    s->rows = calloc((size_t)s->evaluations, s->row_size * sizeof *s->rows);
    if (!s->rows)
        return tg__fail_memory(error);
    for (int i = 0; i < s->evaluations; i++) {
        double *row = s->rows + (size_t)i * s->row_size;
        s->sampler->row(s, i, row);
        if (!is_finite(row, s->row_size))
            return tg__fail(error, TG_ERROR_NUMERIC,
                            "%s: evaluation %d of %d, at timestep %g, divides by zero",
                            s->sampler->name, i + 1, s->evaluations, s->timesteps[i]);
    }
    return TG_OK;
}

static tg_status make_slots(tg__scheduler *s, tg__error *error)
{
    size_t slots = (size_t)s->slot_count;
    if (slots == 0)
        return TG_OK;
    if (s->n <= SIZE_MAX / sizeof *s->slots / slots)
        s->slots = malloc(s->n * slots * sizeof *s->slots);
    return s->slots ? TG_OK : tg__fail_memory(error);
}

/* Timesteps of the request's own. */
static void check_timesteps(const tg__scheduler *s, const tg__steps *steps, tg__error *error)
{
    const char *name = s->sampler->name, *why = NULL;
    const tg__keys *k = &s->keys;
    if (k->karras)
        why = "use_karras_sigmas";
    else if (k->lu_lambdas)
        why = "use_lu_lambdas";
    else if (k->continuous && k->prediction == TG__V_PREDICTION)
        why = "timestep_type \"continuous\"";
    if (!s->sampler->custom_timesteps)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "timesteps", "%s takes no list of timesteps",
                       name);
    else if (why)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "timesteps",
                       "%s takes no list of timesteps with %s", name, why);
    for (int i = 0; i < steps->count && !tg__failed(error); i++) {
        int t = steps->timesteps[i];
        if (t < 0 || t >= k->train_steps)
            tg__fail_about(error, TG_ERROR_ARGUMENT, "timesteps",
                           "timesteps[%d] is %d, expected 0 to %d", i, t, k->train_steps - 1);
        else if (i > 0 && t >= steps->timesteps[i - 1])
            tg__fail_about(error, TG_ERROR_ARGUMENT, "timesteps",
                           "timesteps[%d] is %d, expected less than %d before it", i, t,
                           steps->timesteps[i - 1]);
    }
}

static tg_status check_steps(const tg__scheduler *s, const tg__steps *steps, tg__error *error)
{
    const tg__sampler *sampler = s->sampler;
    if (steps->count < 1 || steps->count > s->keys.train_steps)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "steps", "steps is %d, expected 1 to %d",
                       steps->count, s->keys.train_steps);
    if (steps->original_steps && !(sampler->keys & TG__HAS_ORIGINAL_STEPS))
        tg__fail_about(error, TG_ERROR_ARGUMENT, "original_steps", "%s has no original steps",
                       sampler->name);
    if (steps->eta > 0 && !sampler->takes_eta)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "eta", "%s has no eta", sampler->name);
    if (steps->timesteps && !tg__failed(error))
        check_timesteps(s, steps, error);
    return error->status;
}

tg_status tg__scheduler_set_steps(tg__scheduler *s, const tg__steps *steps, size_t n, int count,
                                  tg__error *error)
{
    clear(s);
    if (check_steps(s, steps, error) != TG_OK)
        return error->status;
    s->request = steps;
    s->eta = steps->eta;
    s->steps = steps->count;
    s->n = n;
    s->count = count;
    if (s->sampler->prepare(s, error) != TG_OK || check_first(s, error) != TG_OK ||
        make_rows(s, error) != TG_OK || make_slots(s, error) != TG_OK)
        clear(s);
    s->request = NULL;
    return error->status;
}

/* ------------------------------------------------------------------------------ what is prepared
 */

const char *tg__scheduler_class(const tg__scheduler *s) { return s->sampler->name; }

const char *tg__scheduler_prediction(const tg__scheduler *s)
{
    return tg__prediction_names[s->keys.prediction];
}

int tg__scheduler_train_steps(const tg__scheduler *s) { return s->keys.train_steps; }
int tg__scheduler_evaluations(const tg__scheduler *s) { return s->evaluations; }
int tg__scheduler_usual_steps(const tg__scheduler *s) { return s->sampler->usual_steps; }
int tg__scheduler_order(const tg__scheduler *s) { return s->sampler->order; }
float tg__scheduler_init_noise_sigma(const tg__scheduler *s) { return s->init_noise_sigma; }
float tg__scheduler_timestep(const tg__scheduler *s, int i) { return (float)s->timesteps[i]; }

void tg__scheduler_scale_input(const tg__scheduler *s, int i, float *dst, const float *sample)
{
    double sigma = s->sampler->input_sigma ? (double)s->sampler->input_sigma(s, i) : 0;
    TG__COMBINE(dst, s->n, {1 / sqrt(sigma * sigma + 1), sample});
}

bool tg__scheduler_wants_noise(const tg__scheduler *s, int i)
{
    return s->sampler->wants_noise && s->sampler->wants_noise(s, i);
}

void tg__scheduler_step(tg__scheduler *s, int i, const float *output, float *sample,
                        const float *noise)
{
    s->sampler->step(s, i, s->rows + (size_t)i * s->row_size, output, sample, noise);
}
