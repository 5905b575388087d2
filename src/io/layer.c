/* SPDX-License-Identifier: MIT */
#include "io/layer.h"

#include <stdarg.h>
#include <stdio.h>

enum { KEY_BYTES = 256 };

tg__scope tg__at(const tg__scope *scope, const char *format, ...)
{
    tg__scope child = *scope;
    char name[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    snprintf(child.prefix, sizeof child.prefix, "%.90s%.60s.", scope->prefix, name);
    return child;
}

static tg__weight get(const tg__scope *scope, const char *key, const char *suffix, int rank,
                      const int64_t *shape)
{
    char name[KEY_BYTES];
    if (tg__failed(scope->error))
        return (tg__weight){0};
    snprintf(name, sizeof name, "%s%s%s", scope->prefix, key, suffix);
    tg__weight tensor = tg__weights_get(scope->weights, name, rank, shape, scope->error);
    if (tensor.data) {
        int64_t count = (int64_t)tg__weight_count(&tensor);
        scope->tally->parameters += count;
        scope->tally->bytes += (int64_t)tensor.bytes;
        scope->tally->by_dtype[tensor.dtype] += count;
    }
    return tensor;
}

static const char *full_name(const tg__scope *scope, const char *key)
{
    char name[KEY_BYTES];
    if (tg__failed(scope->error))
        return "";
    snprintf(name, sizeof name, "%s%s", scope->prefix, key);
    const char *copy = tg__arena_copy(scope->arena, name);
    if (!copy)
        tg__fail_memory(scope->error);
    return copy ? copy : "";
}

/* rank 4: a convolution's shape; rank 2: a linear layer's. */
static tg__layer load(const tg__scope *scope, const char *key, int in, int out, int kernel,
                      int rank, bool bias)
{
    tg__layer layer = {.name = full_name(scope, key),
                       .parts = 1,
                       .out = out,
                       .in = in,
                       .kernel = kernel,
                       .has_bias = bias};
    layer.weight[0] = get(scope, key, ".weight", rank, (int64_t[]){out, in, kernel, kernel});
    if (bias)
        layer.bias[0] = get(scope, key, ".bias", 1, (int64_t[]){out});
    return layer;
}

tg__layer tg__load_conv(const tg__scope *scope, const char *key, int in, int out, int kernel)
{
    return load(scope, key, in, out, kernel, 4, true);
}

tg__layer tg__load_linear(const tg__scope *scope, const char *key, int in, int out, bool bias)
{
    return load(scope, key, in, out, 1, 2, bias);
}

tg__layer tg__load_projection(const tg__scope *scope, const char *key, int in, int out, bool conv)
{
    return load(scope, key, in, out, 1, conv ? 4 : 2, true);
}

tg__layer tg__stack(const tg__layer *layers, int count)
{
    tg__layer stacked = layers[0];
    for (int i = 1; i < count; i++) {
        stacked.weight[i] = layers[i].weight[0];
        stacked.bias[i] = layers[i].bias[0];
    }
    stacked.parts = count;
    stacked.out *= count;
    return stacked;
}

tg__layer tg__load_stacked(const tg__scope *scope, const char *const *keys, int count, int in,
                           int out, bool bias)
{
    tg__layer layers[TG__MAX_PARTS];
    for (int i = 0; i < count; i++)
        layers[i] = tg__load_linear(scope, keys[i], in, out, bias);
    return tg__stack(layers, count);
}

tg__norm tg__load_rms_norm(const tg__scope *scope, const char *key, int c)
{
    tg__norm norm = {.name = full_name(scope, key), .c = c};
    norm.weight = get(scope, key, ".weight", 1, (int64_t[]){c});
    return norm;
}

tg__norm tg__load_norm(const tg__scope *scope, const char *key, int c)
{
    tg__norm norm = tg__load_rms_norm(scope, key, c);
    norm.bias = get(scope, key, ".bias", 1, (int64_t[]){c});
    return norm;
}

tg__norm tg__bare_norm(const tg__scope *scope, const char *key, int c)
{
    return (tg__norm){.name = full_name(scope, key), .c = c};
}

tg__weight tg__load_table(const tg__scope *scope, const char *key, int rows, int columns)
{
    return get(scope, key, "", 2, (int64_t[]){rows, columns});
}

void tg__layer_drop(const tg__layer *layer)
{
    for (int i = 0; i < layer->parts; i++)
        tg__weight_drop(&layer->weight[i]);
}

void *tg__load_array(const tg__scope *scope, int count, size_t size)
{
    if (tg__failed(scope->error))
        return NULL; /* what a wrong config asks for takes neither time nor memory */
    void *array = tg__arena_take(scope->arena, (size_t)count, size);
    if (!array)
        tg__fail_memory(scope->error);
    return array;
}
