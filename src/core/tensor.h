/* SPDX-License-Identifier: MIT */
/* An activation, as a plan and a program name it: a small value, never freed. */
#ifndef TG_CORE_TENSOR_H
#define TG_CORE_TENSOR_H

#include "core/dtype.h"

/* n images (or texts) of h x w positions with c channels, dense, channels innermost. A token matrix
 * has h = 1 and w tokens. id names the buffer; 0 is the null tensor. */
typedef struct tg__tensor {
    int id;
    int n, h, w, c;
    tg__dtype dtype;
} tg__tensor;

static inline size_t tg__count(tg__tensor x)
{
    return (size_t)x.n * (size_t)x.h * (size_t)x.w * (size_t)x.c;
}
static inline size_t tg__rows(tg__tensor x) { return (size_t)x.n * (size_t)x.h * (size_t)x.w; }
/* Not for TG__ACTIVATIONS, whose size the backend knows. */
static inline size_t tg__bytes(tg__tensor x) { return tg__count(x) * tg__dtype_size(x.dtype); }

#endif
