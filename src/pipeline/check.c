/* SPDX-License-Identifier: MIT */
/* Options: defaults and limits, in one place. */
#include "pipeline/check.h"

#include <math.h>
#include <string.h>

#include "core/options.h"
#include "pipeline/bins.h"

enum { MAX_COUNT = 4096, USUAL_SIZE = 512, DISTILLED_STEPS = 4 };

/* Of a loop that is over after a few steps: nothing but cross-attention, from the first step on. */
static const tg_gate distilled_gate = {
    .gate_step = 1, .sp_interval = 1, .fi_interval = 1, .warm_up = 0};

double tg__usual_guidance(const tg_model *m)
{
    if (tg__denoiser(m)->facts.guidance_width > 0)
        return m->class->embedded_guidance;
    return m->usual_steps > 0 && m->class->distilled_unguided ? 1 : m->class->guidance;
}

static tg_generate_options defaults_of(const tg_model *m)
{
    bool open = m && !tg__failed(&m->error);
    const tg__pipeline_class *class = open ? m->class : tg__pipeline_classes[0];
    int size = open ? m->default_size : USUAL_SIZE;
    tg_generate_options o = {.size = sizeof o,
                             .steps = class->steps,
                             .guidance = open ? tg__usual_guidance(m) : class->guidance,
                             .width = size,
                             .height = size,
                             .count = 1,
                             .gate = class->gate,
                             .decode = true};
    bool told = open && tg__denoiser(m)->facts.guidance_width > 0;
    if (told || (open && m->usual_steps > 0)) {
        o.steps = m->usual_steps > 0 ? m->usual_steps : DISTILLED_STEPS;
        o.gate = distilled_gate;
    }
    return o;
}

tg_gate tg_gate_default(const tg_model *m, bool deepcache)
{
    tg_gate gate = defaults_of(m).gate;
    if (deepcache)
        gate = (tg_gate){.gate_step = gate.gate_step, .sp_interval = 1, .fi_interval = 1};
    return gate;
}

void tg_generate_options_init_sized(tg_generate_options *options, size_t size, const tg_model *m)
{
    tg_generate_options defaults = defaults_of(m);
    tg__options_init(options, size, &defaults, sizeof defaults);
}

tg_status tg__read_generate_options(tg_generate_options *o, const tg_model *m,
                                    const tg_generate_options *options, tg__error *error)
{
    *o = defaults_of(m);
    if (tg__options_read(o, sizeof *o, options, "tg_generate_options", error) == TG_OK &&
        o->timesteps)
        o->steps = o->timestep_count;
    return error->status;
}

tg__steps tg__steps_of(const tg_generate_options *o)
{
    return (tg__steps){.count = o->steps,
                       .timesteps = o->timesteps,
                       .original_steps = o->original_steps,
                       .eta = o->eta};
}

static void check_number(tg__error *error, const char *name, double value, double least,
                         double most)
{
    if (!(value >= least && value <= most))
        tg__fail(error, TG_ERROR_ARGUMENT, "%s is %g, expected %g to %g", name, value, least, most);
}

static void check_int(tg__error *error, const char *name, int value, int least, int most)
{
    if (value < least || value > most)
        tg__fail(error, TG_ERROR_ARGUMENT, "%s is %d, expected %d to %d", name, value, least, most);
}

static void check_size(tg__error *error, const char *name, int value, int multiple)
{
    check_int(error, name, value, multiple, TG__MAX_SIDE);
    if (tg__failed(error))
        return;
    int below = value / multiple * multiple, above = below + multiple;
    if (value % multiple != 0)
        tg__fail(error, TG_ERROR_ARGUMENT, "%s is %d, expected a multiple of %d (such as %d or %d)",
                 name, value, multiple, below, above);
}

size_t tg__first_not_finite(const float *x, size_t n)
{
    size_t i = 0;
    while (i < n && isfinite(x[i]))
        i++;
    return i;
}

/* Latents that the caller brings have their own size. */
static bool is_binned(const tg_model *m, const tg_generate_options *o)
{
    return m->class->bins && !o->no_resolution_binning && !o->latents;
}

void tg__latents_of(const tg_model *m, const tg_generate_options *o, int *h, int *w)
{
    int factor = tg__autoencoder(m)->facts.factor, height = o->height, width = o->width;
    if (is_binned(m, o))
        tg__bin_of(tg__denoiser(m)->facts.sample_size, o->height, o->width, &height, &width);
    *h = o->latents ? o->latents->height : height / factor;
    *w = o->latents ? o->latents->width : width / factor;
}

static void check_picture(const tg_model *m, const tg_generate_options *o, tg__error *error)
{
    int multiple = m->info.size_multiple, size = tg__denoiser(m)->facts.sample_size;
    if (o->no_resolution_binning && !m->class->bins)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "no_resolution_binning",
                       "no_resolution_binning: %s has no bins", m->class->names[0]);
    if (is_binned(m, o) && !tg__has_bins(size))
        tg__fail_about(error, TG_ERROR_ARGUMENT, "no_resolution_binning",
                       "there are no bins for sample_size %d in %s/config.json, expected 32, 64, "
                       "128 or 256, or the option no-resolution-binning",
                       size, tg__denoiser(m)->name);
    if (is_binned(m, o))
        multiple = 1; /* brought to any size */
    check_size(error, "width", o->width, multiple);
    check_size(error, "height", o->height, multiple);
    check_int(error, "count", o->count, 1, MAX_COUNT);
}

/* A denoiser that reads patches takes whole ones. */
static void check_patches(const tg_model *m, const tg_array *x, tg__error *error)
{
    int patch = tg__denoiser(m)->facts.patch;
    if (patch > 1 && (x->height % patch != 0 || x->width % patch != 0))
        tg__fail_about(error, TG_ERROR_ARGUMENT, "latents",
                       "latents are %d x %d, expected multiples of %d", x->width, x->height, patch);
}

static void check_latents(const tg_model *m, const tg_array *x, tg__error *error)
{
    int channels = tg__denoiser(m)->facts.in_channels;
    int most = TG__MAX_SIDE / tg__autoencoder(m)->facts.factor;
    if (!x->data || x->channels != channels) {
        tg__fail_about(
            error, TG_ERROR_ARGUMENT, "latents",
            "latents are (%d, %d, %d, %d), expected %d channels (count, %d, height, width)",
            x->count, x->channels, x->height, x->width, channels, channels);
        return;
    }
    check_int(error, "latents' count", x->count, 1, MAX_COUNT);
    check_int(error, "latents' height", x->height, 1, most);
    check_int(error, "latents' width", x->width, 1, most);
    check_patches(m, x, error);
    size_t n = (size_t)x->count * (size_t)x->channels * (size_t)x->height * (size_t)x->width;
    size_t bad = tg__failed(error) ? n : tg__first_not_finite(x->data, n);
    if (bad < n)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "latents",
                       "latents hold %g at %zu, expected finite numbers", (double)x->data[bad],
                       bad);
}

static void check_gate(const tg_gate *gate, tg__error *error)
{
    check_int(error, "gate_step", gate->gate_step, 0, INT32_MAX);
    if (gate->gate_step == 0)
        return;
    check_int(error, "sp_interval", gate->sp_interval, 1, INT32_MAX);
    check_int(error, "fi_interval", gate->fi_interval, 1, INT32_MAX);
    check_int(error, "warm_up", gate->warm_up, 0, INT32_MAX);
}

static void check_pair(tg__error *error, const char *side, const char *name, int a, int b,
                       int least)
{
    enum { MOST = 1 << 24 }; /* that f32 counts exactly */
    bool none = least > 0 && a == 0 && b == 0;
    if (!none && (a < least || b < least || a > MOST || b > MOST))
        tg__fail(error, TG_ERROR_ARGUMENT, "%s%s is %d, %d, expected %d to %d", side, name, a, b,
                 least, MOST);
}

/* side: "" or "negative_". */
static void check_sizes(const tg_model *m, const tg_sizes *sizes, const char *side,
                        tg__error *error)
{
    static const tg_sizes none = {0};
    bool told = tg__network_condition(tg__denoiser(m), "time_ids") > 0;
    if (!told && memcmp(sizes, &none, sizeof none) != 0) {
        tg__fail(error, TG_ERROR_ARGUMENT,
                 "%ssizes are given, but this model is not told sizes, expected none", side);
        return;
    }
    check_pair(error, side, "original_size", sizes->original_width, sizes->original_height, 1);
    check_pair(error, side, "crop_top_left", sizes->crop_top, sizes->crop_left, 0);
    check_pair(error, side, "target_size", sizes->target_width, sizes->target_height, 1);
}

static void check_deepcache(const tg_model *m, const tg_deepcache *cache, tg__error *error)
{
    const tg__network *denoiser = tg__denoiser(m);
    check_int(error, "deepcache_interval", cache->interval, 0, INT32_MAX);
    if (!tg__failed(error) && tg__deepcache_is_on(cache) && denoiser->facts.branches == 0)
        tg__fail_about(error, TG_ERROR_UNSUPPORTED, "deepcache_interval",
                       "deepcache_interval is %d: %s has no branch for DeepCache, which is for "
                       "UNets",
                       cache->interval, denoiser->class->names[0]);
    else
        check_int(error, "deepcache_branch", cache->branch, 0,
                  denoiser->facts.branches ? denoiser->facts.branches - 1 : 0);
}

tg_status tg__check_generate(const tg_model *m, const tg_generate_options *o, tg__error *error)
{
    check_int(error, "steps", o->steps, 1, m->train_steps);
    check_int(error, "original_steps", o->original_steps, 0, INT32_MAX);
    check_number(error, "eta", o->eta, 0, 1);
    check_number(error, "guidance", o->guidance, -1e4, 1e4);
    check_number(error, "guidance_rescale", o->guidance_rescale, 0, 1);
    if (o->latents)
        check_latents(m, o->latents, error);
    else
        check_picture(m, o, error);
    if (o->rng != TG_RNG_TORCH_CPU && o->rng != TG_RNG_TORCH_CUDA)
        tg__fail_about(error, TG_ERROR_ARGUMENT, "rng",
                       "rng is %d, expected TG_RNG_TORCH_CPU or _CUDA", (int)o->rng);
    check_gate(&o->gate, error);
    check_sizes(m, &o->sizes, "", error);
    check_sizes(m, &o->negative_sizes, "negative_", error);
    check_deepcache(m, &o->deepcache, error);
    if (tg__failed(error))
        return error->status;
    tg__scheduler *scheduler = tg__model_scheduler(m, error);
    tg__steps steps = tg__steps_of(o);
    if (scheduler)
        tg__scheduler_set_steps(scheduler, &steps, 1, 1, error);
    tg__scheduler_free(scheduler);
    return error->status;
}

tg_status tg_generate_check(const tg_model *m, const tg_generate_options *options,
                            const tg_prompt_options *prompt_options, tg_error *error)
{
    tg__error own, *e = tg__error_begin(error, &own);
    tg_generate_options o;
    tg_prompt_options p;
    if (!tg__given(m, "model", e))
        return e->status;
    if (tg__failed(&m->error))
        return tg__fail_about(e, TG_ERROR_ARGUMENT, "model", "the model is not open: %s",
                              m->error.message);
    if (tg__read_generate_options(&o, m, options, e) == TG_OK)
        tg__check_generate(m, &o, e);
    if (!tg__failed(e))
        tg__check_prompt(m, &p, prompt_options, e);
    return e->status;
}
