/* SPDX-License-Identifier: MIT */
/* What a .safetensors file with everything in it is: one table tells the checkpoints apart that can
 * be run, another names the files that are often mistaken for one. */
#include "pipeline/single_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UNET "model.diffusion_model."
#define EXPECTED "expected a Stable Diffusion 1.x or 2.x checkpoint"

#define VAE_ANCHOR "decoder.conv_in.weight"
#define CLIP_ANCHOR "embeddings.token_embedding.weight"

static const tg__single_file_part unet = {
    .role = "unet",
    .places = {{UNET, "input_blocks.0.0.weight"}},
};
static const tg__single_file_part vae = {
    .role = "vae",
    .places = {{"first_stage_model.", VAE_ANCHOR}, {"vae.", VAE_ANCHOR}},
};
static const tg__single_file_part clip = {
    .role = "text_encoder",
    .places = {{"cond_stage_model.transformer.", CLIP_ANCHOR}, /* as some tools of 2022 wrote it */
               {"cond_stage_model.transformer.text_model.", CLIP_ANCHOR}},
    .pad_token = "<|endoftext|>",
};
static const tg__single_file_part open_clip = {
    .role = "text_encoder",
    .places = {{"cond_stage_model.model.", "token_embedding.weight"}},
    .pad_token = "!",
};

static const tg__single_file_kind kinds[] = {
    {
        .title = "Stable Diffusion 1.x",
        .layout = "sd15",
        .context = 768,
        .prediction = "epsilon",
        .epsilon_size = 512,
        .v_size = 512,
        .parts = (const tg__single_file_part *const[]){&unet, &vae, &clip, NULL},
    },
    {
        .title = "Stable Diffusion 2.x",
        .layout = "sd21",
        .context = 1024,
        .prediction = "v_prediction",
        .epsilon_size = 512,
        .v_size = 768,
        .parts = (const tg__single_file_part *const[]){&unet, &vae, &open_clip, NULL},
    },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* Files that something else is to be said about. */
typedef struct other {
    const char *start, *end; /* a tensor whose name begins and ends so gives it away */
    bool without_unet;       /* …only where the file has no UNet in the original layout */
    const char *what;
} other;

#define FOLDER_HINT " (give the model's folder, which has all its parts)"

static const other others[] = {
    {UNET "input_blocks.", ".time_stack.in_layers.0.weight", false, "Stable Video Diffusion"},
    {"conditioner.embedders.", "", false, "Stable Diffusion XL"},
    {UNET "joint_blocks.", "", false, "Stable Diffusion 3"},
    {"joint_blocks.", "", true, "Stable Diffusion 3"},
    {"text_encoders.", "", true, "a checkpoint of Stable Diffusion 3, Flux or later"},
    {UNET "double_blocks.", "", false, "Flux"},
    {"double_blocks.", "", true, "Flux"},
    {"adaln_single.", "", true, "a PixArt transformer"},
    {"clip_txt_mapper.", "", true, "Stable Cascade"},
    {"control_model.", "", false, "a ControlNet"},
    {"controlnet_", "", true, "a ControlNet"},
    {"input_hint_block.", "", true, "a ControlNet"},
    {"", ".motion_modules.0.temporal_transformer.norm.weight", true, "an AnimateDiff module"},
    {"lora_", "", true, "a LoRA"},
    {"", ".lora_up.weight", true, "a LoRA"},
    {"", ".lora_A.weight", true, "a LoRA"},
    {"", ".lora.up.weight", true, "a LoRA"},
    {"", ".hada_w1_a", true, "a LoRA (LoHa)"},
    {"", ".lokr_w1", true, "a LoRA (LoKr)"},
    {"emb_params", "", true, "a textual inversion embedding"},
    {"down_blocks.", ".resnets.0.conv1.weight", true, "a UNet in diffusers' layout" FOLDER_HINT},
    {"encoder.down_blocks.", "", true, "a VAE in diffusers' layout" FOLDER_HINT},
    {"text_model.", "", true, "a text encoder alone" FOLDER_HINT},
    {"input_blocks.", "", true, "a UNet alone"},
    {"decoder.up.", "", true, "a VAE alone"},
    {"first_stage_model.", "", true, "a VAE without a UNet"},
};

static bool matches(const char *name, const char *start, const char *end)
{
    size_t length = strlen(name), head = strlen(start), tail = strlen(end);
    return length >= head + tail && memcmp(name, start, head) == 0 &&
           memcmp(name + length - tail, end, tail) == 0;
}

/* The first tensor whose name begins and ends so, or NULL. */
static const tg__weight *find_like(const tg__safetensors *file, const char *start, const char *end)
{
    for (size_t i = 0, n = tg__safetensors_count(file); i < n; i++) {
        const tg__weight *tensor = tg__safetensors_at(file, i);
        if (matches(tensor->name, start, end))
            return tensor;
    }
    return NULL;
}

static bool has(const tg__safetensors *file, const char *prefix, const char *name)
{
    char key[128];
    size_t n = strlen(prefix), m = strlen(name);
    if (n + m >= sizeof key)
        return false;
    memcpy(key, prefix, n);
    memcpy(key + n, name, m + 1);
    return tg__safetensors_find(file, key) != NULL;
}

static void refuse_others(const tg__safetensors *file, bool has_unet, const char *where,
                          tg__error *error)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const other *o = &others[i];
        const tg__weight *tensor;
        char name[160];
        if (o->without_unet && has_unet)
            continue;
        tensor = find_like(file, o->start, o->end);
        if (!tensor)
            continue;
        tg__fail(error, TG_ERROR_UNSUPPORTED, "%s: holds %s, as %s tells; " EXPECTED, where,
                 o->what, tg__printable(name, sizeof name, tensor->name));
        return;
    }
}

/* Models that are given a picture besides the text have more input than output channels. */
static void refuse_pictures(const tg__safetensors *file, const char *where, tg__error *error)
{
    static const struct {
        int64_t channels;
        const char *what;
    } table[] = {{5, " (a depth model)"},
                 {7, " (an upscaler)"},
                 {8, " (an InstructPix2Pix or variation model)"},
                 {9, " (an inpainting model)"}};
    const tg__weight *in = tg__safetensors_find(file, UNET "input_blocks.0.0.weight");
    const tg__weight *out = tg__safetensors_find(file, UNET "out.2.weight");
    const char *what = "";
    if (!out || in->rank != 4 || out->rank != 4) {
        tg__fail(error, TG_ERROR_FORMAT,
                 "%s: " UNET "input_blocks.0.0.weight and " UNET
                 "out.2.weight must be there with 4 dimensions",
                 where);
        return;
    }
    if (in->shape[1] == out->shape[0])
        return;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].channels == in->shape[1])
            what = table[i].what;
    tg__fail(error, TG_ERROR_UNSUPPORTED,
             "%s: " UNET "input_blocks.0.0.weight has %" PRId64
             " input channels%s, expected %" PRId64 ": only text-to-image models are implemented",
             where, in->shape[1], what, out->shape[0]);
}

/* How wide the text is that the UNet attends to; 0 if it does not. */
static int64_t context_width(const tg__safetensors *file)
{
    const tg__weight *tensor = find_like(file, UNET, ".attn2.to_k.weight");
    return tensor && tensor->rank == 2 ? tensor->shape[1] : 0;
}

static const tg__single_file_part *part_of(const tg__single_file_kind *kind, const char *role)
{
    const tg__single_file_part *const *part = kind->parts;
    while (*part && strcmp((*part)->role, role) != 0)
        part++;
    return *part;
}

static const char *find_prefix(const tg__safetensors *file, const tg__single_file_kind *kind,
                               const char *role)
{
    const tg__single_file_part *part = part_of(kind, role);
    const char *found = NULL;
    for (int i = 0; part && part->places[i].prefix; i++)
        if (has(file, part->places[i].prefix, part->places[i].anchor))
            found = part->places[i].prefix;
    return found;
}

static const tg__single_file_kind *find_kind(const tg__safetensors *file, int64_t context,
                                             bool any_context)
{
    for (int i = 0; i < KINDS; i++)
        if ((any_context || kinds[i].context == context) &&
            find_prefix(file, &kinds[i], "text_encoder"))
            return &kinds[i];
    return NULL;
}

/* The checkpoints whose UNet attends to text this wide, or NULL. */
static const char *title_of(int64_t context)
{
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].context == context)
            return kinds[i].title;
    return NULL;
}

static void fail_kind(const tg__safetensors *file, int64_t context, const char *where,
                      tg__error *error)
{
    const tg__single_file_kind *text = find_kind(file, context, true);
    if (!text)
        tg__fail(error, TG_ERROR_FORMAT,
                 "%s: there is no text encoder; expected cond_stage_model.transformer.text_model "
                 "(1.x) or cond_stage_model.model (2.x)",
                 where);
    else if (title_of(context))
        tg__fail(error, TG_ERROR_UNSUPPORTED,
                 "%s: the UNet is that of %s (it attends to text %" PRId64
                 " wide), but the text encoder is that of %s",
                 where, title_of(context), context, text->title);
    else
        tg__fail(error, TG_ERROR_UNSUPPORTED,
                 "%s: the UNet attends to text %" PRId64
                 " wide, expected 768 (1.x) or 1024 (2.x), or configs of its own",
                 where, context);
}

tg_status tg__single_file_open(tg__single_file *single, const tg__safetensors *file,
                               const char *where, bool own_configs, tg__error *error)
{
    bool has_unet = has(file, UNET, "input_blocks.0.0.weight");
    int64_t context = context_width(file);
    *single = (tg__single_file){.file = file};
    refuse_others(file, has_unet, where, error);
    if (!has_unet)
        tg__fail(error, TG_ERROR_FORMAT,
                 "%s: there is no " UNET "input_blocks.0.0.weight; " EXPECTED, where);
    if (tg__failed(error))
        return error->status;
    refuse_pictures(file, where, error);
    if (find_like(file, UNET "label_emb.", ""))
        tg__fail(error, TG_ERROR_UNSUPPORTED,
                 "%s: the UNet takes a class or a picture besides the text (" UNET
                 "label_emb, as in Stable Diffusion XL and unCLIP); " EXPECTED,
                 where);
    single->kind = find_kind(file, context, false);
    if (!single->kind && own_configs)
        single->kind = find_kind(file, context, true);
    if (!single->kind)
        fail_kind(file, context, where, error);
    else if (!find_prefix(file, single->kind, "vae"))
        tg__fail(error, TG_ERROR_FORMAT,
                 "%s: there is no VAE; expected first_stage_model.decoder.conv_in.weight or "
                 "vae.decoder.conv_in.weight",
                 where);
    return error->status;
}

const char *tg__single_file_prediction(const tg__single_file *single, const char **unknown)
{
    /* The first is ModelSpec's, the second ComfyUI's; an architecture says it between the lines. */
    static const char *const keys[] = {"modelspec.prediction_type", "modelspec.predict_key",
                                       "modelspec.architecture"};
    static const struct {
        const char *word, *prediction;
    } words[] = {
        {"epsilon", "epsilon"},
        {"eps", "epsilon"},
        {"stable-diffusion-v2-512", "epsilon"},
        {"v", "v_prediction"},
        {"v_prediction", "v_prediction"},
        {"v-prediction", "v_prediction"},
        {"stable-diffusion-v2-768-v", "v_prediction"},
    };
    if (unknown)
        *unknown = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = tg__safetensors_metadata(single->file, keys[i]);
        if (!text)
            continue;
        for (size_t j = 0; j < sizeof words / sizeof *words; j++)
            if (strcmp(text, words[j].word) == 0)
                return words[j].prediction;
        if (unknown && i == 0)
            *unknown = text;
    }
    return single->kind->prediction;
}

int tg__single_file_size(const tg__single_file *single, const char *prediction_type)
{
    const tg__single_file_kind *kind = single->kind;
    const char *text = tg__safetensors_metadata(single->file, "modelspec.resolution");
    const int sizes[] = {kind->epsilon_size, kind->v_size};
    for (size_t i = 0; text && i < sizeof sizes / sizeof *sizes; i++) {
        char square[32];
        snprintf(square, sizeof square, "%dx%d", sizes[i], sizes[i]);
        if (strcmp(text, square) == 0)
            return sizes[i];
    }
    return strcmp(prediction_type, "epsilon") == 0 ? kind->epsilon_size : kind->v_size;
}

const tg__single_file_part *tg__single_file_part_of(const tg__single_file *single, const char *role)
{
    return part_of(single->kind, role);
}

const char *tg__single_file_prefix(const tg__single_file *single, const char *role)
{
    return find_prefix(single->file, single->kind, role);
}
