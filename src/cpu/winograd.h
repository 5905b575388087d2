/* SPDX-License-Identifier: MIT */
/* 3x3 convolutions on large maps by Winograd's F(4x4, 3x3); for ops/product.c alone. */
#ifndef TG_CPU_WINOGRAD_H
#define TG_CPU_WINOGRAD_H

#include "cpu/tasks.h"

typedef struct tg__winograd_product {
    const tg__winograd_kernel *kernel;
    tg__winograd arguments; /* all but the activations' memory */
    size_t scratch;         /* bytes of one thread */
} tg__winograd_product;

/* Whether a product of this program is to be computed so. The number of images has no say in it:
 * programs that differ in it share the weights. */
bool tg__winograd_fits(const tg__program *program, const tg__product_spec *spec);
/* A task's multiplications, as executed, and how much larger its weights are. */
void tg__winograd_count(tg__task *task, const tg__product_spec *spec);

/* The part of a task's prepare; fails the program where there is no memory. */
void tg__winograd_prepare(tg__program *program, tg__task *task, tg__winograd_product *product,
                          const tg__product_spec *spec);
/* residual: NULL, or as dst, which it may be. */
void tg__winograd_run(const tg__program *program, const tg__task *task,
                      const tg__winograd_product *product, void *dst, const void *src,
                      const void *residual);

#endif
