/* SPDX-License-Identifier: MIT */
/* A plan's operators (ops/ops.h) as this CPU runs them. Each call records one task of the program,
 * sometimes more, and returns the tensor that they make; which kernel or primitive runs it is
 * decided here. On a failed program, or with a null tensor, they record nothing and return a null
 * tensor. */
#ifndef TG_CPU_TASKS_H
#define TG_CPU_TASKS_H

#include "cpu/context.h"
#include "cpu/program.h"
#include "ops/ops.h"

/* ------------------------------------------------------------- convolutions and linear layers */

/* x's channels are the layer's input. Kernel 1 makes it a linear layer over all positions. */
tg__tensor tg__cpu_conv2d(tg__program *program, tg__tensor x, const tg__layer *layer,
                          tg__product_options options);
/* The layer applied to a's channels followed by b's, without laying them side by side: two
 * accumulated products. Kernel 1. b null: a alone. */
tg__tensor tg__cpu_conv2d_pair(tg__program *program, tg__tensor a, tg__tensor b,
                               const tg__layer *layer);

/* A nearest upsampling to h x w and the layer behind it. Where that doubles both sides of x, it is
 * four 2x2 convolutions on the small map: 2.25 times fewer multiplications than the 3x3 on the
 * large; or, in f32 on large maps, Winograd's: four times fewer. */
tg__tensor tg__cpu_upsample_conv2d(tg__program *program, tg__tensor x, const tg__layer *layer,
                                   int h, int w);

/* -------------------------------------------------------------------------------------- norms */

/* Over a's channels followed by b's (b null: a alone); the result has them side by side. */
tg__tensor tg__cpu_group_norm(tg__program *program, tg__tensor a, tg__tensor b,
                              const tg__norm *norm, tg__group_norm_options options);
tg__tensor tg__cpu_layer_norm(tg__program *program, tg__tensor x, const tg__norm *norm,
                              tg__row_norm_options options);
tg__tensor tg__cpu_rms_norm(tg__program *program, tg__tensor x, const tg__norm *norm, float eps);

/* ---------------------------------------------------------------------------------- attention */

tg__tensor tg__cpu_attention(tg__program *program, const char *name, tg__slice q, tg__slice k,
                             tg__slice v, tg__attention_options options);

/* -------------------------------------------------------------------------------- elementwise */

/* The first half of the channels times the gelu of the second; c channels of 2c. activation:
 * TG__GEGLU or TG__GEGLU_TANH. */
tg__tensor tg__cpu_geglu(tg__program *program, const char *name, tg__tensor x,
                         tg__activation activation);
tg__tensor tg__cpu_add(tg__program *program, const char *name, tg__tensor a, tg__tensor b);
/* residual + x * gate. */
tg__tensor tg__cpu_gated_add(tg__program *program, const char *name, tg__tensor residual,
                             tg__tensor x, tg__slice gate);
/* A vector for each picture added to each row of the table. */
tg__tensor tg__cpu_add_table(tg__program *program, const char *name, tg__tensor x,
                             const tg__weight *table, int values);
/* Vectors side by side. */
tg__tensor tg__cpu_join(tg__program *program, const char *name, tg__tensor a, tg__tensor b);
/* x * factor; x itself where factor is 1. */
tg__tensor tg__cpu_scale(tg__program *program, const char *name, tg__tensor x, float factor);
/* into = (first half of x's images + second half) / 2. */
tg__tensor tg__cpu_mean_halves(tg__program *program, const char *name, tg__tensor x,
                               tg__tensor into);
/* x in another format, in `into` or (null) in a new tensor. */
tg__tensor tg__cpu_convert(tg__program *program, const char *name, tg__tensor x, tg__dtype dtype,
                           tg__tensor into);
tg__tensor tg__cpu_activate(tg__program *program, const char *name, tg__tensor x,
                            tg__activation activation);

/* -------------------------------------------------------------------------------------
 * layout */

/* f32 (n, c, h, w) at an external tensor given as (n, c, h, w) -> (copies
 * * n, h, w, c) in the program's dtype, x * factor + offset; the copies
 * follow one another. */
tg__tensor tg__cpu_from_nchw(tg__program *program, tg__tensor x, int copies, float factor,
                             float offset);
/* x (f32) -> into, an external f32 tensor given as (n, c, h, w), which may
 * be p times as large: a position of x holds p x p pixels then. */
tg__tensor tg__cpu_to_nchw(tg__program *program, tg__tensor x, tg__tensor into);
/* Nearest neighbour to h x w. */
tg__tensor tg__cpu_upsample(tg__program *program, const char *name, tg__tensor x, int h, int w);
/* Four maps of one size to one of twice its sides: phases[2 * py + px] has
 * the pixels (2y + py, 2x + px). */
tg__tensor tg__cpu_interleave(tg__program *program, const char *name, const tg__tensor phases[4]);

/* -------------------------------------------------------------------------------------
 * inputs */

/* The sinusoids of numbers (external f32, (n, 1, 1, k)), c for each: (n, 1, 1, k * c). Dhariwal and
 * Nichol, as diffusers' get_timestep_embedding with max_period 10000. */
tg__tensor tg__cpu_timestep_embedding(tg__program *program, tg__tensor numbers, int c,
                                      bool flip_sin_to_cos, float freq_shift);
/* Sines and cosines of each position: (1, h, w, c). */
tg__tensor tg__cpu_grid_embedding(tg__program *program, int h, int w, int c, int base, float scale);
/* ids: external (n, 1, tokens, 1) int32 bound as f32's size; table
 * (entries, c), positions
 * (>= tokens, c) -> (n, 1, tokens, c) = table[id] + positions[i]. Ids are
 * checked by the caller. */
tg__tensor tg__cpu_embed_tokens(tg__program *program, tg__tensor ids, const tg__weight *table,
                                const tg__weight *positions, int c);
/* (heads, 1, tokens, tokens) f32; table (buckets.count, heads). */
tg__tensor tg__cpu_relative_bias(tg__program *program, const tg__weight *table,
                                 tg__relative_buckets buckets, int heads, int tokens);

#endif
