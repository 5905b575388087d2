/* SPDX-License-Identifier: MIT */
/* One .gguf file (version 2 or 3), mapped read-only: the community's format of quantized weights.
 * Everything in its header is checked against the file's size before it is used. Tensors whose
 * blocks are F32, F16, BF16, Q8_0, Q4_K, Q5_K or Q6_K are weights like others: quantized ones come
 * out as f32, a block at a time. Others are there, as TG__OTHER. */
#ifndef TG_IO_GGUF_H
#define TG_IO_GGUF_H

#include "io/weight.h"

typedef struct tg__gguf tg__gguf;

tg__gguf *tg__gguf_open(const char *path, tg__error *error);
void tg__gguf_close(tg__gguf *file); /* NULL is fine */

/* The file's name for messages. */
const char *tg__gguf_where(const tg__gguf *file);
size_t tg__gguf_count(const tg__gguf *file);
/* By name. Shapes are in our order: the innermost dimension last. */
const tg__weight *tg__gguf_at(const tg__gguf *file, size_t index);
/* NULL if it is not there. */
const tg__weight *tg__gguf_find(const tg__gguf *file, const char *name);
/* A string among the metadata, which belongs to the file; NULL: there is none of this key. */
const char *tg__gguf_string(const tg__gguf *file, const char *key);
/* The data leave memory until they are read again. */
void tg__gguf_drop(const tg__gguf *file);

#endif
