/* SPDX-License-Identifier: MIT */
/* The help: examples first, then the options from their table. */
#include "help.h"

#include <limits.h>
#include <string.h>

#include "options_table.h"

/* Commands with at most so many options show all of them at once. */
enum { FEW_OPTIONS = 14, NAME_COLUMNS = 30 };

static const char *const examples[COMMAND_COUNT] = {
    [COMMAND_GENERATE] = "  tgate generate models/demo -p \"a fox\" -o fox.png\n"
                         "  tgate generate sd15.safetensors -p \"a castle\" --gate-step off\n",
    [COMMAND_INFO] = "  tgate info models/demo\n",
    [COMMAND_TOKENIZE] = "  tgate tokenize models/demo \"a fox\"\n"
                         "  tgate tokenize -v models/demo -- \"-5 degrees\"\n",
    [COMMAND_DECODE] = "  tgate decode models/demo --latents fox.npy -o fox.png\n",
    [COMMAND_ENCODE] = "  tgate encode models/demo fox.png --save-latents fox.npy\n",
};

void help_overview(FILE *out)
{
    fputs("tgate makes pictures from text with published diffusion models, on the CPU.\n\n", out);
    fputs("  tgate generate models/demo -p \"a fox on a blue background\" -o fox.png\n"
          "  tgate generate sd15.safetensors -p \"a castle\" -n blurry --seed 7 --count 4\n"
          "  tgate info models/demo\n\n",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", command_rows[i].name, command_rows[i].purpose);
    fputs("\n'tgate COMMAND --help' shows a command's options, '--help all' every one;\n"
          "'tgate --version' the version.\n",
          out);
}

/* One option: its names, what it does, and with everything its range and default. */
static void print_option(FILE *out, const struct option_row *row, bool everything)
{
    char names[64], expected[128];
    char letter[] = {'-', row->letter, ',', '\0'};
    snprintf(names, sizeof names, "%s --%s%s%s", row->letter ? letter : "   ", row->name,
             row->argument ? " " : "", row->argument ? row->argument : "");
    fprintf(out, "  %-*s %s", NAME_COLUMNS, names, row->help);
    bool number = row->kind == KIND_INTEGER || row->kind == KIND_SWITCH || row->kind == KIND_REAL;
    if (everything && number && row->least < row->most && row->most < INT_MAX) {
        option_expects(expected, sizeof expected, row);
        fprintf(out, "; %s", expected);
    }
    if (row->standard && everything)
        fprintf(out, " (%s)", row->standard);
    fputc('\n', out);
}

static void print_group(FILE *out, enum command command, enum option_group group, bool everything)
{
    for (int i = 0; i < OPTION_COUNT; i++)
        if (option_rows[i].commands & (1u << command) && option_rows[i].group == group)
            print_option(out, &option_rows[i], everything);
}

static int option_count(enum command command)
{
    int count = 0;
    for (int i = 0; i < OPTION_COUNT; i++)
        count += (option_rows[i].commands & (1u << command)) != 0;
    return count;
}

void help_command(FILE *out, enum command command, bool everything)
{
    static const char *const titles[] = {
#define GROUP(id, title) title,
#include "options.def"
#undef GROUP
    };
    bool few = option_count(command) <= FEW_OPTIONS;
    fprintf(out, "usage: tgate %s %s [options]\n\n%s\n", command_rows[command].name,
            command_rows[command].usage, examples[command]);
    for (int i = 0; i < GROUP_COUNT; i++) {
        if (everything && !few)
            fprintf(out, "%s%s:\n", i ? "\n" : "", titles[i]);
        if (everything || few || i == GROUP_BASIC)
            print_group(out, command, (enum option_group)i, everything);
    }
    if (everything)
        fputs("\nIn brackets: what holds without the option. The last of two equal options holds.\n"
              "TG_CPU=c|avx2|avx512|avx512_bf16|amx caps the instructions that are used.\n",
              out);
    else if (!few)
        fprintf(out, "\n'tgate %s --help all' shows every option.\n", command_rows[command].name);
}
