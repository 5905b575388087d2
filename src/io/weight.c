/* SPDX-License-Identifier: MIT */
#include "io/weight.h"

#include <stdio.h>

/* In vector code where they are f16, as most published ones are. */
static void convert(void *dst, tg__dtype dst_dtype, const char *src, tg__dtype dtype, size_t n,
                    const tg__conversions *c)
{
    enum { PIECE = 2048 };
    float wide[PIECE];
    tg__bf16 *narrow = dst;
    if (dtype == TG__F16 && dst_dtype == TG__F32) {
        c->f32_from_f16(dst, src, n);
    } else if (dtype == TG__F16) {
        for (size_t i = 0; i < n; i += PIECE) {
            size_t count = n - i < PIECE ? n - i : PIECE;
            c->f32_from_f16(wide, src + i * sizeof *narrow, count);
            c->bf16_from_f32(narrow + i, wide, count);
        }
    } else if (dtype == TG__F32 && dst_dtype == TG__BF16 && (uintptr_t)src % sizeof *wide == 0) {
        c->bf16_from_f32(narrow, (const float *)(const void *)src, n);
    } else {
        tg__convert_array(dst, dst_dtype, src, dtype, n);
    }
}

void tg__weight_read_stored(const tg__weight *weight, void *dst, tg__dtype dtype, size_t first,
                            size_t count, const tg__conversions *c)
{
    const char *src = (const char *)weight->data + first * tg__dtype_size(weight->dtype);
    convert(dst, dtype, src, weight->dtype, count, c);
}

tg__weight tg__weight_in_memory(const char *name, const void *data, tg__dtype dtype, int rank,
                                const int64_t *shape)
{
    static const tg__weight_source memory = {tg__weight_read_stored, NULL};
    static const char *const names[] = {
        [TG__F32] = "F32", [TG__F16] = "F16",         [TG__BF16] = "BF16",
        [TG__F64] = "F64", [TG__F8_E4M3] = "F8_E4M3", [TG__F8_E5M2] = "F8_E5M2"};
    tg__weight weight = {.name = name,
                         .file = "memory",
                         .dtype = dtype,
                         .dtype_name = names[dtype],
                         .rank = rank,
                         .identity = tg__identity_new(),
                         .source = &memory,
                         .data = data};
    memcpy(weight.shape, shape, (size_t)rank * sizeof *shape);
    weight.bytes = tg__weight_count(&weight) * tg__dtype_size(dtype);
    return weight;
}

void tg__weight_take_part(tg__weight *weight, int part, int parts)
{
    if (weight->rank < 1 || weight->shape[0] % parts != 0)
        return;
    weight->shape[0] /= parts;
    weight->bytes /= (size_t)parts;
    size_t skipped = (size_t)part * weight->bytes;
    weight->data = (const char *)weight->data + skipped;
    weight->identity.at += skipped;
}

/* Small matrices alone are stored so: one element at a time will do. */
static void read_transposed(const tg__weight *weight, void *dst, tg__dtype dtype, size_t first,
                            size_t count, const tg__conversions *c)
{
    size_t rows = (size_t)weight->shape[0], columns = (size_t)weight->shape[1];
    size_t from = tg__dtype_size(weight->dtype), to = tg__dtype_size(dtype);
    for (size_t i = 0; i < count; i++) {
        size_t row = (first + i) / columns, column = (first + i) % columns;
        convert((char *)dst + i * to, dtype,
                (const char *)weight->data + (column * rows + row) * from, weight->dtype, 1, c);
    }
}

static void drop_transposed(const tg__weight *weight)
{
    tg__drop_pages(weight->data, weight->bytes);
}

void tg__weight_transpose(tg__weight *weight)
{
    static const tg__weight_source in_file = {read_transposed, drop_transposed};
    static const tg__weight_source in_memory = {read_transposed, NULL};
    if (weight->rank != 2)
        return;
    int64_t rows = weight->shape[0];
    weight->shape[0] = weight->shape[1];
    weight->shape[1] = rows;
    weight->source = weight->source->drop ? &in_file : &in_memory;
}

const char *tg__show_shape(char *dst, size_t size, int rank, const int64_t *shape)
{
    size_t used = (size_t)snprintf(dst, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(dst + used, size - used, "%s%lld", i ? "," : "", (long long)shape[i]);
    if (used < size)
        snprintf(dst + used, size - used, "]");
    return dst;
}
