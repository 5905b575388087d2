/* SPDX-License-Identifier: MIT */
/* The command tgate: finds the command, reads its options, runs it. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "help.h"
#include "parser.h"
#include "report.h"

/* A standard stream that is closed would give its number to the next file opened, and messages
 * would end up in that file. The stand-in is opened the wrong way round, so that using it fails. */
static void guard_standard_streams(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) == -1)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

static int run_command(const struct options *options)
{
    static int (*const run[COMMAND_COUNT])(const struct options *) = {
#define COMMAND(id, name, ...) [COMMAND_##id] = run_##name,
#include "options.def"
#undef COMMAND
    };
    return run[options->command](options);
}

/* "help" behaves as "--help" behind the word that follows it. */
static int run_help(int count, char *const *words)
{
    if (count == 0) {
        help_overview(stdout);
        return EXIT_DONE;
    }
    enum command command = command_find(words[0]);
    if (command == COMMAND_COUNT)
        return command_unknown(words[0]);
    help_command(stdout, command, count > 1 && strcmp(words[1], "all") == 0);
    return EXIT_DONE;
}

static int run_version(void)
{
    printf("tgate %s\n", tg_version());
    return EXIT_DONE;
}

static int run_words(int count, char *const *words)
{
    struct options options;
    if (count == 0) {
        help_overview(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(words[0], "--version") == 0)
        return run_version();
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0)
        return run_help(0, NULL);
    if (strcmp(words[0], "help") == 0)
        return run_help(count - 1, words + 1);
    enum command command = command_find(words[0]);
    if (command == COMMAND_COUNT)
        return command_unknown(words[0]);
    int code = options_parse(&options, command, count - 1, words + 1);
    if (code != EXIT_DONE)
        return code;
    if (options.version)
        return run_version();
    if (options.help) {
        help_command(stdout, command, *options.help);
        return EXIT_DONE;
    }
    return run_command(&options);
}

int main(int argc, char **argv)
{
    guard_standard_streams();
    signal(SIGPIPE, SIG_IGN); /* a reader that went away is a write error like any other */
    int code = run_words(argc > 0 ? argc - 1 : 0, argv + 1);
    return code == EXIT_DONE ? finish_output() : code;
}
