/* SPDX-License-Identifier: MIT */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>

void tg__log(const tg__log_sink *sink, tg_log_level level, const char *format, ...)
{
    if (!sink->function)
        return;
    char message[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    sink->function(sink->user, level, message);
}
