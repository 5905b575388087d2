/* SPDX-License-Identifier: MIT */
/* The configs in the library are the files in src/pipeline/layouts, all of them and to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <ftw.h>

#include "io/config.h"
#include "io/file.h"
#include "pipeline/layouts.h"

#define FOLDER TG_PROJECT "/src/pipeline/layouts/"

static int checked;

/* nftw's: a file is found by its layout, the first folder, and its name below that. */
static int check_file(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)place;
    tg__error error = {0};
    tg__layout_file file;
    char layout[32];
    size_t length;
    if (kind != FTW_F)
        return 0;
    const char *inside = path + strlen(FOLDER), *name = strchr(inside, '/');
    assert_non_null(name);
    snprintf(layout, sizeof layout, "%.*s", (int)(name++ - inside), inside);
    if (!tg__layout_find(layout, name, &file))
        fail_msg("%s is not in the library", path);
    char *text = tg__file_read(path, 1 << 20, &length, &error);
    assert_non_null(text);
    assert_int_equal(file.length, length);
    assert_memory_equal(file.text, text, length + 1);
    assert_string_equal(file.name, name);
    free(text);
    tg__config_close(tg__config_parse(file.text, file.length, file.where, &error));
    assert_string_equal(error.message, "");
    checked++;
    return 0;
}

static void test_layouts(void **state)
{
    (void)state;
    tg__layout_file file;
    assert_int_equal(nftw(FOLDER, check_file, 8, FTW_PHYS), 0);
    assert_true(checked >= 14);
    assert_true(tg__layout_find("sd21", "unet/config.json", &file));
    assert_string_equal(file.where, "unet/config.json of Stable Diffusion 2.1");
    assert_false(tg__layout_find("sd15", "unet", &file));
    assert_false(tg__layout_find("sd14", "model_index.json", &file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
