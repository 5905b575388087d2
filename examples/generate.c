/* SPDX-License-Identifier: MIT */
/* The library in 40 lines: generate MODEL PROMPT PICTURE
 *     cc generate.c $(pkg-config --cflags --libs tgate) -o generate
 *     ./generate models/demo "a fox" fox.png */
#include <stdio.h>
#include <tgate.h>

int main(int argc, char **argv)
{
    tg_model *model = NULL;
    tg_session *session = NULL;
    tg_prompt *prompt = NULL;
    tg_result *result = NULL;
    tg_generate_options options;
    tg_error error;
    const char *wrong = NULL;
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL PROMPT PICTURE\n", argv[0]);
        return 2;
    }
    if (tg_model_open(&model, argv[1], NULL) != TG_OK) {
        wrong = tg_model_message(model);
    } else {
        tg_generate_options_init(&options, model);
        if (tg_session_new(&session, model, NULL) != TG_OK ||
            tg_prompt_encode(&prompt, session, argv[2], NULL, NULL) != TG_OK ||
            tg_generate(&result, session, &prompt, 1, &options) != TG_OK)
            wrong = tg_session_message(session);
        else if (tg_image_write(tg_result_image(result, 0), argv[3], NULL, true, &error) != TG_OK)
            wrong = error.message;
    }
    if (wrong)
        fprintf(stderr, "%s\n", wrong);
    tg_result_free(result);
    tg_prompt_free(prompt);
    tg_session_free(session);
    tg_model_close(model);
    return wrong ? 1 : 0;
}
