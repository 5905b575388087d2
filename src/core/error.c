/* SPDX-License-Identifier: MIT */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"

const tg__error tg__no_handle = {.status = TG_ERROR_MEMORY, .message = "out of memory"};

static void record(tg__error *error, tg_status status, const char *subject, const char *format,
                   va_list arguments)
{
    if (tg__failed(error))
        return;
    error->status = status;
    tg__printable(error->subject, sizeof error->subject, subject);
    vsnprintf(error->message, sizeof error->message, format, arguments);
}

/* What the first word of the format makes if it begins with "%s": "%s/config.json: …" has a subject
 * of two parts. */
static void subject_of(char *dst, size_t size, const char *format, va_list arguments)
{
    dst[0] = '\0';
    if (strncmp(format, "%s", 2) != 0)
        return;
    size_t more = strcspn(format + 2, ":, %");
    if (format[2 + more] == '%')
        more = 0;
    snprintf(dst, size, "%s%.*s", va_arg(arguments, const char *), (int)more, format + 2);
}

tg_status tg__fail(tg__error *error, tg_status status, const char *format, ...)
{
    char subject[2 * sizeof error->subject];
    va_list arguments, first;
    va_start(arguments, format);
    va_copy(first, arguments);
    subject_of(subject, sizeof subject, format, first);
    record(error, status, subject, format, arguments);
    va_end(first);
    va_end(arguments);
    return error->status;
}

tg_status tg__fail_about(tg__error *error, tg_status status, const char *subject,
                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record(error, status, subject, format, arguments);
    va_end(arguments);
    return error->status;
}

tg_status tg__fail_memory(tg__error *error)
{
    return tg__fail(error, TG_ERROR_MEMORY, "out of memory");
}

tg_status tg__fail_null(tg__error *error, const char *name)
{
    return tg__fail(error, TG_ERROR_ARGUMENT, "%s is NULL, expected an address", name);
}

bool tg__utf8_check(const char *text, tg__error *error)
{
    for (const char *at = text, *start = at; *at; start = at)
        if (tg__utf8_next(&at) < 0) {
            tg__fail_about(error, TG_ERROR_ARGUMENT, "text",
                           "the text's byte %zu is 0x%02x, expected UTF-8", (size_t)(start - text),
                           (unsigned char)*start);
            return false;
        }
    return true;
}

tg_status tg_text_check(const char *text, tg_error *given)
{
    tg__error own, *error = tg__error_begin(given, &own);
    if (tg__given(text, "text", error))
        tg__utf8_check(text, error);
    return error->status;
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
    tg__printable(error->subject, sizeof error->subject, prefix);
}

void tg__error_in(tg__error *error, const char *name)
{
    if (tg__failed(error) && error->status != TG_ERROR_MEMORY)
        tg__error_where(error, name);
}

tg__error *tg__error_begin(tg_error *error, tg__error *own)
{
    tg__error *used = error ? error : own;
    *used = (tg__error){0};
    return used;
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

void tg_free(void *data) { free(data); }

const char *tg_version(void) { return TG_VERSION; }
int tg_version_number(void) { return TG_VERSION_NUMBER; }
