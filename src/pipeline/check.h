/* SPDX-License-Identifier: MIT */
#ifndef TG_PIPELINE_CHECK_H
#define TG_PIPELINE_CHECK_H

#include "pipeline/model.h"

/* Whether the options can be carried out with this model. */
tg_status tg__check_generate(const tg_model *model, const tg_generate_options *options,
                             int clip_skip, tg__error *error);

#endif
