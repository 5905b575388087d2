/* SPDX-License-Identifier: MIT */
/* The graph's ends (NCHW f32 to NHWC and back), upsampling, and what the inputs are embedded as. */
#include <math.h>
#include <string.h>

#include "cpu/record.h"

typedef struct layout_state {
    float factor, offset;                /* from_nchw */
    bool flip;                           /* timestep_embedding */
    float shift;                         /* timestep_embedding; a grid's scale */
    int base;                            /* grid_embedding */
    const tg__weight *table, *positions; /* embed_tokens; relative_bias */
    tg__relative_buckets buckets;
    const float *biases; /* the table's values */
} layout_state;

static tg__task *record(tg__program *program, const tg__op *op, const char *name, tg__tensor dst,
                        tg__tensor src, layout_state state)
{
    tg__task *task = tg__program_record(program, op, name, sizeof state);
    if (!task)
        return NULL;
    *(layout_state *)task->state = state;
    task->dst = dst;
    task->src[0] = src;
    tg__set_shape(program, task, "%dx%dx%dx%d", dst.n, dst.h, dst.w, dst.c);
    return task;
}

static void put(void *dst, size_t i, float value, tg__dtype dtype)
{
    if (dtype == TG__BF16)
        ((tg__bf16 *)dst)[i] = tg__to_bf16(value);
    else
        ((float *)dst)[i] = value;
}

/* ---------------------------------------------------------------------------------- NCHW ends */

static void from_nchw_run(const tg__program *program, const tg__task *task)
{
    const layout_state *state = task->state;
    tg__tensor x = task->src[0], y = task->dst;
    const float *src = tg__program_data(program, x);
    void *dst = tg__program_data(program, y);
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

tg__tensor tg__cpu_from_nchw(tg__program *program, tg__tensor x, int copies, float factor,
                             float offset)
{
    if (tg__program_failed(program) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__program_tensor(program, tg__program_dtype(program), (int64_t)copies * x.n,
                                        x.h, x.w, x.c);
    layout_state state = {.factor = factor, .offset = offset};
    return record(program, &from_nchw_op, "input", dst, x, state) ? dst : (tg__tensor){0};
}

/* A position of x is p x p pixels of y, each with all of its channels. */
static void to_nchw_run(const tg__program *program, const tg__task *task)
{
    tg__tensor x = task->src[0], y = task->dst;
    const float *src = tg__program_data(program, x);
    float *dst = tg__program_data(program, y);
    size_t h = (size_t)y.h, w = (size_t)y.w, p = w / (size_t)x.w, pixel = (size_t)x.c / (p * p);
    for (size_t n = 0; n < (size_t)x.n; n++)
        for (size_t c = 0; c < (size_t)y.c; c++)
            for (size_t i = 0; i < h; i++)
                for (size_t j = 0; j < w; j++) {
                    size_t position = (n * (size_t)x.h + i / p) * (size_t)x.w + j / p;
                    size_t inside = i % p * p + j % p;
                    *dst++ = src[position * (size_t)x.c + inside * pixel + c];
                }
}

static const tg__op to_nchw_op = {"to_nchw", NULL, to_nchw_run, NULL};

tg__tensor tg__cpu_to_nchw(tg__program *program, tg__tensor x, tg__tensor into)
{
    if (tg__program_failed(program) || !x.id || !into.id)
        return (tg__tensor){0};
    return record(program, &to_nchw_op, "output", into, x, (layout_state){0}) ? into
                                                                              : (tg__tensor){0};
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

static void upsample_run(const tg__program *program, const tg__task *task)
{
    upsample_job job = {.dst = tg__program_data(program, task->dst),
                        .src = tg__program_data(program, task->src[0]),
                        .x = task->src[0],
                        .y = task->dst};
    tg__parallel_rows((size_t)job.y.n * (size_t)job.y.h, 1, upsample_rows, &job);
}

static const tg__op upsample_op = {"upsample", NULL, upsample_run, NULL};

tg__tensor tg__cpu_upsample(tg__program *program, const char *name, tg__tensor x, int h, int w)
{
    if (tg__program_failed(program) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__program_tensor(program, x.dtype, x.n, h, w, x.c);
    return record(program, &upsample_op, name, dst, x, (layout_state){0}) ? dst : (tg__tensor){0};
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

static void interleave_run(const tg__program *program, const tg__task *task)
{
    interleave_job job = {.dst = tg__program_data(program, task->dst), .y = task->dst};
    for (int i = 0; i < 4; i++)
        job.phases[i] = tg__program_data(program, task->src[i]);
    tg__parallel_rows((size_t)job.y.n * (size_t)job.y.h, 4, interleave_rows, &job);
}

static const tg__op interleave_op = {"interleave", NULL, interleave_run, NULL};

tg__tensor tg__cpu_interleave(tg__program *program, const char *name, const tg__tensor phases[4])
{
    tg__tensor x = phases[0];
    if (tg__program_failed(program) || !x.id)
        return (tg__tensor){0};
    tg__tensor dst =
        tg__program_tensor(program, x.dtype, x.n, 2 * (int64_t)x.h, 2 * (int64_t)x.w, x.c);
    tg__task *task = record(program, &interleave_op, name, dst, x, (layout_state){0});
    for (int i = 1; task && i < 4; i++)
        task->src[i] = phases[i];
    return task ? dst : (tg__tensor){0};
}

/* ------------------------------------------------------------------------------------- inputs */

/* c sinusoids of one number. */
static void put_sinusoids(void *dst, tg__dtype dtype, int c, float number,
                          const layout_state *state)
{
    int half = c / 2;
    for (int i = 0; i < half; i++) {
        float exponent = -logf(10000.f) * (float)i / ((float)half - state->shift);
        float angle = number * expf(exponent);
        put(dst, (size_t)(state->flip ? half + i : i), sinf(angle), dtype);
        put(dst, (size_t)(state->flip ? i : half + i), cosf(angle), dtype);
    }
    if (c % 2)
        put(dst, (size_t)c - 1, 0.f, dtype);
}

static void timestep_run(const tg__program *program, const tg__task *task)
{
    const float *numbers = tg__program_data(program, task->src[0]);
    char *dst = tg__program_data(program, task->dst);
    size_t count = tg__count(task->src[0]), c = tg__count(task->dst) / count;
    size_t bytes = c * tg__dtype_size(task->dst.dtype);
    for (size_t i = 0; i < count; i++)
        put_sinusoids(dst + i * bytes, task->dst.dtype, (int)c, numbers[i], task->state);
}

static const tg__op timestep_op = {"timestep_embedding", NULL, timestep_run, NULL};

tg__tensor tg__cpu_timestep_embedding(tg__program *program, tg__tensor numbers, int c,
                                      bool flip_sin_to_cos, float freq_shift)
{
    tg__tensor dst = tg__program_tensor(program, tg__program_dtype(program), numbers.n, 1, 1,
                                        (int64_t)numbers.c * c);
    layout_state state = {.flip = flip_sin_to_cos, .shift = freq_shift};
    return record(program, &timestep_op, "time_proj", dst, numbers, state) ? dst : (tg__tensor){0};
}

/* Half of a position's channels: sines, then cosines, of place i of `count`. */
static void put_place(void *dst, tg__dtype dtype, size_t half, size_t i, size_t count,
                      const layout_state *state)
{
    float place = (float)i / (float)((double)count / state->base) / state->shift;
    size_t quarter = half / 2;
    for (size_t j = 0; j < quarter; j++) {
        double angle = place * (1 / pow(10000, (double)j / (double)quarter));
        put(dst, j, (float)sin(angle), dtype);
        put(dst, quarter + j, (float)cos(angle), dtype);
    }
}

typedef struct grid_job {
    const layout_state *state;
    tg__tensor y;
    char *dst;
} grid_job;

/* Rows of the map: the columns' half is the same in all of them, the rows' in each of its
 * positions. */
static void grid_rows(void *context, size_t row, size_t rows)
{
    const grid_job *job = context;
    tg__tensor y = job->y;
    size_t w = (size_t)y.w, half = (size_t)y.c / 2, bytes = half * tg__dtype_size(y.dtype);
    for (size_t r = row; r < row + rows; r++) {
        char *dst = job->dst + r * w * 2 * bytes;
        put_place(dst + bytes, y.dtype, half, r, (size_t)y.h, job->state);
        for (size_t i = 0; i < w; i++) {
            if (r > 0)
                memcpy(dst + i * 2 * bytes, job->dst + i * 2 * bytes, bytes);
            if (i > 0)
                memcpy(dst + i * 2 * bytes + bytes, dst + bytes, bytes);
        }
    }
}

static void grid_run(const tg__program *program, const tg__task *task)
{
    grid_job job = {task->state, task->dst, tg__program_data(program, task->dst)};
    size_t w = (size_t)job.y.w, half = (size_t)job.y.c / 2;
    size_t bytes = 2 * half * tg__dtype_size(job.y.dtype);
    for (size_t i = 0; i < w; i++)
        put_place(job.dst + i * bytes, job.y.dtype, half, i, w, job.state);
    tg__parallel_rows((size_t)job.y.h, 1, grid_rows, &job);
}

static const tg__op grid_op = {"grid_embedding", NULL, grid_run, NULL};

tg__tensor tg__cpu_grid_embedding(tg__program *program, int h, int w, int c, int base, float scale)
{
    tg__tensor dst = tg__program_tensor(program, tg__program_dtype(program), 1, h, w, c);
    layout_state state = {.base = base, .shift = scale};
    return record(program, &grid_op, "pos_embed.pos_embed", dst, (tg__tensor){0}, state)
               ? dst
               : (tg__tensor){0};
}

/* One token's row. */
static void embed_row(void *dst, tg__tensor y, size_t row, size_t position, const layout_state *s,
                      const tg__conversions *c)
{
    enum { PIECE = 512 };
    float values[PIECE], more[PIECE];
    size_t count = (size_t)y.c, size = tg__dtype_size(y.dtype);
    if (!s->positions) {
        tg__weight_read(s->table, dst, y.dtype, row * count, count, c);
        return;
    }
    for (size_t first = 0; first < count; first += PIECE) {
        size_t n = count - first < PIECE ? count - first : PIECE;
        tg__weight_read(s->table, values, TG__F32, row * count + first, n, c);
        tg__weight_read(s->positions, more, TG__F32, position * count + first, n, c);
        for (size_t i = 0; i < n; i++)
            values[i] += more[i];
        tg__convert_array((char *)dst + first * size, y.dtype, values, TG__F32, n);
    }
}

static void embed_run(const tg__program *program, const tg__task *task)
{
    const layout_state *state = task->state;
    const tg__conversions c = tg__kernels_conversions(tg__program_kernels(program));
    const int32_t *ids = tg__program_data(program, task->src[0]);
    tg__tensor y = task->dst;
    char *dst = tg__program_data(program, y);
    size_t row_bytes = (size_t)y.c * tg__dtype_size(y.dtype);
    for (size_t i = 0; i < tg__rows(y); i++)
        embed_row(dst + i * row_bytes, y, (size_t)ids[i], i % (size_t)y.w, state, &c);
}

static const tg__op embed_op = {"embedding", NULL, embed_run, NULL};

tg__tensor tg__cpu_embed_tokens(tg__program *program, tg__tensor ids, const tg__weight *table,
                                const tg__weight *positions, int c)
{
    if (tg__program_failed(program) || !ids.id)
        return (tg__tensor){0};
    tg__tensor dst = tg__program_tensor(program, tg__program_dtype(program), ids.n, 1, ids.w, c);
    layout_state state = {.table = table, .positions = positions};
    return record(program, &embed_op, "embeddings", dst, ids, state) ? dst : (tg__tensor){0};
}

/* A row for each head: its bias depends on the distance alone, and is laid out from that. */
static void relative_run(const tg__program *program, const tg__task *task)
{
    const layout_state *state = task->state;
    size_t heads = (size_t)task->dst.n, tokens = (size_t)task->dst.c, distances = 2 * tokens - 1;
    float *dst = tg__program_data(program, task->dst), *row = tg__program_scratch(program, task);
    for (size_t head = 0; head < heads; head++) {
        for (size_t d = 0; d < distances; d++) {
            int bucket = tg__relative_bucket(&state->buckets, (int)d - (int)(tokens - 1));
            row[d] = state->biases[(size_t)bucket * heads + head];
        }
        for (size_t q = 0; q < tokens; q++, dst += tokens)
            memcpy(dst, row + tokens - 1 - q, tokens * sizeof *dst);
    }
}

static void relative_prepare(tg__program *program, tg__task *task)
{
    layout_state *state = task->state;
    state->biases = tg__program_values(program, state->table);
    task->scratch_bytes = 2 * (size_t)task->dst.c * sizeof(float);
}

static const tg__op relative_op = {"relative_bias", relative_prepare, relative_run, NULL};

tg__tensor tg__cpu_relative_bias(tg__program *program, const tg__weight *table,
                                 tg__relative_buckets buckets, int heads, int tokens)
{
    if (tg__program_failed(program))
        return (tg__tensor){0};
    tg__tensor dst = tg__program_tensor(program, TG__F32, heads, 1, tokens, tokens);
    layout_state state = {.table = table, .buckets = buckets};
    tg__task *task =
        record(program, &relative_op, "relative_attention_bias", dst, (tg__tensor){0}, state);
    return task ? dst : (tg__tensor){0};
}
