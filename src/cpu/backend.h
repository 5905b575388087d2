/* SPDX-License-Identifier: MIT */
/* The CPU as a backend. */
#ifndef TG_CPU_BACKEND_H
#define TG_CPU_BACKEND_H

#include "core/backend.h"
#include "kernels/kernels.h"

/* cap: the highest instruction set; dtype as a session's option. TG_ERROR_UNSUPPORTED where the CPU
 * lacks what the dtype needs. */
tg__backend *tg__cpu_open(tg_cpu cap, tg_dtype dtype, tg__error *error);
/* The same for tg__backend's measure alone, whatever the CPU has. */
tg__backend *tg__cpu_open_to_measure(tg_cpu cap, tg_dtype dtype, tg__error *error);

/* What TG_DTYPE_AUTO comes to under this cap. */
tg_dtype tg__cpu_usual_dtype(tg_cpu cap);

/* Of a backend that tg__cpu_open made. */
const tg__kernels *tg__cpu_kernels(const tg__backend *backend);
struct tg__context *tg__cpu_context(tg__backend *backend, int network);

#endif
