/* SPDX-License-Identifier: MIT */
/* The rows of options.def as data, for the parser and the help. */
#ifndef TG_CLI_OPTIONS_TABLE_H
#define TG_CLI_OPTIONS_TABLE_H

#include <stddef.h>

#include "options.h"

enum option_kind {
    KIND_FLAG,
    KIND_TOPIC,
    KIND_TEXT,
    KIND_WORD,
    KIND_INTEGER,
    KIND_SWITCH,
    KIND_SEED,
    KIND_REAL,
    KIND_SIZE,
    KIND_PLACE,
    KIND_CHOICE,
};

enum option_group {
#define GROUP(id, title) GROUP_##id,
#include "options.def"
#undef GROUP
    GROUP_COUNT
};

/* The letters of the column "commands". */
enum {
    G = 1 << COMMAND_GENERATE,
    I = 1 << COMMAND_INFO,
    T = 1 << COMMAND_TOKENIZE,
    D = 1 << COMMAND_DECODE,
    E = 1 << COMMAND_ENCODE,
};

struct option_row {
    const char *name;
    char letter;
    enum option_kind kind;
    const char *argument;
    double least, most;
    const char *standard;
    enum option_group group;
    unsigned commands;
    const char *help;
    size_t offset; /* of the field in struct options */
};

extern const struct option_row option_rows[OPTION_COUNT];

/* What the option takes, in words: "an integer from 1 to 1024". */
void option_expects(char *text, size_t size, const struct option_row *row);

#endif
