/* SPDX-License-Identifier: MIT */
/* What --help prints, made from options.def. */
#ifndef TG_CLI_HELP_H
#define TG_CLI_HELP_H

#include <stdio.h>

#include "options.h"

void help_overview(FILE *out);
/* everything: all options with their ranges; else the most used ones, in a screen's 25 lines. */
void help_command(FILE *out, enum command command, bool everything);

#endif
