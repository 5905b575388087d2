/* SPDX-License-Identifier: MIT */
/* What to draw: the text of -p, or the lines of a file. */
#ifndef TG_CLI_PROMPTS_H
#define TG_CLI_PROMPTS_H

#include "options.h"

struct prompts {
    const char **items; /* UTF-8 */
    int count;
    char *text; /* the file, cut into lines; NULL with -p */
};

/* Returns an exit code, and has complained unless it is EXIT_DONE. prompts_free in either case. */
int prompts_read(struct prompts *prompts, const struct options *options);
void prompts_free(struct prompts *prompts);

#endif
