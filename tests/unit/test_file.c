/* SPDX-License-Identifier: MIT */
/* Whole reads and whole writes: what is refused and how, and that nothing is left behind. */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "scratch.h"

enum { NOBODY = 65534 };

/* Whether the file system cannot have files without names. */
static bool no_unnamed;

/* The linker puts this between the library and the C library. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (no_unnamed && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return __real_open(path, flags, mode);
}

static int make_named(void **state)
{
    no_unnamed = true;
    return scratch_make(state);
}

static int remove_named(void **state)
{
    no_unnamed = false;
    return scratch_remove(state);
}

/* message: what follows "FOLDER/". */
static void check_error(const scratch *s, const tg__error *error, tg_status status,
                        const char *message)
{
    char expected[sizeof error->message];
    snprintf(expected, sizeof expected, "%s/%s", s->folder + strlen("/tmp/"), message);
    assert_string_equal(error->message, expected);
    assert_int_equal(error->status, status);
}

/* ------------------------------------------------------------------------------------- names */

static void test_join(void **state)
{
    (void)state;
    tg__error error = {0};
    char path[8];
    assert_true(tg__path_join(path, sizeof path, "a", "b.c", &error));
    assert_string_equal(path, "a/b.c");
    assert_true(tg__path_join(path, sizeof path, "a/", "b", &error));
    assert_string_equal(path, "a/b");
    assert_true(tg__path_join(path, sizeof path, "", "b", &error));
    assert_string_equal(path, "b");
    assert_true(tg__path_join(path, sizeof path, "/", "b", &error));
    assert_string_equal(path, "/b");
    assert_true(tg__path_join(path, sizeof path, "abc", "def", &error));
    assert_false(tg__path_join(path, sizeof path, "abcd", "d\nf", &error));
    assert_string_equal(error.message, "d?f: its path is 8 bytes long, expected less than 8");
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
}

static void test_where(void **state)
{
    (void)state;
    static const struct {
        const char *path, *where;
    } cases[] = {
        {"unet/config.json", "unet/config.json"},
        {"/models/sd/unet/config.json", "unet/config.json"},
        {"cat.png", "cat.png"},
        {"./cat.png", "cat.png"},
        {"/home/./cat.png", "cat.png"},
        {"/cat.png", "cat.png"},
        {"../cat.png", "../cat.png"},
        {"a//b///c.json", "b/c.json"},
        {"models/sd/", "models/sd"},
        {"/", "/"},
        {"", ""},
        {"a\x1b[31m/b\n", "a?[31m/b?"},
    };
    char where[TG__WHERE_BYTES], path[2000];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(tg__path_where(where, sizeof where, cases[i].path), cases[i].where);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    tg__path_where(where, sizeof where, path);
    assert_true(strlen(where) < sizeof where);
    assert_string_equal(where + strlen(where) - 4, "x...");
}

static void test_kinds(void **state)
{
    scratch *s = *state;
    scratch_write(s, "file", "x", 1);
    assert_true(tg__is_file(s->path) && !tg__is_folder(s->path));
    assert_true(tg__is_folder(s->folder) && !tg__is_file(s->folder));
    scratch_path(s, "nothing");
    assert_false(tg__is_file(s->path) || tg__is_folder(s->path));
    assert_false(tg__is_file("/dev/null") || tg__is_folder("/dev/null"));
}

/* ----------------------------------------------------------------------------------- reading */

static void test_read(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    size_t length = 99;
    char *data = tg__file_read(scratch_write(s, "f", "a\0b", 3), 3, &length, &error);
    assert_non_null(data);
    assert_int_equal(length, 3);
    assert_memory_equal(data, "a\0b", 4);
    free(data);
    data = tg__file_read(scratch_write(s, "f", "", 0), 0, &length, &error);
    assert_non_null(data);
    assert_int_equal(length, 0);
    assert_int_equal(data[0], '\0');
    free(data);
    assert_int_equal(error.status, TG_OK);
}

static void test_read_refuses(void **state)
{
    scratch *s = *state;
    size_t length;
    tg__error error = {0};
    assert_null(tg__file_read(scratch_path(s, "no\n"), 9, &length, &error));
    check_error(s, &error, TG_ERROR_NOT_FOUND, "no?: there is no such file");
    error = (tg__error){0};
    assert_null(tg__file_read(scratch_write(s, "f", "abcd", 4), 3, &length, &error));
    check_error(s, &error, TG_ERROR_FORMAT, "f: is 4 bytes long, expected at most 3");
    error = (tg__error){0};
    assert_null(tg__file_read_as(s->path, "his/file", 3, &length, &error));
    assert_string_equal(error.message, "his/file: is 4 bytes long, expected at most 3");
    error = (tg__error){0};
    assert_null(tg__file_read(scratch_path(s, "f/x"), 9, &length, &error));
    assert_string_equal(error.message, "f/x: there is no such file");
    error = (tg__error){0};
    assert_null(tg__file_read(scratch_folder(s, "d"), 9, &length, &error));
    check_error(s, &error, TG_ERROR_IO, "d: is a folder, expected a file");
    error = (tg__error){0};
    assert_int_equal(mkfifo(scratch_path(s, "fifo"), 0600), 0);
    assert_null(tg__file_read(s->path, 9, &length, &error));
    check_error(s, &error, TG_ERROR_IO, "fifo: is a device or pipe, expected a file");
    error = (tg__error){0};
    assert_null(tg__file_read("/dev/zero", 9, &length, &error));
    assert_string_equal(error.message, "dev/zero: is a device or pipe, expected a file");
}

/* Root may do everything, so it becomes nobody for the test. */
static void test_no_rights(void **state)
{
    scratch *s = *state;
    bool root = geteuid() == 0;
    size_t length;
    tg__error reading = {0}, writing = {0}, replacing = {0};
    chmod(scratch_write(s, "f", "x", 1), 0);
    chmod(s->folder, 0555);
    if (root)
        assert_int_equal(seteuid(NOBODY), 0);
    char *data = tg__file_read(s->path, 9, &length, &reading);
    tg__output *first = tg__output_open(scratch_path(s, "g"), false, &writing);
    tg__output *second = tg__output_open(scratch_path(s, "f"), true, &replacing);
    if (root)
        assert_int_equal(seteuid(0), 0);
    chmod(s->folder, 0755);
    assert_null(data);
    assert_null(first);
    assert_null(second);
    check_error(s, &reading, TG_ERROR_IO, "f: cannot be opened (Permission denied)");
    check_error(s, &writing, TG_ERROR_IO, "g: cannot be written (Permission denied)");
    check_error(s, &replacing, TG_ERROR_IO, "f: cannot be written (Permission denied)");
    assert_int_equal(scratch_count(s), 1);
}

/* ----------------------------------------------------------------------------------- writing */

static void check_content(scratch *s, const char *name, const char *expected)
{
    tg__error error = {0};
    size_t length;
    char *data = tg__file_read(scratch_path(s, name), 1000, &length, &error);
    assert_non_null(data);
    assert_string_equal(data, expected);
    free(data);
}

static void test_write(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    struct stat status;
    mode_t before = umask(027);
    tg__output *output = tg__output_open(scratch_path(s, "cat.png"), false, &error);
    umask(before);
    assert_non_null(output);
    assert_false(tg__is_file(s->path)); /* not before it is whole */
    assert_true(scratch_count(s) == 1 || !no_unnamed);
    tg__output_write(output, "meo", 3);
    tg__output_write(output, "", 0);
    tg__output_write(output, "w", 1);
    assert_int_equal(tg__output_commit(output, &error), TG_OK);
    check_content(s, "cat.png", "meow");
    assert_int_equal(scratch_count(s), 1);
    assert_int_equal(stat(s->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

static void test_overwrite(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    scratch_write(s, "cat.png", "old", 3);
    assert_null(tg__output_open(s->path, false, &error));
    check_error(s, &error, TG_ERROR_IO,
                "cat.png: exists already, expected a name that is free (or overwriting allowed)");
    error = (tg__error){0};
    tg__output *output = tg__output_open(s->path, true, &error);
    assert_non_null(output);
    check_content(s, "cat.png", "old");
    tg__output_write(output, "new", 3);
    assert_int_equal(tg__output_commit(output, &error), TG_OK);
    check_content(s, "cat.png", "new");
    assert_int_equal(scratch_count(s), 1);
}

static void test_at_once(void **state)
{
    scratch *s = *state;
    tg_error error;
    assert_int_equal(tg_file_write(scratch_path(s, "cat.png"), "meow", 4, false, &error), TG_OK);
    check_content(s, "cat.png", "meow");
    assert_int_equal(tg_file_write(s->path, "new", 3, false, &error), TG_ERROR_IO);
    check_error(s, &error, TG_ERROR_IO,
                "cat.png: exists already, expected a name that is free (or overwriting allowed)");
    check_content(s, "cat.png", "meow");
    assert_int_equal(tg_file_write(s->path, NULL, 0, true, NULL), TG_OK);
    check_content(s, "cat.png", "");
    assert_int_equal(tg_file_write(scratch_path(s, "no/cat.png"), "x", 1, true, &error),
                     TG_ERROR_NOT_FOUND);
    assert_string_equal(error.message, "no/cat.png: its folder is not there");
    assert_int_equal(scratch_count(s), 1);
}

static void test_a_file_that_appears_meanwhile(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    tg__output *output = tg__output_open(scratch_path(s, "cat.png"), false, &error);
    assert_non_null(output);
    tg__output_write(output, "mine", 4);
    scratch_write(s, "cat.png", "theirs", 6);
    assert_int_equal(tg__output_commit(output, &error), TG_ERROR_IO);
    check_error(s, &error, TG_ERROR_IO,
                "cat.png: exists already, expected a name that is free (or overwriting allowed)");
    check_content(s, "cat.png", "theirs");
    assert_int_equal(scratch_count(s), 1);
}

static void test_a_folder_that_appears_meanwhile(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    tg__output *output = tg__output_open(scratch_path(s, "cat.png"), true, &error);
    assert_non_null(output);
    scratch_folder(s, "cat.png");
    assert_int_equal(tg__output_commit(output, &error), TG_ERROR_IO);
    check_error(s, &error, TG_ERROR_IO, "cat.png: cannot be written (Is a directory)");
    assert_int_equal(scratch_count(s), 1);
}

static void test_abandon(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    tg__output *output = tg__output_open(scratch_path(s, "cat.png"), false, &error);
    tg__output_write(output, "x", 1);
    tg__output_abandon(output);
    tg__output_abandon(NULL);
    assert_int_equal(scratch_count(s), 0);
    /* An error that somebody else made has the same effect. */
    output = tg__output_open(scratch_path(s, "cat.png"), false, &error);
    tg__fail(&error, TG_ERROR_FORMAT, "no picture");
    assert_int_equal(tg__output_commit(output, &error), TG_ERROR_FORMAT);
    assert_string_equal(error.message, "no picture");
    assert_int_equal(scratch_count(s), 0);
    /* So that a failed open needs no check of its own. */
    tg__output_write(NULL, "x", 1);
    assert_int_equal(tg__output_commit(NULL, &error), TG_ERROR_FORMAT);
}

static void test_targets(void **state)
{
    scratch *s = *state;
    static const struct {
        const char *name, *message;
        tg_status status;
    } cases[] = {
        {"folder", "folder: is a folder, expected the name of a file", TG_ERROR_IO},
        {"folder/", "folder: is a folder, expected the name of a file", TG_ERROR_IO},
        {"new/", "new: is a folder, expected the name of a file", TG_ERROR_IO},
        {"fifo", "fifo: is a device or pipe, expected a file", TG_ERROR_IO},
        {"null", "null: is a device or pipe, expected a file", TG_ERROR_IO},
    };
    scratch_folder(s, "folder");
    assert_int_equal(mkfifo(scratch_path(s, "fifo"), 0600), 0);
    assert_int_equal(symlink("/dev/null", scratch_path(s, "null")), 0);
    scratch_write(s, "file", "x", 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tg__error error = {0};
        assert_null(tg__output_open(scratch_path(s, cases[i].name), true, &error));
        check_error(s, &error, cases[i].status, cases[i].message);
    }
    tg__error error = {0};
    assert_null(tg__output_open("", true, &error));
    assert_string_equal(error.message, "an empty name, expected that of a file");
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    error = (tg__error){0};
    assert_null(tg__output_open(scratch_path(s, "no/cat.png"), true, &error));
    assert_string_equal(error.message, "no/cat.png: its folder is not there");
    assert_int_equal(error.status, TG_ERROR_NOT_FOUND);
    error = (tg__error){0};
    assert_null(tg__output_open(scratch_path(s, "file/cat.png"), true, &error));
    assert_string_equal(error.message, "file/cat.png: cannot be written (Not a directory)");
    error = (tg__error){0};
    memset(s->path + strlen(s->folder) + 1, 'x', 300);
    s->path[strlen(s->folder) + 301] = '\0';
    assert_null(tg__output_open(s->path, true, &error));
    assert_non_null(strstr(error.message, "cannot be written (File name too long)"));
    assert_int_equal(scratch_count(s), 4);
}

/* A link that leads nowhere is a file that exists. */
static void test_links(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    assert_int_equal(symlink("nowhere", scratch_path(s, "link")), 0);
    assert_null(tg__output_open(s->path, false, &error));
    check_error(s, &error, TG_ERROR_IO,
                "link: exists already, expected a name that is free (or overwriting allowed)");
    error = (tg__error){0};
    tg__output *output = tg__output_open(s->path, true, &error);
    tg__output_write(output, "x", 1);
    assert_int_equal(tg__output_commit(output, &error), TG_OK);
    check_content(s, "link", "x");
    assert_int_equal(scratch_count(s), 1);
}

/* A disk that is full, as far as the program can tell. */
static void test_write_errors(void **state)
{
    scratch *s = *state;
    static const char block[5000];
    struct rlimit before, limit;
    tg__error error = {0};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 12000;
    tg__output *output = tg__output_open(scratch_path(s, "cat.png"), false, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int i = 0; i < 4; i++)
        tg__output_write(output, block, sizeof block);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    /* There is room again, but what is missing stays missing. */
    tg__output_write(output, block, sizeof block);
    assert_int_equal(tg__output_commit(output, &error), TG_ERROR_IO);
    check_error(s, &error, TG_ERROR_IO, "cat.png: cannot be written (File too large)");
    assert_int_equal(scratch_count(s), 0);
}

/* With files that get their name last, and with a temporary name. */
#define WRITE_TEST(function)                                                 \
    cmocka_unit_test_setup_teardown(function, scratch_make, scratch_remove), \
        cmocka_unit_test_setup_teardown(function, make_named, remove_named)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_where),
        cmocka_unit_test_setup_teardown(test_kinds, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_read, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_read_refuses, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_no_rights, scratch_make, scratch_remove),
        WRITE_TEST(test_write),
        WRITE_TEST(test_overwrite),
        WRITE_TEST(test_at_once),
        WRITE_TEST(test_a_file_that_appears_meanwhile),
        WRITE_TEST(test_a_folder_that_appears_meanwhile),
        WRITE_TEST(test_abandon),
        WRITE_TEST(test_targets),
        WRITE_TEST(test_links),
        WRITE_TEST(test_write_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
