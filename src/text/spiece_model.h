/* SPDX-License-Identifier: MIT */
/* spiece.model: what sentencepiece's ModelProto holds, as far as we must know it before the library
 * does. */
#ifndef TG_TEXT_SPIECE_MODEL_H
#define TG_TEXT_SPIECE_MODEL_H

#include "text/charsmap.h"

typedef enum tg__spiece_type { /* the file's numbers */
                               TG__SPIECE_NORMAL = 1,
                               TG__SPIECE_UNKNOWN,
                               TG__SPIECE_CONTROL,
                               TG__SPIECE_USER_DEFINED,
                               TG__SPIECE_UNUSED,
                               TG__SPIECE_BYTE,
} tg__spiece_type;

typedef struct tg__spiece {
    const char *text; /* in the data, not zero-terminated */
    size_t length;    /* 1 or more */
    float score;
    tg__spiece_type type;
} tg__spiece;

typedef struct tg__spiece_model {
    const char *data; /* the file */
    size_t bytes;
    tg__spiece *pieces; /* by id */
    size_t count, room;
    size_t unknown; /* the id of the unknown piece */
    int type;       /* of the model: 1 is unigram */
    const char *charsmap;
    size_t charsmap_bytes;
} tg__spiece_model;

/* Reads a file's data, which outlive the model; where: what messages call it. Anything but a whole
 * unigram model with one unknown piece is an error. Free it also after a failure. */
tg_status tg__spiece_model_read(tg__spiece_model *model, const char *data, size_t bytes,
                                const char *where, tg__error *error);
void tg__spiece_model_free(tg__spiece_model *model);

#endif
