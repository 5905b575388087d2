/* SPDX-License-Identifier: MIT */
/* Errors inside the library: a status, a sentence, and what the sentence is about. The first error
 * sticks, so that a sequence of calls may be checked once at its end. */
#ifndef TG_CORE_ERROR_H
#define TG_CORE_ERROR_H

#include "tgate.h"

typedef tg_error tg__error;

/* Records status and sentence unless an error is there already; returns the error's status. The
 * sentence says what was found, what was expected and where; no full stop, no "tgate: ". The
 * error's subject is what the format's first word makes if it begins with "%s" (a file, a field:
 * "%s is %d", "%s/config.json: …"); else there is none. */
__attribute__((format(printf, 3, 4))) tg_status tg__fail(tg__error *error, tg_status status,
                                                         const char *format, ...);

/* The same with a subject that the sentence does not begin with, or that its format spells out. */
__attribute__((format(printf, 4, 5))) tg_status tg__fail_about(tg__error *error, tg_status status,
                                                               const char *subject,
                                                               const char *format, ...);

/* For memory that could not be had. */
tg_status tg__fail_memory(tg__error *error);

/* Says that name is NULL. */
tg_status tg__fail_null(tg__error *error, const char *name);

/* Whether a pointer was given; if not, the error says so. */
static inline bool tg__given(const void *pointer, const char *name, tg__error *error)
{
    if (pointer)
        return true;
    tg__fail_null(error, name);
    return false;
}

/* Whether all of text is UTF-8; else the error names the byte. */
bool tg__utf8_check(const char *text, tg__error *error);

/* Puts "prefix: " in front of the message that is there; the prefix becomes the subject. */
void tg__error_where(tg__error *error, const char *prefix);

/* The same for an error about the content of something, if there is one: memory that lacks is no
 * matter of the content. */
void tg__error_in(tg__error *error, const char *name);

static inline bool tg__failed(const tg__error *error) { return error->status != TG_OK; }

/* The beginning of a public function: the caller's error, or own if it gave none, zeroed. */
tg__error *tg__error_begin(tg_error *error, tg__error *own);

/* What a handle's error is where there was no memory for the handle. */
extern const tg__error tg__no_handle;

/* Text from a file or a user, made fit for a message: control characters and invalid UTF-8 become
 * '?', and what is longer than size bytes ends in "...". Returns dst. */
const char *tg__printable(char *dst, size_t size, const char *text);

#endif
