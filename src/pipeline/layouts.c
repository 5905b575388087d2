/* SPDX-License-Identifier: MIT */
/* The files of layouts/ become part of the library: the assembler reads them, so that no generated
 * source has to be kept up to date. */
#include "pipeline/layouts.h"

#include <string.h>

/* X(symbol, layout, title, name): every file. */
#define LAYOUT_MAP(X, id, layout, title)                                \
    X(id##_index, layout, title, "model_index.json")                    \
    X(id##_unet, layout, title, "unet/config.json")                     \
    X(id##_vae, layout, title, "vae/config.json")                       \
    X(id##_text_encoder, layout, title, "text_encoder/config.json")     \
    X(id##_scheduler, layout, title, "scheduler/scheduler_config.json") \
    X(id##_tokenizer, layout, title, "tokenizer/tokenizer_config.json") \
    X(id##_special_tokens, layout, title, "tokenizer/special_tokens_map.json")
#define FILE_MAP(X)                                                \
    LAYOUT_MAP(X, tg__layout_sd15, "sd15", "Stable Diffusion 1.5") \
    LAYOUT_MAP(X, tg__layout_sd21, "sd21", "Stable Diffusion 2.1")

/* The names are the assembler's, so C has to be told of them here rather than in a header. */
#define EMBED(symbol, layout, title, name)                                          \
    __asm__(".pushsection .rodata\n"                                                \
            ".globl " #symbol "\n.hidden " #symbol "\n" #symbol ":\n"               \
            ".incbin \"" TG_SHIPPED_DIR "/pipeline/layouts/" layout "/" name "\"\n" \
            ".globl " #symbol "_end\n.hidden " #symbol "_end\n" #symbol "_end:\n"   \
            ".byte 0\n"                                                             \
            ".popsection\n");                                                       \
    __attribute__((visibility("hidden"))) extern const char symbol[], symbol##_end[];
FILE_MAP(EMBED)

typedef struct embedded {
    const char *layout;
    const char *name;
    const char *where;
    const char *start, *end;
} embedded;

static const embedded files[] = {
#define EMBEDDED(symbol, layout, title, name) \
    {layout, name, name " of " title, symbol, symbol##_end},
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
