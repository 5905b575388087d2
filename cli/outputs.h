/* SPDX-License-Identifier: MIT */
/*
 * The files that a run writes. All names are settled and checked before anything is computed. What
 * is ready is kept under a temporary name beside its final one, and only when the whole run has
 * succeeded do all of them get their names: a run that fails leaves nothing behind and has replaced
 * nothing, and a long one does not hold its pictures in memory.
 */
#ifndef TG_CLI_OUTPUTS_H
#define TG_CLI_OUTPUTS_H

#include <stddef.h>
#include <sys/types.h>

#include "options.h"
#include "tgate.h"

struct output {
    char *path, *temporary;
    const char *name; /* in path, behind its folder */
    dev_t device;     /* of the folder */
    ino_t folder;
    bool staged;
};

struct outputs {
    struct output *items;
    size_t count;
    bool force;
};

/* Whether path ends in a suffix of a list such as ".png .jpg" and has a name before it. The case of
 * letters does not matter. */
bool output_suffix_is(const char *path, const char *suffixes);

/* Complaints about names that cannot be written for their suffix; option is the option's name. */
int output_check_picture(enum command command, const char *option, const char *path);
int output_check_array(enum command command, const char *option, const char *path);

/* Adds path once for each of several files, as name-1.png, name-2.png, … if they are more than one.
 * Like every function here that returns an exit code: it has complained unless that is EXIT_DONE.
 */
int outputs_add(struct outputs *outputs, const char *path, size_t files);

/* After the last outputs_add: no two names are one file, no file exists (unless force), and every
 * folder can be written to. */
int outputs_check(struct outputs *outputs, enum command command);

int outputs_stage_picture(struct outputs *outputs, size_t index, tg_array picture,
                          const char *text);
int outputs_stage_array(struct outputs *outputs, size_t index, tg_array array);

/* Gives all staged files their names. */
int outputs_commit(struct outputs *outputs);

/* Removes what was staged and not committed. */
void outputs_free(struct outputs *outputs);

#endif
