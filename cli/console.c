/* SPDX-License-Identifier: MIT */
#include "console.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

/* --------------------------------------------------------------------------------- signals */

static volatile sig_atomic_t stop_wanted;

static void want_stop(int number)
{
    (void)number;
    stop_wanted = 1;
}

void console_catch_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction action = {.sa_handler = want_stop, .sa_flags = SA_RESETHAND}, before;
        sigaction(numbers[i], NULL, &before);
        if (before.sa_handler != SIG_IGN) /* nohup, or a shell's background job */
            sigaction(numbers[i], &action, NULL);
    }
}

bool console_interrupted(void) { return stop_wanted; }

/* -------------------------------------------------------------------------------- messages */

void console_init(struct console *console, const struct options *options)
{
    *console = (struct console){
        .quiet = options->quiet,
        .verbose = options->verbose,
        .live = !options->quiet && isatty(STDERR_FILENO),
    };
}

void console_log(void *user, tg_log_level level, const char *message)
{
    struct console *console = user;
    if (console->quiet || (level == TG_LOG_INFO && !console->verbose))
        return;
    console_clear(console);
    say("%s%s", level == TG_LOG_WARNING ? "warning: " : "", message);
}

/* -------------------------------------------------------------------------------- progress */

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

/* Replaces the line on the screen; blanks cover what the old one had more. */
static void draw(struct console *console, const char *text)
{
    int columns = terminal_columns() - 1, width = (int)strlen(text);
    if (width > columns)
        width = columns;
    int blanks = console->shown > width ? console->shown - width : 0;
    fprintf(stderr, "\r%.*s%*s", width, text, blanks, "");
    console->shown = width;
}

void console_clear(struct console *console)
{
    if (!console->shown)
        return;
    draw(console, "");
    fputc('\r', stderr);
}

/* 75 → "1:15", 4000 → "1:06:40". */
static void write_time(char *text, size_t size, double seconds)
{
    long s = seconds < 1e8 ? (long)(seconds + 0.5) : 0;
    if (s < 3600)
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
    else
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

bool console_progress(void *user, const tg_progress *progress)
{
    static const char *const phases[] = {
        [TG_PHASE_OPEN] = "opening",
        [TG_PHASE_LOAD] = "loading",
        [TG_PHASE_TEXT] = "reading the prompt",
        [TG_PHASE_DENOISE] = "denoising",
        [TG_PHASE_DECODE] = "decoding",
        [TG_PHASE_ENCODE] = "encoding",
    };
    struct console *console = user;
    char text[200], left[32];
    int n = 0;
    if (console->live) {
        if (console->prompts > 1)
            n = snprintf(text, sizeof text, "prompt %d/%d, ", console->prompt, console->prompts);
        n += snprintf(text + n, sizeof text - (size_t)n, "%s", phases[progress->phase]);
        if (progress->steps > 1)
            n += snprintf(text + n, sizeof text - (size_t)n, " %d/%d", progress->step,
                          progress->steps);
        if (progress->seconds_per_step > 0)
            n += snprintf(text + n, sizeof text - (size_t)n, ", %.3g s a step",
                          progress->seconds_per_step);
        if (progress->seconds_left > 0) {
            write_time(left, sizeof left, progress->seconds_left);
            snprintf(text + n, sizeof text - (size_t)n, ", %s left", left);
        }
        draw(console, text);
    }
    return !console_interrupted();
}

double console_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
