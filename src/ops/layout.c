/* SPDX-License-Identifier: MIT */
/* The graph's ends (NCHW f32 to NHWC and back), upsampling, and what the inputs are embedded as. */
#include <math.h>
#include <string.h>

#include "ops/record.h"

typedef struct layout_state {
    float factor, offset; /* from_nchw */
    bool flip;            /* timestep_embedding */
    float shift;
    const tg__disk_tensor *table, *positions; /* embed_tokens */
} layout_state;

static tg__node *record(tg__plan *plan, const tg__op *op, const char *name, tg__tensor dst,
                        tg__tensor src, layout_state state)
{
    tg__node *node = tg__plan_record(plan, op, name, sizeof state);
    if (!node)
        return NULL;
    *(layout_state *)node->state = state;
    node->dst = dst;
    node->src[0] = src;
    tg__set_shape(plan, node, "%dx%dx%dx%d", dst.n, dst.h, dst.w, dst.c);
    return node;
}

static void put(void *dst, size_t i, float value, tg__dtype dtype)
{
    if (dtype == TG__BF16)
        ((tg__bf16 *)dst)[i] = tg__to_bf16(value);
    else
        ((float *)dst)[i] = value;
}

/* ---------------------------------------------------------------------------------- NCHW ends */

static void from_nchw_run(const tg__plan *plan, const tg__node *node)
{
    const layout_state *state = node->state;
    tg__tensor x = node->src[0], y = node->dst;
    const float *src = tg__plan_data(plan, x);
    void *dst = tg__plan_data(plan, y);
    size_t plane = (size_t)x.h * (size_t)x.w, c = (size_t)x.c;
    for (size_t n = 0; n < (size_t)y.n; n++) {
        const float *image = src + n % (size_t)x.n * c * plane;
        for (size_t i = 0; i < plane; i++)
            for (size_t j = 0; j < c; j++)
                put(dst, (n * plane + i) * c + j,
                    image[j * plane + i] * state->factor + state->offset, y.dtype);
    }
}

static const tg__op from_nchw_op = {"from_nchw", NULL, from_nchw_run, NULL};

tg__tensor tg__from_nchw(tg__plan *plan, tg__tensor x, int copies, float factor, float offset)
{
    if (tg__plan_failed(plan) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst =
        tg__plan_tensor(plan, tg__plan_dtype(plan), (int64_t)copies * x.n, x.h, x.w, x.c);
    layout_state state = {.factor = factor, .offset = offset};
    return record(plan, &from_nchw_op, "input", dst, x, state) ? dst : (tg__tensor){0};
}

static void to_nchw_run(const tg__plan *plan, const tg__node *node)
{
    tg__tensor x = node->src[0];
    const float *src = tg__plan_data(plan, x);
    float *dst = tg__plan_data(plan, node->dst);
    size_t plane = (size_t)x.h * (size_t)x.w, c = (size_t)x.c;
    for (size_t n = 0; n < (size_t)x.n; n++)
        for (size_t j = 0; j < c; j++)
            for (size_t i = 0; i < plane; i++)
                dst[(n * c + j) * plane + i] = src[(n * plane + i) * c + j];
}

static const tg__op to_nchw_op = {"to_nchw", NULL, to_nchw_run, NULL};

tg__tensor tg__to_nchw(tg__plan *plan, tg__tensor x, tg__tensor into)
{
    if (tg__plan_failed(plan) || !x.id || !into.id)
        return (tg__tensor){0};
    if (x.dtype != TG__F32 || tg__bytes(x) != tg__bytes(into))
        tg__shape_error(plan, "output", x, into);
    return record(plan, &to_nchw_op, "output", into, x, (layout_state){0}) ? into : (tg__tensor){0};
}

/* --------------------------------------------------------------------------------- upsampling */

typedef struct upsample_job {
    char *dst;
    const char *src;
    tg__tensor x, y;
} upsample_job;

static int nearest(int i, int from, int to)
{
    /* in f32, as torch does it: matters where from / to is not exact */
    int at = (int)floorf((float)i * ((float)from / (float)to));
    return at < from ? at : from - 1;
}

static void upsample_rows(void *context, size_t row, size_t rows)
{
    const upsample_job *job = context;
    tg__tensor x = job->x, y = job->y;
    size_t pixel = (size_t)x.c * tg__dtype_size(x.dtype);
    for (size_t r = row; r < row + rows; r++) {
        size_t n = r / (size_t)y.h;
        int from = nearest((int)(r % (size_t)y.h), x.h, y.h);
        const char *src = job->src + (n * (size_t)x.h + (size_t)from) * (size_t)x.w * pixel;
        char *dst = job->dst + r * (size_t)y.w * pixel;
        for (int i = 0; i < y.w; i++)
            memcpy(dst + (size_t)i * pixel, src + (size_t)nearest(i, x.w, y.w) * pixel, pixel);
    }
}

static void upsample_run(const tg__plan *plan, const tg__node *node)
{
    upsample_job job = {.dst = tg__plan_data(plan, node->dst),
                        .src = tg__plan_data(plan, node->src[0]),
                        .x = node->src[0],
                        .y = node->dst};
    tg__parallel_rows((size_t)job.y.n * (size_t)job.y.h, 1, upsample_rows, &job);
}

static const tg__op upsample_op = {"upsample", NULL, upsample_run, NULL};

tg__tensor tg__upsample(tg__plan *plan, const char *name, tg__tensor x, int h, int w)
{
    if (tg__plan_failed(plan) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__plan_tensor(plan, x.dtype, x.n, h, w, x.c);
    return record(plan, &upsample_op, name, dst, x, (layout_state){0}) ? dst : (tg__tensor){0};
}

typedef struct interleave_job {
    char *dst;
    const char *phases[4];
    tg__tensor y;
} interleave_job;

static void interleave_rows(void *context, size_t row, size_t rows)
{
    const interleave_job *job = context;
    size_t pixel = (size_t)job->y.c * tg__dtype_size(job->y.dtype), half = (size_t)job->y.w / 2;
    for (size_t r = row; r < row + rows; r++) {
        const char *const *phases = job->phases + r % 2 * 2;
        size_t src = r / 2 * half * pixel;
        char *dst = job->dst + r * 2 * half * pixel;
        for (size_t i = 0; i < half; i++) {
            memcpy(dst + 2 * i * pixel, phases[0] + src + i * pixel, pixel);
            memcpy(dst + (2 * i + 1) * pixel, phases[1] + src + i * pixel, pixel);
        }
    }
}

static void interleave_run(const tg__plan *plan, const tg__node *node)
{
    interleave_job job = {.dst = tg__plan_data(plan, node->dst), .y = node->dst};
    for (int i = 0; i < 4; i++)
        job.phases[i] = tg__plan_data(plan, node->src[i]);
    tg__parallel_rows((size_t)job.y.n * (size_t)job.y.h, 4, interleave_rows, &job);
}

static const tg__op interleave_op = {"interleave", NULL, interleave_run, NULL};

tg__tensor tg__interleave(tg__plan *plan, const char *name, const tg__tensor phases[4])
{
    tg__tensor x = phases[0];
    if (tg__plan_failed(plan) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__plan_tensor(plan, x.dtype, x.n, 2 * (int64_t)x.h, 2 * (int64_t)x.w, x.c);
    tg__node *node = record(plan, &interleave_op, name, dst, x, (layout_state){0});
    for (int i = 1; node && i < 4; i++)
        node->src[i] = phases[i];
    return node ? dst : (tg__tensor){0};
}

/* ------------------------------------------------------------------------------------- inputs */

static void timestep_run(const tg__plan *plan, const tg__node *node)
{
    const layout_state *state = node->state;
    float timestep = *(const float *)tg__plan_data(plan, node->src[0]);
    void *dst = tg__plan_data(plan, node->dst);
    int c = node->dst.c, half = c / 2;
    for (int i = 0; i < half; i++) {
        float exponent = -logf(10000.f) * (float)i / ((float)half - state->shift);
        float angle = timestep * expf(exponent);
        put(dst, (size_t)(state->flip ? half + i : i), sinf(angle), node->dst.dtype);
        put(dst, (size_t)(state->flip ? i : half + i), cosf(angle), node->dst.dtype);
    }
    if (c % 2)
        put(dst, (size_t)c - 1, 0.f, node->dst.dtype);
}

static const tg__op timestep_op = {"timestep_embedding", NULL, timestep_run, NULL};

tg__tensor tg__timestep_embedding(tg__plan *plan, tg__tensor timestep, int c, bool flip_sin_to_cos,
                                  float freq_shift)
{
    tg__tensor dst = tg__plan_tensor(plan, tg__plan_dtype(plan), 1, 1, 1, c);
    layout_state state = {.flip = flip_sin_to_cos, .shift = freq_shift};
    return record(plan, &timestep_op, "time_proj", dst, timestep, state) ? dst : (tg__tensor){0};
}

static void embed_run(const tg__plan *plan, const tg__node *node)
{
    const layout_state *state = node->state;
    const int32_t *ids = tg__plan_data(plan, node->src[0]);
    tg__tensor y = node->dst;
    char *dst = tg__plan_data(plan, y);
    size_t c = (size_t)y.c;
    const tg__disk_tensor *table = state->table, *positions = state->positions;
    for (size_t i = 0; i < tg__rows(y); i++) {
        const char *a =
            (const char *)table->data + (size_t)ids[i] * c * tg__dtype_size(table->dtype);
        const char *b =
            (const char *)positions->data + i % (size_t)y.w * c * tg__dtype_size(positions->dtype);
        for (size_t j = 0; j < c; j++) {
            float x, p;
            tg__to_f32_array(&x, a + j * tg__dtype_size(table->dtype), table->dtype, 1);
            tg__to_f32_array(&p, b + j * tg__dtype_size(positions->dtype), positions->dtype, 1);
            put(dst, i * c + j, x + p, y.dtype);
        }
    }
}

static const tg__op embed_op = {"embedding", NULL, embed_run, NULL};

tg__tensor tg__embed_tokens(tg__plan *plan, tg__tensor ids, const tg__disk_tensor *table,
                            const tg__disk_tensor *positions, int c)
{
    if (tg__plan_failed(plan) || !ids.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__plan_tensor(plan, tg__plan_dtype(plan), ids.n, 1, ids.w, c);
    layout_state state = {.table = table, .positions = positions};
    return record(plan, &embed_op, "embeddings", dst, ids, state) ? dst : (tg__tensor){0};
}
