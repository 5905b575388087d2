/* SPDX-License-Identifier: MIT */
/* Reading and writing whole files. A file that is written gets its name last, so that nobody ever
 * sees half of it, and only if nothing went wrong. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------- names */

bool tg__path_join(char *dst, size_t size, const char *folder, const char *name, tg__error *error)
{
    size_t length = strlen(folder);
    const char *slash = length == 0 || folder[length - 1] == '/' ? "" : "/";
    int written = snprintf(dst, size, "%s%s%s", folder, slash, name);
    if (written >= 0 && (size_t)written < size)
        return true;
    char shown[TG__WHERE_BYTES];
    tg__fail(error, TG_ERROR_ARGUMENT, "%s: its path is %d bytes long, expected less than %zu",
             tg__printable(shown, sizeof shown, name), written, size);
    return false;
}

/* Where the last component of path[0 .. *end) begins; *end moves before the slashes behind it. */
static size_t last_component(const char *path, size_t *end)
{
    while (*end > 0 && path[*end - 1] == '/')
        (*end)--;
    size_t begin = *end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    return begin;
}

const char *tg__path_where(char *dst, size_t size, const char *path)
{
    char where[2 * TG__WHERE_BYTES];
    size_t end = strlen(path), name = last_component(path, &end);
    size_t folder_end = name, folder = last_component(path, &folder_end);
    size_t length = folder_end - folder;
    if (end == 0)
        return tg__printable(dst, size, path);
    if (length == 0 || (length == 1 && path[folder] == '.'))
        snprintf(where, sizeof where, "%.*s", (int)(end - name), path + name);
    else
        snprintf(where, sizeof where, "%.*s/%.*s", (int)length, path + folder, (int)(end - name),
                 path + name);
    return tg__printable(dst, size, where);
}

void tg__error_in_file(tg__error *error, const char *path)
{
    char where[TG__WHERE_BYTES];
    tg__error_in(error, tg__path_where(where, sizeof where, path));
}

bool tg__is_folder(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool tg__is_file(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* ----------------------------------------------------------------------------------- reading */

int tg__file_open(const char *path, const char *where, size_t *size, tg__error *error)
{
    struct stat status;
    /* Without O_NONBLOCK a FIFO would keep us waiting for its writer. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        tg__fail(error, TG_ERROR_NOT_FOUND, "%s: there is no such file", where);
        return -1;
    }
    if (fd < 0 || fstat(fd, &status) != 0) {
        tg__fail(error, TG_ERROR_IO, "%s: cannot be opened (%s)", where, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        tg__fail(error, TG_ERROR_IO, "%s: is %s, expected a file", where,
                 S_ISDIR(status.st_mode) ? "a folder" : "a device or pipe");
    } else {
        *size = (size_t)status.st_size;
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

char *tg__file_read_as(const char *path, const char *where, size_t most, size_t *length,
                       tg__error *error)
{
    size_t size = 0, got = 0;
    char *data = NULL;
    int fd = tg__file_open(path, where, &size, error);
    if (fd < 0)
        return NULL;
    if (size > most) {
        tg__fail(error, TG_ERROR_FORMAT, "%s: is %zu bytes long, expected at most %zu", where, size,
                 most);
        goto fail;
    }
    data = malloc(size + 1);
    if (!data) {
        tg__fail_memory(error);
        goto fail;
    }
    while (got < size) {
        ssize_t n = read(fd, data + got, size - got);
        if (n == 0)
            break; /* somebody cuts the file meanwhile */
        if (n > 0) {
            got += (size_t)n;
        } else if (errno != EINTR) {
            tg__fail(error, TG_ERROR_IO, "%s: cannot be read (%s)", where, strerror(errno));
            goto fail;
        }
    }
    close(fd);
    data[got] = '\0';
    *length = got;
    return data;
fail:
    close(fd);
    free(data);
    return NULL;
}

char *tg__file_read(const char *path, size_t most, size_t *length, tg__error *error)
{
    char where[TG__WHERE_BYTES];
    tg__path_where(where, sizeof where, path);
    return tg__file_read_as(path, where, most, length, error);
}

/* ----------------------------------------------------------------------------------- writing */

struct tg__output {
    char where[TG__WHERE_BYTES];
    char *path, *temporary;
    int fd;       /* -1: there is no temporary file */
    bool unnamed; /* the file has no name yet: it is gone if we are */
    bool overwrite;
    tg__error error; /* of writing */
};

static void fail_exists(const char *where, tg__error *error)
{
    tg__fail(error, TG_ERROR_IO,
             "%s: exists already, expected a name that is free (or overwriting allowed)", where);
}

static void fail_write(const char *where, int number, tg__error *error)
{
    tg__fail(error, TG_ERROR_IO, "%s: cannot be written (%s)", where, strerror(number));
}

/* Whether a file may be put at path. */
static bool check_target(const char *path, const char *where, bool overwrite, tg__error *error)
{
    struct stat status;
    size_t length = strlen(path);
    if (length == 0) {
        tg__fail_about(error, TG_ERROR_ARGUMENT, "path", "an empty name, expected that of a file");
    } else if (path[length - 1] == '/' || tg__is_folder(path)) {
        tg__fail(error, TG_ERROR_IO, "%s: is a folder, expected the name of a file", where);
    } else if (lstat(path, &status) != 0) {
        if (errno == ENOENT)
            return true;
        fail_write(where, errno, error);
    } else if (!overwrite) {
        fail_exists(where, error);
    } else if (stat(path, &status) == 0 && !S_ISREG(status.st_mode)) {
        tg__fail(error, TG_ERROR_IO, "%s: is a device or pipe, expected a file", where);
    } else {
        return true;
    }
    return false;
}

/* A name beside output->path for the temporary file. */
static bool draw_name(tg__output *output)
{
    const char *slash = strrchr(output->path, '/');
    int folder = slash ? (int)(slash + 1 - output->path) : 0;
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return false;
    sprintf(output->temporary, "%.*s.tgate-%016llx", folder, output->path,
            (unsigned long long)random);
    return true;
}

/* What linkat() knows a file without a name by. */
static const char *link_to(char dst[40], int fd)
{
    sprintf(dst, "/proc/self/fd/%d", fd);
    return dst;
}

/* Opens a file without a name in the folder of output->path, if that can be named later. */
static bool open_unnamed(tg__output *output)
{
    char own[40];
    const char *slash = strrchr(output->path, '/');
    char *folder = slash ? strndup(output->path, (size_t)(slash + 1 - output->path)) : strdup(".");
    int fd = folder ? open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, 0666) : -1;
    free(folder);
    if (fd >= 0 && access(link_to(own, fd), F_OK) != 0) {
        close(fd);
        fd = -1;
    }
    output->fd = fd;
    output->unnamed = fd >= 0;
    return output->unnamed;
}

/* Opens a new file, with the rights that the user's mask gives, beside output->path. */
static void open_temporary(tg__output *output, tg__error *error)
{
    if (open_unnamed(output))
        return;
    for (int attempt = 0; attempt < 16 && output->fd < 0; attempt++) {
        if (!draw_name(output))
            break;
        output->fd = open(output->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (output->fd < 0 && errno != EEXIST)
            break;
    }
    if (output->fd >= 0)
        return;
    if (errno == ENOENT)
        tg__fail(error, TG_ERROR_NOT_FOUND, "%s: its folder is not there", output->where);
    else
        fail_write(output->where, errno, error);
}

tg__output *tg__output_open(const char *path, bool overwrite, tg__error *error)
{
    char where[TG__WHERE_BYTES];
    tg__path_where(where, sizeof where, path);
    if (!check_target(path, where, overwrite, error))
        return NULL;
    tg__output *output = calloc(1, sizeof *output);
    if (!output) {
        tg__fail_memory(error);
        return NULL;
    }
    memcpy(output->where, where, sizeof where);
    output->fd = -1;
    output->overwrite = overwrite;
    output->path = strdup(path);
    output->temporary = malloc(strlen(path) + sizeof ".tgate-0123456789abcdef");
    if (output->path && output->temporary)
        open_temporary(output, error);
    else
        tg__fail_memory(error);
    if (output->fd >= 0)
        return output;
    tg__output_abandon(output);
    return NULL;
}

void tg__output_write(tg__output *output, const void *data, size_t bytes)
{
    const char *at = data;
    if (!output || tg__failed(&output->error))
        return;
    while (bytes > 0) {
        ssize_t n = write(output->fd, at, bytes);
        if (n >= 0) {
            at += n;
            bytes -= (size_t)n;
        } else if (errno != EINTR) {
            fail_write(output->where, errno, &output->error);
            return;
        }
    }
}

/* rename() that does not replace; 0, or -1 with errno. */
static int rename_to_free_name(const char *from, const char *to)
{
    int result = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (result == 0 || (errno != EINVAL && errno != ENOSYS))
        return result;
    /* Not every file system can; most of the others can link. */
    result = link(from, to);
    if (result == 0)
        unlink(from);
    return result;
}

/* Gives the file its temporary name, if it has none yet. */
static void name_file(tg__output *output)
{
    char own[40];
    for (int attempt = 0; output->unnamed && attempt < 16; attempt++) {
        if (!draw_name(output))
            break;
        if (linkat(AT_FDCWD, link_to(own, output->fd), AT_FDCWD, output->temporary,
                   AT_SYMLINK_FOLLOW) == 0)
            output->unnamed = false;
        else if (errno != EEXIST)
            break;
    }
    if (output->unnamed)
        fail_write(output->where, errno, &output->error);
}

static void close_file(tg__output *output)
{
    if (close(output->fd) != 0)
        fail_write(output->where, errno, &output->error);
    output->fd = -1;
}

tg_status tg__output_commit(tg__output *output, tg__error *error)
{
    if (!output)
        return error->status;
    if (!tg__failed(error) && !tg__failed(&output->error))
        name_file(output);
    close_file(output);
    if (!tg__failed(error) && tg__failed(&output->error))
        *error = output->error;
    if (!tg__failed(error)) {
        int result = output->overwrite ? rename(output->temporary, output->path)
                                       : rename_to_free_name(output->temporary, output->path);
        if (result != 0 && errno == EEXIST)
            fail_exists(output->where, error);
        else if (result != 0)
            fail_write(output->where, errno, error);
    }
    if (tg__failed(error) && !output->unnamed)
        unlink(output->temporary);
    tg__output_abandon(output);
    return error->status;
}

void tg__output_abandon(tg__output *output)
{
    if (!output)
        return;
    if (output->fd >= 0) {
        close(output->fd);
        if (!output->unnamed)
            unlink(output->temporary);
    }
    free(output->path);
    free(output->temporary);
    free(output);
}

tg_status tg_file_write(const char *path, const void *data, size_t bytes, bool overwrite,
                        tg_error *given)
{
    tg__error own, *error = tg__error_begin(given, &own);
    if (!tg__given(path, "path", error) || (bytes > 0 && !tg__given(data, "data", error)))
        return error->status;
    tg__output *output = tg__output_open(path, overwrite, error);
    tg__output_write(output, data, bytes);
    return tg__output_commit(output, error);
}
