/* SPDX-License-Identifier: MIT */
#include "core/options.h"

#include <string.h>

enum { MOST_BYTES = 1 << 16 }; /* what is larger was not initialised */

void tg__options_init(void *options, size_t size, const void *defaults, size_t known)
{
    if (!options || size < sizeof size)
        return;
    memset(options, 0, size);
    memcpy(options, defaults, size < known ? size : known);
    memcpy(options, &size, sizeof size);
}

tg_status tg__options_read(void *dst, size_t known, const void *options, const char *name,
                           tg__error *error)
{
    size_t size;
    if (!options)
        return TG_OK;
    memcpy(&size, options, sizeof size);
    if (size < sizeof size || size > MOST_BYTES)
        return tg__fail_about(error, TG_ERROR_ARGUMENT, name,
                              "%s.size is %zu, expected what %s_init sets", name, size, name);
    memcpy(dst, options, size < known ? size : known);
    return TG_OK;
}
