/* SPDX-License-Identifier: MIT */
/* CLIP's tokenizer where memory runs out: each allocation fails in turn, and each time the error
 * says so. What is not freed then is for the leak checkers to tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "skip.h"
#include "text/clip_tokenizer.h"

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
/* The C library's own functions under the names that it keeps for this purpose. */
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
#endif

static const char text[] = "a cat <style> e\u0316\u0301 \u0130 word \u65e5\u672c, <|endoftext|>!";

/* Opens and tokenizes with the n-th allocation failing; false if there were not so many. It may do
 * no harm: qsort() can do without memory. */
static bool fail_one(const char *folder, long n, int *errors)
{
    tg__error error = {0};
    int32_t ids[8];
    int count;
    size_t lost;
    long before = live;
    left = n;
    tg__tokenizer *t = folder ? tg__tokenizer_open(NULL, folder, &error)
                              : tg__clip_tokenizer_shipped("<|endoftext|>", &error);
    if (t)
        tg__tokenize_padded(t, text, 8, ids, &count, &lost, &error);
    bool failed = left < 0;
    left = -1;
    tg__tokenizer_close(t);
    assert_int_equal(live, before);
    if (tg__failed(&error)) {
        assert_true(failed);
        assert_int_equal(error.status, TG_ERROR_MEMORY);
        assert_string_equal(error.message, "out of memory");
        ++*errors;
    }
    return failed;
}

/* Sanitizers and valgrind put their own allocators in place of ours. */
static bool counts_allocations(void)
{
    void *(*volatile allocate)(size_t) = malloc; /* not to be inlined */
    long before = live;
    void *memory = allocate(1);
    bool is_ours = live > before;
    free(memory);
    return is_ours;
}

static void fail_each(const char *folder, long step)
{
    int errors = 0;
    assert_true(fail_one(folder, -1, &errors));
    assert_int_equal(errors, 0);
    if (!counts_allocations())
        tg_skip("allocations are another allocator's");
    for (long n = 0; fail_one(folder, n, &errors); n += step)
        ;
    assert_true(errors > 20);
}

static void test_folders(void **state)
{
    (void)state;
    fail_each(TG_TEST_DATA "/golden/tokenizer/flags", 1);
    fail_each(TG_TEST_DATA "/golden/tokenizer/legacy", 1);
}

static void test_t5_fast(void **state)
{
    (void)state;
    fail_each(TG_TEST_DATA "/golden/t5_tokenizer/old_fast", 1);
}

static void test_shipped(void **state)
{
    (void)state;
    fail_each(NULL, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_t5_fast),
        cmocka_unit_test(test_shipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
