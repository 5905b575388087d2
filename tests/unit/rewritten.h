/* SPDX-License-Identifier: MIT */
/* A .safetensors file written anew with other names, shapes and number formats, as the tools of the
 * community do. */
#ifndef TG_TEST_REWRITTEN_H
#define TG_TEST_REWRITTEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "io/safetensors.h"
#include "scratch.h"

/* Every occurrence of `from` in a name becomes `to`; to NULL: the tensor is left out. */
typedef struct renaming {
    const char *from, *to;
} renaming;

typedef struct rewriting {
    const char *formats;  /* of the tensors in turn: 2 f16 as it is, 3 f32, 6 f64; 4 and 5: f8 with
                           * so  many bits of exponent; NULL: as they are */
    renaming names[12];   /* in turn; ends in {0} */
    const char *matrices; /* tensors with this in their names lose their ones; NULL: none */
    bool widened;         /* f8's numbers, as f32 */
    const char *added;    /* the name of a scalar that is there, too; NULL: none */
    const char *metadata; /* JSON; NULL: none */
} rewriting;

static inline bool rename_one(char *name, size_t size, const renaming *r)
{
    char out[512] = "", *at;
    if (!(at = strstr(name, r->from)))
        return true;
    if (!r->to)
        return false;
    snprintf(out, sizeof out, "%.*s%s%s", (int)(at - name), name, r->to, at + strlen(r->from));
    snprintf(name, size, "%s", out);
    return true;
}

/* The code of 8 bits whose value is the nearest to x. */
static inline uint8_t nearest_f8(float x, tg__dtype dtype)
{
    uint8_t best = 0;
    float value, least = INFINITY;
    for (int i = 0; i < 256; i++) {
        uint8_t code = (uint8_t)i;
        tg__to_f32_array(&value, &code, dtype, 1);
        if (fabsf(value - x) < least) {
            least = fabsf(value - x);
            best = code;
        }
    }
    return best;
}

/* Appends the elements to a file in a format; returns its name. */
static inline const char *write_as(FILE *out, const tg__weight *tensor, char format, bool widened)
{
    size_t n = tg__weight_count(tensor);
    bool floats = tensor->dtype != TG__OTHER;
    if (!floats || format == '2' || !format) {
        assert_int_equal(fwrite(tensor->data, 1, tensor->bytes, out), tensor->bytes);
        return tensor->dtype_name;
    }
    tg__dtype small = format == '4' ? TG__F8_E4M3 : TG__F8_E5M2;
    float *values = malloc((n + 1) * sizeof *values);
    tg__to_f32_array(values, tensor->data, tensor->dtype, n);
    for (size_t i = 0; i < n; i++) {
        double wide = (double)values[i];
        uint8_t code = format == '4' || format == '5' ? nearest_f8(values[i], small) : 0;
        if (format == '6') {
            fwrite(&wide, sizeof wide, 1, out);
        } else if (format == '3') {
            fwrite(&values[i], sizeof *values, 1, out);
        } else if (widened) {
            tg__to_f32_array(&values[i], &code, small, 1);
            fwrite(&values[i], sizeof *values, 1, out);
        } else {
            fwrite(&code, 1, 1, out);
        }
    }
    free(values);
    return format == '6'              ? "F64"
           : format == '3' || widened ? "F32"
           : format == '4'            ? "F8_E4M3"
                                      : "F8_E5M2";
}

static inline void put_entry(FILE *header, const char *name, const char *dtype,
                             const tg__weight *tensor, int rank, long begin, long end)
{
    fprintf(header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", name, dtype);
    for (int i = 0; i < rank; i++)
        fprintf(header, "%s%lld", i ? "," : "", (long long)tensor->shape[i]);
    fprintf(header, "],\"data_offsets\":[%ld,%ld]}", begin, end);
}

static inline void put_tensors(FILE *header, FILE *data, const tg__safetensors *from,
                               const rewriting *how)
{
    size_t formats = how->formats ? strlen(how->formats) : 0, kept = 0;
    for (size_t i = 0; i < tg__safetensors_count(from); i++) {
        const tg__weight *tensor = tg__safetensors_at(from, i);
        char name[512];
        bool keep = true;
        snprintf(name, sizeof name, "%s", tensor->name);
        for (int r = 0; keep && how->names[r].from; r++)
            keep = rename_one(name, sizeof name, &how->names[r]);
        if (!keep)
            continue;
        long begin = ftell(data);
        char format = formats ? how->formats[kept++ % formats] : '\0';
        const char *dtype = write_as(data, tensor, format, how->widened);
        bool matrix = how->matrices && strstr(name, how->matrices) && tensor->rank == 4;
        put_entry(header, name, dtype, tensor, matrix ? 2 : tensor->rank, begin, ftell(data));
    }
}

/* The file `from` as `name` in the folder; returns its path. */
static inline const char *rewrite(scratch *s, const char *name, const char *from,
                                  const rewriting *how)
{
    tg__error error = {0};
    char *header = NULL, *data = NULL, *whole;
    size_t header_bytes = 0, data_bytes = 0;
    tg__safetensors *file = tg__safetensors_open(from, &error);
    assert_string_equal(error.message, "");
    FILE *h = open_memstream(&header, &header_bytes), *d = open_memstream(&data, &data_bytes);
    fprintf(h, "{\"__metadata__\":%s", how->metadata ? how->metadata : "{}");
    put_tensors(h, d, file, how);
    if (how->added) {
        long at = ftell(d);
        fwrite("\0", 1, 2, d);
        fprintf(h, ",\"%s\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[%ld,%ld]}",
                how->added, at, at + 2);
    }
    fputc('}', h);
    fclose(h);
    fclose(d);
    tg__safetensors_close(file);
    whole = malloc(8 + header_bytes + data_bytes);
    for (int i = 0; i < 8; i++)
        whole[i] = (char)(header_bytes >> 8 * i);
    memcpy(whole + 8, header, header_bytes);
    memcpy(whole + 8 + header_bytes, data, data_bytes);
    const char *path = scratch_write(s, name, whole, 8 + header_bytes + data_bytes);
    free(whole);
    free(header);
    free(data);
    return path;
}

#endif
