/* SPDX-License-Identifier: MIT */
#include "outputs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

#define PICTURE_SUFFIXES ".png .jpg .jpeg .webp .npy"

/* ----------------------------------------------------------------------------------- names */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The last '.' of the name; its end if there is none or nothing stands before it. */
static const char *suffix_of(const char *path)
{
    const char *name = base_name(path), *dot = strrchr(name, '.');
    return dot && dot > name ? dot : name + strlen(name);
}

bool output_suffix_is(const char *path, const char *suffixes)
{
    const char *suffix = suffix_of(path);
    size_t length = strlen(suffix);
    for (const char *s = suffixes; length && *s; s += strcspn(s, " "), s += *s == ' ')
        if (strcspn(s, " ") == length && strncasecmp(s, suffix, length) == 0)
            return true;
    return false;
}

int output_check_picture(enum command command, const char *option, const char *path)
{
    if (output_suffix_is(path, PICTURE_SUFFIXES))
        return EXIT_DONE;
    return fail_usage(command,
                      "--%s %s: expected a name that ends in .png, .jpg, .jpeg, .webp or "
                      ".npy",
                      option, path);
}

int output_check_array(enum command command, const char *option, const char *path)
{
    if (output_suffix_is(path, ".npy"))
        return EXIT_DONE;
    return fail_usage(command, "--%s %s: expected a name that ends in .npy", option, path);
}

/* The temporary name is short, so that it fits where the final one does, keeps the suffix, by which
 * the library knows what to write, and is nobody else's. */
static bool make_names(struct output *output, const char *path, const char *number)
{
    unsigned long long token = 0;
    const char *suffix = suffix_of(path);
    size_t room = strlen(path) + strlen(number) + 48;
    output->path = malloc(room);
    output->temporary = malloc(room);
    if (!output->path || !output->temporary || getrandom(&token, sizeof token, 0) < 0)
        return false;
    snprintf(output->path, room, "%.*s%s%s", (int)(suffix - path), path, number, suffix);
    output->name = base_name(output->path);
    int n = snprintf(output->temporary, room, "%.*s.tgate-%016llx%s",
                     (int)(output->name - output->path), output->path, token, suffix);
    for (char *p = output->temporary + n - strlen(suffix); *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return true;
}

int outputs_add(struct outputs *outputs, const char *path, size_t files)
{
    struct output *items =
        realloc(outputs->items, (outputs->count + files) * sizeof *outputs->items);
    if (!items)
        return fail_memory();
    outputs->items = items;
    for (size_t i = 0; i < files; i++) {
        char number[24] = "";
        if (files > 1)
            snprintf(number, sizeof number, "-%zu", i + 1);
        struct output *output = &items[outputs->count++];
        *output = (struct output){0};
        if (!make_names(output, path, number))
            return fail_memory();
    }
    return EXIT_DONE;
}

/* ---------------------------------------------------------------------------------- checks */

static int check_folder(struct output *output)
{
    char *folder = strdup(output->path);
    struct stat status;
    int code = EXIT_DONE;
    if (!folder)
        return fail_memory();
    if (output->name == output->path)
        strcpy(folder, "."); /* a name with a suffix has room for it */
    else
        folder[output->name - output->path] = '\0'; /* the slash stays: "/" is a folder */
    if (stat(folder, &status) != 0)
        code = fail("%s: cannot be written: folder %s: %s", output->path, folder, strerror(errno));
    else if (access(folder, W_OK | X_OK) != 0)
        code = fail("%s: cannot be written: folder %s: %s", output->path, folder, strerror(errno));
    output->device = status.st_dev;
    output->folder = status.st_ino;
    free(folder);
    return code;
}

static int check_file(const struct output *output, bool force)
{
    struct stat status;
    if (lstat(output->path, &status) != 0)
        return errno == ENOENT ? EXIT_DONE
                               : fail("%s: cannot be written: %s", output->path, strerror(errno));
    if (!force)
        return fail("%s: exists already (--force replaces it)", output->path);
    if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
        return fail("%s: cannot be replaced: expected a regular file", output->path);
    return EXIT_DONE;
}

static int compare(const void *left, const void *right)
{
    const struct output *a = *(struct output *const *)left, *b = *(struct output *const *)right;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    if (a->folder != b->folder)
        return a->folder < b->folder ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int check_distinct(struct outputs *outputs, enum command command)
{
    struct output **sorted = malloc(outputs->count * sizeof *sorted);
    int code = EXIT_DONE;
    if (!sorted)
        return fail_memory();
    for (size_t i = 0; i < outputs->count; i++)
        sorted[i] = &outputs->items[i];
    qsort(sorted, outputs->count, sizeof *sorted, compare);
    for (size_t i = 1; i < outputs->count && code == EXIT_DONE; i++)
        if (compare(&sorted[i - 1], &sorted[i]) == 0)
            code = fail_usage(command, "%s: would be written twice, by --output and --save-latents",
                              sorted[i]->path);
    free(sorted);
    return code;
}

int outputs_check(struct outputs *outputs, enum command command)
{
    int code = EXIT_DONE;
    for (size_t i = 0; i < outputs->count && code == EXIT_DONE; i++) {
        code = check_folder(&outputs->items[i]);
        if (code == EXIT_DONE)
            code = check_file(&outputs->items[i], outputs->force);
    }
    return code == EXIT_DONE ? check_distinct(outputs, command) : code;
}

/* --------------------------------------------------------------------------------- writing */

/* The library's sentence begins with the temporary name, which means nothing to the user. */
static int finish_staging(struct output *output, tg_status status, const char *message)
{
    const char *temporary = base_name(output->temporary), *found = strstr(message, temporary);
    if (status == TG_OK) {
        output->staged = true;
        return EXIT_DONE;
    }
    if (found)
        return fail("%s%s", output->path, found + strlen(temporary));
    return fail("%s: %s", output->path, *message ? message : tg_status_text(status));
}

int outputs_stage_picture(struct outputs *outputs, size_t index, tg_array picture, const char *text)
{
    char message[1024] = "";
    struct output *output = &outputs->items[index];
    tg_status status =
        tg_image_write(picture, output->temporary, text, false, message, sizeof message);
    return finish_staging(output, status, message);
}

int outputs_stage_array(struct outputs *outputs, size_t index, tg_array array)
{
    char message[1024] = "";
    struct output *output = &outputs->items[index];
    tg_status status = tg_npy_write(array, output->temporary, false, message, sizeof message);
    return finish_staging(output, status, message);
}

/* Without force a file that appeared meanwhile is not replaced. Some file systems cannot promise
 * that; there the look before has to do. */
static int put_in_place(const struct output *output, bool force)
{
    if (force)
        return rename(output->temporary, output->path);
    int result = renameat2(AT_FDCWD, output->temporary, AT_FDCWD, output->path, RENAME_NOREPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS))
        return result;
    if (faccessat(AT_FDCWD, output->path, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(output->temporary, output->path);
}

int outputs_commit(struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        struct output *output = &outputs->items[i];
        if (put_in_place(output, outputs->force) == 0) {
            output->staged = false;
            continue;
        }
        int reason = errno;
        while (!outputs->force && i-- > 0)
            unlink(outputs->items[i].path); /* ours, and new */
        return fail("%s: cannot be written: %s", output->path, strerror(reason));
    }
    return EXIT_DONE;
}

void outputs_free(struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        if (outputs->items[i].staged)
            unlink(outputs->items[i].temporary);
        free(outputs->items[i].path);
        free(outputs->items[i].temporary);
    }
    free(outputs->items);
    *outputs = (struct outputs){0};
}
