/* SPDX-License-Identifier: MIT */
/* What the folder's files fill in for its level. */
#ifndef TG_KERNELS_AMX_PARTS_H
#define TG_KERNELS_AMX_PARTS_H

#include "kernels/kernels.h"

void tg__amx_attention(tg__kernels *kernels);
void tg__amx_int8(tg__kernels *kernels);

#endif
