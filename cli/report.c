/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* C0, DEL, and C1 as UTF-8 writes it: what could move a terminal's cursor. */
static void remove_controls(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7F)
            *p = '?';
        else if (p[0] == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0)
            p[0] = p[1] = '?';
    }
}

static void say_list(const char *format, va_list list)
{
    char text[8192];
    vsnprintf(text, sizeof text, format, list);
    remove_controls(text);
    fprintf(stderr, "tgate: %s\n", text);
}

void say(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say_list(format, list);
    va_end(list);
}

int fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say_list(format, list);
    va_end(list);
    return EXIT_FAILED;
}

int fail_memory(void) { return fail("out of memory"); }

int fail_usage(enum command command, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    say_list(format, list);
    va_end(list);
    if (command == COMMAND_COUNT)
        say("see 'tgate --help'");
    else
        say("see 'tgate %s --help'", command_name(command));
    return EXIT_USAGE;
}

int fail_error(enum command command, const tg_error *error)
{
    switch (error->status) {
    case TG_OK:
        return EXIT_DONE;
    case TG_ERROR_CANCELLED:
        return fail_interrupted();
    case TG_ERROR_ARGUMENT:
        return fail_usage(command, "%s", error->message);
    default:
        return fail("%s", error->message);
    }
}

int fail_interrupted(void)
{
    say("interrupted");
    return EXIT_INTERRUPTED;
}

int finish_output(void)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return EXIT_DONE;
    return fail("standard output cannot be written: %s", errno ? strerror(errno) : "write error");
}
