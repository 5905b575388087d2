/* SPDX-License-Identifier: MIT */
/* Exit codes and the messages that go with them. Every message is one line on stderr that begins
 * with "tgate: "; control characters in it, which may come from a file, become '?'. */
#ifndef TG_CLI_REPORT_H
#define TG_CLI_REPORT_H

#include "command_table.h"
#include "tgate.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

void say(const char *format, ...) PRINTF_LIKE(1, 2);

/* Says it and returns EXIT_FAILED. */
int fail(const char *format, ...) PRINTF_LIKE(1, 2);
int fail_memory(void);

/* Says it, and on a second line where the options are explained; returns EXIT_USAGE.
 * COMMAND_COUNT stands for the program as a whole. */
int fail_usage(enum command command, const char *format, ...) PRINTF_LIKE(2, 3);

/* For a call of the library: says what went wrong, if anything did. */
int fail_error(enum command command, const tg_error *error);

/* Says that the user wanted to stop; returns EXIT_INTERRUPTED. */
int fail_interrupted(void);

/* Flushes standard output; EXIT_FAILED after a message if anything written there was lost. */
int finish_output(void);

#endif
