/* SPDX-License-Identifier: MIT */
#include "pipeline/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/parallel.h"

enum { MAX_THREADS = 1024 };

void tg_session_options_init(tg_session_options *options)
{
    *options = (tg_session_options){.dtype = TG_DTYPE_AUTO, .vae_tiling = TG_VAE_TILING_AUTO};
}

/* What auto means here. */
static tg_dtype usual_dtype(const tg__kernels *k)
{
    return k->bf16_fast && k->level >= TG_CPU_AVX512 ? TG_DTYPE_BF16 : TG_DTYPE_F32;
}

static void choose_dtype(tg_session *s, tg_dtype wanted)
{
    const tg__kernels *k = &s->model->kernels;
    s->dtype = wanted == TG_DTYPE_AUTO ? usual_dtype(k) : wanted;
    s->activations = s->dtype == TG_DTYPE_INT8 ? usual_dtype(k) : s->dtype;
    if (s->dtype == TG_DTYPE_BF16 && k->level < TG_CPU_AVX512)
        tg__fail_about(
            &s->error, TG_ERROR_UNSUPPORTED, "dtype",
            "dtype bf16: oneDNN computes in bf16 only with AVX-512, which this CPU lacks or "
            "the cap on instructions excludes; expected f32");
    if (s->dtype == TG_DTYPE_INT8 && k->level != TG_CPU_C && !k->int8_fast)
        tg__fail_about(
            &s->error, TG_ERROR_UNSUPPORTED, "dtype",
            "dtype int8: its products need AVX512-VNNI, which this CPU lacks or the cap on "
            "instructions excludes; expected f32%s",
            k->level < TG_CPU_AVX512 ? "" : " or bf16");
}

tg_status tg_session_new(tg_session **session, tg_model *model, const tg_session_options *options)
{
    tg_session_options defaults;
    tg_session_options_init(&defaults);
    const tg_session_options *o = options ? options : &defaults;
    tg_session *s = *session = calloc(1, sizeof *s);
    if (!s)
        return TG_ERROR_MEMORY;
    s->model = model;
    s->profile = o->profile;
    s->threads = o->threads ? o->threads : tg__cores();
    if (tg__failed(&model->error))
        return tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "model", "the model is not open: %s",
                              model->error.message);
    if (s->threads < 1 || s->threads > MAX_THREADS)
        return tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "threads",
                              "threads is %d, expected 1 to %d", s->threads, MAX_THREADS);
    s->tiling = o->vae_tiling;
    if (s->tiling != TG_VAE_TILING_AUTO && s->tiling != TG_VAE_TILING_ON &&
        s->tiling != TG_VAE_TILING_OFF)
        return tg__fail_about(&s->error, TG_ERROR_ARGUMENT, "vae_tiling",
                              "vae_tiling is %d, expected TG_VAE_TILING_AUTO, _ON or _OFF",
                              (int)s->tiling);
    choose_dtype(s, o->dtype);
    if (!tg__failed(&s->error) && model->kernels.level != TG_CPU_C)
        s->dnnl = tg__dnnl_new(&model->kernels, model->cpu, &s->error);
    for (int i = 0; i < TG__NETWORKS; i++) {
        s->contexts[i].kernels = &model->kernels;
        s->contexts[i].dnnl = s->dnnl;
        s->contexts[i].winograd_positions = tg__winograd_positions((tg__network)i, s->dtype);
    }
    if (o->cache_dir && !tg__failed(&s->error))
        tg__session_open_caches(s, o->cache_dir);
    return s->error.status;
}

void tg_session_free(tg_session *s)
{
    if (!s)
        return;
    for (int i = 0; i < TG__NETWORKS; i++) {
        tg__session_drop_plans(s, (tg__network)i);
        tg__packs_free(&s->contexts[i].packs);
    }
    tg__session_free_caches(s);
    for (int i = 0; i < s->slot_count; i++)
        free(s->slots[i]);
    free(s->slots);
    free(s->slot_bytes);
    free(s->workspace);
    tg__session_free_profile(s);
    tg__dnnl_free(s->dnnl);
    free(s);
}

const tg_error *tg_session_error(const tg_session *s) { return s ? &s->error : &tg__no_handle; }
const char *tg_session_message(const tg_session *s) { return tg_session_error(s)->message; }
tg_dtype tg_session_dtype(const tg_session *s) { return s->dtype; }
int tg_session_threads(const tg_session *s) { return s->threads; }

tg__dtype tg__session_dtype(const tg_session *s)
{
    return s->activations == TG_DTYPE_BF16 ? TG__BF16 : TG__F32;
}

int tg__session_enter(tg_session *s)
{
    s->error = (tg__error){0};
    return tg__threads_enter(s->threads);
}

tg_status tg__session_leave(tg_session *s, int before)
{
    tg__session_save_caches(s);
    tg__threads_leave(before);
    return s->error.status;
}

/* --------------------------------------------------------------------------------------- plans */

/* The more positions share a weight, the more time its larger form saves; in f32 that form takes
 * twice the memory, and the VAE, which runs once a picture, must gain what packing costs. In Stable
 * Diffusion 1.5 at 512x512 these are the UNet's levels of 64x64 and, but for f32, 32x32, and the
 * VAE's levels all. */
int tg__winograd_positions(tg__network network, tg_dtype dtype)
{
    switch (network) {
    case TG__UNET:
        return dtype != TG_DTYPE_F32 ? 3 << 8 : 1 << 11;
    case TG__VAE:
        return 3 << 10;
    default:
        return 0;
    }
}

tg__plan *tg__record_plan(const tg_model *m, tg__context *context, const tg__plan_key *key,
                          tg__dtype dtype, bool int8, tg__error *error)
{
    static const char *const names[TG__NETWORKS] = {"unet", "vae", "text_encoder"};
    tg__plan *plan = tg__plan_new(context, names[key->network], dtype, error);
    if (!plan)
        return NULL;
    int h = key->tile_h ? key->tile_h : key->h, w = key->tile_w ? key->tile_w : key->w;
    if (int8 && key->network == TG__UNET && key->kind == TG__PASS_RUN)
        tg__plan_allow_int8(plan);
    if (key->network == TG__TEXT_ENCODER)
        tg__clip_record(plan, &m->clip, key->n, m->context, key->skip);
    else if (key->network == TG__UNET && key->kind == TG__PASS_TEXT)
        tg__unet_record_text(plan, &m->unet, key->n, m->context);
    else if (key->network == TG__UNET)
        tg__unet_record(plan, &m->unet, key->gate, key->n, key->h, key->w, m->context);
    else if (key->kind == TG__PASS_ENCODE)
        tg__vae_record_encode(plan, &m->vae, key->n, h, w);
    else
        tg__vae_record_decode(plan, &m->vae, key->factor, key->n, h, w);
    return plan;
}

static bool same_pass(const tg__plan_key *a, const tg__plan_key *b)
{
    return a->network == b->network && a->kind == b->kind;
}

static bool same_size(const tg__plan_key *a, const tg__plan_key *b)
{
    return a->n == b->n && a->h == b->h && a->w == b->w && a->factor == b->factor;
}

static bool same_tile(const tg__plan_key *a, const tg__plan_key *b)
{
    return a->tile_h == b->tile_h && a->tile_w == b->tile_w;
}

static void drop(tg__cached_plan **link)
{
    tg__cached_plan *entry = *link;
    *link = entry->next;
    tg__plan_free(entry->plan);
    free(entry);
}

/* What packing needed, and what it read: reading a little brings whole ranges of pages in. */
static void forget_packing(tg_session *s, tg__network network)
{
    tg__dnnl_trim(s->dnnl);
    tg__weights_drop(s->model->weights[network]);
    if (s->model->file)
        tg__safetensors_drop(s->model->file);
}

tg__plan *tg__session_plan(tg_session *s, const tg__plan_key *key)
{
    for (tg__cached_plan **link = &s->plans; *link;) {
        tg__plan_key *other = &(*link)->key;
        if (same_pass(other, key) && !same_size(other, key)) {
            drop(link);
            continue;
        }
        if (same_pass(other, key) && other->skip == key->skip && same_tile(other, key) &&
            tg__gate_same(other->gate, key->gate))
            return (*link)->plan;
        link = &(*link)->next;
    }
    tg__cached_plan *entry = malloc(sizeof *entry);
    tg__plan *plan = tg__record_plan(s->model, &s->contexts[key->network], key,
                                     tg__session_dtype(s), s->dtype == TG_DTYPE_INT8, &s->error);
    if (!entry)
        tg__fail_memory(&s->error);
    size_t packed = s->contexts[key->network].packs.bytes;
    if (plan)
        tg__plan_finish(plan);
    if (packed != s->contexts[key->network].packs.bytes)
        forget_packing(s, key->network);
    if (!entry || tg__failed(&s->error)) {
        tg__plan_free(plan);
        free(entry);
        return NULL;
    }
    *entry = (tg__cached_plan){*key, plan, s->plans};
    s->plans = entry;
    return plan;
}

void tg__session_drop_plans(tg_session *s, tg__network network)
{
    for (tg__cached_plan **link = &s->plans; *link;) {
        if ((*link)->key.network == network)
            drop(link);
        else
            link = &(*link)->next;
    }
}

void tg__session_release(tg_session *s, tg__network network)
{
    tg__session_drop_plans(s, network);
    tg__packs_free(&s->contexts[network].packs);
    forget_packing(s, network); /* rows of the text encoder's table were read meanwhile */
}

void tg_session_release_text_encoder(tg_session *s) { tg__session_release(s, TG__TEXT_ENCODER); }

/* -------------------------------------------------------------------------------------- memory */

static tg_status fail_size(tg__error *error, const char *what, size_t bytes)
{
    return tg__fail(error, TG_ERROR_MEMORY, "out of memory: %s takes %zu MiB", what, bytes >> 20);
}

tg_status tg__session_bind(tg_session *s, tg__plan *plan)
{
    size_t bytes = tg__plan_workspace_bytes(plan);
    if (bytes > s->workspace_bytes) {
        free(s->workspace);
        s->workspace = tg__aligned(bytes);
        s->workspace_bytes = s->workspace ? bytes : 0;
        if (!s->workspace)
            return fail_size(&s->error, "the workspace", bytes);
    }
    tg__plan_bind_workspace(plan, s->workspace);
    return TG_OK;
}

tg_status tg__session_reserve_slots(tg_session *s, const tg__plan *plan, int first)
{
    int end = tg__plan_slot_end(plan);
    if (end > s->slot_count) {
        void **slots = realloc(s->slots, (size_t)end * sizeof *slots);
        s->slots = slots ? slots : s->slots;
        size_t *sizes = realloc(s->slot_bytes, (size_t)end * sizeof *sizes);
        s->slot_bytes = sizes ? sizes : s->slot_bytes;
        if (!slots || !sizes)
            return tg__fail_memory(&s->error);
        for (; s->slot_count < end; s->slot_count++) {
            s->slots[s->slot_count] = NULL;
            s->slot_bytes[s->slot_count] = 0;
        }
    }
    for (int i = first; i < end; i++) {
        size_t bytes = tg__plan_external_bytes(plan, i);
        if (bytes <= s->slot_bytes[i])
            continue;
        free(s->slots[i]);
        s->slots[i] = tg__aligned(bytes);
        s->slot_bytes[i] = s->slots[i] ? bytes : 0;
        if (!s->slots[i])
            return fail_size(&s->error, "what one layer keeps", bytes);
    }
    return TG_OK;
}

void tg__session_bind_slots(tg_session *s, tg__plan *plan, int first)
{
    int end = tg__plan_slot_end(plan);
    for (int i = first; i < end; i++)
        tg__plan_bind(plan, i, s->slots[i]);
}

/* ------------------------------------------------------------------------------------- results */

tg_result *tg__result_new(tg__error *error)
{
    tg_result *result = calloc(1, sizeof *result);
    if (!result)
        tg__fail_memory(error);
    return result;
}

bool tg__array_new(tg_array *array, int count, int channels, int height, int width,
                   tg__error *error)
{
    size_t n = (size_t)count * (size_t)channels * (size_t)height * (size_t)width;
    *array = (tg_array){count, channels, height, width, malloc(n * sizeof(float))};
    if (!array->data)
        fail_size(error, "an array of latents or pictures", n * sizeof(float));
    return array->data != NULL;
}

void tg_result_free(tg_result *result)
{
    if (!result)
        return;
    free((float *)result->latents.data);
    free((float *)result->pictures.data);
    free(result);
}

tg_array tg_result_latents(const tg_result *result) { return result->latents; }
tg_array tg_result_pictures(const tg_result *result) { return result->pictures; }
tg_seconds tg_result_seconds(const tg_result *result) { return result->seconds; }
double tg_result_gmac(const tg_result *result) { return 1e-9 * (double)result->macs; }
double tg_result_gmac_plain(const tg_result *result) { return 1e-9 * (double)result->macs_plain; }

tg_array tg_result_image(const tg_result *result, int index)
{
    tg_array picture = result->pictures;
    size_t size = (size_t)picture.channels * (size_t)picture.height * (size_t)picture.width;
    if (index < 0 || index >= picture.count || !picture.data)
        return (tg_array){0};
    picture.count = 1;
    picture.data += (size_t)index * size;
    return picture;
}
