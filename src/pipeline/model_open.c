/* SPDX-License-Identifier: MIT */
/* Opening a model: a diffusers folder, or a single file whose configs come from the layout table.
 */
#include "pipeline/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/options.h"
#include "io/file.h"
#include "pipeline/layouts.h"
#include "pipeline/model_index.h"

enum { PATH_BYTES = 4096, CONFIG_BYTES = 16 << 20 };

static const tg_model_options default_options = {.size = sizeof(tg_model_options), .karras = -1};

void tg_model_options_init_sized(tg_model_options *options, size_t size)
{
    tg__options_init(options, size, &default_options, sizeof default_options);
}

static void check_options(tg_model *m, const tg_model_options *o)
{
    if (o->karras < -1 || o->karras > 1)
        tg__fail_about(&m->error, TG_ERROR_ARGUMENT, "karras", "karras is %d, expected -1, 0 or 1",
                       o->karras);
    if (o->cpu < TG_CPU_AUTO || o->cpu > TG_CPU_AMX)
        tg__fail_about(&m->error, TG_ERROR_ARGUMENT, "cpu", "cpu is %d, expected a tg_cpu",
                       (int)o->cpu);
}

/* --------------------------------------------------------------------------------- config files */

/* Where the model's configs are; NULL: in the single file's layout. */
static const char *config_folder(const tg_model *m, const tg_model_options *o)
{
    return o->config_dir ? o->config_dir : m->is_single_file ? NULL : m->path;
}

/* A config's text, the caller's to free; folder NULL: of the layout. *where: what messages call it.
 */
static char *read_text(tg_model *m, const char *folder, const char *name, size_t *length,
                       const char **where)
{
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

static tg__config *open_config(tg_model *m, const char *folder, const char *name)
{
    size_t length = 0;
    const char *where = name;
    char *text = read_text(m, folder, name, &length, &where);
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

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void find_weights(tg_model *m, int role)
{
    const tg__network *network = m->networks[role];
    const char *prefix = tg__single_file_prefix(&m->single, network->name);
    if (!prefix || !network->class->original_name) {
        tg__fail(&m->error, TG_ERROR_UNSUPPORTED, "%s: there is no %s as %s", file_name(m->path),
                 network->name, network->class->names[0]);
        return;
    }
    m->originals[role] = (tg__original){m->file, network, prefix};
    m->weights[role] =
        tg__weights_from(tg__original_lookup, &m->originals[role], file_name(m->path), &m->error);
}

static void open_weights(tg_model *m, const tg_model_options *o, int role)
{
    const tg__network *network = m->networks[role];
    if (m->is_single_file) {
        find_weights(m, role);
        return;
    }
    char folder[PATH_BYTES];
    if (tg__path_join(folder, sizeof folder, m->path, network->name, &m->error))
        m->weights[role] = tg__weights_open(folder, network->class->weights, o->variant, &m->error);
}

static void open_network(tg_model *m, const tg_model_options *o, int role,
                         const tg__network_class *class)
{
    char name[64];
    if (tg__failed(&m->error) || !class)
        return;
    tg__network *network = m->networks[role] =
        tg__network_new(class, m->class->roles[role].name, &m->error);
    if (!network)
        return;
    snprintf(name, sizeof name, "%s/config.json", network->name);
    tg__config *config = open_config(m, config_folder(m, o), name);
    if (config && class->read_config(network, config) == TG_OK) {
        log_unknown_keys(m, config);
        open_weights(m, o, role);
    }
    if (m->weights[role])
        class->load(network, m->weights[role], &m->error);
    tg__config_close(config);
}

/* What one network's config says must go with what the others' say. */
static void check_together(tg_model *m)
{
    if (tg__failed(&m->error))
        return;
    m->class->check(m);
    const tg__network *vae = tg__autoencoder(m);
    if (vae->facts.in_channels != 3 || vae->facts.out_channels != 3)
        tg__fail(&m->error, TG_ERROR_UNSUPPORTED,
                 "%s/config.json: pictures have %d channels in and %d out, expected 3", vae->name,
                 vae->facts.in_channels, vae->facts.out_channels);
}

/* ----------------------------------------------------------------------------------- tokenizer */

static void check_context(tg_model *m, int role)
{
    const tg__role *r = &m->class->roles[role];
    int positions = m->networks[role]->facts.positions;
    int context = m->tokenizers[role]->context;
    m->contexts[role] = m->class->text_tokens;
    if (m->contexts[role] > 0) /* the class has one of its own */
        return;
    if (context == INT32_MAX) /* the tokenizer's files do not say */
        context = positions;
    m->contexts[role] = context;
    if (context > positions && positions > 0)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s/tokenizer_config.json: model_max_length is %d, expected at most %d as "
                 "max_position_embeddings in %s/config.json",
                 r->tokenizer, context, positions, r->name);
    if (context < 2)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s/tokenizer_config.json: model_max_length is %d, expected 2 or more",
                 r->tokenizer, context);
}

static void open_tokenizer(tg_model *m, const tg_model_options *o, int role, const char *class_name)
{
    char folder[PATH_BYTES];
    const tg__role *r = &m->class->roles[role];
    if (tg__failed(&m->error) || !r->tokenizer)
        return;
    if (o->tokenizer_dir)
        m->tokenizers[role] = tg__tokenizer_open(class_name, o->tokenizer_dir, &m->error);
    else if (m->is_single_file)
        m->tokenizers[role] = tg__clip_tokenizer_shipped(
            tg__single_file_part_of(&m->single, r->name)->pad_token, &m->error);
    else if (tg__path_join(folder, sizeof folder, m->path, r->tokenizer, &m->error))
        m->tokenizers[role] = tg__tokenizer_open(class_name, folder, &m->error);
    if (m->tokenizers[role])
        check_context(m, role);
}

/* ----------------------------------------------------------------------------------- scheduler */

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
    char *text = read_text(m, config_folder(m, o), "scheduler/scheduler_config.json",
                           &m->scheduler_length, &where);
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
        .timestep_spacing = keep(m, o->timestep_spacing),
        .force_stable_diffusion = m->class->force_stable_diffusion,
    };
    tg__scheduler *scheduler = tg__failed(&m->error) ? NULL : tg__model_scheduler(m, &m->error);
    if (!scheduler)
        return;
    m->train_steps = tg__scheduler_train_steps(scheduler);
    m->usual_steps = tg__scheduler_usual_steps(scheduler);
    m->info.scheduler = keep(m, tg__scheduler_class(scheduler));
    m->info.prediction_type = keep(m, tg__scheduler_prediction(scheduler));
    tg__scheduler_free(scheduler);
}

/* -------------------------------------------------------------------------------------- opening */

static void open_single_file(tg_model *m, const tg_model_options *o)
{
    m->is_single_file = true;
    m->file = tg__safetensors_open(m->path, &m->error);
    if (m->file)
        tg__single_file_open(&m->single, m->file, file_name(m->path), o->config_dir != NULL,
                             &m->error);
}

/* Early diffusers said 32 or less of models that were made for 64. */
static int sample_size(const tg_model *m)
{
    const tg__facts *facts = &tg__denoiser(m)->facts;
    bool small = facts->sample_size > 0 && facts->sample_size < 64;
    return m->class->force_stable_diffusion && facts->old && small ? 64 : facts->sample_size;
}

static void set_default_size(tg_model *m, const tg_model_options *o)
{
    if (m->is_single_file && !o->config_dir)
        m->default_size = tg__single_file_size(&m->single, m->info.prediction_type);
    else
        m->default_size = sample_size(m) * tg__autoencoder(m)->facts.factor;
}

static void open_file(tg_model *m, const tg_model_options *o)
{
    if (tg__is_folder(m->path))
        return;
    if (tg__is_file(m->path))
        open_single_file(m, o);
    else
        tg__fail(&m->error, TG_ERROR_NOT_FOUND,
                 "%s: not found, expected a diffusers folder or a .safetensors file", m->path);
}

/* A single file's index is its layout's, whoever brings the other configs; but for the scheduler,
 * whose class its config names. */
static void open_index(tg_model *m, const tg_model_options *o,
                       const tg__pipeline_class *const *classes, tg__model_index *index)
{
    const char *folder = m->is_single_file ? NULL : config_folder(m, o);
    tg__config *config = open_config(m, folder, "model_index.json");
    if (config && tg__model_index_read(index, config, classes) == TG_OK)
        index->scheduler = m->is_single_file ? NULL : keep(m, index->scheduler);
    m->class = index->class;
    m->force_zeros = index->force_zeros;
    tg__config_close(config);
}

/* Tells the caller that `done` of the networks are open; false, and an error, if it cancels. */
static bool report(tg_model *m, const tg_model_options *o, int done)
{
    tg_progress progress = {
        .phase = TG_PHASE_OPEN, .step = done, .steps = m->class ? m->class->role_count : 0};
    if (!tg__failed(&m->error) && o->progress && !o->progress(o->progress_user, &progress))
        tg__fail(&m->error, TG_ERROR_CANCELLED, "cancelled");
    return !tg__failed(&m->error);
}

static void open_all(tg_model *m, const tg_model_options *o,
                     const tg__pipeline_class *const *classes)
{
    tg__model_index index = {0};
    if (report(m, o, 0))
        open_file(m, o);
    if (!tg__failed(&m->error))
        open_index(m, o, classes, &index);
    if (tg__failed(&m->error))
        return;
    open_scheduler(m, o, index.scheduler);
    for (int i = 0; i < m->class->role_count && report(m, o, i); i++)
        open_network(m, o, i, index.networks[i]);
    for (int i = 0; i < m->class->role_count; i++)
        open_tokenizer(m, o, i, index.tokenizers[i]);
    check_together(m);
    if (tg__failed(&m->error))
        return;
    set_default_size(m, o);
    tg__model_fill_info(m);
    report(m, o, m->class->role_count);
}

static void open_path(tg_model *m, const char *path, const tg_model_options *options,
                      const tg__pipeline_class *const *classes)
{
    tg_model_options o = default_options;
    if (tg__options_read(&o, sizeof o, options, "tg_model_options", &m->error) != TG_OK ||
        !tg__given(path, "path", &m->error))
        return;
    m->log = (tg__log_sink){o.log, o.log_user};
    m->cpu = o.cpu;
    check_options(m, &o);
    char *copy = (char *)(uintptr_t)keep(m, path);
    for (size_t n = copy ? strlen(copy) : 0; n > 1 && copy[n - 1] == '/'; n--)
        copy[n - 1] = '\0';
    m->path = copy;
    if (!tg__failed(&m->error))
        open_all(m, &o, classes);
}

tg_status tg__model_open(tg_model **model, const char *path, const tg_model_options *options,
                         const tg__pipeline_class *const *classes)
{
    if (!model)
        return TG_ERROR_ARGUMENT;
    tg_model *m = *model = calloc(1, sizeof *m);
    if (!m)
        return TG_ERROR_MEMORY;
    pthread_mutex_init(&m->lock, NULL);
    open_path(m, path, options, classes);
    return m->error.status;
}

tg_status tg_model_open(tg_model **model, const char *path, const tg_model_options *options)
{
    return tg__model_open(model, path, options, tg__pipeline_classes);
}
