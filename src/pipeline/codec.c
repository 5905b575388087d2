/* SPDX-License-Identifier: MIT */
/* The VAE alone: latents to pictures and back. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"
#include "pipeline/session.h"

enum { MAX_SIDE = 16384 };

/* Runs a plan of the VAE from one array to another. */
static tg_status run_vae(tg_session *s, tg__plan *plan, const float *src, float *dst)
{
    tg_status status = tg__session_bind(s, plan);
    if (status != TG_OK)
        return status;
    tg__plan_bind(plan, TG__VAE_INPUT, (float *)(uintptr_t)src);
    tg__plan_bind(plan, TG__VAE_OUTPUT, dst);
    tg__plan_run(plan, s->profile);
    return TG_OK;
}

/* what: "picture", … */
static tg_status check_finite(const float *x, size_t n, const char *what, size_t index,
                              tg__error *error)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return tg__fail(error, TG_ERROR_NUMERIC,
                            "vae: %s %zu is not finite, expected finite numbers", what, index + 1);
    return TG_OK;
}

/* One picture at a time: the decoder's maps are the largest of all, and gain nothing in a batch. */
tg_status tg__session_decode(tg_session *s, tg_result *result, float factor)
{
    const tg__vae_config *c = &s->model->vae.config;
    tg_array x = result->latents;
    int scale = tg__vae_factor(c);
    double start = tg__seconds();
    tg__plan_key key = {.network = TG__VAE, .n = 1, .h = x.height, .w = x.width, .factor = factor};
    tg__plan *plan = tg__session_plan(s, &key);
    if (!plan || !tg__array_new(&result->pictures, x.count, c->out_channels, x.height * scale,
                                x.width * scale, &s->error))
        return s->error.status;
    double loaded = tg__seconds();
    size_t latent = (size_t)x.channels * (size_t)x.height * (size_t)x.width;
    size_t picture = (size_t)c->out_channels * (size_t)x.height * (size_t)x.width * (size_t)scale *
                     (size_t)scale;
    float *dst = (float *)(uintptr_t)result->pictures.data;
    for (size_t i = 0; i < (size_t)x.count; i++, dst += picture)
        if (run_vae(s, plan, x.data + i * latent, dst) != TG_OK ||
            check_finite(dst, picture, "picture", i, &s->error) != TG_OK)
            return s->error.status;
    result->seconds.load += loaded - start;
    result->seconds.decode = tg__seconds() - loaded;
    return TG_OK;
}

static bool usable(const tg_array *x, const char *what, int channels, int most, tg__error *error)
{
    if (!x->data || x->count < 1 || x->channels != channels || x->height < 1 || x->width < 1 ||
        x->height > most || x->width > most) {
        tg__fail(error, TG_ERROR_ARGUMENT,
                 "%s are (%d, %d, %d, %d), expected %d channels and at most %d x %d", what,
                 x->count, x->channels, x->height, x->width, channels, most, most);
        return false;
    }
    size_t n = (size_t)x->count * (size_t)x->channels * (size_t)x->height * (size_t)x->width;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x->data[i])) {
            tg__fail(error, TG_ERROR_ARGUMENT, "%s hold %g at %zu, expected finite numbers", what,
                     (double)x->data[i], i);
            return false;
        }
    }
    return true;
}

static tg_status finish(tg_result **result, tg_session *s, int before)
{
    if (tg__failed(&s->error)) {
        tg_result_free(*result);
        *result = NULL;
    }
    return tg__session_leave(s, before);
}

tg_status tg_decode(tg_result **result, tg_session *s, const tg_array *latents, bool unscaled)
{
    int before = tg__session_enter(s);
    const tg__vae_config *c = &s->model->vae.config;
    *result = NULL;
    if (usable(latents, "latents", c->latent_channels, MAX_SIDE / tg__vae_factor(c), &s->error))
        *result = tg__result_new(&s->error);
    if (*result && tg__array_new(&(*result)->latents, latents->count, latents->channels,
                                 latents->height, latents->width, &s->error)) {
        size_t n = (size_t)latents->count * (size_t)latents->channels * (size_t)latents->height *
                   (size_t)latents->width;
        memcpy((float *)(uintptr_t)(*result)->latents.data, latents->data, n * sizeof(float));
        tg__session_decode(s, *result, unscaled ? 1.f : (float)(1 / c->scaling_factor));
    }
    return finish(result, s, before);
}

/* The mean is the first half of the moments' channels. */
static tg_status encode(tg_session *s, tg_result *result, const tg_array *pictures, float factor)
{
    const tg__vae_config *c = &s->model->vae.config;
    tg__plan_key key = {.network = TG__VAE,
                        .kind = TG__PASS_ENCODE,
                        .n = 1,
                        .h = pictures->height,
                        .w = pictures->width};
    tg__plan *plan = tg__session_plan(s, &key);
    if (!plan)
        return s->error.status;
    size_t moments = tg__plan_external_bytes(plan, TG__VAE_OUTPUT) / sizeof(float);
    int h, w;
    tg__vae_latent_size(&s->model->vae.config, pictures->height, pictures->width, &h, &w);
    size_t latent = (size_t)c->latent_channels * (size_t)h * (size_t)w;
    size_t picture = 3 * (size_t)pictures->height * (size_t)pictures->width;
    float *both = malloc(moments * sizeof *both);
    if (!both)
        return tg__fail_memory(&s->error);
    if (tg__array_new(&result->latents, pictures->count, c->latent_channels, h, w, &s->error)) {
        float *dst = (float *)(uintptr_t)result->latents.data;
        for (size_t i = 0; i < (size_t)pictures->count; i++, dst += latent) {
            if (run_vae(s, plan, pictures->data + i * picture, both) != TG_OK)
                break;
            for (size_t j = 0; j < latent; j++)
                dst[j] = both[j] * factor;
            if (check_finite(dst, latent, "the mean of picture", i, &s->error) != TG_OK)
                break;
        }
    }
    free(both);
    return s->error.status;
}

tg_status tg_encode(tg_result **result, tg_session *s, const tg_array *pictures, bool unscaled)
{
    int before = tg__session_enter(s);
    double start = tg__seconds();
    *result = NULL;
    if (usable(pictures, "pictures", 3, MAX_SIDE, &s->error))
        *result = tg__result_new(&s->error);
    if (*result && encode(s, *result, pictures,
                          unscaled ? 1.f : (float)s->model->vae.config.scaling_factor) == TG_OK)
        (*result)->seconds.decode = tg__seconds() - start;
    return finish(result, s, before);
}
