/* SPDX-License-Identifier: MIT */
/* Our own kernels: what oneDNN lacks. One table of function pointers, filled with plain C and then
 * overridden by what the CPU has. A kernel does one piece of work on one thread; who calls it
 * spreads the pieces. Kernels neither allocate nor fail.
 *
 * Activations are f32 or bf16 (a struct's bf16 flag), NHWC: a feature map (n, h, w, c) and its
 * token matrix (n, h*w, c) are the same memory. Statistics and sums are f32 or better. Names: dst
 * before src. */
#ifndef TG_KERNELS_KERNELS_H
#define TG_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/dtype.h"
#include "tgate.h"

/* Attention of one layer: for each image and head, softmax(q k^T * scale + bias) v over the keys
 * that a row sees; a row that sees none becomes 0. Head i's channels are [i*head_dim,
 * (i+1)*head_dim) of a row; strides are in elements, so that q, k and v may be slices of one
 * matrix. Rows of image b begin at pointer + b * rows * stride. dst may not overlap. */
typedef struct tg__attention {
    void *dst;
    const void *q, *k, *v;
    size_t dst_stride, q_stride, k_stride, v_stride;
    int images, heads, head_dim; /* head_dim 1 to 512 */
    int q_rows, kv_rows;         /* an image's */
    float scale;
    bool causal;         /* row i sees kv rows up to i */
    bool bf16;           /* of dst, q, k and v; products accumulate in f32 */
    const uint8_t *mask; /* (images, kv_rows): no row sees a key whose byte is 0, and what k and v
                            hold there is not read; NULL: all are seen */
    const float *bias;   /* (heads, q_rows, kv_rows), finite, alike for all images; NULL: none */
} tg__attention;

/* A fused attention kernel: blocks of scores stay in the cache, softmax is online, the score matrix
 * is never in memory. Each takes every tg__attention of its format. */
typedef struct tg__attention_kernel {
    /* Bytes of packed keys and values for one (image, head); 0: this kernel reads k and v as they
     * are. 64-byte aligned. */
    size_t (*packed_bytes)(const tg__attention *a);
    /* Bytes of private memory a thread needs in run; 64-byte aligned. */
    size_t (*scratch_bytes)(const tg__attention *a);
    /* Packs one (image, head)'s keys and values. */
    void (*pack)(void *packed, const tg__attention *a, int image, int head);
    /* Rows [row, row + rows) of one (image, head); rows <= q_block. packed as pack left it. */
    void (*run)(const tg__attention *a, const void *packed, void *scratch, int image, int head,
                int row, int rows);
    int q_block; /* query rows of a piece of work; row is a multiple of it */
} tg__attention_kernel;

/* A 3x3 convolution of stride 1 and padding 1 by Winograd's F(4x4, 3x3): dst (n, h, w, out) =
 * products + bias + residual. */
typedef struct tg__winograd {
    void *dst;
    const void *src;      /* (n, h, w, in); doubled: (n, h / 2, w / 2, in) */
    const void *residual; /* as dst, may be dst; NULL: none */
    const void *weights;  /* as pack left them */
    const float *bias;    /* out values; NULL: none */
    int n, h, w, in, out;
    int block; /* the most tiles that one call of run gets */
    bool src_bf16, dst_bf16;
    bool doubled; /* each pixel of src is read as 2x2; h and w are even */
    bool half;    /* weights take 16 bits */
} tg__winograd;

/* A tile is 4x4 outputs of an image; there are n * ceil(h / 4) * ceil(w / 4). */
typedef struct tg__winograd_kernel {
    int panel;  /* output channels are packed so many together */
    bool words; /* its products are of 16-bit integers, twice as fast as f32's */
    size_t (*packed_bytes)(const tg__winograd *w); /* of weights; 64-byte aligned */
    /* Packs panel number `panel`. taps (in, 9, panel): the kernels of its output channels, 0 beyond
     * the last. */
    void (*pack)(void *packed, const tg__winograd *w, int panel, const float *taps);
    size_t (*tile_bytes)(const tg__winograd *w); /* of private memory, for each tile of a block */
    /* Bytes of private memory a thread needs in run; 64-byte aligned. */
    size_t (*scratch_bytes)(const tg__winograd *w);
    /* Tiles [tile, tile + tiles). */
    void (*run)(const tg__winograd *w, void *scratch, int tile, int tiles);
} tg__winograd_kernel;

/* GroupNorm over one image of two sources side by side (a's channels, then b's; b NULL and b_c 0
 * for one source). Before anything else vector (f32, a_c + b_c values, or NULL) is added to every
 * row. Statistics are over rows and the channels of a group; groups divide a_c + b_c and may span
 * both sources. Two passes: sums over slices of rows, then one fold, then apply over slices. */
typedef struct tg__group_norm {
    void *dst; /* (rows, a_c + b_c) dense */
    const void *a, *b;
    int a_c, b_c, groups;
    size_t rows;
    const float *vector, *weight, *bias; /* weight and bias a_c + b_c values, or NULL: 1 and 0 */
    float eps;
    bool silu; /* x * sigmoid(x) behind it */
    bool bf16;
} tg__group_norm;

/* A convolution over a map of unsigned bytes, or a linear layer over its rows, in int8. A byte q of
 * a row means (q - zero) * scale. The sum is exact in 32 bits: taps * depth may not exceed
 * TG__INT8_DEPTH.
 *     x[o] = (sum - zero * weight_sum[o]) * scale * weight_scale[o] + bias[o]
 * and then dst[row][o] = x[o] + residual, or with glu x[h] * gelu(x[g]) + residual.
 *
 * Weights are packed in blocks of TG__INT8_BLOCK outputs: (block, tap, depth / 4, output, 4). With
 * glu a block holds half as many outputs of the layer's first half, then their gates of the second.
 * What goes by output is in the same order and has room for whole blocks. This is also the order
 * that AMX tiles want. */
typedef struct tg__int8_product {
    void *dst;            /* rows of `out` values */
    const void *residual; /* as dst, may be dst; NULL: none */
    int out;
    bool glu;
    size_t dst_step;   /* rows of dst from one row's to the next one's; 1 where they are dense */
    bool bf16;         /* of dst and residual */
    const size_t *tap; /* where each tap's bytes are from a row's first */
    int taps;
    size_t depth; /* bytes of a tap: a multiple of TG__INT8_PIXEL */
    size_t step;  /* bytes from one row's source to the next one's */
    const int8_t *weights;
    const float *weight_sum, *weight_scale, *bias; /* bias NULL: none */
} tg__int8_product;

enum { TG__INT8_BLOCK = 32, TG__INT8_PIXEL = 64, TG__INT8_DEPTH = 65536 };

typedef struct tg__kernels {
    tg_cpu level;   /* what the table was filled for */
    bool bf16_fast; /* products in bf16 are faster than in f32 on this CPU */
    bool int8_fast; /* this level has instructions for int8 products */

    tg__attention_kernel attention_f32, attention_bf16;
    tg__attention_kernel attention_int8; /* bf16 with scores in int8; run NULL: there is none */
    tg__winograd_kernel winograd_f32;    /* not in plain C: run is NULL */
    tg__winograd_kernel winograd_bf16;   /* more precise than a convolution in bf16; half */

    /* sums: 2 * (a_c + b_c) doubles for this slice: by channel the sum, then the sum of squares, of
     * x - shift, shift being the channel's value (vector included) in row 0 of the image: so
     * nothing is lost where the mean is far from 0. */
    void (*group_norm_sums)(double *sums, const tg__group_norm *g, size_t row, size_t rows);
    /* Normalises rows [row, row + rows). scale and offset: a_c + b_c values, x * scale + offset is
     * the result (vector, weight and bias folded in by tg__group_norm_fold). dst may be a where b
     * is NULL. */
    void (*group_norm_apply)(const tg__group_norm *g, const float *scale, const float *offset,
                             size_t row, size_t rows);

    /* LayerNorm of each row of c values; weight and bias may be NULL. dst may be src. */
    void (*layer_norm)(void *dst, const void *src, size_t rows, int c, const float *weight,
                       const float *bias, float eps, bool bf16);
    /* Each row of c values over its root mean square: x / sqrt(mean(x^2) + eps) * weight; weight
     * may be NULL. dst may be src. */
    void (*rms_norm)(void *dst, const void *src, size_t rows, int c, const float *weight, float eps,
                     bool bf16);
    /* dst (rows, c) = residual + x * gate, gate having c values. dst may be residual or x. */
    void (*gated_add)(void *dst, const void *residual, const void *x, const float *gate,
                      size_t rows, int c, bool bf16);
    /* dst (rows, c) = src[:, :c] * gelu(src[:, c:2c]), the exact gelu (erf). */
    void (*geglu)(void *dst, const void *src, size_t rows, int c, bool bf16);
    /* The same with gelu_tanh. */
    void (*geglu_tanh)(void *dst, const void *src, size_t rows, int c, bool bf16);
    /* dst = a + b, n values. dst may be a or b. */
    void (*add)(void *dst, const void *a, const void *b, size_t n, bool bf16);
    /* dst = (a + b) / 2: what T-GATE keeps of both halves of a guided batch. */
    void (*mean)(void *dst, const void *a, const void *b, size_t n, bool bf16);
    /* dst = f(src), n values; dst may be src. */
    void (*silu)(void *dst, const void *src, size_t n, bool bf16);
    void (*gelu)(void *dst, const void *src, size_t n, bool bf16); /* erf */
    /* 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
    void (*gelu_tanh)(void *dst, const void *src, size_t n, bool bf16);
    void (*quick_gelu)(void *dst, const void *src, size_t n, bool bf16); /* x * sigmoid(1.702 x) */

    /* Smallest and largest of n values, together with what *low and *high hold; one of them is not
     * finite where a value is not. */
    void (*range)(float *low, float *high, const void *src, size_t n, bool bf16);
    /* dst[i] = src[i] * factor + zero, rounded to even and held within 0 to 255. */
    void (*quantize)(uint8_t *dst, const void *src, size_t n, float factor, float zero, bool bf16);
    /* `rows` rows of dst from `row` on, one block of outputs: src is the source of the first of
     * them, scale and zero belong to it; scale_step is 1 where every row has its own, 0 where all
     * share them. */
    void (*int8_product)(const tg__int8_product *p, const uint8_t *src, const float *scale,
                         const int32_t *zero, size_t scale_step, size_t row, size_t rows,
                         int block);

    /* On a thread before and behind calls of int8_product that all have so many rows: a kernel may
     * keep registers in a shape of its own between them. NULL: nothing to be done. */
    void (*int8_begin)(size_t rows);
    void (*int8_end)(void);

    void (*bf16_from_f32)(tg__bf16 *dst, const float *src, size_t n);
    void (*f32_from_bf16)(float *dst, const tg__bf16 *src, size_t n);
    void (*f32_from_f16)(float *dst, const void *src, size_t n); /* src may be unaligned */

    /* The oracle, and the path of TG_CPU=c. Output pixels [y, y + 1) of one image.
     * src (h, w, c), weight (k, k, c, dst_c) f32, bias NULL or dst_c, dst row (dst_w, dst_c). */
    void (*conv2d_row)(float *dst, const float *src, const float *weight, const float *bias, int h,
                       int w, int c, int dst_w, int dst_c, int k, int stride, int pad_top,
                       int pad_left, int y);

    /* The bare loops of kernels/peak.h. Rounds of multiplications from registers alone, with the
     * fastest instruction there is for the dtype (bf16: f32's where no other is faster; int8: NULL
     * where there is no dot product of it); returns how many. */
    double (*peak_f32)(size_t rounds);
    double (*peak_bf16)(size_t rounds);
    double (*peak_int8)(size_t rounds);
    /* Reads bytes (a multiple of TG__READ_BYTES) and drops them. */
    void (*read)(const void *data, size_t bytes);
} tg__kernels;

/* Fills the table with the best kernels up to cap (TG_CPU_AUTO: no cap) that this CPU and its
 * operating system have. */
void tg__kernels_init(tg__kernels *kernels, tg_cpu cap);

/* The kernel for a layer's attention. int8: scores may be products of int8, where there is a kernel
 * for them and there are so many keys that it is faster. */
const tg__attention_kernel *tg__attention_kernel_for(const tg__kernels *kernels,
                                                     const tg__attention *a, bool int8);

/* What reading weights takes of the table. */
static inline tg__conversions tg__kernels_conversions(const tg__kernels *kernels)
{
    return (tg__conversions){kernels->f32_from_f16, kernels->bf16_from_f32};
}

/* What this CPU has, without a cap. */
tg_cpu tg__cpu_level(void);

/* Folds slices of sums (slices * 2 * (a_c + b_c) doubles, as group_norm_sums left them) into scale
 * and offset (a_c + b_c floats each). */
void tg__group_norm_fold(float *scale, float *offset, const double *sums, size_t slices,
                         const tg__group_norm *g);

/* What each folder does better; called by tg__kernels_init, lowest first. */
#define TG_FOLDER(folder, cap, needs, flags) void tg__kernels_init_##folder(tg__kernels *kernels);
#include "kernels/levels.def"

#endif
