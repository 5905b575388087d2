/* SPDX-License-Identifier: MIT */
#include "prompts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console.h"
#include "report.h"

enum { MOST_BYTES = 16 << 20 };

static int unreadable(const char *path, int reason)
{
    if (console_interrupted()) /* what standard input was waiting for */
        return fail_interrupted();
    return fail("%s: cannot be read: %s", path, strerror(reason));
}

/* The whole file with a zero byte behind it; a pipe or a device has no size to ask for. */
static int read_file(char **text, size_t *length, FILE *file, const struct options *options)
{
    size_t room = 0;
    *length = 0;
    do {
        room = room ? 2 * room : 1 << 16;
        char *larger = realloc(*text, room + 1);
        if (!larger)
            return fail_memory();
        *text = larger;
        *length += fread(larger + *length, 1, room - *length, file);
    } while (*length == room && room < MOST_BYTES);
    (*text)[*length] = '\0';
    if (ferror(file))
        return unreadable(options->prompts, errno);
    if (*length == room)
        return fail("%s: expected less than %d MiB of prompts", options->prompts, MOST_BYTES >> 20);
    return EXIT_DONE;
}

static int add(struct prompts *prompts, const char *text)
{
    int count = prompts->count;
    if ((count & (count - 1)) == 0) { /* full at every power of two */
        const char **larger =
            realloc(prompts->items, (count ? 2 * (size_t)count : 1) * sizeof *larger);
        if (!larger)
            return fail_memory();
        prompts->items = larger;
    }
    prompts->items[prompts->count++] = text;
    return EXIT_DONE;
}

/* Cuts the text in place. A zero byte is refused as no C string could hold what follows it. */
static int split(struct prompts *prompts, size_t length, const struct options *options)
{
    char *line = prompts->text, *end = line + length;
    const char *path = options->prompts;
    if (strncmp(line, "\xEF\xBB\xBF", 3) == 0)
        line += 3; /* the byte order mark of some editors */
    for (int number = 1; line < end; number++) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        char *next = stop ? stop + 1 : end;
        stop = stop ? stop : end;
        if (stop > line && stop[-1] == '\r')
            stop--;
        *stop = '\0';
        if (strlen(line) != (size_t)(stop - line) || tg_text_check(line, NULL) != TG_OK)
            return fail_usage(options->command, "%s: line %d: expected UTF-8 text", path, number);
        if (line[strspn(line, " \t\r\v\f")]) {
            int code = add(prompts, line);
            if (code != EXIT_DONE)
                return code;
        }
        line = next;
    }
    if (prompts->count == 0)
        return fail_usage(options->command, "%s: expected a prompt on at least one line", path);
    return EXIT_DONE;
}

int prompts_read(struct prompts *prompts, const struct options *options)
{
    size_t length;
    if (!options->prompts)
        return add(prompts, options->prompt);
    bool standard = strcmp(options->prompts, "-") == 0;
    FILE *file = standard ? stdin : fopen(options->prompts, "rb");
    if (!file)
        return unreadable(options->prompts, errno);
    int code = read_file(&prompts->text, &length, file, options);
    if (!standard)
        fclose(file);
    return code == EXIT_DONE ? split(prompts, length, options) : code;
}

void prompts_free(struct prompts *prompts)
{
    free(prompts->items);
    free(prompts->text);
}
