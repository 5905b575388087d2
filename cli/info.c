/* SPDX-License-Identifier: MIT */
/* tgate info: what a model consists of. Nothing is computed. */
#include <inttypes.h>
#include <stdio.h>

#include "commands.h"
#include "engine.h"
#include "json.h"
#include "report.h"

static void print_json(const tg_model *model)
{
    const tg_model_info *info = tg_model_describe(model);
    struct json json = {.out = stdout};
    tg_generate_options usual;
    tg_generate_options_init(&usual, model);
    json_open(&json, NULL, '{');
    json_text(&json, "pipeline", info->pipeline);
    json_text(&json, "layout", info->layout);
    json_open(&json, "networks", '[');
    for (int i = 0; i < info->network_count; i++) {
        const tg_network_info *network = tg_model_network(model, i);
        json_open(&json, NULL, '{');
        json_text(&json, "name", network->name);
        json_text(&json, "class", network->class_name);
        json_integer(&json, "parameters", network->parameters);
        json_text(&json, "dtype", network->dtype);
        json_integer(&json, "bytes", network->bytes);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_text(&json, "scheduler", info->scheduler);
    json_text(&json, "prediction_type", info->prediction_type);
    json_integer(&json, "width", info->width);
    json_integer(&json, "height", info->height);
    json_integer(&json, "size_multiple", info->size_multiple);
    json_integer(&json, "latent_channels", info->latent_channels);
    json_real(&json, "guidance", info->guidance);
    json_integer(&json, "steps", usual.steps);
    json_open(&json, "gate", '{');
    json_integer(&json, "gate_step", usual.gate.gate_step);
    json_integer(&json, "sp_interval", usual.gate.sp_interval);
    json_integer(&json, "fi_interval", usual.gate.fi_interval);
    json_integer(&json, "warm_up", usual.gate.warm_up);
    json_close(&json, '}');
    json_integer(&json, "context", info->context);
    json_open(&json, "memory_bytes", '{');
    json_integer(&json, "f32", info->memory_f32);
    json_integer(&json, "bf16", info->memory_bf16);
    json_integer(&json, "int8", info->memory_int8);
    json_close(&json, '}');
    json_real(&json, "step_gmac", info->step_gmac);
    json_close(&json, '}');
    putchar('\n');
}

static double mebibytes(int64_t bytes) { return (double)bytes / (1 << 20); }

static void print_table(const tg_model *model)
{
    const tg_model_info *info = tg_model_describe(model);
    tg_generate_options usual;
    tg_generate_options_init(&usual, model);
    printf("%-14s %-27s %14s  %-6s %10s\n", "network", "class", "parameters", "dtype", "MiB");
    for (int i = 0; i < info->network_count; i++) {
        const tg_network_info *network = tg_model_network(model, i);
        printf("%-14s %-27s %14" PRId64 "  %-6s %10.1f\n", network->name, network->class_name,
               network->parameters, network->dtype, mebibytes(network->bytes));
    }
    printf("\npipeline   %s, %s\n", info->pipeline, info->layout);
    printf("scheduler  %s, %s\n", info->scheduler, info->prediction_type);
    printf("pictures   %dx%d, multiples of %d; %d latent channels\n", info->width, info->height,
           info->size_multiple, info->latent_channels);
    printf("prompt     %d tokens, guidance %g\n", info->context, info->guidance);
    printf("T-GATE     from step %d of %d, sp %d, fi %d, warm-up %d\n", usual.gate.gate_step,
           usual.steps, usual.gate.sp_interval, usual.gate.fi_interval, usual.gate.warm_up);
    printf("a step     %.2f GMAC\n", info->step_gmac);
    printf("memory     %.0f MiB in f32, %.0f MiB in bf16, %.0f MiB in int8\n",
           mebibytes(info->memory_f32), mebibytes(info->memory_bf16), mebibytes(info->memory_int8));
}

int run_info(const struct options *options)
{
    struct engine engine;
    engine_init(&engine, options);
    int code = engine_open_model(&engine);
    if (code == EXIT_DONE)
        (options->json ? print_json : print_table)(engine.model);
    engine_close(&engine);
    return code;
}
