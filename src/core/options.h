/* SPDX-License-Identifier: MIT */
/* Structs of options that may grow: their first field is size_t size, the size that the caller's
 * header gave them. */
#ifndef TG_CORE_OPTIONS_H
#define TG_CORE_OPTIONS_H

#include "core/error.h"

/* Fills the caller's struct of `size` bytes with as much of the defaults (known bytes) as it has
 * room for; what it has beyond them is zeroed. NULL is fine. */
void tg__options_init(void *options, size_t size, const void *defaults, size_t known);

/* Copies what the caller's struct has over dst, which holds the defaults. options NULL: nothing.
 * name: the struct's, for the message where it was not initialised. */
tg_status tg__options_read(void *dst, size_t known, const void *options, const char *name,
                           tg__error *error);

#endif
