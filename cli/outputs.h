/* SPDX-License-Identifier: MIT */
/*
 * The files that a run writes. All names are settled and checked before anything is computed. What
 * is ready is kept in memory as its file will hold it (a picture takes longer to make than its few
 * hundred KiB could matter), and written only when the whole run has succeeded: a run that fails
 * leaves nothing behind and has replaced nothing.
 */
#ifndef TG_CLI_OUTPUTS_H
#define TG_CLI_OUTPUTS_H

#include <stddef.h>
#include <sys/types.h>

#include "options.h"
#include "tgate.h"

struct output {
    char *path;
    const char *name; /* in path, behind its folder */
    dev_t device;     /* of the folder */
    ino_t folder;
    void *data; /* the file's content, once it is ready */
    size_t bytes;
};

struct outputs {
    struct output *items;
    size_t count;
    bool force;
};

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

int outputs_keep_picture(struct outputs *outputs, size_t index, tg_array picture, const char *text);
int outputs_keep_array(struct outputs *outputs, size_t index, tg_array array);

/* Writes all that is kept; if one cannot be written, those before it are removed again unless they
 * may have replaced others (force). */
int outputs_write(struct outputs *outputs);

void outputs_free(struct outputs *outputs);

#endif
