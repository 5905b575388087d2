/* SPDX-License-Identifier: MIT */
/* Model and session as the options ask for them, and what every command does with both. */
#ifndef TG_CLI_ENGINE_H
#define TG_CLI_ENGINE_H

#include "console.h"
#include "options.h"
#include "tgate.h"

struct engine {
    const struct options *options;
    struct console console;
    tg_model *model;
    tg_session *session;
};

void engine_init(struct engine *engine, const struct options *options);
void engine_close(struct engine *engine);

/* All return an exit code and have complained unless it is EXIT_DONE. */
int engine_open_model(struct engine *engine);
int engine_open_session(struct engine *engine);

/* Turns what a call on the session returned into an exit code. */
int engine_session_result(struct engine *engine, tg_status status);

/* A wish to stop that came while no progress function was asked. */
int engine_check_interrupt(struct engine *engine);

/* One line for each file that was written. */
struct outputs;
void engine_report_files(struct engine *engine, const struct outputs *outputs);

/* "f32", "bf16" or "int8": what the session computes with. */
const char *engine_dtype(const struct engine *engine);

#endif
