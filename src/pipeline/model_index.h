/* SPDX-License-Identifier: MIT */
/* model_index.json: which classes a pipeline is made of. */
#ifndef TG_PIPELINE_MODEL_INDEX_H
#define TG_PIPELINE_MODEL_INDEX_H

#include "pipeline/pipeline.h"

typedef struct tg__model_index {
    const tg__pipeline_class *class;
    const tg__network_class *networks[TG__MAX_NETWORKS]; /* by role */
    const char *tokenizers[TG__MAX_NETWORKS];            /* the roles' names of their classes */
    const char *scheduler;                               /* the name of its class; the config's */
    bool force_zeros; /* a prompt without a negative has zeros instead of an empty one's states */
} tg__model_index;

/* classes: those that are known, ends in NULL. What they do not have, or in another library, is an
 * error of the config's. */
tg_status tg__model_index_read(tg__model_index *index, tg__config *config,
                               const tg__pipeline_class *const *classes);

#endif
