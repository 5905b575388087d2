/* SPDX-License-Identifier: MIT */
/* Pictures and arrays where memory runs out: each allocation fails in turn, libpng's and the
 * others' too. Each time the call says so, frees what it had, and leaves no file behind. */
#include "tgate.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "scratch.h"
#include "skip.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define OTHER_ALLOCATOR
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR
#endif

/* How many more allocations succeed before one fails; below zero: all. */
static volatile long left = -1;
static volatile long live; /* allocations that are not freed */

#ifndef OTHER_ALLOCATOR
/* The C library's own functions under the names that it keeps for this purpose. Ours have to be
 * seen by it and by libpng and the others, though the build hides what is not said to be public. */
#pragma GCC visibility push(default)
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void __libc_free(void *memory);

static bool fails(void) { return left >= 0 && left-- == 0; }

static void *counted(void *memory)
{
    live += memory != NULL;
    return memory;
}

void *malloc(size_t size) { return fails() ? NULL : counted(__libc_malloc(size)); }

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__libc_calloc(count, size));
}

void *realloc(void *memory, size_t size)
{
    if (!memory)
        return malloc(size);
    return fails() ? NULL : __libc_realloc(memory, size);
}

void free(void *memory)
{
    live -= memory != NULL;
    __libc_free(memory);
}
#pragma GCC visibility pop
#endif

enum { MOST_ALLOCATIONS = 1000 };

/* What is done, to the file at s->path or in memory. */
typedef tg_status job(scratch *s, tg_error *error);

static float values[3 * 40 * 50];
static const tg_array made = {1, 3, 40, 50, values};

/* The file's content. */
static void *content;
static size_t content_bytes;

static tg_status write_picture(scratch *s, tg_error *error)
{
    return tg_image_write(made, s->path, "a c\xc3\xa4t", true, error);
}

static tg_status encode(scratch *s, tg_error *error)
{
    tg_image_format format;
    void *data;
    size_t bytes;
    assert_true(tg_image_format_from_path(s->path, &format));
    tg_status status = tg_image_encode(&data, &bytes, made, format, "a c\xc3\xa4t", error);
    assert_true((status == TG_OK) == (data != NULL) && (status == TG_OK) == (bytes > 0));
    tg_free(data);
    return status;
}

static tg_status encode_array(scratch *s, tg_error *error)
{
    void *data;
    size_t bytes;
    (void)s;
    tg_status status = tg_npy_encode(&data, &bytes, made, error);
    assert_true((status == TG_OK) == (data != NULL) && (status == TG_OK) == (bytes > 0));
    tg_free(data);
    return status;
}

/* The end of what reads. */
static tg_status give_back(tg_array *array, tg_status status)
{
    assert_true((status == TG_OK) == (array->data != NULL));
    tg_array_free(array);
    return status;
}

static tg_status read_picture(scratch *s, tg_error *error)
{
    tg_array picture;
    return give_back(&picture, tg_image_read(&picture, s->path, error));
}

static tg_status decode(scratch *s, tg_error *error)
{
    tg_array picture;
    (void)s;
    return give_back(&picture, tg_image_decode(&picture, content, content_bytes, error));
}

static tg_status read_array(scratch *s, tg_error *error)
{
    tg_array array;
    return give_back(&array, tg_npy_read(&array, s->path, error));
}

static tg_status decode_array(scratch *s, tg_error *error)
{
    tg_array array;
    (void)s;
    return give_back(&array, tg_npy_decode(&array, content, content_bytes, error));
}

/* Does it again and again, until it takes no allocation that could fail. */
static void each_allocation_fails(scratch *s, job *work)
{
    int files = scratch_count(s), at;
    for (at = 0; at < MOST_ALLOCATIONS; at++) {
        tg_error error;
        long before = live;
        left = at;
        tg_status status = work(s, &error);
        bool failed = left < 0;
        left = -1;
        assert_int_equal(live, before);
        assert_int_equal(scratch_count(s), files);
        if (!failed)
            break;
        if (status == TG_ERROR_FORMAT && (work == read_picture || work == decode) &&
            strstr(error.message, "WebP file"))
            continue; /* libwebp does not always know what it lacked */
        if (status != TG_OK) {
            assert_string_equal(error.message, "out of memory");
            assert_string_equal(error.subject, "");
            assert_int_equal(status, TG_ERROR_MEMORY);
        }
    }
#ifndef OTHER_ALLOCATOR
    assert_in_range(at, 1, MOST_ALLOCATIONS - 1);
#else
    tg_skip_part("failing allocations: they are another allocator's");
#endif
    assert_int_equal(work(s, NULL), TG_OK);
}

static void test_each_allocation(void **state)
{
    scratch *s = *state;
    static const char *const names[] = {"m.png", "m.jpg", "m.webp", "m.npy"};
    static job *const jobs[] = {write_picture, encode, read_picture, decode};
    static job *const of_arrays[] = {read_array, encode_array, decode_array};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tg_image_format format;
        scratch_path(s, names[i]);
        assert_int_equal(write_picture(s, NULL), TG_OK);
        assert_true(tg_image_format_from_path(s->path, &format));
        assert_int_equal(tg_image_encode(&content, &content_bytes, made, format, NULL, NULL),
                         TG_OK);
        for (size_t k = 0; k < sizeof jobs / sizeof *jobs; k++)
            each_allocation_fails(s, jobs[k]);
        for (size_t k = 0; format == TG_IMAGE_NPY && k < sizeof of_arrays / sizeof *of_arrays; k++)
            each_allocation_fails(s, of_arrays[k]);
        tg_free(content);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
