/* SPDX-License-Identifier: MIT */
/* One .safetensors file, mapped read-only. Format: 8 bytes header length (little endian), a JSON
 * header {name: {dtype, shape, data_offsets}, "__metadata__": {…}}, then the data. Everything in
 * the header is checked against the file's size before it is used. */
#ifndef TG_IO_SAFETENSORS_H
#define TG_IO_SAFETENSORS_H

#include "core/dtype.h"
#include "core/error.h"

enum { TG__MAX_RANK = 8 };

/* A tensor on disk. A small value; name and data belong to the file. */
typedef struct tg__disk_tensor {
    const char *name;
    const char *file;       /* the file's name, for messages */
    tg__dtype dtype;        /* TG__OTHER: integers, f64, f8 …; dtype_name says which */
    const char *dtype_name; /* as in the file: "F32", "I64", … */
    int rank;
    int64_t shape[TG__MAX_RANK];
    const void *data; /* may be unaligned; NULL never */
    size_t bytes;
} tg__disk_tensor;

typedef struct tg__safetensors tg__safetensors;

tg__safetensors *tg__safetensors_open(const char *path, tg__error *error);

/* The name ends as those of pickles do: .bin, .ckpt, .pt, .pth, .pkl. */
bool tg__is_pickle_name(const char *name);
/* "WHERE: is a pickle, …": why it is refused, how to convert it. Returns false. */
bool tg__fail_pickle(const char *where, tg__error *error);

void tg__safetensors_close(tg__safetensors *file);

size_t tg__safetensors_count(const tg__safetensors *file);
/* In the order of their data. */
const tg__disk_tensor *tg__safetensors_at(const tg__safetensors *file, size_t index);
/* NULL if it is not there. */
const tg__disk_tensor *tg__safetensors_find(const tg__safetensors *file, const char *name);
/* The data leave memory until they are read again. */
void tg__safetensors_drop(const tg__safetensors *file);
/* A value of __metadata__, or NULL. */
const char *tg__safetensors_metadata(const tg__safetensors *file, const char *key);

#endif
