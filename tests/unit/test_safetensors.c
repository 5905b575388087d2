/* SPDX-License-Identifier: MIT */
/* The .safetensors reader against what the format's own library writes and accepts
 * (tests/golden/make_safetensors.py), and against files made to break it. */
#include "io/safetensors.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "scratch.h"
#include "skip.h"

enum { MOST_FILE_BYTES = 1 << 16 };

/* Writes length, header and data bytes that count from 0. */
static const char *write_file(scratch *s, uint64_t length, const char *header, size_t header_bytes,
                              size_t data_bytes)
{
    static unsigned char file[MOST_FILE_BYTES];
    assert_true(8 + header_bytes + data_bytes <= sizeof file);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)(length >> 8 * i);
    memcpy(file + 8, header, header_bytes);
    for (size_t i = 0; i < data_bytes; i++)
        file[8 + header_bytes + i] = (unsigned char)i;
    return scratch_write(s, "x.safetensors", file, 8 + header_bytes + data_bytes);
}

static tg__safetensors *open_header(scratch *s, const char *header, size_t data_bytes,
                                    tg__error *error)
{
    size_t length = strlen(header);
    return tg__safetensors_open(write_file(s, length, header, length, data_bytes), error);
}

/* The file at path must be refused so; message is what follows "FOLDER/x.safetensors: ". */
static void check_refused(scratch *s, const char *path, tg_status status, const char *message)
{
    tg__error error = {0};
    char expected[sizeof error.message];
    snprintf(expected, sizeof expected, "%s/x.safetensors: %s", s->folder + strlen("/tmp/"),
             message);
    assert_null(tg__safetensors_open(path, &error));
    assert_string_equal(error.message, expected);
    assert_int_equal(error.status, status);
}

static void refused(scratch *s, const char *header, size_t data_bytes, const char *message)
{
    size_t length = strlen(header);
    check_refused(s, write_file(s, length, header, length, data_bytes), TG_ERROR_FORMAT, message);
}

/* ------------------------------------------------------------------------------- sound files */

static void test_reads_what_the_library_writes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *dtype_name;
        tg__dtype dtype;
        size_t bytes;
    } all[] = {
        {"float32", "F32", TG__F32, 24},
        {"float16", "F16", TG__F16, 12},
        {"bfloat16", "BF16", TG__BF16, 12},
        {"float64", "F64", TG__F64, 48},
        {"complex64", "C64", TG__OTHER, 48},
        {"int64", "I64", TG__OTHER, 48},
        {"uint64", "U64", TG__OTHER, 48},
        {"int32", "I32", TG__OTHER, 24},
        {"uint32", "U32", TG__OTHER, 24},
        {"int16", "I16", TG__OTHER, 12},
        {"uint16", "U16", TG__OTHER, 12},
        {"int8", "I8", TG__OTHER, 6},
        {"uint8", "U8", TG__OTHER, 6},
        {"bool", "BOOL", TG__OTHER, 6},
        {"float8_e4m3fn", "F8_E4M3", TG__F8_E4M3, 6},
        {"float8_e5m2", "F8_E5M2", TG__F8_E5M2, 6},
    };
    tg__error error = {0};
    tg__safetensors *file =
        tg__safetensors_open(TG_TEST_DATA "/golden/safetensors/all.safetensors", &error);
    assert_non_null(file);
    assert_int_equal(tg__safetensors_count(file), 18);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const tg__weight *tensor = tg__safetensors_find(file, all[i].name);
        assert_non_null(tensor);
        assert_string_equal(tensor->name, all[i].name);
        assert_string_equal(tensor->dtype_name, all[i].dtype_name);
        assert_string_equal(tensor->file, "safetensors/all.safetensors");
        assert_int_equal(tensor->dtype, all[i].dtype);
        assert_int_equal(tensor->bytes, all[i].bytes);
        assert_int_equal(tensor->rank, 2);
        assert_int_equal(tensor->shape[0], 2);
        assert_int_equal(tensor->shape[1], 3);
        if (tensor->dtype != TG__OTHER) {
            float values[6];
            tg__to_f32_array(values, tensor->data, tensor->dtype, 6);
            for (int j = 0; j < 6; j++)
                assert_true(values[j] == (float)j);
        }
    }
    const tg__weight *scalar = tg__safetensors_find(file, "scalar");
    float value;
    assert_int_equal(scalar->rank, 0);
    tg__to_f32_array(&value, scalar->data, scalar->dtype, 1);
    assert_true(value == 2.5f);
    assert_int_equal(tg__safetensors_find(file, "empty")->bytes, 0);
    assert_non_null(tg__safetensors_find(file, "empty")->data);
    assert_null(tg__safetensors_find(file, "float3"));
    assert_null(tg__safetensors_find(file, "__metadata__"));
    assert_string_equal(tg__safetensors_metadata(file, "format"), "pt");
    assert_string_equal(tg__safetensors_metadata(file, "note"), "a \"b\" \xC3\xA4");
    assert_null(tg__safetensors_metadata(file, "nothing"));
    tg__safetensors_close(file);
}

static void test_order_and_alignment(void **state)
{
    /* Listed backwards, at odd offsets, with empty ones between. */
    tg__error error = {0};
    tg__safetensors *file =
        open_header(*state,
                    "{\"c\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[1,5]},"
                    "\"b\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[1,1]},"
                    "\"a\":{\"shape\":[],\"dtype\":\"U8\",\"data_offsets\":[5,6],\"more\":[{}]},"
                    "\"d\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}} ",
                    6, &error);
    static const char *const order[] = {"d", "b", "c", "a"};
    assert_non_null(file);
    assert_int_equal(tg__safetensors_count(file), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(tg__safetensors_at(file, i)->name, order[i]);
    assert_memory_equal(tg__safetensors_find(file, "c")->data, "\x01\x02\x03\x04", 4);
    assert_memory_equal(tg__safetensors_find(file, "a")->data, "\x05", 1);
    assert_int_equal(tg__safetensors_find(file, "d")->rank, 8);
    assert_null(tg__safetensors_metadata(file, "format"));
    tg__safetensors_close(file);
}

/* Numbers that a tensor beside them scales are told from plain ones. */
static void test_scaled(void **state)
{
    static const char *const marks[] = {"scaled_fp8", "model.diffusion_model.scaled_fp8",
                                        "a.scale_weight", "a.weight_scale", "a.bias"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char header[300];
        tg__error error = {0};
        bool scaled = i < 4;
        snprintf(header, sizeof header,
                 "{\"a.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],\"data_offsets\":[0,2]},"
                 "\"b.weight\":{\"dtype\":\"F8_E5M2\",\"shape\":[2],\"data_offsets\":[2,4]},"
                 "\"%s\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[4,6]}}",
                 marks[i]);
        tg__safetensors *file = open_header(*state, header, 6, &error);
        assert_non_null(file);
        const tg__weight *a = tg__safetensors_find(file, "a.weight");
        const tg__weight *b = tg__safetensors_find(file, "b.weight");
        assert_int_equal(a->dtype, scaled ? TG__OTHER : TG__F8_E4M3);
        assert_int_equal(b->dtype, scaled ? TG__OTHER : TG__F8_E5M2);
        assert_string_equal(a->dtype_name, scaled ? "scaled fp8" : "F8_E4M3");
        assert_int_equal(tg__safetensors_find(file, marks[i])->dtype, TG__F16);
        tg__safetensors_close(file);
    }
}

static void test_no_tensors(void **state)
{
    tg__error error = {0};
    tg__safetensors *file = open_header(*state, "{\"__metadata__\":null}", 0, &error);
    assert_non_null(file);
    assert_int_equal(tg__safetensors_count(file), 0);
    assert_null(tg__safetensors_find(file, "a"));
    assert_null(tg__safetensors_metadata(file, "a"));
    tg__safetensors_close(file);
}

static void test_many_tensors(void **state)
{
    static char header[MOST_FILE_BYTES];
    enum { COUNT = 600 };
    size_t used = 0;
    for (int i = 0; i < COUNT; i++)
        used += (size_t)sprintf(
            header + used, "%s\"t.%d\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[%d,%d]}",
            i ? "," : "{", i * 7 % COUNT, 2 * i, 2 * i + 2);
    strcpy(header + used, "}");
    tg__error error = {0};
    tg__safetensors *file = open_header(*state, header, 2 * COUNT, &error);
    assert_non_null(file);
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        sprintf(name, "t.%d", i * 7 % COUNT);
        const tg__weight *tensor = tg__safetensors_find(file, name);
        assert_non_null(tensor);
        assert_string_equal(tensor->name, name);
        assert_ptr_equal(tensor, tg__safetensors_at(file, (size_t)i));
        assert_int_equal(*(const unsigned char *)tensor->data, 2 * i & 0xFF);
    }
    tg__safetensors_close(file);
}

/* ------------------------------------------------------------------------------ broken files */

static void test_no_file(void **state)
{
    scratch *s = *state;
    unlink(scratch_path(s, "x.safetensors"));
    check_refused(s, s->path, TG_ERROR_NOT_FOUND, "there is no such file");
    scratch_folder(s, "x.safetensors");
    check_refused(s, s->path, TG_ERROR_IO, "is a folder, expected a file");
    rmdir(s->path);
    assert_int_equal(mkfifo(s->path, 0600), 0);
    check_refused(s, s->path, TG_ERROR_IO, "is a device or pipe, expected a file");
    unlink(s->path);
    assert_int_equal(symlink("/dev/zero", s->path), 0);
    check_refused(s, s->path, TG_ERROR_IO, "is a device or pipe, expected a file");
    unlink(s->path);
    assert_int_equal(symlink("x.safetensors", s->path), 0);
    check_refused(s, s->path, TG_ERROR_IO, "cannot be opened (Too many levels of symbolic links)");
    unlink(s->path);
}

static void test_lengths(void **state)
{
    scratch *s = *state;
    check_refused(s, scratch_write(s, "x.safetensors", "", 0), TG_ERROR_FORMAT,
                  "is 0 bytes long, expected at least 8");
    check_refused(s, scratch_write(s, "x.safetensors", "1234567", 7), TG_ERROR_FORMAT,
                  "is 7 bytes long, expected at least 8");
    check_refused(s, write_file(s, 0, "", 0, 0), TG_ERROR_FORMAT,
                  "header: line 1, column 1: found the end, expected a value");
    static const struct {
        uint64_t length;
        const char *message;
    } lies[] = {
        {3, "its header is 3 bytes long, expected at most 2"},
        {UINT64_C(1) << 32, "its header is 4294967296 bytes long, expected at most 2"},
        {UINT64_C(1) << 63, "its header is 9223372036854775808 bytes long, expected at most 2"},
        {UINT64_MAX, "its header is 18446744073709551615 bytes long, expected at most 2"},
        {UINT64_MAX - 7, "its header is 18446744073709551608 bytes long, expected at most 2"},
        {1, "header: line 1, column 2: found the end, expected a key in quotes"},
    };
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        check_refused(s, write_file(s, lies[i].length, "{}", 2, 0), TG_ERROR_FORMAT,
                      lies[i].message);
}

/* The format's own limit. The file is sparse and takes no room. */
static void test_longest_header(void **state)
{
    scratch *s = *state;
    const char *path = write_file(s, 100000001, "{}", 2, 0);
    assert_int_equal(truncate(path, 200000000), 0);
    check_refused(s, path, TG_ERROR_FORMAT,
                  "its header is 100000001 bytes long, expected at most 100000000");
}

static void test_header_is_no_object(void **state)
{
    static const struct {
        const char *header, *message;
    } cases[] = {
        {"[]", "its header is [], expected a JSON object"},
        {"null", "its header is null, expected a JSON object"},
        {"{}x", "header: line 1, column 3: found 'x', expected nothing more"},
        {"{}{}", "header: line 1, column 3: found '{', expected nothing more"},
        {"{\"\xFF\":1}", "header: line 1, column 3: found byte 0xff in a string, expected UTF-8"},
        {"\xEF\xBB\xBF{}", "header: line 1, column 1: found byte 0xef, expected a value"},
        {"{\"a\":1", "header: line 1, column 7: found the end, expected ',' or '}'"},
        {"{\"a\":{},\"a\":{}}", "header: line 1, column 15: the key a is there twice"},
        {"{\"a\\u0000\":{}}",
         "header: line 1, column 4: found \\u0000, expected a string without zero characters"},
        {"{\"a\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
         "header: line 1, column 73: more than 35 values"},
        {"{\"__metadata__\":[]}", "__metadata__ is no object, expected one of strings"},
        {"{\"__metadata__\":{\"a\":1}}", "__metadata__ has a 1, expected a string"},
        {"{\"__metadata__\":{\"a\\n\":null}}", "__metadata__ has a? null, expected a string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refused(*state, cases[i].header, 0, cases[i].message);
    /* A zero byte behind the object. */
    check_refused(*state, write_file(*state, 3, "{}", 3, 0), TG_ERROR_FORMAT,
                  "header: line 1, column 3: found byte 0x00, expected nothing more");
}

static void test_deep_header(void **state)
{
    static char header[MOST_FILE_BYTES];
    memset(header, '[', sizeof header - 64);
    memcpy(header, "{\"a\":", 5);
    refused(*state, header, 0,
            "header: line 1, column 205: more than 200 levels of lists and "
            "objects");
}

static void test_entries(void **state)
{
    static const struct {
        const char *entry, *message; /* beside 24 bytes of data */
    } cases[] = {
        {"1", "is no object, expected one with dtype, shape and data_offsets"},
        {"{\"shape\":[6],\"data_offsets\":[0,24]}",
         "has no dtype, expected F32, F16, BF16 or the like"},
        {"{\"dtype\":\"F31\",\"shape\":[6],\"data_offsets\":[0,24]}",
         "has dtype \"F31\", expected F32, F16, BF16 or the like"},
        {"{\"dtype\":\"f32\",\"shape\":[6],\"data_offsets\":[0,24]}",
         "has dtype \"f32\", expected F32, F16, BF16 or the like"},
        {"{\"dtype\":32,\"shape\":[6],\"data_offsets\":[0,24]}",
         "has dtype 32, expected F32, F16, BF16 or the like"},
        {"{\"dtype\":\"F32\",\"data_offsets\":[0,24]}",
         "has no shape, expected a list of at most 8 sizes, none negative"},
        {"{\"dtype\":\"F32\",\"shape\":6,\"data_offsets\":[0,24]}",
         "has shape 6, expected a list of at most 8 sizes, none negative"},
        {"{\"dtype\":\"F32\",\"shape\":[-2,-3],\"data_offsets\":[0,24]}",
         "has shape [-2,-3], expected a list of at most 8 sizes, none negative"},
        {"{\"dtype\":\"F32\",\"shape\":[6.0],\"data_offsets\":[0,24]}",
         "has shape [6.0], expected a list of at most 8 sizes, none negative"},
        {"{\"dtype\":\"F32\",\"shape\":[\"6\"],\"data_offsets\":[0,24]}",
         "has shape [\"6\"], expected a list of at most 8 sizes, none negative"},
        {"{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,6],\"data_offsets\":[0,24]}",
         "has shape [1,1,1,1,1,1,1,1,6], expected a list of at most 8 sizes, none negative"},
        {"{\"dtype\":\"F32\",\"shape\":[7],\"data_offsets\":[0,24]}",
         "has shape [7], expected one of F32 that takes its 24 bytes"},
        {"{\"dtype\":\"F16\",\"shape\":[6],\"data_offsets\":[0,24]}",
         "has shape [6], expected one of F16 that takes its 24 bytes"},
        {"{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,24]}",
         "has shape [], expected one of F32 that takes its 24 bytes"},
        /* Products that come to 24 bytes modulo 2^64. */
        {"{\"dtype\":\"U8\",\"shape\":[4611686018427387910,4],\"data_offsets\":[0,24]}",
         "has shape [4611686018427387910,4], expected one of U8 that takes its 24 bytes"},
        {"{\"dtype\":\"F32\",\"shape\":[4611686018427387910],\"data_offsets\":[0,24]}",
         "has shape [4611686018427387910], expected one of F32 that takes its 24 bytes"},
        {"{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]}",
         "has shape [4294967296,4294967296,0], expected one of F32 that takes its 0 bytes"},
        {"{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,1]}",
         "has shape [3], expected one of F4 that takes its 1 bytes"},
        {"{\"dtype\":\"F32\",\"shape\":[6]}",
         "has no data_offsets, expected [begin, end] within the 24 bytes of data"},
        {"{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[24,0]}",
         "has data_offsets [24,0], expected [begin, end] within the 24 bytes of data"},
        {"{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[1,25]}",
         "has data_offsets [1,25], expected [begin, end] within the 24 bytes of data"},
        {"{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[-8,16]}",
         "has data_offsets [-8,16], expected [begin, end] within the 24 bytes of data"},
        {"{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24.0]}",
         "has data_offsets [0,24.0], expected [begin, end] within the 24 bytes of data"},
        {"{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[9223372036854775800,"
         "9223372036854775807]}",
         "has data_offsets [9223372036854775800,9223372036854775807], expected [begin, end] "
         "within the 24 bytes of data"},
        {"{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24,24]}",
         "has data_offsets [0,24,24], expected [begin, end] within the 24 bytes of data"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[400], message[400];
        snprintf(header, sizeof header, "{\"a.b\\u001b[31m\":%s}", cases[i].entry);
        snprintf(message, sizeof message, "a.b?[31m %s", cases[i].message);
        refused(*state, header, 24, message);
    }
    refused(*state,
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,0]}}", 0,
            "header: line 1, column 30: found 9223372036854775808, expected an integer of 64 bits");
}

static void test_cover(void **state)
{
    static const struct {
        int a[2], b[2], data_bytes;
        const char *message;
    } cases[] = {
        {{0, 8}, {8, 16}, 17, "its tensors take 16 bytes, expected all 17 behind the header"},
        {{0, 8}, {9, 17}, 17, "b begins at byte 9 of the data, expected 8"},
        {{0, 8}, {7, 15}, 15, "b begins at byte 7 of the data, expected 8"},
        {{0, 8}, {0, 8}, 8, "b begins at byte 0 of the data, expected 8"},
        {{0, 16}, {4, 8}, 16, "b begins at byte 4 of the data, expected 16"},
        {{0, 8}, {4, 4}, 8, "b begins at byte 4 of the data, expected 8"},
        {{1, 8}, {8, 16}, 16, "a begins at byte 1 of the data, expected 0"},
        {{8, 16}, {16, 17}, 17, "a begins at byte 8 of the data, expected 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char header[256];
        const int *a = cases[i].a, *b = cases[i].b;
        snprintf(header, sizeof header,
                 "{\"a\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[%d,%d]},"
                 "\"b\":{\"dtype\":\"U8\",\"shape\":[%d],\"data_offsets\":[%d,%d]}}",
                 a[1] - a[0], a[0], a[1], b[1] - b[0], b[0], b[1]);
        refused(*state, header, (size_t)cases[i].data_bytes, cases[i].message);
    }
    refused(*state, "{}", 1, "its tensors take 0 bytes, expected all 1 behind the header");
}

/* ---------------------------------------------------------------------- the whole of it */

/* Reads all that a file offers; AddressSanitizer sees what lies outside. */
static unsigned read_all(const tg__safetensors *file)
{
    unsigned sum = 0;
    for (size_t i = 0; i < tg__safetensors_count(file); i++) {
        const tg__weight *tensor = tg__safetensors_at(file, i);
        const unsigned char *data = tensor->data;
        assert_ptr_equal(tg__safetensors_find(file, tensor->name), tensor);
        for (size_t j = 0; j < tensor->bytes; j++)
            sum = sum * 31 + data[j];
    }
    return sum;
}

/* What we refuse though the library accepts it, by what the message says. */
static bool is_stricter(const char *message)
{
    return strstr(message, "is there twice") || strstr(message, "at most 8 sizes");
}

static void test_accepts_what_the_library_accepts(void **state)
{
    scratch *s = *state;
    FILE *cases = fopen(TG_TEST_DATA "/golden/safetensors/cases.bin", "rb");
    assert_non_null(cases);
    int accepted = 0, refusals = 0;
    unsigned char head[5], file[2048];
    while (fread(head, 1, sizeof head, cases) == sizeof head) {
        size_t bytes = head[1] | (size_t)head[2] << 8;
        assert_true(bytes <= sizeof file && head[3] == 0 && head[4] == 0);
        assert_int_equal(fread(file, 1, bytes, cases), bytes);
        tg__error error = {0};
        tg__safetensors *opened =
            tg__safetensors_open(scratch_write(s, "x.safetensors", file, bytes), &error);
        if (opened)
            read_all(opened);
        if ((opened != NULL) != (head[0] == 'A') && !is_stricter(error.message))
            fail_msg("case %d: %s: %.*s", accepted + refusals, opened ? "accepted" : error.message,
                     (int)bytes - 8, (char *)file + 8);
        *(opened ? &accepted : &refusals) += 1;
        tg__safetensors_close(opened);
    }
    fclose(cases);
    assert_true(accepted > 30);
    assert_true(refusals > 300);
}

static void mutate(unsigned char *file, size_t *bytes, unsigned *random)
{
    static const char pieces[] = "0123456789[]{},:\"\\ -.eu/F8_\x00\x80\xFF";
    int changes = 1 + (int)(scratch_random(random) % 4);
    for (int i = 0; i<changes && * bytes> 1; i++) {
        size_t at = scratch_random(random) % *bytes;
        char piece = pieces[scratch_random(random) % (sizeof pieces - 1)];
        switch (scratch_random(random) % 5) {
        case 0:
            file[at] = (unsigned char)piece;
            break;
        case 1:
            file[at] ^= (unsigned char)(1u << scratch_random(random) % 8);
            break;
        case 2:
            memmove(file + at, file + at + 1, --*bytes - at);
            break;
        case 3:
            memmove(file + at + 1, file + at, (*bytes)++ - at);
            file[at] = (unsigned char)piece;
            break;
        default:
            *bytes = at; /* cut short */
        }
    }
}

static void test_mutations(void **state)
{
    scratch *s = *state;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"conv.weight\":{\"dtype\":\"F16\",\"shape\":[2,4],\"data_offsets\":[0,16]},"
        "\"conv.\\u00e4bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[16,24]},"
        "\"ids\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]}}";
    unsigned char sound[512], file[512];
    size_t sound_bytes = 8 + sizeof header - 1 + 32;
    unsigned random = 1;
    int accepted = 0;
    memset(sound, 0, sizeof sound);
    sound[0] = (sizeof header - 1) & 0xFF;
    sound[1] = (sizeof header - 1) >> 8;
    memcpy(sound + 8, header, sizeof header - 1);
    for (int i = 0; i < 4000; i++) {
        size_t bytes = sound_bytes;
        memcpy(file, sound, sizeof file);
        mutate(file, &bytes, &random);
        if (scratch_random(&random) % 2) { /* else the wrong length ends it too soon */
            size_t length = bytes > 40 ? bytes - 40 : 0;
            for (int j = 0; j < 8 && (size_t)j < bytes; j++)
                file[j] = (unsigned char)(length >> 8 * j);
        }
        tg__error error = {0};
        tg__safetensors *opened =
            tg__safetensors_open(scratch_write(s, "x.safetensors", file, bytes), &error);
        assert_true((opened != NULL) == (error.status == TG_OK));
        if (opened)
            read_all(opened);
        accepted += opened != NULL;
        tg__safetensors_close(opened);
    }
    assert_in_range(accepted, 20, 4000);
}

static rlim_t address_space_in_use(void)
{
    long pages = 0;
    FILE *usage = fopen("/proc/self/statm", "r");
    assert_non_null(usage);
    assert_int_equal(fscanf(usage, "%ld", &pages), 1);
    fclose(usage);
    return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* A header of empty lists, which are all that a header can hold for its length, in memory that is
 * a small multiple of the file. */
static void test_memory(void **state)
{
    scratch *s = *state;
    enum { BYTES = 8 << 20 };
    if (address_space_in_use() >> 40)
        tg_skip("AddressSanitizer has taken the address space");
    char *file = malloc(8 + BYTES);
    assert_non_null(file);
    for (size_t i = 8; i < 8 + BYTES; i += 4)
        memcpy(file + i, i == 8 ? "{\"\":" : i == 12 ? "[[]," : "[],\n", 4);
    memcpy(file, &(uint64_t){BYTES}, 8);
    scratch_write(s, "x.safetensors", file, 8 + BYTES);
    free(file);
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = address_space_in_use() + 16 * (rlim_t)BYTES;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    tg__error error = {0};
    tg__safetensors *opened = tg__safetensors_open(s->path, &error);
    setrlimit(RLIMIT_AS, &before);
    assert_null(opened);
    assert_non_null(strstr(error.message, "found the end, expected a value"));
    assert_int_equal(error.status, TG_ERROR_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_the_library_writes),
        cmocka_unit_test(test_order_and_alignment),
        cmocka_unit_test(test_no_tensors),
        cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_many_tensors),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_longest_header),
        cmocka_unit_test(test_header_is_no_object),
        cmocka_unit_test(test_deep_header),
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_cover),
        cmocka_unit_test(test_accepts_what_the_library_accepts),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
