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
    if (tg__failed(&m->error))
        return;
    tg__network *network = m->networks[role] =
        tg__network_new(class, m->class->roles[role].name, &m->error);
    if (!network)
        return;
    snprintf(name, sizeof name, "%s/config.json", network->name);
    tg__config *config = open_config(m, o, name);
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
    int context = tg__clip_tokenizer_context(m->tokenizers[role]);
    if (context == INT32_MAX) /* the tokenizer's files do not say */
        context = positions;
    m->contexts[role] = context;
    if (context > positions)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s/tokenizer_config.json: model_max_length is %d, expected at most %d as "
                 "max_position_embeddings in %s/config.json",
                 r->tokenizer, context, positions, r->name);
    if (context < 2)
        tg__fail(&m->error, TG_ERROR_FORMAT,
                 "%s/tokenizer_config.json: model_max_length is %d, expected 2 or more",
                 r->tokenizer, context);
}

static void open_tokenizer(tg_model *m, const tg_model_options *o, int role)
{
    char folder[PATH_BYTES];
    const tg__role *r = &m->class->roles[role];
    if (tg__failed(&m->error) || !r->tokenizer)
        return;
    if (o->tokenizer_dir)
        m->tokenizers[role] = tg__clip_tokenizer_open(o->tokenizer_dir, &m->error);
    else if (m->is_single_file)
        m->tokenizers[role] = tg__clip_tokenizer_shipped(
            tg__single_file_part_of(&m->single, r->name)->pad_token, &m->error);
    else if (tg__path_join(folder, sizeof folder, m->path, r->tokenizer, &m->error))
        m->tokenizers[role] = tg__clip_tokenizer_open(folder, &m->error);
    if (m->tokenizers[role])
        check_context(m, role);
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
        .force_stable_diffusion = m->class->force_stable_diffusion,
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

static bool is_among(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* The network class that the index names for a role; NULL with an error. */
static const tg__network_class *network_class(tg__config *index, const tg__role *role)
{
    const tg__network_class *const *class = role->classes, *usual = *class;
    const char *name = component(index, role->name, usual->library, usual->names[0]);
    while (*class && !is_among((*class)->names, name))
        class ++;
    if (!*class && !tg__failed(tg__config_error(index)))
        fail_component(index, role->name, usual->library, usual->names[0]);
    return *class;
}

static void check_tokenizer(tg__config *index, const char *name)
{
    static const char *const classes[] = {"CLIPTokenizer", "CLIPTokenizerFast", NULL};
    const char *found = component(index, name, "transformers", classes[0]);
    if (!tg__failed(tg__config_error(index)) && !is_among(classes, found))
        fail_component(index, name, "transformers", classes[0]);
}

/* The pipeline class that a name means; NULL with an error. */
static const tg__pipeline_class *pipeline_class(tg__config *index,
                                                const tg__pipeline_class *const *classes)
{
    char shown[100];
    const char *name = tg__config_string(index, "_class_name", "");
    for (const tg__pipeline_class *const *class = classes; *class; class ++)
        if (is_among((*class)->names, name))
            return *class;
    tg__fail(tg__config_error(index), TG_ERROR_UNSUPPORTED,
             "%s: _class_name is %s, expected \"%s\"", tg__config_where(index),
             *name ? tg__config_show(index, "_class_name", shown, sizeof shown) : "missing",
             classes[0]->names[0]);
    return NULL;
}

/* What kind of pipeline the folder holds: the class of each network, and the scheduler's, kept. */
static const char *read_index(tg_model *m, tg__config *index,
                              const tg__pipeline_class *const *classes,
                              const tg__network_class **networks)
{
    m->class = pipeline_class(index, classes);
    for (int i = 0; m->class && i < m->class->role_count; i++)
        if (!tg__failed(&m->error))
            networks[i] = network_class(index, &m->class->roles[i]);
    for (int i = 0; m->class && i < m->class->role_count; i++)
        if (!tg__failed(&m->error) && m->class->roles[i].tokenizer)
            check_tokenizer(index, m->class->roles[i].tokenizer);
    if (tg__failed(&m->error))
        return NULL;
    return keep(m, component(index, "scheduler", "diffusers", "DDIMScheduler"));
}

/* A single file's class is its kind's, and its networks the usual ones. */
static void class_of_single_file(tg_model *m, const tg__pipeline_class *const *classes,
                                 const tg__network_class **networks)
{
    while (*classes && !is_among((*classes)->names, m->single.kind->pipeline))
        classes++;
    m->class = *classes;
    if (!m->class)
        tg__fail(&m->error, TG_ERROR_UNSUPPORTED, "%s: %s is not supported", m->path,
                 m->single.kind->pipeline);
    for (int i = 0; m->class && i < m->class->role_count; i++)
        networks[i] = m->class->roles[i].classes[0];
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

static void set_default_size(tg_model *m, const tg_model_options *o)
{
    if (m->is_single_file && !o->config_dir)
        m->default_size = tg__single_file_size(&m->single, m->info.prediction_type);
    else
        m->default_size = tg__denoiser(m)->facts.sample_size * tg__autoencoder(m)->facts.factor;
}

/* Fills networks with each role's class; returns the scheduler's class of a folder. */
static const char *open_index(tg_model *m, const tg_model_options *o,
                              const tg__pipeline_class *const *classes,
                              const tg__network_class **networks)
{
    const char *scheduler = NULL;
    if (tg__is_folder(m->path)) {
        tg__config *index = open_config(m, o, "model_index.json");
        scheduler = index ? read_index(m, index, classes, networks) : NULL;
        tg__config_close(index);
    } else if (tg__is_file(m->path)) {
        open_single_file(m, o);
        if (!tg__failed(&m->error))
            class_of_single_file(m, classes, networks);
    } else {
        tg__fail(&m->error, TG_ERROR_NOT_FOUND,
                 "%s: not found, expected a diffusers folder or a .safetensors file", m->path);
    }
    return scheduler;
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
    const tg__network_class *networks[TG__MAX_NETWORKS] = {0};
    const char *scheduler = report(m, o, 0) ? open_index(m, o, classes, networks) : NULL;
    if (tg__failed(&m->error))
        return;
    open_scheduler(m, o, scheduler);
    for (int i = 0; i < m->class->role_count && report(m, o, i); i++)
        open_network(m, o, i, networks[i]);
    check_together(m);
    for (int i = 0; i < m->class->role_count; i++)
        open_tokenizer(m, o, i);
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

void tg_model_close(tg_model *m)
{
    if (!m)
        return;
    for (int i = 0; i < TG__MAX_NETWORKS; i++) {
        tg__clip_tokenizer_close(m->tokenizers[i]);
        tg__network_free(m->networks[i]);
        tg__weights_close(m->weights[i]);
    }
    tg__safetensors_close(m->file);
    pthread_mutex_destroy(&m->lock);
    tg__arena_free(&m->arena);
    free(m);
}

const tg_error *tg_model_error(const tg_model *m) { return m ? &m->error : &tg__no_handle; }
const char *tg_model_message(const tg_model *m) { return tg_model_error(m)->message; }

/* ------------------------------------------------------------------------------------ backends */

static tg__resident *new_resident(tg_model *m, const tg__backend_opener *opener, tg_dtype dtype,
                                  tg__error *error)
{
    tg__resident *resident = calloc(1, sizeof *resident);
    if (!resident) {
        tg__fail_memory(error);
        return NULL;
    }
    resident->backend = opener->open(m->cpu, dtype, error);
    if (!resident->backend) {
        free(resident);
        return NULL;
    }
    resident->opener = opener;
    resident->dtype = dtype;
    resident->next = m->residents;
    m->residents = resident;
    return resident;
}

tg__resident *tg__model_acquire(tg_model *m, const tg__backend_opener *opener, tg_dtype dtype,
                                tg__error *error)
{
    pthread_mutex_lock(&m->lock);
    tg__resident *resident = m->residents;
    while (resident && (resident->opener != opener || resident->dtype != dtype))
        resident = resident->next;
    if (!resident)
        resident = new_resident(m, opener, dtype, error);
    if (resident)
        resident->sessions++;
    pthread_mutex_unlock(&m->lock);
    return resident;
}

void tg__model_release(tg_model *m, tg__resident *resident)
{
    pthread_mutex_lock(&m->lock);
    if (--resident->sessions == 0) {
        tg__resident **link = &m->residents;
        while (*link != resident)
            link = &(*link)->next;
        *link = resident->next;
        resident->backend->class->close(resident->backend);
        free(resident);
    }
    pthread_mutex_unlock(&m->lock);
}
