/* SPDX-License-Identifier: MIT */
#include "pipeline/pipeline.h"

const tg__pipeline_class *const tg__pipeline_classes[] = {
    &tg__stable_diffusion_class, &tg__latent_consistency_class, &tg__stable_diffusion_xl_class,
    &tg__pixart_alpha_class,     &tg__pixart_sigma_class,       NULL};
