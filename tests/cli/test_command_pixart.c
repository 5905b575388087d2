/* SPDX-License-Identifier: MIT */
/* The command with PixArt's golden models: sizes with and without a bin, captions, what is refused
 * and how. */
#include "cli/command.h"

#define MODELS TG_TEST_DATA "/golden/models/"
#define SEE "tgate: see 'tgate generate --help'\n"

static void refused(const char *line, const char *message)
{
    char expected[1024];
    assert_run(2, tgate(line));
    snprintf(expected, sizeof expected, "tgate: %s\n" SEE, message);
    assert_string_equal(last.err, expected);
    assert_files("");
}

static void test_usage(void **state)
{
    (void)state;
    refused("generate " MODELS "px4 -p a --steps 1",
            "there are no bins for sample_size 13 in transformer/config.json, expected 32, 64, 128 "
            "or 256, or the option no-resolution-binning");
    refused("generate " MODELS "px4 -p a --steps 1 --no-resolution-binning --width 100",
            "width is 100, expected a multiple of 24 (such as 96 or 120)");
    refused("generate " MODELS "px3 -p a --steps 1 --no-resolution-binning --height 40",
            "height is 40, expected a multiple of 16 (such as 32 or 48)");
    refused("generate " MODELS "px3 -p a --steps 1 --width 20000",
            "width is 20000, expected 1 to 16384");
    refused("generate \"$M\" -p a --no-resolution-binning",
            "no_resolution_binning: StableDiffusionPipeline has no bins");
    refused("generate \"$M\" -p a --clean-caption on",
            "clean_caption: StableDiffusionPipeline does not clean captions");
    refused("generate " MODELS "px3 -p a --clean-caption maybe",
            "--clean-caption maybe: expected one of off|on");
    refused("generate " MODELS "px3 -p a --no-resolution-binning=yes",
            "--no-resolution-binning: takes no value");
}

/* One in the original layout comes out as the model's own; a pickle is refused. */
static void test_transformer_alone(void **state)
{
    (void)state;
#define PX3 "generate " MODELS "px3 -p a --steps 2 --seed 1 --width 64 --height 64 -q "
    assert_run(0, tgate(PX3 "-o a.npy"));
    assert_run(0, tgate(PX3 "-o b.npy --transformer " MODELS "px3-transformer.safetensors"));
    assert_run(0, tgate(PX3 "-o c.npy --transformer " MODELS "px3"));
    assert_run(0, shell("cmp a.npy b.npy && cmp a.npy c.npy"));
    assert_run(1, shell("printf '\\200\\002}q.abcdefgh' >t.pth; exec \"$T\" " PX3
                        "-o d.npy --transformer t.pth"));
    assert_non_null(strstr(last.err, "t.pth: is a pickle, expected .safetensors"));
}

/* The size that is asked for, whatever is computed; the same picture for texts that are one
 * caption.
 */
static void test_pictures(void **state)
{
    (void)state;
    assert_run(0, tgate("generate " MODELS "px3 -p 'A Fox' --steps 2 --seed 1 --width 99 --height "
                        "70 -qo a.npy"));
    assert_run(0, tgate("generate " MODELS "px3 -p ' a fox' --steps 2 --seed 1 --width 99 --height "
                        "70 -qo b.npy"));
    assert_run(0, shell("cmp a.npy b.npy && head -c 128 a.npy | grep -q '(1, 3, 70, 99)'"));
    assert_run(0,
               tgate("generate " MODELS "px3 -p '<b>a fox</b> a.jpg' --clean-caption on --steps 2 "
                     "--seed 1 --width 99 --height 70 -qo c.npy"));
    assert_run(0, shell("cmp a.npy c.npy"));
    assert_run(0, tgate("generate " MODELS "px3 -p a --steps 2 --seed 1 --width 96 --height 64 "
                        "--no-resolution-binning -q --save-latents l.npy"));
    assert_run(0, shell("head -c 128 l.npy | grep -q '(1, 4, 8, 12)'"));
    assert_run(0, tgate("generate " MODELS "px3 -p a --steps 2 --latents l.npy -qo d.npy"));
    assert_run(0, shell("head -c 128 d.npy | grep -q '(1, 3, 64, 96)'"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {COMMAND_TEST(test_usage),
                                       COMMAND_TEST(test_transformer_alone),
                                       COMMAND_TEST(test_pictures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
