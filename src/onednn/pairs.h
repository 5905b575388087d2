/* SPDX-License-Identifier: MIT */
/* The layouts that oneDNN's bf16 products want their weights in, written directly: its reorder
 * takes several times as long and wants the plain weights whole. */
#ifndef TG_ONEDNN_PAIRS_H
#define TG_ONEDNN_PAIRS_H

#include "core/dtype.h"

#include <dnnl.h>
#include <stdbool.h>
#include <stddef.h>

/* Rows (outputs) that are written at once: a line of the memory cache of pairs. */
enum { TG__PAIR_ROWS = 16 };

/* Whether weights of this layout lie as [out/width][taps][in/2][width][2], without padding; *width,
 * a multiple of TG__PAIR_ROWS, is that of the layout then. md: (out, in, k, k), or (in, out) with
 * two dimensions. */
bool tg__pairs_match(const dnnl_memory_desc_t *md, size_t *width);

/* Writes TG__PAIR_ROWS rows, the first of which is a multiple of that number. rows: of in * taps
 * values each, in the order (in, taps). */
void tg__pairs_write(tg__bf16 *dst, const tg__bf16 *rows, size_t first, size_t width, size_t in,
                     size_t taps);

#endif
