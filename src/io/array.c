/* SPDX-License-Identifier: MIT */
#include "io/array.h"

#include <math.h>
#include <stdlib.h>

#include "io/file.h"

/* Whether memory can be as large as these sizes say. */
static bool fits(const tg_array *a)
{
    const int sizes[] = {a->count, a->channels, a->height, a->width};
    size_t bytes = sizeof(float);
    for (int i = 0; i < 4; i++)
        if (__builtin_mul_overflow(bytes, (size_t)sizes[i], &bytes) || bytes > PTRDIFF_MAX)
            return false;
    return true;
}

bool tg__array_check(const tg_array *a, tg_status status, tg__error *error)
{
    if (!a->data || a->count < 1 || a->channels < 1 || a->height < 1 || a->width < 1) {
        tg__fail(error, TG_ERROR_ARGUMENT,
                 "its shape is (%d, %d, %d, %d)%s, expected sizes above 0%s", a->count, a->channels,
                 a->height, a->width, a->data ? "" : " without data", a->data ? "" : " and data");
        return false;
    }
    if (!fits(a)) {
        tg__fail(error, TG_ERROR_ARGUMENT,
                 "its shape is (%d, %d, %d, %d), expected one that memory can hold", a->count,
                 a->channels, a->height, a->width);
        return false;
    }
    size_t row = (size_t)a->width, plane = row * (size_t)a->height;
    size_t image = plane * (size_t)a->channels, n = image * (size_t)a->count;
    for (size_t i = 0; i < n; i++) {
        if (isfinite(a->data[i]))
            continue;
        tg__fail(error, status, "value [%zu, %zu, %zu, %zu] is %g, expected a finite number",
                 i / image, i % image / plane, i % plane / row, i % row, (double)a->data[i]);
        return false;
    }
    return true;
}

/* Where the result goes is emptied before anything else can fail. */
static bool begin(tg_array *array, const char *what, const void *source, const char *name,
                  tg__error *error)
{
    if (!tg__given(array, what, error))
        return false;
    *array = (tg_array){0};
    return tg__given(source, name, error);
}

tg_status tg__array_decode(tg_array *array, const tg__array_format *format, const void *data,
                           size_t bytes, tg_error *given)
{
    tg__error own, *error = tg__error_begin(given, &own);
    if (!begin(array, format->what, data, "data", error))
        return error->status;
    format->decode(array, data, bytes, error);
    tg__error_in(error, "data");
    return error->status;
}

tg_status tg__array_read(tg_array *array, const tg__array_format *format, const char *path,
                         tg_error *given)
{
    tg__error own, *error = tg__error_begin(given, &own);
    size_t bytes = 0;
    if (!begin(array, format->what, path, "path", error))
        return error->status;
    char *file = tg__file_read(path, format->most_bytes, &bytes, error);
    if (file) {
        format->decode(array, file, bytes, error);
        tg__error_in_file(error, path);
    }
    free(file);
    return error->status;
}

void tg_array_free(tg_array *array)
{
    if (!array)
        return;
    free((void *)array->data);
    *array = (tg_array){0};
}
