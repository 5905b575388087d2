/* SPDX-License-Identifier: MIT */
/* The file of packed weights: what was put in comes out, and only that, whatever happened to the
 * file meanwhile. It includes the module itself, to make files that lie with a right sum. */
#include "io/cache.c"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "scratch.h"

enum { PACKS = 5, WEIGHTS = 256, CASES = 6000 };

typedef struct bench {
    scratch *s;
    tg__safetensors *files[2];
    tg__cache_spec spec;
    tg__log_sink log;
    tg__cache *cache;
    tg__packs packs;
    int infos, warnings;
    char said[1024]; /* last */
} bench;

static void hear(void *user, tg_log_level level, const char *message)
{
    bench *b = user;
    *(level == TG_LOG_WARNING ? &b->warnings : &b->infos) += 1;
    snprintf(b->said, sizeof b->said, "%s", message);
}

static tg__safetensors *open_weights(scratch *s, const char *name)
{
    unsigned char file[512] = {0};
    tg__error error = {0};
    int length = snprintf((char *)file + 8, sizeof file - 8,
                          "{\"a\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[0,%d]}}",
                          WEIGHTS, WEIGHTS);
    file[0] = (unsigned char)length;
    if (access(scratch_path(s, name), F_OK) != 0)
        scratch_write(s, name, file, 8 + (size_t)length + WEIGHTS);
    tg__safetensors *opened = tg__safetensors_open(s->path, &error);
    assert_non_null(opened);
    return opened;
}

static void start(bench *b, scratch *s, const char *maker)
{
    static char folder[128];
    tg__error error = {0};
    snprintf(folder, sizeof folder, "%s/cache", s->folder);
    *b = (bench){.s = s, .log = {hear, b}};
    b->files[0] = open_weights(s, "w0");
    b->files[1] = open_weights(s, "w1");
    b->spec = (tg__cache_spec){folder, "net-f32", maker, b->files, 2, &b->log};
    b->cache = tg__cache_new(&b->spec, &error);
    assert_non_null(b->cache);
    b->packs.store = tg__cache_store(b->cache);
}

static void end(bench *b)
{
    tg__packs_free(&b->packs);
    tg__cache_free(b->cache);
    tg__safetensors_close(b->files[0]);
    tg__safetensors_close(b->files[1]);
}

/* The i-th pack: where from, how long, which layout. */
static tg__pack_key key_of(const bench *b, int i)
{
    const tg__weight *tensor = tg__safetensors_find(b->files[i % 2], "a");
    tg__pack_key key = {{tensor->identity, tensor->identity}, 5 - i, i, 2 * i, (tg__form)i, i - 3};
    key.parts[0].at += (uint64_t)i / 2;
    if (i % 3 == 0)
        key.parts[1] = (tg__identity){0};
    return key;
}

static size_t bytes_of(int i) { return i == 1 ? 3 * PIECE / 2 : 40 + 23 * (size_t)i; }

/* Bytes that differ from pack to pack. */
static unsigned char pattern[2 * PIECE];

static void fill_pattern(void)
{
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (unsigned char)(i * 7 + i / 256);
}

static bool is_right(const tg__pack *pack, int i)
{
    return memcmp(pack->data, pattern + i, pack->bytes) == 0;
}

static tg__pack *add(bench *b, int i, const char *layout)
{
    tg__error error = {0};
    tg__pack *pack =
        tg__packs_add(&b->packs, key_of(b, i), bytes_of(i), layout, strlen(layout), &error);
    assert_non_null(pack);
    return pack;
}

/* As the makers do it; the data is right afterwards. */
static void make(bench *b, int i, const char *layout)
{
    tg__pack *pack = add(b, i, layout);
    if (!pack->stored)
        memcpy(pack->data, pattern + i, pack->bytes);
    pack->ready = true;
    assert_true(is_right(pack, i));
    assert_int_equal((uintptr_t)pack->data % 64, 0);
}

static void make_all(bench *b)
{
    for (int i = 0; i < PACKS; i++)
        make(b, i, i == 2 ? "" : "layout");
}

/* A session that needs all of them; how many it had to make. */
static size_t run(scratch *s, const char *maker)
{
    bench b;
    start(&b, s, maker);
    make_all(&b);
    assert_true(tg__cache_save(b.cache, &b.packs));
    assert_int_equal(b.warnings, 0);
    size_t made = b.packs.made;
    end(&b);
    return made;
}

static char *file_path(scratch *s)
{
    static char path[PATH_MAX];
    bench b;
    start(&b, s, "m");
    snprintf(path, sizeof path, "%s", b.cache->path);
    end(&b);
    return path;
}

/* ---------------------------------------------------------------------------------- as it should
 */

static void test_round_trip(void **state)
{
    scratch *s = *state;
    struct stat first, second;
    assert_int_equal(run(s, "m"), PACKS);
    assert_int_equal(stat(file_path(s), &first), 0);
    assert_int_equal(run(s, "m"), 0);
    assert_int_equal(stat(file_path(s), &second), 0);
    assert_int_equal(first.st_ino, second.st_ino); /* not written again */
    assert_int_equal(first.st_mtim.tv_nsec, second.st_mtim.tv_nsec);
    assert_int_equal(scratch_count(s), 3);
}

/* Another layout of the same weights is made, added, and both are there afterwards; also what a
 * session did not use stays. */
static void test_more_layouts(void **state)
{
    scratch *s = *state;
    bench b;
    assert_int_equal(run(s, "m"), PACKS);
    start(&b, s, "m");
    make(&b, 0, "other.");
    make(&b, 4, "layout");
    make(&b, 4, "longer layout");
    assert_int_equal(b.packs.made, 2);
    assert_true(tg__cache_save(b.cache, &b.packs));
    end(&b);
    assert_int_equal(run(s, "m"), 0);
    start(&b, s, "m");
    make(&b, 0, "other.");
    make(&b, 4, "longer layout");
    assert_int_equal(b.packs.made, 0);
    end(&b);
}

/* What is freed and asked for again in the same session comes from the file; so does what came
 * from it before, whose old file is gone. */
static void test_again(void **state)
{
    scratch *s = *state;
    bench b;
    start(&b, s, "m");
    make(&b, 0, "layout");
    assert_true(tg__cache_save(b.cache, &b.packs));
    tg__packs_free(&b.packs);
    make_all(&b);
    assert_int_equal(b.packs.made, PACKS);
    assert_true(tg__cache_save(b.cache, &b.packs));
    for (int i = 0; i < PACKS; i++)
        assert_true(is_right(tg__packs_find(&b.packs, key_of(&b, i), 0), i));
    tg__packs_free(&b.packs);
    make_all(&b);
    assert_int_equal(b.packs.made, PACKS);
    end(&b);
}

/* A maker that failed leaves a pack that is neither found nor kept. */
static void test_not_ready(void **state)
{
    scratch *s = *state;
    bench b;
    start(&b, s, "m");
    memset(add(&b, 0, "layout")->data, 0xEE, bytes_of(0));
    assert_null(tg__packs_find(&b.packs, key_of(&b, 0), 0));
    make(&b, 3, "layout");
    assert_true(tg__cache_save(b.cache, &b.packs));
    end(&b);
    start(&b, s, "m");
    make(&b, 0, "layout");
    make(&b, 3, "layout");
    assert_int_equal(b.packs.made, 1);
    end(&b);
}

/* Data that lies in no file of weights cannot be told again. */
static void test_foreign_key(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    bench b;
    start(&b, s, "m");
    tg__pack_key keys[] = {key_of(&b, 1), key_of(&b, 1), {.count = 1}};
    keys[0].parts[0] = keys[1].parts[2] = tg__identity_new();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        tg__pack *pack = tg__packs_add(&b.packs, keys[i], 8, NULL, 0, &error);
        memset(pack->data, 0, 8);
        pack->ready = true;
    }
    assert_true(tg__cache_save(b.cache, &b.packs));
    assert_null(b.cache->images); /* nothing to write */
    make(&b, 0, "layout");
    assert_true(tg__cache_save(b.cache, &b.packs));
    assert_int_equal(b.cache->images->count, 1);
    end(&b);
}

/* Two sessions that do not know of each other: the last writer's file is there, and good. */
static void test_two_at_once(void **state)
{
    scratch *s = *state;
    bench a, b;
    start(&a, s, "m");
    start(&b, s, "m");
    make(&a, 0, "layout");
    make_all(&b);
    assert_true(tg__cache_save(b.cache, &b.packs));
    assert_true(tg__cache_save(a.cache, &a.packs));
    make(&b, 0, "new layout");
    assert_true(tg__cache_save(b.cache, &b.packs));
    end(&a);
    end(&b);
    assert_int_equal(run(s, "m"), 0);
    assert_int_equal(scratch_count(s), 3);
}

/* --------------------------------------------------------------------------- what makes it differ
 */

static void test_another_maker(void **state)
{
    scratch *s = *state;
    bench b;
    assert_int_equal(run(s, "m"), PACKS);
    start(&b, s, "n");
    make(&b, 0, "layout");
    assert_int_equal(b.packs.made, 1);
    assert_non_null(strstr(
        b.said, ".packs: was made from other weights or by another version; it is made anew"));
    assert_true(tg__cache_save(b.cache, &b.packs));
    end(&b);
    assert_int_equal(run(s, "n"), PACKS - 1); /* in the place of the old one */
    assert_int_equal(run(s, "m"), PACKS);
}

static void test_changed_weights(void **state)
{
    scratch *s = *state;
    struct stat status;
    assert_int_equal(run(s, "m"), PACKS);
    assert_int_equal(stat(scratch_path(s, "w1"), &status), 0);
    struct timespec times[2] = {status.st_atim, status.st_mtim};
    times[1].tv_nsec = (times[1].tv_nsec + 1) % 1000000000;
    assert_int_equal(utimensat(AT_FDCWD, s->path, times, 0), 0);
    assert_int_equal(run(s, "m"), PACKS);
    assert_int_equal(run(s, "m"), 0);
    /* The time of the last writing can be set back, that of the last change cannot. */
    usleep(20000); /* longer than its unit on any system */
    assert_int_equal(utimensat(AT_FDCWD, s->path, times, 0), 0);
    assert_int_equal(run(s, "m"), PACKS);
    assert_int_equal(scratch_count(s), 3);
}

/* ------------------------------------------------------------------------------------ damage */

/* Reads the whole file; the caller frees. */
static unsigned char *load(scratch *s, size_t *bytes)
{
    tg__error error = {0};
    char *data = tg__file_read(file_path(s), 64 << 20, bytes, &error);
    assert_non_null(data);
    return (unsigned char *)data;
}

static void store(scratch *s, const void *data, size_t bytes)
{
    char *path = file_path(s);
    unlink(path);
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

/* What is asked for is right or not there; how many are not. */
static size_t check_lookups(scratch *s)
{
    bench b;
    start(&b, s, "m");
    make_all(&b); /* asserts that stored data is right */
    size_t made = b.packs.made;
    end(&b);
    return made;
}

static void test_each_byte(void **state)
{
    scratch *s = *state;
    size_t bytes;
    run(s, "m");
    unsigned char *file = load(s, &bytes);
    size_t head_bytes = ((head *)(void *)file)->head_bytes, noticed = 0, tried = 0;
    for (size_t at = 0; at < bytes; at += at < head_bytes + 256 ? 1 : 40009) {
        file[at] ^= (unsigned char)(1 + at % 255);
        store(s, file, bytes);
        size_t made = check_lookups(s);
        noticed += made > 0;
        assert_true(made == PACKS || at >= head_bytes);
        file[at] ^= (unsigned char)(1 + at % 255);
        tried++;
    }
    assert_true(noticed > head_bytes);
    assert_true(noticed + 5 * ALIGNMENT > tried); /* all but what pads the data */
    store(s, file, bytes);
    assert_int_equal(check_lookups(s), 0);
    free(file);
}

static void test_each_length(void **state)
{
    scratch *s = *state;
    size_t bytes;
    run(s, "m");
    unsigned char *file = load(s, &bytes);
    size_t head_bytes = ((head *)(void *)file)->head_bytes;
    for (size_t length = 0; length < bytes; length += length < head_bytes + 100 ? 1 : 50021) {
        store(s, file, length);
        assert_int_equal(check_lookups(s), PACKS);
    }
    unsigned char *longer = calloc(1, bytes + 1);
    memcpy(longer, file, bytes);
    store(s, longer, bytes + 1);
    assert_int_equal(check_lookups(s), PACKS);
    free(longer);
    free(file);
}

/* Puts a strange value into one of the head's words. */
static void lie(unsigned char *file, size_t summed, unsigned *random)
{
    static const uint64_t strange[] = {0,          1,         63,        64,         255,
                                       1 << 20,    INT32_MAX, 1u << 31,  UINT32_MAX, INT64_MAX,
                                       UINT64_MAX, -64ull,    1ull << 63};
    size_t size = scratch_random(random) % 2 ? 8 : 4;
    size_t at = offsetof(head, head_bytes) + scratch_random(random) % (summed / size) * size;
    uint64_t value = strange[scratch_random(random) % (sizeof strange / sizeof *strange)];
    if (scratch_random(random) % 3 == 0) {
        uint64_t old = 0;
        memcpy(&old, file + at, size);
        value = old + (scratch_random(random) % 5 - 2) * (scratch_random(random) % 2 ? 64u : 1u);
    }
    memcpy(file + at, &value, size);
}

/* Heads that lie and whose sum is right: nothing outside the file is touched. The sanitizers watch;
 * what is found must lie in the file. */
static void test_lies(void **state)
{
    scratch *s = *state;
    size_t bytes, found = 0;
    unsigned random = 1;
    run(s, "m");
    unsigned char *good = load(s, &bytes), *file = malloc(bytes);
    size_t head_bytes = ((head *)(void *)good)->head_bytes;
    size_t summed = head_bytes - offsetof(head, head_bytes);
    const int fd = open(file_path(s), O_RDWR);
    memcpy(file, good, bytes);
    bench b;
    start(&b, s, "m");
    b.cache->opened = true; /* by the loop alone */
    for (int i = 0; i < CASES; i++) {
        memcpy(file, good, head_bytes);
        for (unsigned lies = 1 + scratch_random(&random) % 3; lies > 0; lies--)
            lie(file, summed, &random);
        uint64_t sum = sum_of(file + offsetof(head, head_bytes), summed);
        memcpy(file + offsetof(head, sum), &sum, sizeof sum);
        assert_int_equal(pwrite(fd, file, head_bytes, 0), head_bytes);
        open_image(b.cache);
        image *opened = b.cache->images;
        for (size_t e = 0; opened && e < opened->count; e++) {
            assert_true(opened->entries[e].data + opened->entries[e].bytes <= bytes);
            found += sum_of(opened->map + opened->entries[e].data, 1) != 0;
        }
        if (opened) {
            make_all(&b);
            tg__packs_free(&b.packs);
            b.cache->images = opened->older;
            free_image(opened);
        }
    }
    assert_true(found > 0); /* some lies do no harm */
    assert_true(b.infos > CASES / 10);
    end(&b);
    close(fd);
    free(file);
    free(good);
}

static void test_no_file(void **state)
{
    scratch *s = *state;
    char *path = file_path(s);
    run(s, "m");
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(check_lookups(s), PACKS);
    unlink(path);
    assert_int_equal(symlink(path, path), 0);
    assert_int_equal(check_lookups(s), PACKS);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(check_lookups(s), PACKS);
}

/* ------------------------------------------------------------------------------- cannot write */

static void refused(scratch *s, const char *message)
{
    bench b;
    char expected[256];
    start(&b, s, "m");
    make_all(&b);
    snprintf(expected, sizeof expected, "cache/%s%s; the next start will not be faster",
             strrchr(b.cache->path, '/') + 1, message);
    assert_false(tg__cache_save(b.cache, &b.packs));
    assert_int_equal(b.warnings, 1);
    assert_string_equal(b.said, expected);
    end(&b);
}

static void test_unwritable(void **state)
{
    scratch *s = *state;
    scratch_write(s, "cache", "x", 1);
    refused(s, ": cannot be written (Not a directory)");
    unlink(scratch_path(s, "cache"));
    mkdir(file_path(s), 0700); /* fails: its parent is not there */
    mkdir(scratch_path(s, "cache"), 0700);
    mkdir(file_path(s), 0700);
    refused(s, ": is a folder, expected the name of a file");
}

/* A disk that is full, as far as the program can tell. */
static void test_full(void **state)
{
    scratch *s = *state;
    struct rlimit before, limit;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 100000;
    file_path(s);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    refused(s, ": cannot be written (File too large)");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(rmdir(scratch_path(s, "cache")), 0); /* it is empty */
    assert_int_equal(run(s, "m"), PACKS);
}

static void test_long_path(void **state)
{
    scratch *s = *state;
    bench b;
    tg__error error = {0};
    char folder[PATH_MAX];
    memset(folder, 'x', sizeof folder - 1);
    folder[sizeof folder - 1] = '\0';
    start(&b, s, "m");
    b.spec.folder = folder;
    assert_null(tg__cache_new(&b.spec, &error));
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    end(&b);
}

#define SCRATCH_TEST(function) \
    cmocka_unit_test_setup_teardown(function, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_round_trip),    SCRATCH_TEST(test_more_layouts),
        SCRATCH_TEST(test_again),         SCRATCH_TEST(test_not_ready),
        SCRATCH_TEST(test_foreign_key),   SCRATCH_TEST(test_two_at_once),
        SCRATCH_TEST(test_another_maker), SCRATCH_TEST(test_changed_weights),
        SCRATCH_TEST(test_each_byte),     SCRATCH_TEST(test_each_length),
        SCRATCH_TEST(test_lies),          SCRATCH_TEST(test_no_file),
        SCRATCH_TEST(test_unwritable),    SCRATCH_TEST(test_full),
        SCRATCH_TEST(test_long_path),
    };
    fill_pattern();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
