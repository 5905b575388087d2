/* SPDX-License-Identifier: MIT */
/* Activations as unsigned bytes, for products in int8. Scales are taken anew at every run. For the
 * operators' files only. */
#ifndef TG_CPU_BYTES_H
#define TG_CPU_BYTES_H

#include "cpu/record.h"

/* A map in bytes, with a border of zeros around each image. */
typedef struct tg__byte_map {
    tg__tensor tensor; /* a flat buffer: scales, zero points, then the bytes */
    int n, h, w, c;
    int border;
    size_t pixel;  /* bytes of a pixel: its channels, filled up with zeros to a multiple of 64 */
    size_t scales; /* how many: n * h * w or n */
    size_t first;  /* where the bytes begin */
} tg__byte_map;

/* Records x in bytes, with a scale for each row (border 0) or for each image. */
tg__byte_map tg__to_bytes(tg__program *program, const char *name, tg__tensor x, int border,
                          bool by_row);

#endif
