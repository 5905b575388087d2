/* SPDX-License-Identifier: MIT */
/* Several prompts as one batch, with progress; Ctrl-C cancels: batch MODEL FOLDER PROMPT...
 *     cc batch.c $(pkg-config --cflags --libs tgate) -o batch
 *     ./batch models/demo . "a fox" "a castle" */
#include <signal.h>
#include <stdio.h>
#include <tgate.h>

enum { MOST = 16 };

static tg_session *session; /* where the signal's handler finds it */
static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
    (void)number;
    interrupted = 1; /* between two calls there is nothing to cancel: show stops the next one */
    tg_session_cancel(session);
}

static bool show(void *user, const tg_progress *p)
{
    static const char *const names[] = {"open", "load", "text", "denoise", "decode", "encode"};
    (void)user;
    fprintf(stderr, "\r%-8s %2d of %2d, %5.1f s left ", names[p->phase], p->step, p->steps,
            p->seconds_left);
    return !interrupted;
}

/* What went wrong; NULL if nothing did. */
static const char *draw(const tg_model *model, const char *folder, char **texts, int count)
{
    static tg_error error;
    tg_prompt *prompts[MOST] = {NULL};
    tg_result *result = NULL;
    tg_generate_options options;
    tg_generate_options_init(&options, model);
    options.count = count;
    const char *wrong = NULL;
    for (int i = 0; i < count && !wrong; i++)
        if (tg_prompt_encode(&prompts[i], session, texts[i], NULL, NULL) != TG_OK)
            wrong = tg_session_message(session);
    if (!wrong && tg_generate(&result, session, prompts, count, &options) != TG_OK)
        wrong = tg_session_message(session);
    for (int i = 0; i < count && !wrong; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%d.png", folder, i + 1);
        if (tg_image_write(tg_result_image(result, i), path, texts[i], true, &error) != TG_OK)
            wrong = error.message;
    }
    for (int i = 0; i < count; i++)
        tg_prompt_free(prompts[i]);
    tg_result_free(result);
    return wrong;
}

int main(int argc, char **argv)
{
    tg_model *model = NULL;
    tg_session_options options;
    if (argc < 4 || argc > 3 + MOST) {
        fprintf(stderr, "usage: %s MODEL FOLDER PROMPT... (%d at most)\n", argv[0], MOST);
        return 2;
    }
    tg_session_options_init(&options);
    options.progress = show;
    tg_model_open(&model, argv[1], NULL);
    const char *wrong = NULL; /* a model that is not open makes a session that says so */
    if (tg_session_new(&session, model, &options) != TG_OK) {
        wrong = tg_session_message(session);
    } else {
        signal(SIGINT, interrupt);
        wrong = draw(model, argv[2], argv + 3, argc - 3);
        signal(SIGINT, SIG_DFL);
    }
    fprintf(stderr, "\n%s%s", wrong ? wrong : "", wrong ? "\n" : "");
    tg_session_free(session);
    tg_model_close(model);
    return wrong ? 1 : 0;
}
