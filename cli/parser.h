/* SPDX-License-Identifier: MIT */
/* The command line's words become struct options, or a complaint. */
#ifndef TG_CLI_PARSER_H
#define TG_CLI_PARSER_H

#include "options.h"

/* Reads what follows the command's name. Returns an exit code: EXIT_DONE, or EXIT_USAGE after a
 * message. Reading stops at --help and --version; whatever follows them is not looked at. */
int options_parse(struct options *options, enum command command, int count, char *const *words);

/* Complains about a word that should have been a command. */
int command_unknown(const char *word);

#endif
