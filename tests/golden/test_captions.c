/* SPDX-License-Identifier: MIT */
/* Captions as diffusers cleans them with its optional packages, and as it does without
 * (make_captions.py); and texts that would take too long. */
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

#include "text/caption.h"

static const char *text_of(json_t *c, const char *key)
{
    return json_string_value(json_object_get(c, key));
}

static int differs(json_t *c, const char *key, char *(*function)(const char *, tg__error *))
{
    tg__error error = {0};
    char *found = function(text_of(c, "text"), &error);
    bool same = found && strcmp(found, text_of(c, key)) == 0;
    if (!same)
        print_error("\"%s\" is \"%s\", expected \"%s\"\n", text_of(c, "text"),
                    found ? found : error.message, text_of(c, key));
    free(found);
    return !same;
}

static void goldens(void **state)
{
    (void)state;
    json_error_t fault;
    json_t *cases = json_load_file(TG_TEST_DATA "/golden/pixart/captions.json", 0, &fault), *c;
    int off = 0;
    size_t i;
    assert_non_null(cases);
    json_array_foreach(cases, i, c)
    {
        off += differs(c, "plain", tg__caption_plain);
        off += differs(c, "clean", tg__caption_clean);
    }
    assert_true(i > 600);
    assert_int_equal(off, 0);
    json_decref(cases);
}

static void refusals(void **state)
{
    (void)state;
    tg__error error = {0};
    static char longest[TG__CAPTION_MOST + 2];
    assert_null(tg__caption_plain("a\xFFz", &error));
    assert_string_equal(error.message, "the text's byte 1 is 0xff, expected UTF-8");
    error = (tg__error){0};
    assert_null(tg__caption_clean("a\xFFz", &error));
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    memset(longest, 'a', sizeof longest - 1);
    error = (tg__error){0};
    assert_null(tg__caption_clean(longest, &error));
    assert_string_equal(error.message, "the text has 4097 characters, expected at most 4096 where "
                                       "captions are cleaned");
    longest[TG__CAPTION_MOST] = '\0';
    error = (tg__error){0};
    char *cleaned = tg__caption_clean(longest, &error);
    assert_string_equal(cleaned, longest);
    free(cleaned);
}

/* Each either comes to an end or is refused with a sentence, within seconds. */
static void intricate(void **state)
{
    (void)state;
    static const char *const parts[] = {"<a ",  "a.", "&",  "<",   "</a",  "\"' ", " ",  "1a",
                                        "a1a1", "%c", "--", "<!-", "<a='", "1.",   "+ ", "&#1"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char text[TG__CAPTION_MOST + 1] = "";
        tg__error error = {0};
        size_t n = strlen(parts[i]);
        for (size_t at = 0; at + n < sizeof text; at += n)
            memcpy(text + at, parts[i], n + 1);
        char *cleaned = tg__caption_clean(text, &error);
        assert_true((cleaned != NULL) != (error.status == TG_ERROR_ARGUMENT));
        free(cleaned);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(goldens), cmocka_unit_test(refusals),
                                       cmocka_unit_test(intricate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
