/* SPDX-License-Identifier: MIT */
/* What the programs of one network share. */
#ifndef TG_CPU_CONTEXT_H
#define TG_CPU_CONTEXT_H

#include "core/packs.h"
#include "kernels/kernels.h"
#include "onednn/onednn.h"

typedef struct tg__context {
    const tg__kernels *kernels;
    tg__dnnl *dnnl; /* NULL: convolutions and linear layers in plain C (f32 only) */
    tg__packs packs;
    /* 3x3 convolutions on maps of so many positions and more (fewer, where the weights are small)
     * go by Winograd, whose weights take four times the memory; 0: none do. */
    int winograd_positions;
    int programs; /* that use the packs */
} tg__context;

#endif
