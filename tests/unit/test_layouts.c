/* SPDX-License-Identifier: MIT */
/* The configs in the library are the files in src/pipeline/layouts, all of them and to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "io/config.h"
#include "io/file.h"
#include "pipeline/layouts.h"

static void test_layouts(void **state)
{
    static const char *const layouts[] = {"sd15", "sd21"};
    static const char *const names[] = {"model_index.json",
                                        "unet/config.json",
                                        "vae/config.json",
                                        "text_encoder/config.json",
                                        "scheduler/scheduler_config.json",
                                        "tokenizer/tokenizer_config.json",
                                        "tokenizer/special_tokens_map.json"};
    tg__layout_file file;
    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        for (size_t j = 0; j < sizeof names / sizeof *names; j++) {
            tg__error error = {0};
            char where[512], *text;
            size_t length;
            assert_true(tg__layout_find(layouts[i], names[j], &file));
            snprintf(where, sizeof where, TG_PROJECT "/src/pipeline/layouts/%s/%s", layouts[i],
                     names[j]);
            text = tg__file_read(where, 1 << 20, &length, &error);
            assert_non_null(text);
            assert_int_equal(file.length, length);
            assert_memory_equal(file.text, text, length + 1);
            assert_string_equal(file.name, names[j]);
            free(text);
            tg__config_close(tg__config_parse(file.text, file.length, file.where, &error));
            assert_string_equal(error.message, "");
        }
    }
    assert_false(tg__layout_find("sd15", "unet", &file));
    assert_false(tg__layout_find("sd14", "model_index.json", &file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
