/* SPDX-License-Identifier: MIT */
/* CLIP's tokenizer against the reference's ids (golden/make_tokenizer.py), what it says about
 * broken files, and which words it says were lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/utf8.h"
#include "text/clip_tokenizer.h"
#include "unit/scratch.h"

#define GOLDEN TG_TEST_DATA "/golden/tokenizer/"
#define BEGIN "<|startoftext|>"
#define END "<|endoftext|>"

/* ------------------------------------------------------------------------------------- goldens */

/* In the order of the goldens. */
enum { FOLDERS = 5 };
static const char *const folder_names[FOLDERS] = {"demo", "sd1", "sd2", "flags", "legacy"};
static tg__tokenizer *tokenizers[FOLDERS];

static int open_all(void **state)
{
    tg__error error = {0};
    tokenizers[0] =
        tg__tokenizer_open("CLIPTokenizer", TG_PROJECT "/models/demo/tokenizer", &error);
    tokenizers[1] = tg__clip_tokenizer_shipped("<|endoftext|>", &error);
    tokenizers[2] = tg__clip_tokenizer_shipped("!", &error);
    tokenizers[3] = tg__tokenizer_open("CLIPTokenizer", GOLDEN "flags", &error);
    tokenizers[4] = tg__tokenizer_open("CLIPTokenizer", GOLDEN "legacy", &error);
    if (tg__failed(&error)) {
        print_error("%s\n", error.message);
        return -1;
    }
    return scratch_make(state);
}

static int close_all(void **state)
{
    for (int i = 0; i < FOLDERS; i++)
        tg__tokenizer_close(tokenizers[i]);
    return scratch_remove(state);
}

typedef struct golden {
    FILE *file;
    char *line;
    size_t room;
    int number;
} golden;

static golden golden_open(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, GOLDEN "%s", name);
    golden g = {.file = fopen(path, "r")};
    assert_non_null(g.file);
    return g;
}

/* The next line without its newline; NULL at the end, where all is freed. */
static const char *golden_next(golden *g)
{
    ssize_t length = getline(&g->line, &g->room, g->file);
    if (length < 0) {
        free(g->line);
        fclose(g->file);
        return NULL;
    }
    g->line[length - 1] = '\0';
    g->number++;
    return g->line;
}

/* The next line, which must be folder i's; what stands behind its name. */
static const char *golden_folder(golden *g, int i)
{
    const char *line = golden_next(g);
    size_t length = strlen(folder_names[i]);
    assert_non_null(line);
    assert_int_equal(line[0], ' ');
    assert_memory_equal(line + 1, folder_names[i], length);
    return line + 1 + length;
}

/* A text with \u{HEX} for what is not plain, repeated; free() it. */
static char *unescape(const char *line, int times)
{
    char *text = malloc((size_t)times * strlen(line) + 1), *dst = text;
    assert_non_null(text);
    while (*line) {
        if (*line == '\\') {
            char *end;
            dst += tg__utf8_put(dst, (int32_t)strtol(line + 3, &end, 16));
            line = end + 1;
        } else {
            *dst++ = *line++;
        }
    }
    size_t length = (size_t)(dst - text);
    for (int i = 1; i < times; i++)
        memcpy(text + (size_t)i * length, text, length);
    text[(size_t)times * length] = '\0';
    return text;
}

static void check_ids(const golden *g, const char *expected, const int32_t *ids, int count)
{
    for (int i = 0; i < count; i++) {
        char *end;
        long id = strtol(expected, &end, 10);
        if (end == expected || id != ids[i])
            fail_msg("line %d: id %d is %d, expected %s", g->number, i, ids[i], expected);
        expected = end;
    }
    if (*expected)
        fail_msg("line %d: only %d ids, expected also%s", g->number, count, expected);
}

static tg__tokens tokenize(const tg__tokenizer *tokenizer, const char *text)
{
    tg__error error = {0};
    tg__tokens tokens;
    tg__tokenize(tokenizer, text, &tokens, &error);
    assert_string_equal(error.message, "");
    size_t before = 0;
    for (int i = 0; i < tokens.count; i++) {
        assert_in_range(tokens.ids[i], 0, tokenizer->size - 1);
        assert_true(tokens.ends[i] >= before);
        before = tokens.ends[i];
    }
    assert_int_equal(before, strlen(text));
    return tokens;
}

static void test_cases(void **state)
{
    golden g = golden_open("cases.txt");
    int count = 0;
    (void)state;
    for (const char *line; (line = golden_next(&g)); count++) {
        char *text = unescape(line, 1);
        for (int i = 0; i < FOLDERS; i++) {
            tg__tokens tokens = tokenize(tokenizers[i], text);
            check_ids(&g, golden_folder(&g, i), tokens.ids, tokens.count);
            tg__tokens_free(&tokens);
        }
        free(text);
    }
    assert_true(count > 1500);
}

static void test_long_texts(void **state)
{
    golden g = golden_open("long.txt");
    (void)state;
    for (const char *line; (line = golden_next(&g));) {
        char *end, *text;
        int times = (int)strtol(line, &end, 10);
        text = unescape(end + 1, times);
        for (int i = 0; i < FOLDERS; i++) {
            tg__tokens tokens = tokenize(tokenizers[i], text);
            const char *expected = golden_folder(&g, i);
            uint64_t sum = 0xCBF29CE484222325u;
            char found[64];
            for (int j = 0; j < 4 * tokens.count; j++)
                sum = (sum ^ ((uint32_t)tokens.ids[j / 4] >> 8 * (j % 4) & 0xFF)) * 0x100000001B3u;
            snprintf(found, sizeof found, " %d %016llx", tokens.count, (unsigned long long)sum);
            assert_string_equal(found, expected);
            tg__tokens_free(&tokens);
        }
        free(text);
    }
}

static void test_padded(void **state)
{
    static const int lengths[] = {5, 16, 77};
    golden g = golden_open("padded.txt");
    (void)state;
    for (const char *line; (line = golden_next(&g));) {
        char *text = unescape(line, 1);
        for (int i = 0; i < FOLDERS; i++) {
            for (int j = 0; j < 3; j++) {
                tg__error error = {0};
                int32_t ids[77];
                int count;
                size_t lost;
                const char *expected = strchr(golden_folder(&g, i), ':') + 1;
                tg__tokenize_padded(tokenizers[i], text, lengths[j], ids, &count, &lost, &error);
                assert_string_equal(error.message, "");
                check_ids(&g, expected, ids, lengths[j]);
            }
        }
        free(text);
    }
}

static void test_facts(void **state)
{
    static const int contexts[FOLDERS] = {32, 77, 77, INT32_MAX, 9};
    static const int sizes[FOLDERS] = {1131, 49408, 49408, 820, 903};
    (void)state;
    for (int i = 0; i < FOLDERS; i++) {
        assert_int_equal(tokenizers[i]->context, contexts[i]);
        assert_int_equal(tokenizers[i]->size, sizes[i]);
    }
    tg__tokenizer_close(NULL);
}

/* ----------------------------------------------------------------------------- ends, lost words */

/* expected: "piece@end piece@end ...", without the first and the last token. */
static void check_pieces(int folder, const char *text, const char *expected)
{
    tg__tokens tokens = tokenize(tokenizers[folder], text);
    char found[1024] = "";
    for (int i = 1; i < tokens.count - 1; i++) {
        size_t used = strlen(found);
        snprintf(found + used, sizeof found - used, "%s%s@%zu", i > 1 ? " " : "", tokens.pieces[i],
                 tokens.ends[i]);
    }
    assert_string_equal(found, expected);
    assert_int_equal(tokens.ends[0], 0);
    tg__tokens_free(&tokens);
}

static void test_ends(void **state)
{
    (void)state;
    check_pieces(1, "", "");
    check_pieces(1, "  A photo,  OF cats ", "a</w>@3 photo</w>@9 ,</w>@10 of</w>@14 cats</w>@19");
    check_pieces(1, "photorealism 12", "photo@5 realism</w>@12 1</w>@14 2</w>@15");
    check_pieces(1, "it's\tx", "it</w>@2 's</w>@4 x</w>@6");
    /* Dropped characters belong to what comes next. */
    check_pieces(1, "\x01 ca\x02t\x03", "cat</w>@6");
    /* Bytes of a character, a composed and a decomposed one, of an ideograph. */
    check_pieces(1, "\u0958x", "à¤ķ</w>@0 à¤@0 ¼</w>@3 x</w>@4");
    check_pieces(1, "e\u0301 e\u0323\u0301", "Ã©</w>@3 á@4 º@4 ¹</w>@4 Ì@4 ģ</w>@9");
    check_pieces(1, "a\u0130", "ai</w>@1 Ìĩ</w>@3");
    check_pieces(1, "a日b", "a</w>@1 æĹ¥</w>@4 b</w>@5");
    check_pieces(1, "a " END " b <|EndOfText|>", "a</w>@1 " END "@15 b</w>@17 " END "@31");
    check_pieces(2, "hi!!", "hi</w>@2 !@3 !@4");
    /* Added tokens; white space that they take away; a piece that the vocabulary lacks. */
    check_pieces(3, "a <style>\t b", "a</w>@1 <style>@9 b@12");
    check_pieces(3, "q  xwordy", "q</w>@1 x@4 w@5 or@7 d</w>@8 y</w>@9");
    check_pieces(3, "xyz", "<unk>@3");
}

static void check_lost(int folder, const char *text, int length, const char *lost)
{
    tg__error error = {0};
    int32_t ids[16];
    int count;
    size_t offset;
    assert_int_equal(
        tg__tokenize_padded(tokenizers[folder], text, length, ids, &count, &offset, &error), TG_OK);
    if (lost) {
        assert_true(offset <= strlen(text));
        assert_string_equal(text + offset, lost);
    } else {
        assert_true(offset == SIZE_MAX);
    }
}

static void test_lost_words(void **state)
{
    (void)state;
    check_lost(1, "a photo of a cat", 7, NULL);
    check_lost(1, "a photo of a cat   ", 7, NULL);
    check_lost(1, "a photo of a \t cat", 6, "cat");
    check_lost(1, "a photo of a cat", 2, "a photo of a cat");
    check_lost(1, "one photorealism", 4, "realism");
    check_lost(1, "\u0958", 3, "\u0958");
    check_lost(2, "hi!!", 4, "!");
    check_lost(1, "", 2, NULL);
}

/* ------------------------------------------------------------------------------------- refusals */

static void check_refused(const char *text, const char *message)
{
    tg__error error = {0};
    tg__tokens tokens;
    assert_int_equal(tg__tokenize(tokenizers[1], text, &tokens, &error), TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, message);
    assert_null(tokens.ids);
    assert_int_equal(tokens.count, 0);
}

static void test_texts_refused(void **state)
{
    tg__error error = {0};
    int32_t ids[2];
    int count;
    size_t lost;
    (void)state;
    check_refused("a \xff", "the text's byte 2 is 0xff, expected UTF-8");
    check_refused("\xc3", "the text's byte 0 is 0xc3, expected UTF-8");
    check_refused("a\xed\xa0\x80", "the text's byte 1 is 0xed, expected UTF-8");
    check_refused("\xc0\x80", "the text's byte 0 is 0xc0, expected UTF-8");
    char *text = malloc((1 << 20) + 2);
    assert_non_null(text);
    memset(text, 'a', (1 << 20) + 1);
    text[(1 << 20) + 1] = '\0';
    check_refused(text, "the text is 1048577 bytes long, expected at most 1048576");
    free(text);
    assert_int_equal(tg__tokenize_padded(tokenizers[1], "a", 1, ids, &count, &lost, &error),
                     TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, "the context is 1 tokens long, expected 2 or more");
}

/* The files of a folder; NULL: there is none. */
typedef struct contents {
    const char *vocabulary, *merges, *config, *map, *added;
} contents;

#define VOCABULARY "{\"a\":0, \"b\":1, \"a</w>\":2, \"b</w>\":3, \"ab</w>\":4}"
#define MERGES "#version\na b</w>\n"

static tg__tokenizer *open_files(scratch *s, contents files, tg__error *error)
{
    const char *const names[] = {"t/vocab.json", "t/merges.txt", "t/tokenizer_config.json",
                                 "t/special_tokens_map.json", "t/added_tokens.json"};
    const char *const texts[] = {files.vocabulary, files.merges, files.config, files.map,
                                 files.added};
    scratch_folder(s, "t");
    for (int i = 0; i < 5; i++) {
        if (texts[i])
            scratch_write(s, names[i], texts[i], strlen(texts[i]));
        else
            remove(scratch_path(s, names[i]));
    }
    return tg__tokenizer_open("CLIPTokenizer", scratch_path(s, "t"), error);
}

static void check_files(scratch *s, contents files, tg_status status, const char *message)
{
    tg__error error = {0};
    assert_null(open_files(s, files, &error));
    assert_string_equal(error.message, message);
    assert_int_equal(error.status, status);
}

static void test_vocabularies_refused(void **state)
{
    static const struct {
        const char *vocabulary, *merges, *message;
    } cases[] = {
        {"", MERGES, "t/vocab.json: line 1, column 1: found the end, expected a value"},
        {"[]", MERGES, "t/vocab.json: is [], expected an object"},
        {"{}", MERGES, "t/vocab.json: is empty, expected pieces and their ids"},
        {"{\"a\":1.0}", MERGES, "t/vocab.json: a is 1.0, expected an integer from 0 to 16777215"},
        {"{\"a\":-1}", MERGES, "t/vocab.json: a is -1, expected an integer from 0 to 16777215"},
        {"{\"a\":\"1\"}", MERGES,
         "t/vocab.json: a is \"1\", expected an integer from 0 to 16777215"},
        {"{\"a\":16777216}", MERGES,
         "t/vocab.json: a is 16777216, expected an integer from 0 to 16777215"},
        {"{\"a\":1, \"a\":2}", MERGES, "t/vocab.json: line 1, column 14: the key a is there twice"},
        {VOCABULARY, "v\na b</w>\na\n",
         "t/merges.txt: merge 2 is not two pieces with a space between"},
        {VOCABULARY, "v\na b</w> c\n",
         "t/merges.txt: merge 1 is not two pieces with a space between"},
        {VOCABULARY, "v\n\na b</w>\n",
         "t/merges.txt: merge 1 is not two pieces with a space between"},
        {VOCABULARY, "v\na \xff\n", "t/merges.txt: byte 4 is 0xff, expected UTF-8 text"},
        {VOCABULARY, "version https://git-lfs\noid sha256:12\nsize 524619\n",
         "t/merges.txt: none of its 2 merges gives a piece of the vocabulary"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_files(*state,
                    (contents){.vocabulary = cases[i].vocabulary, .merges = cases[i].merges},
                    TG_ERROR_FORMAT, cases[i].message);
    check_files(*state, (contents){.merges = MERGES}, TG_ERROR_NOT_FOUND,
                "t/vocab.json: there is no such file");
    check_files(*state, (contents){.vocabulary = VOCABULARY}, TG_ERROR_NOT_FOUND,
                "t/merges.txt: there is no such file");
}

static void test_settings_refused(void **state)
{
    static const struct {
        const char *config, *map, *added, *message;
    } cases[] = {
        {"{\"bos_token\":5}", NULL, NULL,
         "t/tokenizer_config.json: bos_token is 5, expected a string, or an object with the string "
         "content"},
        {"{\"bos_token\":{}}", NULL, NULL,
         "t/tokenizer_config.json: bos_token is {}, expected a string, or an object with the "
         "string "
         "content"},
        {"{", NULL, NULL,
         "t/tokenizer_config.json: line 1, column 2: found the end, expected a key in quotes"},
        {NULL, "{\"pad_token\":\"\"}", NULL,
         "t/special_tokens_map.json: the token of pad_token is 0 bytes long, expected 1 to 1024"},
        {NULL, "{\"eos_token\":{\"content\":\"x\",\"lstrip\":1}}", NULL,
         "t/special_tokens_map.json: lstrip is 1, expected true or false"},
        {NULL, "{\"additional_special_tokens\":\"x\"}", NULL,
         "t/special_tokens_map.json: additional_special_tokens is \"x\", expected a list"},
        {NULL, NULL, "{\"x\":true}",
         "t/added_tokens.json: x is true, expected an integer from 0 to 16777215"},
        {NULL, NULL, "{\"\":7}",
         "t/added_tokens.json: the token of  is 0 bytes long, expected 1 to 1024"},
        {"{\"added_tokens_decoder\":null}", NULL, NULL,
         "t/tokenizer_config.json: added_tokens_decoder is null, expected an object"},
        {"{\"added_tokens_decoder\":{\"7x\":{\"content\":\"x\"}}}", NULL, NULL,
         "t/tokenizer_config.json: a key of added_tokens_decoder is \"7x\", expected an integer "
         "from 0 to 16777215"},
        {"{\"added_tokens_decoder\":{\"99999999999\":{\"content\":\"x\"}}}", NULL, NULL,
         "t/tokenizer_config.json: a key of added_tokens_decoder is \"99999999999\", expected an "
         "integer from 0 to 16777215"},
        {"{\"added_tokens_decoder\":{\"7\":\"x\"}}", NULL, NULL,
         "t/tokenizer_config.json: 7 is \"x\", expected an object"},
        {"{\"added_tokens_decoder\":{\"7\":{\"content\":\"x\"},\"8\":{\"content\":\"x\"}}}", NULL,
         NULL, "added_tokens_decoder: x has the ids 7 and 8"},
        {"{\"model_max_length\":1}", NULL, NULL,
         "t/tokenizer_config.json: model_max_length is 1, expected a whole number from 2"},
        {"{\"model_max_length\":7.5}", NULL, NULL,
         "t/tokenizer_config.json: model_max_length is 7.5, expected a whole number from 2"},
        {"{\"model_max_length\":NaN}", NULL, NULL,
         "t/tokenizer_config.json: model_max_length is NaN, expected a whole number from 2"},
        {"{\"max_len\":\"77\"}", NULL, NULL,
         "t/tokenizer_config.json: max_len is \"77\", expected a whole number from 2"},
        {"{\"split_special_tokens\":0}", NULL, NULL,
         "t/tokenizer_config.json: split_special_tokens is 0, expected true or false"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_files(*state,
                    (contents){VOCABULARY, MERGES, cases[i].config, cases[i].map, cases[i].added},
                    TG_ERROR_FORMAT, cases[i].message);
    check_files(*state, (contents){VOCABULARY, MERGES, "{\"padding_side\":\"left\"}", NULL, NULL},
                TG_ERROR_UNSUPPORTED,
                "t/tokenizer_config.json: padding_side is \"left\", only \"right\" is implemented");
}

/* ------------------------------------------------------------------------------- what is accepted
 */

/* The ids of text, the first and the last token included. */
static void check_folder(scratch *s, contents files, const char *text, const char *expected)
{
    tg__error error = {0};
    tg__tokenizer *t = open_files(s, files, &error);
    assert_string_equal(error.message, "");
    tg__tokens tokens = tokenize(t, text);
    check_ids(&(golden){0}, expected, tokens.ids, tokens.count);
    tg__tokens_free(&tokens);
    tg__tokenizer_close(t);
}

static void test_files_accepted(void **state)
{
    contents files = {.vocabulary = VOCABULARY, .merges = MERGES};
    check_folder(*state, files, "ab b ba c", "5 4 3 1 2 6 6");
    /* Any newline, white space around the file, any white space between. */
    files.merges = "\n \r\nversion\r\na\u3000 b</w> \ra b";
    check_folder(*state, files, "ab", "5 4 6");
    /* The first line is skipped, whatever it says; no merges at all. */
    files.merges = "a b</w>";
    check_folder(*state, files, "ab", "5 0 3 6");
    files.merges = "";
    check_folder(*state, files, "ab", "5 0 3 6");
    /* Of a pair that is there twice the last place counts. */
    files.merges = "v\na b\nb a</w>\na b\n";
    files.vocabulary = "{\"a\":0, \"ba</w>\":2, \"ab\":3, \"a</w>\":4}";
    check_folder(*state, files, "aba", "4 0 2 5");
    files.vocabulary = VOCABULARY;
    files.merges = MERGES;
    /* Long numbers, in strings and out of them; integers that are none. */
    files.config = "{\"model_max_length\":1000000000000000019884624838656, \"x\":1e5, \"y\":"
                   "0.12345678901234567890, \"pad_token\":\"\\\"12345678901234567890\", \"z\":"
                   "12345678901234567890e2}";
    check_folder(*state, files, "a\"12345678901234567890 b", "5 2 7 3 6");
    /* null is as good as no key; the map has the last word, unless there is a decoder. */
    files.config = "{\"model_max_length\":null, \"bos_token\":\"x\", \"pad_token\":null}";
    files.map = "{\"bos_token\":\"a\", \"additional_special_tokens\":[\"y\", {\"content\":\"b\"}]}";
    check_folder(*state, files, "yab", "0 6 0 1 5");
    files.config = "{\"bos_token\":\"x\", \"added_tokens_decoder\":{\"9\":{\"content\":\"ba\"}}}";
    check_folder(*state, files, "abba", "6 4 9 7");
    files.config = "{\"split_special_tokens\":true}";
    files.map = "{\"bos_token\":\"a\"}";
    check_folder(*state, files, "ab" BEGIN, "0 4 5 5");
}

/* The reference reads no more than 48894 merges. */
static void test_merges_end(void **state)
{
    enum { MOST = 49152 - 256 - 2 };
    char *merges = malloc(6 * MOST + 64), *at = merges;
    assert_non_null(merges);
    at += sprintf(at, "version\na b</w>\n");
    for (int i = 1; i < MOST - 1; i++)
        at += sprintf(at, "b b\n");
    char *last = at;
    at += sprintf(at, "b a</w>\n");
    strcpy(at, "broken line that nobody sees\n");
    contents files = {.vocabulary = "{\"a\":0, \"a</w>\":1, \"b\":2, \"ba</w>\":3, \"ab</w>\":4}",
                      .merges = merges};
    check_folder(*state, files, "ba ab", "5 3 4 6");
    memmove(last + 4, last, strlen(last) + 1);
    memcpy(last, "b b\n", 4);
    check_folder(*state, files, "ba ab", "5 2 1 4 6");
    free(merges);
}

/* Random damage to files must be told or be harmless. */
static void test_damaged_files(void **state)
{
    static const char config[] = "{\"added_tokens_decoder\":{\"9\":{\"content\":\"ba\",\"lstrip\":"
                                 "true}},\"pad_token\":\"x\",\"model_max_length\":77}";
    static const char map[] = "{\"bos_token\":{\"content\":\"q\"},\"additional_special_tokens\":"
                              "[\"y\"]}";
    static const char *const originals[] = {VOCABULARY, MERGES, config, map, "{\"z\":12}"};
    unsigned seed = 1;
    for (int i = 0; i < 600; i++) {
        char copies[5][256];
        tg__error error = {0};
        for (int j = 0; j < 5; j++)
            strcpy(copies[j], originals[j]);
        for (unsigned n = scratch_random(&seed) % 3 + 1; n > 0; n--) {
            char *copy = copies[scratch_random(&seed) % 5];
            copy[scratch_random(&seed) % strlen(copy)] =
                "\"{}[],:0a \n\\\xff\x01"[scratch_random(&seed) % 15];
            if (!*copy)
                strcpy(copy, "0");
        }
        bool modern = scratch_random(&seed) % 2;
        tg__tokenizer *t =
            open_files(*state,
                       (contents){copies[0], copies[1], modern ? copies[2] : NULL,
                                  modern ? NULL : copies[3], modern ? NULL : copies[4]},
                       &error);
        assert_true((t == NULL) == tg__failed(&error));
        if (t) {
            tg__tokens tokens = tokenize(t, "ab ba q" END "xyz y ba z");
            tg__tokens_free(&tokens);
        }
        tg__tokenizer_close(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_padded),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_lost_words),
        cmocka_unit_test(test_texts_refused),
        cmocka_unit_test(test_vocabularies_refused),
        cmocka_unit_test(test_settings_refused),
        cmocka_unit_test(test_files_accepted),
        cmocka_unit_test(test_merges_end),
        cmocka_unit_test(test_damaged_files),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
