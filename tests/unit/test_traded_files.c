/* SPDX-License-Identifier: MIT */
/* Files as the community trades them: merged, pruned, renamed and narrowed by tools that each have
 * ways of their own. Each kind is a row, made of a golden single file; it must draw what that
 * draws, to the bit. */
#include "sessions.h"

#include "rewritten.h"

#define MODELS TG_TEST_DATA "/golden/models/"
#define HF "cond_stage_model.transformer.text_model."
#define OPEN "cond_stage_model.model."
#define ATTENTION ".attn_1."
#define ALL_ATTENTION(q, k, v, out, norm)                                              \
    {ATTENTION "q.", ATTENTION q "."}, {ATTENTION "k.", ATTENTION k "."},              \
        {ATTENTION "v.", ATTENTION v "."}, {ATTENTION "proj_out.", ATTENTION out "."}, \
    {                                                                                  \
        ATTENTION "norm.", ATTENTION norm "."                                          \
    }

static tg_result *draw_file(const char *path, const char *configs, const char *prediction)
{
    char tokenizer[600];
    tg_model *model;
    tg_model_options options;
    tg_model_options_init(&options);
    snprintf(tokenizer, sizeof tokenizer, "%s/tokenizer", configs);
    options.config_dir = configs;
    options.tokenizer_dir = tokenizer;
    options.prediction_type = prediction;
    if (tg_model_open(&model, path, &options) != TG_OK)
        fail_msg("%s", tg_model_message(model));
    tg_session *session = open_session(model, TG_DTYPE_F32, 1);
    tg_prompt *prompt = encode_prompt(session, "a red fox", "");
    tg_generate_options o = picture_options(model, 64, 2);
    tg_result *result = make_pictures(session, &prompt, 1, &o);
    tg_prompt_free(prompt);
    tg_session_free(session);
    tg_model_close(model);
    return result;
}

typedef struct kind {
    const char *what, *model;
    rewriting how;
} kind;

static const kind kinds[] = {
    {"1.x without text_model", "sd1", {.names = {{HF, "cond_stage_model.transformer."}}}},
    {"1.x, text_model alone", "sd1", {.names = {{HF, "cond_stage_model.text_model."}}}},
    {"1.x, nothing between", "sd1", {.names = {{HF, "cond_stage_model."}}}},
    {"1.x, model", "sd1", {.names = {{HF, "cond_stage_model.model.text_model."}}}},
    {"1.x, sgm", "sd1", {.names = {{HF, "conditioner.embedders.0.transformer.text_model."}}}},
    {"1.x, sgm, short", "sd1", {.names = {{HF, "conditioner.embedders.0.transformer."}}}},
    {"1.x, sgm, model", "sd1", {.names = {{HF, "conditioner.embedders.0.model."}}}},
    {"2.x, sgm", "sd2", {.names = {{OPEN, "conditioner.embedders.0.model."}}}},
    {"2.x, transformer", "sd2", {.names = {{OPEN, "cond_stage_model.transformer."}}}},
    {"2.x, nothing between", "sd2", {.names = {{OPEN, "cond_stage_model."}}}},
    {"2.x, both", "sd2", {.names = {{OPEN, "conditioner.embedders.0.transformer.model."}}}},
    {"vae.", "sd1", {.names = {{"first_stage_model.", "vae."}}}},
    {"first_stage_model.", "sd2", {.names = {{"vae.", "first_stage_model."}}}},
    {"attention to_q",
     "sd1",
     {.names = {ALL_ATTENTION("to_q", "to_k", "to_v", "to_out.0", "group_norm")}}},
    {"attention to_q, matrices",
     "sd1",
     {.names = {ALL_ATTENTION("to_q", "to_k", "to_v", "to_out.0", "group_norm")},
      .matrices = ATTENTION}},
    {"attention query",
     "sd1",
     {.names = {ALL_ATTENTION("query", "key", "value", "proj_attn", "norm")}}},
    {"attention query, matrices",
     "sd2",
     {.names = {ALL_ATTENTION("query", "key", "value", "proj_attn", "group_norm")},
      .matrices = ATTENTION}},
    {"attention q, matrices", "sd1", {.matrices = ATTENTION}},
    {"a VAE without an encoder",
     "sd1",
     {.names = {{"first_stage_model.encoder.", NULL}, {"first_stage_model.quant_conv.", NULL}}}},
    {"f64", "sd1", {.formats = "6"}},
    {"f32", "sd2", {.formats = "3"}},
    {"three formats", "sd1", {.formats = "2362"}},
    {"marks of a LoRA", "sd1", {.added = "lora_unet_x.alpha"}},
};

static void check_kind(scratch *s, const kind *k)
{
    char configs[512], original[560];
    snprintf(configs, sizeof configs, MODELS "%s", k->model);
    snprintf(original, sizeof original, "%s.safetensors", configs);
    tg_result *expected = draw_file(original, configs, NULL);
    tg_result *found =
        draw_file(rewrite(s, "traded.safetensors", original, &k->how), configs, NULL);
    print_message("%s\n", k->what);
    assert_same_results(found, expected);
    tg_result_free(found);
    tg_result_free(expected);
}

static void test_kinds(void **state)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        check_kind(*state, &kinds[i]);
}

/* Numbers of 8 bits draw what the same numbers in f32 do, mixed with others, too. */
static void test_fp8(void **state)
{
    static const char *const formats[] = {"4", "5", "4325"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        rewriting how = {.formats = formats[i], .widened = true};
        const char *path = rewrite(*state, "wide.safetensors", MODELS "sd1.safetensors", &how);
        tg_result *expected = draw_file(path, MODELS "sd1", NULL);
        how.widened = false;
        path = rewrite(*state, "narrow.safetensors", MODELS "sd1.safetensors", &how);
        tg_result *found = draw_file(path, MODELS "sd1", NULL);
        assert_same_results(found, expected);
        tg_result_free(found);
        tg_result_free(expected);
    }
}

/* Folders hold them as well, and networks alone: with the model's other parts they are a model. */
static void test_alone(void **state)
{
    static const struct {
        const char *role;
        rewriting how;
    } parts[] = {
        {"unet", {.names = {{"model.diffusion_model.", ""}}}},
        {"unet", {.names = {{"first_stage_model.", NULL}, {"cond_stage_model.", NULL}}}},
        {"vae", {.names = {{"model.diffusion_model.", NULL}, {"first_stage_model.", ""}}}},
        {"vae", {.names = {{"cond_stage_model.", NULL}}}},
        {"text_encoder", {.names = {{"model.diffusion_model.", NULL}, {"cond_stage_model.", ""}}}},
        {"text_encoder", {.names = {{"model.diffusion_model.", NULL}, {HF, ""}}}},
        {"text_encoder", {.names = {{"cond_stage_model.transformer.", ""}}}},
    };
    tg_result *expected = draw_file(MODELS "sd1.safetensors", MODELS "sd1", NULL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *path =
            rewrite(*state, "alone.safetensors", MODELS "sd1.safetensors", &parts[i].how);
        tg_network_path networks[] = {{parts[i].role, path}};
        tg_model *model;
        tg_model_options options;
        tg_model_options_init(&options);
        options.config_dir = MODELS "sd1";
        options.tokenizer_dir = MODELS "sd1/tokenizer";
        options.networks = networks;
        options.network_count = 1;
        if (tg_model_open(&model, MODELS "sd1.safetensors", &options) != TG_OK)
            fail_msg("%zu: %s", i, tg_model_message(model));
        tg_session *session = open_session(model, TG_DTYPE_F32, 1);
        tg_prompt *prompt = encode_prompt(session, "a red fox", "");
        tg_generate_options o = picture_options(model, 64, 2);
        tg_result *found = make_pictures(session, &prompt, 1, &o);
        assert_same_results(found, expected);
        tg_result_free(found);
        tg_prompt_free(prompt);
        tg_session_free(session);
        tg_model_close(model);
    }
    tg_result_free(expected);
}

/* Only what encodes is refused. */
static void test_without_encoder(void **state)
{
    static const rewriting how = {.names = {{"first_stage_model.encoder.", NULL}}};
    static float pixels[3 * 64 * 64];
    const char *path = rewrite(*state, "traded.safetensors", MODELS "sd1.safetensors", &how);
    tg_network_path network = {"vae", path};
    tg_model *model;
    tg_model_options options;
    tg_result *result = NULL;
    tg_model_options_init(&options);
    options.networks = &network;
    options.network_count = 1;
    assert_int_equal(tg_model_open(&model, MODELS "sd1", &options), TG_OK);
    tg_session *session = open_session(model, TG_DTYPE_F32, 1);
    assert_int_equal(tg_encode(&result, session, &(tg_array){1, 3, 64, 64, pixels}, false),
                     TG_ERROR_UNSUPPORTED);
    assert_null(result);
    assert_string_equal(tg_session_message(session),
                        "vae: has no encoder, expected one to encode with");
    tg_session_free(session);
    tg_model_close(model);
}

/* --------------------------------------------------------------------------------- what is wrong
 */

typedef struct wrong {
    const char *role;
    const char *path; /* below the golden models; NULL: */
    rewriting how;    /* of sd1's single file */
    tg_status status;
    const char *message; /* its beginning */
} wrong;

#define GONE \
    {"model.diffusion_model.", NULL}, {"first_stage_model.", NULL}, { "cond_stage_model.", NULL }

static void test_wrong(void **state)
{
    static const wrong all[] = {
        {"unet",
         "nowhere",
         {0},
         TG_ERROR_NOT_FOUND,
         MODELS "nowhere: not found, expected the folder"},
        {"unet",
         "sd2.safetensors",
         {0},
         TG_ERROR_FORMAT,
         "models/sd2.safetensors: model.diffusion_model.input_blocks.4.0.in_layers.2.weight is "
         "[32,16,3,3], expected [24,16,3,3]"},
        {"unet",
         "sd1/text_encoder/model.safetensors",
         {0},
         TG_ERROR_UNSUPPORTED,
         "model.safetensors: holds a text encoder alone, as text_model."},
        {"unet",
         "sd1/vae/diffusion_pytorch_model.safetensors",
         {0},
         TG_ERROR_UNSUPPORTED,
         "diffusion_pytorch_model.safetensors: holds a VAE in diffusers' layout, as encoder.down_"},
        {"unet",
         "sd1/vae",
         {0},
         TG_ERROR_UNSUPPORTED,
         "vae/config.json: _class_name is \"AutoencoderKL\", expected \"UNet2DConditionModel\""},
        {"vae",
         "sd1/text_encoder",
         {0},
         TG_ERROR_UNSUPPORTED,
         "text_encoder/config.json: architectures is [\"CLIPTextModel\"], expected "
         "\"AutoencoderKL\""},
        {"text_encoder",
         "sd1/unet",
         {0},
         TG_ERROR_UNSUPPORTED,
         "unet/config.json: _class_name is \"UNet2DConditionModel\", expected \"CLIPTextModel\""},
        {"text_encoder",
         "sd1/vae/diffusion_pytorch_model.safetensors",
         {0},
         TG_ERROR_UNSUPPORTED,
         "diffusion_pytorch_model.safetensors: holds a VAE in diffusers' layout, as encoder.down_"},
        {"vae",
         "sd1/unet/diffusion_pytorch_model.safetensors",
         {0},
         TG_ERROR_UNSUPPORTED,
         "diffusion_pytorch_model.safetensors: holds a UNet in diffusers' layout, as down_blocks."},
        {"unet",
         NULL,
         {.names = {GONE}, .added = "lora_unet_down_blocks_0.alpha"},
         TG_ERROR_UNSUPPORTED,
         "wrong.safetensors: holds a LoRA, as lora_unet_down_blocks_0.alpha tells; expected a "
         "UNet"},
        {"unet",
         NULL,
         {.names = {GONE}},
         TG_ERROR_FORMAT,
         "wrong.safetensors: there is no conv_norm_out.weight in it, expected a UNet (or the "
         "original input_blocks.0.0.weight)"},
        {"unet",
         NULL,
         {.formats = "4", .added = "scaled_fp8"},
         TG_ERROR_UNSUPPORTED,
         "is scaled fp8, expected F64, F32, F16, BF16 or "
         "plain F8"},
        {"text_encoder_2",
         "sd1",
         {0},
         TG_ERROR_ARGUMENT,
         "StableDiffusionPipeline has no network of this name, expected unet, vae or text_encoder"},
        {"", "sd1", {0}, TG_ERROR_ARGUMENT, "StableDiffusionPipeline has no network of this name"},
        {NULL, "sd1", {0}, TG_ERROR_ARGUMENT, "networks.role is NULL, expected an address"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char path[600];
        tg_network_path network = {all[i].role, path};
        tg_model *model;
        tg_model_options options;
        if (all[i].path)
            snprintf(path, sizeof path, MODELS "%s", all[i].path);
        else
            snprintf(path, sizeof path, "%s",
                     rewrite(*state, "wrong.safetensors", MODELS "sd1.safetensors", &all[i].how));
        tg_model_options_init(&options);
        options.networks = &network;
        options.network_count = 1;
        tg_status status = tg_model_open(&model, MODELS "sd1", &options);
        if (status != all[i].status || !strstr(tg_model_message(model), all[i].message))
            fail_msg("%d \"%s\", expected %d \"%s\"", status, tg_model_message(model),
                     all[i].status, all[i].message);
        tg_model_close(model);
    }
}

static void test_wrong_lists(void **state)
{
    (void)state;
    tg_network_path twice[] = {{"vae", MODELS "sd1"}, {"vae", MODELS "sd1"}}, none = {"vae", NULL};
    static const struct {
        int count;
        const char *message;
    } all[] = {{2, "vae is given twice, expected one path"},
               {-1, "networks are -1 at "},
               {99, "networks are 99 at "}};
    tg_model *model;
    tg_model_options options;
    tg_model_options_init(&options);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        options.networks = twice;
        options.network_count = all[i].count;
        assert_int_equal(tg_model_open(&model, MODELS "sd1", &options), TG_ERROR_ARGUMENT);
        assert_non_null(strstr(tg_model_message(model), all[i].message));
        tg_model_close(model);
    }
    options.networks = &none;
    options.network_count = 1;
    assert_int_equal(tg_model_open(&model, MODELS "sd1", &options), TG_ERROR_ARGUMENT);
    assert_string_equal(tg_model_message(model), "networks.path is NULL, expected an address");
    tg_model_close(model);
}

/* --------------------------------------------------------------------------- what is no model */

static void test_no_models(void **state)
{
#define BYTES(text) text, sizeof text - 1
    static const struct {
        const char *bytes;
        size_t count;
        tg_status status;
        const char *message;
    } all[] = {
        {BYTES("<!DOCTYPE html><html><head>"), TG_ERROR_FORMAT, "is a web page (HTML), expected"},
        {BYTES("\r\n  <!doctype html>  "), TG_ERROR_FORMAT, "is a web page (HTML), expected"},
        {BYTES("<html lang=\"en\">          "), TG_ERROR_FORMAT, "is a web page (HTML), expected"},
        {BYTES("GGUF\3\0\0\0\1\0\0\0\0\0\0\0"), TG_ERROR_FORMAT, "is a GGUF file, expected"},
        {BYTES("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), TG_ERROR_FORMAT,
         "is a pointer of git-lfs, expected the file that it stands for (git lfs pull)"},
        {BYTES("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0archive/data.pkl..."),
         TG_ERROR_UNSUPPORTED, "is a pickle, expected .safetensors"},
        {BYTES("\x80\2}q\0(X\1\0\0\0aK\1u."), TG_ERROR_UNSUPPORTED, "is a pickle, expected"},
        {BYTES("PK\3\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x08\0\0\0unet.txt"),
         TG_ERROR_FORMAT, "is a zip archive, expected .safetensors (unpack it)"},
        {BYTES("7z\xBC\xAF'\x1C\0\0\0\0\0\0"), TG_ERROR_FORMAT, "is a 7z archive"},
        {BYTES("Rar!\x1A\7\1\0\0\0\0\0"), TG_ERROR_FORMAT, "is a rar archive"},
        {BYTES("\x1F\x8B\x08\0\0\0\0\0\2\3\0\0"), TG_ERROR_FORMAT, "is a gzip archive"},
        {BYTES("\x89PNG\r\n\x1A\n\0\0\0\rIHDR"), TG_ERROR_FORMAT, "is a picture"},
        {BYTES("\xFF\xD8\xFF\xE0\0\x10JFIF\0\1"), TG_ERROR_FORMAT, "is a picture"},
        {BYTES("{\"error\":\"Access denied\"}"), TG_ERROR_FORMAT, "is a JSON text"},
        {BYTES("some other thing altogether"), TG_ERROR_FORMAT,
         "its header is 7526763062174248819 bytes long"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char begins[100];
        tg_model *model;
        const char *path = scratch_write(*state, "x.safetensors", all[i].bytes, all[i].count);
        tg_status status = tg_model_open(&model, path, NULL);
        const char *found = strchr(tg_model_message(model), ':');
        snprintf(begins, sizeof begins, ": %s", all[i].message);
        if (status != all[i].status || !found || strncmp(found, begins, strlen(begins)) != 0)
            fail_msg("%d \"%s\", expected %d \"%s\"", status, tg_model_message(model),
                     all[i].status, all[i].message);
        tg_model_close(model);
    }
}

/* ------------------------------------------------------------------------------ v-prediction */

static void note(void *user, tg_log_level level, const char *message)
{
    (void)level;
    snprintf(user, 300, "%s", message);
}

/* A UNet alone may say what it predicts; the option has the last word. */
static void test_marks(void **state)
{
    static const struct {
        const char *mark, *metadata, *option, *found;
    } all[] = {
        {NULL, NULL, NULL, "epsilon"},
        {"v_pred", NULL, NULL, "v_prediction"},
        {"ztsnr", NULL, NULL, "v_prediction"},
        {NULL, "{\"modelspec.prediction_type\":\"v\"}", NULL, "v_prediction"},
        {"v_pred", NULL, "epsilon", "epsilon"},
        {NULL, "{\"modelspec.prediction_type\":\"flow\"}", NULL, "epsilon"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        rewriting how = {.added = all[i].mark, .metadata = all[i].metadata};
        const char *path = rewrite(*state, "marked.safetensors", MODELS "sd1.safetensors", &how);
        tg_network_path network = {"unet", path};
        char said[300] = "";
        tg_model *model;
        tg_model_options options;
        tg_model_options_init(&options);
        options.networks = &network;
        options.network_count = 1;
        options.prediction_type = all[i].option;
        options.log = note;
        options.log_user = said;
        if (tg_model_open(&model, MODELS "sd1", &options) != TG_OK)
            fail_msg("%s", tg_model_message(model));
        assert_string_equal(tg_model_describe(model)->prediction_type, all[i].found);
        assert_string_equal(said, "");
        tg_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),     cmocka_unit_test(test_fp8),
        cmocka_unit_test(test_alone),     cmocka_unit_test(test_without_encoder),
        cmocka_unit_test(test_wrong),     cmocka_unit_test(test_wrong_lists),
        cmocka_unit_test(test_no_models), cmocka_unit_test(test_marks),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
