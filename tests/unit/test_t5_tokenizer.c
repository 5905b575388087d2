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

/* ----------------------------------------------------------------------------- files that lie */

static char *read_golden(const char *name, size_t *length)
{
    char path[512];
    tg__error error = {0};
    snprintf(path, sizeof path, GOLDEN "%s", name);
    char *data = tg__file_read(path, 1 << 24, length, &error);
    assert_non_null(data);
    return data;
}

/* A folder of one file; what is said of it, behind the file's name. */
static void refused(scratch *s, const char *class, const char *name, const void *data, size_t bytes,
                    const char *sentence)
{
    tg__error error = {0};
    unlink(scratch_path(s, "spiece.model"));
    unlink(scratch_path(s, "tokenizer.json"));
    if (data)
        scratch_write(s, name, data, bytes);
    tg__tokenizer *t = tg__tokenizer_open(class, s->folder, &error);
    if (t)
        fail_msg("opened, expected %s", sentence);
    if (!strstr(error.message, sentence))
        fail_msg("%s\nexpected %s", error.message, sentence);
}

static void lies(void **state)
{
    scratch *s = *state;
    size_t length;
    char *model = read_golden("plain/spiece.model", &length), *bpe;
    refused(s, "T5Tokenizer", NULL, NULL, 0, "spiece.model: there is no such file");
    refused(s, "T5Tokenizer", "spiece.model", "", 0,
            "has no pieces, expected a sentencepiece model");
    refused(s, "T5Tokenizer", "spiece.model", "version https://git-lfs", 23,
            "is cut off or damaged at byte 0 of 23, expected a sentencepiece model");
    refused(s, "T5Tokenizer", "spiece.model", model, length / 2, "expected a sentencepiece model");
    refused(s, "T5Tokenizer", "spiece.model",
            "\x0A\x05\x0A\x01"
            "a\x18\x01",
            7, "has 0 unknown pieces, expected one");
    free(model);
    bpe = read_golden("bpe.model", &length);
    refused(s, "T5Tokenizer", "spiece.model", bpe, length,
            "is a sentencepiece model of the type bpe, expected unigram");
    free(bpe);
    static const char no_model[] = "{}", bpe_json[] = "{\"model\": {\"type\": \"BPE\"}}",
                      no_unknown[] =
                          "{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0]]}}",
                      far[] = "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 1, \"vocab\": "
                              "[[\"a\", 0]]}}",
                      lower[] = "{\"model\": {\"type\": \"Unigram\", \"unk_id\": 0, \"vocab\": "
                                "[[\"a\", 0], [\"</s>\", 0], [\"<pad>\", 0]]}, \"normalizer\": "
                                "{\"type\": \"Lowercase\"}}";
    refused(s, "T5TokenizerFast", "tokenizer.json", no_model, sizeof no_model - 1,
            "model: none is not implemented");
    refused(s, "T5TokenizerFast", "tokenizer.json", bpe_json, sizeof bpe_json - 1,
            "model: BPE is not implemented");
    refused(s, "T5TokenizerFast", "tokenizer.json", no_unknown, sizeof no_unknown - 1,
            "model: unk_id is missing or wrong, expected the place of a piece");
    refused(s, "T5TokenizerFast", "tokenizer.json", far, sizeof far - 1,
            "model: unk_id is missing or wrong, expected the place of a piece");
    refused(s, "T5TokenizerFast", "tokenizer.json", lower, sizeof lower - 1,
            "normalizer: Lowercase is not implemented");
}

/* Bytes changed at random, those of the table of characters among them: an error, or a tokenizer
 * that splits any text. */
static void damaged(void **state)
{
    scratch *s = *state;
    static const char text[] =
        "a red \xEF\xBC\xA1 fox \xE2\x91\xA0\tcafe\xCC\x81 </s>\xE3\x80\x80zz";
    unsigned seed = 7;
    size_t length;
    char *data = read_golden("plain/spiece.model", &length);
    int opened = 0;
    unlink(scratch_path(s, "tokenizer.json"));
    for (int i = 0; i < 400; i++) {
        size_t at[4];
        char old[4];
        tg__error error = {0};
        int changes = 1 + i % 4;
        for (int j = 0; j < changes; j++) {
            size_t most = i % 2 ? length : 6000; /* pieces, or mostly the table */
            at[j] = (scratch_random(&seed) << 8 ^ scratch_random(&seed)) % most;
            old[j] = data[at[j]];
            data[at[j]] = (char)scratch_random(&seed);
        }
        scratch_write(s, "spiece.model", data, length);
        for (int j = changes - 1; j >= 0; j--)
            data[at[j]] = old[j];
        tg__tokenizer *t = tg__tokenizer_open("T5Tokenizer", s->folder, &error);
        tg__tokens tokens;
        assert_true(t || error.message[0]);
        if (t && tg__tokenize(t, text, &tokens, &error) == TG_OK)
            tg__tokens_free(&tokens);
        opened += t != NULL;
        tg__tokenizer_close(t);
    }
    assert_true(opened > 0 && opened < 400);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(goldens), cmocka_unit_test(lies),
                                       cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
