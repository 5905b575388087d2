/* SPDX-License-Identifier: MIT */
#ifndef TG_CLI_PARAMETERS_H
#define TG_CLI_PARAMETERS_H

#include "options.h"
#include "tgate.h"

/* What a picture was made from. */
struct parameters {
    const struct options *options;
    const tg_generate_options *generate; /* as it was carried out */
    const char *scheduler, *prompt;
    int index; /* of the picture in its batch */
};

/* The text that other programs of the field keep in a PNG and read back: the prompt, the negative
 * prompt, and a line of "Name: value" pairs, values in quotes where they hold a comma. free() it;
 * NULL when there is no memory. */
char *parameters_text(const struct parameters *parameters);

#endif
