/* SPDX-License-Identifier: MIT */
/* 3x3 convolutions on large maps by Winograd's F(4x4, 3x3); for ops/product.c alone. */
#ifndef TG_OPS_WINOGRAD_H
#define TG_OPS_WINOGRAD_H

#include "ops/ops.h"

typedef struct tg__winograd_product {
    const tg__winograd_kernel *kernel;
    tg__winograd arguments; /* all but the activations' memory */
    size_t scratch;         /* bytes of one thread */
} tg__winograd_product;

/* Whether a product of this plan is to be computed so. The number of images has no say in it: plans
 * that differ in it share the weights. */
bool tg__winograd_fits(const tg__plan *plan, const tg__product_spec *spec);
/* A node's multiplications, as executed, and how much larger its weights are. */
void tg__winograd_count(tg__node *node, const tg__product_spec *spec);

/* The part of a node's prepare; fails the plan where there is no memory. */
void tg__winograd_prepare(tg__plan *plan, tg__node *node, tg__winograd_product *product,
                          const tg__product_spec *spec);
/* residual: NULL, or as dst, which it may be. */
void tg__winograd_run(const tg__plan *plan, const tg__node *node,
                      const tg__winograd_product *product, void *dst, const void *src,
                      const void *residual);

#endif
