/* SPDX-License-Identifier: MIT */
/* Configs and the JSON reader under them: against what Python's json module reads
 * (tests/golden/make_json.py), and every sentence for what is wrong. */
#include "io/config.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "io/json.h"
#include "scratch.h"

static const char WHERE[] = "unet/config.json";

static tg__config *parsed(const char *text, tg__error *error)
{
    *error = (tg__error){0};
    return tg__config_parse(text, strlen(text), WHERE, error);
}

/* message: what follows "unet/config.json: ". */
static void check_error(const tg__error *error, tg_status status, const char *message)
{
    char expected[sizeof error->message];
    snprintf(expected, sizeof expected, "%s: %s", WHERE, message);
    assert_string_equal(error->message, expected);
    assert_int_equal(error->status, status);
}

/* ----------------------------------------------------------------------------- the JSON text */

static void test_refused_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "line 1, column 1: found the end, expected a value"},
        {" \n\t", "line 2, column 2: found the end, expected a value"},
        {"[1]", "is [1], expected an object"},
        {"\"x\"", "is \"x\", expected an object"},
        {"{\n  \"a\": 1,\n  \"b\" 2}", "line 3, column 7: found '2', expected ':'"},
        {"{\"a\":\"x\\ny\",\n}", "line 2, column 1: found '}', expected a key in quotes"},
        {"{\"a\":1", "line 1, column 7: found the end, expected ',' or '}'"},
        {"{\"a\":[1", "line 1, column 8: found the end, expected ',' or ']'"},
        {"{\"a\":\"x", "line 1, column 8: found the end, expected '\"' that ends a string"},
        {"{\"a\":1.x}", "line 1, column 8: found 'x', expected a digit"},
        {"{\"a\":9223372036854775808}",
         "line 1, column 6: found 9223372036854775808, expected an integer of 64 bits"},
        {"{\"a\":-9223372036854775809}",
         "line 1, column 6: found -9223372036854775809, expected an integer of 64 bits"},
        {"{\"a\":[0,12345678901234567890123456789012345678901234567890]}",
         "line 1, column 9: found 1234567890123456789012345678901234567890, expected an integer "
         "of 64 bits"},
        {"{\"a\":1e999}", "line 1, column 6: found 1e999, expected a number of 64 bits"},
        {"{\"a\":-1e999}", "line 1, column 6: found -1e999, expected a number of 64 bits"},
        {"{\"a\":\"\\ud83d\"}",
         "line 1, column 7: found the lone surrogate \\ud83d, expected a pair"},
        {"{\"a\":\"\\ude00\\ud83d\"}",
         "line 1, column 7: found the lone surrogate \\ude00, expected a pair"},
        {"{\"a\":\"\\ude00\\ude00\"}",
         "line 1, column 7: found the lone surrogate \\ude00, expected a pair"},
        {"{\"a\":\"\\ud83d\\u0041\"}",
         "line 1, column 7: found the lone surrogate \\ud83d, expected a pair"},
        {"{\"a\":\"\\ud83d\\ud83d\"}",
         "line 1, column 7: found the lone surrogate \\ud83d, expected a pair"},
        {"{\"a\":\"\\u12\"}",
         "line 1, column 7: found \\u, expected four hexadecimal digits behind it"},
        {"{\"a\":\"\\x41\"}",
         "line 1, column 7: found a backslash, expected an escape that JSON knows"},
        {"{\"a\":\"x\\u0000\"}",
         "line 1, column 8: found \\u0000, expected a string without zero characters"},
        {"{\"a\":\"\xC0\x80\"}", "line 1, column 7: found byte 0xc0 in a string, expected UTF-8"},
        {"{\"a\":\"\xED\xA0\x80\"}",
         "line 1, column 7: found byte 0xed in a string, expected UTF-8"},
        {"{\"a\":\"\xE4\"}", "line 1, column 7: found byte 0xe4 in a string, expected UTF-8"},
        {"{\"a\":\"\x01\"}", "line 1, column 7: found byte 0x01 in a string, expected it escaped"},
        {"{\"a\":1,\n\"b\":2,\"a\":3}", "line 2, column 12: the key a is there twice"},
        {"{\"x\":{\"\\u001b\":1,\"\\u001b\":2}}", "line 1, column 28: the key ? is there twice"},
        {"{\"a\":1}\x01", "line 1, column 8: found byte 0x01, expected nothing more"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tg__error error;
        assert_null(parsed(cases[i].text, &error));
        check_error(&error, TG_ERROR_FORMAT, cases[i].message);
    }
}

static void test_limits(void **state)
{
    (void)state;
    tg__error error;
    char *text = malloc((16 << 20) + 2);
    assert_non_null(text);
    memset(text, ' ', (16 << 20) + 2);
    memcpy(text, "{}", 2);
    tg__config *config = tg__config_parse(text, 16 << 20, WHERE, &(tg__error){0});
    assert_non_null(config);
    tg__config_close(config);
    error = (tg__error){0};
    assert_null(tg__config_parse(text, (16 << 20) + 1, WHERE, &error));
    check_error(&error, TG_ERROR_FORMAT, "is 16777217 bytes long, expected at most 16777216");
    for (int i = 0; i < 1 << 20; i++)
        memcpy(text + 6 + 2 * i, "1,", 2);
    memcpy(text, "{\"a\":[", 6);
    error = (tg__error){0};
    assert_null(tg__config_parse(text, 4 << 20, WHERE, &error));
    check_error(&error, TG_ERROR_FORMAT, "line 1, column 2097155: more than 1048576 values");
    /* Many beside each other are no levels. */
    for (int i = 0; i < 1000; i++)
        memcpy(text + 6 + 3 * i, "[],", 3);
    memcpy(text + 6 + 3000 - 1, "]}", 2);
    config = tg__config_parse(text, 6 + 3000 + 1, WHERE, &(tg__error){0});
    assert_non_null(config);
    tg__config_close(config);
    memset(text, '[', 100000);
    memcpy(text, "{\"a\":", 5);
    error = (tg__error){0};
    assert_null(tg__config_parse(text, 100000, WHERE, &error));
    check_error(&error, TG_ERROR_FORMAT,
                "line 1, column 205: more than 200 levels of lists and objects");
    free(text);
}

static tg__json_text *json(const char *text, size_t length, tg__error *error)
{
    char *copy = malloc(length + 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    copy[length] = '\0';
    *error = (tg__error){0};
    return tg__json_parse(copy, length, 1000, WHERE, error);
}

static size_t read_piece(FILE *file, char *dst, size_t size)
{
    unsigned char head[4];
    assert_int_equal(fread(head, 1, sizeof head, file), sizeof head);
    size_t length = head[0] | (size_t)head[1] << 8;
    assert_true(length < size && head[2] == 0 && head[3] == 0);
    assert_int_equal(fread(dst, 1, length, file), length);
    return length;
}

/* What we refuse and Python does not, by what the message says. */
static bool is_stricter(const char *message)
{
    return strstr(message, "is there twice") || strstr(message, "lone surrogate") ||
           strstr(message, "of 64 bits") || strstr(message, "zero characters");
}

static void test_reads_what_python_reads(void **state)
{
    (void)state;
    FILE *cases = fopen(TG_TEST_DATA "/golden/json/cases.bin", "rb");
    assert_non_null(cases);
    int accepted = 0, refused = 0;
    for (int kind; (kind = fgetc(cases)) != EOF;) {
        char text[1024], dumped[1024];
        tg__error error;
        size_t length = read_piece(cases, text, sizeof text);
        size_t dumped_length = read_piece(cases, dumped, sizeof dumped);
        tg__json_text *ours = json(text, length, &error);
        bool object = ours && tg__json_root(ours)->type == TG__JSON_OBJECT;
        if (object != (kind == 'A') && !is_stricter(error.message))
            fail_msg("%s: %.*s", ours ? "accepted" : error.message, (int)length, text);
        if (object) {
            tg__json_text *theirs = json(dumped, dumped_length, &error);
            assert_non_null(theirs);
            if (!tg__json_equal(tg__json_root(ours), tg__json_root(theirs)))
                fail_msg("%.*s is not read as %.*s", (int)length, text, (int)dumped_length, dumped);
            tg__json_free(theirs);
        }
        *(object ? &accepted : &refused) += 1;
        tg__json_free(ours);
    }
    fclose(cases);
    assert_true(accepted > 100);
    assert_true(refused > 100);
}

static void test_equal(void **state)
{
    (void)state;
    static const char *const values[] = {
        "null",  "false",     "true",      "1",         "2",
        "1.5",   "\"1\"",     "[]",        "[1]",       "[1,2]",
        "{}",    "{\"a\":1}", "{\"b\":1}", "{\"a\":2}", "{\"a\":1,\"b\":1}",
        "[[1]]", "Infinity",
    };
    tg__error error;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            tg__json_text *a = json(values[i], strlen(values[i]), &error);
            tg__json_text *b = json(values[j], strlen(values[j]), &error);
            assert_int_equal(tg__json_equal(tg__json_root(a), tg__json_root(b)), i == j);
            tg__json_free(a);
            tg__json_free(b);
        }
    }
    tg__json_text *a = json("[1, 2.0]", 8, &error), *b = json("[1.0,2]", 7, &error);
    assert_true(tg__json_equal(tg__json_root(a), tg__json_root(b)));
    tg__json_free(a);
    tg__json_free(b);
}

static void test_show(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *shown;
    } cases[] = {
        {"null", 8, "null"},
        {"[true,false,-3]", 64, "[true,false,-3]"},
        {"[1.0,0.1,1e300,NaN,-Infinity,Infinity,-0.0]", 64,
         "[1.0,0.1,1e+300,NaN,-Infinity,Infinity,-0.0]"},
        {"0.30000000000000004", 64, "0.30000000000000004"},
        {"{ \"b\" : [ ] , \"a\" : { } }", 64, "{\"a\":{},\"b\":[]}"},
        {"\"a\\\"\\\\\\n\\u007f\\u0085\xC3\xA4\"", 64,
         "\"a\\\"\\\\\\u000a\\u007f\\u0085\xC3\xA4\""},
        {"\"abcdefghij\"", 12, "\"abcdefg..."},
        {"\"abcdefghij\"", 16, "\"abcdefghij\""},
        {"\"abcdef\xC3\xA4\"", 12, "\"abcdef..."},
        {"[1,2,3,4,5,6]", 10, "[1,2,3..."},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tg__error error;
        char shown[64];
        tg__json_text *value = json(cases[i].text, strlen(cases[i].text), &error);
        assert_non_null(value);
        assert_string_equal(tg__json_show(tg__json_root(value), shown, cases[i].size),
                            cases[i].shown);
        assert_true(strlen(shown) < cases[i].size);
        tg__json_free(value);
    }
}

/* Numbers have a point even where the program's locale has a comma (if this machine has one). */
static void test_locale(void **state)
{
    (void)state;
    tg__error error;
    setlocale(LC_ALL, "de_DE.UTF-8");
    tg__config *config = parsed("{\"a\":0.5}", &error);
    assert_non_null(config);
    assert_true(tg__config_number(config, "a", 0, 1, 0) == 0.5);
    tg__config_close(config);
    setlocale(LC_ALL, "C");
}

/* ------------------------------------------------------------------------------------- reads */

static void test_values(void **state)
{
    (void)state;
    tg__error error;
    tg__config *c = parsed("{\"int\":5,\"negative\":-9223372036854775808,\"real\":2.5,\"no\":null,"
                           "\"yes\":true,\"off\":false,\"text\":\"\\ud83d\\ude00\","
                           "\"low\":-Infinity,\"high\":Infinity,\"nan\":NaN}",
                           &error);
    assert_non_null(c);
    assert_string_equal(tg__config_where(c), WHERE);
    assert_ptr_equal(tg__config_error(c), &error);
    assert_true(tg__config_int(c, "int", 5, 5, 1) == 5);
    assert_true(tg__config_int(c, "negative", INT64_MIN, 0, 1) == INT64_MIN);
    assert_true(tg__config_int(c, "absent", 5, 5, 1) == 1);
    assert_true(tg__config_int_or_null(c, "int", 0, 9, 1) == 5);
    assert_true(tg__config_int_or_null(c, "no", 0, 9, 1) == 1);
    assert_true(tg__config_int_or_null(c, "absent", 0, 9, 1) == 1);
    assert_true(tg__config_number(c, "real", 0, 3, 1) == 2.5);
    assert_true(tg__config_number(c, "int", 0, 9, 1) == 5);
    assert_true(tg__config_number(c, "absent", 0, 3, 1) == 1);
    assert_true(tg__config_number(c, "low", -INFINITY, 0, 1) == -INFINITY);
    assert_true(tg__config_number(c, "high", 0, INFINITY, 1) == INFINITY);
    assert_true(tg__config_number_or_null(c, "real", 0, 3, 1) == 2.5);
    assert_true(tg__config_number_or_null(c, "no", 0, 3, 1) == 1);
    assert_true(tg__config_bool(c, "yes", false));
    assert_false(tg__config_bool(c, "off", true));
    assert_true(tg__config_bool(c, "absent", true));
    assert_string_equal(tg__config_string(c, "text", "x"), "\xF0\x9F\x98\x80");
    assert_string_equal(tg__config_string(c, "absent", "x"), "x");
    assert_null(tg__config_string(c, "no", NULL));
    assert_true(tg__config_has(c, "no") && !tg__config_has(c, "absent"));
    assert_true(tg__config_is_set(c, "int") && tg__config_is_set(c, "yes"));
    assert_false(tg__config_is_set(c, "no") || tg__config_is_set(c, "off"));
    assert_false(tg__config_is_set(c, "absent"));
    assert_int_equal(error.status, TG_OK);
    tg__config_close(c);
}

/* One read of each kind of the key "k" where it has the wrong value. */
typedef enum reading {
    INT,
    INT_OR_NULL,
    ANY_INT,
    POSITIVE,
    SMALL,
    NUMBER,
    NUMBER_OR_NULL,
    ANY_NUMBER,
    FINITE,
    ABOVE,
    BELOW,
    BOOL,
    STRING,
    CHOICE,
    LIST,
    LIST_INT,
    LIST_NUMBER,
    LIST_STRING,
    INTS,
    BOOLS,
    OBJECT,
    REFUSE
} reading;

static void read_as(tg__config *c, reading how)
{
    static const char *const choices[] = {"silu", "swish", "gelu", NULL};
    int ints[2];
    bool bools[2];
    switch (how) {
    case INT:
        assert_true(tg__config_int(c, "k", 1, 64, -7) == -7);
        break;
    case INT_OR_NULL:
        assert_true(tg__config_int_or_null(c, "k", 1, 64, -7) == -7);
        break;
    case ANY_INT:
        assert_true(tg__config_int(c, "k", INT64_MIN, INT64_MAX, -7) == -7);
        break;
    case POSITIVE:
        assert_true(tg__config_int(c, "k", 1, INT64_MAX, -7) == -7);
        break;
    case SMALL:
        assert_true(tg__config_int(c, "k", INT64_MIN, 9, -7) == -7);
        break;
    case NUMBER:
        assert_true(tg__config_number(c, "k", -0.5, 1, -7) == -7);
        break;
    case NUMBER_OR_NULL:
        assert_true(tg__config_number_or_null(c, "k", -0.5, 1, -7) == -7);
        break;
    case ANY_NUMBER:
        assert_true(tg__config_number(c, "k", -INFINITY, INFINITY, -7) == -7);
        break;
    case FINITE:
        assert_true(tg__config_number(c, "k", -DBL_MAX, DBL_MAX, -7) == -7);
        break;
    case ABOVE:
        assert_true(tg__config_number(c, "k", 0, INFINITY, -7) == -7);
        break;
    case BELOW:
        assert_true(tg__config_number(c, "k", -INFINITY, 0, -7) == -7);
        break;
    case BOOL:
        assert_true(tg__config_bool(c, "k", true));
        break;
    case STRING:
        assert_string_equal(tg__config_string(c, "k", "-7"), "-7");
        break;
    case CHOICE:
        assert_int_equal(tg__config_choice(c, "k", choices, -1), -1);
        break;
    case LIST:
        assert_int_equal(tg__config_list(c, "k", 2), -1);
        break;
    case LIST_INT:
        assert_true(tg__config_list_int(c, "k", 1, -3, 64) == -3);
        break;
    case LIST_NUMBER:
        assert_true(tg__config_list_number(c, "k", 1) == 0);
        break;
    case LIST_STRING:
        assert_string_equal(tg__config_list_string(c, "k", 1), "");
        break;
    case INTS:
        tg__config_ints(c, "k", 2, 1, INT64_MAX, -7, ints);
        assert_int_equal(ints[1], -7);
        break;
    case BOOLS:
        tg__config_bools(c, "k", 2, true, bools);
        assert_true(bools[1]);
        break;
    case OBJECT:
        assert_null(tg__config_object(c, "k"));
        break;
    case REFUSE:
        tg__config_refuse(c, "k", "\"default\"");
        break;
    }
}

static void test_wrong_values(void **state)
{
    (void)state;
    static const struct {
        reading reading;
        const char *value, *message;
        tg_status status; /* TG_OK: TG_ERROR_FORMAT */
    } cases[] = {
        {INT, "\"two\"", "k is \"two\", expected an integer from 1 to 64", 0},
        {INT, "0", "k is 0, expected an integer from 1 to 64", 0},
        {INT, "65", "k is 65, expected an integer from 1 to 64", 0},
        {INT, "2.0", "k is 2.0, expected an integer from 1 to 64", 0},
        {INT, "true", "k is true, expected an integer from 1 to 64", 0},
        {INT, "null", "k is null, expected an integer from 1 to 64", 0},
        {INT_OR_NULL, "[]", "k is [], expected an integer from 1 to 64", 0},
        {ANY_INT, "1.5", "k is 1.5, expected an integer", 0},
        {POSITIVE, "0", "k is 0, expected an integer of 1 or more", 0},
        {SMALL, "10", "k is 10, expected an integer of 9 or less", 0},
        {NUMBER, "-0.75", "k is -0.75, expected a number from -0.5 to 1", 0},
        {NUMBER, "1.0000001", "k is 1.0000001, expected a number from -0.5 to 1", 0},
        {NUMBER, "NaN", "k is NaN, expected a number from -0.5 to 1", 0},
        {NUMBER, "Infinity", "k is Infinity, expected a number from -0.5 to 1", 0},
        {NUMBER, "\"1\"", "k is \"1\", expected a number from -0.5 to 1", 0},
        {NUMBER, "false", "k is false, expected a number from -0.5 to 1", 0},
        {NUMBER, "null", "k is null, expected a number from -0.5 to 1", 0},
        {NUMBER_OR_NULL, "{}", "k is {}, expected a number from -0.5 to 1", 0},
        {ANY_NUMBER, "NaN", "k is NaN, expected a number", 0},
        {FINITE, "-Infinity", "k is -Infinity, expected a finite number", 0},
        {ABOVE, "-1", "k is -1, expected a number of 0 or more", 0},
        {BELOW, "1", "k is 1, expected a number of 0 or less", 0},
        {BOOL, "0", "k is 0, expected true or false", 0},
        {BOOL, "null", "k is null, expected true or false", 0},
        {STRING, "5", "k is 5, expected a string", 0},
        {CHOICE, "5", "k is 5, expected a string", 0},
        {CHOICE, "\"mish\"", "k \"mish\" is not implemented, expected silu, swish or gelu",
         TG_ERROR_UNSUPPORTED},
        {LIST, "5", "k is 5, expected a list of at most 2", 0},
        {LIST, "[1,2,3]", "k is [1,2,3], expected a list of at most 2", 0},
        {LIST_INT, "[1,\"x\"]", "k[1] is \"x\", expected an integer from -3 to 64", 0},
        {LIST_INT, "[1]", "k is [1], expected a list of at least 2", 0},
        {LIST_INT, "5", "k is 5, expected a list of at least 2", 0},
        {LIST_NUMBER, "[1,Infinity]", "k[1] is Infinity, expected a finite number", 0},
        {LIST_NUMBER, "[1,null]", "k[1] is null, expected a finite number", 0},
        {LIST_STRING, "[\"a\",1]", "k[1] is 1, expected a string", 0},
        {LIST_STRING, "[]", "k is [], expected a list of at least 2", 0},
        {INTS, "[1,2,3]", "k is [1,2,3], expected an integer from 1 to 2147483647 or a list of 2",
         0},
        {INTS, "[1,4294967297]", "k[1] is 4294967297, expected an integer from 1 to 2147483647", 0},
        {INTS, "\"8\"", "k is \"8\", expected an integer from 1 to 2147483647", 0},
        {INTS, "[1,null]", "k[1] is null, expected an integer from 1 to 2147483647", 0},
        {BOOLS, "[true]", "k is [true], expected true or false or a list of 2", 0},
        {BOOLS, "[false,0]", "k[1] is 0, expected true or false", 0},
        {OBJECT, "[]", "k is [], expected an object", 0},
        {REFUSE, "\"timestep\"", "k \"timestep\" is not implemented", TG_ERROR_UNSUPPORTED},
        {REFUSE, "0", "k 0 is not implemented", TG_ERROR_UNSUPPORTED},
        {REFUSE, "[\"default\"]", "k [\"default\"] is not implemented", TG_ERROR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[128];
        tg__error error;
        snprintf(text, sizeof text, "{\"k\":%s}", cases[i].value);
        tg__config *c = parsed(text, &error);
        assert_non_null(c);
        read_as(c, cases[i].reading);
        check_error(&error, cases[i].status ? cases[i].status : TG_ERROR_FORMAT, cases[i].message);
        assert_true(tg__config_was_read(c, "k"));
        tg__config_close(c);
    }
}

static void test_absent_list(void **state)
{
    (void)state;
    tg__error error;
    tg__config *c = parsed("{}", &error);
    assert_true(tg__config_list_int(c, "k", 0, 1, 2) == 1);
    check_error(&error, TG_ERROR_FORMAT, "k is absent, expected a list of at least 1");
    /* The first error sticks. */
    tg__config_list_int(c, "other", 0, 1, 2);
    check_error(&error, TG_ERROR_FORMAT, "k is absent, expected a list of at least 1");
    tg__config_close(c);
}

static void test_lists(void **state)
{
    (void)state;
    static const char *const choices[] = {"silu", "swish", NULL};
    tg__error error;
    tg__config *c =
        parsed("{\"list\":[3,-4.5,\"x\"],\"one\":7,\"two\":[1,2],\"flags\":[true,false],"
               "\"flag\":true,\"no\":null,\"empty\":[],\"act\":\"swish\"}",
               &error);
    assert_non_null(c);
    assert_int_equal(tg__config_list(c, "list", 3), 3);
    assert_int_equal(tg__config_list(c, "empty", 0), 0);
    assert_int_equal(tg__config_list(c, "no", 3), -1);
    assert_int_equal(tg__config_list(c, "absent", 3), -1);
    assert_true(tg__config_list_int(c, "list", 0, 0, 9) == 3);
    assert_true(tg__config_list_number(c, "list", 0) == 3);
    assert_true(tg__config_list_number(c, "list", 1) == -4.5);
    assert_string_equal(tg__config_list_string(c, "list", 2), "x");
    int ints[2] = {0, 0};
    assert_true(tg__config_ints(c, "one", 2, 0, 9, -1, ints) && ints[0] == 7 && ints[1] == 7);
    assert_true(tg__config_ints(c, "two", 2, 0, 9, -1, ints) && ints[0] == 1 && ints[1] == 2);
    assert_false(tg__config_ints(c, "no", 2, 0, 9, -1, ints));
    assert_true(ints[0] == -1 && ints[1] == -1);
    bool bools[2] = {false, true};
    assert_true(tg__config_bools(c, "flags", 2, false, bools) && bools[0] && !bools[1]);
    assert_true(tg__config_bools(c, "flag", 2, false, bools) && bools[0] && bools[1]);
    assert_false(tg__config_bools(c, "absent", 2, false, bools) || bools[0] || bools[1]);
    assert_int_equal(tg__config_choice(c, "act", choices, 0), 1);
    assert_int_equal(tg__config_choice(c, "no", choices, 0), 0);
    assert_int_equal(tg__config_choice(c, "absent", choices, -1), -1);
    assert_int_equal(error.status, TG_OK);
    tg__config_close(c);
}

static void test_refuse_accepts(void **state)
{
    (void)state;
    tg__error error;
    tg__config *c = parsed("{\"null\":null,\"false\":false,\"default\":\"default\",\"one\":1.0,"
                           "\"list\":[1,2]}",
                           &error);
    tg__config_refuse(c, "absent", NULL);
    tg__config_refuse(c, "null", NULL);
    tg__config_refuse(c, "false", NULL);
    tg__config_refuse(c, "default", "\"default\"");
    tg__config_refuse(c, "one", "1");
    tg__config_refuse(c, "list", "[1, 2]");
    assert_int_equal(error.status, TG_OK);
    assert_true(tg__config_was_read(c, "null") && tg__config_was_read(c, "list"));
    tg__config_refuse(c, "list", NULL);
    check_error(&error, TG_ERROR_UNSUPPORTED, "list [1,2] is not implemented");
    tg__config_close(c);
}

static void test_keys(void **state)
{
    (void)state;
    tg__error error;
    char shown[16];
    tg__config *c = parsed("{\"b\":1,\"c\":[1, 2],\"a\":{\"x\":1}}", &error);
    assert_string_equal(tg__config_key(c, 0), "a");
    assert_string_equal(tg__config_key(c, 1), "b");
    assert_string_equal(tg__config_key(c, 2), "c");
    assert_null(tg__config_key(c, 3));
    assert_null(tg__config_key(c, -1));
    assert_true(tg__config_has(c, "b") && tg__config_is_set(c, "b"));
    tg__config_show(c, "b", shown, sizeof shown);
    assert_false(tg__config_was_read(c, "b"));
    tg__config_int(c, "b", 0, 9, 0);
    assert_true(tg__config_was_read(c, "b"));
    assert_false(tg__config_was_read(c, "c") || tg__config_was_read(c, "absent"));
    tg__config_ignore(c, "c");
    tg__config_ignore(c, "absent");
    assert_true(tg__config_was_read(c, "c"));
    assert_false(tg__config_was_read(c, "absent"));
    assert_string_equal(tg__config_show(c, "c", shown, sizeof shown), "[1,2]");
    assert_string_equal(tg__config_show(c, "absent", shown, sizeof shown), "absent");
    tg__config_close(c);
}

static void test_inner_objects(void **state)
{
    (void)state;
    tg__error error;
    tg__config *c = parsed("{\"a\":{\"b\":{\"x\":1,\"y\":\"z\"}},\"e\":{},\"no\":null}", &error);
    tg__config *a = tg__config_object(c, "a"), *b = tg__config_object(a, "b");
    assert_non_null(b);
    assert_ptr_equal(tg__config_object(c, "a"), a);
    assert_ptr_not_equal(tg__config_object(c, "e"), a);
    assert_null(tg__config_key(tg__config_object(c, "e"), 0));
    assert_null(tg__config_object(c, "no"));
    assert_null(tg__config_object(c, "absent"));
    assert_true(tg__config_int(b, "x", 0, 9, 0) == 1);
    assert_true(tg__config_was_read(c, "a") && tg__config_was_read(b, "x"));
    assert_int_equal(error.status, TG_OK);
    tg__config_int(b, "y", 0, 9, 0);
    check_error(&error, TG_ERROR_FORMAT, "a: b: y is \"z\", expected an integer from 0 to 9");
    tg__config_close(c);
}

static void test_open(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    tg__config *c = tg__config_open(scratch_write(s, "c.json", "{\"a\":1}\n", 8), WHERE, &error);
    assert_non_null(c);
    assert_true(tg__config_int(c, "a", 0, 9, 0) == 1);
    tg__config_close(c);
    assert_null(tg__config_open(scratch_path(s, "no.json"), WHERE, &error));
    check_error(&error, TG_ERROR_NOT_FOUND, "there is no such file");
    error = (tg__error){0};
    assert_null(tg__config_open(s->folder, WHERE, &error));
    check_error(&error, TG_ERROR_IO, "is a folder, expected a file");
    error = (tg__error){0};
    assert_int_equal(truncate(scratch_path(s, "c.json"), (16 << 20) + 1), 0);
    assert_null(tg__config_open(s->path, WHERE, &error));
    check_error(&error, TG_ERROR_FORMAT, "is 16777217 bytes long, expected at most 16777216");
}

/* Whatever the text is, reading it does no harm. */
static void test_mutations(void **state)
{
    (void)state;
    static const char sound[] = "{\"a\": [1, 2.5e3, -Infinity, NaN, \"x\\u00e4\\ud83d\\ude00\"],\n"
                                "\"b\": {\"c\": {}, \"d\": [[], [true, false, null]]},\r\n"
                                "\t\"c\": -12, \"d\": \"\\\"\\\\\\/\xC3\xA4\"}";
    static const char pieces[] = "0123456789[]{},:\"\\ -.eEuNIntf\n\x00\x80\xC3\xFF";
    unsigned random = 1;
    int accepted = 0;
    for (int i = 0; i < 20000; i++) {
        char text[256], shown[64];
        size_t length = sizeof sound - 1;
        memcpy(text, sound, sizeof sound);
        for (unsigned j = scratch_random(&random) % 4 + 1; j > 0; j--) {
            size_t at = scratch_random(&random) % length;
            if (scratch_random(&random) % 3 == 0)
                memmove(text + at, text + at + 1, --length - at);
            else if (scratch_random(&random) % 2)
                memmove(text + at + 1, text + at, length++ - at);
            else if (scratch_random(&random) % 40 == 0)
                length = at + 1;
            text[at] = pieces[scratch_random(&random) % (sizeof pieces - 1)];
        }
        tg__error error = {0};
        char *exact = malloc(length); /* so that AddressSanitizer knows where it ends */
        assert_non_null(exact);
        memcpy(exact, text, length);
        tg__config *c = tg__config_parse(exact, length, WHERE, &error);
        free(exact);
        assert_true((c != NULL) == (error.status == TG_OK));
        for (int j = 0; c && tg__config_key(c, j); j++) {
            tg__config_show(c, tg__config_key(c, j), shown, sizeof shown);
            tg__config_list_int(c, tg__config_key(c, j), j, 0, 9);
            tg__config_object(c, tg__config_key(c, j));
        }
        accepted += c != NULL;
        tg__config_close(c);
    }
    assert_in_range(accepted, 500, 15000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_texts),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_reads_what_python_reads),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_locale),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_wrong_values),
        cmocka_unit_test(test_absent_list),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_refuse_accepts),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_inner_objects),
        cmocka_unit_test(test_open),
        cmocka_unit_test(test_mutations),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
