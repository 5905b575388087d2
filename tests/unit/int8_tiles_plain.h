/* SPDX-License-Identifier: MIT */
/* The int8 kernel of AMX on tiles in plain C. Needs AVX-512. */
#ifndef TG_TEST_INT8_TILES_PLAIN_H
#define TG_TEST_INT8_TILES_PLAIN_H

#include "kernels/kernels.h"

void int8_tiles_plain(tg__kernels *kernels);

#endif
