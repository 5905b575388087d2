/* SPDX-License-Identifier: MIT */
/* The command line as a struct with one field per row of options.def. */
#ifndef TG_CLI_OPTIONS_H
#define TG_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "command_table.h"

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
#define FIELD_SIZE struct pair
#define FIELD_PLACE struct pair
#define FIELD_CHOICE int

struct pair {
    int first, second;
};

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

#endif
