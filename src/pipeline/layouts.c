/* SPDX-License-Identifier: MIT */
/* The files of layouts/ become part of the library: the assembler reads them, so that no generated
 * source has to be kept up to date. */
#include "pipeline/layouts.h"

#include <string.h>

/* F(id, title, file, name) for each file of a layout: id is the layout's folder, file a word that
 * tells its files apart. */
#define PIPELINE(F, id, title)              \
    F(id, title, index, "model_index.json") \
    F(id, title, scheduler, "scheduler/scheduler_config.json")
#define NETWORK(F, id, title, role) F(id, title, role, #role "/config.json")
#define TOKENIZER(F, id, title, role)                           \
    F(id, title, role##_config, #role "/tokenizer_config.json") \
    F(id, title, role##_special, #role "/special_tokens_map.json")

/* What layouts of a pipeline class consist of. */
#define STABLE_DIFFUSION(F, id, title)  \
    PIPELINE(F, id, title)              \
    NETWORK(F, id, title, unet)         \
    NETWORK(F, id, title, vae)          \
    NETWORK(F, id, title, text_encoder) \
    TOKENIZER(F, id, title, tokenizer)

#define STABLE_DIFFUSION_XL(F, id, title) \
    STABLE_DIFFUSION(F, id, title)        \
    NETWORK(F, id, title, text_encoder_2) \
    TOKENIZER(F, id, title, tokenizer_2)

/* Every layout. */
#define FILE_MAP(F)                                   \
    STABLE_DIFFUSION(F, sd15, "Stable Diffusion 1.5") \
    STABLE_DIFFUSION(F, sd21, "Stable Diffusion 2.1") \
    STABLE_DIFFUSION_XL(F, sdxl, "Stable Diffusion XL")

/* The names are the assembler's, so C has to be told of them here rather than in a header. */
#define EMBED(id, title, file, name) EMBED_AS(tg__layout_##id##_##file, #id "/" name)
#define EMBED_AS(symbol, path)                                                    \
    __asm__(".pushsection .rodata\n"                                              \
            ".globl " #symbol "\n.hidden " #symbol "\n" #symbol ":\n"             \
            ".incbin \"" TG_SHIPPED_DIR "/pipeline/layouts/" path "\"\n"          \
            ".globl " #symbol "_end\n.hidden " #symbol "_end\n" #symbol "_end:\n" \
            ".byte 0\n"                                                           \
            ".popsection\n");                                                     \
    __attribute__((visibility("hidden"))) extern const char symbol[], symbol##_end[];
FILE_MAP(EMBED)

typedef struct embedded {
    const char *layout;
    const char *name;
    const char *where;
    const char *start, *end;
} embedded;

static const embedded files[] = {
#define EMBEDDED(id, title, file, name) \
    {#id, name, name " of " title, tg__layout_##id##_##file, tg__layout_##id##_##file##_end},
    FILE_MAP(EMBEDDED)};

bool tg__layout_find(const char *layout, const char *name, tg__layout_file *file)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        const embedded *f = &files[i];
        if (strcmp(f->layout, layout) != 0 || strcmp(f->name, name) != 0)
            continue;
        *file = (tg__layout_file){f->name, f->where, f->start, (size_t)(f->end - f->start)};
        return true;
    }
    return false;
}
