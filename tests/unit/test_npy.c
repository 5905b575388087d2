/* SPDX-License-Identifier: MIT */
/* .npy files against numpy's own writer and reader (tests/golden/make_npy.py), and the sentences
 * that say why a file is refused. */
#include "tgate.h"

#include <limits.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "scratch.h"

enum { MOST_FILE_BYTES = 1 << 14 };

/* One file of a golden: its letter, what numpy makes of it, and itself. */
typedef struct golden {
    char letter;
    uint32_t sizes[4], bytes;
    char file[MOST_FILE_BYTES];
} golden;

static bool next_golden(FILE *file, golden *g)
{
    int letter = getc(file);
    if (letter == EOF)
        return false;
    g->letter = (char)letter;
    assert_int_equal(fread(g->sizes, sizeof g->sizes, 1, file), 1);
    assert_int_equal(fread(&g->bytes, sizeof g->bytes, 1, file), 1);
    assert_in_range(g->bytes, 0, sizeof g->file);
    assert_int_equal(fread(g->file, 1, g->bytes, file), g->bytes);
    return true;
}

static FILE *open_golden(const char *path)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    return file;
}

static void check_sizes(const tg_array *array, const uint32_t sizes[4])
{
    assert_int_equal(array->count, sizes[0]);
    assert_int_equal(array->channels, sizes[1]);
    assert_int_equal(array->height, sizes[2]);
    assert_int_equal(array->width, sizes[3]);
}

/* What is written is what is encoded, and what is encoded is what is read. */
static void check_memory(const tg_array *array, const void *file, size_t file_bytes)
{
    void *data;
    size_t bytes;
    tg_array found;
    assert_int_equal(tg_npy_encode(&data, &bytes, *array, NULL), TG_OK);
    assert_int_equal(bytes, file_bytes);
    assert_memory_equal(data, file, bytes);
    assert_int_equal(tg_npy_decode(&found, data, bytes, NULL), TG_OK);
    tg_free(data);
    size_t n = (size_t)array->count * (size_t)array->channels * (size_t)array->height *
               (size_t)array->width;
    assert_memory_equal(found.data, array->data, n * sizeof *found.data);
    tg_array_free(&found);
}

static void check_file(const char *path, const void *expected, size_t bytes)
{
    static char found[MOST_FILE_BYTES + 1];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, sizeof found, file), bytes);
    fclose(file);
    assert_memory_equal(found, expected, bytes);
}

/* ---------------------------------------------------------------------------- against numpy */

static void test_same_as_numpy(void **state)
{
    scratch *s = *state;
    static golden g;
    tg_error error = {.status = TG_ERROR_IO, .message = "x"};
    FILE *file = open_golden(TG_TEST_DATA "/golden/npy/saved.bin");
    int files = 0;
    for (; next_golden(file, &g); files++) {
        tg_array array;
        const char *path = scratch_write(s, "x.npy", g.file, g.bytes);
        assert_int_equal(tg_npy_read(&array, path, &error), TG_OK);
        assert_string_equal(error.message, "");
        check_sizes(&array, g.sizes);
        size_t n = (size_t)g.sizes[0] * g.sizes[1] * g.sizes[2] * g.sizes[3];
        for (size_t i = 0; i < n; i++)
            assert_true(array.data[i] == (float)i / 8 - 1);
        path = scratch_path(s, "y.npy");
        assert_int_equal(tg_npy_write(array, path, true, &error), TG_OK);
        assert_string_equal(error.message, "");
        check_file(path, g.file, g.bytes);
        check_memory(&array, g.file, g.bytes);
        tg_array_free(&array);
        assert_null(array.data);
    }
    assert_int_equal(files, 6);
    fclose(file);
}

/* What numpy takes and we take too, is the same; what it refuses, we refuse. */
static void test_reads_what_numpy_reads(void **state)
{
    scratch *s = *state;
    static golden g;
    FILE *file = open_golden(TG_TEST_DATA "/golden/npy/headers.bin");
    int accepted = 0, refused = 0;
    while (next_golden(file, &g)) {
        tg_array array;
        tg_error error;
        const char *path = scratch_write(s, "x.npy", g.file, g.bytes);
        bool ok = tg_npy_read(&array, path, &error) == TG_OK;
        if ((g.letter == 'A' && !ok) || (g.letter == 'R' && ok))
            fail_msg("%c: %.*s: %s", g.letter, (int)g.bytes - 10, g.file + 10, error.message);
        if (ok)
            check_sizes(&array, g.sizes);
        else
            assert_true(!array.data && array.count == 0 && strlen(error.message) > 20);
        accepted += ok;
        refused += !ok;
        tg_array_free(&array);
    }
    fclose(file);
    assert_true(accepted > 20 && refused > 300);
}

/* --------------------------------------------------------------------------------- refusals */

/* The file at s->path must be refused so; message is what follows "FOLDER/x.npy: ". */
static void check_refused(scratch *s, tg_status status, const char *message)
{
    tg_array array = {1, 1, 1, 1, NULL};
    char expected[1024];
    tg_error error;
    snprintf(expected, sizeof expected, "%s/x.npy: %s", s->folder + strlen("/tmp/"), message);
    tg_status got = tg_npy_read(&array, s->path, &error);
    assert_string_equal(error.message, expected);
    assert_int_equal(got, status);
    assert_int_equal(error.status, status);
    assert_null(array.data);
    assert_int_equal(array.count, 0);
}

/* A version 1.0 file with this header and 24 zero bytes behind it. */
static void refused(scratch *s, const char *header, const char *message)
{
    char file[1024] = "\x93NUMPY\x01";
    size_t length = strlen(header);
    assert_true(length < 256);
    file[8] = (char)length;
    memcpy(file + 10, header, length);
    scratch_write(s, "x.npy", file, 10 + length + 24);
    check_refused(s, TG_ERROR_FORMAT, message);
}

static void test_headers(void **state)
{
    scratch *s = *state;
    refused(s, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1, 2, 3), }",
            "dtype is '<f8', expected '<f4'");
    refused(s, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1, 2, 3), }",
            "dtype is [('a', '<f4')], expected '<f4'");
    refused(s, "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 1, 2, 3), }",
            "its values are in Fortran order, expected C order");
    refused(s, "{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 1, 2, 3), }",
            "fortran_order is 0, expected False");
    refused(s, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
            "shape is (2, 3), expected four sizes from 1 to 2147483647");
    refused(s, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 0), }",
            "shape is (1, 1, 2, 0), expected four sizes from 1 to 2147483647");
    refused(s, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 2147483648), }",
            "shape is (1, 1, 1, 2147483648), expected four sizes from 1 to 2147483647");
    refused(s, "{'descr': '<f4', 'shape': (1, 1, 2, 3), }",
            "its header is {'descr': '<f4', 'shape': (1, 1, 2, 3), }, expected a dictionary of "
            "descr, fortran_order and shape");
    refused(s, "\x01\xff{",
            "its header is ??{, expected a dictionary of descr, fortran_order and "
            "shape");
    refused(s, "", "its header is empty, expected a dictionary of descr, fortran_order and shape");
}

static void test_sizes(void **state)
{
    scratch *s = *state;
    refused(s, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2, 2), }",
            "has 24 bytes behind its header, expected 16 for shape (1, 1, 2, 2)");
    refused(s, "{'descr': '<f4', 'fortran_order': False, 'shape': (7, 1, 1, 1), }",
            "has 24 bytes behind its header, expected 28 for shape (7, 1, 1, 1)");
    /* The product is 24 if it is cut to 64 bits. */
    refused(s,
            "{'descr': '<f4', 'fortran_order': False, "
            "'shape': (2147483647, 2147483647, 2147483647, 2147483647), }",
            "has 24 bytes behind its header, expected more for shape (2147483647, 2147483647, "
            "2147483647, 2147483647)");
    refused(s, "{'descr': '<f4', 'fortran_order': False, 'shape': (65536, 65536, 65536, 65536), }",
            "has 24 bytes behind its header, expected more for shape (65536, 65536, 65536, 65536)");
}

static void test_beginnings(void **state)
{
    scratch *s = *state;
    static const struct {
        const char *file;
        size_t bytes;
        tg_status status;
        const char *message;
    } cases[] = {
        {"", 0, TG_ERROR_FORMAT, "is no .npy file, expected one that begins with \\x93NUMPY"},
        {"\x93NUMPX\1\0\0\0", 10, TG_ERROR_FORMAT,
         "is no .npy file, expected one that begins with \\x93NUMPY"},
        {"\x93NUMPY", 6, TG_ERROR_FORMAT, "ends after 6 bytes, expected a header"},
        {"\x93NUMPY\1", 7, TG_ERROR_FORMAT, "ends after 7 bytes, expected a header"},
        {"\x93NUMPY\1\0\2", 9, TG_ERROR_FORMAT, "ends after 9 bytes, expected a header"},
        {"\x93NUMPY\2\0\2\0\0", 11, TG_ERROR_FORMAT, "ends after 11 bytes, expected a header"},
        {"\x93NUMPY\4\0", 8, TG_ERROR_UNSUPPORTED,
         "its format version is 4.0, expected 1.0, 2.0 or 3.0"},
        {"\x93NUMPY\1\1", 8, TG_ERROR_UNSUPPORTED,
         "its format version is 1.1, expected 1.0, 2.0 or 3.0"},
        {"\x93NUMPY\1\0\3\0{}", 12, TG_ERROR_FORMAT,
         "its header is 3 bytes long, expected at most 2"},
        {"\x93NUMPY\3\0\xff\xff\xff\xff{}", 14, TG_ERROR_FORMAT,
         "its header is 4294967295 bytes long, expected at most 2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_write(s, "x.npy", cases[i].file, cases[i].bytes);
        check_refused(s, cases[i].status, cases[i].message);
    }
    scratch_path(s, "sub/x.npy");
    tg_array array;
    tg_error error;
    assert_int_equal(tg_npy_read(&array, s->path, &error), TG_ERROR_NOT_FOUND);
    assert_string_equal(error.message, "sub/x.npy: there is no such file");
}

static void test_values(void **state)
{
    scratch *s = *state;
    static golden g;
    FILE *file = open_golden(TG_TEST_DATA "/golden/npy/saved.bin");
    do
        assert_true(next_golden(file, &g));
    while (g.sizes[0] != 2); /* (2, 3, 5, 7) */
    fclose(file);
    static const struct {
        size_t at;
        float value;
        const char *message;
    } cases[] = {
        {0, NAN, "value [0, 0, 0, 0] is nan, expected a finite number"},
        {((1 * 3 + 2) * 5 + 3) * 7 + 4, INFINITY,
         "value [1, 2, 3, 4] is inf, expected a finite number"},
        {209, -INFINITY, "value [1, 2, 4, 6] is -inf, expected a finite number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static golden changed;
        changed = g;
        char *data = changed.file + changed.bytes - 210 * sizeof(float);
        memcpy(data + cases[i].at * sizeof(float), &cases[i].value, sizeof(float));
        scratch_write(s, "x.npy", changed.file, changed.bytes);
        check_refused(s, TG_ERROR_FORMAT, cases[i].message);
    }
}

/* ---------------------------------------------------------------------------------- writing */

/* message is what follows "FOLDER/z.npy: ". */
static void not_written(scratch *s, tg_array array, tg_status status, const char *message)
{
    char expected[1024];
    tg_error error;
    int before = scratch_count(s);
    snprintf(expected, sizeof expected, "%s/z.npy: %s", s->folder + strlen("/tmp/"), message);
    tg_status got = tg_npy_write(array, scratch_path(s, "z.npy"), false, &error);
    assert_string_equal(error.message, expected);
    assert_int_equal(got, status);
    assert_int_equal(error.status, status);
    assert_int_equal(scratch_count(s), before);
}

static void test_refuses_to_write(void **state)
{
    scratch *s = *state;
    float values[6] = {1, 2, 3, 4, 5, NAN};
    not_written(s, (tg_array){1, 1, 2, 3, values}, TG_ERROR_NUMERIC,
                "value [0, 0, 1, 2] is nan, expected a finite number");
    not_written(s, (tg_array){1, 0, 2, 3, values}, TG_ERROR_ARGUMENT,
                "its shape is (1, 0, 2, 3), expected sizes above 0");
    not_written(s, (tg_array){1, 1, -2, -3, values}, TG_ERROR_ARGUMENT,
                "its shape is (1, 1, -2, -3), expected sizes above 0");
    not_written(s, (tg_array){1, 1, 2, 3, NULL}, TG_ERROR_ARGUMENT,
                "its shape is (1, 1, 2, 3) without data, expected sizes above 0 and data");
    scratch_write(s, "z.npy", "old", 3);
    not_written(s, (tg_array){1, 1, 1, 5, values}, TG_ERROR_IO,
                "exists already, expected a name that is free (or overwriting allowed)");
    check_file(s->path, "old", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_as_numpy),    cmocka_unit_test(test_reads_what_numpy_reads),
        cmocka_unit_test(test_headers),          cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_beginnings),       cmocka_unit_test(test_values),
        cmocka_unit_test(test_refuses_to_write),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
