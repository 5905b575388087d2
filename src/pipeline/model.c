/* SPDX-License-Identifier: MIT */
/* Opening a model: a diffusers folder, or a single file whose configs come from the layout table.
 */
#include "pipeline/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "pipeline/layouts.h"

enum { PATH_BYTES = 4096, CONFIG_BYTES = 16 << 20 };

static const struct {
    const char *folder, *base, *class_name, *library;
} networks[TG__NETWORKS] = {
    [TG__UNET] = {"unet", "diffusion_pytorch_model", "UNet2DConditionModel", "diffusers"},
    [TG__VAE] = {"vae", "diffusion_pytorch_model", "AutoencoderKL", "diffusers"},
    [TG__TEXT_ENCODER] = {"text_encoder", "model", "CLIPTextModel", "transformers"},
};

void tg_model_options_init(tg_model_options *options)
{
    *options = (tg_model_options){.karras = -1};
}

/* --------------------------------------------------------------------------------- config files */

/* NAME of the model: a file below config_dir or the model's folder, else the layout's. The text is
 * the caller's to free. */
static char *read_text(tg_model *m, const tg_model_options *o, const char *name, size_t *length,
                       const char **where)
{
    const char *folder = o->config_dir ? o->config_dir : m->is_single_file ? NULL : m->path;
    char path[PATH_BYTES];
    if (folder) {
        *where = name;
        if (!tg__path_join(path, sizeof path, folder, name, &m->error))
            return NULL;
        return tg__file_read(path, CONFIG_BYTES, length, &m->error);
    }
    tg__layout_file file;
    if (!tg__layout_find(m->single.kind->layout, name, &file)) {
        tg__fail(&m->error, TG_ERROR_INTERNAL, "%s: not among the shipped configs", name);
        return NULL;
    }
    char *text = malloc(file.length + 1);
    if (!text) {
        tg__fail_memory(&m->error);
        return NULL;
    }
    memcpy(text, file.text, file.length + 1);
    *length = file.length;
    *where = file.where;
    return text;
}

static tg__config *open_config(tg_model *m, const tg_model_options *o, const char *name)
{
    size_t length = 0;
    const char *where = name;
    char *text = read_text(m, o, name, &length, &where);
    tg__config *config = text ? tg__config_parse(text, length, where, &m->error) : NULL;
    free(text);
    return config;
}

static void log_unknown_keys(const tg_model *m, const tg__config *config)
{
    const char *key;
    for (int i = 0; (key = tg__config_key(config, i)); i++) {
        char shown[80];
        if (key[0] != '_' && !tg__config_was_read(config, key))
            tg__log(&m->log, TG_LOG_INFO, "%s: %s is not known and ignored",
                    tg__config_where(config), tg__printable(shown, sizeof shown, key));
    }
}

/* ------------------------------------------------------------------------------------ networks */

static void open_weights(tg_model *m, const tg_model_options *o, tg__network n, tg__config *config)
{
    if (m->is_single_file) {
        const char *name = strrchr(m->path, '/');
        tg__single_file_names_init(&m->names[n], &m->single, n, config);
        m->weights[n] = tg__weights_from(tg__single_file_lookup, &m->names[n],
                                         name ? name + 1 : m->path, &m->error);
        return;
    }
    char folder[PATH_BYTES];
    if (tg__path_join(folder, sizeof folder, m->path, networks[n].folder, &m->error))
        m->weights[n] = tg__weights_open(folder, networks[n].base, o->variant, &m->error);
}

static void load_network(tg_model *m, tg__network n, const void *config)
{
    if (n == TG__UNET)
        tg__unet_load(&m->unet, config, m->weights[n], &m->error);
    else if (n == TG__VAE)
        tg__vae_load(&m->vae, config, m->weights[n], &m->error);
    else
        tg__clip_load(&m->clip, config, m->weights[n], &m->error);
}

static void open_network(tg_model *m, const tg_model_options *o, tg__network n)
{
    union {
        tg__unet_config unet;
        tg__vae_config vae;
        tg__clip_config clip;
    } values;
    char name[64];
    if (tg__failed(&m->error))
        return;
    snprintf(name, sizeof name, "%s/config.json", networks[n].folder);
    tg__config *config = open_config(m, o, name);
    if (!config)
        return;
    if (n == TG__UNET)
        tg__unet_read_config(&values.unet, config);
    else if (n == TG__VAE)
        tg__vae_read_config(&values.vae, config);
    else
        tg__clip_read_config(&values.clip, config);
    if (!tg__failed(&m->error)) {
        log_unknown_keys(m, config);
        open_weights(m, o, n, config);
    }
    if (!tg__failed(&m->error))
        load_network(m, n, &values);
    tg__config_close(config);
}

/* What one network's config says must go with what the others' say. */
static void check_together(tg_model *m)
{
    const tg__unet_config *u = &m->unet.config;
    if (tg__failed(&m->error))
        return;
    if (u->in_channels == 9)
        tg__fail(&m->error, TG_ERROR_UNSUPPORTED,
                 "%s: in_channels is 9 (an inpainting model): not implemented", "unet/config.json");
    else if (u->in_channels != m->vae.config.latent_channels)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: in_channels is %d, expected %d as latent_channels in "
                 "vae/config.json",
                 "unet/config.json", u->in_channels, m->vae.config.latent_channels);
    else if (u->out_channels != u->in_channels)
        tg__fail(&m->error, TG_ERROR_UNSUPPORTED,
                 "%s: out_channels is %d, expected %d as in_channels", "unet/config.json",
                 u->out_channels, u->in_channels);
    else if (u->cross_dim[0] != m->clip.config.width)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: cross_attention_dim is %d, expected %d as hidden_size in "
                 "text_encoder/config.json",
                 "unet/config.json", u->cross_dim[0], m->clip.config.width);
    else if (m->vae.config.in_channels != 3 || m->vae.config.out_channels != 3)
        tg__fail(&m->error, TG_ERROR_UNSUPPORTED,
                 "%s: pictures have %d channels in and %d out, expected 3", "vae/config.json",
                 m->vae.config.in_channels, m->vae.config.out_channels);
}

/* ----------------------------------------------------------------------------------- tokenizer */

static void open_tokenizer(tg_model *m, const tg_model_options *o)
{
    char folder[PATH_BYTES];
    if (tg__failed(&m->error))
        return;
    if (o->tokenizer_dir)
        m->tokenizer = tg__clip_tokenizer_open(o->tokenizer_dir, &m->error);
    else if (m->is_single_file)
        m->tokenizer = tg__clip_tokenizer_shipped(m->single.kind->pad_token, &m->error);
    else if (tg__path_join(folder, sizeof folder, m->path, "tokenizer", &m->error))
        m->tokenizer = tg__clip_tokenizer_open(folder, &m->error);
    if (tg__failed(&m->error))
        return;
    m->context = tg__clip_tokenizer_context(m->tokenizer);
    int positions = m->clip.config.positions;
    if (m->context == INT32_MAX) /* the tokenizer's files do not say */
        m->context = positions;
    if (m->context > positions)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s: model_max_length is %d, expected at most %d as "
                 "max_position_embeddings in text_encoder/config.json",
                 "tokenizer/tokenizer_config.json", m->context, positions);
    if (m->context < 2)
        tg__fail(&m->error, TG_ERROR_FORMAT, "%s: model_max_length is %d, expected 2 or more",
                 "tokenizer/tokenizer_config.json", m->context);
}

/* ----------------------------------------------------------------------------------- scheduler */

tg__scheduler *tg__model_scheduler(const tg_model *m, tg__error *error)
{
    tg__config *config =
        tg__config_parse(m->scheduler_text, m->scheduler_length, m->scheduler_where, error);
    tg__scheduler *scheduler = config ? tg__scheduler_new(config, &m->scheduler, error) : NULL;
    tg__config_close(config);
    return scheduler;
}

static const char *keep(tg_model *m, const char *text)
{
    const char *copy = text ? tg__arena_copy(&m->arena, text) : NULL;
    if (text && !copy)
        tg__fail_memory(&m->error);
    return copy;
}

static const char *single_file_prediction(const tg_model *m)
{
    const char *unknown, *prediction = tg__single_file_prediction(&m->single, &unknown);
    char shown[80];
    if (unknown)
        tg__log(&m->log, TG_LOG_WARNING,
                "%s: modelspec.prediction_type \"%s\" is not known; taking %s", m->path,
                tg__printable(shown, sizeof shown, unknown), prediction);
    return prediction;
}

static void open_scheduler(tg_model *m, const tg_model_options *o, const char *class_name)
{
    if (tg__failed(&m->error))
        return;
    const char *where = NULL;
    char *text = read_text(m, o, "scheduler/scheduler_config.json", &m->scheduler_length, &where);
    m->scheduler_text = text ? tg__arena_take(&m->arena, m->scheduler_length + 1, 1) : NULL;
    if (text && !m->scheduler_text)
        tg__fail_memory(&m->error);
    if (m->scheduler_text)
        memcpy((char *)m->scheduler_text, text, m->scheduler_length);
    free(text);
    m->scheduler_where = keep(m, where);
    const char *prediction = o->prediction_type;
    if (!prediction && m->is_single_file && !o->config_dir)
        prediction = single_file_prediction(m);
    m->scheduler = (tg__scheduler_override){
        .class_name = keep(m, o->scheduler),
        .folder_class = class_name,
        .karras = o->karras,
        .prediction_type = keep(m, prediction),
        .force_stable_diffusion = true,
    };
    tg__scheduler *scheduler = tg__failed(&m->error) ? NULL : tg__model_scheduler(m, &m->error);
    if (!scheduler)
        return;
    m->train_steps = tg__scheduler_train_steps(scheduler);
    m->info.scheduler = keep(m, tg__scheduler_class(scheduler));
    m->info.prediction_type = keep(m, tg__scheduler_prediction(scheduler));
    tg__scheduler_free(scheduler);
}

/* --------------------------------------------------------------------------------- model index */

static void fail_component(tg__config *index, const char *name, const char *library,
                           const char *class_name)
{
    bool there = tg__config_has(index, name), any = strcmp(name, "scheduler") == 0;
    char shown[200];
    tg__fail(tg__config_error(index), TG_ERROR_UNSUPPORTED,
             "%s: %s is %s, expected [\"%s\",\"%s\"]%s", tg__config_where(index), name,
             there ? tg__config_show(index, name, shown, sizeof shown) : "missing", library,
             class_name, any ? " or another scheduler" : "");
}

/* The class of an entry such as ["diffusers", "AutoencoderKL"]; "" and an error if the entry is
 * none of that library. expected: the class, for the message. */
static const char *component(tg__config *index, const char *name, const char *library,
                             const char *expected)
{
    if (!tg__config_is_pair(index, name) ||
        strcmp(tg__config_list_string(index, name, 0), library) != 0) {
        fail_component(index, name, library, expected);
        return "";
    }
    return tg__config_list_string(index, name, 1);
}

static void expect_class(tg__config *index, const char *name, const char *library,
                         const char *expected)
{
    const char *found = component(index, name, library, expected);
    if (!tg__failed(tg__config_error(index)) && strcmp(found, expected) != 0)
        fail_component(index, name, library, expected);
}

/* Checks what kind of pipeline the folder holds; returns the scheduler's class, kept. */
static const char *read_index(tg_model *m, const tg_model_options *o)
{
    tg__config *index = open_config(m, o, "model_index.json");
    const char *scheduler = NULL;
    char shown[100];
    if (!index)
        return NULL;
    const char *pipeline = tg__config_string(index, "_class_name", "");
    if (!tg__failed(&m->error) && strcmp(pipeline, "StableDiffusionPipeline") != 0)
        tg__fail(
            &m->error, TG_ERROR_UNSUPPORTED,
            "%s: _class_name is %s, expected \"StableDiffusionPipeline\"", tg__config_where(index),
            *pipeline ? tg__config_show(index, "_class_name", shown, sizeof shown) : "missing");
    for (int n = 0; n < TG__NETWORKS; n++)
        if (!tg__failed(&m->error))
            expect_class(index, networks[n].folder, networks[n].library, networks[n].class_name);
    if (!tg__failed(&m->error)) {
        const char *tokenizer = component(index, "tokenizer", "transformers", "CLIPTokenizer");
        if (strcmp(tokenizer, "CLIPTokenizerFast") != 0)
            expect_class(index, "tokenizer", "transformers", "CLIPTokenizer");
    }
    if (!tg__failed(&m->error))
        scheduler = keep(m, component(index, "scheduler", "diffusers", "DDIMScheduler"));
    tg__config_close(index);
    return scheduler;
}

/* -------------------------------------------------------------------------------------- opening */

static void open_single_file(tg_model *m, const tg_model_options *o)
{
    const char *name = strrchr(m->path, '/');
    name = name ? name + 1 : m->path;
    m->is_single_file = true;
    m->file = tg__safetensors_open(m->path, &m->error);
    if (m->file)
        tg__single_file_open(&m->single, m->file, name, o->config_dir != NULL, &m->error);
}

static void set_default_size(tg_model *m, const tg_model_options *o)
{
    int size = m->unet.config.sample_size;
    if (m->unet.config.old && size > 0 && size < 64)
        size = 64;
    if (m->is_single_file && !o->config_dir)
        m->default_size = tg__single_file_size(&m->single, m->info.prediction_type);
    else
        m->default_size = size * tg__vae_factor(&m->vae.config);
}

static void open_all(tg_model *m, const tg_model_options *o)
{
    const char *scheduler = NULL;
    if (tg__is_folder(m->path))
        scheduler = read_index(m, o);
    else if (tg__is_file(m->path))
        open_single_file(m, o);
    else
        tg__fail(&m->error, TG_ERROR_NOT_FOUND,
                 "%s: not found, expected a diffusers folder or a .safetensors file", m->path);
    open_scheduler(m, o, scheduler);
    open_network(m, o, TG__UNET);
    open_network(m, o, TG__VAE);
    open_network(m, o, TG__TEXT_ENCODER);
    check_together(m);
    open_tokenizer(m, o);
    if (tg__failed(&m->error))
        return;
    set_default_size(m, o);
    tg__model_fill_info(m);
}

tg_status tg_model_open(tg_model **model, const char *path, const tg_model_options *options)
{
    tg_model_options defaults;
    tg_model_options_init(&defaults);
    const tg_model_options *o = options ? options : &defaults;
    tg_model *m = *model = calloc(1, sizeof *m);
    if (!m)
        return TG_ERROR_MEMORY;
    m->log = (tg__log_sink){o->log, o->log_user};
    m->cpu = o->cpu;
    tg__kernels_init(&m->kernels, o->cpu);
    char *copy = tg__arena_copy(&m->arena, path);
    if (!copy)
        return tg__fail_memory(&m->error);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    m->path = copy;
    open_all(m, o);
    return m->error.status;
}

void tg_model_close(tg_model *m)
{
    if (!m)
        return;
    tg__clip_tokenizer_close(m->tokenizer);
    tg__unet_free(&m->unet);
    tg__vae_free(&m->vae);
    tg__clip_free(&m->clip);
    for (int i = 0; i < TG__NETWORKS; i++)
        tg__weights_close(m->weights[i]);
    tg__safetensors_close(m->file);
    tg__arena_free(&m->arena);
    free(m);
}

const tg_error *tg_model_error(const tg_model *m) { return m ? &m->error : &tg__no_handle; }
const char *tg_model_message(const tg_model *m) { return tg_model_error(m)->message; }
