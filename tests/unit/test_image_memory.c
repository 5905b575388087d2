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

/* What is done to the file at s->path. */
typedef tg_status job(scratch *s, char *message, size_t size);

static tg_status write_picture(scratch *s, char *message, size_t size)
{
    static float values[3 * 40 * 50];
    const tg_array picture = {1, 3, 40, 50, values};
    return tg_image_write(picture, s->path, "a c\xc3\xa4t", true, message, size);
}

static tg_status read_picture(scratch *s, char *message, size_t size)
{
    tg_array picture;
    tg_status status = tg_image_read(&picture, s->path, message, size);
    assert_true((status == TG_OK) == (picture.data != NULL));
    tg_array_free(&picture);
    return status;
}

static tg_status read_array(scratch *s, char *message, size_t size)
{
    tg_array array;
    tg_status status = tg_npy_read(&array, s->path, message, size);
    assert_true((status == TG_OK) == (array.data != NULL));
    tg_array_free(&array);
    return status;
}

/* Does it again and again, until it takes no allocation that could fail. */
static void each_allocation_fails(scratch *s, job *work)
{
    int files = scratch_count(s), at;
    for (at = 0; at < MOST_ALLOCATIONS; at++) {
        char message[200] = "";
        long before = live;
        left = at;
        tg_status status = work(s, message, sizeof message);
        bool failed = left < 0;
        left = -1;
        assert_int_equal(live, before);
        assert_int_equal(scratch_count(s), files);
        if (!failed)
            break;
        if (status == TG_ERROR_FORMAT && work == read_picture && strstr(message, "WebP file"))
            continue; /* libwebp does not always know what it lacked */
        if (status != TG_OK) {
            assert_string_equal(message, "out of memory");
            assert_int_equal(status, TG_ERROR_MEMORY);
        }
    }
#ifndef OTHER_ALLOCATOR
    assert_in_range(at, 1, MOST_ALLOCATIONS - 1);
#else
    tg_skip_part("failing allocations: they are another allocator's");
#endif
    assert_int_equal(work(s, NULL, 0), TG_OK);
}

static void test_each_allocation(void **state)
{
    scratch *s = *state;
    static const struct {
        const char *name;
        job *read;
    } cases[] = {
        {"m.png", read_picture},
        {"m.jpg", read_picture},
        {"m.webp", read_picture},
        {"m.npy", read_array},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_path(s, cases[i].name);
        assert_int_equal(write_picture(s, NULL, 0), TG_OK);
        each_allocation_fails(s, write_picture);
        each_allocation_fails(s, cases[i].read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_each_allocation)};
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
