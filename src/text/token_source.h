/* SPDX-License-Identifier: MIT */
/* The files of a tokenizer's folder. */
#ifndef TG_TEXT_TOKEN_SOURCE_H
#define TG_TEXT_TOKEN_SOURCE_H

#include "io/config.h"
#include "io/file.h"

enum { TG__MOST_TOKEN_FILE_BYTES = 16 << 20 };

/* Ids are below it. */
enum { TG__TOKEN_ID_LIMIT = 1 << 24 };
#define TG__EXPECTED_TOKEN_ID "an integer from 0 to 16777215"

/* The object in folder/name, for tg__config_close; NULL and an error on failure. */
tg__config *tg__token_source_open(const char *folder, const char *name, tg__error *error);
/* The same, but the file may be missing: NULL without an error. */
tg__config *tg__token_source_open_if_any(const char *folder, const char *name, tg__error *error);

/* The whole file folder/name of `most` bytes at most, to be freed, or NULL. where becomes what
 * messages call it. */
char *tg__token_file_read(const char *folder, const char *name, char where[TG__WHERE_BYTES],
                          size_t most, size_t *length, tg__error *error);

bool tg__is_token_id(const tg__json *value);

#endif
