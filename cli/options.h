/* SPDX-License-Identifier: MIT */
/* The command line as a struct with one field per row of options.def. */
#ifndef TG_CLI_OPTIONS_H
#define TG_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum command {
#define COMMAND(id, ...) COMMAND_##id,
#include "options.def"
#undef COMMAND
    COMMAND_COUNT
};

enum option_id {
#define OPTION(id, ...) OPTION_##id,
#include "options.def"
#undef OPTION
    OPTION_COUNT
};

/* The C type of each kind. */
#define FIELD_FLAG bool
#define FIELD_TOPIC const char *
#define FIELD_TEXT const char *
#define FIELD_WORD const char *
#define FIELD_INTEGER int
#define FIELD_SWITCH int
#define FIELD_SEED uint64_t
#define FIELD_REAL double
#define FIELD_CHOICE int

/* What was not given is zero or NULL. Texts belong to argv. */
struct options {
    enum command command;
    const char *argument[2]; /* MODEL, then what the command takes besides */
    int arguments;
    bool given[OPTION_COUNT];
#define OPTION(id, name, letter, kind, ...) FIELD_##kind id;
#include "options.def"
#undef OPTION
};

#define GIVEN(options, id) ((options)->given[OPTION_##id])

/* Finds a command by its name; COMMAND_COUNT if there is none. */
enum command command_find(const char *name);
const char *command_name(enum command command);

/* Reads what follows the command's name. Returns an exit code: EXIT_DONE, or EXIT_USAGE after a
 * message. Reading stops at --help and --version; whatever follows them is not looked at. */
int options_parse(struct options *options, enum command command, int count, char *const *words);

/* Complains about a word that should have been a command. */
int command_unknown(const char *word);

#endif
