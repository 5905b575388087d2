/* SPDX-License-Identifier: MIT */
/* Errors inside the library: a status and a sentence. The first error sticks, so that a sequence of
 * calls may be checked once at its end. */
#ifndef TG_CORE_ERROR_H
#define TG_CORE_ERROR_H

#include "tgate.h"

typedef struct tg__error {
    tg_status status;
    char message[1024];
} tg__error;

/* Records status and sentence unless an error is there already; returns the error's status. The
 * sentence says what was found, what was expected and where; no full stop, no "tgate: ". */
__attribute__((format(printf, 3, 4))) tg_status tg__fail(tg__error *error, tg_status status,
                                                         const char *format, ...);

/* Same for memory that could not be had. */
tg_status tg__fail_memory(tg__error *error);

/* Puts "prefix: " in front of the message that is there. */
void tg__error_where(tg__error *error, const char *prefix);

static inline bool tg__failed(const tg__error *error) { return error->status != TG_OK; }

/* Text from a file or a user, made fit for a message: control characters and invalid UTF-8 become
 * '?', and what is longer than size bytes ends in "...". Returns dst. */
const char *tg__printable(char *dst, size_t size, const char *text);

#endif
