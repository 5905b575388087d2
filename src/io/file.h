/* SPDX-License-Identifier: MIT */
/* Files: whole reads with a limit, whole writes that appear or do not. */
#ifndef TG_IO_FILE_H
#define TG_IO_FILE_H

#include "core/error.h"

/* Room for what tg__path_where writes. */
enum { TG__WHERE_BYTES = 256 };

/* dst = folder/name; false if it does not fit (the error says so). */
bool tg__path_join(char *dst, size_t size, const char *folder, const char *name, tg__error *error);
bool tg__is_folder(const char *path);
bool tg__is_file(const char *path);

/* What messages call the file at path: its folder's name and its own, "unet/config.json". Returns
 * dst. */
const char *tg__path_where(char *dst, size_t size, const char *path);

/* Puts that in front of an error about the file's content, if there is one (see tg__error_in). */
void tg__error_in_file(tg__error *error, const char *path);

/* Opens a regular file to read it. Anything else (a folder, a device, a FIFO, which could block) is
 * an error. where: what messages call it. The descriptor and *size, or -1. */
int tg__file_open(const char *path, const char *where, size_t *size, tg__error *error);

/* The whole file, a zero byte added behind its *length bytes; at most most bytes. free() it. */
char *tg__file_read(const char *path, size_t most, size_t *length, tg__error *error);
/* The same where messages are to call the file where. */
char *tg__file_read_as(const char *path, const char *where, size_t most, size_t *length,
                       tg__error *error);

/* A file in the making: written without a name where the file system can, else under a temporary
 * one beside path; path becomes its name by commit. */
typedef struct tg__output tg__output;

/* Fails if path exists and overwrite is false, if it is no regular file, or if its folder cannot be
 * written. NULL then; the functions below take it. */
tg__output *tg__output_open(const char *path, bool overwrite, tg__error *error);
void tg__output_write(tg__output *output, const void *data, size_t bytes);
/* Flushes, renames and frees; anything that went wrong since open is reported here, and then
 * nothing is left behind; an error that is there already has the same effect. Without overwrite a
 * file that appeared meanwhile is not replaced. */
tg_status tg__output_commit(tg__output *output, tg__error *error);
/* Gives up: removes the temporary file and frees. NULL is fine. */
void tg__output_abandon(tg__output *output);

#endif
