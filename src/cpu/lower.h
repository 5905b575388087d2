/* SPDX-License-Identifier: MIT */
#ifndef TG_CPU_LOWER_H
#define TG_CPU_LOWER_H

#include "core/plan.h"
#include "cpu/context.h"
#include "cpu/program.h"

/* The plan's operators as tasks of a program: here it is decided what goes by Winograd, in int8 or
 * by oneDNN, and what of the plan is one task. No weight is read: that is tg__program_finish's.
 * dtype: of activations; int8: products may be in int8 where they are not sensitive. The plan may
 * go, its weights' owner not. NULL with an error. */
tg__program *tg__cpu_lower(tg__context *context, const tg__plan *plan, tg__dtype dtype, bool int8,
                           tg__error *error);

#endif
