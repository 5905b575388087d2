/* SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700 /* open_memstream, realpath */
#include "parameters.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json.h"

static void write_name(FILE *out, const char *key, const char *value)
{
    fprintf(out, ", %s: ", key);
    if (strpbrk(value, ",:\n\""))
        json_quote(out, value);
    else
        fputs(value, out);
}

/* The model by its last name, "." and a trailing slash resolved, ".safetensors" cut off. */
static void write_model(FILE *out, const char *path)
{
    char *full = realpath(path, NULL);
    const char *text = full ? full : path, *slash = strrchr(text, '/');
    char name[256];
    snprintf(name, sizeof name, "%s", slash ? slash + 1 : text);
    char *dot = strrchr(name, '.');
    if (dot && strcasecmp(dot, ".safetensors") == 0)
        *dot = '\0';
    write_name(out, "Model", name);
    free(full);
}

/* What of the schedule is not the scheduler's own. */
static void write_schedule(FILE *out, const struct parameters *parameters)
{
    const struct options *options = parameters->options;
    const tg_generate_options *generate = parameters->generate;
    if (options->timestep_spacing)
        write_name(out, "Timestep spacing", options->timestep_spacing);
    if (options->timesteps)
        write_name(out, "Timesteps", options->timesteps);
    if (generate->original_steps > 0)
        fprintf(out, ", Original steps: %d", generate->original_steps);
    if (generate->eta > 0)
        fprintf(out, ", Eta: %g", generate->eta);
}

/* Of Stable Diffusion XL; what is not there is the picture's. */
static void write_sizes(FILE *out, const char *side, const tg_sizes *sizes)
{
    if (sizes->original_width)
        fprintf(out, ", %sOriginal size: %dx%d", side, sizes->original_width,
                sizes->original_height);
    if (sizes->crop_top || sizes->crop_left)
        fprintf(out, ", %sCrop: \"%d,%d\"", side, sizes->crop_top, sizes->crop_left);
    if (sizes->target_width)
        fprintf(out, ", %sTarget size: %dx%d", side, sizes->target_width, sizes->target_height);
}

static void write_settings(FILE *out, const struct parameters *parameters)
{
    const struct options *options = parameters->options;
    const tg_generate_options *generate = parameters->generate;
    const tg_gate *gate = &generate->gate;
    char text[128];
    fprintf(out, "Steps: %d", generate->steps);
    write_name(out, "Sampler", parameters->scheduler);
    if (options->karras)
        write_name(out, "Schedule type", "Karras");
    fprintf(out, ", CFG scale: %g, Seed: %" PRIu64 ", Size: %dx%d", generate->guidance,
            generate->seed, generate->width, generate->height);
    write_model(out, options->argument[0]);
    write_schedule(out, parameters);
    if (options->clip_skip) /* the field counts from the last layer as 1 */
        fprintf(out, ", Clip skip: %" PRId64, (int64_t)options->clip_skip + 1);
    if (options->prompt_2)
        write_name(out, "Prompt 2", options->prompt_2);
    if (options->negative_2)
        write_name(out, "Negative prompt 2", options->negative_2);
    write_sizes(out, "", &generate->sizes);
    write_sizes(out, "Negative ", &generate->negative_sizes);
    if (generate->guidance_rescale > 0)
        fprintf(out, ", CFG rescale: %g", generate->guidance_rescale);
    if (generate->count > 1)
        fprintf(out, ", Batch size: %d, Batch pos: %d", generate->count, parameters->index);
    if (gate->gate_step > 0) {
        snprintf(text, sizeof text, "gate %d, sp %d, fi %d, warm-up %d", gate->gate_step,
                 gate->sp_interval, gate->fi_interval, gate->warm_up);
        write_name(out, "T-GATE", text);
    }
    if (generate->deepcache.interval > 1) {
        snprintf(text, sizeof text, "interval %d, branch %d", generate->deepcache.interval,
                 generate->deepcache.branch);
        write_name(out, "DeepCache", text);
    }
    write_name(out, "RNG", generate->rng == TG_RNG_TORCH_CUDA ? "NV" : "CPU");
    fprintf(out, ", Version: tgate %s", tg_version());
}

char *parameters_text(const struct parameters *parameters)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    fprintf(out, "%s\n", parameters->prompt);
    if (parameters->options->negative && *parameters->options->negative)
        fprintf(out, "Negative prompt: %s\n", parameters->options->negative);
    write_settings(out, parameters);
    int failed = ferror(out);
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
