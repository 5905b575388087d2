/* SPDX-License-Identifier: MIT */
/* The commands of options.def as data. */
#ifndef TG_CLI_COMMAND_TABLE_H
#define TG_CLI_COMMAND_TABLE_H

enum command {
#define COMMAND(id, ...) COMMAND_##id,
#include "options.def"
#undef COMMAND
    COMMAND_COUNT
};

struct command_row {
    const char *name, *usage;
    int least;
    const char *hint, *purpose;
};

extern const struct command_row command_rows[COMMAND_COUNT];

/* Finds a command by its name; COMMAND_COUNT if there is none. */
enum command command_find(const char *name);
const char *command_name(enum command command);

#endif
