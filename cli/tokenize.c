/* SPDX-License-Identifier: MIT */
/* tgate tokenize: the ids of a text on one line; with -v what each of them stands for. */
#include <stdio.h>

#include "commands.h"
#include "report.h"
#include "tgate.h"

static void print_tokens(const tg_tokens *tokens, bool pieces)
{
    for (int i = 0; i < tokens->count; i++)
        printf("%s%d", i ? " " : "", (int)tokens->ids[i]);
    putchar('\n');
    for (int i = 0; i < tokens->count && pieces; i++)
        printf("%6d  %s\n", (int)tokens->ids[i], tokens->pieces[i]);
    if (pieces)
        printf("%d tokens, room for %d\n", tokens->count, tokens->context);
    if (pieces && *tokens->lost)
        printf("cut: %s\n", tokens->lost);
}

int run_tokenize(const struct options *options)
{
    tg_tokenizer *tokenizer = NULL;
    const tg_tokens *tokens;
    if (tg_text_check(options->argument[1], NULL) != TG_OK)
        return fail_usage(options->command, "TEXT: expected UTF-8");
    tg_status status = tg_tokenizer_open(&tokenizer, options->argument[0], options->tokenizer);
    if (status == TG_OK)
        status = tg_tokenize(tokenizer, options->argument[1], &tokens);
    if (status == TG_OK)
        print_tokens(tokens, options->verbose);
    int code = fail_error(options->command, tg_tokenizer_error(tokenizer));
    tg_tokenizer_close(tokenizer);
    return code;
}
