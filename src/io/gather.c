/* SPDX-License-Identifier: MIT */
#include "io/gather.h"

/* count 3x3 kernels from element `first` on to the 2x2 kernels of a phase: of three taps in a row
 * the first alone and the other two meet one source pixel each in phase 0, the first two and the
 * last alone in phase 1. */
static void fold_taps(void *dst, tg__dtype dtype, int phase, const tg__weight *weight, size_t first,
                      size_t count, const tg__conversions *c)
{
    enum { PIECE = 128 };
    float taps[PIECE * 9], folded[PIECE * 4];
    int py = (phase - 1) / 2, px = (phase - 1) % 2;
    for (size_t done = 0; done < count; done += PIECE) {
        size_t n = count - done < PIECE ? count - done : PIECE;
        tg__weight_read(weight, taps, TG__F32, first + done * 9, n * 9, c);
        memset(folded, 0, sizeof folded);
        for (size_t i = 0; i < n; i++)
            for (int tap = 0; tap < 9; tap++)
                folded[4 * i + 2 * (size_t)(tap / 3 > py) + (tap % 3 > px)] += taps[9 * i + tap];
        if (dtype == TG__BF16)
            c->bf16_from_f32((tg__bf16 *)dst + done * 4, folded, n * 4);
        else
            memcpy((float *)dst + done * 4, folded, n * 4 * sizeof *folded);
    }
}

void tg__gather_row(void *dst, tg__dtype dtype, const tg__layer_part *part, size_t row,
                    const tg__conversions *c)
{
    const tg__layer *layer = part->layer;
    size_t rows = (size_t)(layer->out / layer->parts), count = (size_t)part->count;
    size_t taps = (size_t)layer->kernel * (size_t)layer->kernel;
    const tg__weight *weight = &layer->weight[row / rows];
    size_t first = (row % rows * (size_t)layer->in + (size_t)part->first) * taps;
    if (part->phase)
        fold_taps(dst, dtype, part->phase, weight, first, count, c);
    else
        tg__weight_read(weight, dst, dtype, first, count * taps, c);
}

void tg__gather_bias(float *dst, const tg__layer *layer, const tg__conversions *c)
{
    size_t rows = (size_t)(layer->out / layer->parts);
    for (int p = 0; p < layer->parts; p++)
        tg__weight_read(&layer->bias[p], dst + (size_t)p * rows, TG__F32, 0, rows, c);
}

tg__pack_key tg__part_key(const tg__layer_part *part, tg__form form, int variant)
{
    tg__pack_key key = {.rows = part->layer->out,
                        .first = part->first,
                        .count = part->count,
                        .form = form,
                        .variant = variant};
    for (int p = 0; p < part->layer->parts; p++)
        key.parts[p] = part->layer->weight[p].identity;
    return key;
}

/* ------------------------------------------------------------------------- biases and norms */

typedef struct values_job {
    const tg__layer *layer; /* its bias, or NULL: */
    const tg__weight *weight;
    const tg__conversions *conversions;
} values_job;

static bool fill_values(void *context, void *data, tg__error *error)
{
    (void)error;
    const values_job *job = context;
    if (job->layer)
        tg__gather_bias(data, job->layer, job->conversions);
    else
        tg__weight_read(job->weight, data, TG__F32, 0, tg__weight_count(job->weight),
                        job->conversions);
    return true;
}

const float *tg__packed_bias(tg__packs *packs, const tg__layer *layer, const tg__conversions *c,
                             tg__error *error)
{
    values_job job = {.layer = layer, .conversions = c};
    tg__pack_key key = {.rows = layer->out, .form = TG__FORM_VALUES};
    if (!layer->has_bias)
        return NULL;
    for (int p = 0; p < layer->parts; p++)
        key.parts[p] = layer->bias[p].identity;
    return tg__packs_get(packs, key, (size_t)layer->out * sizeof(float), fill_values, &job, error);
}

const float *tg__packed_values(tg__packs *packs, const tg__weight *weight, const tg__conversions *c,
                               tg__error *error)
{
    values_job job = {.weight = weight, .conversions = c};
    tg__pack_key key = {.parts = {weight->identity}, .form = TG__FORM_VALUES};
    if (!weight->data)
        return NULL;
    size_t count = tg__weight_count(weight);
    key.rows = (int)count;
    return tg__packs_get(packs, key, count * sizeof(float), fill_values, &job, error);
}
