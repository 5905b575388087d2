/* SPDX-License-Identifier: MIT */
/*
 * Reads the command line by the rows of options.def. Options may stand before or behind positional
 * arguments; "--opt=value", "--opt value", "-oX", "-o X" and clusters of flags are understood; "--"
 * ends the options; of an option given twice the last one holds. A long option is spelled out: a
 * prefix that is unique today would be ambiguous after the next row.
 */
#include "parser.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "options_table.h"
#include "report.h"

struct parser {
    struct options *options;
    int count, next; /* words in all, and the one to be read next */
    char *const *words;
};

/* ----------------------------------------------------------------------------- near misses */

enum { LONGEST_NAME = 31 };

/* Letters to insert, delete or replace to make one name of the other; a large number for names
 * that are too long to be ours. */
static int distance(const char *a, const char *b)
{
    size_t n = strlen(b);
    int row[LONGEST_NAME + 1];
    if (strlen(a) > LONGEST_NAME || n > LONGEST_NAME)
        return INT_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 0; a[i]; i++) {
        int diagonal = row[0]++;
        for (size_t j = 0; j < n; j++) {
            int best = diagonal + (a[i] != b[j]);
            diagonal = row[j + 1];
            if (best > row[j] + 1)
                best = row[j] + 1;
            if (best > diagonal + 1)
                best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

/* The name that was probably meant: one that begins like typed, else one at most two letters away.
 * NULL if none is near. */
static const char *nearest(const char *typed, const char *const *names, int count)
{
    size_t length = strlen(typed);
    const char *best = NULL;
    int best_distance = length > 3 ? 3 : 2;
    for (int i = 0; i < count; i++) {
        int d = length > 1 && strncmp(names[i], typed, length) == 0 ? 0 : distance(typed, names[i]);
        if (d < best_distance) {
            best_distance = d;
            best = names[i];
        }
    }
    return best;
}

int command_unknown(const char *word)
{
    const char *names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i] = command_rows[i].name;
    const char *meant = nearest(word, names, COMMAND_COUNT);
    if (meant)
        return fail_usage(COMMAND_COUNT, "%s: no such command (did you mean '%s'?)", word, meant);
    if (word[0] == '-')
        return fail_usage(COMMAND_COUNT, "%s: expected a command before any option", word);
    return fail_usage(COMMAND_COUNT, "%s: no such command", *word ? word : "''");
}

static int option_unknown(const struct parser *parser, const char *name)
{
    enum command command = parser->options->command;
    const char *names[OPTION_COUNT];
    int count = 0;
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (strcmp(option_rows[i].name, name) == 0)
            return fail_usage(command, "--%s: not an option of 'tgate %s'", name,
                              command_name(command));
        if (option_rows[i].commands & (1u << command))
            names[count++] = option_rows[i].name;
    }
    const char *meant = nearest(name, names, count);
    if (meant)
        return fail_usage(command, "--%s: no such option (did you mean '--%s'?)", name, meant);
    return fail_usage(command, "--%s: no such option%s", name,
                      command == COMMAND_TOKENIZE ? " (put -- before the text)" : "");
}

/* ---------------------------------------------------------------------------------- values */

/* The strto… functions skip white space and know hexadecimal, "inf" and "nan": none of it here. */
static bool made_of(const char *text, const char *letters)
{
    return *text && text[strspn(text, letters)] == '\0';
}

static bool read_integer(int *value, const char *text, const struct option_row *row)
{
    char *end;
    long long number = strtoll(text, &end, 10); /* saturates, which is out of range too */
    if (!made_of(text, "+-0123456789") || *end || (double)number < row->least ||
        (double)number > row->most)
        return false;
    *value = (int)number;
    return true;
}

/* Two integers and the mark between them. */
static bool read_pair(struct pair *value, const char *text, char mark, const struct option_row *row)
{
    char first[16];
    const char *at = strchr(text, mark);
    size_t length = at ? (size_t)(at - text) : sizeof first;
    if (length >= sizeof first)
        return false;
    memcpy(first, text, length);
    first[length] = '\0';
    return read_integer(&value->first, first, row) && read_integer(&value->second, at + 1, row);
}

static bool read_seed(uint64_t *value, const char *text)
{
    char *end;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return made_of(text, "+0123456789") && !*end && !errno;
}

static bool read_real(double *value, const char *text, const struct option_row *row)
{
    char *end;
    *value = strtod(text, &end);
    bool in_range = row->least < row->most ? *value >= row->least && *value <= row->most
                                           : *value - *value == 0; /* not an overflow */
    return made_of(text, "+-.0123456789eE") && !*end && in_range;
}

/* Where text stands in a list such as "auto|f32|bf16|int8". */
static bool read_choice(int *value, const char *text, const char *list)
{
    size_t length = strlen(text);
    for (int i = 0;; i++) {
        size_t width = strcspn(list, "|");
        if (width == length && memcmp(list, text, width) == 0) {
            *value = i;
            return true;
        }
        if (!list[width])
            return false;
        list += width + 1;
    }
}

static bool read_value(void *field, const char *text, const struct option_row *row)
{
    switch (row->kind) {
    case KIND_FLAG:
        *(bool *)field = true;
        return true;
    case KIND_SWITCH:
        if (strcmp(text, "off") == 0) {
            *(int *)field = 0;
            return true;
        }
        return read_integer(field, text, row);
    case KIND_INTEGER:
        return read_integer(field, text, row);
    case KIND_SEED:
        return read_seed(field, text);
    case KIND_REAL:
        return read_real(field, text, row);
    case KIND_SIZE:
        return read_pair(field, text, 'x', row);
    case KIND_PLACE:
        return read_pair(field, text, ',', row);
    case KIND_CHOICE:
        return read_choice(field, text, row->argument);
    case KIND_TOPIC:
        *(const char **)field = text;
        return !*text || strcmp(text, "all") == 0;
    case KIND_WORD:
    case KIND_TEXT:
        *(const char **)field = text;
        return row->kind == KIND_TEXT || *text;
    }
    return false;
}

/* --------------------------------------------------------------------------------- options */

/* value: what stood behind '=' or the letter, or NULL. */
static int take_option(struct parser *parser, enum option_id id, const char *value)
{
    const struct option_row *row = &option_rows[id];
    struct options *options = parser->options;
    char expected[128];
    option_expects(expected, sizeof expected, row);
    if (row->kind == KIND_FLAG && value)
        return fail_usage(options->command, "--%s: takes no value", row->name);
    if (row->kind == KIND_TOPIC && !value) {
        bool all = parser->next < parser->count && strcmp(parser->words[parser->next], "all") == 0;
        value = all ? parser->words[parser->next++] : "";
    } else if (row->kind != KIND_FLAG && !value) {
        if (parser->next == parser->count)
            return fail_usage(options->command, "--%s: expected %s behind it", row->name, expected);
        value = parser->words[parser->next++];
    }
    if (!read_value((char *)options + row->offset, value, row))
        return fail_usage(options->command, "--%s %s: expected %s", row->name,
                          value && *value ? value : "''", expected);
    options->given[id] = true;
    return EXIT_DONE;
}

/* text: what follows "--". */
static int take_long(struct parser *parser, const char *text)
{
    char name[64];
    size_t length = strcspn(text, "=");
    if (length >= sizeof name)
        return fail_usage(parser->options->command, "--%s: no such option", text);
    memcpy(name, text, length);
    name[length] = '\0';
    for (int i = 0; i < OPTION_COUNT; i++)
        if (strcmp(option_rows[i].name, name) == 0 &&
            option_rows[i].commands & (1u << parser->options->command))
            return take_option(parser, (enum option_id)i, text[length] ? text + length + 1 : NULL);
    return option_unknown(parser, name);
}

/* text: the letters behind one '-'; flags may share it, a value takes the rest. */
static int take_letters(struct parser *parser, const char *text)
{
    enum command command = parser->options->command;
    int code = EXIT_DONE;
    for (bool more = true; *text && more && code == EXIT_DONE; text++) {
        int id = 0;
        while (id < OPTION_COUNT &&
               !(option_rows[id].letter == *text && option_rows[id].commands & (1u << command)))
            id++;
        if (id == OPTION_COUNT)
            return fail_usage(command, "-%s: no such option%s", text,
                              command == COMMAND_TOKENIZE ? " (put -- before the text)" : "");
        enum option_kind kind = option_rows[id].kind;
        more = kind == KIND_FLAG || kind == KIND_TOPIC;
        code = take_option(parser, (enum option_id)id, !more && text[1] ? text + 1 : NULL);
    }
    return code;
}

static int take_argument(struct options *options, const char *word)
{
    const struct command_row *row = &command_rows[options->command];
    if (options->arguments == row->least)
        return fail_usage(options->command, "%s: one argument too many%s", *word ? word : "''",
                          row->hint);
    if (options->arguments == 0 && !*word)
        return fail_usage(options->command, "MODEL '': expected a folder or a file");
    options->argument[options->arguments++] = word;
    return EXIT_DONE;
}

int options_parse(struct options *options, enum command command, int count, char *const *words)
{
    struct parser parser = {options, count, 0, words};
    const struct command_row *row = &command_rows[command];
    bool ended = false;
    *options = (struct options){.command = command};
    while (parser.next < count && !options->help && !options->version) {
        const char *word = words[parser.next++];
        int code = EXIT_DONE;
        if (ended || word[0] != '-' || word[1] == '\0')
            code = take_argument(options, word);
        else if (strcmp(word, "--") == 0)
            ended = true;
        else if (word[1] == '-')
            code = take_long(&parser, word + 2);
        else
            code = take_letters(&parser, word + 1);
        if (code != EXIT_DONE)
            return code;
    }
    if (options->help || options->version || options->arguments == row->least)
        return EXIT_DONE;
    return fail_usage(command, "too few arguments: expected tgate %s %s", row->name, row->usage);
}
