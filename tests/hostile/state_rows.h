/* SPDX-License-Identifier: MIT */
/* The calls of test_states.c that have no handle, and its table of all calls. */
#ifndef TG_TEST_STATE_ROWS_H
#define TG_TEST_STATE_ROWS_H

#include "hostile/state_calls.h"

/* ----------------------------------------------------------------------------------- files */

static tg_status image_encode(const world *w, tg_array array, tg_image_format format,
                              const char *text)
{
    void *data = GARBAGE;
    size_t bytes = 1;
    tg_status status = tg_image_encode(&data, &bytes, array, format, text, w->error);
    assert_true((status == TG_OK) == (data != NULL) && (status == TG_OK) == (bytes > 0));
    tg_free(data);
    return status;
}

static tg_status image_encode_bad(const world *w, int i)
{
    static const int formats[] = {-1, 4, INT_MAX};
    size_t bytes;
    void *data;
    if (i < COUNT(bad_arrays) * 4)
        return image_encode(w, bad_arrays[i / 4], (tg_image_format)(i % 4), NULL);
    i -= COUNT(bad_arrays) * 4;
    if (i < COUNT(formats))
        return image_encode(w, good_picture, (tg_image_format)formats[i], NULL);
    if (i == COUNT(formats))
        return tg_image_encode(NULL, &bytes, good_picture, TG_IMAGE_PNG, NULL, w->error);
    if (i == COUNT(formats) + 1)
        return tg_image_encode(&data, NULL, good_picture, TG_IMAGE_PNG, NULL, w->error);
    return image_encode(w, good_picture, TG_IMAGE_PNG, "\xff");
}

enum { BAD_ENCODES = 4 * (ARRAYS - 2) + 3 + 3 };

static tg_status image_encode_nan(const world *w, int i)
{
    return image_encode(w, bad_pictures[i % 2], (tg_image_format)(i / 2), NULL);
}

static tg_status image_write_bad(const world *w, int i)
{
    static const char *const paths[] = {NULL, "", NO_FILE, NO_FILE ".gif", ".png"};
    if (i < COUNT(bad_arrays))
        return tg_image_write(bad_arrays[i], NO_FILE "/x.png", NULL, true, w->error);
    i -= COUNT(bad_arrays);
    if (i < COUNT(paths))
        return tg_image_write(good_picture, paths[i], NULL, true, w->error);
    return tg_image_write(good_picture, NO_FILE "/x.png", "\x80", true, w->error);
}

static tg_status write_nowhere(const world *w, int i)
{
    if (i == 0)
        return tg_image_write(good_picture, NO_FILE "/x.webp", NULL, true, w->error);
    if (i == 1)
        return tg_npy_write(good_latents, NO_FILE "/x.npy", true, w->error);
    return tg_file_write(NO_FILE "/x", "", 1, false, w->error);
}

static tg_status file_write_bad(const world *w, int i)
{
    return tg_file_write(i == 0 ? NULL : i == 1 ? "" : NO_FILE "/x", NULL, i == 2, true, w->error);
}

static tg_status npy_bad(const world *w, int i)
{
    void *data = GARBAGE;
    size_t bytes = 1;
    int left = i - 2 * COUNT(bad_arrays);
    if (left == 0)
        return tg_npy_encode(NULL, &bytes, good_latents, w->error);
    if (left == 1)
        return tg_npy_encode(&data, NULL, good_latents, w->error);
    if (left == 2)
        return tg_npy_write(good_latents, NULL, true, w->error);
    if (i % 2)
        return tg_npy_write(bad_arrays[i / 2], NO_FILE "/x.npy", true, w->error);
    tg_status status = tg_npy_encode(&data, &bytes, bad_arrays[i / 2], w->error);
    assert_true(!data && !bytes);
    return status;
}

/* Reading: from nothing, from too little, from a shape whose bytes would overflow. */
static tg_status read_with(const world *w, int how, const void *data, size_t bytes)
{
    tg_array array = {1, 2, 3, 4, GARBAGE};
    static const tg_array none;
    tg_status status = how == 0   ? tg_npy_decode(&array, data, bytes, w->error)
                       : how == 1 ? tg_image_decode(&array, data, bytes, w->error)
                       : how == 2 ? tg_npy_read(&array, data, w->error)
                                  : tg_image_read(&array, data, w->error);
    assert_memory_equal(&array, &none, sizeof array);
    tg_array_free(&array);
    tg_array_free(NULL);
    return status;
}

static tg_status read_null(const world *w, int i) { return read_with(w, i, NULL, 0); }

static tg_status read_into_null(const world *w, int i)
{
    return i == 0   ? tg_npy_decode(NULL, "", 0, w->error)
           : i == 1 ? tg_image_decode(NULL, "", 0, w->error)
           : i == 2 ? tg_npy_read(NULL, GOLDEN, w->error)
                    : tg_image_read(NULL, GOLDEN, w->error);
}

static tg_status read_absurd(const world *w, int i)
{
    static const char *const shapes[] = {"65536, 65536, 65536, 65536",
                                         "2147483647, 2147483647, 1, 4",
                                         "1073741824, 4, 1073741824, 4", "1, 3, 0, 8"};
    char file[10 + 118 + 1];
    if (i >= 2 * COUNT(shapes))
        return read_with(w, i % 2, "", 0);
    memcpy(file, "\x93NUMPY\x01\x00\x76\x00", 10);
    snprintf(file + 10, sizeof file - 10, "%-118s",
             ""); /* blanks, and then the dictionary over their beginning */
    int length = snprintf(NULL, 0, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }",
                          shapes[i / 2]);
    char text[128];
    snprintf(text, sizeof text, "{'descr': '<f4', 'fortran_order': False, 'shape': (%s), }",
             shapes[i / 2]);
    memcpy(file + 10, text, (size_t)length);
    return read_with(w, i % 2, file, sizeof file - 1);
}

static tg_status read_nothing(const world *w, int i) { return read_with(w, 2 + i, NO_FILE, 0); }

/* ----------------------------------------------------------------------------------- others */

static tg_status configure_bad(const world *w, int i)
{
    tg_process_options o;
    tg_process_options_init(&o);
    apply(&o, &process_spoils[i]);
    tg_status status = tg_process_configure(&o, w->error);
    about(w, w->error, process_spoils[i].field);
    return status;
}

static tg_status configure_good(const world *w, int i)
{
    tg_process_options o;
    tg_process_options_init(&o);
    assert_true(tg_process_memory() >= 0);
    return tg_process_configure(i ? &o : NULL, w->error);
}

static tg_status text_bad(const world *w, int i)
{
    static const char *const texts[] = {NULL, "\xff", "a\xc3", "\xed\xa0\x80"};
    return tg_text_check(texts[i], w->error);
}

static tg_status names(const world *w, int i)
{
    static const int values[] = {-1, 99, INT_MIN, INT_MAX};
    tg_dtype dtype = TG_DTYPE_BF16;
    tg_cpu cpu = TG_CPU_AVX2;
    tg_image_format format = TG_IMAGE_WEBP;
    assert_string_equal(tg_dtype_name((tg_dtype)values[i]), "unknown");
    assert_string_equal(tg_cpu_name((tg_cpu)values[i]), "unknown");
    assert_string_not_equal(tg_status_text((tg_status)values[i]), "");
    const char *bad = i ? "unknown" : NULL;
    assert_false(tg_dtype_from_name(bad, &dtype) || tg_dtype_from_name(bad, NULL));
    assert_false(tg_cpu_from_name(bad, &cpu) || tg_cpu_from_name(bad, NULL));
    assert_false(tg_image_format_from_path(bad, &format) || tg_image_format_from_path(bad, NULL));
    assert_true(dtype == TG_DTYPE_BF16 && cpu == TG_CPU_AVX2 && format == TG_IMAGE_WEBP);
    assert_true(tg_version_number() > 0 && *tg_version());
    tg_free(NULL);
    return w->expected;
}

/* ------------------------------------------------------------------------------- the table */

static const row rows[] = {
    {"tg_status_text", NOTHING, false, TG_OK, names, 4},
    {"tg_version", NOTHING, false, TG_OK, names, 0},
    {"tg_version_number", NOTHING, false, TG_OK, names, 0},
    {"tg_dtype_name", NOTHING, false, TG_OK, names, 4},
    {"tg_dtype_from_name", NOTHING, false, TG_OK, names, 4},
    {"tg_cpu_name", NOTHING, false, TG_OK, names, 4},
    {"tg_cpu_from_name", NOTHING, false, TG_OK, names, 4},
    {"tg_image_format_from_path", NOTHING, false, TG_OK, names, 4},
    {"tg_free", NOTHING, false, TG_OK, names, 0},
    {"tg_text_check", NOTHING, true, TG_ERROR_ARGUMENT, text_bad, 4},
    {"tg_process_options_init_sized", NOTHING, false, TG_OK, tg_process_options_init_row, 0},
    {"tg_process_configure", NOTHING, true, TG_OK, configure_good, 2},
    {"tg_process_configure", NOTHING, true, TG_ERROR_ARGUMENT, configure_bad,
     COUNT(process_spoils)},
    {"tg_process_memory", NOTHING, true, TG_OK, configure_good, 2},

    {"tg_model_options_init_sized", NOTHING, false, TG_OK, tg_model_options_init_row, 0},
    {"tg_model_open", NOTHING, false, TG_ERROR_ARGUMENT, model_open_nowhere, 2},
    {"tg_model_open", NOTHING, false, TG_ERROR_ARGUMENT, model_open_bad, 2},
    {"tg_model_close", NOTHING, false, TG_ERROR_ARGUMENT, model_open_bad, 2},
    {"tg_model_error", MODEL, false, TG_OK, model_about, 4},
    {"tg_model_message", MODEL, false, TG_OK, model_about, 4},
    {"tg_model_describe", MODEL, false, TG_OK, model_about, 4},
    {"tg_model_network", MODEL, false, TG_OK, model_about, 4},

    {"tg_tokenizer_open", NOTHING, false, TG_ERROR_ARGUMENT, tokenizer_nowhere, 2},
    {"tg_tokenizer_close", NOTHING, false, TG_ERROR_ARGUMENT, tokenizer_nowhere, 2},
    {"tg_tokenizer_error", TOKENIZER, false, TG_OK, tokenizer_about, 0},
    {"tg_tokenizer_message", TOKENIZER, false, TG_OK, tokenizer_about, 0},
    {"tg_tokenize", TOKENIZER, false, TG_OK, tokenize_good, 2},
    {"tg_tokenize", TOKENIZER, false, TG_ERROR_ARGUMENT, tokenize_bad, 4},

    {"tg_session_options_init_sized", NOTHING, false, TG_OK, tg_session_options_init_row, 0},
    {"tg_session_new", MODEL, true, TG_OK, session_new, 0},
    {"tg_session_new", NOTHING, false, TG_ERROR_ARGUMENT, session_new_nowhere, 0},
    {"tg_session_free", NOTHING, false, TG_OK, session_free_null, 0},
    {"tg_session_error", SESSION, false, TG_OK, session_about, 2},
    {"tg_session_message", SESSION, false, TG_OK, session_about, 2},
    {"tg_session_dtype", SESSION, false, TG_OK, session_about, 2},
    {"tg_session_threads", SESSION, false, TG_OK, session_about, 2},
    {"tg_session_set_progress", SESSION, false, TG_OK, session_about, 2},
    {"tg_session_cancel", SESSION, false, TG_OK, session_about, 2},
    {"tg_session_trim", SESSION, false, TG_OK, trim_good, 5},
    {"tg_session_trim", SESSION, false, TG_ERROR_ARGUMENT, trim_bad, 6},
    {"tg_session_profile", SESSION, false, TG_OK, profile, 0},
    {"tg_session_profile", SESSION, false, TG_ERROR_ARGUMENT, profile_nowhere, 0},
    {"tg_session_profile_row", SESSION, false, TG_OK, profile_row, 4},
    {"tg_session_measure_peak", SESSION, false, TG_ERROR_ARGUMENT, peak, 0},

    {"tg_prompt_options_init_sized", NOTHING, false, TG_OK, tg_prompt_options_init_row, 0},
    {"tg_prompt_encode", SESSION, false, TG_OK, encode_good, 2},
    {"tg_prompt_encode", SESSION, false, TG_ERROR_ARGUMENT, encode_bad_text, 3},
    {"tg_prompt_encode", SESSION, false, TG_ERROR_ARGUMENT, encode_bad_negative, 0},
    {"tg_prompt_encode", SESSION, false, TG_ERROR_ARGUMENT, encode_second, 2},
    {"tg_prompt_encode", SESSION, false, TG_ERROR_ARGUMENT, encode_nowhere, 0},
    {"tg_prompt_encode", SESSION, false, TG_ERROR_ARGUMENT, encode_spoiled, COUNT(prompt_spoils)},
    {"tg_prompt_free", NOTHING, false, TG_OK, prompt_free_null, 0},
    {"tg_prompt_from_embeddings", MODEL, true, TG_OK, embeddings_good, 2},
    {"tg_prompt_from_embeddings", MODEL, true, TG_ERROR_ARGUMENT, embeddings_bad, BAD_EMBEDDINGS},
    {"tg_prompt_from_embeddings", NOTHING, true, TG_ERROR_ARGUMENT, embeddings_nowhere, 0},
    {"tg_prompt_embedding", NOTHING, false, TG_OK, embedding_of, 4},

    {"tg_generate_options_init_sized", MODEL, false, TG_OK, generate_init, 0},
    {"tg_gate_default", MODEL, false, TG_OK, gate_default, 2},
    {"tg_generate_check", MODEL, true, TG_OK, check_good, 4},
    {"tg_generate_check", MODEL, true, TG_ERROR_ARGUMENT, check_spoiled, COUNT(generate_spoils)},
    {"tg_generate_check", MODEL, true, TG_ERROR_ARGUMENT, check_spoiled_prompt,
     COUNT(prompt_spoils)},
    {"tg_generate_check", MODEL, true, TG_ERROR_ARGUMENT, check_bad_latents, ARRAYS},
    {"tg_generate", SESSION, false, TG_OK, generate_good, 0},
    {"tg_generate", SESSION, false, TG_ERROR_ARGUMENT, generate_nowhere, 0},
    {"tg_generate", SESSION, false, TG_ERROR_ARGUMENT, generate_spoiled, COUNT(generate_spoils)},
    {"tg_generate", SESSION, false, TG_ERROR_ARGUMENT, generate_with_sizes, 6},
    {"tg_generate", SESSION, false, TG_ERROR_ARGUMENT, generate_wrong_count, 6},
    {"tg_generate", SESSION, false, TG_ERROR_ARGUMENT, generate_bad_prompts, 5},
    {"tg_generate", SESSION, false, TG_ERROR_ARGUMENT, generate_bad_latents, ARRAYS},

    {"tg_result_free", NOTHING, false, TG_OK, result_of_none, 0},
    {"tg_result_latents", NOTHING, false, TG_OK, result_of_none, 0},
    {"tg_result_pictures", NOTHING, false, TG_OK, result_of_none, 0},
    {"tg_result_image", NOTHING, false, TG_OK, result_of_none, 4},
    {"tg_result_seconds", NOTHING, false, TG_OK, result_of_none, 0},
    {"tg_result_gmac", NOTHING, false, TG_OK, result_of_none, 0},
    {"tg_result_gmac_plain", NOTHING, false, TG_OK, result_of_none, 0},

    {"tg_decode", SESSION, false, TG_OK, decode_good, 0},
    {"tg_decode", SESSION, false, TG_ERROR_ARGUMENT, decode_bad, CODECS},
    {"tg_encode", SESSION, false, TG_OK, encode_picture_good, 0},
    {"tg_encode", SESSION, false, TG_ERROR_ARGUMENT, encode_picture_bad, CODECS},

    {"tg_image_encode", NOTHING, true, TG_ERROR_ARGUMENT, image_encode_bad, BAD_ENCODES},
    {"tg_image_encode", NOTHING, true, TG_ERROR_NUMERIC, image_encode_nan, 8},
    {"tg_image_write", NOTHING, true, TG_ERROR_ARGUMENT, image_write_bad, ARRAYS - 2 + 6},
    {"tg_image_write", NOTHING, true, TG_ERROR_NOT_FOUND, write_nowhere, 3},
    {"tg_image_decode", NOTHING, true, TG_ERROR_ARGUMENT, read_null, 4},
    {"tg_image_decode", NOTHING, true, TG_ERROR_FORMAT, read_absurd, 10},
    {"tg_image_read", NOTHING, true, TG_ERROR_NOT_FOUND, read_nothing, 2},
    {"tg_npy_encode", NOTHING, true, TG_ERROR_ARGUMENT, npy_bad, 2 * (ARRAYS - 2) + 3},
    {"tg_npy_write", NOTHING, true, TG_ERROR_NOT_FOUND, write_nowhere, 3},
    {"tg_npy_decode", NOTHING, true, TG_ERROR_ARGUMENT, read_into_null, 4},
    {"tg_npy_decode", NOTHING, true, TG_ERROR_FORMAT, read_absurd, 10},
    {"tg_npy_read", NOTHING, true, TG_ERROR_NOT_FOUND, read_nothing, 2},
    {"tg_array_free", NOTHING, true, TG_ERROR_ARGUMENT, read_null, 4},
    {"tg_file_write", NOTHING, true, TG_ERROR_ARGUMENT, file_write_bad, 3},
    {"tg_file_write", NOTHING, true, TG_ERROR_NOT_FOUND, write_nowhere, 3},
};

#endif
