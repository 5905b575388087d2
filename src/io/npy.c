/* SPDX-License-Identifier: MIT */
/* NumPy's .npy: "\x93NUMPY", a version, the length of a header, the header, which is a Python
 * dictionary as text, and the bare array.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 *
 * Of all that may stand there one thing is taken: <f4 in C order with four sizes. The dictionary
 * may be written in any way that Python's own reader takes for it, as far as such a header goes. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/array.h"
#include "io/file.h"
#include "io/npy.h"

#define MOST_FILE_BYTES ((size_t)1 << 32)

enum {
    MAGIC_BYTES = 6,
    MOST_HEADER_BYTES = 10000, /* as numpy */
    ALIGNMENT = 64,
    /* numpy leaves room for the first size to grow to so many digits */
    GROWTH_DIGITS = 21,
};

/* ------------------------------------------------------------------------- the header's literal */

/* A part of the header, or what is left of it. */
typedef struct span {
    const char *at, *end;
} span;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* A part of a name or a number. */
static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' ||
           c == '-' || c == '+' || c == '.';
}

static void skip_blanks(span *s)
{
    while (s->at < s->end && is_blank(*s->at))
        s->at++;
}

/* Blanks, then this character. */
static bool skip_char(span *s, char c)
{
    skip_blanks(s);
    if (s->at == s->end || *s->at != c)
        return false;
    s->at++;
    return true;
}

static bool span_is(span s, const char *text)
{
    size_t length = strlen(text);
    return (size_t)(s.end - s.at) == length && memcmp(s.at, text, length) == 0;
}

/* Past 'text' or "text"; without escapes, which no header needs. */
static bool skip_string(span *s)
{
    char quote = *s->at++;
    while (s->at < s->end && *s->at != quote && *s->at != '\\' && *s->at != '\n')
        s->at++;
    if (s->at == s->end || *s->at != quote)
        return false;
    s->at++;
    return true;
}

/* Past one value of any kind: a string, a name or number, or a list or tuple of whatever. */
static bool take_value(span *s, span *value)
{
    int depth = 0;
    skip_blanks(s);
    value->at = s->at;
    do {
        if (s->at == s->end)
            return false;
        char c = *s->at;
        if (c == '\'' || c == '"') {
            if (!skip_string(s))
                return false;
        } else if (is_word(c)) {
            while (s->at < s->end && is_word(*s->at))
                s->at++;
        } else if (c == '(' || c == '[') {
            depth++;
            s->at++;
        } else if (depth > 0 && (c == ')' || c == ']')) {
            depth--;
            s->at++;
        } else if (depth > 0 && (c == ',' || is_blank(c))) {
            s->at++;
        } else {
            return false;
        }
    } while (depth > 0);
    value->end = s->at;
    return true;
}

/* Past a string; value is what is between its quotes. */
static bool take_string(span *s, span *value)
{
    skip_blanks(s);
    if (s->at == s->end || (*s->at != '\'' && *s->at != '"') || !take_value(s, value))
        return false;
    value->at++;
    value->end--;
    return true;
}

enum { DESCR, FORTRAN_ORDER, SHAPE, KEYS };

/* The values of the three keys; false if text is no dictionary with these and no others. */
static bool parse_dictionary(span text, span values[KEYS])
{
    static const char *const names[KEYS] = {"descr", "fortran_order", "shape"};
    bool found[KEYS] = {false};
    if (!skip_char(&text, '{'))
        return false;
    while (!skip_char(&text, '}')) {
        span key;
        int i = 0;
        if (!take_string(&text, &key))
            return false;
        while (i < KEYS && !span_is(key, names[i]))
            i++;
        if (i == KEYS || found[i] || !skip_char(&text, ':') || !take_value(&text, &values[i]))
            return false;
        found[i] = true;
        if (!skip_char(&text, ',')) {
            if (!skip_char(&text, '}'))
                return false;
            break;
        }
    }
    skip_blanks(&text);
    return text.at == text.end && found[DESCR] && found[FORTRAN_ORDER] && found[SHAPE];
}

/* "(1, 4, 64, 64)" */
static bool parse_shape(span s, int sizes[4])
{
    if (!skip_char(&s, '('))
        return false;
    for (int i = 0; i < 4; i++) {
        int64_t size = 0;
        skip_blanks(&s);
        if (s.at == s.end || !is_digit(*s.at) || *s.at == '0')
            return false;
        for (; s.at < s.end && is_digit(*s.at); s.at++) {
            size = 10 * size + (*s.at - '0');
            if (size > INT_MAX)
                return false;
        }
        if (!skip_char(&s, ',') && i < 3)
            return false;
        sizes[i] = (int)size;
    }
    return skip_char(&s, ')') && s.at == s.end;
}

/* ------------------------------------------------------------------------------------ reading */

static const char *show(char *dst, size_t size, span s)
{
    char copy[200];
    size_t length = (size_t)(s.end - s.at);
    snprintf(copy, sizeof copy, "%.*s", length < sizeof copy ? (int)length : (int)sizeof copy - 1,
             s.at);
    return tg__printable(dst, size, copy);
}

/* What stands before the array; file moves behind it. */
static bool take_header(span *file, span *header, tg__error *error)
{
    size_t bytes = (size_t)(file->end - file->at);
    if (bytes < MAGIC_BYTES || memcmp(file->at, TG__NPY_MAGIC, MAGIC_BYTES) != 0) {
        tg__fail(error, TG_ERROR_FORMAT,
                 "is no .npy file, expected one that begins with \\x93NUMPY");
        return false;
    }
    const unsigned char *b = (const unsigned char *)file->at + MAGIC_BYTES;
    if (bytes >= MAGIC_BYTES + 2 && (b[0] < 1 || b[0] > 3 || b[1] != 0)) {
        tg__fail(error, TG_ERROR_UNSUPPORTED,
                 "its format version is %d.%d, expected 1.0, 2.0 or 3.0", b[0], b[1]);
        return false;
    }
    size_t length_bytes = bytes > MAGIC_BYTES && b[0] == 1 ? 2 : 4;
    size_t start = MAGIC_BYTES + 2 + length_bytes, length = 0;
    if (bytes < start) {
        tg__fail(error, TG_ERROR_FORMAT, "ends after %zu bytes, expected a header", bytes);
        return false;
    }
    for (size_t i = 0; i < length_bytes; i++)
        length |= (size_t)b[2 + i] << 8 * i;
    if (length > MOST_HEADER_BYTES || length > bytes - start) {
        tg__fail(error, TG_ERROR_FORMAT, "its header is %zu bytes long, expected at most %zu",
                 length, bytes - start < MOST_HEADER_BYTES ? bytes - start : MOST_HEADER_BYTES);
        return false;
    }
    *header = (span){file->at + start, file->at + start + length};
    file->at = header->end;
    return true;
}

/* Whether the header is that of an array of ours; the sizes then. */
static bool check_header(span header, int sizes[4], tg__error *error)
{
    char shown[100];
    span values[KEYS], type;
    if (!parse_dictionary(header, values)) {
        tg__fail(error, TG_ERROR_FORMAT,
                 "its header is %s, expected a dictionary of descr, fortran_order and shape",
                 header.at == header.end ? "empty" : show(shown, sizeof shown, header));
        return false;
    }
    span rest = values[DESCR];
    if (!take_string(&rest, &type) || !span_is(type, "<f4"))
        tg__fail(error, TG_ERROR_FORMAT, "dtype is %s, expected '<f4'",
                 show(shown, sizeof shown, values[DESCR]));
    else if (span_is(values[FORTRAN_ORDER], "True"))
        tg__fail(error, TG_ERROR_FORMAT, "its values are in Fortran order, expected C order");
    else if (!span_is(values[FORTRAN_ORDER], "False"))
        tg__fail(error, TG_ERROR_FORMAT, "fortran_order is %s, expected False",
                 show(shown, sizeof shown, values[FORTRAN_ORDER]));
    else if (!parse_shape(values[SHAPE], sizes))
        tg__fail(error, TG_ERROR_FORMAT, "shape is %s, expected four sizes from 1 to %d",
                 show(shown, sizeof shown, values[SHAPE]), INT_MAX);
    return !tg__failed(error);
}

/* data: the bytes behind the header. */
static bool check_size(span data, const int sizes[4], tg__error *error)
{
    size_t expected = sizeof(float), found = (size_t)(data.end - data.at);
    bool overflow = false;
    for (int i = 0; i < 4; i++)
        overflow = overflow || __builtin_mul_overflow(expected, (size_t)sizes[i], &expected);
    if (!overflow && found == expected)
        return true;
    char most[32] = "more";
    if (!overflow)
        snprintf(most, sizeof most, "%zu", expected);
    tg__fail(error, TG_ERROR_FORMAT,
             "has %zu bytes behind its header, expected %s for shape (%d, %d, %d, %d)", found, most,
             sizes[0], sizes[1], sizes[2], sizes[3]);
    return false;
}

void tg__npy_decode(tg_array *array, const char *data, size_t bytes, tg__error *error)
{
    int sizes[4] = {0};
    span header, file = {data, data + bytes};
    *array = (tg_array){0};
    if (!take_header(&file, &header, error) || !check_header(header, sizes, error) ||
        !check_size(file, sizes, error))
        return;
    size_t left = (size_t)(file.end - file.at);
    float *values = malloc(left);
    if (!values) {
        tg__fail_memory(error);
        return;
    }
    memcpy(values, file.at, left);
    *array = (tg_array){sizes[0], sizes[1], sizes[2], sizes[3], values};
    if (!tg__array_check(array, TG_ERROR_FORMAT, error))
        tg_array_free(array);
}

static const tg__array_format format = {"array", MOST_FILE_BYTES, tg__npy_decode};

tg_status tg_npy_decode(tg_array *array, const void *data, size_t bytes, tg_error *given)
{
    return tg__array_decode(array, &format, data, bytes, given);
}

tg_status tg_npy_read(tg_array *array, const char *path, tg_error *given)
{
    return tg__array_read(array, &format, path, given);
}

/* ------------------------------------------------------------------------------------ writing */

/* All that numpy.save writes before the array; its length, a multiple of ALIGNMENT. */
static size_t make_header(char dst[4 * ALIGNMENT], const tg_array *a)
{
    enum { PREFIX = MAGIC_BYTES + 4 };
    char *text = dst + PREFIX;
    char first[16];
    int room = GROWTH_DIGITS - snprintf(first, sizeof first, "%d", a->count);
    int length =
        snprintf(text, 4 * ALIGNMENT - PREFIX,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%s, %d, %d, %d), }%*s", first,
                 a->channels, a->height, a->width, room, "");
    size_t filled = PREFIX + (size_t)length + 1; /* with the line's end */
    size_t total = (filled / ALIGNMENT + 1) * ALIGNMENT;
    memset(text + length, ' ', total - filled);
    dst[total - 1] = '\n';
    memcpy(dst, TG__NPY_MAGIC "\x01\x00", MAGIC_BYTES + 2);
    dst[MAGIC_BYTES + 2] = (char)((total - PREFIX) & 0xFF);
    dst[MAGIC_BYTES + 3] = (char)((total - PREFIX) >> 8);
    return total;
}

void tg__npy_encode(tg__buffer *file, const tg_array *array, tg__error *error)
{
    char header[4 * ALIGNMENT];
    if (!tg__array_check(array, TG_ERROR_NUMERIC, error))
        return;
    size_t values = (size_t)array->count * (size_t)array->channels * (size_t)array->height *
                    (size_t)array->width;
    if (tg__buffer_add(file, header, make_header(header, array), error))
        tg__buffer_add(file, array->data, values * sizeof *array->data, error);
}

tg_status tg_npy_encode(void **data, size_t *bytes, tg_array array, tg_error *given)
{
    tg__error own, *error = tg__error_begin(given, &own);
    tg__buffer file = {0};
    if (!tg__buffer_asked(data, bytes, error))
        return error->status;
    tg__npy_encode(&file, &array, error);
    tg__error_in(error, "array");
    return tg__buffer_hand_out(&file, data, bytes, error);
}

tg_status tg_npy_write(tg_array array, const char *path, bool overwrite, tg_error *given)
{
    tg__error own, *error = tg__error_begin(given, &own);
    tg__buffer file = {0};
    if (!tg__given(path, "path", error))
        return error->status;
    tg__npy_encode(&file, &array, error);
    tg__error_in_file(error, path);
    if (!tg__failed(error))
        tg_file_write(path, file.data, file.bytes, overwrite, error);
    tg__buffer_free(&file);
    return error->status;
}
