/* SPDX-License-Identifier: MIT */
/* Configs of PixArt's transformer with one fault each, and weights that do not go with the config:
 * a sentence each, which says where, what was found and what was expected. And requests whose sizes
 * cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/pixart_transformer.h"

#define MODELS TG_TEST_DATA "/golden/models/"
#define WHERE "transformer/config.json: "
#define OLD "\"_class_name\": \"Transformer2DModel\""
#define NEW "\"_class_name\": \"PixArtTransformer2DModel\""

typedef struct fault {
    const char *text; /* what stands between the braces */
    const char *message;
} fault;

static const fault faults[] = {
    {OLD, "norm_type is missing: not a PixArt, which has \"ada_norm_single\""},
    {OLD ", \"norm_type\": null",
     "norm_type is missing: not a PixArt, which has \"ada_norm_single\""},
    {OLD ", \"norm_type\": \"ada_norm_zero\"",
     "norm_type \"ada_norm_zero\" is not implemented, expected ada_norm_single"},
    {NEW ", \"norm_type\": \"layer_norm\"",
     "norm_type \"layer_norm\" is not implemented, expected ada_norm_single"},
    {"\"_class_name\": \"DiTTransformer2DModel\"",
     "_class_name is \"DiTTransformer2DModel\", expected \"PixArtTransformer2DModel\""},
    {NEW ", \"num_vector_embeds\": 8", "num_vector_embeds 8 is not implemented"},
    {NEW ", \"double_self_attention\": true", "double_self_attention true is not implemented"},
    {NEW ", \"only_cross_attention\": true", "only_cross_attention true is not implemented"},
    {NEW ", \"attention_type\": \"gated\"", "attention_type \"gated\" is not implemented"},
    {NEW ", \"activation_fn\": \"swiglu\"",
     "activation_fn \"swiglu\" is not implemented, expected gelu-approximate, gelu, geglu or "
     "geglu-approximate"},
    {NEW ", \"activation_fn\": null", "activation_fn is null, expected a string"},
    {NEW ", \"in_channels\": 0", "in_channels is 0, expected an integer from 1 to 1024"},
    {NEW ", \"in_channels\": \"4\"", "in_channels is \"4\", expected an integer from 1 to 1024"},
    {NEW ", \"out_channels\": 4096", "out_channels is 4096, expected an integer from 1 to 1024"},
    {NEW ", \"patch_size\": 17", "patch_size is 17, expected an integer from 1 to 16"},
    {NEW ", \"patch_size\": null", "patch_size is null, expected an integer from 1 to 16"},
    {NEW ", \"sample_size\": -1", "sample_size is -1, expected an integer from 1 to 65536"},
    {NEW ", \"sample_size\": 1", "sample_size is 1, expected at least patch_size 2"},
    {NEW ", \"interpolation_scale\": 0",
     "interpolation_scale is 0, expected a number from 1e-06 to 1e+06"},
    {NEW ", \"interpolation_scale\": NaN",
     "interpolation_scale is NaN, expected a number from 1e-06 to 1e+06"},
    {NEW ", \"use_additional_conditions\": 1",
     "use_additional_conditions is 1, expected true or false"},
    {NEW ", \"num_attention_heads\": 0",
     "num_attention_heads is 0, expected an integer from 1 to 4096"},
    {NEW ", \"attention_head_dim\": 513",
     "attention_head_dim is 513, expected an integer from 1 to 512"},
    {NEW ", \"num_attention_heads\": 1, \"attention_head_dim\": 6",
     "num_attention_heads times attention_head_dim is 6, expected a multiple of 4 up to 65536"},
    {NEW ", \"num_attention_heads\": 4096, \"attention_head_dim\": 512",
     "num_attention_heads times attention_head_dim is 2097152, expected a multiple of 4 up to "
     "65536"},
    {NEW ", \"num_attention_heads\": 2, \"attention_head_dim\": 8",
     "num_attention_heads times attention_head_dim is 16, expected a multiple of 3 with "
     "use_additional_conditions"},
    {NEW ", \"caption_channels\": 40, \"cross_attention_dim\": 40",
     "cross_attention_dim is 40, expected 1152 as num_attention_heads times attention_head_dim"},
    {NEW ", \"cross_attention_dim\": null", "cross_attention_dim is null, expected an integer"},
    {NEW ", \"num_layers\": 0", "num_layers is 0, expected an integer from 1 to 256"},
    {NEW ", \"attention_bias\": \"yes\"", "attention_bias is \"yes\", expected true or false"},
    {NEW ", \"norm_eps\": -1", "norm_eps is -1, expected a number from 0 to 1"},
};

/* Reads a config; what is said of it, "" if nothing. */
static void read(tg__network **network, const char *inner, char message[1024])
{
    tg__error error = {0};
    char text[1024];
    snprintf(text, sizeof text, "{%s}", inner);
    tg__config *config = tg__config_parse(text, strlen(text), "transformer/config.json", &error);
    *network = tg__network_new(&tg__pixart_class, "transformer", &error);
    assert_non_null(*network);
    if (config)
        tg__pixart_class.read_config(*network, config);
    tg__config_close(config);
    snprintf(message, 1024, "%s", error.message);
}

static void configs(void **state)
{
    (void)state;
    int off = 0;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        tg__network *network;
        char message[1024], expected[1024];
        read(&network, faults[i].text, message);
        snprintf(expected, sizeof expected, WHERE "%s", faults[i].message);
        if (strcmp(message, expected) != 0) {
            print_error("{%s}: \"%s\", expected \"%s\"\n", faults[i].text, message, expected);
            off++;
        }
        tg__network_free(network);
    }
    assert_int_equal(off, 0);
}

/* What absent keys stand for. */
static void defaults(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        float scale;
        bool told;
        int out;
    } rows[] = {
        {NEW, 2, true, 4},
        {OLD ", \"norm_type\": \"ada_norm_single\", \"sample_size\": 64", 1, false, 4},
        {NEW ", \"sample_size\": 32, \"use_additional_conditions\": null", 1, false, 4},
        {NEW ", \"sample_size\": 256, \"interpolation_scale\": null", 4, false, 4},
        {NEW ", \"use_additional_conditions\": false, \"out_channels\": null", 2, false, 4},
        {NEW ", \"out_channels\": 7, \"interpolation_scale\": 0.5", 0.5f, true, 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        tg__network *network;
        char message[1024];
        read(&network, rows[i].text, message);
        const tg__pixart_config *c = &((const tg__pixart *)network)->config;
        assert_string_equal(message, "");
        assert_true(c->position_scale == rows[i].scale);
        assert_int_equal(c->told_sizes, rows[i].told);
        assert_int_equal(network->facts.out_channels, rows[i].out);
        assert_int_equal(c->width, 1152);
        tg__network_free(network);
    }
}

/* px2's weights with a config that says otherwise. */
static void weights(void **state)
{
    (void)state;
#define PX2 NEW ", \"sample_size\": 64, \"caption_channels\": 40, "
    static const fault wrong[] = {
        {PX2 "\"attention_head_dim\": 14, \"num_attention_heads\": 2, \"cross_attention_dim\": 28, "
             "\"num_layers\": 5",
         "transformer_blocks.4.attn1.to_q.weight"},
        {PX2 "\"attention_head_dim\": 14, \"num_attention_heads\": 2, \"cross_attention_dim\": 28, "
             "\"num_layers\": 4, \"patch_size\": 3",
         "pos_embed.proj.weight"},
        {PX2 "\"attention_head_dim\": 14, \"num_attention_heads\": 2, \"cross_attention_dim\": 28, "
             "\"num_layers\": 4, \"norm_elementwise_affine\": true",
         "transformer_blocks.0.norm1.weight"},
        {PX2 "\"attention_head_dim\": 12, \"num_attention_heads\": 4, \"cross_attention_dim\": 48, "
             "\"num_layers\": 4, \"use_additional_conditions\": true",
         "pos_embed.proj.weight"},
        {PX2 "\"attention_head_dim\": 14, \"num_attention_heads\": 2, \"cross_attention_dim\": 28, "
             "\"num_layers\": 4, \"out_channels\": 4",
         "proj_out.weight"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tg__network *network;
        tg__error error = {0};
        char message[1024];
        read(&network, wrong[i].text, message);
        assert_string_equal(message, "");
        tg__weights *found =
            tg__weights_open(MODELS "px2/transformer", tg__pixart_class.weights, NULL, &error);
        assert_non_null(found);
        assert_int_equal(tg__pixart_class.load(network, found, &error), TG_ERROR_FORMAT);
        if (!strstr(error.message, wrong[i].message))
            fail_msg("\"%s\", expected %s in it", error.message, wrong[i].message);
        tg__network_free(network);
        tg__weights_close(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(configs), cmocka_unit_test(defaults),
                                       cmocka_unit_test(weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
