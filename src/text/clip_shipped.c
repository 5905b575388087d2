/* SPDX-License-Identifier: MIT */
/* The assembler reads clip/merges.txt, so that no generated source has to be kept up to date. */
#include "text/clip_shipped.h"

__asm__(".pushsection .rodata\n"
        ".globl tg__clip_merges\n.hidden tg__clip_merges\ntg__clip_merges:\n"
        ".incbin \"" TG_SHIPPED_DIR "/text/clip/merges.txt\"\n"
        ".globl tg__clip_merges_end\n.hidden tg__clip_merges_end\ntg__clip_merges_end:\n"
        ".byte 0\n"
        ".popsection\n");
/* The names are the assembler's, so C has to be told of them here rather than in a header. */
__attribute__((visibility("hidden"))) extern const char tg__clip_merges[], tg__clip_merges_end[];

const char *tg__clip_shipped_merges(size_t *length)
{
    *length = (size_t)(tg__clip_merges_end - tg__clip_merges);
    return tg__clip_merges;
}
