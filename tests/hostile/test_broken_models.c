/* SPDX-License-Identifier: MIT */
/* Models with one fault each: the fault is refused when the model is opened, by a sentence that
 * says where it is, what was found and what was expected. A model is a golden one as links in a
 * folder of its own, where one file is replaced by what an edit makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tgate.h"
#include "unit/scratch.h"

#define MODELS TG_TEST_DATA "/golden/models/"
#define GOLDEN MODELS "sd1"
#define UNET "unet/diffusion_pytorch_model.safetensors"
#define VAE "vae/diffusion_pytorch_model.safetensors"
#define TEXT "text_encoder/model.safetensors"
#define SCHEDULER "scheduler/scheduler_config.json"
#define INDEX "model_index.json"
#define PIPELINES                                                       \
    "\"StableDiffusionPipeline\", \"LatentConsistencyModelPipeline\", " \
    "\"StableDiffusionXLPipeline\", \"PixArtAlphaPipeline\" or \"PixArtSigmaPipeline\""

static const char *golden = GOLDEN; /* which model */
static const char *const folders[] = {
    "unet", "vae", "text_encoder", "tokenizer", "scheduler", "text_encoder_2", "tokenizer_2"};
static const char *const files[] = {
    INDEX,
    "unet/config.json",
    UNET,
    "vae/config.json",
    VAE,
    "text_encoder/config.json",
    TEXT,
    SCHEDULER,
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "tokenizer/tokenizer_config.json",
    /* not of every model */
    "text_encoder_2/config.json",
    "text_encoder_2/model.safetensors",
    "tokenizer_2/vocab.json",
    "tokenizer_2/merges.txt",
    "tokenizer_2/tokenizer_config.json",
    "tokenizer_2/special_tokens_map.json",
};

enum { FOLDERS = sizeof folders / sizeof *folders, FILES = sizeof files / sizeof *files };

typedef enum edit {
    REPLACE, /* the first a by b, in the text or in the header of weights */
    WRITE,   /* a is the whole content */
    REMOVE,
    CUT, /* the last byte */
    FOLDER,
    FIFO,
    LOOP,   /* a link to itself */
    RENAME, /* to a, in the same folder */
} edit;

typedef struct variant {
    const char *file;
    edit edit;
    const char *a, *b;
    const char *message;
} variant;

/* ---------------------------------------------------------------------------------- the folder */

static char root[64];

static const char *path_of(const char *name)
{
    static char path[2][256];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/m/%s", root, name);
    return path[turn];
}

static void make_model(void)
{
    mkdir(path_of(""), 0700);
    for (int i = 0; i < FOLDERS; i++)
        mkdir(path_of(folders[i]), 0700);
    for (int i = 0; i < FILES; i++) {
        char target[PATH_MAX];
        snprintf(target, sizeof target, "%s/%s", golden, files[i]);
        if (access(target, F_OK) == 0)
            assert_int_equal(symlink(target, path_of(files[i])), 0);
    }
}

static void remove_model(void)
{
    assert_int_equal(nftw(path_of(""), scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static char *read_golden(const char *name, size_t *length)
{
    FILE *file = fopen(path_of(name), "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *length = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*length + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *length, file), *length);
    fclose(file);
    return data;
}

/* The file with name consisting of three parts. */
static void write_parts(const char *name, const void *parts[3], const size_t lengths[3])
{
    unlink(path_of(name));
    FILE *file = fopen(path_of(name), "wb");
    assert_non_null(file);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fwrite(parts[i], 1, lengths[i], file), lengths[i]);
    assert_int_equal(fclose(file), 0);
}

static void rewrite(const variant *v)
{
    size_t length = 0, a = v->a ? strlen(v->a) : 0;
    char *data = v->edit == WRITE ? NULL : read_golden(v->file, &length);
    char *at = v->edit == REPLACE ? memmem(data, length, v->a, a) : data;
    if (v->edit == WRITE) {
        write_parts(v->file, (const void *[]){v->a, "", ""}, (size_t[]){a, 0, 0});
    } else if (v->edit == CUT) {
        write_parts(v->file, (const void *[]){data, "", ""}, (size_t[]){length - 1, 0, 0});
    } else {
        assert_non_null(at);
        size_t before = (size_t)(at - data);
        write_parts(v->file, (const void *[]){data, v->b, at + a},
                    (size_t[]){before, strlen(v->b), length - before - a});
    }
    free(data);
}

static void break_model(const variant *v)
{
    switch (v->edit) {
    case REPLACE:
    case WRITE:
    case CUT:
        rewrite(v);
        return;
    case REMOVE:
        unlink(path_of(v->file));
        return;
    case FOLDER:
        unlink(path_of(v->file));
        assert_int_equal(mkdir(path_of(v->file), 0700), 0);
        return;
    case FIFO:
        unlink(path_of(v->file));
        assert_int_equal(mkfifo(path_of(v->file), 0600), 0);
        return;
    case LOOP:
        unlink(path_of(v->file));
        assert_int_equal(symlink(strrchr(v->file, '/') + 1, path_of(v->file)), 0);
        return;
    case RENAME:
        assert_int_equal(rename(path_of(v->file), path_of(v->a)), 0);
        return;
    }
}

/* The message of opening the model with one fault; "" where it opens. */
static void open_broken(const variant *v, char message[1024])
{
    char path[256];
    tg_model *model = NULL;
    make_model();
    break_model(v);
    snprintf(path, sizeof path, "%s", path_of(""));
    tg_status status = tg_model_open(&model, path, NULL);
    snprintf(message, 1024, "%s", status == TG_OK ? "" : tg_model_message(model));
    assert_int_not_equal(status, TG_ERROR_ARGUMENT); /* that would be the caller's fault */
    assert_int_not_equal(status, TG_ERROR_INTERNAL);
    tg_model_close(model);
    remove_model();
}

static void check(const variant *variants, size_t count)
{
    int wrong = 0;
    for (size_t i = 0; i < count; i++) {
        char message[1024];
        open_broken(&variants[i], message);
        if (strcmp(message, variants[i].message) != 0) {
            print_error("%s, %s -> %s\n  \"%s\", expected\n  \"%s\"\n", variants[i].file,
                        variants[i].a ? variants[i].a : "", variants[i].b ? variants[i].b : "",
                        message, variants[i].message);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

#define CHECK(table) check(table, sizeof(table) / sizeof *(table))

/* -------------------------------------------------------------------------------------- faults */

static void test_files(void **state)
{
    static const variant table[] = {
        {INDEX, REMOVE, NULL, NULL, "m/model_index.json: there is no such file"},
        {INDEX, FOLDER, NULL, NULL, "m/model_index.json: is a folder, expected a file"},
        {"unet/config.json", REMOVE, NULL, NULL, "unet/config.json: there is no such file"},
        {"vae/config.json", FIFO, NULL, NULL,
         "vae/config.json: is a device or pipe, expected a file"},
        {"vae/config.json", LOOP, NULL, NULL,
         "vae/config.json: cannot be opened (Too many levels of symbolic links)"},
        {UNET, REMOVE, NULL, NULL, UNET ": there is no such file"},
        {UNET, FOLDER, NULL, NULL, UNET ": is a folder, expected a file"},
        {UNET, RENAME, "unet/diffusion_pytorch_model.bin", NULL,
         "unet/diffusion_pytorch_model.bin: is a pickle, expected .safetensors: reading a pickle "
         "can run any code that its author put in; to convert a model that you trust, load it with "
         "diffusers and call save_pretrained(folder, safe_serialization=True)"},
        {TEXT, WRITE, "\x80\x02}q\x01.........", NULL,
         TEXT ": is a pickle, expected .safetensors: reading a pickle can run any code that its "
              "author put in; to convert a model that you trust, load it with diffusers and call "
              "save_pretrained(folder, safe_serialization=True)"},
        {TEXT, WRITE, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", NULL,
         TEXT ": is a pointer of git-lfs, expected the file that it stands for (git lfs pull)"},
        {"tokenizer/vocab.json", REMOVE, NULL, NULL, "tokenizer/vocab.json: there is no such file"},
        {"tokenizer/merges.txt", REMOVE, NULL, NULL, "tokenizer/merges.txt: there is no such file"},
        {"tokenizer/merges.txt", WRITE, "#version\na\n", NULL,
         "tokenizer/merges.txt: merge 1 is not two pieces with a space between"},
        {"tokenizer/vocab.json", WRITE, "{}", NULL,
         "tokenizer/vocab.json: is empty, expected pieces and their ids"},
        {"tokenizer/tokenizer_config.json", FOLDER, NULL, NULL,
         "tokenizer/tokenizer_config.json: is a folder, expected a file"},
        {"tokenizer/tokenizer_config.json", LOOP, NULL, NULL,
         "tokenizer/tokenizer_config.json: cannot be opened (Too many levels of symbolic links)"},
        {SCHEDULER, REMOVE, NULL, NULL, SCHEDULER ": there is no such file"},
    };
    (void)state;
    CHECK(table);
}

static void test_index(void **state)
{
    static const variant table[] = {
        {INDEX, WRITE, "", NULL,
         "model_index.json: line 1, column 1: found the end, expected a value"},
        {INDEX, WRITE, "[]", NULL, "model_index.json: is [], expected an object"},
        {INDEX, WRITE, "{\"_class_name\": }", NULL,
         "model_index.json: line 1, column 17: found '}', expected a value"},
        {INDEX, WRITE, "{}", NULL, "model_index.json: _class_name is missing, expected " PIPELINES},
        {INDEX, REPLACE, "\"StableDiffusionPipeline\"", "\"FluxPipeline\"",
         "model_index.json: _class_name is \"FluxPipeline\", expected " PIPELINES},
        {INDEX, REPLACE, "\"UNet2DConditionModel\"", "7",
         "model_index.json: unet is [\"diffusers\",7], expected "
         "[\"diffusers\",\"UNet2DConditionModel\"]"},
        {INDEX, REPLACE, "\"vae\"", "\"vea\"",
         "model_index.json: vae is missing, expected [\"diffusers\",\"AutoencoderKL\"]"},
        {INDEX, REPLACE, "\"transformers\"", "\"evil\"",
         "model_index.json: text_encoder is [\"evil\",\"CLIPTextModel\"], expected "
         "[\"transformers\",\"CLIPTextModel\"]"},
        {INDEX, REPLACE, "\"CLIPTokenizer\"", "\"T5Tokenizer\"",
         "model_index.json: tokenizer is [\"transformers\",\"T5Tokenizer\"], expected "
         "[\"transformers\",\"CLIPTokenizer\"]"},
        {INDEX, REPLACE, "\"PNDMScheduler\"", "null",
         "model_index.json: scheduler is [\"diffusers\",null], expected "
         "[\"diffusers\",\"DDIMScheduler\"] or another scheduler"},
        {INDEX, REPLACE, "\"PNDMScheduler\"", "\"Own\"",
         "model_index.json: scheduler \"Own\" is not implemented, expected ddim, ddpm, pndm, lms, "
         "euler, euler-a, heun, dpm2, dpmpp-2m, dpmpp-2m-sde, dpmpp-2s, unipc, deis, lcm or tcd"},
    };
    (void)state;
    CHECK(table);
}

static void test_unet_config(void **state)
{
#define C "unet/config.json"
    static const variant table[] = {
        {C, REPLACE, "\"silu\"", "null", C ": act_fn is null, expected a string"},
        {C, REPLACE, "\"silu\"", "\"snake\"",
         C ": act_fn \"snake\" is not implemented, expected \"silu\", \"gelu\", \"quick_gelu\", "
           "\"relu\" or \"mish\""},
        {C, REPLACE, "\"silu\"", "\"silu\", \"time_cond_proj_dim\": 3",
         C ": time_cond_proj_dim is 3, expected an integer from 4 to 65536"},
        {C, REPLACE, "\"silu\"", "\"silu\", \"time_cond_proj_dim\": \"wide\"",
         C ": time_cond_proj_dim is \"wide\", expected an integer from 4 to 65536"},
        {C, REPLACE, "\"silu\"", "\"silu\", \"time_cond_proj_dim\": 256",
         UNET ": time_embedding.cond_proj.weight is missing, expected it with "
              "shape [16,256]"},
        {C, REPLACE, "\"attention_head_dim\": 4", "\"attention_head_dim\": 0",
         C ": attention_head_dim is 0, expected an integer from 1 to 4096"},
        {C, REPLACE, "\"attention_head_dim\": 4", "\"attention_head_dim\": null",
         C ": attention_head_dim is null, expected an integer or a list"},
        {C, REPLACE, "\"attention_head_dim\": 4", "\"attention_head_dim\": 64",
         C ": attention_head_dim (the number of heads) is 64 for 16 channels, expected 1 to 512 "
           "channels a head"},
        {C, REPLACE, "16,", "1000000000000,",
         C ": block_out_channels[0] is 1000000000000, expected an integer from 1 to 65536"},
        {C, REPLACE, "16,", "15,",
         C ": norm_num_groups is 8, expected a divisor of the 15 channels in level 0"},
        {C, REPLACE, "\"layers_per_block\": 2", "\"layers_per_block\": null",
         C ": layers_per_block is null, expected an integer or a list"},
        {C, REPLACE, "\"layers_per_block\": 2", "\"layers_per_block\": [1, 2]",
         C ": layers_per_block is [1,2], expected an integer from 1 to 64 or a list of 4"},
        /* as many layers as a config may ask for, and the first that is not in the file */
        {C, REPLACE, "\"layers_per_block\": 2",
         "\"transformer_layers_per_block\": 64, \"layers_per_block\": 64",
         UNET ": down_blocks.0.attentions.0.transformer_blocks.1.norm1.weight is missing, expected "
              "it with shape [16]"},
        {C, REPLACE, "\"norm_num_groups\": 8", "\"norm_num_groups\": 0",
         C ": norm_num_groups is 0, expected an integer from 1 to 65536"},
        {C, REPLACE, "\"DownBlock2D\"", "\"\"",
         C ": down_block_types[3] \"\" is not implemented, expected \"CrossAttnDownBlock2D\" or "
           "\"DownBlock2D\""},
        {C, REPLACE, "\"in_channels\": 4", "\"in_channels\": 9",
         UNET ": conv_in.weight is [16,4,3,3], expected [16,9,3,3]"},
        {C, REPLACE, "\"cross_attention_dim\": 64", "\"cross_attention_dim\": 1e30",
         C ": cross_attention_dim is 1e+30, expected an integer from 1 to 65536"},
        {C, REPLACE, "\"norm_eps\": 1e-05", "\"norm_eps\": NaN",
         C ": norm_eps is NaN, expected a number from 0 to 1"},
        {C, REPLACE, "\"mid_block_scale_factor\": 1", "\"mid_block_scale_factor\": 0",
         C ": mid_block_scale_factor is 0, expected another number"},
        {C, REPLACE, "\"act_fn\"", "\"class_embed_type\": \"timestep\", \"act_fn\"",
         C ": class_embed_type \"timestep\" is not implemented"},
    };
#undef C
    (void)state;
    CHECK(table);
}

/* Stable Diffusion XL. */
static void test_xl(void **state)
{
#define C "unet/config.json"
#define T "text_encoder_2/config.json"
    static const variant table[] = {
        {C, REPLACE, "\"addition_embed_type\": \"text_time\"", "\"addition_embed_type\": \"text\"",
         C ": addition_embed_type \"text\" is not implemented, expected text_time"},
        {C, REPLACE, "\"addition_embed_type\": \"text_time\"", "\"addition_embed_type\": null",
         C ": addition_time_embed_dim 8 is not implemented"},
        {C, REPLACE, "\"addition_time_embed_dim\": 8", "\"addition_time_embed_dim\": 0",
         C ": addition_time_embed_dim is 0, expected an integer from 1 to 65536"},
        {C, REPLACE, "\"addition_time_embed_dim\": 8,", "",
         C ": addition_time_embed_dim is missing, expected an integer"},
        {C, REPLACE, "\"projection_class_embeddings_input_dim\": 80",
         "\"projection_class_embeddings_input_dim\": 48",
         C ": projection_class_embeddings_input_dim is 48, expected more than 6 times "
           "addition_time_embed_dim"},
        {C, REPLACE, "\"projection_class_embeddings_input_dim\": 80",
         "\"projection_class_embeddings_input_dim\": 81",
         UNET ": add_embedding.linear_1.weight is [64,80], expected [64,81]"},
        {C, REPLACE, "\"freq_shift\": 0", "\"freq_shift\": 4",
         C ": freq_shift is 4, expected other than half of addition_time_embed_dim"},
        {C, REPLACE, "\"transformer_layers_per_block\": [\n    1,\n    2,\n    3\n  ]",
         "\"transformer_layers_per_block\": [1, [2], 3]",
         C
         ": transformer_layers_per_block[1] is [2], expected an integer from 1 to 64 or a list of "
         "2"},
        {C, REPLACE, "\"transformer_layers_per_block\": [\n    1,\n    2,\n    3\n  ]",
         "\"transformer_layers_per_block\": [1, [2, 0], 3]",
         C ": transformer_layers_per_block[1] is 0, expected an integer from 1 to 64"},
        {C, REPLACE, "\"transformer_layers_per_block\": [\n    1,\n    2,\n    3\n  ]",
         "\"transformer_layers_per_block\": [1, [2, 2], 3]",
         C ": reverse_transformer_layers_per_block is missing, expected as "
           "transformer_layers_per_block has lists"},
        {C, REPLACE, "\"up_block_types\"",
         "\"reverse_transformer_layers_per_block\": [[3, 3], 2, 1], \"up_block_types\"",
         C
         ": reverse_transformer_layers_per_block[0] is [3,3], expected an integer from 1 to 64 or "
         "a list of 3"},
        {C, REPLACE, "\"class_embed_type\": null", "\"class_embed_type\": \"projection\"",
         C ": class_embed_type \"projection\" (an unCLIP model) is not implemented"},
        {T, REPLACE, "\"projection_dim\": 32", "\"projection_dim\": 0",
         T ": projection_dim is 0, expected an integer from 1 to 65536"},
        {T, REPLACE, "\"projection_dim\": 32", "\"projection_dim\": 31",
         "text_encoder_2/model.safetensors: text_projection.weight is [32,56], expected [31,56]"},
        {T, REPLACE, "\"eos_token_id\": 2", "\"eos_token_id\": \"x\"",
         T ": eos_token_id is \"x\", expected an integer from 0 to 16777216"},
        {"tokenizer_2/tokenizer_config.json", REPLACE, "\"model_max_length\": 77",
         "\"model_max_length\": 76",
         "tokenizer_2/tokenizer_config.json: model_max_length is 76, expected 77 as in "
         "tokenizer/tokenizer_config.json"},
        {INDEX, REPLACE, "\"StableDiffusionXLPipeline\"", "\"StableDiffusionPipeline\"",
         C ": addition_embed_type is \"text_time\", expected null in a StableDiffusionPipeline"},
        {INDEX, REPLACE, "\"CLIPTextModelWithProjection\"", "\"CLIPTextModel\"",
         "model_index.json: text_encoder_2 is [\"transformers\",\"CLIPTextModel\"], expected "
         "[\"transformers\",\"CLIPTextModelWithProjection\"]"},
        {INDEX, REPLACE, "\"force_zeros_for_empty_prompt\": true",
         "\"force_zeros_for_empty_prompt\": 1",
         "model_index.json: force_zeros_for_empty_prompt is 1, expected true or false"},
    };
#undef C
#undef T
    (void)state;
    golden = MODELS "xl1";
    CHECK(table);
    golden = GOLDEN;
}

/* Pipelines of other kinds, by their names. */
static void test_other_kinds(void **state)
{
    static const char *const names[][2] = {
        {"StableDiffusionDepth2ImgPipeline", "a depth model"},
        {"StableDiffusionInstructPix2PixPipeline", "an instruct-pix2pix model"},
        {"StableDiffusionXLInstructPix2PixPipeline", "an instruct-pix2pix model"},
        {"StableDiffusionUpscalePipeline", "an upscaler"},
        {"StableUnCLIPPipeline", "an unCLIP model"},
        {"StableUnCLIPImg2ImgPipeline", "an unCLIP model"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char name[80], message[256];
        snprintf(name, sizeof name, "\"%s\"", names[i][0]);
        snprintf(message, sizeof message,
                 "model_index.json: _class_name is %s (%s): not implemented", name, names[i][1]);
        variant table[] = {{INDEX, REPLACE, "\"StableDiffusionPipeline\"", name, message}};
        CHECK(table);
    }
}

static void test_other_configs(void **state)
{
#define V "vae/config.json"
#define T "text_encoder/config.json"
#define S SCHEDULER
#define K "tokenizer/tokenizer_config.json"
    static const variant table[] = {
        {V, REPLACE, "up_block_types", "up",
         V ": up_block_types is missing, expected a list of 4 as block_out_channels"},
        {V, REPLACE, "\"UpDecoderBlock2D\",", "",
         V ": up_block_types is a list of 3, expected 4 as block_out_channels"},
        {V, REPLACE, "\"DownEncoderBlock2D\"", "\"x\"",
         V ": down_block_types[0] \"x\" is not implemented, expected \"DownEncoderBlock2D\""},
        {V, REPLACE, "\"act_fn\"", "\"scaling_factor\": 0, \"act_fn\"",
         V ": scaling_factor is 0, expected another number"},
        {V, REPLACE, "\"latent_channels\": 4", "\"latent_channels\": 0",
         V ": latent_channels is 0, expected an integer from 1 to 1024"},
        {V, REPLACE, "\"block_out_channels\": [", "\"block_out_channels\": [4,4,4,4,4,4,4,4,",
         V ": block_out_channels is [4,4,4,4,4,4,4,4,8,12,16,16], expected a list of at most 11"},
        {T, REPLACE, "\"hidden_act\": \"quick_gelu\"", "\"hidden_act\": null",
         T ": hidden_act is null, expected a string"},
        {T, REPLACE, "\"num_attention_heads\": 4", "\"num_attention_heads\": 7",
         T ": num_attention_heads is 7, expected a divisor of hidden_size 64 that leaves at most "
           "512"},
        {T, REPLACE, "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 256",
         TEXT ": text_model.encoder.layers.3.layer_norm1.weight is missing, expected it with shape "
              "[64]"},
        {T, REPLACE, "\"vocab_size\": 1131", "\"vocab_size\": 1132",
         TEXT ": text_model.embeddings.token_embedding.weight is [1131,64], expected [1132,64]"},
        {S, REPLACE, "0.012", "-0.5", S ": beta_end is -0.5, expected a number from 0 to 1"},
        {S, REPLACE, "1000", "1000000000000",
         S ": num_train_timesteps is 1000000000000, expected an integer from 1 to 100000"},
        {S, REPLACE, "\"scaled_linear\"", "\"cosine\"",
         S ": beta_schedule \"cosine\" is not implemented, expected linear, scaled_linear, "
           "squaredcos_cap_v2, sigmoid or exp"},
        {S, REPLACE, "\"trained_betas\": null", "\"trained_betas\": []",
         S ": trained_betas is empty, expected a beta or more"},
        {S, REPLACE, "\"beta_end\"", "\"eta_end\"",
         S ": eta_end 0.012 is not a key of any scheduler"},
        {K, REPLACE, "\"model_max_length\": 77", "\"model_max_length\": 78",
         K ": model_max_length is 78, expected at most 77 as max_position_embeddings in "
           "text_encoder/config.json"},
        {K, REPLACE, "\"1129\"", "\"x\"",
         K ": a key of added_tokens_decoder is \"x\", expected an integer from 0 to 16777215"},
    };
#undef V
#undef T
#undef S
#undef K
    (void)state;
    CHECK(table);
}

static void test_weights(void **state)
{
    static const variant table[] = {
        {UNET, REPLACE, "conv_out.bias", "conv_out.boos",
         UNET ": conv_out.bias is missing, expected it with shape [4]"},
        {UNET, REPLACE, "\"conv_in.bias\":{\"dtype\":\"F32\"",
         "\"conv_in.bias\":{\"dtype\":\"I32\"",
         UNET ": conv_in.bias is I32, expected F64, F32, F16, BF16 or plain F8"},
        {UNET, REPLACE, "\"shape\":[16,4,3,3]", "\"shape\":[4,16,3,3]",
         UNET ": conv_in.weight is [4,16,3,3], expected [16,4,3,3]"},
        {UNET, REPLACE, "\"shape\":[16,4,3,3]", "\"shape\":[16,4,3,4]",
         UNET ": conv_in.weight has shape [16,4,3,4], expected one of F32 that takes its 2304 "
              "bytes"},
        {VAE, WRITE, "\xff\xff\xff\xff\xff\xff\xff\x7f{}", NULL,
         VAE ": its header is 9223372036854775807 bytes long, expected at most 2"},
        {VAE, WRITE, "1234567", NULL, VAE ": is 7 bytes long, expected at least 8"},
    };
    (void)state;
    CHECK(table);
}

/* A file that ends too early, wherever: something is said, and it names the file. */
static void test_cut_weights(void **state)
{
    static const char *const weights[] = {UNET, VAE, TEXT};
    (void)state;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        char message[1024];
        variant v = {.file = weights[i], .edit = CUT};
        open_broken(&v, message);
        assert_memory_equal(message, weights[i], strlen(weights[i]));
        assert_non_null(strstr(message, ", expected [begin, end] within the "));
    }
}

/* ------------------------------------------------------------------------------------- a run */

/* One NaN in a weight of the decoder: the picture is refused, not written. */
static void test_nan_in_decoder(void **state)
{
    (void)state;
    make_model();
    size_t length;
    char *data = read_golden(VAE, &length);
    static const unsigned char nan[4] = {0, 0, 0xC0, 0x7F};
    uint64_t header = 0;
    memcpy(&header, data, 8);
    for (size_t i = 8 + (size_t)header; i + 4 <= length; i += 4)
        memcpy(data + i, nan, 4);
    write_parts(VAE, (const void *[]){data, "", ""}, (size_t[]){length, 0, 0});
    free(data);
    float values[4 * 8 * 8] = {0};
    tg_array latents = {1, 4, 8, 8, values};
    tg_model *model;
    tg_session *session = NULL;
    tg_session_options options;
    tg_result *result = NULL;
    tg_session_options_init(&options);
    options.threads = 1;
    assert_int_equal(tg_model_open(&model, path_of(""), NULL), TG_OK);
    assert_int_equal(tg_session_new(&session, model, &options), TG_OK);
    assert_int_equal(tg_decode(&result, session, &latents, false), TG_ERROR_NUMERIC);
    assert_null(result);
    assert_string_equal(tg_session_message(session),
                        "vae: picture 1 is not finite, expected finite numbers");
    tg_session_free(session);
    tg_model_close(model);
    remove_model();
}

/* Sizes whose neighbours do not fit an int. */
static void test_sizes(void **state)
{
    tg_error error;
    tg_model *model;
    tg_generate_options o;
    (void)state;
    assert_int_equal(tg_model_open(&model, GOLDEN, NULL), TG_OK);
    tg_generate_options_init(&o, model);
    o.width = INT32_MAX;
    assert_int_equal(tg_generate_check(model, &o, 0, &error), TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, "width is 2147483647, expected 8 to 16384");
    o.width = 513;
    assert_int_equal(tg_generate_check(model, &o, 0, &error), TG_ERROR_ARGUMENT);
    assert_string_equal(error.message,
                        "width is 513, expected a multiple of 8 (such as 512 or 520)");
    tg_model_close(model);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/tgate-broken-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return rmdir(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_index),
        cmocka_unit_test(test_unet_config),
        cmocka_unit_test(test_other_configs),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_cut_weights),
        cmocka_unit_test(test_nan_in_decoder),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_xl),
        cmocka_unit_test(test_other_kinds),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
