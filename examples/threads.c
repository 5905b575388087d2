/* SPDX-License-Identifier: MIT */
/* Two sessions of one model in two threads: threads MODEL PROMPT PICTURE PROMPT PICTURE
 *     cc threads.c $(pkg-config --cflags --libs tgate) -pthread -o threads
 *     ./threads models/demo "a fox" fox.png "a castle" castle.png
 * They share the weights, and the cores: the process's budget has one thread a core, and each
 * session asks for half of them, so that both compute at the same time. */
#include <pthread.h>
#include <stdio.h>
#include <tgate.h>

typedef struct picture {
    tg_model *model;
    const char *prompt, *path;
    int threads;
    char wrong[1024]; /* "": nothing is */
} picture;

/* All of it in the thread: a session is used by one at a time. */
static void *draw(void *context)
{
    picture *p = context;
    tg_session *session = NULL;
    tg_prompt *prompt = NULL;
    tg_result *result = NULL;
    tg_session_options options;
    tg_generate_options generate;
    tg_error error;
    tg_session_options_init(&options);
    options.threads = p->threads;
    tg_generate_options_init(&generate, p->model);
    if (tg_session_new(&session, p->model, &options) != TG_OK ||
        tg_prompt_encode(&prompt, session, p->prompt, NULL, NULL) != TG_OK ||
        tg_generate(&result, session, &prompt, 1, &generate) != TG_OK)
        snprintf(p->wrong, sizeof p->wrong, "%s", tg_session_message(session));
    else if (tg_image_write(tg_result_image(result, 0), p->path, NULL, true, &error) != TG_OK)
        snprintf(p->wrong, sizeof p->wrong, "%s", error.message);
    tg_result_free(result);
    tg_prompt_free(prompt);
    tg_session_free(session);
    return NULL;
}

/* Half of what a session takes by itself: one thread a core. */
static int half_of_the_cores(tg_model *model)
{
    tg_session *session = NULL;
    tg_session_new(&session, model, NULL);
    int threads = tg_session_threads(session) / 2;
    tg_session_free(session);
    return threads > 0 ? threads : 1;
}

int main(int argc, char **argv)
{
    tg_model *model = NULL;
    pthread_t thread;
    if (argc != 6) {
        fprintf(stderr, "usage: %s MODEL PROMPT PICTURE PROMPT PICTURE\n", argv[0]);
        return 2;
    }
    tg_model_open(&model, argv[1], NULL); /* if that fails, the sessions say so */
    int threads = half_of_the_cores(model);
    picture a = {model, argv[2], argv[3], threads, ""}, b = {model, argv[4], argv[5], threads, ""};
    if (pthread_create(&thread, NULL, draw, &b) != 0) {
        fprintf(stderr, "there is no thread to be had\n");
        tg_model_close(model);
        return 1;
    }
    draw(&a);
    pthread_join(thread, NULL);
    tg_model_close(model);
    if (a.wrong[0] || b.wrong[0])
        fprintf(stderr, "%s\n", a.wrong[0] ? a.wrong : b.wrong);
    return a.wrong[0] || b.wrong[0] ? 1 : 0;
}
