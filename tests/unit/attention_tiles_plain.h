/* SPDX-License-Identifier: MIT */
/* The attention kernel of AMX on tiles in plain C. Needs AVX-512. */
#ifndef TG_TEST_ATTENTION_TILES_PLAIN_H
#define TG_TEST_ATTENTION_TILES_PLAIN_H

#include "kernels/kernels.h"

extern const tg__attention_kernel *const attention_tiles_plain;

#endif
