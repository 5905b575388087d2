/* SPDX-License-Identifier: MIT */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/utf8.h"

tg_status tg__fail(tg__error *error, tg_status status, const char *format, ...)
{
    if (error->status == TG_OK) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        error->status = status;
    }
    return error->status;
}

tg_status tg__fail_memory(tg__error *error)
{
    return tg__fail(error, TG_ERROR_MEMORY, "out of memory");
}

void tg__error_where(tg__error *error, const char *prefix)
{
    size_t room = sizeof error->message - 1, length = strlen(error->message);
    size_t shift = strlen(prefix) + 2;
    if (shift > room)
        return;
    if (length > room - shift)
        length = room - shift;
    memmove(error->message + shift, error->message, length);
    memcpy(error->message, prefix, shift - 2);
    memcpy(error->message + shift - 2, ": ", 2);
    error->message[shift + length] = '\0';
}

const char *tg__printable(char *dst, size_t size, const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p;) {
        const char *start = p;
        int32_t code = tg__utf8_next(&p);
        size_t length = (size_t)(p - start);
        bool bad = code < 0x20 || (code >= 0x7F && code < 0xA0);
        if (n + (bad ? 1 : length) + 4 > size) {
            memcpy(dst + n, "...", 4);
            return dst;
        }
        if (bad) {
            dst[n++] = '?';
        } else {
            memcpy(dst + n, start, length);
            n += length;
        }
    }
    dst[n] = '\0';
    return dst;
}

const char *tg_status_text(tg_status status)
{
    switch (status) {
#define TG_STATUS_CASE(code, text) \
    case code:                     \
        return text;
        TG_STATUS_MAP(TG_STATUS_CASE)
#undef TG_STATUS_CASE
    }
    return "unknown status";
}

const char *tg_version(void) { return TG_VERSION; }
