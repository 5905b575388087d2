/* SPDX-License-Identifier: MIT */
/* GGUF files: values as the package gguf gives them (tests/golden/make_gguf.py), bit by bit, and
 * headers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "kernels/kernels.h"
#include "scratch.h"

#define GOLDEN TG_TEST_DATA "/golden/gguf/"

static tg__conversions conversions(void)
{
    static tg__kernels kernels;
    tg__kernels_init(&kernels, TG_CPU_C);
    return tg__kernels_conversions(&kernels);
}

/* Whole, in f32 and bf16, and in pieces that begin and end within blocks. */
static void check_values(const tg__weight *got, const tg__weight *first_ones, const tg__weight *sum)
{
    const tg__conversions c = conversions();
    size_t count = tg__weight_count(got);
    float *a = malloc(count * sizeof *a), *b = malloc(count * sizeof *b);
    tg__bf16 *narrow = malloc(count * sizeof *narrow);
    uint64_t expected, total = 0;
    tg__weight_read(got, a, TG__F32, 0, count, &c);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &a[i], sizeof bits);
        total += bits * (2 * (uint64_t)i + 1);
    }
    memcpy(&expected, sum->data, sizeof expected);
    assert_memory_equal(a, first_ones->data, first_ones->bytes);
    assert_true(total == expected);
    tg__weight_read(got, narrow, TG__BF16, 0, count, &c);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(narrow[i], tg__to_bf16(a[i]));
    for (size_t first = 0, n = 1; first < count; first += n, n = n * 2 + 37) {
        n = n < count - first ? n : count - first;
        tg__weight_read(got, b + first, TG__F32, first, n, &c);
    }
    assert_memory_equal(a, b, count * sizeof *a);
    tg__weight_drop(got);
    free(a);
    free(b);
    free(narrow);
}

static void values(void **state)
{
    (void)state;
    tg__error error = {0};
    tg__gguf *file = tg__gguf_open(GOLDEN "t5.gguf", &error);
    tg__safetensors *golden = tg__safetensors_open(GOLDEN "t5.safetensors", &error);
    if (!file || !golden)
        fail_msg("%s", error.message);
    assert_string_equal(tg__gguf_string(file, "general.architecture"), "t5encoder");
    assert_null(tg__gguf_string(file, "general.nothing"));
    assert_int_equal(tg__gguf_count(file), 12);
    for (size_t i = 0; i < tg__gguf_count(file); i++) {
        const tg__weight *got = tg__gguf_at(file, i);
        char name[64];
        snprintf(name, sizeof name, "%s.sum", got->name);
        check_values(got, tg__safetensors_find(golden, got->name),
                     tg__safetensors_find(golden, name));
    }
    tg__gguf_drop(file);
    tg__gguf_close(file);
    tg__safetensors_close(golden);
}

/* ----------------------------------------------------------------------------- files that lie */

typedef struct bytes {
    unsigned char at[4096];
    size_t count;
} bytes;

static void put(bytes *b, uint64_t value, int n)
{
    for (int i = 0; i < n; i++)
        b->at[b->count++] = (unsigned char)(value >> 8 * i);
}

static void put_text(bytes *b, const char *text)
{
    put(b, strlen(text), 8);
    memcpy(b->at + b->count, text, strlen(text));
    b->count += strlen(text);
}

static void put_header(bytes *b, uint64_t tensors, uint64_t values_count)
{
    *b = (bytes){0};
    put(b, 0x46554747, 4);
    put(b, 3, 4);
    put(b, tensors, 8);
    put(b, values_count, 8);
}

static void put_tensor(bytes *b, const char *name, uint64_t columns, uint64_t rows, uint32_t type,
                       uint64_t offset)
{
    put_text(b, name);
    put(b, 2, 4);
    put(b, columns, 8);
    put(b, rows, 8);
    put(b, type, 4);
    put(b, offset, 8);
}

/* Behind the header's padding. */
static void put_data(bytes *b, size_t n) { b->count = (b->count + 31) / 32 * 32 + n; }

static void refused(scratch *s, const bytes *b, const char *sentence)
{
    tg__error error = {0};
    const char *path = scratch_write(s, "x.gguf", b->at, b->count);
    tg__gguf *file = tg__gguf_open(path, &error);
    assert_null(file);
    const char *colon = strstr(error.message, ": ");
    if (!colon || strcmp(colon + 2, sentence) != 0)
        fail_msg("%s\nexpected %s", error.message, sentence);
}

static void lies(void **state)
{
    scratch *s = *state;
    bytes b = {0};
    refused(s, &b, "is empty, expected a .gguf file");
    put(&b, 0x46554748, 4);
    put(&b, 3, 4);
    refused(s, &b, "does not begin with GGUF, expected a .gguf file");
    put_header(&b, 0, 0);
    b.at[4] = 1;
    refused(s, &b, "is of version 1, expected 2 or 3");
    put_header(&b, 0, 0);
    memcpy(b.at + 4, "\0\0\0\3", 4);
    refused(s, &b, "is of version 50331648 or big endian, expected 2 or 3");
    put_header(&b, UINT64_MAX, 0);
    refused(s, &b,
            "has 18446744073709551615 tensors, expected at most as many as 0 bytes describe");
    put_header(&b, 0, UINT64_MAX);
    refused(s, &b, "ends within a key at byte 24 of 24");
    put_header(&b, 0, 1);
    put(&b, UINT64_MAX - 3, 8);
    refused(s, &b,
            "a key at byte 32 is 18446744073709551612 bytes long, expected at most the 0 that are "
            "left");
    put_header(&b, 0, 1);
    put_text(&b, "k");
    put(&b, 13, 4);
    refused(s, &b, "a value before byte 37 has the type 13, expected 0 to 12");
    put_header(&b, 0, 1);
    put_text(&b, "k");
    put(&b, 9, 4);
    put(&b, 10, 4);
    put(&b, UINT64_MAX / 8 + 1, 8);
    refused(s, &b, "ends within its metadata at byte 49 of 49");
    put_header(&b, 0, 1);
    put_text(&b, "k");
    put(&b, 9, 4);
    for (int i = 0; i < 6; i++) {
        put(&b, 9, 4);
        put(&b, 1, 8);
    }
    refused(s, &b, "has arrays in arrays deeper than 4");
    put_header(&b, 0, 1);
    put_text(&b, "general.alignment");
    put(&b, 4, 4);
    put(&b, 48, 4);
    refused(s, &b, "general.alignment is 48, expected a power of two from 8 to 1048576");
    put_header(&b, 1, 0);
    put_tensor(&b, "a", 256, 1, 12, 0);
    put_data(&b, 143);
    refused(s, &b,
            "a: 144 bytes at 0 of the data, expected a multiple of 32 within their 143 bytes");
    put_header(&b, 1, 0);
    put_tensor(&b, "a", 32, 1, 8, UINT64_MAX - 31);
    put_data(&b, 64);
    refused(s, &b,
            "a: 34 bytes at 18446744073709551584 of the data, expected a multiple of 32 within "
            "their 64 bytes");
    put_header(&b, 1, 0);
    put_tensor(&b, "a", 32, 1, 8, 1);
    put_data(&b, 64);
    refused(s, &b, "a: 34 bytes at 1 of the data, expected a multiple of 32 within their 64 bytes");
    put_header(&b, 1, 0);
    put_tensor(&b, "a", 255, 1, 12, 0);
    put_data(&b, 144);
    refused(s, &b, "a: has rows that its type's blocks do not divide, expected whole blocks");
    put_header(&b, 1, 0);
    put_tensor(&b, "a", 0, 1, 0, 0);
    put_data(&b, 32);
    refused(s, &b,
            "a: has a dimension of no size or is too large, expected at most 2^48 elements in "
            "dimensions of 1 to 2147483647");
    put_header(&b, 1, 0);
    put_tensor(&b, "a", 0x7FFFFFFF, 0x7FFFFFFF, 0, 0);
    refused(s, &b,
            "a: has a dimension of no size or is too large, expected at most 2^48 elements in "
            "dimensions of 1 to 2147483647");
    put_header(&b, 1, 0);
    put_tensor(&b, "a", 1, 1, 99, 0);
    refused(s, &b, "a: is of no known type, expected F32, F16, BF16, Q8_0, Q4_K, Q5_K or Q6_K");
    put_header(&b, 2, 0);
    put_tensor(&b, "a", 16, 1, 0, 0);
    put_tensor(&b, "b", 16, 1, 0, 32);
    put_data(&b, 128);
    refused(s, &b, "b: overlaps another tensor");
    put_header(&b, 2, 0);
    put_tensor(&b, "a", 8, 1, 0, 0);
    put_tensor(&b, "a", 8, 1, 0, 32);
    put_data(&b, 128);
    refused(s, &b, "a: is there twice");
}

/* Every beginning of a file, and every byte of its header changed: an error or a file, and what
 * the file then says can be read. */
static void damaged(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    size_t length;
    char *data = tg__file_read(GOLDEN "other.gguf", 1 << 20, &length, &error);
    const tg__conversions c = conversions();
    assert_non_null(data);
    for (size_t n = 0; n < 2 * length; n++) {
        char old = n < length ? data[n] : '\0';
        static const char changes[] = {1, 2, 8, 64, -1};
        for (size_t k = 0; k < (n < length ? sizeof changes : 1); k++) {
            size_t size = n < length ? length : n - length;
            if (n < length)
                data[n] ^= changes[k];
            error = (tg__error){0};
            tg__gguf *file = tg__gguf_open(scratch_write(s, "x.gguf", data, size), &error);
            assert_true(file ? error.status == TG_OK : error.status != TG_OK);
            for (size_t i = 0; file && i < tg__gguf_count(file); i++) {
                const tg__weight *w = tg__gguf_at(file, i);
                if (w->dtype == TG__OTHER) /* of any size: its bytes are not known */
                    continue;
                float *values = malloc(tg__weight_count(w) * sizeof *values);
                assert_non_null(values);
                tg__weight_read(w, values, TG__F32, 0, tg__weight_count(w), &c);
                free(values);
            }
            tg__gguf_close(file);
            if (n < length)
                data[n] = old;
        }
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test_setup_teardown(lies, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(damaged, scratch_make, scratch_remove)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
