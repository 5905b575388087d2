/* SPDX-License-Identifier: MIT */
/* Files: whole reads with a limit, whole writes that appear or do not. */
#ifndef TG_IO_FILE_H
#define TG_IO_FILE_H

#include "core/error.h"

/* dst = folder/name; false if it does not fit (the error says so). */
bool tg__path_join(char *dst, size_t size, const char *folder, const char *name, tg__error *error);
bool tg__is_folder(const char *path);
bool tg__is_file(const char *path);

/* The whole file, a zero byte added behind its *length bytes; at most most bytes. free() it. */
char *tg__file_read(const char *path, size_t most, size_t *length, tg__error *error);

/* A file in the making: written under a temporary name beside path, renamed to it by commit. */
typedef struct tg__output tg__output;

/* Fails if path exists and overwrite is false, or if its folder cannot be written. */
tg__output *tg__output_open(const char *path, bool overwrite, tg__error *error);
void tg__output_write(tg__output *output, const void *data, size_t bytes);
/* Flushes, renames and frees; anything that went wrong since open is reported here, and then
 * nothing is left behind. Without overwrite a file that appeared meanwhile is not replaced. */
tg_status tg__output_commit(tg__output *output, tg__error *error);
/* Gives up: removes the temporary file and frees. NULL is fine. */
void tg__output_abandon(tg__output *output);

#endif
