/* SPDX-License-Identifier: MIT */
/* One function a command, each in a file of its own; the result is the program's exit code. */
#ifndef TG_CLI_COMMANDS_H
#define TG_CLI_COMMANDS_H

#include "options.h"

#define COMMAND(id, name, ...) int run_##name(const struct options *options);
#include "options.def"
#undef COMMAND

#endif
