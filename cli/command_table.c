/* SPDX-License-Identifier: MIT */
#include "command_table.h"

#include <string.h>

const struct command_row command_rows[COMMAND_COUNT] = {
#define COMMAND(id, name, arguments, least, hint, purpose) {#name, arguments, least, hint, purpose},
#include "options.def"
#undef COMMAND
};

enum command command_find(const char *name)
{
    int i = 0;
    while (i < COMMAND_COUNT && strcmp(command_rows[i].name, name) != 0)
        i++;
    return (enum command)i;
}

const char *command_name(enum command command) { return command_rows[command].name; }
