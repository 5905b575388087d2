/* SPDX-License-Identifier: MIT */
/* Sentences for the user, handed to the caller's function. */
#ifndef TG_CORE_LOG_H
#define TG_CORE_LOG_H

#include "tgate.h"

typedef struct tg__log_sink {
    tg_log_function function; /* NULL: nobody listens */
    void *user;
} tg__log_sink;

__attribute__((format(printf, 3, 4))) void tg__log(const tg__log_sink *sink, tg_log_level level,
                                                   const char *format, ...);

#endif
