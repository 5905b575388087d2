/* SPDX-License-Identifier: MIT */
#include "cpu/backend.h"
#include "pipeline/model.h"

const tg__backend_opener *const tg__usual_backend = &tg__cpu_opener;
