/* SPDX-License-Identifier: MIT */
#include "cpu/int8_weights.h"

#include <math.h>
#include <stdlib.h>

#include "core/parallel.h"
#include "onednn/gather.h"

/* One allocation: the weights, then for each output of whole blocks the bias, the scale and
 * the sum. */
typedef struct job {
    const tg__kernels *kernels;
    const tg__product_spec *spec;
    size_t taps, in, depth; /* depth: bytes of a tap */
    char *weights;
    float *bias, *scale, *sum;
    char *scratch; /* scratch_bytes for each thread: a row as it is gathered, and in bytes */
    size_t scratch_bytes, bytes_at;
} job;

/* The layer's output at a place of the packed order; `out` or more where there is none. A gated
 * layer's block has TG__INT8_BLOCK / 2 outputs of the first half and their gates. */
static size_t output_at(const job *j, size_t place)
{
    size_t out = (size_t)j->spec->layer->out, half = TG__INT8_BLOCK / 2;
    if (j->spec->activation != TG__GEGLU)
        return place;
    size_t within = place % TG__INT8_BLOCK, output = place / TG__INT8_BLOCK * half + within % half;
    return output >= out / 2 ? out : within < half ? output : output + out / 2;
}

static uint32_t unit_at(const char *p)
{
    uint32_t unit;
    memcpy(&unit, p, sizeof unit);
    return unit;
}

/* A tap's row of depth bytes into its lane of a block. */
static void spread(char *dst, const char *row, size_t depth)
{
    for (size_t k = 0; k < depth; k += 4) {
        uint32_t unit = unit_at(row + k);
        memcpy(dst + k * TG__INT8_BLOCK, &unit, sizeof unit);
    }
}

static void pack_output(const job *j, size_t output, size_t place, char *dst, char *row)
{
    const float *values = (const float *)(const void *)row;
    uint8_t *bytes = (uint8_t *)row + j->bytes_at;
    int8_t *tap_row = (int8_t *)bytes + j->in * j->taps;
    float low = 0, high = 0;
    tg__gather_row(row, TG__F32, j->kernels, j->spec, output);
    j->kernels->range(&low, &high, values, j->in * j->taps, false);
    float most = high > -low ? high : -low;
    j->kernels->quantize(bytes, values, j->in * j->taps, most > 0 ? 127 / most : 0, 128, false);
    int32_t sum = 0;
    memset(tap_row, 0, j->depth);
    for (size_t tap = 0; tap < j->taps; tap++, dst += TG__INT8_BLOCK * j->depth) {
        for (size_t k = 0; k < j->in; k++) {
            tap_row[k] = (int8_t)(bytes[k * j->taps + tap] - 128);
            sum += tap_row[k];
        }
        spread(dst, (const char *)tap_row, j->depth);
    }
    j->scale[place] = isfinite(most) ? most / 127 : NAN; /* what is none may not become a number */
    j->sum[place] = (float)sum;
}

static void set_bias(const job *j, size_t output, size_t place)
{
    const tg__layer *layer = j->spec->layer;
    size_t rows = (size_t)(layer->out / layer->parts);
    const tg__disk_tensor *bias = &layer->bias[output / rows];
    if (layer->has_bias)
        tg__to_f32_array(&j->bias[place],
                         (const char *)bias->data + output % rows * tg__dtype_size(bias->dtype),
                         bias->dtype, 1);
}

static void pack_block(void *context, size_t block, int thread)
{
    const job *j = context;
    size_t bytes = TG__INT8_BLOCK * j->taps * j->depth;
    char *dst = j->weights + block * bytes;
    memset(dst, 0, bytes);
    for (size_t i = 0; i < TG__INT8_BLOCK; i++) {
        size_t place = block * TG__INT8_BLOCK + i, output = output_at(j, place);
        char *row = j->scratch + (size_t)thread * j->scratch_bytes;
        if (output >= (size_t)j->spec->layer->out)
            continue;
        set_bias(j, output, place);
        pack_output(j, output, place, dst + 4 * i, row);
    }
}

static void set_parts(job *j, char *data, size_t outputs)
{
    j->weights = data;
    j->bias = (float *)(void *)(data + outputs * j->taps * j->depth);
    j->scale = j->bias + outputs;
    j->sum = j->scale + outputs;
}

static bool fill(job *j, char *data, size_t outputs, size_t bytes, tg__error *error)
{
    const tg__layer *layer = j->spec->layer;
    j->bytes_at = j->in * j->taps * sizeof(float);
    j->scratch_bytes = (j->bytes_at + j->in * j->taps + j->depth + 63) / 64 * 64;
    j->scratch = malloc((size_t)tg__threads() * j->scratch_bytes);
    if (!j->scratch) {
        tg__fail_memory(error);
        return false;
    }
    size_t weights = outputs * j->taps * j->depth;
    memset(data + weights, 0, bytes - weights);
    tg__parallel_for(outputs / TG__INT8_BLOCK, pack_block, j);
    free(j->scratch);
    for (int p = 0; p < layer->parts; p++)
        tg__drop_pages(layer->weight[p].data, layer->weight[p].bytes);
    return true;
}

tg__int8_weights tg__int8_weights_of(tg__program *program, const tg__product_spec *s)
{
    enum { FORM = 8 };
    const tg__layer *layer = s->layer;
    tg__packs *packs = &tg__program_context(program)->packs;
    tg__error *error = tg__program_error(program);
    tg__pack_key key = {layer->weight[0].data, s->in_first, s->in_count, FORM + 16 * s->phase};
    size_t outputs = tg__int8_outputs(layer), k = (size_t)tg__product_kernel(s);
    job j = {.kernels = tg__program_kernels(program),
             .spec = s,
             .taps = k * k,
             .in = (size_t)s->in_count,
             .depth = ((size_t)s->in_count + TG__INT8_PIXEL - 1) / TG__INT8_PIXEL * TG__INT8_PIXEL};
    tg__pack *pack = tg__packs_find(packs, key, 0);
    if (pack) {
        set_parts(&j, pack->data, outputs);
    } else {
        size_t bytes = outputs * j.taps * j.depth + 3 * outputs * sizeof(float);
        pack = tg__packs_add(packs, key, bytes, NULL, 0, error);
        if (!pack)
            return (tg__int8_weights){0};
        set_parts(&j, pack->data, outputs);
        if (!pack->ready)
            pack->ready = fill(&j, pack->data, outputs, bytes, error);
    }
    if (tg__failed(error))
        return (tg__int8_weights){0};
    bool bias = layer->has_bias && s->bias;
    return (tg__int8_weights){(const int8_t *)j.weights, bias ? j.bias : NULL, j.scale, j.sum};
}
