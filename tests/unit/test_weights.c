/* SPDX-License-Identifier: MIT */
/* Finding a network's weights in a folder, reading shards through their index, and looking tensors
 * up. */
#include "io/weights.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "io/file.h"
#include "scratch.h"

static const char BASE[] = "diffusion_pytorch_model";

/* A file with one tensor of two F16 values that are both the byte value, and an I64. */
static void write_weights(scratch *s, const char *name, const char *tensor, unsigned char value)
{
    unsigned char file[512] = {0};
    int length = snprintf((char *)file + 8, sizeof file - 8,
                          "{\"%s\":{\"dtype\":\"F16\",\"shape\":[2,1],\"data_offsets\":[0,4]},"
                          "\"position_ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":"
                          "[4,12]}}",
                          tensor);
    file[0] = (unsigned char)length;
    memset(file + 8 + length, value, 4);
    scratch_write(s, name, file, 8 + (size_t)length + 12);
}

static void write_text(scratch *s, const char *name, const char *text)
{
    scratch_write(s, name, text, strlen(text));
}

/* message: what follows "FOLDER/". */
static void check_error(const scratch *s, const tg__error *error, tg_status status,
                        const char *message)
{
    char expected[sizeof error->message];
    snprintf(expected, sizeof expected, "%s/%s", s->folder + strlen("/tmp/"), message);
    assert_string_equal(error->message, expected);
    assert_int_equal(error->status, status);
}

static void refused(scratch *s, const char *variant, tg_status status, const char *message)
{
    tg__error error = {0};
    assert_null(tg__weights_open(s->folder, BASE, variant, &error));
    check_error(s, &error, status, message);
}

/* Messages say where the weights are. */
static void check_where(const tg__weights *weights, const char *where)
{
    tg__error error = {0};
    tg__weights_get(weights, "not there", 1, (int64_t[]){1}, &error);
    size_t length = strlen(where);
    assert_int_equal(strncmp(error.message, where, length), 0);
    assert_int_equal(strncmp(error.message + length, ": ", 2), 0);
}

/* The weights open and their tensor "a" begins with this byte. */
static void check_opens(scratch *s, const char *variant, unsigned char value, const char *where)
{
    tg__error error = {0};
    char expected[TG__WHERE_BYTES];
    tg__weight found;
    tg__weights *weights = tg__weights_open(s->folder, BASE, variant, &error);
    if (!weights)
        fail_msg("%s", error.message);
    assert_true(tg__weights_find(weights, "a", &found));
    assert_int_equal(*(const unsigned char *)found.data, value);
    snprintf(expected, sizeof expected, "%s/%s", s->folder + strlen("/tmp/"), where);
    check_where(weights, expected);
    tg__weights_close(weights);
}

/* ------------------------------------------------------------------------ finding the file */

static void test_variants(void **state)
{
    scratch *s = *state;
    static const char plain[] = "diffusion_pytorch_model.safetensors";
    static const char half[] = "diffusion_pytorch_model.fp16.safetensors";
    write_weights(s, half, "a", 16);
    check_opens(s, NULL, 16, half);
    check_opens(s, "fp16", 16, half);
    refused(s, "ema", TG_ERROR_NOT_FOUND,
            "diffusion_pytorch_model.ema.safetensors: there is no such file");
    write_weights(s, plain, "a", 32);
    check_opens(s, NULL, 32, plain);
    check_opens(s, "fp16", 16, half);
    /* What is there but broken is not passed over. */
    write_text(s, plain, "");
    refused(s, NULL, TG_ERROR_FORMAT,
            "diffusion_pytorch_model.safetensors: is 0 bytes long, expected at least 8");
    unlink(scratch_path(s, plain));
    assert_int_equal(symlink("nowhere", s->path), 0);
    refused(s, NULL, TG_ERROR_NOT_FOUND,
            "diffusion_pytorch_model.safetensors: there is no such file");
}

static void test_variant_names(void **state)
{
    scratch *s = *state;
    char variant[300];
    tg__error error = {0};
    assert_null(tg__weights_open(s->folder, BASE, "../x\n", &error));
    assert_string_equal(error.message, "the variant is \"../x?\", expected a name without '/'");
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    memset(variant, 'x', sizeof variant - 1);
    variant[sizeof variant - 1] = '\0';
    error = (tg__error){0};
    assert_null(tg__weights_open(s->folder, BASE, variant, &error));
    assert_string_equal(error.message, "the variant's name is too long for a file's");
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
}

static void test_nothing_there(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    refused(s, NULL, TG_ERROR_NOT_FOUND,
            "diffusion_pytorch_model.safetensors: there is no such file");
    write_text(s, "config.json", "{}");
    write_text(s, "model.msgpack", "x");
    refused(s, NULL, TG_ERROR_NOT_FOUND,
            "diffusion_pytorch_model.safetensors: there is no such file");
    assert_null(tg__weights_open(scratch_path(s, "unet"), BASE, NULL, &error));
    assert_string_equal(error.message,
                        "unet/diffusion_pytorch_model.safetensors: there is no such file");
    assert_int_equal(error.status, TG_ERROR_NOT_FOUND);
}

static void test_pickles(void **state)
{
    scratch *s = *state;
    static const char *const names[] = {
        "diffusion_pytorch_model.bin",
        "pytorch_model.bin",
        "diffusion_pytorch_model.fp16.bin",
        "model.ckpt",
        "unet.pt",
        "unet.pth",
        "unet.pkl",
        "pytorch_model-00001-of-00002.bin",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char message[512];
        snprintf(message, sizeof message,
                 "%s: is a pickle, expected .safetensors: reading a pickle can run any code that "
                 "its author put in; to convert a model that you trust, load it with diffusers and "
                 "call save_pretrained(folder, safe_serialization=True)",
                 names[i]);
        write_text(s, names[i], "\x80\x02");
        refused(s, NULL, TG_ERROR_UNSUPPORTED, message);
        unlink(scratch_path(s, names[i]));
    }
    /* The first by name; beside .safetensors none is worth a word. */
    write_text(s, "b.bin", "");
    write_text(s, "a.bin", "");
    tg__error error = {0};
    assert_null(tg__weights_open(s->folder, BASE, NULL, &error));
    assert_non_null(strstr(error.message, "/a.bin: is a pickle"));
    write_weights(s, "diffusion_pytorch_model.safetensors", "a", 1);
    refused(s, "fp16", TG_ERROR_NOT_FOUND,
            "diffusion_pytorch_model.fp16.safetensors: there is no such file");
    check_opens(s, NULL, 1, "diffusion_pytorch_model.safetensors");
}

/* ------------------------------------------------------------------------------------ shards */

static const char INDEX[] = "diffusion_pytorch_model.safetensors.index.json";

static void test_shards(void **state)
{
    scratch *s = *state;
    tg__error error = {0};
    tg__weight found;
    write_weights(s, "m-1-of-2.safetensors", "a", 1);
    write_weights(s, "m-2-of-2.safetensors", "b", 2);
    write_text(s, INDEX,
               "{\"metadata\":{\"total_size\":24},\"weight_map\":{\"b\":\"m-2-of-2.safetensors\","
               "\"position_ids\":\"m-2-of-2.safetensors\",\"a\":\"m-1-of-2.safetensors\"}}");
    tg__weights *weights = tg__weights_open(s->folder, BASE, NULL, &error);
    assert_non_null(weights);
    assert_true(tg__weights_find(weights, "b", &found));
    assert_int_equal(*(const unsigned char *)found.data, 2);
    assert_non_null(strstr(found.file, "/m-2-of-2.safetensors"));
    assert_true(tg__weights_find(weights, "position_ids", &found));
    assert_non_null(strstr(found.file, "/m-2-of-2.safetensors"));
    assert_false(tg__weights_find(weights, "c", &found));
    tg__weights_get(weights, "c", 1, (int64_t[]){1}, &error);
    check_error(
        s, &error, TG_ERROR_FORMAT,
        "diffusion_pytorch_model.safetensors.index.json: c is missing, expected it with shape [1]");
    tg__weights_close(weights);
    check_opens(s, NULL, 1, INDEX);
    refused(s, "fp16", TG_ERROR_NOT_FOUND,
            "diffusion_pytorch_model.fp16.safetensors: there is no such file");
    write_text(s, "diffusion_pytorch_model.safetensors.index.fp16.json",
               "{\"weight_map\":{\"a\":\"m-1-of-2.safetensors\"}}");
    check_opens(s, "fp16", 1, "diffusion_pytorch_model.safetensors.index.fp16.json");
    unlink(scratch_path(s, INDEX));
    check_opens(s, NULL, 1, "diffusion_pytorch_model.safetensors.index.fp16.json");
}

static void test_index_that_leads_elsewhere(void **state)
{
    scratch *s = *state;
    static const char *const names[] = {
        "\"../x.safetensors\"",
        "\"/tmp/x.safetensors\"",
        "\"sub/x.safetensors\"",
        "\"./x.safetensors\"",
        "\"sub//x.safetensors\"",
        "\"..\\\\x.safetensors\"",
        "\"\"",
        "\".\"",
        "\"..\"",
        "\".safetensors\"",
        "\"model.bin\"",
        "\"x.safetensors/\"",
        "\"x.safetensors.bin\"",
        "null",
    };
    write_weights(s, "x.safetensors", "a", 1);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char index[128], message[256];
        snprintf(index, sizeof index, "{\"weight_map\":{\"a\":%s}}", names[i]);
        snprintf(message, sizeof message,
                 "%s: weight_map: a is %s, expected a .safetensors file beside it", INDEX,
                 names[i]);
        write_text(s, INDEX, index);
        refused(s, NULL, TG_ERROR_FORMAT, message);
    }
}

static void test_broken_indexes(void **state)
{
    scratch *s = *state;
    static const struct {
        const char *index;
        tg_status status;
        const char *message;
    } cases[] = {
        {"{}", TG_ERROR_FORMAT,
         "diffusion_pytorch_model.safetensors.index.json: weight_map is missing"},
        {"{\"weight_map\":null}", TG_ERROR_FORMAT,
         "diffusion_pytorch_model.safetensors.index.json: weight_map is missing"},
        {"{\"weight_map\":[]}", TG_ERROR_FORMAT,
         "diffusion_pytorch_model.safetensors.index.json: weight_map is [], expected an object"},
        {"[]", TG_ERROR_FORMAT,
         "diffusion_pytorch_model.safetensors.index.json: is [], expected an object"},
        {"{", TG_ERROR_FORMAT,
         "diffusion_pytorch_model.safetensors.index.json: line 1, column 2: found the end, "
         "expected a key in quotes"},
        {"{\"weight_map\":{\"a\":1}}", TG_ERROR_FORMAT,
         "diffusion_pytorch_model.safetensors.index.json: weight_map: a is 1, expected a string"},
        {"{\"weight_map\":{\"a\":\"x.safetensors\",\"c\\u001b[0m\":\"x.safetensors\"}}",
         TG_ERROR_FORMAT, "x.safetensors: c?[0m is missing, expected it as the index says"},
        {"{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"y.safetensors\"}}", TG_ERROR_NOT_FOUND,
         "y.safetensors: there is no such file"},
        {"{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"z.safetensors\"}}", TG_ERROR_FORMAT,
         "z.safetensors: is 1 bytes long, expected at least 8"},
    };
    write_weights(s, "x.safetensors", "a", 1);
    write_text(s, "z.safetensors", "z");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_text(s, INDEX, cases[i].index);
        refused(s, NULL, cases[i].status, cases[i].message);
    }
}

static void test_too_many_shards(void **state)
{
    scratch *s = *state;
    static char index[64 * 1024];
    size_t used = (size_t)sprintf(index, "{\"weight_map\":{");
    for (int i = 0; i < 1001; i++) {
        char name[32], tensor[16];
        sprintf(name, "%04d.safetensors", i);
        sprintf(tensor, "t%04d", i);
        if (i < 1000)
            write_weights(s, name, tensor, 1);
        used += (size_t)sprintf(index + used, "%s\"%s\":\"%s\"", i ? "," : "", tensor, name);
    }
    sprintf(index + used, "}}");
    write_text(s, INDEX, index);
    refused(s, NULL, TG_ERROR_FORMAT,
            "diffusion_pytorch_model.safetensors.index.json: names more than 1000 files");
}

/* ------------------------------------------------------------------------ looking tensors up */

static void test_get(void **state)
{
    scratch *s = *state;
    static const char where[] = "diffusion_pytorch_model.safetensors";
    static const struct {
        const char *name;
        int rank;
        int64_t shape[3];
        tg_status status;
        const char *message;
    } cases[] = {
        {"conv_in.weight",
         2,
         {2, 1},
         TG_ERROR_FORMAT,
         "conv_in.weight is missing, expected it with shape [2,1]"},
        {"conv\nin",
         2,
         {2, 1},
         TG_ERROR_FORMAT,
         "conv?in is missing, expected it with shape [2,1]"},
        {"position_ids",
         1,
         {1},
         TG_ERROR_UNSUPPORTED,
         "position_ids is I64, expected F64, F32, F16, BF16 or plain F8"},
        {"a", 2, {1, 2}, TG_ERROR_FORMAT, "a is [2,1], expected [1,2]"},
        {"a", 1, {2}, TG_ERROR_FORMAT, "a is [2,1], expected [2]"},
        {"a", 0, {0}, TG_ERROR_FORMAT, "a is [2,1], expected []"},
        {"a", 3, {2, 1, 1}, TG_ERROR_FORMAT, "a is [2,1], expected [2,1,1]"},
    };
    tg__error error = {0};
    write_weights(s, where, "a", 7);
    tg__weights *weights = tg__weights_open(s->folder, BASE, NULL, &error);
    assert_non_null(weights);
    tg__weight tensor = tg__weights_get(weights, "a", 2, (int64_t[]){2, 1}, &error);
    assert_int_equal(error.status, TG_OK);
    assert_int_equal(tensor.bytes, 4);
    assert_int_equal(tensor.dtype, TG__F16);
    assert_int_equal(*(const unsigned char *)tensor.data, 7);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char message[256];
        error = (tg__error){0};
        tensor = tg__weights_get(weights, cases[i].name, cases[i].rank, cases[i].shape, &error);
        assert_null(tensor.data);
        snprintf(message, sizeof message, "%s: %s", where, cases[i].message);
        check_error(s, &error, cases[i].status, message);
    }
    tg__weights_close(weights);
}

/* Knows "a" alone, under another name in the file. */
static bool look_up(const void *context, const char *name, int rank, const int64_t *shape,
                    tg__weight *found)
{
    static const float value = 2;
    if (strcmp(name, context) != 0)
        return false;
    assert_true(rank == -1 ? shape == NULL : shape[rank - 1] > 0);
    *found = tg__weight_in_memory("model.a", &value, TG__F32, 1, (int64_t[]){1});
    found->file = "sd.safetensors";
    return true;
}

static void test_lookup_elsewhere(void **state)
{
    (void)state;
    tg__error error = {0};
    tg__weight found;
    tg__weights *weights = tg__weights_from(look_up, "a", "sd.safetensors", &error);
    assert_non_null(weights);
    check_where(weights, "sd.safetensors");
    assert_true(tg__weights_find(weights, "a", &found));
    assert_false(tg__weights_find(weights, "b", &found));
    found = tg__weights_get(weights, "a", 1, (int64_t[]){1}, &error);
    assert_int_equal(error.status, TG_OK);
    assert_true(*(const float *)found.data == 2);
    tg__weights_get(weights, "a", 1, (int64_t[]){2}, &error);
    assert_string_equal(error.message, "sd.safetensors: model.a is [1], expected [2]");
    error = (tg__error){0};
    tg__weights_get(weights, "b", 1, (int64_t[]){1}, &error);
    assert_string_equal(error.message,
                        "sd.safetensors: what diffusers calls b is missing, expected it with shape "
                        "[1]");
    tg__weights_close(weights);
    tg__weights_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_variants, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_variant_names, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_nothing_there, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_pickles, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_shards, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_index_that_leads_elsewhere, scratch_make,
                                        scratch_remove),
        cmocka_unit_test_setup_teardown(test_broken_indexes, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_too_many_shards, scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(test_get, scratch_make, scratch_remove),
        cmocka_unit_test(test_lookup_elsewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
