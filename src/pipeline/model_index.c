/* SPDX-License-Identifier: MIT */
#include "pipeline/model_index.h"

#include <stdio.h>
#include <string.h>

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

/* The one of names that is this; NULL: none is. */
static const char *among(const char *const *names, const char *name)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names;
}

/* The network class that the index names for a role; NULL with an error. */
static const tg__network_class *network_class(tg__config *index, const tg__role *role)
{
    const tg__network_class *usual = role->classes[0];
    const char *name = component(index, role->name, usual->library, usual->names[0]);
    for (int i = 0; role->classes[i]; i++)
        if (among(role->classes[i]->names, name))
            return role->classes[i];
    if (!tg__failed(tg__config_error(index)))
        fail_component(index, role->name, usual->library, usual->names[0]);
    return NULL;
}

/* The tokenizer class that the index names for a role; NULL with an error. */
static const char *tokenizer_class(tg__config *index, const tg__role *role)
{
    const char *usual = role->tokenizer_classes[0];
    const char *found = component(index, role->tokenizer, "transformers", usual);
    const char *known = among(role->tokenizer_classes, found);
    if (!tg__failed(tg__config_error(index)) && !known)
        fail_component(index, role->tokenizer, "transformers", usual);
    return known;
}

/* Pipelines whose networks are told more than noise and text; NULL for another. */
static const char *not_text_to_image(const char *name)
{
    static const struct {
        const char *name, *what;
    } others[] = {
        {"StableDiffusionDepth2ImgPipeline", "a depth model"},
        {"StableDiffusionInstructPix2PixPipeline", "an instruct-pix2pix model"},
        {"StableDiffusionXLInstructPix2PixPipeline", "an instruct-pix2pix model"},
        {"StableDiffusionUpscalePipeline", "an upscaler"},
        {"StableDiffusionLatentUpscalePipeline", "an upscaler"},
        {"StableUnCLIPPipeline", "an unCLIP model"},
        {"StableUnCLIPImg2ImgPipeline", "an unCLIP model"},
        {"UnCLIPPipeline", "an unCLIP model"},
        {"UnCLIPImageVariationPipeline", "an unCLIP model"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].name, name) == 0)
            return others[i].what;
    return NULL;
}

static void fail_class(tg__config *index, const tg__pipeline_class *const *classes,
                       const char *name)
{
    char shown[100] = "missing", expected[512] = "";
    const char *what = not_text_to_image(name), *where = tg__config_where(index);
    size_t length = 0;
    if (*name)
        tg__config_show(index, "_class_name", shown, sizeof shown);
    for (int i = 0; classes[i] && length < sizeof expected; i++)
        length += (size_t)snprintf(expected + length, sizeof expected - length, "%s\"%s\"",
                                   i == 0           ? ""
                                   : classes[i + 1] ? ", "
                                                    : " or ",
                                   classes[i]->names[0]);
    if (what)
        tg__fail(tg__config_error(index), TG_ERROR_UNSUPPORTED,
                 "%s: _class_name is %s (%s): not implemented", where, shown, what);
    else
        tg__fail(tg__config_error(index), TG_ERROR_UNSUPPORTED,
                 "%s: _class_name is %s, expected %s", where, shown, expected);
}

/* The pipeline class that a name means; NULL with an error. */
static const tg__pipeline_class *pipeline_class(tg__config *index,
                                                const tg__pipeline_class *const *classes)
{
    const char *name = tg__config_string(index, "_class_name", "");
    for (int i = 0; classes[i]; i++)
        if (among(classes[i]->names, name))
            return classes[i];
    fail_class(index, classes, name);
    return NULL;
}

tg_status tg__model_index_read(tg__model_index *index, tg__config *config,
                               const tg__pipeline_class *const *classes)
{
    const tg__error *error = tg__config_error(config);
    *index = (tg__model_index){.class = pipeline_class(config, classes)};
    int count = index->class ? index->class->role_count : 0;
    for (int i = 0; i < count && !tg__failed(error); i++)
        index->networks[i] = network_class(config, &index->class->roles[i]);
    for (int i = 0; i < count && !tg__failed(error); i++)
        if (index->class->roles[i].tokenizer)
            index->tokenizers[i] = tokenizer_class(config, &index->class->roles[i]);
    if (!tg__failed(error))
        index->scheduler = component(config, "scheduler", "diffusers", "DDIMScheduler");
    index->force_zeros = tg__config_bool(config, "force_zeros_for_empty_prompt", true);
    return error->status;
}
