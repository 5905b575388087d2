/* SPDX-License-Identifier: MIT */
#ifndef TG_CLI_PROFILE_H
#define TG_CLI_PROFILE_H

#include "engine.h"

/* Prints on stderr where the session's time went, operator by operator, against the machine's own
 * measured peak. Returns an exit code. */
int profile_print(struct engine *engine);

#endif
