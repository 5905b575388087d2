/* SPDX-License-Identifier: MIT */
/* What the command refuses before it computes anything: exit code and stderr, to the letter. */
#include "cli/command.h"

#define LIST "expected whole numbers with commas between them"
#define INTEGER "expected an integer from 1 to 2147483647"
#define FROM_0 "expected an integer from 0 to 2147483647"
#define SEED "expected an integer from 0 to 18446744073709551615"
#define PICTURE "expected a name that ends in .png, .jpg, .jpeg, .webp or .npy"
#define ARRAY "expected a name that ends in .npy"
#define SIZE "expected WxH, integers from 1 to 16777216"
#define PLACE "expected TOP,LEFT, integers from 0 to 16777216"

struct refusal {
    const char *arguments, *message;
};

/* Runs one, compares all three things, says what differs. */
static int differs(const char *line, int code, const char *err)
{
    tgate(line);
    if (last.code == code && strcmp(last.err, err) == 0 && !*last.out)
        return 0;
    print_error("tgate %s\n  exit %d, expected %d\n  stderr: %s  expected: %s  stdout: %s\n", line,
                last.code, code, last.err, err, last.out);
    return 1;
}

/* command "": of the program as a whole. */
static int usage_differs(const char *command, const char *arguments, const char *message)
{
    char line[4096], err[4096];
    const char *space = *command ? " " : "";
    snprintf(line, sizeof line, "%s%s%s", command, space, arguments);
    snprintf(err, sizeof err, "tgate: %s\ntgate: see 'tgate %s%s--help'\n", message, command,
             space);
    return differs(line, 2, err);
}

static void check_usage(const char *command, const struct refusal *refusals, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++)
        wrong += usage_differs(command, refusals[i].arguments, refusals[i].message);
    assert_int_equal(wrong, 0);
    assert_files("");
}

#define CHECK_USAGE(command, table) check_usage(command, table, sizeof table / sizeof *table)

static void test_program(void **state)
{
    static const struct refusal table[] = {
        {"genrate", "genrate: no such command (did you mean 'generate'?)"},
        {"gen", "gen: no such command (did you mean 'generate'?)"},
        {"INFO", "INFO: no such command"},
        {"frobnicate", "frobnicate: no such command"},
        {"''", "'': no such command"},
        {"-q generate", "-q: expected a command before any option"},
        {"--verbose info x", "--verbose: expected a command before any option"},
        {"-- info x", "--: expected a command before any option"},
        {"help frobnicate", "frobnicate: no such command"},
        {"help decod", "decod: no such command (did you mean 'decode'?)"},
        {"\"$(printf 'a\\033[2Jb')\"", "a?[2Jb: no such command"},
        {"\"$(printf 'a\\302\\233b')\"", "a??b: no such command"},
    };
    (void)state;
    CHECK_USAGE("", table);
}

/* Every option that takes a number against every spelling that is none. */
static void test_numbers(void **state)
{
    static const struct {
        const char *option, *expected;
    } options[] = {
        {"steps", INTEGER},
        {"width", INTEGER},
        {"height", INTEGER},
        {"count", INTEGER},
        {"seed", SEED},
        {"clip-skip", FROM_0},
        {"gate-step", INTEGER ", or off"},
        {"sp-interval", INTEGER},
        {"fi-interval", INTEGER},
        {"warm-up", FROM_0},
        {"deepcache-interval", INTEGER ", or off"},
        {"deepcache-branch", FROM_0},
        {"threads", "expected an integer from 1 to 1024"},
        {"guidance", "expected a number"},
        {"guidance-rescale", "expected a number from 0 to 1"},
        {"eta", "expected a number from 0 to 1"},
        {"original-steps", INTEGER},
    };
    static const char *const values[] = {
        "5x", "''", "nan", "inf", "-inf", "0x10", "' 5'", "'5 '", "--5", "1e999", "5,0", "NaN",
    };
    int wrong = 0;
    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            char arguments[256], message[256], value[32];
            size_t length = strlen(values[j]);
            bool quoted = length > 2 && *values[j] == '\'';
            snprintf(value, sizeof value, "%.*s", (int)(length - 2 * quoted), values[j] + quoted);
            snprintf(arguments, sizeof arguments, "m -p a --%s %s", options[i].option, values[j]);
            snprintf(message, sizeof message, "--%s %s: %s", options[i].option, value,
                     options[i].expected);
            wrong += usage_differs("generate", arguments, message);
        }
    }
    assert_int_equal(wrong, 0);
}

static const struct refusal of_generate[] = {
    /* ranges */
    {"m -p a --steps 0", "--steps 0: " INTEGER},
    {"m -p a --steps -3", "--steps -3: " INTEGER},
    {"m -p a --steps 1e9", "--steps 1e9: " INTEGER},
    {"m -p a --steps 2.5", "--steps 2.5: " INTEGER},
    {"m -p a --steps 2147483648", "--steps 2147483648: " INTEGER},
    {"m -p a --steps 99999999999999999999", "--steps 99999999999999999999: " INTEGER},
    {"m -p a --count 0", "--count 0: " INTEGER},
    {"m -p a --threads 0", "--threads 0: expected an integer from 1 to 1024"},
    {"m -p a --threads 1025", "--threads 1025: expected an integer from 1 to 1024"},
    {"m -p a --warm-up -1", "--warm-up -1: " FROM_0},
    {"m -p a --seed -1", "--seed -1: " SEED},
    {"m -p a --seed 18446744073709551616", "--seed 18446744073709551616: " SEED},
    {"m -p a --gate-step 0", "--gate-step 0: " INTEGER ", or off"},
    {"m -p a --deepcache-interval 0", "--deepcache-interval 0: " INTEGER ", or off"},
    {"m -p a --deepcache-interval on", "--deepcache-interval on: " INTEGER ", or off"},
    {"m -p a --deepcache-interval 2 --deepcache-branch -1", "--deepcache-branch -1: " FROM_0},
    {"m -p a --gate-step on", "--gate-step on: " INTEGER ", or off"},
    {"m -p a --gate-step OFF", "--gate-step OFF: " INTEGER ", or off"},
    {"m -p a --guidance-rescale 1.01", "--guidance-rescale 1.01: expected a number from 0 to 1"},
    {"m -p a --guidance-rescale -0.1", "--guidance-rescale -0.1: expected a number from 0 to 1"},
    {"m -p a --eta 1.5", "--eta 1.5: expected a number from 0 to 1"},
    {"m -p a --original-steps 0", "--original-steps 0: " INTEGER},
    {"m -p a --guidance 1e400", "--guidance 1e400: expected a number"},
    {"m -p a --guidance 7.5.1", "--guidance 7.5.1: expected a number"},
    /* lists */
    {"m -p a --dtype f16", "--dtype f16: expected one of auto|f32|bf16|int8"},
    {"m -p a --dtype ''", "--dtype '': expected one of auto|f32|bf16|int8"},
    {"m -p a --dtype 'f32|bf16'", "--dtype f32|bf16: expected one of auto|f32|bf16|int8"},
    {"m -p a --dtype F32", "--dtype F32: expected one of auto|f32|bf16|int8"},
    {"m -p a --rng torch", "--rng torch: expected one of torch-cpu|torch-cuda"},
    {"m -p a --rng ''", "--rng '': expected one of torch-cpu|torch-cuda"},
    /* sizes and places */
    {"m -p a --original-size 64", "--original-size 64: " SIZE},
    {"m -p a --original-size 64x", "--original-size 64x: " SIZE},
    {"m -p a --original-size x64", "--original-size x64: " SIZE},
    {"m -p a --original-size 64X64", "--original-size 64X64: " SIZE},
    {"m -p a --original-size 64x0", "--original-size 64x0: " SIZE},
    {"m -p a --original-size 64x64x64", "--original-size 64x64x64: " SIZE},
    {"m -p a --original-size '64 x64'", "--original-size 64 x64: " SIZE},
    {"m -p a --target-size 64,64", "--target-size 64,64: " SIZE},
    {"m -p a --target-size 16777217x64", "--target-size 16777217x64: " SIZE},
    {"m -p a --target-size 99999999999999999999x64",
     "--target-size 99999999999999999999x64: " SIZE},
    {"m -p a --negative-original-size=", "--negative-original-size '': " SIZE},
    {"m -p a --negative-target-size", "--negative-target-size: " SIZE " behind it"},
    {"m -p a --crop-top-left 8", "--crop-top-left 8: " PLACE},
    {"m -p a --crop-top-left 8x8", "--crop-top-left 8x8: " PLACE},
    {"m -p a --crop-top-left=-1,8", "--crop-top-left -1,8: " PLACE},
    {"m -p a --negative-crop-top-left 8,", "--negative-crop-top-left 8,: " PLACE},
    /* options that are none */
    {"m -p a --step 5", "--step: no such option (did you mean '--steps'?)"},
    {"m -p a --step=5", "--step: no such option (did you mean '--steps'?)"},
    {"m -p a --sed 5", "--sed: no such option (did you mean '--seed'?)"},
    {"m -p a --gate 5", "--gate: no such option (did you mean '--gate-step'?)"},
    {"m -p a --gatestep 5", "--gatestep: no such option (did you mean '--gate-step'?)"},
    {"m -p a --frobnicate", "--frobnicate: no such option"},
    {"m -p a --=5", "--: no such option"},
    {"m -p a --Steps 5", "--Steps: no such option (did you mean '--steps'?)"},
    {"m -p a --steps5", "--steps5: no such option (did you mean '--steps'?)"},
    {"m -p a ---steps 5", "---steps: no such option (did you mean '--steps'?)"},
    {"m -p a -x", "-x: no such option"},
    {"m -p a -qx", "-x: no such option"},
    {"m -p a -s 5", "-s: no such option"},
    {"m -p a --unscaled", "--unscaled: not an option of 'tgate generate'"},
    /* values where none belongs, none where one does */
    {"m -p a --force=yes", "--force: takes no value"},
    {"m -p a --json=", "--json: takes no value"},
    {"m -p a --steps", "--steps: " INTEGER " behind it"},
    {"m -p", "--prompt: expected TEXT behind it"},
    {"m -p a -o", "--output: expected PICTURE behind it"},
    {"m -p a --prompts", "--prompts: expected FILE behind it"},
    {"m -p a --seed", "--seed: " SEED " behind it"},
    {"m -p a --vae-tiling 1", "--vae-tiling 1: expected one of auto|on|off"},
    {"m -p a --vae-tiling", "--vae-tiling: expected one of auto|on|off behind it"},
    {"m -p a --dtype", "--dtype: expected one of auto|f32|bf16|int8 behind it"},
    {"m -p a --help=some", "--help some: expected all"},
    {"m -p a -o ''", "--output '': expected PICTURE"},
    {"m -p a --output=", "--output '': expected PICTURE"},
    {"m -p a --scheduler ''", "--scheduler '': expected NAME"},
    {"m -p a --variant ''", "--variant '': expected NAME"},
    {"m -p a --config ''", "--config '': expected DIR"},
    {"m -p a --tokenizer=", "--tokenizer '': expected DIR"},
    {"m -p a --latents ''", "--latents '': expected FILE.npy"},
    {"m -p a --prompts ''", "--prompts '': expected FILE"},
    /* arguments */
    {"", "too few arguments: expected tgate generate MODEL -p TEXT"},
    {"-p a", "too few arguments: expected tgate generate MODEL -p TEXT"},
    {"'' -p a", "MODEL '': expected a folder or a file"},
    {"m 'a fox'", "a fox: one argument too many; the prompt goes behind -p"},
    {"m -p a b", "b: one argument too many; the prompt goes behind -p"},
    {"m -p a -- -q", "-q: one argument too many; the prompt goes behind -p"},
    {"m -p a -", "-: one argument too many; the prompt goes behind -p"},
    {"m", "expected -p TEXT or --prompts FILE"},
    {"m -n ugly", "expected -p TEXT or --prompts FILE"},
    {"m -p a --prompts f", "--prompts f: not together with --prompt"},
    {"m -p '' --prompts f", "--prompts f: not together with --prompt"},
    /* options that disagree */
    {"m -p a --gate-step off --sp-interval 2",
     "--sp-interval: has no meaning with --gate-step off"},
    {"m -p a --fi-interval 2 --gate-step off",
     "--fi-interval: has no meaning with --gate-step off"},
    {"m -p a --warm-up 2 --gate-step=off", "--warm-up: has no meaning with --gate-step off"},
    {"m -p a --steps 3 --timesteps 9,8", "--steps 3: --timesteps 9,8 has 2"},
    {"m -p a --timesteps ''", "--timesteps '': expected LIST"},
    {"m -p a --timesteps 9,", "--timesteps 9,: " LIST},
    {"m -p a --timesteps ,9", "--timesteps ,9: " LIST},
    {"m -p a --timesteps '9, 8'", "--timesteps 9, 8: " LIST},
    {"m -p a --timesteps 9.5", "--timesteps 9.5: " LIST},
    {"m -p a --timesteps 9,99999999999999999999", "--timesteps 9,99999999999999999999: " LIST},
    {"m -p a --timesteps +9", "--timesteps +9: " LIST},
    {"m -p a --timestep-spacing ''", "--timestep-spacing '': expected NAME"},
    {"m -p a --deepcache-branch 1",
     "--deepcache-branch: has no meaning without --deepcache-interval 2 or more"},
    {"m -p a --deepcache-branch 0 --deepcache-interval 1",
     "--deepcache-branch: has no meaning without --deepcache-interval 2 or more"},
    {"m -p a --deepcache-interval off --deepcache-branch 2",
     "--deepcache-branch: has no meaning without --deepcache-interval 2 or more"},
    /* names of files */
    {"m -p a -o cat.gif", "--output cat.gif: " PICTURE},
    {"m -p a -o cat", "--output cat: " PICTURE},
    {"m -p a -ocat", "--output cat: " PICTURE},
    {"m -p a -o .png", "--output .png: " PICTURE},
    {"m -p a -o x/.png", "--output x/.png: " PICTURE},
    {"m -p a -o a.png/", "--output a.png/: " PICTURE},
    {"m -p a -o a.png/b", "--output a.png/b: " PICTURE},
    {"m -p a -o cat.", "--output cat.: " PICTURE},
    {"m -p a -o cat.pn", "--output cat.pn: " PICTURE},
    {"m -p a -o cat.pngx", "--output cat.pngx: " PICTURE},
    {"m -p a -o 'cat.png '", "--output cat.png : " PICTURE},
    {"m -p a -o ..", "--output ..: " PICTURE},
    {"m -p a -o 'a.png .'", "--output a.png .: " PICTURE},
    {"m -p a --save-latents l", "--save-latents l: " ARRAY},
    {"m -p a --save-latents l.png", "--save-latents l.png: " ARRAY},
    {"m -p a -o a.gif --output=b.bmp", "--output b.bmp: " PICTURE}, /* the last one holds */
    /* text */
    {"m -p \"$(printf 'a\\377')\"", "--prompt: expected UTF-8"},
    {"m -p \"$(printf '\\355\\240\\200')\"", "--prompt: expected UTF-8"},
    {"m -p \"$(printf '\\300\\200')\"", "--prompt: expected UTF-8"},
    {"m -p \"$(printf '\\364\\220\\200\\200')\"", "--prompt: expected UTF-8"},
    {"m -p \"$(printf '\\342\\202')\"", "--prompt: expected UTF-8"},
    {"m -p a -n \"$(printf '\\200')\"", "--negative: expected UTF-8"},
    {"m -p a --prompt-2 \"$(printf '\\200')\"", "--prompt-2: expected UTF-8"},
    {"m -p a --negative-2 \"$(printf '\\200')\"", "--negative-2: expected UTF-8"},
};

static void test_generate(void **state)
{
    (void)state;
    CHECK_USAGE("generate", of_generate);
}

static void test_smaller_commands(void **state)
{
    static const struct refusal info[] = {
        {"", "too few arguments: expected tgate info MODEL"},
        {"''", "MODEL '': expected a folder or a file"},
        {"m n", "n: one argument too many"},
        {"m --steps 3", "--steps: not an option of 'tgate info'"},
        {"m --force", "--force: not an option of 'tgate info'"},
        {"m -p a", "-p: no such option"},
        {"m --jsn", "--jsn: no such option (did you mean '--json'?)"},
        {"m --variant", "--variant: expected NAME behind it"},
    };
    static const struct refusal tokenize[] = {
        {"", "too few arguments: expected tgate tokenize MODEL [--] TEXT"},
        {"m", "too few arguments: expected tgate tokenize MODEL [--] TEXT"},
        {"m --", "too few arguments: expected tgate tokenize MODEL [--] TEXT"},
        {"m a fox", "fox: one argument too many; quote a text of several words"},
        {"m -5", "-5: no such option (put -- before the text)"},
        {"m --nice", "--nice: no such option (put -- before the text)"},
        {"m \"$(printf 'a\\200')\"", "TEXT: expected UTF-8"},
        {"'' a", "MODEL '': expected a folder or a file"},
        {"m a --json", "--json: not an option of 'tgate tokenize'"},
    };
    static const struct refusal decode[] = {
        {"", "too few arguments: expected tgate decode MODEL --latents FILE.npy -o PICTURE"},
        {"m", "expected both --latents FILE.npy and -o PICTURE"},
        {"m --latents l.npy", "expected both --latents FILE.npy and -o PICTURE"},
        {"m -o cat.png", "expected both --latents FILE.npy and -o PICTURE"},
        {"m --latents l.npy -o cat.gif", "--output cat.gif: " PICTURE},
        {"m l.npy", "l.npy: one argument too many"},
        {"m --save-latents l.npy", "--save-latents: not an option of 'tgate decode'"},
        {"m --vae-tiling yes", "--vae-tiling yes: expected one of auto|on|off"},
        {"m --dtype f64", "--dtype f64: expected one of auto|f32|bf16|int8"},
        {"m --unscaled=1", "--unscaled: takes no value"},
    };
    static const struct refusal encode[] = {
        {"m", "too few arguments: expected tgate encode MODEL PICTURE --save-latents FILE.npy"},
        {"m cat.png", "expected --save-latents FILE.npy"},
        {"m cat.png l.npy", "l.npy: one argument too many"},
        {"m cat.png --save-latents l.png", "--save-latents l.png: " ARRAY},
        {"m cat.png --vae-tiling ''", "--vae-tiling '': expected one of auto|on|off"},
        {"m cat.png -o l.npy", "-o: no such option"},
        {"m cat.png --latents l.npy", "--latents: not an option of 'tgate encode'"},
    };
    (void)state;
    CHECK_USAGE("info", info);
    CHECK_USAGE("tokenize", tokenize);
    CHECK_USAGE("decode", decode);
    CHECK_USAGE("encode", encode);
}

/* Words that are too long for any buffer are refused like others. */
static void test_long_words(void **state)
{
    (void)state;
    assert_run(2, shell("exec \"$T\" \"$(head -c 100000 /dev/zero | tr '\\0' a)\""));
    assert_run(2, shell("exec \"$T\" info m \"--$(head -c 100000 /dev/zero | tr '\\0' a)\""));
    assert_run(2, shell("exec \"$T\" info m \"-$(head -c 100000 /dev/zero | tr '\\0' a)\""));
    assert_run(2, shell("exec \"$T\" generate m -p a --steps "
                        "\"$(head -c 100000 /dev/zero | tr '\\0' 1)\""));
    assert_int_equal(strncmp(last.err, "tgate: --steps 1111", 19), 0);
}

static void test_prompts_file(void **state)
{
    static const struct refusal table[] = {
        {"printf ''", "expected a prompt on at least one line"},
        {"printf '\\n\\r\\n \\t\\n'", "expected a prompt on at least one line"},
        {"printf 'a\\nb\\377\\nc\\n'", "line 2: expected UTF-8 text"},
        {"printf 'a\\r\\n\\r\\nb\\0c'", "line 3: expected UTF-8 text"},
        {"printf '\\377\\376a\\0'", "line 1: expected UTF-8 text"},
        {"printf '\\0'", "line 1: expected UTF-8 text"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char line[256], err[256];
        snprintf(line, sizeof line, "%s | \"$T\" generate m --prompts -", table[i].arguments);
        snprintf(err, sizeof err, "tgate: -: %s\ntgate: see 'tgate generate --help'\n",
                 table[i].message);
        assert_run(2, shell(line));
        assert_string_equal(last.err, err);
    }
    assert_int_equal(differs("generate m --prompts none.txt", 1,
                             "tgate: none.txt: cannot be read: No such file or directory\n"),
                     0);
    assert_int_equal(
        differs("generate m --prompts .", 1, "tgate: .: cannot be read: Is a directory\n"), 0);
    assert_int_equal(differs("generate m --prompts /dev/zero", 1,
                             "tgate: /dev/zero: expected less than 16 MiB of prompts\n"),
                     0);
}

static void test_cpu_variable(void **state)
{
    (void)state;
    assert_run(2, shell("TG_CPU=sse4 exec \"$T\" info \"$M\""));
    assert_string_equal(last.err,
                        "tgate: TG_CPU=sse4: expected c, avx2, avx512, avx512_bf16 or amx\n"
                        "tgate: see 'tgate info --help'\n");
    assert_run(2, shell("TG_CPU=AVX2 exec \"$T\" generate \"$M\" -p a"));
    assert_files("");
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void test_help(void **state)
{
    static const char *const commands[] = {"generate", "info", "tokenize", "decode", "encode"};
    char line[64], help[sizeof last.out];
    (void)state;
    assert_run(0, tgate("--help"));
    assert_string_equal(last.err, "");
    assert_in_range(lines_of(last.out), 10, 25);
    strcpy(help, last.out);
    assert_run(0, tgate("help"));
    assert_string_equal(last.out, help);
    assert_run(0, tgate("-h"));
    assert_string_equal(last.out, help);
    assert_run(2, tgate("")); /* the same text, but nothing was asked */
    assert_string_equal(last.out, "");
    assert_string_equal(last.err, help);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        snprintf(line, sizeof line, "%s --help", commands[i]);
        assert_run(0, tgate(line));
        assert_string_equal(last.err, "");
        assert_in_range(lines_of(last.out), 5, 25);
        strcpy(help, last.out);
        snprintf(line, sizeof line, "help %s", commands[i]);
        assert_run(0, tgate(line));
        assert_string_equal(last.out, help);
        snprintf(line, sizeof line, "%s m -qh", commands[i]);
        assert_run(0, tgate(line));
        assert_string_equal(last.out, help);
        snprintf(line, sizeof line, "%s --help all", commands[i]);
        assert_run(0, tgate(line));
        assert_true(strlen(last.out) > strlen(help));
        strcpy(help, last.out);
        snprintf(line, sizeof line, "%s --help=all", commands[i]);
        assert_run(0, tgate(line));
        assert_string_equal(last.out, help);
    }
    assert_run(0, tgate("generate --help all"));
    assert_non_null(strstr(last.out, "--save-latents FILE.npy"));
    assert_non_null(strstr(last.out, "--rng torch-cpu|torch-cuda"));
}

static void test_version(void **state)
{
    (void)state;
    assert_run(0, tgate("--version"));
    assert_string_equal(last.out, "tgate 0.2.0\n");
    assert_run(0, tgate("generate --version --steps 5x"));
    assert_string_equal(last.out, "tgate 0.2.0\n");
}

/* Help that nobody could read has not been given. */
static void test_lost_output(void **state)
{
    (void)state;
    assert_run(1, tgate("--help >/dev/full"));
    assert_string_equal(last.err,
                        "tgate: standard output cannot be written: No space left on device\n");
    assert_run(1, tgate("--version >&-"));
    assert_string_equal(last.err,
                        "tgate: standard output cannot be written: Bad file descriptor\n");
    assert_run(2, tgate("generate 2>&-"));
    assert_run(0, tgate("--version <&-"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(test_program),      COMMAND_TEST(test_numbers),
        COMMAND_TEST(test_generate),     COMMAND_TEST(test_smaller_commands),
        COMMAND_TEST(test_long_words),   COMMAND_TEST(test_prompts_file),
        COMMAND_TEST(test_cpu_variable), COMMAND_TEST(test_help),
        COMMAND_TEST(test_version),      COMMAND_TEST(test_lost_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
