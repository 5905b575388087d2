/* SPDX-License-Identifier: MIT */
/* Pictures with a cache of packed weights: the same as without one, whatever is in the cache. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "cpu/backend.h"
#include "cpu/context.h"
#include "pipeline/session.h"
#include "skip.h"
#include "unit/scratch.h"

enum { TEXT_ENCODER = 2 };

#define GOLDEN TG_TEST_DATA "/golden/models/sd1"
#define SINGLE TG_TEST_DATA "/golden/models/sd1.safetensors"

enum { SIDE = 64, VALUES = 3 * SIDE * SIDE, FLIPS = 120 };
enum { FILES = 4 }; /* text encoder, UNet, its pass over the text, VAE */

typedef struct work {
    const char *model, *cache; /* NULL: no cache */
    tg_cpu cpu;
    tg_dtype dtype;
    int width;
    /* what came of it */
    float picture[2 * VALUES];
    size_t made; /* packs that the cache did not have */
    int warnings;
    char said[1024];
} work;

static void hear(void *user, tg_log_level level, const char *message)
{
    work *w = user;
    if (level != TG_LOG_WARNING)
        return;
    w->warnings++;
    snprintf(w->said, sizeof w->said, "%s", message);
}

static void generate(work *w, tg_session *session, tg_model *model)
{
    tg_prompt *prompt = NULL;
    tg_result *result = NULL;
    tg_generate_options o;
    assert_int_equal(tg_prompt_encode(&prompt, session, "a red circle", "blue", NULL), TG_OK);
    tg_session_trim(session, TG_TRIM_TEXT_ENCODERS);
    tg_generate_options_init(&o, model);
    o.steps = 3;
    o.width = w->width ? w->width : SIDE;
    o.height = SIDE;
    o.gate = (tg_gate){2, 1, 1, 0};
    assert_int_equal(tg_generate(&result, session, &prompt, 1, &o), TG_OK);
    tg_array picture = tg_result_image(result, 0);
    memcpy(w->picture, picture.data, sizeof(float) * 3 * SIDE * (size_t)o.width);
    tg_result_free(result);
    tg_prompt_free(prompt);
}

/* A process's life: a model, a session, a picture. */
static void run(work *w)
{
    tg_model *model = NULL;
    tg_session *session = NULL;
    tg_model_options mo;
    tg_session_options so;
    tg_model_options_init(&mo);
    tg_session_options_init(&so);
    mo.cpu = w->cpu;
    if (strcmp(w->model, SINGLE) == 0) {
        mo.config_dir = GOLDEN;
        mo.tokenizer_dir = GOLDEN "/tokenizer";
    }
    mo.log = hear;
    mo.log_user = w;
    so.cache_dir = w->cache;
    so.dtype = w->dtype;
    so.threads = 2;
    w->made = 0;
    w->warnings = 0;
    assert_int_equal(tg_model_open(&model, w->model, &mo), TG_OK);
    if (tg_session_new(&session, model, &so) != TG_OK)
        fail_msg("%s", tg_session_message(session));
    generate(w, session, model);
    for (int i = 0; i < TG__MAX_GROUPS; i++)
        w->made += tg__cpu_context(session->backend, i)->packs.made;
    tg_session_free(session);
    tg_model_close(model);
}

static work reference_of(const work *w)
{
    work plain = *w;
    plain.cache = NULL;
    run(&plain);
    assert_true(plain.made > 100);
    return plain;
}

static void check_same(const work *a, const work *b)
{
    assert_memory_equal(a->picture, b->picture, sizeof a->picture);
    assert_int_equal(a->warnings, 0);
}

/* Cold, warm, and how many files there are then. */
static void check_both(work *w, int files)
{
    work plain = reference_of(w);
    run(w);
    check_same(w, &plain);
    assert_int_equal(w->made, plain.made);
    run(w);
    check_same(w, &plain);
    assert_int_equal(w->made, 0);
    DIR *entries = opendir(w->cache);
    int count = -2;
    while (readdir(entries))
        count++;
    closedir(entries);
    assert_int_equal(count, files);
}

static void test_same_pictures(void **state)
{
    scratch *s = *state;
    static work w;
    w = (work){.model = GOLDEN, .cache = scratch_path(s, "cache"), .dtype = TG_DTYPE_F32};
    check_both(&w, FILES);
    w.cpu = TG_CPU_C; /* our kernels alone; oneDNN's cap is set once a process */
    check_both(&w, tg__cpu_level() == TG_CPU_C ? FILES : 2 * FILES);
    w.cpu = TG_CPU_AUTO;
    w.model = SINGLE;
    check_both(&w, tg__cpu_level() == TG_CPU_C ? 2 * FILES : 3 * FILES);
    w.model = GOLDEN;
    w.dtype = TG_DTYPE_BF16;
    if (tg__cpu_level() >= TG_CPU_AVX512)
        check_both(&w, 4 * FILES);
    else
        tg_skip_part("bf16: this CPU has no AVX-512");
    w.dtype = TG_DTYPE_INT8;
    if (tg_has_vnni())
        check_both(&w, 5 * FILES);
    else
        tg_skip_part("int8: this CPU has no AVX512-VNNI");
}

/* Another size may want other layouts; after both were seen, neither makes anything. */
static void test_sizes(void **state)
{
    scratch *s = *state;
    static work w;
    w = (work){.model = GOLDEN, .cache = scratch_path(s, "cache"), .dtype = TG_DTYPE_F32};
    run(&w);
    w.width = 2 * SIDE;
    work plain = reference_of(&w);
    for (int i = 0; i < 2; i++) {
        run(&w);
        check_same(&w, &plain);
    }
    assert_int_equal(w.made, 0);
    w.width = SIDE;
    run(&w);
    assert_int_equal(w.made, 0);
}

/* A text encoder that was released and is needed again makes nothing, and writes nothing. */
static void test_released(void **state)
{
    scratch *s = *state;
    static work w;
    tg_model *model = NULL;
    tg_session *session = NULL;
    tg_session_options so;
    tg_session_options_init(&so);
    so.cache_dir = scratch_path(s, "cache");
    assert_int_equal(tg_model_open(&model, GOLDEN, NULL), TG_OK);
    assert_int_equal(tg_session_new(&session, model, &so), TG_OK);
    generate(&w, session, model);
    size_t made = tg__cpu_context(session->backend, TEXT_ENCODER)->packs.made;
    assert_true(made > 0);
    work first = w;
    generate(&w, session, model);
    assert_int_equal(tg__cpu_context(session->backend, TEXT_ENCODER)->packs.made, made);
    check_same(&w, &first);
    tg_session_free(session);
    tg_model_close(model);
}

/* --------------------------------------------------------------------------------- changes */

static void copy_model(scratch *s)
{
    char line[512];
    snprintf(line, sizeof line, "cp -r '%s' '%s/m'", GOLDEN, s->folder);
    assert_int_equal(system(line), 0);
}

/* Weights that change within their file, its length being the same. */
static void test_changed_weights(void **state)
{
    scratch *s = *state;
    static work w;
    char model[128], cache[128], path[256];
    copy_model(s);
    snprintf(model, sizeof model, "%s/m", s->folder);
    snprintf(cache, sizeof cache, "%s/cache", s->folder);
    w = (work){.model = model, .cache = cache, .dtype = TG_DTYPE_F32};
    check_both(&w, FILES);
    work before = w;
    snprintf(path, sizeof path, "%s/unet/diffusion_pytorch_model.safetensors", model);
    int fd = open(path, O_RDWR);
    off_t length = lseek(fd, 0, SEEK_END);
    for (off_t at = length / 2; at < length / 2 + 4096; at += 2) {
        char value[2];
        assert_int_equal(pread(fd, value, 2, at), 2);
        value[1] = (char)(value[1] ^ 0x80);
        assert_int_equal(pwrite(fd, value, 2, at), 2);
    }
    close(fd);
    work plain = reference_of(&w);
    assert_memory_not_equal(plain.picture, before.picture, sizeof plain.picture);
    run(&w);
    check_same(&w, &plain);
    assert_true(w.made > 0 && w.made < plain.made); /* the other networks' are good still */
    run(&w);
    check_same(&w, &plain);
    assert_int_equal(w.made, 0);
}

static void flip(const char *path, unsigned *random)
{
    int fd = open(path, O_RDWR);
    off_t length = lseek(fd, 0, SEEK_END), at = scratch_random(random) % length;
    if (scratch_random(random) % 2)
        at %= 20000; /* the head */
    for (int i = 0; i < 3; i++, at = (at + 1) % length) {
        unsigned char value;
        assert_int_equal(pread(fd, &value, 1, at), 1);
        value ^= (unsigned char)(1 + scratch_random(random) % 255);
        assert_int_equal(pwrite(fd, &value, 1, at), 1);
    }
    if (scratch_random(random) % 8 == 0)
        assert_int_equal(ftruncate(fd, scratch_random(random) % length), 0);
    close(fd);
}

static void test_flips(void **state)
{
    scratch *s = *state;
    static work w;
    char cache[128], path[512];
    unsigned random = 7;
    size_t made = 0;
    snprintf(cache, sizeof cache, "%s/cache", s->folder);
    w = (work){.model = GOLDEN, .cache = cache, .dtype = TG_DTYPE_F32};
    check_both(&w, FILES);
    const work good = w;
    for (int i = 0; i < FLIPS; i++) {
        DIR *entries = opendir(cache);
        for (struct dirent *entry; (entry = readdir(entries));) {
            snprintf(path, sizeof path, "%s/%s", cache, entry->d_name);
            if (entry->d_name[0] != '.' && scratch_random(&random) % 2)
                flip(path, &random);
        }
        closedir(entries);
        run(&w);
        check_same(&w, &good);
        made += w.made;
    }
    assert_true(made > FLIPS);
    run(&w);
    assert_int_equal(w.made, 0);
}

static void test_unwritable(void **state)
{
    scratch *s = *state;
    static work w;
    w = (work){.model = GOLDEN, .dtype = TG_DTYPE_F32};
    work plain = reference_of(&w);
    w.cache = scratch_write(s, "cache", "x", 1);
    run(&w);
    assert_memory_equal(w.picture, plain.picture, sizeof w.picture);
    assert_int_equal(w.warnings, 1); /* once, though there are three networks */
    assert_non_null(strstr(w.said, "cache/text_encoder-f32-"));
    assert_non_null(strstr(w.said, ".packs: cannot be written (Not a directory); "
                                   "the next start will not be faster"));
}

/* -------------------------------------------------------------------------------- side by side */

static void *run_thread(void *w)
{
    run(w);
    return NULL;
}

static void test_two_at_once(void **state)
{
    scratch *s = *state;
    static work w[2];
    w[0] = (work){.model = GOLDEN, .cache = scratch_path(s, "cache"), .dtype = TG_DTYPE_F32};
    w[1] = w[0];
    work plain = reference_of(&w[0]);
    for (int i = 0; i < 4; i++) {
        pthread_t threads[2];
        for (int t = 0; t < 2; t++)
            assert_int_equal(pthread_create(&threads[t], NULL, run_thread, &w[t]), 0);
        for (int t = 0; t < 2; t++)
            pthread_join(threads[t], NULL);
        check_same(&w[0], &plain);
        check_same(&w[1], &plain);
    }
    assert_int_equal(w[0].made + w[1].made, 0);
}

#define SCRATCH_TEST(function) \
    cmocka_unit_test_setup_teardown(function, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_same_pictures),   SCRATCH_TEST(test_sizes), SCRATCH_TEST(test_released),
        SCRATCH_TEST(test_changed_weights), SCRATCH_TEST(test_flips), SCRATCH_TEST(test_unwritable),
        SCRATCH_TEST(test_two_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
