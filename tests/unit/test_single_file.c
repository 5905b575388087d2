/* SPDX-License-Identifier: MIT */
/* Single-file checkpoints: every tensor of diffusers' networks is found in the original layout,
 * with the shape and at the place that diffusers' own conversion says (tests/golden/single_file,
 * made by make_single_file.py); everything else is refused with what it is. The checkpoints are
 * written here, sparse, so that those of full size take no room. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/file.h"
#include "io/weights.h"
#include "models/original_names.h"
#include "pipeline/layouts.h"
#include "pipeline/single_file.h"
#include "unit/checkpoint.h"

static const char *const network_names[] = {"unet", "vae", "text_encoder"};
static const tg__network_class *const network_classes[] = {
    &tg__unet_class, &tg__autoencoder_kl_class, &tg__clip_text_class};

/* ------------------------------------------------------------------------------------- goldens */

typedef struct golden {
    char *text; /* what the other fields point into */
    checkpoint file;
    struct {
        const char *network, *name, *source;
        shape shape;
        int64_t row;
    } expected[MAX_TENSORS];
    int count;
    const char *configs[3]; /* NULL: the shipped one */
} golden;

static void parse_config(golden *g, char *line)
{
    char *json = strchr(line, ' ');
    *json++ = '\0';
    for (int i = 0; i < 3; i++)
        if (strcmp(line, network_names[i]) == 0)
            g->configs[i] = json;
}

static void parse_expected(golden *g, char *line)
{
    const entry *source = &g->file.tensors[g->file.count - 1];
    const char *network = strtok(line, " "), *name = strtok(NULL, " ");
    const char *dims = strtok(NULL, " "), *row = strtok(NULL, " ");
    assert_true(row && g->count < MAX_TENSORS);
    g->expected[g->count].network = network;
    g->expected[g->count].name = name;
    g->expected[g->count].source = source->name;
    g->expected[g->count].shape = strcmp(dims, "=") ? parse_shape(dims) : source->shape;
    g->expected[g->count++].row = strtoll(row, NULL, 10);
}

static golden *read_golden(const char *name)
{
    golden *g = calloc(1, sizeof *g);
    tg__error error = {0};
    char where[512];
    size_t length;
    assert_non_null(g);
    snprintf(where, sizeof where, TG_TEST_DATA "/golden/single_file/%s.txt", name);
    g->text = tg__file_read(where, 1 << 20, &length, &error);
    assert_non_null(g->text);
    for (char *line = g->text, *next; *line; line = next) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        next = end + 1;
        if (strncmp(line, "config ", 7) == 0) {
            parse_config(g, line + 7);
        } else if (*line == ' ') {
            parse_expected(g, line);
        } else {
            char *dims = strchr(line, ' ');
            *dims++ = '\0';
            add(&g->file, line, dims);
        }
    }
    return g;
}

static void close_golden(golden *g, tg__safetensors *file)
{
    tg__safetensors_close(file);
    free(g->text);
    free(g);
}

static int network_of(const tg__network_class *class)
{
    int i = 0;
    while (network_classes[i] != class)
        i++;
    return i;
}

static tg__config *config_of(const char *json, const char *layout, const tg__network_class *network,
                             tg__error *error)
{
    char name[64];
    tg__layout_file shipped;
    if (json)
        return tg__config_parse(json, strlen(json), "config.json", error);
    snprintf(name, sizeof name, "%s/config.json", network_names[network_of(network)]);
    assert_true(tg__layout_find(layout, name, &shipped));
    return tg__config_parse(shipped.text, shipped.length, shipped.where, error);
}

static tg__single_file open_single(const tg__safetensors *file, bool own_configs)
{
    tg__error error = {0};
    tg__single_file single;
    tg__single_file_open(&single, file, "model.safetensors", own_configs, &error);
    assert_string_equal(error.message, "");
    return single;
}

/* The network of this config in a checkpoint; free_names() it. */
static tg__original names_of(const tg__single_file *single, const tg__network_class *class,
                             const char *json)
{
    tg__error error = {0};
    const char *role = network_names[network_of(class)];
    tg__network *network = tg__network_new(class, role, &error);
    tg__config *config = config_of(json, single->kind->layout, class, &error);
    assert_true(network && config);
    class->read_config(network, config);
    assert_string_equal(error.message, "");
    tg__config_close(config);
    tg__original names = {.file = single->file, .network = network};
    tg__place_in_checkpoint(&names.place, single, class, role, &error);
    assert_string_equal(error.message, "");
    return names;
}

static void free_names(const tg__original *names)
{
    tg__network_free((tg__network *)(uintptr_t)names->network);
}

static void assert_shape(const tg__weight *found, shape expected)
{
    assert_int_equal(found->rank, expected.rank);
    for (int i = 0; i < expected.rank; i++)
        assert_int_equal(found->shape[i], expected.dims[i]);
    assert_int_equal(found->bytes, bytes_of(expected));
}

/* Looks all of a golden's tensors up in file, which is its checkpoint or one that calls them
 * differently; returns how many there are. */
static int check_golden(const golden *g, const tg__safetensors *file, bool own_configs)
{
    tg__single_file single = open_single(file, own_configs);
    int checked = 0;
    for (int n = 0; n < 3; n++) {
        tg__original names = names_of(&single, network_classes[n], g->configs[n]);
        for (int i = 0; i < g->count; i++) {
            tg__weight found;
            if (strcmp(g->expected[i].network, network_names[n]) != 0)
                continue;
            if (!tg__original_lookup(&names, g->expected[i].name, -1, NULL, &found))
                fail_msg("%s is not found", g->expected[i].name);
            const tg__weight *source = tg__safetensors_find(file, g->expected[i].source);
            assert_string_equal(found.name, g->expected[i].source);
            assert_shape(&found, g->expected[i].shape);
            assert_ptr_equal(found.data, (const char *)source->data +
                                             (size_t)g->expected[i].row * source->bytes /
                                                 (size_t)(source->rank ? source->shape[0] : 1));
            checked++;
        }
        free_names(&names);
    }
    return checked;
}

static void check_layout(const char *name, bool own_configs, int expected)
{
    golden *g = read_golden(name);
    tg__safetensors *file = open_checkpoint(&g->file);
    assert_int_equal(check_golden(g, file, own_configs), expected);
    close_golden(g, file);
}

static void test_sd15(void **state)
{
    (void)state;
    check_layout("sd15", false, 686 + 248 + 196);
}

static void test_sd21(void **state)
{
    (void)state;
    check_layout("sd21", false, 686 + 248 + 372);
}

static void test_miniatures(void **state)
{
    (void)state;
    check_layout("mini1", true, 324 + 124 + 36);
    check_layout("mini2", true, 1048 + 372 + 52);
}

/* The text encoder of 1.x without "text_model." in its names. */
static void test_short_text_names(void **state)
{
    static const char before[] = "cond_stage_model.transformer.text_model.";
    static const char after[] = "cond_stage_model.transformer.";
    golden *g = read_golden("mini1");
    (void)state;
    for (int i = 0; i < g->file.count; i++) {
        char *name = g->file.tensors[i].name;
        size_t n = sizeof before - 1, m = sizeof after - 1;
        if (strncmp(name, before, n) == 0)
            memmove(name + m, name + n, strlen(name + n) + 1);
    }
    tg__safetensors *file = open_checkpoint(&g->file);
    assert_int_equal(check_golden(g, file, true), 324 + 124 + 36);
    close_golden(g, file);
}

/* ----------------------------------------------------------------------- what is not in a file */

typedef struct question {
    const tg__network_class *network;
    const char *name;
} question;

static void test_no_counterpart(void **state)
{
    static const question questions[] = {
        {&tg__unet_class, ""},
        {&tg__unet_class, "conv_in"},
        {&tg__unet_class, "conv_in.weight.more"},
        {&tg__unet_class, "input_blocks.0.0.weight"},
        {&tg__unet_class,
         "down_blocks.0.resnets.1.norm1.weight"}, /* the next block's in the file */
        {&tg__unet_class, "down_blocks.0.resnets.00.norm1.weight"},
        {&tg__unet_class, "down_blocks.0.resnets.-1.norm1.weight"},
        {&tg__unet_class, "down_blocks.0.resnets.4294967296.norm1.weight"},
        {&tg__unet_class, "down_blocks.0.resnets..norm1.weight"},
        {&tg__unet_class, "down_blocks.0.resnets.0"},
        {&tg__unet_class, "down_blocks.2.downsamplers.0.conv.weight"},
        {&tg__unet_class, "down_blocks.2.attentions.0.norm.weight"},
        {&tg__unet_class, "down_blocks.3.resnets.0.norm1.weight"},
        {&tg__unet_class, "mid_block.resnets.2.norm1.weight"},
        {&tg__unet_class, "mid_block.attentions.1.norm.weight"},
        {&tg__unet_class, "up_blocks.0.resnets.2.norm1.weight"},
        {&tg__unet_class, "up_blocks.2.upsamplers.0.conv.weight"},
        {&tg__unet_class, "up_blocks.3.resnets.0.norm1.weight"},
        {&tg__autoencoder_kl_class, "encoder.down_blocks.0.resnets.1.norm1.weight"},
        {&tg__autoencoder_kl_class, "encoder.down_blocks.1.downsamplers.0.conv.weight"},
        {&tg__autoencoder_kl_class, "encoder.down_blocks.2.resnets.0.norm1.weight"},
        {&tg__autoencoder_kl_class, "encoder.up_blocks.0.resnets.0.norm1.weight"},
        {&tg__autoencoder_kl_class, "encoder.mid_block.attentions.0.query.weight"},
        {&tg__autoencoder_kl_class, "decoder.up_blocks.0.resnets.2.norm1.weight"},
        {&tg__autoencoder_kl_class, "decoder.up_blocks.1.upsamplers.0.conv.weight"},
        {&tg__autoencoder_kl_class, "decoder.quant_conv.weight"},
        {&tg__autoencoder_kl_class, "conv_in.weight"},
        {&tg__clip_text_class, "text_model.encoder.layers.2.layer_norm1.weight"},
        {&tg__clip_text_class, "embeddings.token_embedding.weight"},
        {&tg__clip_text_class, "text_projection.weight"},
    };
    golden *g = read_golden("mini1");
    tg__safetensors *file = open_checkpoint(&g->file);
    tg__single_file single = open_single(file, true);
    char longest[1024];
    (void)state;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        const tg__network_class *network = questions[i].network;
        tg__original names = names_of(&single, network, g->configs[network_of(network)]);
        tg__weight found;
        if (tg__original_lookup(&names, questions[i].name, -1, NULL, &found))
            fail_msg("%s is %s", questions[i].name, found.name);
        memset(longest, 'x', sizeof longest);
        memcpy(longest, "text_model.", 11);
        longest[sizeof longest - 1] = '\0';
        assert_false(tg__original_lookup(&names, longest, -1, NULL, &found));
        free_names(&names);
    }
    close_golden(g, file);
}

/* The last layer of an OpenCLIP encoder is there, but nobody's. */
static void test_last_layer(void **state)
{
    golden *g = read_golden("mini2");
    tg__safetensors *file = open_checkpoint(&g->file);
    tg__single_file single = open_single(file, true);
    tg__original names =
        names_of(&single, &tg__clip_text_class, g->configs[network_of(&tg__clip_text_class)]);
    tg__weight found;
    (void)state;
    assert_non_null(
        tg__safetensors_find(file, "cond_stage_model.model.transformer.resblocks.3.ln_1.weight"));
    assert_true(tg__original_lookup(&names, "text_model.encoder.layers.2.layer_norm1.weight", -1,
                                    NULL, &found));
    assert_false(tg__original_lookup(&names, "text_model.encoder.layers.3.layer_norm1.weight", -1,
                                     NULL, &found));
    free_names(&names);
    close_golden(g, file);
}

/* Blocks may have different numbers of layers; the last level's come first on the way up. */
static void test_layers_by_level(void **state)
{
    static const char config[] =
        "{\"block_out_channels\":[8,12],\"layers_per_block\":[1,2],\"norm_num_groups\":4,"
        "\"attention_head_dim\":2,\"down_block_types\":[\"DownBlock2D\",\"DownBlock2D\"],"
        "\"up_block_types\":[\"UpBlock2D\",\"UpBlock2D\"]}";
    static const char *const names[][2] = {
        {"down_blocks.0.resnets.0.norm1.weight", UNET "input_blocks.1.0.in_layers.0.weight"},
        {"down_blocks.1.resnets.0.norm1.weight", UNET "input_blocks.3.0.in_layers.0.weight"},
        {"down_blocks.1.resnets.1.conv2.bias", UNET "input_blocks.4.0.out_layers.3.bias"},
        {"up_blocks.0.resnets.2.norm1.weight", UNET "output_blocks.2.0.in_layers.0.weight"},
        {"up_blocks.1.resnets.0.norm1.weight", UNET "output_blocks.3.0.in_layers.0.weight"},
        {"up_blocks.1.resnets.1.norm1.weight", UNET "output_blocks.4.0.in_layers.0.weight"},
    };
    enum { NAMES = sizeof names / sizeof *names };
    checkpoint *c = least();
    tg__weight found;
    (void)state;
    for (int i = 0; i < NAMES; i++)
        add(c, names[i][1], "8");
    tg__safetensors *file = open_checkpoint(c);
    tg__single_file single = open_single(file, false);
    tg__original unet = names_of(&single, &tg__unet_class, config);
    for (int i = 0; i < NAMES; i++) {
        assert_true(tg__original_lookup(&unet, names[i][0], -1, NULL, &found));
        assert_string_equal(found.name, names[i][1]);
    }
    free_names(&unet);
    tg__safetensors_close(file);
    free(c);
}

/* --------------------------------------------------------------------------------------- views */

typedef struct viewing {
    const char *golden;
    const tg__network_class *network;
    const char *config; /* NULL: the golden's */
    const char *source, *dims;
    const char *name, *expected;
} viewing;

static void check_view(const viewing *v)
{
    golden *g = read_golden(v->golden);
    entry *source = entry_of(&g->file, v->source);
    const char *config = v->config ? v->config : g->configs[network_of(v->network)];
    tg__weight found;
    assert_non_null(source);
    source->shape = parse_shape(v->dims);
    tg__safetensors *file = open_checkpoint(&g->file);
    tg__single_file single = open_single(file, true);
    tg__original names = names_of(&single, v->network, config);
    assert_true(tg__original_lookup(&names, v->name, -1, NULL, &found));
    assert_shape(&found, parse_shape(v->expected));
    free_names(&names);
    close_golden(g, file);
}

#define MINI1_UNET                                                                              \
    "\"block_out_channels\":[8,16,16],\"layers_per_block\":1,\"norm_num_groups\":4,"            \
    "\"attention_head_dim\":2,\"cross_attention_dim\":24,"                                      \
    "\"down_block_types\":[\"CrossAttnDownBlock2D\",\"CrossAttnDownBlock2D\",\"DownBlock2D\"]," \
    "\"up_block_types\":[\"UpBlock2D\",\"CrossAttnUpBlock2D\",\"CrossAttnUpBlock2D\"]"
#define UNET_ATTENTION UNET "input_blocks.1.1."
#define OPEN_CLIP "cond_stage_model.model.transformer.resblocks.0."

static void test_views(void **state)
{
    static const viewing views[] = {
        /* Whichever form the file has, the network's own is given. */
        {"mini1", &tg__unet_class, "{" MINI1_UNET ",\"use_linear_projection\":true}",
         UNET_ATTENTION "proj_in.weight", "8,8,1,1", "down_blocks.0.attentions.0.proj_in.weight",
         "8,8"},
        {"mini1", &tg__unet_class, "{" MINI1_UNET "}", UNET_ATTENTION "proj_out.weight", "8,8",
         "down_blocks.0.attentions.0.proj_out.weight", "8,8,1,1"},
        {"mini1", &tg__unet_class, "{" MINI1_UNET "}", UNET_ATTENTION "proj_out.bias", "8",
         "down_blocks.0.attentions.0.proj_out.bias", "8"},
        {"mini1", &tg__autoencoder_kl_class, NULL, "first_stage_model.encoder.mid.attn_1.q.weight",
         "12,12", "encoder.mid_block.attentions.0.to_q.weight", "12,12"},
        {"mini1", &tg__autoencoder_kl_class, NULL, "first_stage_model.encoder.mid.attn_1.q.weight",
         "12,12,1", "encoder.mid_block.attentions.0.to_q.weight", "12,12"},
        /* What fits nothing is shown as it is. */
        {"mini1", &tg__autoencoder_kl_class, NULL, "first_stage_model.encoder.mid.attn_1.q.weight",
         "12,12,3,3", "encoder.mid_block.attentions.0.to_q.weight", "12,12,3,3"},
        {"mini1", &tg__unet_class, "{" MINI1_UNET ",\"use_linear_projection\":true}",
         UNET_ATTENTION "proj_in.weight", "8", "down_blocks.0.attentions.0.proj_in.weight", "8"},
        {"mini2", &tg__clip_text_class, NULL, OPEN_CLIP "attn.in_proj_weight", "61,20",
         "text_model.encoder.layers.0.self_attn.v_proj.weight", "61,20"},
        {"mini2", &tg__clip_text_class, NULL, OPEN_CLIP "attn.in_proj_bias", "-",
         "text_model.encoder.layers.0.self_attn.v_proj.bias", "-"},
        {"mini2", &tg__clip_text_class, NULL, OPEN_CLIP "attn.in_proj_weight", "0,20",
         "text_model.encoder.layers.0.self_attn.v_proj.weight", "0,20"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        check_view(&views[i]);
}

/* The message of a shape that is wrong names the tensor as the file does. */
static void test_through_weights(void **state)
{
    static const int64_t wrong[] = {320, 4, 5, 5};
    golden *g = read_golden("sd15");
    tg__safetensors *file = open_checkpoint(&g->file);
    tg__error error = {0};
    tg__single_file single = open_single(file, false);
    tg__original names = names_of(&single, &tg__unet_class, NULL);
    tg__weights *weights =
        tg__weights_in_file(file, tg__original_lookup, &names, "model.safetensors", &error);
    (void)state;
    assert_non_null(weights);
    tg__weights_get(weights, "conv_in.weight", 4, wrong, &error);
    assert_int_equal(error.status, TG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "model.diffusion_model.input_blocks.0.0.weight"));
    assert_non_null(strstr(error.message, "[320,4,3,3]"));
    tg__weights_close(weights);
    free_names(&names);
    close_golden(g, file);
}

/* ------------------------------------------------------------------------------------ refusals */

#define NO TG_ERROR_UNSUPPORTED
#define BAD TG_ERROR_FORMAT

typedef struct refusal {
    const char *without; /* a tensor that is taken away; "all": every one */
    const char *with;    /* a tensor that is put there, or whose shape changes */
    const char *dims;
    bool own_configs;
    tg_status status;
    const char *message;
} refusal;

static void check_refusal(const refusal *r)
{
    checkpoint *c = least();
    tg__error error = {0};
    tg__single_file single;
    if (r->without && strcmp(r->without, "all") == 0)
        c->count = 0;
    else if (r->without)
        take_away(c, r->without);
    if (r->with && entry_of(c, r->with))
        take_away(c, r->with);
    if (r->with)
        add(c, r->with, r->dims);
    tg__safetensors *file = open_checkpoint(c);
    tg__single_file_open(&single, file, "model.safetensors", r->own_configs, &error);
    for (int i = 0; i < 3 && error.status == TG_OK; i++) {
        tg__place place;
        tg__place_in_checkpoint(&place, &single, network_classes[i], network_names[i], &error);
    }
    if (error.status != r->status || !strstr(error.message, r->message))
        fail_msg("%d \"%s\", expected %d \"%s\"", error.status, error.message, r->status,
                 r->message);
    if (r->status != TG_OK)
        assert_int_equal(strncmp(error.message, "model.safetensors: ", 19), 0);
    tg__safetensors_close(file);
    free(c);
}

static void test_refusals(void **state)
{
    static const refusal refusals[] = {
        {NULL, NULL, NULL, false, TG_OK, ""},
        /* Surplus is nobody's business. */
        {NULL, "model_ema.decay", "-", false, TG_OK, ""},
        {NULL, "lora_unet.alpha", "-", false, TG_OK, ""},
        {NULL, "embedding_manager.embedder.transformer.text_model.x", "4", false, TG_OK, ""},
        /* Other models. */
        {NULL, "conditioner.embedders.1.model.ln_final.bias", "4", false, NO,
         "text 768 wide, expected 2048 (XL)"},
        {NULL, "conditioner.embedders.1.model.ln_final.bias", "4", true, TG_OK, ""},
        {TO_K, LABEL, "4,4", false, NO, "a UNet that takes a class"},
        {NULL, LABEL, "4,4", false, NO, "a UNet that takes a class besides the text, as " LABEL},
        {NULL, "model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight", "4", false,
         NO, "Video"},
        {CONV_IN, "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "4", false, NO,
         "Stable Diffusion 3"},
        {"all", "joint_blocks.0.x_block.attn.qkv.weight", "4", false, NO, "Stable Diffusion 3"},
        {"all", "text_encoders.clip_l.logit_scale", "-", false, NO, "later"},
        {CONV_IN, "model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "4", false, NO,
         "Flux"},
        {"all", "double_blocks.0.img_attn.qkv.weight", "4", false, NO, "Flux"},
        {"all", "adaln_single.linear.weight", "4", false, NO, "PixArt"},
        {"all", "clip_txt_mapper.weight", "4", false, NO, "Cascade"},
        {NULL, "control_model.time_embed.0.weight", "4", false, NO, "ControlNet"},
        {"all", "controlnet_cond_embedding.conv_in.weight", "4", false, NO, "ControlNet"},
        {"all", "input_hint_block.0.weight", "4", false, NO, "ControlNet"},
        {"all", "mid_block.motion_modules.0.temporal_transformer.norm.weight", "4", false, NO,
         "AnimateDiff"},
        /* Parts of a model. */
        {"all", "lora_unet_down_blocks_0_attentions_0_proj_in.alpha", "-", false, NO, "LoRA"},
        {"all", "unet.down_blocks.0.attentions.0.proj_in.lora_A.weight", "4", false, NO, "LoRA"},
        {"all", "unet.down_blocks.0.attentions.0.proj_in.lora.up.weight", "4", false, NO, "LoRA"},
        {"all", "emb_params", "1,768", false, NO, "textual inversion"},
        {"all", "down_blocks.0.resnets.0.conv1.weight", "8,8,3,3", false, NO,
         "a UNet in diffusers' layout"},
        {"all", "encoder.down_blocks.0.resnets.0.conv1.weight", "8", false, NO,
         "a VAE in diffusers' layout"},
        {"all", "text_model.final_layer_norm.weight", "8", false, NO, "a text encoder alone"},
        {"all", "input_blocks.0.0.weight", "8,4,3,3", false, NO, "a UNet alone"},
        {"all", "decoder.up.0.block.0.norm1.weight", "8", false, NO, "a VAE alone"},
        {CONV_IN, NULL, NULL, false, NO, "a VAE without a UNet"},
        {"all", NULL, NULL, false, BAD, "there is no " CONV_IN},
        {"all", "weight", "8", false, BAD, "there is no " CONV_IN},
        {"all", "diffusion_model.input_blocks.0.0.weight", "8", false, BAD, "there is no "},
        {CLIP, NULL, NULL, false, BAD,
         "there is no text_encoder; expected cond_stage_model.…embeddings.token_embedding.weight "
         "or conditioner.embedders.0.…token_embedding.weight"},
        {CLIP, NULL, NULL, true, BAD, "there is no text_encoder"},
        {VAE, NULL, NULL, false, BAD,
         "there is no vae; expected first_stage_model.decoder.conv_in.weight or "
         "vae.decoder.conv_in.weight"},
        {CONV_OUT, NULL, NULL, false, BAD, "out.2.weight"},
        /* Pictures as input. */
        {NULL, CONV_IN, "8,9,3,3", false, NO, "9 input channels (an inpainting model), expected 4"},
        {NULL, CONV_IN, "8,9,3,3", true, NO, "9 input channels (an inpainting model)"},
        {NULL, CONV_IN, "8,8,3,3", false, NO, "8 input channels (an InstructPix2Pix"},
        {NULL, CONV_IN, "8,7,3,3", false, NO, "7 input channels (an upscaler)"},
        {NULL, CONV_IN, "8,5,3,3", false, NO, "5 input channels (a depth model)"},
        {NULL, CONV_IN, "8,6,3,3", false, NO, "6 input channels, expected 4"},
        {NULL, CONV_IN, "8", false, BAD, "4 dimensions"},
        {NULL, CONV_OUT, "-", false, BAD, "4 dimensions"},
        /* Neither one nor the other. */
        {NULL, TO_K, "8,24", false, NO,
         "text 24 wide, expected 768 (1.x), 1024 (2.x) or 2048 (XL)"},
        {NULL, TO_K, "8,24", true, TG_OK, ""},
        {NULL, TO_K, "768", false, NO, "text 0 wide"},
        {TO_K, NULL, NULL, false, NO, "text 0 wide"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        check_refusal(&refusals[i]);
}

/* What is said of a UNet with an embedding of labels by the width of its text. */
static void test_labels(void **state)
{
    static const struct {
        const char *width, *second; /* a tensor of the second text encoder, or NULL */
        const char *message, *layout;
    } all[] = {
        {"8,2048", NULL, "", "sdxl"},
        {"8,2048", "conditioner.embedders.1.model.ln_final.bias", "", "sdxl"},
        {"8,1280", NULL, "holds the refiner of Stable Diffusion XL, as " LABEL " tells", NULL},
        {"8,1024", NULL, "holds an unCLIP model, as " LABEL " tells", NULL},
        {"8,768", NULL, "holds a UNet that takes a class besides the text", NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        checkpoint *c = least();
        tg__error error = {0};
        tg__single_file single;
        entry_of(c, TO_K)->shape = parse_shape(all[i].width);
        add(c, LABEL, "4,4");
        if (all[i].second)
            add(c, all[i].second, "4");
        tg__safetensors *file = open_checkpoint(c);
        tg__single_file_open(&single, file, "model.safetensors", false, &error);
        assert_int_equal(error.status, all[i].layout ? TG_OK : NO);
        assert_non_null(strstr(error.message, all[i].message));
        if (all[i].layout)
            assert_string_equal(single.kind->layout, all[i].layout);
        tg__safetensors_close(file);
        free(c);
    }
}

/* An error that is there already stays, and nothing follows from it. */
static void test_first_error_sticks(void **state)
{
    checkpoint *c = least();
    tg__safetensors *file = open_checkpoint(c);
    tg__error error = {0};
    tg__single_file single;
    (void)state;
    tg__fail(&error, TG_ERROR_IO, "before");
    assert_int_equal(tg__single_file_open(&single, file, "x", false, &error), TG_ERROR_IO);
    assert_string_equal(error.message, "before");
    tg__safetensors_close(file);
    free(c);
}

/* --------------------------------------------------------------------------------------- facts */

typedef struct fact {
    bool version2;
    const char *metadata;
    const char *prediction;
    int size;
    const char *unknown;
    const char *mark; /* a tensor that is there, too */
} fact;

static bool says_prediction(const fact *f)
{
    return f->metadata && !f->unknown && !strstr(f->metadata, "unclip") &&
           (strstr(f->metadata, "predict") || strstr(f->metadata, "architecture"));
}

static void check_fact(const fact *f)
{
    checkpoint *c = least();
    if (f->mark)
        add(c, f->mark, "-");
    if (f->version2) {
        take_away(c, CLIP);
        take_away(c, TO_K);
        add(c, OPEN_CLIP_TOKENS, "9,1024");
        add(c, TO_K, "8,1024");
    }
    c->metadata = f->metadata;
    tg__safetensors *file = open_checkpoint(c);
    tg__single_file single = open_single(file, false);
    assert_string_equal(single.kind->layout, f->version2 ? "sd21" : "sd15");
    assert_string_equal(tg__single_file_part_of(&single, "text_encoder")->pad_token,
                        f->version2 ? "!" : "<|endoftext|>");
    tg__prediction found = tg__single_file_prediction(&single);
    assert_string_equal(found.type, f->prediction);
    assert_string_equal(found.unknown ? found.unknown : "", f->unknown ? f->unknown : "");
    assert_int_equal(found.zero_snr, f->mark && strcmp(f->mark, "ztsnr") == 0);
    assert_int_equal(found.assumed, f->version2 && !f->mark && !says_prediction(f));
    assert_int_equal(tg__single_file_size(&single, found.type), f->size);
    if (!f->metadata && f->version2)
        assert_int_equal(tg__single_file_size(&single, "epsilon"), 512);
    tg__safetensors_close(file);
    free(c);
}

#define SPEC(key, value) "{\"modelspec." key "\":\"" value "\"}"

static void test_facts(void **state)
{
    static const fact facts[] = {
        {false, NULL, "epsilon", 512, NULL, NULL},
        {true, NULL, "v_prediction", 768, NULL, NULL},
        {false, NULL, "v_prediction", 512, NULL, "v_pred"},
        {false, NULL, "v_prediction", 512, NULL, "ztsnr"},
        {true, NULL, "v_prediction", 768, NULL, "v_pred"},
        {true, SPEC("prediction_type", "epsilon"), "epsilon", 512, NULL, "v_pred"},
        {false, SPEC("prediction_type", "v"), "v_prediction", 512, NULL, NULL},
        {true, SPEC("prediction_type", "epsilon"), "epsilon", 512, NULL, NULL},
        {true, SPEC("prediction_type", "v"), "v_prediction", 768, NULL, NULL},
        {true, SPEC("predict_key", "epsilon"), "epsilon", 512, NULL, NULL},
        {true, SPEC("architecture", "stable-diffusion-v2-512"), "epsilon", 512, NULL, NULL},
        {true, SPEC("architecture", "stable-diffusion-v2-768-v"), "v_prediction", 768, NULL, NULL},
        {true, SPEC("architecture", "stable-diffusion-v2-unclip-h"), "v_prediction", 768, NULL,
         NULL},
        {true, SPEC("prediction_type", "flow"), "v_prediction", 768, "flow", NULL},
        {true,
         "{\"modelspec.architecture\":\"stable-diffusion-v2-512\","
         "\"modelspec.prediction_type\":\"v\",\"modelspec.resolution\":\"512x512\"}",
         "v_prediction", 512, NULL, NULL},
        {true, "{\"modelspec.prediction_type\":\"epsilon\",\"modelspec.resolution\":\"768x768\"}",
         "epsilon", 768, NULL, NULL},
        {true, SPEC("resolution", "1e9x1e9"), "v_prediction", 768, NULL, NULL},
        {false, SPEC("resolution", "768x768"), "epsilon", 512, NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        check_fact(&facts[i]);
}

static void test_vae_prefixes(void **state)
{
    checkpoint *c = least();
    (void)state;
    add(c, "vae.decoder.conv_in.weight", "8,4,3,3");
    tg__safetensors *file = open_checkpoint(c);
    tg__single_file single = open_single(file, false);
    tg__place place;
    tg__error error = {0};
    assert_int_equal(
        tg__place_in_checkpoint(&place, &single, &tg__autoencoder_kl_class, "vae", &error), TG_OK);
    assert_string_equal(place.prefix, "vae."); /* as diffusers */
    tg__safetensors_close(file);
    free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sd15),
        cmocka_unit_test(test_sd21),
        cmocka_unit_test(test_miniatures),
        cmocka_unit_test(test_short_text_names),
        cmocka_unit_test(test_no_counterpart),
        cmocka_unit_test(test_last_layer),
        cmocka_unit_test(test_layers_by_level),
        cmocka_unit_test(test_views),
        cmocka_unit_test(test_through_weights),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_first_error_sticks),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_vae_prefixes),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
