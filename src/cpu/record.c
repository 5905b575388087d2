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

const float *tg__program_values(tg__program *program, const tg__weight *weight)
{
    const tg__conversions c = tg__kernels_conversions(tg__program_kernels(program));
    return tg__packed_values(&tg__program_context(program)->packs, weight, &c,
                             tg__program_error(program));
}

const float *tg__program_bias(tg__program *program, const tg__product_spec *spec)
{
    const tg__conversions c = tg__kernels_conversions(tg__program_kernels(program));
    return spec->bias ? tg__packed_bias(&tg__program_context(program)->packs, spec->layer, &c,
                                        tg__program_error(program))
                      : NULL;
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
