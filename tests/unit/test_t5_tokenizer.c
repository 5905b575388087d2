/* SPDX-License-Identifier: MIT */
/* T5's tokenizers against transformers' (tests/golden/make_t5_tokenizer.py), and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"
#include "scratch.h"
#include "text/tokenizer.h"

#define GOLDEN TG_TEST_DATA "/golden/t5_tokenizer/"

static tg__tokenizer *open_golden(const char *name)
{
    char path[512];
    tg__error error = {0};
    snprintf(path, sizeof path, GOLDEN "%s", name);
    tg__tokenizer *t = tg__tokenizer_open(NULL, path, &error);
    if (!t)
        fail_msg("%s", error.message);
    return t;
}

static json_t *load_cases(const char *name)
{
    char path[512];
    json_error_t fault;
    snprintf(path, sizeof path, GOLDEN "%s.json", name);
    json_t *cases = json_load_file(path, 0, &fault);
    if (!cases)
        fail_msg("%s: %s", path, fault.text);
    return cases;
}

/* Whether ids are the array's, and what is said of them holds together. */
static void check_tokens(const char *name, const tg__tokenizer *t, const char *text,
                         const json_t *expected)
{
    tg__error error = {0};
    tg__tokens tokens;
    if (tg__tokenize(t, text, &tokens, &error) != TG_OK)
        fail_msg("%s: %s", name, error.message);
    size_t count = json_array_size(expected);
    bool same = (size_t)tokens.count == count;
    for (size_t i = 0; i < count && same; i++)
        same = tokens.ids[i] == json_integer_value(json_array_get(expected, i));
    if (!same) {
        print_error("%s: %s\n  got     ", name, text);
        for (int i = 0; i < tokens.count; i++)
            print_error(" %d", (int)tokens.ids[i]);
        print_error("\n  expected");
        for (size_t i = 0; i < count; i++)
            print_error(" %d", (int)json_integer_value(json_array_get(expected, i)));
        print_error("\n");
        fail();
    }
    for (int i = 0; i < tokens.count; i++) {
        assert_in_range(tokens.ids[i], 0, t->size - 1);
        assert_non_null(tokens.pieces[i]);
        assert_true(tokens.ends[i] <= strlen(text));
        assert_true(i == 0 || tokens.ends[i - 1] <= tokens.ends[i]);
    }
    assert_int_equal(tokens.ends[tokens.count - 1], strlen(text));
    tg__tokens_free(&tokens);
}

/* As the reference cuts: one place is the end token's, unless the last that fits is one. */
static void check_padded(const tg__tokenizer *t, const char *text, const json_t *expected)
{
    static const int lengths[] = {1, 2, 5, 40};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        int32_t ids[40];
        int length = lengths[i], count, all = (int)json_array_size(expected), fit = all;
        size_t lost;
        tg__error error = {0};
        assert_int_equal(tg__tokenize_padded(t, text, length, ids, &count, &lost, &error), TG_OK);
        assert_true((lost == SIZE_MAX) == (all <= length));
        if (all > length) {
            bool ended =
                length > 1 && json_integer_value(json_array_get(expected, length - 2)) == 1;
            fit = ended ? length - 1 : length;
            assert_int_equal(ids[fit - 1], 1);
            assert_true(lost <= strlen(text));
        }
        assert_int_equal(count, fit);
        for (int j = 0; j < length; j++)
            if (j >= fit || j < fit - 1)
                assert_int_equal(ids[j],
                                 j < fit ? json_integer_value(json_array_get(expected, j)) : 0);
    }
}

static void goldens(void **state)
{
    static const char *const names[] = {"plain", "saved", "legacy", "modern", "fast", "old_fast"};
    static const int contexts[] = {INT32_MAX, 64, 20, INT32_MAX, INT32_MAX, INT32_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        tg__tokenizer *t = open_golden(names[i]);
        json_t *cases = load_cases(names[i]), *c;
        size_t j;
        assert_int_equal(t->context, contexts[i]);
        json_array_foreach(cases, j, c)
        {
            const char *text = json_string_value(json_object_get(c, "text"));
            check_tokens(names[i], t, text, json_object_get(c, "ids"));
            if (t->class->one_end)
                check_padded(t, text, json_object_get(c, "ids"));
        }
        assert_true(json_array_size(cases) > 500);
        json_decref(cases);
        tg__tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(goldens)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
