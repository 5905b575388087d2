/* SPDX-License-Identifier: MIT */
/* Options of requests: defaults and limits, in one place. */
#ifndef TG_PIPELINE_CHECK_H
#define TG_PIPELINE_CHECK_H

#include "pipeline/model.h"

enum { TG__MAX_SIDE = 16384 }; /* of a picture, in pixels */

/* The place of the first value that is not finite; n if all are. */
size_t tg__first_not_finite(const float *x, size_t n);

/* The guidance scale that a request has by default. */
double tg__usual_guidance(const tg_model *model);

/* The latents' size that a request computes: of a picture as large as it asks for, or of its bin;
 * the options are checked. */
void tg__latents_of(const tg_model *model, const tg_generate_options *options, int *h, int *w);

/* The caller's options over the model's defaults; options may be NULL. */
tg_status tg__read_generate_options(tg_generate_options *o, const tg_model *model,
                                    const tg_generate_options *options, tg__error *error);
/* What they ask of the scheduler. */
tg__steps tg__steps_of(const tg_generate_options *options);
/* Whether they can be carried out with this model, which is open. */
tg_status tg__check_generate(const tg_model *model, const tg_generate_options *options,
                             tg__error *error);

/* Both for a prompt's. */
tg_status tg__check_prompt(const tg_model *model, tg_prompt_options *o,
                           const tg_prompt_options *options, tg__error *error);

#endif
