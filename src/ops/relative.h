/* SPDX-License-Identifier: MIT */
/* Buckets of relative positions, as T5 has them (arXiv 1910.10683): half of them for keys up to the
 * query, half for those behind it; in each half the nearest positions have one each, the others
 * share by the logarithm of their distance. */
#ifndef TG_OPS_RELATIVE_H
#define TG_OPS_RELATIVE_H

#include <math.h>

typedef struct tg__relative_buckets {
    int count;        /* 4 or more */
    int max_distance; /* from here on all share the last one; more than count / 4 */
} tg__relative_buckets;

/* In single precision, whose rounding decides at a bucket's edge. */
static inline int tg__relative_bucket(const tg__relative_buckets *b, int distance)
{
    int half = b->count / 2, exact = half / 2, first = distance > 0 ? half : 0;
    int far = distance < 0 ? -distance : distance;
    if (far < exact)
        return first + far;
    float scale = (float)log((double)b->max_distance / exact);
    float more = logf((float)far / (float)exact) / scale * (float)(half - exact);
    return first + (more < (float)(half - exact) ? exact + (int)more : half - 1);
}

#endif
