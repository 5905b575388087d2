/* SPDX-License-Identifier: MIT */
#include "cpu/int8_weights.h"

#include <math.h>
#include <stdlib.h>

#include "core/parallel.h"

/* One allocation: the weights, then for each output of whole blocks the bias, the scale and
 * the sum. */
typedef struct job {
    const tg__kernels *kernels;
    tg__conversions conversions;
    tg__layer_part part;
    bool gated;
    size_t outputs;         /* of whole blocks */
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
    size_t out = (size_t)j->part.layer->out, half = TG__INT8_BLOCK / 2;
    if (!j->gated)
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
    tg__gather_row(row, TG__F32, &j->part, output, &j->conversions);
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

static void pack_block(void *context, size_t block, int thread)
{
    const job *j = context;
    size_t bytes = TG__INT8_BLOCK * j->taps * j->depth;
    char *dst = j->weights + block * bytes;
    memset(dst, 0, bytes);
    for (size_t i = 0; i < TG__INT8_BLOCK; i++) {
        size_t place = block * TG__INT8_BLOCK + i, output = output_at(j, place);
        char *row = j->scratch + (size_t)thread * j->scratch_bytes;
        if (output < (size_t)j->part.layer->out)
            pack_output(j, output, place, dst + 4 * i, row);
    }
}

static void set_parts(job *j, const void *data)
{
    j->weights = (char *)(uintptr_t)data;
    j->bias = (float *)(void *)(j->weights + j->outputs * j->taps * j->depth);
    j->scale = j->bias + j->outputs;
    j->sum = j->scale + j->outputs;
}

/* Gathered where the sums will be, then put in order. */
static void set_bias(const job *j)
{
    const tg__layer *layer = j->part.layer;
    memset(j->bias, 0, 3 * j->outputs * sizeof *j->bias);
    if (!layer->has_bias)
        return;
    tg__gather_bias(j->sum, layer, &j->conversions);
    for (size_t place = 0; place < j->outputs; place++) {
        size_t output = output_at(j, place);
        if (output < (size_t)layer->out)
            j->bias[place] = j->sum[output];
    }
    memset(j->sum, 0, j->outputs * sizeof *j->sum);
}

static bool fill(void *context, void *data, tg__error *error)
{
    job *j = context;
    j->bytes_at = j->in * j->taps * sizeof(float);
    j->scratch_bytes = (j->bytes_at + j->in * j->taps + j->depth + 63) / 64 * 64;
    j->scratch = malloc((size_t)tg__threads() * j->scratch_bytes);
    if (!j->scratch) {
        tg__fail_memory(error);
        return false;
    }
    set_parts(j, data);
    set_bias(j);
    tg__parallel_for(j->outputs / TG__INT8_BLOCK, pack_block, j);
    free(j->scratch);
    tg__layer_drop(j->part.layer);
    return true;
}

tg__int8_weights tg__int8_weights_of(tg__program *program, const tg__product_spec *s)
{
    const tg__kernels *kernels = tg__program_kernels(program);
    size_t k = (size_t)tg__product_kernel(s), in = (size_t)s->in_count;
    job j = {.kernels = kernels,
             .conversions = tg__kernels_conversions(kernels),
             .part = tg__product_part(s),
             .gated = s->activation == TG__GEGLU,
             .outputs = tg__int8_outputs(s->layer),
             .taps = k * k,
             .in = in,
             .depth = (in + TG__INT8_PIXEL - 1) / TG__INT8_PIXEL * TG__INT8_PIXEL};
    size_t bytes = j.outputs * j.taps * j.depth + 3 * j.outputs * sizeof(float);
    tg__form form = j.gated ? TG__FORM_INT8_GATED : TG__FORM_INT8;
    const void *data =
        tg__packs_get(&tg__program_context(program)->packs, tg__part_key(&j.part, form, s->phase),
                      bytes, fill, &j, tg__program_error(program));
    if (!data)
        return (tg__int8_weights){0};
    set_parts(&j, data);
    bool bias = s->layer->has_bias && s->bias;
    return (tg__int8_weights){(const int8_t *)j.weights, bias ? j.bias : NULL, j.scale, j.sum};
}
