/* SPDX-License-Identifier: MIT */
#include "options_table.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>

const struct option_row option_rows[OPTION_COUNT] = {
#define OPTION(id, name, letter, kind, argument, least, most, standard, group, commands, help) \
    {name,                                                                                     \
     letter,                                                                                   \
     KIND_##kind,                                                                              \
     argument,                                                                                 \
     least,                                                                                    \
     most,                                                                                     \
     standard,                                                                                 \
     GROUP_##group,                                                                            \
     commands,                                                                                 \
     help,                                                                                     \
     offsetof(struct options, id)},
#include "options.def"
#undef OPTION
};

void option_expects(char *text, size_t size, const struct option_row *row)
{
    switch (row->kind) {
    case KIND_INTEGER:
        snprintf(text, size, "an integer from %.0f to %.0f", row->least, row->most);
        break;
    case KIND_SWITCH:
        snprintf(text, size, "an integer from %.0f to %.0f, or off", row->least, row->most);
        break;
    case KIND_SEED:
        snprintf(text, size, "an integer from 0 to %llu", ULLONG_MAX);
        break;
    case KIND_REAL:
        if (row->least < row->most)
            snprintf(text, size, "a number from %g to %g", row->least, row->most);
        else
            snprintf(text, size, "a number");
        break;
    case KIND_SIZE:
    case KIND_PLACE:
        snprintf(text, size, "%s, integers from %.0f to %.0f", row->argument, row->least,
                 row->most);
        break;
    case KIND_CHOICE:
        snprintf(text, size, "one of %s", row->argument);
        break;
    case KIND_TOPIC:
        snprintf(text, size, "all");
        break;
    case KIND_FLAG:
    case KIND_TEXT:
    case KIND_WORD:
        snprintf(text, size, "%s", row->argument ? row->argument : "no value");
    }
}
