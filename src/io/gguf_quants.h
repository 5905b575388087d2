/* SPDX-License-Identifier: MIT */
/* The block formats of GGUF files that are read: so many values in so many bytes. */
#ifndef TG_IO_GGUF_QUANTS_H
#define TG_IO_GGUF_QUANTS_H

#include "core/dtype.h"

enum { TG__MOST_BLOCK_VALUES = 256 };

typedef struct tg__gguf_format {
    uint32_t type; /* the file's number */
    const char *name;
    int values, bytes; /* of a block */
    tg__dtype dtype;   /* of what comes out; as it is stored where there is no unpack */
    /* dst = a block's values. NULL: they are numbers as dtype says; or, with 0 bytes, the format is
     * known and not read. */
    void (*unpack)(float *dst, const unsigned char *block);
} tg__gguf_format;

/* NULL: there is no such format. */
const tg__gguf_format *tg__gguf_format_of(uint32_t type);

#endif
