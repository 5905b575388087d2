/* SPDX-License-Identifier: MIT */
/* What a .safetensors file without a config is: one table tells the checkpoints apart that can be
 * run, another where their networks are, a third names the files that are often mistaken for one.
 */
#include "pipeline/single_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define UNET "model.diffusion_model."
#define MODEL "a Stable Diffusion 1.x, 2.x or XL checkpoint"

static const tg__single_file_kind kinds[] = {
    {
        .title = "Stable Diffusion 1.x",
        .layout = "sd15",
        .context = 768,
        .prediction = "epsilon",
        .epsilon_size = 512,
        .v_size = 512,
        .parts =
            (const tg__single_file_part[]){
                {"unet", NULL}, {"vae", NULL}, {"text_encoder", "<|endoftext|>"}, {NULL, NULL}},
    },
    {
        .title = "Stable Diffusion 2.x",
        .layout = "sd21",
        .context = 1024,
        .prediction = "v_prediction",
        .both = true,
        .epsilon_size = 512,
        .v_size = 768,
        .parts =
            (const tg__single_file_part[]){
                {"unet", NULL}, {"vae", NULL}, {"text_encoder", "!"}, {NULL, NULL}},
    },
    {
        .title = "Stable Diffusion XL",
        .layout = "sdxl",
        .context = 2048,
        .prediction = "epsilon",
        .epsilon_size = 1024,
        .v_size = 1024,
        .parts = (const tg__single_file_part[]){{"unet", NULL},
                                                {"vae", NULL},
                                                {"text_encoder", "<|endoftext|>"},
                                                {"text_encoder_2", "!"},
                                                {NULL, NULL}},
    },
};
enum { SD1, SD2, SDXL, KINDS };
_Static_assert(sizeof kinds / sizeof *kinds == KINDS, "a row for each");

/* Where networks are: behind one of the stems begins a name that ends in the anchor. */
typedef struct home {
    const char *role;
    const char *title;    /* "a UNet" */
    const char *stems[3]; /* a later one wins, as in diffusers */
    const char *anchor;   /* in the original naming */
    const char *between;  /* words that may come before the anchor and belong to the naming */
    bool deep;            /* tools put words of their own behind the stem */
} home;

static const home homes[] = {
    {"unet", "a UNet", {UNET}, "input_blocks.0.0.weight", "", false},
    {"transformer", "a PixArt transformer", {UNET}, "x_embedder.proj.weight", "", false},
    {"vae", "a VAE", {"first_stage_model.", "vae."}, "decoder.conv_in.weight", "", false},
    {"text_encoder",
     "a text encoder",
     {"cond_stage_model.", "conditioner.embedders.0."},
     "token_embedding.weight",
     "embeddings.",
     true},
    {"text_encoder_2",
     "a text encoder",
     {"conditioner.embedders.1."},
     "token_embedding.weight",
     "embeddings.",
     true},
};
enum { HOMES = sizeof homes / sizeof *homes };

/* Files that something else is to be said about. */
typedef struct other {
    const char *start, *end; /* a tensor whose name begins and ends so gives it away */
    bool without_unet;       /* …only where the file has no UNet in the original layout */
    const char *what;
    const char *role; /* that it can have in a model; NULL: none */
} other;

static const other others[] = {
    {UNET "input_blocks.", ".time_stack.in_layers.0.weight", false, "Stable Video Diffusion", NULL},
    {UNET "joint_blocks.", "", false, "Stable Diffusion 3", NULL},
    {"joint_blocks.", "", true, "Stable Diffusion 3", NULL},
    {"text_encoders.", "", true, "a checkpoint of Stable Diffusion 3, Flux or later", NULL},
    {UNET "double_blocks.", "", false, "Flux", NULL},
    {"double_blocks.", "", true, "Flux", NULL},
    {"adaln_single.", "", true, "a PixArt transformer", "transformer"},
    {"y_embedder.y_proj.", "", true, "a PixArt transformer", "transformer"},
    {"clip_txt_mapper.", "", true, "Stable Cascade", NULL},
    {"control_model.", "", false, "a ControlNet", NULL},
    {"controlnet_", "", true, "a ControlNet", NULL},
    {"input_hint_block.", "", true, "a ControlNet", NULL},
    {"", ".motion_modules.0.temporal_transformer.norm.weight", true, "an AnimateDiff module", NULL},
    {"lora_", "", true, "a LoRA", NULL},
    {"", ".lora_up.weight", true, "a LoRA", NULL},
    {"", ".lora_A.weight", true, "a LoRA", NULL},
    {"", ".lora.up.weight", true, "a LoRA", NULL},
    {"", ".hada_w1_a", true, "a LoRA (LoHa)", NULL},
    {"", ".lokr_w1", true, "a LoRA (LoKr)", NULL},
    {"emb_params", "", true, "a textual inversion embedding", NULL},
    {"", ".lora_down.weight", true, "a LoRA", NULL},
    {"", ".lora_B.weight", true, "a LoRA", NULL},
    {"", ".oft_blocks", true, "a LoRA (OFT)", NULL},
    {"", ".dora_scale", true, "a LoRA (DoRA)", NULL},
    {"clip_g", "", true, "a textual inversion embedding", NULL},
    {"clip_l", "", true, "a textual inversion embedding", NULL},
    {"ip_adapter.", "", true, "an IP-Adapter", NULL},
    {"image_proj.", "", true, "an IP-Adapter", NULL},
    {"adapter.body.", "", true, "a T2I-Adapter", NULL},
    {"body.", ".rdb1.conv1.weight", true, "an upscaler (ESRGAN)", NULL},
    {"model.", ".RDB1.conv1.0.weight", true, "an upscaler (ESRGAN)", NULL},
    {"", ".RDB1.conv1.0.weight", true, "an upscaler (ESRGAN)", NULL},
    {"layers.", ".attn.relative_position_bias_table", true, "an upscaler (SwinIR)", NULL},
    {"", ".residual_group.blocks.0.attn.qkv.weight", true, "an upscaler (SwinIR)", NULL},
    {"vision_model.", "", true, "an image encoder", NULL},
    {"encoder.block.", ".SelfAttention.q.weight", true, "a T5 text encoder", NULL},
    {"down_blocks.", ".resnets.0.conv1.weight", true, "a UNet in diffusers' layout", "unet"},
    {"encoder.down_blocks.", "", true, "a VAE in diffusers' layout", "vae"},
    {"decoder.up_blocks.", "", true, "a VAE in diffusers' layout", "vae"},
    {"text_model.", "", true, "a text encoder alone", "text_encoder"},
    {"input_blocks.", "", true, "a UNet alone", "unet"},
    {"decoder.up.", "", true, "a VAE alone", "vae"},
    {"first_stage_model.", "", true, "a VAE without a UNet", "vae"},
    {"decoder.layers.", "", true, "a tiny autoencoder (TAESD)", NULL},
    {"taesd_decoder.", "", true, "a tiny autoencoder (TAESD)", NULL},
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

/* role: that it can have in what is expected; NULL: none. */
static void fail_as(const tg__weight *tensor, const char *what, const char *where,
                    const char *expected, const char *role, tg__error *error)
{
    char name[160];
    tg__fail(error, TG_ERROR_UNSUPPORTED, "%s: holds %s, as %s tells; expected %s%s%s%s", where,
             what, tg__printable(name, sizeof name, tensor->name), expected,
             role ? " (and this as its " : "", role ? role : "", role ? ")" : "");
}

/* whole: a model is expected, not a network. */
static void refuse_others(const tg__safetensors *file, bool has_unet, const char *where,
                          const char *expected, bool whole, tg__error *error)
{
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const other *o = &others[i];
        const tg__weight *tensor;
        if (o->without_unet && has_unet)
            continue;
        tensor = find_like(file, o->start, o->end);
        if (!tensor)
            continue;
        fail_as(tensor, o->what, where, expected, whole ? o->role : NULL, error);
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

/* ------------------------------------------------------------------------------ finding networks
 */

static const home *home_of(const char *role)
{
    for (int i = 0; i < HOMES; i++)
        if (strcmp(homes[i].role, role) == 0)
            return &homes[i];
    return NULL;
}

static bool set_prefix(tg__place *place, const char *prefix, size_t length, bool own)
{
    if (length >= sizeof place->prefix)
        return false;
    memcpy(place->prefix, prefix, length);
    place->prefix[length] = '\0';
    place->own = own;
    return true;
}

/* What comes before the anchor in a name, length in *length; false if that is not its end, or if
 * the anchor does not begin a word. */
static bool before_anchor(const home *h, const char *name, size_t stem, size_t *length)
{
    size_t n = strlen(name), tail = strlen(h->anchor), word = strlen(h->between);
    if (n < stem + tail || strcmp(name + n - tail, h->anchor) != 0)
        return false;
    n -= tail;
    if (word && n >= stem + word && memcmp(name + n - word, h->between, word) == 0)
        n -= word;
    *length = n;
    return n == 0 || name[n - 1] == '.';
}

/* Of several the one whose name is the last in the alphabet: text_model's. */
static bool find_deep(tg__place *place, const tg__safetensors *file, const home *h,
                      const char *stem)
{
    const char *best = NULL;
    size_t length, best_length = 0, skip = strlen(stem);
    for (size_t i = 0, n = tg__safetensors_count(file); i < n; i++) {
        const char *name = tg__safetensors_at(file, i)->name;
        if (strncmp(name, stem, skip) == 0 && before_anchor(h, name, skip, &length) &&
            (!best || strcmp(name, best) > 0)) {
            best = name;
            best_length = length;
        }
    }
    return best && set_prefix(place, best, best_length, false);
}

/* The network behind a stem, under its class's own names or the original ones. */
static bool find_behind(tg__place *place, const tg__safetensors *file, const home *h,
                        const tg__network_class *class, const char *stem)
{
    if (class->anchor && has(file, stem, class->anchor))
        return set_prefix(place, stem, strlen(stem), true);
    if (!h || !class->original_name)
        return false;
    if (h->deep)
        return find_deep(place, file, h, stem);
    return has(file, stem, h->anchor) && set_prefix(place, stem, strlen(stem), false);
}

static bool find_network(tg__place *place, const tg__safetensors *file, const home *h,
                         const tg__network_class *class)
{
    for (int i = h ? (int)(sizeof h->stems / sizeof *h->stems) - 1 : -1; i >= 0; i--)
        if (h->stems[i] && find_behind(place, file, h, class, h->stems[i]))
            return true;
    return false;
}

tg_status tg__place_in_checkpoint(tg__place *place, const tg__single_file *single,
                                  const tg__network_class *class, const char *role,
                                  tg__error *error)
{
    const home *h = home_of(role);
    if (find_network(place, single->file, h, class))
        return TG_OK;
    if (!h)
        return tg__fail(error, TG_ERROR_UNSUPPORTED, "%s: there is no %s as %s", single->where,
                        role, class->names[0]);
    const char *dots = h->deep ? "…" : "";
    return tg__fail(error, TG_ERROR_FORMAT, "%s: there is no %s; expected %s%s%s%s%s%s%s%s",
                    single->where, role, h->stems[0], dots, h->between, h->anchor,
                    h->stems[1] ? " or " : "", h->stems[1] ? h->stems[1] : "",
                    h->stems[1] ? dots : "", h->stems[1] ? h->anchor : "");
}

tg_status tg__place_in_file(tg__place *place, const tg__safetensors *file, const char *where,
                            const tg__network_class *class, const char *role, tg__error *error)
{
    const home *h = home_of(role);
    const char *title = h ? h->title : class->names[0];
    if (find_behind(place, file, NULL, class, "") || find_network(place, file, h, class) ||
        find_behind(place, file, h, class, ""))
        return TG_OK;
    refuse_others(file, false, where, title, false, error);
    return tg__fail(error, TG_ERROR_FORMAT, "%s: there is no %s in it, expected %s%s%s%s", where,
                    class->anchor ? class->anchor : class->names[0], title,
                    h ? " (or the original " : "", h ? h->anchor : "", h ? ")" : "");
}

/* ------------------------------------------------------------------------------ kinds of
 * checkpoint */

static const tg__single_file_kind *kind_of_width(int64_t context)
{
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].context == context)
            return &kinds[i];
    return NULL;
}

/* The kind that a checkpoint with any width of text is most like. */
static const tg__single_file_kind *likely_kind(const tg__safetensors *file, bool second)
{
    tg__place place;
    if (second)
        return &kinds[SDXL];
    bool found = find_network(&place, file, home_of("text_encoder"), &tg__clip_text_class);
    return &kinds[found && has(file, place.prefix, "token_embedding.weight") ? SD2 : SD1];
}

/* UNets that are told something besides noise, time and text. */
static void refuse_labels(const tg__safetensors *file, int64_t context, const char *where,
                          tg__error *error)
{
    enum { REFINER = 1280 };
    const tg__weight *label = find_like(file, UNET "label_emb.", "");
    const char *what = context == REFINER ? "the refiner of Stable Diffusion XL"
                       : context == 1024  ? "an unCLIP model"
                                          : "a UNet that takes a class besides the text";
    if (label)
        fail_as(label, what, where, MODEL, NULL, error);
}

static void find_kind(tg__single_file *single, bool own_configs, tg__error *error)
{
    const tg__safetensors *file = single->file;
    int64_t context = context_width(file);
    bool second = find_like(file, "conditioner.embedders.1.", "") != NULL;
    const tg__single_file_kind *kind = kind_of_width(context);
    if (second || kind == &kinds[SDXL])
        kind = second && context != kinds[SDXL].context ? NULL : kind;
    else
        refuse_labels(file, context, single->where, error);
    if (!kind && own_configs)
        kind = likely_kind(file, second);
    single->kind = kind;
    if (!kind)
        tg__fail(
            error, TG_ERROR_UNSUPPORTED,
            "%s: the UNet attends to text %" PRId64 " wide, expected %s, or configs of its own",
            single->where, context, second ? "2048 (XL)" : "768 (1.x), 1024 (2.x) or 2048 (XL)");
}

tg_status tg__single_file_open(tg__single_file *single, const tg__safetensors *file,
                               const char *where, bool own_configs, tg__error *error)
{
    bool has_unet = has(file, UNET, "input_blocks.0.0.weight");
    *single = (tg__single_file){.file = file, .where = where};
    refuse_others(file, has_unet, where, MODEL, true, error);
    if (!has_unet)
        tg__fail(error, TG_ERROR_FORMAT,
                 "%s: there is no " UNET "input_blocks.0.0.weight; expected " MODEL, where);
    if (tg__failed(error))
        return error->status;
    refuse_pictures(file, where, error);
    find_kind(single, own_configs, error);
    return error->status;
}

/* --------------------------------------------------------------------------------- facts of a file
 */

/* diffusers' own mark of 2.x: how long the model of 512 pixels was trained. */
static bool is_base_of_2(const tg__safetensors *file)
{
    enum { STEPS = 875000 };
    const tg__weight *step = tg__safetensors_find(file, "global_step");
    int64_t value = 0;
    if (!step || strcmp(step->dtype_name, "I64") != 0 || step->bytes != sizeof value)
        return false;
    memcpy(&value, step->data, sizeof value);
    return value == STEPS;
}

tg__prediction tg__file_prediction(const tg__safetensors *file)
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
    tg__prediction found = {.zero_snr = tg__safetensors_find(file, "ztsnr") != NULL};
    for (size_t i = 0; i < sizeof keys / sizeof *keys && !found.type; i++) {
        const char *text = tg__safetensors_metadata(file, keys[i]);
        for (size_t j = 0; text && j < sizeof words / sizeof *words; j++)
            if (strcmp(text, words[j].word) == 0)
                found.type = words[j].prediction;
        if (text && !found.type && i == 0)
            found.unknown = text;
    }
    if (!found.type && (found.zero_snr || tg__safetensors_find(file, "v_pred")))
        found.type = "v_prediction";
    return found;
}

tg__prediction tg__single_file_prediction(const tg__single_file *single)
{
    const tg__single_file_kind *kind = single->kind;
    tg__prediction found = tg__file_prediction(single->file);
    if (!found.type && kind->both && is_base_of_2(single->file))
        found.type = "epsilon";
    if (!found.type) {
        found.type = kind->prediction;
        found.assumed = kind->both;
    }
    return found;
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
    const tg__single_file_part *part = single->kind->parts;
    while (part->role && strcmp(part->role, role) != 0)
        part++;
    return part->role ? part : NULL;
}
