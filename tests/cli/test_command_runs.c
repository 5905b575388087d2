/* SPDX-License-Identifier: MIT */
/* The command with the demo model: which files appear, under which names, whole or not at all; what
 * is said where; how a run is interrupted. What the pictures look like is tested elsewhere. */
#include "cli/command.h"
#include "skip.h"

#include <jansson.h>
#include <math.h>

/* Small and short: 64x64, two steps. */
#define RUN_XL \
    "exec \"$T\" generate \"$XL\" --steps 2 --width 64 --height 64 -p a --seed 1 --dtype f32 -q "
#define SMALL "generate \"$M\" --steps 2 --width 64 --height 64 "
/* What it says of the gate. */
#define LITTLE \
    "tgate: 2 steps: 0.0 % of the multiplications skipped (few steps leave little to skip)\n"

/* The beginning of a file in the folder. */
static void assert_begins(const char *name, const char *magic, size_t size)
{
    char path[256], found[16] = "";
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(found, 1, size, file), size);
    fclose(file);
    assert_memory_equal(found, magic, size);
}

static void assert_png(const char *name) { assert_begins(name, "\x89PNG\r\n\x1A\n", 8); }
static void assert_npy(const char *name) { assert_begins(name, "\x93NUMPY", 6); }

/* The object that --json printed, and nothing behind it. */
static json_t *parse_output(void)
{
    json_error_t error;
    json_t *root = json_loads(last.out, 0, &error);
    if (!root)
        fail_msg("%s: %s", error.text, last.out);
    assert_true(json_is_object(root));
    return root;
}

static void test_names(void **state)
{
    (void)state;
    assert_run(0, tgate(SMALL "-p 'a fox' --seed 5"));
    assert_string_equal(last.err, LITTLE "tgate: wrote tgate-5.png\n");
    assert_string_equal(last.out, "");
    assert_files("tgate-5.png");
    assert_png("tgate-5.png");
    assert_run(0, tgate(SMALL "-p 'a fox' --seed 5 -qo cat.PNG --count 2"));
    assert_string_equal(last.err, "");
    assert_files("cat-1.PNG cat-2.PNG tgate-5.png");
    assert_png("cat-2.PNG");
}

static void test_prompts(void **state)
{
    (void)state;
    assert_run(0, shell("printf '\\357\\273\\277a cat\\r\\n\\n \\na dog' >p.txt; exec \"$T\" " SMALL
                        "--prompts p.txt --count 2 --seed 0 -o x.webp --save-latents l.npy"));
    assert_string_equal(last.err, LITTLE "tgate: wrote x-1.webp\ntgate: wrote x-2.webp\n"
                                         "tgate: wrote x-3.webp\ntgate: wrote x-4.webp\n"
                                         "tgate: wrote l-1.npy\ntgate: wrote l-2.npy\n");
    assert_files("l-1.npy l-2.npy p.txt x-1.webp x-2.webp x-3.webp x-4.webp");
    assert_npy("l-2.npy");
    assert_begins("x-4.webp", "RIFF", 4);
    /* a line of the file gives what -p gives */
    assert_run(0, tgate(SMALL "-p 'a dog' --count 2 --seed 0 --save-latents m.npy"));
    assert_run(0, shell("cmp l-2.npy m.npy"));
    /* one prompt alone is not numbered */
    assert_run(0, shell("echo a | \"$T\" " SMALL "--prompts - --seed 1 -qo one.jpg"));
    assert_begins("one.jpg", "\xFF\xD8", 2);
}

static void test_existing(void **state)
{
    (void)state;
    assert_run(0, shell("echo mine >cat-2.png"));
    assert_run(1, tgate(SMALL "-p a --seed 1 --count 3 -o cat.png"));
    assert_string_equal(last.err, "tgate: cat-2.png: exists already (--force replaces it)\n");
    assert_files("cat-2.png");
    assert_run(0, shell("test \"$(cat cat-2.png)\" = mine"));
    assert_run(0, tgate(SMALL "-p a --seed 1 --count 2 -o cat.png --force"));
    assert_files("cat-1.png cat-2.png");
    assert_png("cat-2.png");
    assert_run(0, shell("rm *.png; mkdir cat.png; ln -s nowhere dog.png"));
    assert_run(1, tgate(SMALL "-p a --seed 1 -o cat.png --force"));
    assert_string_equal(last.err, "tgate: cat.png: cannot be replaced: expected a regular file\n");
    assert_run(1, tgate(SMALL "-p a --seed 1 -o dog.png"));
    assert_string_equal(last.err, "tgate: dog.png: exists already (--force replaces it)\n");
    assert_files("cat.png dog.png");
}

static void test_unwritable(void **state)
{
    (void)state;
    assert_run(1, tgate(SMALL "-p a --seed 1 -o none/cat.png"));
    assert_string_equal(last.err, "tgate: none/cat.png: cannot be written: folder none/: "
                                  "No such file or directory\n");
    assert_run(0, shell("echo >file"));
    assert_run(1, tgate(SMALL "-p a --seed 1 -o file/cat.png"));
    assert_string_equal(last.err, "tgate: file/cat.png: cannot be written: folder file/: "
                                  "Not a directory\n");
    assert_run(1, tgate(SMALL "-p a --seed 1 -o cat.png --save-latents none/l.npy"));
    assert_string_equal(last.err, "tgate: none/l.npy: cannot be written: folder none/: "
                                  "No such file or directory\n");
    assert_run(1, tgate(SMALL "-p a --seed 1 -o \"$(head -c 300 /dev/zero | tr '\\0' a).png\""));
    assert_non_null(strstr(last.err, ".png: cannot be written: File name too long\n"));
    assert_run(1, tgate(SMALL "-p a --seed 1 -o /proc/cat.png"));
    assert_files("file");
}

/* What cannot be written whole is not there, nor what was written before it: four small pictures,
 * then their latents of 4 KiB and a little. */
static void test_write_fails(void **state)
{
    (void)state;
    assert_run(1,
               shell("(ulimit -f 8; trap '' XFSZ; exec \"$T\" " SMALL "-p a --seed 1 --count 4 -q "
                     "-o x.webp --save-latents l.npy)"));
    assert_string_equal(last.err, "tgate: l.npy: cannot be written (File too large)\n");
    assert_files("");
}

/* A name that is not UTF-8 is a file's like any other, and JSON's text all the same. */
static void test_strange_name(void **state)
{
    (void)state;
    assert_run(
        0, tgate(SMALL "-p '\xc3\xa4' --seed 1 -q --json -o \"$(printf 'b\\377\\303\\244.png')\""));
    json_t *root = parse_output();
    const char *name, *prompt;
    assert_int_equal(json_unpack(root, "{s:[s], s:[s]}", "files", &name, "prompts", &prompt), 0);
    assert_string_equal(name, "b\xef\xbf\xbd\xc3\xa4.png");
    assert_string_equal(prompt, "\xc3\xa4");
    json_decref(root);
    assert_files("b\xff\xc3\xa4.png");
}

static void test_one_name_twice(void **state)
{
    (void)state;
    assert_run(2, tgate(SMALL "-p a --seed 1 -o l.npy --save-latents ./l.npy"));
    assert_non_null(
        strstr(last.err, "l.npy: would be written twice, by --output and --save-latents\n"));
    assert_run(2, tgate(SMALL "-p a --seed 1 --count 2 -o l.npy --save-latents l-2.npy --force"));
    assert_files("");
}

static void test_json(void **state)
{
    const char *text;
    json_t *root, *gate, *seconds;
    json_int_t gate_step, width, count;
    double total;
    (void)state;
    assert_run(0, tgate(SMALL "-p 'say \"a\\b\"' -n 'tab\t' --seed 18446744073709551615 --json -q "
                              "-o cat.png --save-latents l.npy --gate-step 1 --threads 1"));
    assert_string_equal(last.err, "");
    assert_non_null(strstr(last.out, "\"seed\": 18446744073709551615,"));
    text = strstr(last.out, "18446744073709551615"); /* more than jansson's integers hold */
    memcpy(last.out + (text - last.out), "1                   ", 20);
    root = parse_output();
    assert_int_equal(json_unpack(root, "{s:[s], s:s}", "prompts", &text, "negative_prompt", &text),
                     0);
    assert_string_equal(text, "tab\t");
    assert_int_equal(json_unpack(root, "{s:I, s:I, s:o, s:o}", "width", &width, "count", &count,
                                 "gate", &gate, "seconds", &seconds),
                     0);
    assert_int_equal(width, 64);
    assert_int_equal(count, 1);
    assert_int_equal(json_unpack(gate, "{s:I}", "gate_step", &gate_step), 0);
    assert_int_equal(gate_step, 1);
    assert_int_equal(json_unpack(seconds, "{s:F}", "total", &total), 0);
    assert_true(total > 0);
    static const char *const keys[] = {"height",  "steps", "guidance",     "scheduler", "dtype",
                                       "threads", "gmac",  "peak_rss_mib", "files"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_non_null(json_object_get(root, keys[i]));
    assert_int_equal(json_array_size(json_object_get(root, "files")), 2);
    json_decref(root);
    assert_run(0, tgate(SMALL "-p a --seed 3 --json -q --gate-step off -o dog.png"));
    root = parse_output();
    assert_true(json_is_null(json_object_get(root, "gate")));
    assert_true(json_is_null(json_object_get(root, "deepcache")));
    json_decref(root);
    assert_files("cat.png dog.png l.npy");
}

/* What --json says of gate and DeepCache with these options. */
static void check_acceleration(const char *options, const char *expected)
{
    char line[512], got[256];
    int gate[4] = {0}, interval = 0, branch = 0;
    json_error_t fault;
    snprintf(line, sizeof line,
             "generate \"$M\" --steps 4 --width 64 --height 64 -p a --seed 3 "
             "--json -q --force -o a.png %s",
             options);
    assert_run(0, tgate(line));
    json_t *root = parse_output();
    if (!json_is_null(json_object_get(root, "gate")))
        assert_int_equal(json_unpack_ex(root, &fault, 0, "{s:{s:i, s:i, s:i, s:i}}", "gate",
                                        "gate_step", &gate[0], "sp_interval", &gate[1],
                                        "fi_interval", &gate[2], "warm_up", &gate[3]),
                         0);
    if (!json_is_null(json_object_get(root, "deepcache")))
        assert_int_equal(json_unpack_ex(root, &fault, 0, "{s:{s:i, s:i}}", "deepcache", "interval",
                                        &interval, "branch", &branch),
                         0);
    snprintf(got, sizeof got, "%d %d %d %d, %d %d", gate[0], gate[1], gate[2], gate[3], interval,
             branch);
    assert_string_equal(got, expected);
    json_decref(root);
}

/* DeepCache brings a gate of its own, of which each part may be given. */
static void test_deepcache(void **state)
{
    (void)state;
    check_acceleration("", "10 5 1 2, 0 0");
    check_acceleration("--deepcache-interval off", "10 5 1 2, 0 0");
    check_acceleration("--deepcache-interval 1", "10 5 1 2, 0 0");
    check_acceleration("--deepcache-interval 3", "10 1 1 0, 3 0");
    check_acceleration("--deepcache-interval 2 --deepcache-branch 4 --gate-step 2", "2 1 1 0, 2 4");
    check_acceleration("--deepcache-interval 2 --sp-interval 3 --fi-interval 2 --warm-up 1",
                       "10 3 2 1, 2 0");
    check_acceleration("--deepcache-interval 5 --gate-step off", "0 0 0 0, 5 0");
    assert_run(2, tgate("generate \"$M\" -p a --deepcache-interval 3 --deepcache-branch 9"));
    assert_string_equal(last.err, "tgate: deepcache_branch is 9, expected 0 to 8\n"
                                  "tgate: see 'tgate generate --help'\n");
    assert_files("a.png");
}

/* If the result cannot be told, the run has failed, and leaves nothing. */
static void test_json_lost(void **state)
{
    (void)state;
    assert_run(1, tgate(SMALL "-p a --seed 1 --json >/dev/full"));
    assert_string_equal(last.err,
                        "tgate: standard output cannot be written: No space left on device\n");
    assert_run(1, tgate(SMALL "-p a --seed 1 --json >&-"));
    assert_files("");
}

static void test_seed_drawn(void **state)
{
    unsigned long long said, drawn;
    char name[64];
    json_t *root;
    (void)state;
    assert_run(0, tgate(SMALL "-p '' --json"));
    assert_int_equal(sscanf(last.err, "tgate: seed %llu\n", &said), 1);
    root = parse_output();
    drawn = (unsigned long long)json_integer_value(json_object_get(root, "seed"));
    json_decref(root);
    assert_int_equal(said, drawn);
    snprintf(name, sizeof name, "tgate-%llu.png", drawn);
    assert_files(name);
}

static void test_latents(void **state)
{
    (void)state;
    assert_run(0, tgate(SMALL "-p a --seed 1 --count 2 -q --save-latents l.npy"));
    assert_run(0, tgate("generate \"$M\" --steps 2 -p a --seed 1 -q --latents l.npy --width 64 "
                        "--count 2 --save-latents m.npy"));
    assert_files("l.npy m.npy");
    assert_run(2, tgate("generate \"$M\" -p a --latents l.npy --width 128"));
    assert_string_equal(last.err, "tgate: --width 128: --latents l.npy has 64\n"
                                  "tgate: see 'tgate generate --help'\n");
    assert_run(2, tgate("generate \"$M\" -p a --latents l.npy --height 65"));
    assert_string_equal(last.err, "tgate: --height 65: --latents l.npy has 64\n"
                                  "tgate: see 'tgate generate --help'\n");
    assert_run(2, tgate("generate \"$M\" -p a --latents l.npy --count 1"));
    assert_string_equal(last.err, "tgate: --count 1: --latents l.npy has 2\n"
                                  "tgate: see 'tgate generate --help'\n");
    assert_run(1, tgate("generate \"$M\" -p a --latents none.npy"));
    assert_run(0, tgate("decode \"$M\" --latents l.npy -o d.png"));
    assert_string_equal(last.err, "tgate: wrote d-1.png\ntgate: wrote d-2.png\n");
    assert_run(0, tgate("encode \"$M\" d-1.png --save-latents e.npy --threads 1"));
    assert_string_equal(last.err, "tgate: wrote e.npy\n");
    assert_run(1, tgate("encode \"$M\" d-1.png --save-latents e.npy"));
    assert_string_equal(last.err, "tgate: e.npy: exists already (--force replaces it)\n");
    assert_files("d-1.png d-2.png e.npy l.npy m.npy");
    /* pixels as floats are a picture, too; latents are none */
    assert_run(0, tgate("decode \"$M\" --latents e.npy -qo p.npy"));
    assert_run(0, tgate("encode \"$M\" p.npy -q --save-latents f.npy"));
    assert_run(1, tgate("encode \"$M\" e.npy -q --save-latents g.npy"));
    assert_string_equal(last.err, "tgate: e.npy: its shape is (1, 4, 8, 8), expected one picture, "
                                  "(1, 3, height, width)\n");
}

/* The demo model's VAE was trained at 128 pixels. */
static void test_tiles(void **state)
{
    (void)state;
    assert_run(0, tgate("generate \"$M\" -p a --steps 1 --seed 1 -q --width 192 --height 128 "
                        "--save-latents l.npy -o a.npy"));
    assert_run(0, tgate("decode \"$M\" --latents l.npy -o b.npy -q --vae-tiling off"));
    assert_run(0, tgate("decode \"$M\" --latents l.npy -o c.npy -v --vae-tiling on"));
    assert_string_equal(last.err, "tgate: vae: 2 x 2 tiles of 16 x 16 latents\n"
                                  "tgate: wrote c.npy\n");
    assert_run(0, shell("cmp -s a.npy b.npy && ! cmp -s a.npy c.npy"));
    assert_run(0, tgate("generate \"$M\" -p a --steps 1 --seed 1 -q --width 192 --height 128 "
                        "-o d.npy --vae-tiling on"));
    assert_run(0, shell("cmp -s c.npy d.npy"));
    assert_files("a.npy b.npy c.npy d.npy l.npy");
}

static void test_refused_by_the_library(void **state)
{
    static const char *const lines[] = {
        "generate \"$M\" -p a --width 65",
        "generate \"$M\" -p a --scheduler frobnicate",
        "generate \"$M\" -p a --prediction-type frobnicate",
        "generate \"$M\" -p a --steps 1001",
        "generate \"$M\" -p a --clip-skip 1000",
        "generate \"$M\" -p a --scheduler ddim --karras",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_run(2, tgate(lines[i]));
        assert_int_equal(strncmp(last.err, "tgate: ", 7), 0);
        assert_non_null(strstr(last.err, "\ntgate: see 'tgate generate --help'\n"));
    }
    assert_run(1, tgate("generate no/such/model -p a"));
    assert_run(1, tgate("info no/such/model"));
    assert_run(1, tgate("tokenize no/such/model a"));
    assert_files("");
}

/* Networks from elsewhere: what is refused, and with which words. */
static void test_networks(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *said;
    } lines[] = {
        {"info \"$M\" --unet no/such", 1,
         "tgate: no/such: not found, expected the folder of a network or of a pipeline, or a "
         ".safetensors file\n"},
        {"info \"$M\" --text-encoder-2 \"$M\"/vae -q", 2, NULL},
        {"info \"$M\" --unet \"$M\"/vae", 1,
         "tgate: vae/config.json: _class_name is \"AutoencoderKL\", expected "
         "\"UNet2DConditionModel\"\n"},
        {"decode \"$M\" --latents l.npy -o a.npy --vae \"$M\"/unet", 1, NULL},
        {"tokenize \"$M\" a --unet x", 2,
         "tgate: --unet: not an option of 'tgate tokenize'\n"
         "tgate: see 'tgate tokenize --help'\n"},
        {"info \"$M\" --vae", 2,
         "tgate: --vae: expected PATH behind it\ntgate: see 'tgate info --help'\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_run(lines[i].code, tgate(lines[i].line));
        if (lines[i].said)
            assert_string_equal(last.err, lines[i].said);
    }
    assert_run(2, tgate("info \"$M\" --text-encoder-2 x"));
    assert_string_equal(last.err,
                        "tgate: --text-encoder-2 x: StableDiffusionPipeline has no network of this "
                        "name, expected unet, vae or text_encoder\n"
                        "tgate: see 'tgate info --help'\n");
    assert_run(0, tgate("generate \"$M\" -p a --steps 1 --seed 1 -q --width 64 --height 64 "
                        "-o a.npy"));
    assert_run(0, tgate("generate \"$M\" -p a --steps 1 --seed 1 -q --width 64 --height 64 "
                        "-o b.npy --unet \"$M\" --vae \"$M\"/vae --text-encoder \"$M\""));
    assert_run(0, shell("cmp -s a.npy b.npy"));
    assert_files("a.npy b.npy");
}

/* Below ten steps it is said what was skipped, if anything was to be. */
static void test_few_steps(void **state)
{
    (void)state;
    assert_run(0, tgate("generate \"$M\" -p a --seed 1 --width 64 --height 64 --steps 9 "
                        "--gate-step off -o a.npy"));
    assert_string_equal(last.err, "tgate: wrote a.npy\n");
    assert_run(0, tgate("generate \"$M\" -p a --seed 1 --width 64 --height 64 --scheduler lcm "
                        "--gate-step 4 --sp-interval 1 --timesteps 999 -o b.npy"));
    assert_string_equal(last.err, "tgate: 1 step: 0.0 % of the multiplications skipped (few steps "
                                  "leave little to skip)\ntgate: wrote b.npy\n");
    assert_run(0,
               tgate("generate \"$M\" -p a --seed 1 --width 64 --height 64 --steps 10 -o c.npy"));
    assert_string_equal(last.err, "tgate: wrote c.npy\n");
}

/* What the model and its scheduler have to say to these options, exactly. */
static void test_refused_schedules(void **state)
{
    static const struct {
        const char *options, *message;
    } lines[] = {
        {"--scheduler euler --eta 0.5", "EulerDiscreteScheduler has no eta"},
        {"--scheduler ddim --original-steps 20", "DDIMScheduler has no original steps"},
        {"--scheduler lcm --original-steps 1001",
         "LCMScheduler: original_inference_steps is 1001, expected 1 to 1000 as "
         "num_train_timesteps"},
        {"--scheduler lcm --steps 51",
         "LCMScheduler: 51 steps, expected 1 to 50 as original_inference_steps"},
        {"--scheduler tcd --steps 9 --original-steps 8",
         "TCDScheduler: 9 steps, expected 1 to 8 as original_inference_steps"},
        {"--scheduler pndm --timesteps 900,100", "PNDMScheduler takes no list of timesteps"},
        {"--scheduler euler --karras --timesteps 900,100",
         "EulerDiscreteScheduler takes no list of timesteps with use_karras_sigmas"},
        {"--scheduler lcm --timesteps 1000,100", "timesteps[0] is 1000, expected 0 to 999"},
        {"--scheduler lcm --timesteps 100,-1", "timesteps[1] is -1, expected 0 to 999"},
        {"--scheduler lcm --timesteps 9,9", "timesteps[1] is 9, expected less than 9 before it"},
        {"--scheduler dpmpp-2s --timestep-spacing trailing",
         "DPMSolverSinglestepScheduler has no timestep spacing"},
        {"--timestep-spacing even",
         "timestep spacing \"even\" is not known, expected leading, linspace or trailing"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char line[256], expected[512];
        snprintf(line, sizeof line, "generate \"$M\" -p a --seed 1 %s", lines[i].options);
        snprintf(expected, sizeof expected, "tgate: %s\ntgate: see 'tgate generate --help'\n",
                 lines[i].message);
        assert_run(2, tgate(line));
        assert_string_equal(last.err, expected);
    }
    assert_files("");
}

/* Plain C computes in int8, what has vectors but not these products does not. */
static void test_int8(void **state)
{
    const char *dtype;
    json_t *root;
    (void)state;
    assert_run(1, shell("TG_CPU=avx2 exec \"$T\" " SMALL "-p a --seed 1 --dtype int8 -o x.png"));
    assert_string_equal(last.err,
                        "tgate: dtype int8: its products need AVX512-VNNI, which this CPU "
                        "lacks or the cap on instructions excludes; expected f32\n");
    assert_files("");
    assert_run(0,
               shell("TG_CPU=c exec \"$T\" generate \"$M\" --steps 1 --width 64 --height 64 -p a "
                     "--seed 1 --dtype int8 -qo c.png --json --save-latents c.npy"));
    root = parse_output();
    assert_int_equal(json_unpack(root, "{s:s}", "dtype", &dtype), 0);
    assert_string_equal(dtype, "int8");
    json_decref(root);
    assert_run(0,
               shell("TG_CPU=c exec \"$T\" generate \"$M\" --steps 1 --width 64 --height 64 -p a "
                     "--seed 1 --dtype f32 -qo d.png --save-latents d.npy"));
    assert_int_not_equal(shell("cmp c.npy d.npy"), 0);
    assert_files("c.npy c.png d.npy d.png");
    if (!tg_has_vnni()) {
        tg_skip_part("vectors: this CPU has no AVX512-VNNI");
        return;
    }
    assert_run(0, tgate(SMALL "-p a --seed 1 --dtype int8 -qo e.png --json"));
    assert_non_null(strstr(last.out, "\"dtype\": \"int8\""));
    assert_png("e.png");
    assert_run(0, tgate("encode \"$M\" e.png --dtype int8 -q --save-latents e.npy"));
    assert_run(0, tgate("decode \"$M\" --latents e.npy --dtype int8 -qo f.png"));
    assert_png("f.png");
}

/* Stable Diffusion XL's own options: what they change, and where they have no place. */
static void test_xl(void **state)
{
    static const char *const changes[] = {
        "-n ''",
        "--prompt-2 'a cat'",
        "--original-size 200x64",
        "-n '' --negative-2 a",
        "--crop-top-left 64,8",
        "--target-size 64x200",
        "--negative-original-size 9x9 --negative-target-size 300x8"};
    static const char *const refused[][2] = {
        {"--prompt-2 a", "text_2: this model has one text encoder, expected a model with two"},
        {"--negative-2 a",
         "negative_2: this model has one text encoder, expected a model with two"},
        {"--original-size 64x64",
         "sizes are given, but this model is not told sizes, expected none"},
        {"--negative-crop-top-left 8,8",
         "negative_sizes are given, but this model is not told sizes, expected none"}};
    char line[512], expected[512];
    (void)state;
    setenv("XL", TG_TEST_DATA "/golden/models/xl1", 1);
    assert_run(0, shell(RUN_XL "--save-latents plain.npy"));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        snprintf(line, sizeof line, RUN_XL "%s --force --save-latents other.npy", changes[i]);
        assert_run(0, shell(line));
        assert_string_equal(last.err, "");
        assert_int_equal(shell("cmp -s plain.npy other.npy"), 1);
    }
    assert_run(0, shell(RUN_XL "--original-size 64x64 --crop-top-left 0,0 --target-size 64x64 "
                               "--prompt-2 '' --force --save-latents other.npy"));
    assert_run(0, shell("cmp plain.npy other.npy"));
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        snprintf(line, sizeof line, SMALL "-p a %s", refused[i][0]);
        snprintf(expected, sizeof expected, "tgate: %s\ntgate: see 'tgate generate --help'\n",
                 refused[i][1]);
        assert_run(2, tgate(line));
        assert_string_equal(last.err, expected);
    }
    assert_run(0, shell("exec \"$T\" generate \"$XL\" --steps 1 -p a --seed 1 --dtype f32 --force "
                        "--negative-2 b --negative-original-size 9x9 --save-latents other.npy"));
    assert_string_equal(last.err, "tgate: warning: the second negative prompt has no effect "
                                  "without a first one: this model takes "
                                  "zeros where there is none\n"
                                  "tgate: warning: the negative sizes have no effect unless both "
                                  "the original and the target one are "
                                  "given\n"
                                  "tgate: 1 step: 0.0 % of the multiplications skipped (few steps "
                                  "leave little to skip)\n"
                                  "tgate: wrote other.npy\n");
    assert_run(0, shell("exec \"$T\" info \"$XL\""));
    assert_non_null(strstr(last.out, "CLIPTextModelWithProjection"));
    assert_non_null(strstr(last.out, "pipeline   StableDiffusionXLPipeline, diffusers folder\n"));
    assert_non_null(strstr(last.out, "T-GATE     from step 10 of 25, sp 5, fi 1, warm-up 2\n"));
    assert_files("other.npy plain.npy");
}

static void test_info(void **state)
{
    json_t *root;
    int steps, gate[4];
    json_int_t f32, bf16, int8;
    (void)state;
    assert_run(0, tgate("info \"$M\""));
    assert_string_equal(last.err, "");
    assert_non_null(strstr(last.out, "UNet2DConditionModel"));
    assert_non_null(strstr(last.out, " MiB in f32, "));
    assert_non_null(strstr(last.out, " MiB in bf16, "));
    assert_non_null(strstr(last.out, " MiB in int8\n"));
    assert_run(0, tgate("info -v \"$M\"")); /* no key of a usual config is unknown */
    assert_string_equal(last.err, "");
    assert_run(0, tgate("info --json \"$M\""));
    root = parse_output();
    assert_int_equal(json_integer_value(json_object_get(root, "width")), 128);
    assert_true(json_array_size(json_object_get(root, "networks")) >= 3);
    assert_int_equal(json_unpack(root, "{s:{s:I, s:I, s:I}}", "memory_bytes", "f32", &f32, "bf16",
                                 &bf16, "int8", &int8),
                     0);
    assert_true(f32 > bf16 && bf16 > int8 && int8 > bf16 / 2);
    assert_int_equal(json_unpack(root, "{s:i, s:{s:i, s:i, s:i, s:i}}", "steps", &steps, "gate",
                                 "gate_step", &gate[0], "sp_interval", &gate[1], "fi_interval",
                                 &gate[2], "warm_up", &gate[3]),
                     0);
    assert_true(steps == 25 && gate[0] == 10 && gate[1] == 5 && gate[2] == 1 && gate[3] == 2);
    json_decref(root);
    assert_run(1, tgate("info --json \"$M\" >/dev/full"));
}

static void test_tokenize(void **state)
{
    int lines = 0;
    (void)state;
    assert_run(0, tgate("tokenize \"$M\" 'a fox'"));
    assert_string_equal(last.err, "");
    for (const char *p = last.out; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 1);
    assert_int_equal(last.out[strspn(last.out, "0123456789 ")], '\n');
    assert_run(0, tgate("tokenize \"$M\" -v -- '-v'"));
    assert_non_null(strstr(last.out, "<|startoftext|>"));
    assert_run(0, tgate("tokenize \"$M\"/tokenizer ''"));
}

/* A wish to stop during the steps: exit 130, and nothing is left, not even what was ready.
 * Without --foreground timeout sends the signal twice, and the second may kill. */
static void test_interrupt(void **state)
{
    static const char *const signals[] = {"INT", "TERM"};
    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        char line[512];
        snprintf(
            line, sizeof line,
            "exec timeout --foreground --preserve-status -k 15 -s %s 1 \"$T\" generate \"$M\" -p a "
            "--seed 1 --steps 900 --width 64 --height 64 -o cat.png --cache-dir cache",
            signals[i]);
        assert_run(130, shell(line));
        assert_string_equal(last.err, "tgate: interrupted\n");
        assert_run(0, shell("ls -A cache | grep -v packs$ | wc -l; rm -r cache"));
        assert_string_equal(last.out, "0\n");
        assert_files("");
    }
}

/* The names of a cache's files as the user cannot know them are cut out of what is said. */
#define PLAIN_NAMES " | sed -E 's/-[a-z0-9_]+-[0-9a-f]{16}\\.packs/.packs/'"

static void test_cache_dir(void **state)
{
    static const char *const lines[] = {
        SMALL "-p a --seed 1 --dtype f32 -q --cache-dir c -o b.npy",
        "encode \"$M\" p.png --save-latents l.npy --dtype f32 -q --cache-dir c",
        "decode \"$M\" --latents l.npy -o q.png --dtype f32 -q --cache-dir c",
    };
    (void)state;
    assert_run(0, tgate(SMALL "-p a --seed 1 --dtype f32 --cache-dir c -o a.npy"));
    assert_string_equal(last.err, LITTLE "tgate: wrote a.npy\n");
    assert_run(0, shell("ls -A c" PLAIN_NAMES));
    assert_string_equal(last.out, "text_encoder-f32.packs\nunet-f32.packs\nunet-text-f32.packs\n"
                                  "vae-f32.packs\n");
    assert_run(0, shell("stat -c %i c/unet* >inode"));
    assert_run(0, tgate(SMALL "-p a --seed 1 --dtype f32 -q -o p.png"));
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_run(0, tgate(lines[i]));
        assert_string_equal(last.err, "");
    }
    assert_run(0, shell("cmp a.npy b.npy && stat -c %i c/unet* | cmp - inode && ls -A c | wc -l"));
    assert_string_equal(last.out, "4\n");
    assert_run(0, shell("for f in c/*; do echo x >$f; done; \"$T\" " SMALL "-p a --seed 1 "
                        "--dtype f32 -v --cache-dir c -o d.npy 2>&1" PLAIN_NAMES));
    assert_string_equal(last.out,
                        "tgate: c/text_encoder-f32.packs: is no file of packs; it is made anew\n"
                        "tgate: c/unet-text-f32.packs: is no file of packs; it is made anew\n"
                        "tgate: c/unet-f32.packs: is no file of packs; it is made anew\n"
                        "tgate: c/vae-f32.packs: is no file of packs; it is made anew\n" LITTLE
                        "tgate: wrote d.npy\n");
    assert_run(0, shell("cmp a.npy d.npy"));
    assert_run(2, tgate(SMALL "-p a --cache-dir ''"));
}

static void test_cache_dir_unwritable(void **state)
{
    (void)state;
    assert_run(0, shell(">f; \"$T\" " SMALL "-p a --seed 1 --dtype f32 --cache-dir f -o a.npy "
                        "2>&1" PLAIN_NAMES));
    assert_string_equal(
        last.out, "tgate: warning: f/text_encoder-f32.packs: cannot be written (Not a "
                  "directory); the next start will not be faster\n" LITTLE "tgate: wrote a.npy\n");
    assert_run(0, shell("(ulimit -f 200; trap '' XFSZ; exec \"$T\" " SMALL "-p a --seed 1 "
                        "--dtype f32 --cache-dir full -o b.npy) 2>&1" PLAIN_NAMES));
    assert_string_equal(
        last.out, "tgate: warning: full/text_encoder-f32.packs: cannot be written (File too "
                  "large); the next start will not be faster\n" LITTLE "tgate: wrote b.npy\n");
    assert_run(0, shell("cmp a.npy b.npy && rmdir full")); /* it is empty */
    assert_files("a.npy b.npy f");
}

static void test_cache_dir_twice_at_once(void **state)
{
    (void)state;
    assert_run(0, shell("\"$T\" " SMALL "-p a --seed 1 --cache-dir c -qo a.npy & "
                        "\"$T\" " SMALL "-p a --seed 1 --cache-dir c -qo b.npy && wait $! && "
                        "\"$T\" " SMALL "-p a --seed 1 --cache-dir c -qvo d.npy && "
                        "cmp a.npy b.npy && cmp a.npy d.npy && ls -A c | wc -l"));
    assert_string_equal(last.err, "");
    assert_string_equal(last.out, "4\n");
}

/* One row of the profile: numbers (0 for a dash), the bound, the operator. */
struct profile_row {
    double seconds, calls, gmac, speed, share, gb, gb_per_s, at_best, times;
    char bound[8], text[128];
};

static double column(const char **at)
{
    char word[32] = "", *end;
    int length = 0;
    assert_int_equal(sscanf(*at, "%31s%n", word, &length), 1);
    *at += length;
    double x = strtod(word, &end);
    if (strcmp(word, "-") == 0)
        return 0;
    if (*end)
        fail_msg("%s is no number", word);
    return x;
}

static struct profile_row parse_row(const char *line)
{
    struct profile_row row = {0};
    double *const before[] = {&row.seconds, &row.calls, &row.gmac,    &row.speed,
                              &row.share,   &row.gb,    &row.gb_per_s};
    int length = 0;
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        *before[i] = column(&line);
    assert_int_equal(sscanf(line, "%7s%n", row.bound, &length), 1);
    line += length;
    row.at_best = column(&line);
    row.times = column(&line);
    assert_int_equal(sscanf(line, " %127[^\n]", row.text), 1);
    return row;
}

/* Every operator beside its roofline; the last line is their sum. */
static void test_profile(void **state)
{
    (void)state;
    assert_run(0, tgate(SMALL "-p x --seed 1 -o x.png --dtype f32 --threads 1 --profile"));
    assert_non_null(strstr(last.err, "\nf32, 1 threads; at most f32 "));
    char *line = strstr(last.err, "\n  seconds    calls");
    assert_non_null(line);
    struct profile_row row = {0}, sum = {0};
    for (line = strchr(line + 1, '\n') + 1; strncmp(line, "tgate: ", 7) != 0;
         line = strchr(line, '\n') + 1) {
        row = parse_row(line);
        if (strcmp(row.text, "- all operators ") == 0)
            break;
        sum.seconds += row.seconds;
        sum.calls += row.calls;
        sum.gmac += row.gmac;
        sum.gb += row.gb;
        assert_int_equal(strncmp(row.text, "f32 ", 4), 0);
        bool product = strstr(row.text, "conv2d") || strstr(row.text, "linear");
        if (product && !(row.gmac >= 0 && row.at_best >= 0 && *row.bound == 'm'))
            fail_msg("no roofline: %s", line);
        /* seconds are printed with four digits, their ratio with two */
        double least = (row.seconds - 5e-5) / (row.at_best + 5e-5) - 0.005;
        double most = (row.seconds + 5e-5) / (row.at_best - 5e-5) + 0.005;
        if (row.at_best > 0.001 && (row.times < least - 1e-6 || row.times > most + 1e-6))
            fail_msg("%.2f times is not %.4f / %.4f", row.times, row.seconds, row.at_best);
    }
    assert_string_equal(row.text, "- all operators ");
    assert_true(sum.calls > 100 && sum.gmac > 0.1 && sum.gb > 0.01);
    assert_true(fabs(sum.calls - row.calls) < 0.5);
    assert_true(fabs(sum.seconds - row.seconds) < 0.01 + 0.01 * row.seconds);
    assert_true(fabs(sum.gmac - row.gmac) < 0.1 + 0.01 * row.gmac);
    assert_true(fabs(sum.gb - row.gb) < 0.1 + 0.01 * row.gb);
    assert_files("x.png");
}

/* An instruction set without products of int8 has no peak for them. */
static void test_profile_without_int8(void **state)
{
    (void)state;
    assert_run(0, shell("TG_CPU=avx2 \"$T\" " SMALL "-p x --seed 1 -o x.png --profile"));
    assert_non_null(strstr(last.err, ", int8 - GMAC/s, memory "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMMAND_TEST(test_names),
        COMMAND_TEST(test_prompts),
        COMMAND_TEST(test_existing),
        COMMAND_TEST(test_unwritable),
        COMMAND_TEST(test_write_fails),
        COMMAND_TEST(test_strange_name),
        COMMAND_TEST(test_one_name_twice),
        COMMAND_TEST(test_json),
        COMMAND_TEST(test_deepcache),
        COMMAND_TEST(test_json_lost),
        COMMAND_TEST(test_seed_drawn),
        COMMAND_TEST(test_latents),
        COMMAND_TEST(test_tiles),
        COMMAND_TEST(test_refused_by_the_library),
        COMMAND_TEST(test_networks),
        COMMAND_TEST(test_few_steps),
        COMMAND_TEST(test_refused_schedules),
        COMMAND_TEST(test_int8),
        COMMAND_TEST(test_xl),
        COMMAND_TEST(test_info),
        COMMAND_TEST(test_tokenize),
        COMMAND_TEST(test_interrupt),
        COMMAND_TEST(test_cache_dir),
        COMMAND_TEST(test_cache_dir_unwritable),
        COMMAND_TEST(test_cache_dir_twice_at_once),
        COMMAND_TEST(test_profile),
        COMMAND_TEST(test_profile_without_int8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
