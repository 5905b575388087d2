/* SPDX-License-Identifier: MIT */
#include "outputs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report.h"

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

int output_check_picture(enum command command, const char *option, const char *path)
{
    if (tg_image_format_from_path(path, NULL))
        return EXIT_DONE;
    return fail_usage(command,
                      "--%s %s: expected a name that ends in .png, .jpg, .jpeg, .webp or "
                      ".npy",
                      option, path);
}

int output_check_array(enum command command, const char *option, const char *path)
{
    tg_image_format format;
    if (tg_image_format_from_path(path, &format) && format == TG_IMAGE_NPY)
        return EXIT_DONE;
    return fail_usage(command, "--%s %s: expected a name that ends in .npy", option, path);
}

static bool make_name(struct output *output, const char *path, const char *number)
{
    const char *suffix = suffix_of(path);
    size_t room = strlen(path) + strlen(number) + 1;
    output->path = malloc(room);
    if (!output->path)
        return false;
    snprintf(output->path, room, "%.*s%s%s", (int)(suffix - path), path, number, suffix);
    output->name = base_name(output->path);
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
        if (!make_name(output, path, number))
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

static int report(const struct output *output, const tg_error *error)
{
    return error->status == TG_OK ? EXIT_DONE : fail("%s: %s", output->path, error->message);
}

int outputs_keep_picture(struct outputs *outputs, size_t index, tg_array picture, const char *text)
{
    struct output *output = &outputs->items[index];
    tg_image_format format = TG_IMAGE_PNG;
    tg_error error;
    tg_image_format_from_path(output->path, &format);
    tg_image_encode(&output->data, &output->bytes, picture, format, text, &error);
    return report(output, &error);
}

int outputs_keep_array(struct outputs *outputs, size_t index, tg_array array)
{
    struct output *output = &outputs->items[index];
    tg_error error;
    tg_npy_encode(&output->data, &output->bytes, array, &error);
    return report(output, &error);
}

int outputs_write(struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        struct output *output = &outputs->items[i];
        tg_error error;
        if (tg_file_write(output->path, output->data, output->bytes, outputs->force, &error) ==
            TG_OK)
            continue;
        while (!outputs->force && i-- > 0)
            unlink(outputs->items[i].path); /* ours, and new */
        return fail("%s", error.message);
    }
    return EXIT_DONE;
}

void outputs_free(struct outputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        tg_free(outputs->items[i].data);
        free(outputs->items[i].path);
    }
    free(outputs->items);
    *outputs = (struct outputs){0};
}
