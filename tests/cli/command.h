/* SPDX-License-Identifier: MIT */
/* Runs the command tgate in an empty folder of its own and keeps what it said. */
#ifndef TG_TESTS_CLI_COMMAND_H
#define TG_TESTS_CLI_COMMAND_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifndef TG_COMMAND
#define TG_COMMAND TG_PROJECT "/build/tgate"
#endif

struct outcome {
    int code; /* 128 and the signal's number if one ended the program */
    char out[65536], err[65536];
};

static struct outcome last;
static char folder[64], log_folder[64];

static void read_stream(char *text, size_t size, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", log_folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void redirect(int fd, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", log_folder, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || dup2(file, fd) < 0)
        _exit(126);
    close(file);
}

/* A line for the shell, run in the folder; $T is the command and $M the demo model. */
static int shell(const char *line)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        redirect(STDOUT_FILENO, "out");
        redirect(STDERR_FILENO, "err");
        if (chdir(folder) != 0)
            _exit(126);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    last.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    read_stream(last.out, sizeof last.out, "out");
    read_stream(last.err, sizeof last.err, "err");
    return last.code;
}

/* tgate with these arguments, in the shell's spelling. */
static inline int tgate(const char *arguments)
{
    char line[8192];
    snprintf(line, sizeof line, "exec \"$T\" %s", arguments);
    return shell(line);
}

/* Fails with what was said unless the last run ended so. */
static void assert_run(int expected, int code)
{
    if (code != expected)
        fail_msg("exit %d, expected %d; it said: %s", code, expected, last.err);
}

static int visible_or_not(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* The folder holds these names, sorted, and nothing else, hidden files included. */
static inline void assert_files(const char *expected)
{
    struct dirent **entries;
    char names[4096] = "";
    int count = scandir(folder, &entries, visible_or_not, alphasort);
    assert_true(count >= 0);
    for (int i = 0; i < count; i++) {
        size_t length = strlen(names);
        snprintf(names + length, sizeof names - length, "%s%s", i ? " " : "", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    assert_string_equal(names, expected);
}

static int make_folders(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tgate-test-XXXXXX");
    strcpy(log_folder, "/tmp/tgate-test-XXXXXX");
    setenv("T", TG_COMMAND, 1);
    setenv("M", TG_PROJECT "/models/demo", 1);
    unsetenv("TG_CPU");
    return mkdtemp(folder) && mkdtemp(log_folder) ? 0 : -1;
}

static int remove_folders(void **state)
{
    char line[256];
    (void)state;
    snprintf(line, sizeof line, "rm -rf '%s' '%s'", folder, log_folder);
    return system(line) == 0 ? 0 : -1;
}

#define COMMAND_TEST(function) \
    cmocka_unit_test_setup_teardown(function, make_folders, remove_folders)

#endif
