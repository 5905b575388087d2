/* SPDX-License-Identifier: MIT */
/* The CPU as a backend. */
#ifndef TG_CPU_BACKEND_H
#define TG_CPU_BACKEND_H

#include "core/backend.h"
#include "kernels/kernels.h"

extern const tg__backend_opener tg__cpu_opener;

/* Of a backend that it opened. */
const tg__kernels *tg__cpu_kernels(const tg__backend *backend);
struct tg__context *tg__cpu_context(tg__backend *backend, int group);

#endif
