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
    if (o->network_count < 0 || o->network_count > TG__MAX_NETWORKS ||
        (o->network_count > 0 && !o->networks))
        tg__fail_about(&m->error, TG_ERROR_ARGUMENT, "networks",
                       "networks are %d at %p, expected at most %d", o->network_count,
                       (const void *)o->networks, TG__MAX_NETWORKS);
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

static const char *keep(tg_model *m, const char *text)
{
    const char *copy = text ? tg__arena_copy(&m->arena, text) : NULL;
    if (text && !copy)
        tg__fail_memory(&m->error);
    return copy;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The weights of a role that are in a file; where: the file's name for messages. */
static void take_from_file(tg_model *m, int role, tg__safetensors *file, const tg__place *place,
                           const char *where)
{
    m->originals[role] = (tg__original){file, m->networks[role], *place};
    m->weights[role] =
        tg__weights_in_file(file, tg__original_lookup, &m->originals[role], where, &m->error);
}

static void open_weights(tg_model *m, const tg_model_options *o, int role)
{
    const tg__network *network = m->networks[role];
    const tg__origin *origin = &m->origins[role];
    char folder[PATH_BYTES];
    tg__place place;
    if (origin->file) {
        const char *where = file_name(origin->path);
        if (tg__place_in_file(&place, origin->file, where, network->class, network->name,
                              &m->error) == TG_OK)
            take_from_file(m, role, origin->file, &place, where);
    } else if (origin->path) {
        m->weights[role] =
            tg__weights_open(origin->path, network->class->weights, o->variant, &m->error);
    } else if (m->is_single_file) {
        if (tg__place_in_checkpoint(&place, &m->single, network->class, network->name, &m->error) ==
            TG_OK)
            take_from_file(m, role, m->file, &place, m->single.where);
    } else if (tg__path_join(folder, sizeof folder, m->path, network->name, &m->error)) {
        m->weights[role] = tg__weights_open(folder, network->class->weights, o->variant, &m->error);
    }
}

/* The network's own config where it comes from elsewhere and has one, else the model's. */
static tg__config *network_config(tg_model *m, const tg_model_options *o, int role)
{
    char name[64], where[TG__WHERE_BYTES];
    const char *own = m->origins[role].config;
    if (own)
        return tg__config_open(own, tg__path_where(where, sizeof where, own), &m->error);
    snprintf(name, sizeof name, "%s/config.json", m->class->roles[role].name);
    return open_config(m, config_folder(m, o), name);
}

static void open_network(tg_model *m, const tg_model_options *o, int role,
                         const tg__network_class *class)
{
    if (m->origins[role].class)
        class = m->origins[role].class;
    if (tg__failed(&m->error) || !class)
        return;
    tg__network *network = m->networks[role] =
        tg__network_new(class, m->class->roles[role].name, &m->error);
    if (!network)
        return;
    tg__config *config = network_config(m, o, role);
    if (config && class->read_config(network, config) == TG_OK) {
        log_unknown_keys(m, config);
        open_weights(m, o, role);
    }
    if (m->weights[role])
        class->load(network, m->weights[role], &m->error);
    tg__config_close(config);
}

/* -------------------------------------------------------------------- networks from elsewhere */

/* The role of this name; -1 with an error that lists those that there are. */
static int find_role(tg_model *m, const char *name)
{
    char list[200] = "", shown[80];
    for (int i = 0; i < m->class->role_count; i++) {
        size_t used = strlen(list);
        if (strcmp(m->class->roles[i].name, name) == 0)
            return i;
        snprintf(list + used, sizeof list - used, "%s%s",
                 i == 0                          ? ""
                 : i + 1 == m->class->role_count ? " or "
                                                 : ", ",
                 m->class->roles[i].name);
    }
    tg__fail_about(&m->error, TG_ERROR_ARGUMENT, tg__printable(shown, sizeof shown, name),
                   "%s has no network of this name, expected %s", m->class->names[0], list);
    return -1;
}

/* Takes the class that a config names, if it can fill the role; false if the config is that of
 * another thing. transformers' names say less: the network looks at the model_type itself. */
static bool take_class(tg__origin *origin, const tg__role *role, tg__config *config)
{
    bool transformers = strcmp(role->classes[0]->library, "transformers") == 0;
    const char *name = tg__config_string(config, "_class_name", NULL);
    bool listed = !name && tg__config_list(config, "architectures", 8) > 0;
    if (listed)
        name = tg__config_list_string(config, "architectures", 0);
    for (int i = 0; name && role->classes[i]; i++)
        for (int j = 0; role->classes[i]->names[j]; j++)
            if (strcmp(role->classes[i]->names[j], name) == 0)
                origin->class = role->classes[i];
    return origin->class || !name || (listed && transformers);
}

/* The config beside a file may belong to another thing, which is no error: it must name a class
 * that fits. */
static void take_config_beside(tg_model *m, int role, const char *path)
{
    tg__origin *origin = &m->origins[role];
    tg__error ignored = {0};
    tg__config *config = tg__config_open(path, file_name(path), &ignored);
    if (config)
        take_class(origin, &m->class->roles[role], config);
    if (origin->class)
        origin->config = keep(m, path);
    tg__config_close(config);
}

static void take_config(tg_model *m, int role, const char *path)
{
    char where[TG__WHERE_BYTES], shown[100];
    const tg__role *r = &m->class->roles[role];
    tg__config *config =
        tg__config_open(path, tg__path_where(where, sizeof where, path), &m->error);
    if (config && !take_class(&m->origins[role], r, config)) {
        const char *key = tg__config_has(config, "_class_name") ? "_class_name" : "architectures";
        tg__fail(&m->error, TG_ERROR_UNSUPPORTED, "%s: %s is %s, expected \"%s\"", where, key,
                 tg__config_show(config, key, shown, sizeof shown), r->classes[0]->names[0]);
    }
    m->origins[role].config = keep(m, path);
    tg__config_close(config);
}

/* A network's folder, or that of a pipeline with such a network. */
static void open_origin_folder(tg_model *m, int role, const char *path)
{
    char inner[PATH_BYTES], config[PATH_BYTES];
    if (!tg__path_join(config, sizeof config, path, "config.json", &m->error) ||
        !tg__path_join(inner, sizeof inner, path, m->class->roles[role].name, &m->error))
        return;
    if (!tg__is_file(config) && tg__is_folder(inner)) {
        path = inner;
        if (!tg__path_join(config, sizeof config, path, "config.json", &m->error))
            return;
    }
    m->origins[role].path = keep(m, path);
    if (tg__is_file(config))
        take_config(m, role, config);
}

static void open_origin_file(tg_model *m, int role, const char *path)
{
    tg__origin *origin = &m->origins[role];
    char folder[PATH_BYTES], config[PATH_BYTES];
    snprintf(folder, sizeof folder, "%.*s", (int)(file_name(path) - path), path);
    origin->path = keep(m, path);
    origin->file = tg__safetensors_open(path, &m->error);
    if (origin->file &&
        tg__path_join(config, sizeof config, *folder ? folder : ".", "config.json", &m->error) &&
        tg__is_file(config))
        take_config_beside(m, role, config);
}

static void open_origin(tg_model *m, const tg_network_path *given)
{
    if (!tg__given(given->role, "networks.role", &m->error) ||
        !tg__given(given->path, "networks.path", &m->error))
        return;
    int role = find_role(m, given->role);
    if (role < 0)
        return;
    if (m->origins[role].path)
        tg__fail_about(&m->error, TG_ERROR_ARGUMENT, given->role,
                       "%s is given twice, expected one path", m->class->roles[role].name);
    else if (tg__is_folder(given->path))
        open_origin_folder(m, role, given->path);
    else if (tg__is_file(given->path))
        open_origin_file(m, role, given->path);
    else
        tg__fail(&m->error, TG_ERROR_NOT_FOUND,
                 "%s: not found, expected the folder of a network or of a pipeline, or a "
                 ".safetensors file",
                 given->path);
}

static void open_origins(tg_model *m, const tg_model_options *o)
{
    for (int i = 0; i < o->network_count && !tg__failed(&m->error); i++)
        open_origin(m, &o->networks[i]);
}

/* ------------------------------------------------------------------------------------ all of them
 */

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

/* A tokenizer's folder, or one with a folder for each. */
static void open_given_tokenizer(tg_model *m, int role, const char *path, const char *class_name)
{
    char folder[PATH_BYTES];
    if (tg__path_join(folder, sizeof folder, path, m->class->roles[role].tokenizer, &m->error))
        m->tokenizers[role] =
            tg__tokenizer_open(class_name, tg__is_folder(folder) ? folder : path, &m->error);
}

static void open_tokenizer(tg_model *m, const tg_model_options *o, int role, const char *class_name)
{
    char folder[PATH_BYTES];
    const tg__role *r = &m->class->roles[role];
    if (tg__failed(&m->error) || !r->tokenizer)
        return;
    if (o->tokenizer_dir)
        open_given_tokenizer(m, role, o->tokenizer_dir, class_name);
    else if (m->is_single_file)
        m->tokenizers[role] = tg__clip_tokenizer_shipped(
            tg__single_file_part_of(&m->single, r->name)->pad_token, &m->error);
    else if (tg__path_join(folder, sizeof folder, m->path, r->tokenizer, &m->error))
        m->tokenizers[role] = tg__tokenizer_open(class_name, folder, &m->error);
    if (m->tokenizers[role])
        check_context(m, role);
}

/* ----------------------------------------------------------------------------------- scheduler */

/* What the files say of the UNet: one from elsewhere knows better than the model. With configs of
 * the user's a file has no say. */
static tg__prediction find_prediction(const tg_model *m, const tg_model_options *o)
{
    const tg__origin *origin = &m->origins[m->class->denoiser];
    tg__prediction found = {0};
    if (origin->file)
        found = tg__file_prediction(origin->file);
    if (!found.type && m->is_single_file && !o->config_dir && !origin->path)
        found = tg__single_file_prediction(&m->single);
    return found;
}

static void log_prediction(const tg_model *m, const tg__prediction *found)
{
    char shown[80];
    if (found->unknown)
        tg__log(&m->log, TG_LOG_WARNING,
                "%s: modelspec.prediction_type \"%s\" is not known; taking %s", m->path,
                tg__printable(shown, sizeof shown, found->unknown), found->type);
    else if (found->assumed)
        tg__log(&m->log, TG_LOG_WARNING,
                "%s: does not say what it predicts; taking %s (the option prediction-type changes "
                "it)",
                m->path, found->type);
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
    tg__prediction found = find_prediction(m, o);
    if (!o->prediction_type && found.type)
        log_prediction(m, &found);
    m->scheduler = (tg__scheduler_override){
        .class_name = keep(m, o->scheduler),
        .folder_class = class_name,
        .karras = o->karras,
        .prediction_type = keep(m, o->prediction_type ? o->prediction_type : found.type),
        .zero_snr = found.zero_snr,
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
    open_origins(m, o);
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
