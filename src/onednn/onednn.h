/* SPDX-License-Identifier: MIT */
/* Convolutions and matrix products by oneDNN. This folder alone includes dnnl.h. */
#ifndef TG_ONEDNN_ONEDNN_H
#define TG_ONEDNN_ONEDNN_H

#include "core/dtype.h"
#include "core/packs.h"
#include "io/gather.h"
#include "kernels/kernels.h"
#include "ops/activation.h"

typedef struct tg__dnnl tg__dnnl;       /* engine and stream of a session */
typedef struct tg__product tg__product; /* one prepared convolution or matrix product */

/* dst (n, out_h, out_w, layer->out) = activation(layer(src) + bias), or that + dst, src being
 * (n, h, w, in_count), all dense and channels innermost. Kernel 1 without stride or padding is a
 * matrix product over n * h * w rows. */
typedef struct tg__product_spec {
    const tg__layer *layer;
    int in_first, in_count; /* the layer's input channels that src holds */
    bool bias;              /* add the layer's bias, if it has one */
    tg__dtype dtype;        /* of src, of the weights and of the products' factors */
    tg__dtype dst_dtype;    /* f32 or dtype */
    int n, h, w, out_h, out_w;
    int stride, pad_top, pad_left, pad_bottom, pad_right;
    int phase; /* as tg__layer_part has it */
    tg__activation activation;
    bool accumulate; /* add to what dst holds */
} tg__product_spec;

/* kernels convert weights, and outlive it. cap: the highest instruction set; it holds for the whole
 * process, from the first call on. */
tg__dnnl *tg__dnnl_new(const tg__kernels *kernels, tg_cpu cap, tg__error *error);
void tg__dnnl_free(tg__dnnl *dnnl);
/* oneDNN's version and the instructions that it uses, once there is a tg__dnnl. */
void tg__dnnl_describe(char *dst, size_t size);
/* Gives back what packing needed, under the packs' lock (below); NULL is fine. */
void tg__dnnl_trim(tg__dnnl *dnnl);

static inline tg__layer_part tg__product_part(const tg__product_spec *spec)
{
    return (tg__layer_part){spec->layer, spec->in_first, spec->in_count, spec->phase};
}

/* The kernel's width: the layer's, or 2 for a phase. */
static inline int tg__product_kernel(const tg__product_spec *spec)
{
    return spec->phase ? 2 : spec->layer->kernel;
}

/* Packs the weights the first time they are asked for, in the layout that the first product wants;
 * later products are made for that layout. NULL on failure. Under the packs' lock (core/packs.h),
 * which guards also what dnnl keeps for packing: one dnnl goes with one packs at a time. */
tg__product *tg__product_new(tg__dnnl *dnnl, tg__packs *packs, const tg__product_spec *spec,
                             tg__error *error);
void tg__product_free(tg__product *product);

/* Memory that run needs for itself. */
size_t tg__product_scratch_bytes(const tg__product *product);
/* oneDNN's name of the implementation: "brgconv:avx512_core_bf16". */
const char *tg__product_implementation(const tg__product *product);
void tg__product_run(tg__product *product, void *dst, const void *src, void *scratch);

#endif
