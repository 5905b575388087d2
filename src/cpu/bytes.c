/* SPDX-License-Identifier: MIT */
#include "cpu/bytes.h"

#include <math.h>

#include "core/parallel.h"

enum { SLICE_VALUES = 1 << 16 }; /* of a piece of work */

static size_t rounded(size_t n, size_t to) { return (n + to - 1) / to * to; }

typedef struct bytes_state {
    tg__byte_map map;
    size_t slice, slices; /* pixels of a slice, slices of an image */
} bytes_state;

typedef struct bytes_job {
    const tg__kernels *kernels;
    const bytes_state *state;
    const char *src;
    size_t src_pixel;
    uint8_t *dst;
    float *scale, *range; /* range: low and high of each slice */
    int32_t *zero;
    bool bf16;
} bytes_job;

/* Low and high to scale and zero point: 0 is a byte exactly, for it surrounds a convolution's map.
 * What is not finite makes a scale that is not, and so the result. */
static void set_scale(const bytes_job *job, size_t i, float low, float high)
{
    float scale = (high - low) / 255;
    job->scale[i] = scale > 0 || !isfinite(scale) ? scale : 1;
    float zero = nearbyintf(-low / job->scale[i]);
    job->zero[i] = zero > 0 && zero <= 255 ? (int32_t)zero : 0;
}

/* The lesser and the greater of two; NaN if either is, where fminf would give the other one. */
static float lower(float a, float b) { return isnan(a) || a < b ? a : b; }
static float higher(float a, float b) { return isnan(a) || a > b ? a : b; }

static void write_pixels(const bytes_job *job, uint8_t *dst, const char *src, size_t pixels,
                         size_t scale)
{
    size_t c = (size_t)job->state->map.c, pixel = job->state->map.pixel;
    float factor = 1 / job->scale[scale], zero = (float)job->zero[scale];
    for (size_t i = 0; i < pixels; i++, dst += pixel, src += job->src_pixel) {
        job->kernels->quantize(dst, src, c, factor, zero, job->bf16);
        memset(dst + c, 0, pixel - c);
    }
}

static void bytes_by_row(void *context, size_t row, size_t rows)
{
    const bytes_job *job = context;
    const tg__byte_map *map = &job->state->map;
    for (size_t i = row; i < row + rows; i++) {
        float low = 0, high = 0;
        const char *src = job->src + i * job->src_pixel;
        job->kernels->range(&low, &high, src, (size_t)map->c, job->bf16);
        set_scale(job, i, low, high);
        write_pixels(job, job->dst + i * map->pixel, src, 1, i);
    }
}

static size_t image_pixels(const tg__byte_map *map) { return (size_t)map->h * (size_t)map->w; }

static void range_of_slice(void *context, size_t i, int thread)
{
    (void)thread;
    const bytes_job *job = context;
    const bytes_state *state = job->state;
    size_t pixels = image_pixels(&state->map), image = i / state->slices;
    size_t first = i % state->slices * state->slice, left = pixels - first;
    size_t count = left < state->slice ? left : state->slice;
    float *range = job->range + 2 * i;
    range[0] = range[1] = 0;
    job->kernels->range(&range[0], &range[1], job->src + (image * pixels + first) * job->src_pixel,
                        count * (size_t)state->map.c, job->bf16);
}

/* One line of an image with its border, or a line that is all border. */
static void bytes_of_line(void *context, size_t i, int thread)
{
    (void)thread;
    const bytes_job *job = context;
    const tg__byte_map *map = &job->state->map;
    size_t border = (size_t)map->border, h = (size_t)map->h, w = (size_t)map->w;
    size_t lines = h + 2 * border, line = map->pixel * (w + 2 * border);
    size_t image = i / lines, y = i % lines, edge = border * map->pixel;
    uint8_t *dst = job->dst + i * line;
    int zero = job->zero[image];
    if (y < border || y >= h + border) {
        memset(dst, zero, line);
        return;
    }
    memset(dst, zero, edge);
    write_pixels(job, dst + edge, job->src + (image * h + y - border) * w * job->src_pixel, w,
                 image);
    memset(dst + line - edge, zero, edge);
}

static void bytes_by_image(const bytes_job *job)
{
    const bytes_state *state = job->state;
    size_t n = (size_t)state->map.n;
    tg__parallel_for(n * state->slices, range_of_slice, (void *)job);
    for (size_t image = 0; image < n; image++) {
        float low = 0, high = 0;
        for (size_t i = image * state->slices; i < (image + 1) * state->slices; i++) {
            low = lower(low, job->range[2 * i]);
            high = higher(high, job->range[2 * i + 1]);
        }
        set_scale(job, image, low, high);
    }
    size_t lines = (size_t)state->map.h + 2 * (size_t)state->map.border;
    tg__parallel_for(n * lines, bytes_of_line, (void *)job);
}

static void bytes_run(const tg__program *program, const tg__task *task)
{
    const bytes_state *state = task->state;
    tg__tensor x = task->src[0];
    char *start = tg__program_data(program, task->dst);
    bytes_job job = {.kernels = tg__program_kernels(program),
                     .state = state,
                     .src = tg__program_data(program, x),
                     .src_pixel = (size_t)x.c * tg__dtype_size(x.dtype),
                     .dst = (uint8_t *)start + state->map.first,
                     .scale = (float *)start,
                     .zero = (int32_t *)start + state->map.scales,
                     .range = tg__program_scratch(program, task),
                     .bf16 = x.dtype == TG__BF16};
    if (state->slices)
        bytes_by_image(&job);
    else
        tg__parallel_rows(state->map.scales, SLICE_VALUES / (size_t)x.c + 1, bytes_by_row, &job);
}

static void bytes_prepare(tg__program *program, tg__task *task)
{
    (void)program;
    const bytes_state *state = task->state;
    task->scratch_bytes = (size_t)state->map.n * state->slices * 2 * sizeof(float);
}

static const tg__op bytes_op = {"quantize", bytes_prepare, bytes_run, NULL};

tg__byte_map tg__to_bytes(tg__program *program, const char *name, tg__tensor x, int border,
                          bool by_row)
{
    if (tg__program_failed(program) || !x.id)
        return (tg__byte_map){0};
    tg__byte_map map = {.n = x.n, .h = x.h, .w = x.w, .c = x.c, .border = border};
    map.pixel = rounded((size_t)x.c, TG__INT8_PIXEL);
    map.scales = by_row ? tg__rows(x) : (size_t)x.n;
    map.first = rounded(map.scales * (sizeof(float) + sizeof(int32_t)), 64);
    int64_t lines = (int64_t)x.h + 2 * border, columns = (int64_t)x.w + 2 * border;
    int64_t pixels = x.n * lines * columns;
    /* as rows of 64 bytes, for a dimension is an int */
    map.tensor = tg__program_tensor(
        program, TG__U8, 1, 1, pixels * (int64_t)(map.pixel / 64) + (int64_t)map.first / 64, 64);
    tg__task *task = tg__program_record(program, &bytes_op, name, sizeof(bytes_state));
    if (!task)
        return (tg__byte_map){0};
    bytes_state *state = task->state;
    state->map = map;
    if (!by_row) {
        state->slice = SLICE_VALUES / (size_t)x.c + 1;
        state->slices = (image_pixels(&map) + state->slice - 1) / state->slice;
    }
    task->dst = map.tensor;
    task->src[0] = x;
    tg__set_shape(program, task, "%dx%dx%dx%d", x.n, x.h, x.w, x.c);
    return map;
}
