/* SPDX-License-Identifier: MIT */
#include "cpu/record.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/parallel.h"

void tg__set_shape(tg__program *program, tg__task *task, const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *copy = tg__arena_copy(tg__program_arena(program), text);
    if (copy)
        task->shape = copy;
    else
        tg__fail_memory(tg__program_error(program));
}

const float *tg__packed_f32(tg__program *program, const tg__disk_tensor *tensors, int count)
{
    enum { FORM = -2 };
    tg__packs *packs = &tg__program_context(program)->packs;
    tg__pack_key key = {tensors[0].data, 0, count, FORM};
    tg__pack *pack = tg__packs_find(packs, key, 0);
    size_t bytes = 0;
    if (pack)
        return pack->data;
    for (int i = 0; i < count; i++)
        bytes += tensors[i].bytes / tg__dtype_size(tensors[i].dtype) * sizeof(float);
    pack = tg__packs_add(packs, key, bytes, NULL, 0, tg__program_error(program));
    if (!pack || pack->ready)
        return pack ? pack->data : NULL;
    float *dst = pack->data;
    for (int i = 0; i < count; i++) {
        size_t n = tensors[i].bytes / tg__dtype_size(tensors[i].dtype);
        tg__to_f32_array(dst, tensors[i].data, tensors[i].dtype, n);
        dst += n;
    }
    pack->ready = true;
    return pack->data;
}

typedef struct rows_job {
    tg__rows_function function;
    void *context;
    size_t rows, piece;
} rows_job;

static void run_rows(void *context, size_t i, int thread)
{
    (void)thread;
    const rows_job *job = context;
    size_t row = i * job->piece;
    size_t left = job->rows - row;
    job->function(job->context, row, left < job->piece ? left : job->piece);
}

void tg__parallel_rows(size_t rows, size_t piece, tg__rows_function function, void *context)
{
    rows_job job = {function, context, rows, piece ? piece : 1};
    tg__parallel_for((rows + job.piece - 1) / job.piece, run_rows, &job);
}
