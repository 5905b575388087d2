/* SPDX-License-Identifier: MIT */
/* The tool bench/int8_error.c on the demo model: a row for each layer, with errors that int8
 * explains where a layer is in int8, and none where it is not. */
#include "cli/command.h"

#include <math.h>

/* One of the table's rows. */
typedef struct line {
    char name[128], kind[16], shape[128];
    double share, alone, accumulated;
} line;

static bool read_line(line *l, const char *text)
{
    return sscanf(text, "%127s %15s %lf%% %lf %lf %127[^\n]", l->name, l->kind, &l->share,
                  &l->alone, &l->accumulated, l->shape) == 6;
}

static void check_line(const line *l)
{
    const char *end = strstr(l->shape, " int8");
    bool int8 = end && end[5] == '\0';
    assert_true(strcmp(l->kind, "conv2d") == 0 || strcmp(l->kind, "linear") == 0);
    assert_true(l->share >= 0 && l->share < 10);
    assert_true(isfinite(l->alone) && isfinite(l->accumulated));
    if (int8 ? l->alone < 1e-4 || l->alone > 0.05 : l->alone != 0)
        fail_msg("%s: alone it is off by %g", l->name, l->alone);
    assert_true(l->accumulated >= 0 && l->accumulated < 0.2);
}

static void test_demo(void **state)
{
    (void)state;
    line l;
    int rows = 0, in_int8 = 0;
    double decibels = 0, share = 0;
    assert_run(
        0, shell("exec \"" TG_INT8_ERROR "\" \"$M\" --steps 6 --step 2 --prompt 'a red apple'"));
    assert_string_equal(last.err, "");
    for (char *at = last.out, *text = strsep(&at, "\n"); text; text = strsep(&at, "\n")) {
        if (sscanf(text, "output: %lf dB", &decibels) == 1 || !read_line(&l, text))
            continue;
        check_line(&l);
        rows++;
        in_int8 += strstr(l.shape, " int8") != NULL;
        share += l.share;
    }
    assert_int_equal(rows, 105);
    assert_int_equal(in_int8, 82);
    assert_true(share > 90 && share < 100.5); /* the rest is attention */
    assert_true(decibels > 30 && decibels < 80);
}

static void test_refused(void **state)
{
    (void)state;
    assert_run(1, shell("exec \"" TG_INT8_ERROR "\""));
    assert_run(1, shell("exec \"" TG_INT8_ERROR "\" \"$M\" --steps"));
    assert_run(1, shell("exec \"" TG_INT8_ERROR "\" \"$M\" --steps x"));
    assert_run(1, shell("exec \"" TG_INT8_ERROR "\" \"$M\" --steps 2 --step 9"));
    assert_string_equal(last.err, "int8_error: --step: the loop has fewer evaluations\n");
    assert_run(1, shell("exec \"" TG_INT8_ERROR "\" none"));
    assert_string_equal(last.out, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {COMMAND_TEST(test_demo), COMMAND_TEST(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
