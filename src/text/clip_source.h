/* SPDX-License-Identifier: MIT */
/* The JSON files of a CLIP tokenizer's folder, and sentences about what is wrong in them. */
#ifndef TG_TEXT_CLIP_SOURCE_H
#define TG_TEXT_CLIP_SOURCE_H

#include "core/error.h"
#include "io/file.h"
#include "io/json.h"

/* Ids are below it. */
enum { TG__CLIP_ID_LIMIT = 1 << 24 };
#define TG__CLIP_EXPECTED_ID "an integer from 0 to 16777215"

/* One object. */
typedef struct tg__clip_source {
    const tg__json *object; /* NULL: there is no such file */
    tg__json_text *text;    /* owns the object */
    char where[TG__WHERE_BYTES];
} tg__clip_source;

/* Reads folder/name; what it reads is given back with tg__clip_source_free, also after a failure.
 */
tg_status tg__clip_source_read(tg__clip_source *source, const char *folder, const char *name,
                               tg__error *error);
/* The same, but the file may be missing. */
tg_status tg__clip_source_read_if_any(tg__clip_source *source, const char *folder, const char *name,
                                      tg__error *error);
void tg__clip_source_free(tg__clip_source *source);

/* The whole file folder/name, to be freed, or NULL. where becomes what messages call it. */
char *tg__clip_file_read(const char *folder, const char *name, char where[TG__WHERE_BYTES],
                         size_t *length, tg__error *error);

/* NULL if the key or the file is not there. */
const tg__json *tg__clip_source_member(const tg__clip_source *source, const char *key);
bool tg__clip_is_id(const tg__json *value);

/* "WHERE: KEY is VALUE, expected EXPECTED". */
tg_status tg__clip_fail_value(const tg__clip_source *source, const char *key, const tg__json *value,
                              const char *expected, tg__error *error);

#endif
