/* SPDX-License-Identifier: MIT */
/* One .safetensors file, mapped read-only. Format: 8 bytes header length (little endian), a JSON
 * header {name: {dtype, shape, data_offsets}, "__metadata__": {…}}, then the data. Everything in
 * the header is checked against the file's size before it is used. */
#ifndef TG_IO_SAFETENSORS_H
#define TG_IO_SAFETENSORS_H

#include "io/weight.h"

typedef struct tg__safetensors tg__safetensors;

tg__safetensors *tg__safetensors_open(const char *path, tg__error *error);

/* The name ends as those of pickles do: .bin, .ckpt, .pt, .pth, .pkl. */
bool tg__is_pickle_name(const char *name);
/* "WHERE: is a pickle, …": why it is refused, how to convert it. Returns false. */
bool tg__fail_pickle(const char *where, tg__error *error);

void tg__safetensors_close(tg__safetensors *file);

size_t tg__safetensors_count(const tg__safetensors *file);
/* In the order of their data. Name and data belong to the file, and data is never NULL. */
const tg__weight *tg__safetensors_at(const tg__safetensors *file, size_t index);
/* NULL if it is not there. */
const tg__weight *tg__safetensors_find(const tg__safetensors *file, const char *name);
/* Whether an identity is one of this file's tensors (or of a part of one), and the byte of the file
 * that it begins at. */
bool tg__safetensors_holds(const tg__safetensors *file, tg__identity identity, uint64_t *offset);
/* The file's absolute path without links, as it was when it was opened. */
const char *tg__safetensors_path(const tg__safetensors *file);
/* The file's length and when it was last changed, as it was when it was opened. */
void tg__safetensors_stamp(const tg__safetensors *file, char *dst, size_t size);
/* The data leave memory until they are read again. */
void tg__safetensors_drop(const tg__safetensors *file);
/* A value of __metadata__, or NULL. */
const char *tg__safetensors_metadata(const tg__safetensors *file, const char *key);

#endif
