/* SPDX-License-Identifier: MIT */
/* A folder of its own for a test program: made under /tmp, removed with all that is in it.
 * Define _GNU_SOURCE before it. */
#ifndef TG_TEST_SCRATCH_H
#define TG_TEST_SCRATCH_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct scratch {
    char folder[64];
    char path[512]; /* of the last file named */
} scratch;

/* Group setup for cmocka; *state is a scratch. */
static inline int scratch_make(void **state)
{
    scratch *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    strcpy(s->folder, "/tmp/tgate-test-XXXXXX");
    *state = s;
    return mkdtemp(s->folder) ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *status, int kind,
                                     struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

/* Group teardown. */
static inline int scratch_remove(void **state)
{
    scratch *s = *state;
    nftw(s->folder, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(s);
    return 0;
}

/* The path of a file in the folder; valid until the next call. */
static inline const char *scratch_path(scratch *s, const char *name)
{
    snprintf(s->path, sizeof s->path, "%s/%s", s->folder, name);
    return s->path;
}

static inline const char *scratch_folder(scratch *s, const char *name)
{
    mkdir(scratch_path(s, name), 0777);
    return s->path;
}

/* Writes a file, anew if it is there (file systems wait for the disk when one is cut and filled
 * again), and returns its path. */
static inline const char *scratch_write(scratch *s, const char *name, const void *data,
                                        size_t bytes)
{
    unlink(scratch_path(s, name));
    FILE *file = fopen(s->path, "wb");
    if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0)
        abort();
    return s->path;
}

/* How many entries the folder has. */
static inline int scratch_count(const scratch *s)
{
    int count = -2; /* . and .. */
    DIR *entries = opendir(s->folder);
    while (entries && readdir(entries))
        count++;
    closedir(entries);
    return count;
}

/* Numbers that are the same each time, for what tests change at random. */
static inline unsigned scratch_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif
