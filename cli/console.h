/* SPDX-License-Identifier: MIT */
/* What the user sees while the program works: the library's messages, the progress line of a
 * terminal, and the wish to stop. */
#ifndef TG_CLI_CONSOLE_H
#define TG_CLI_CONSOLE_H

#include "options.h"
#include "tgate.h"

struct console {
    bool quiet, verbose;
    bool live;           /* stderr is a terminal that may be drawn on */
    int shown;           /* columns of the progress line that is on the screen */
    int prompt, prompts; /* which of how many is being worked on, from 1 */
};

void console_init(struct console *console, const struct options *options);

/* tg_log_function; user is the console. */
void console_log(void *user, tg_log_level level, const char *message);

/* tg_progress_function; user is the console. False once the user wants to stop. */
bool console_progress(void *user, const tg_progress *progress);

/* Takes the progress line off the screen. */
void console_clear(struct console *console);

/* From now on SIGINT, SIGTERM and SIGHUP are a wish to stop; the second one ends the program. */
void console_catch_signals(void);
bool console_interrupted(void);

/* Seconds on a clock that only runs forward. */
double console_seconds(void);

#endif
