/* SPDX-License-Identifier: MIT */
#ifndef TG_TEXT_CAPTION_TABLES_H
#define TG_TEXT_CAPTION_TABLES_H

#include <stddef.h>
#include <stdint.h>

/* Who takes "&name" for an entity. */
enum {
    TG__ENTITY_SEMICOLON = 1, /* html.unescape, with a semicolon behind it */
    TG__ENTITY_BARE = 2,      /* html.unescape, without */
    TG__ENTITY_SOUP = 4,      /* bs4 */
    TG__ENTITY_FTFY = 8,      /* ftfy, with a semicolon */
};

typedef struct tg__entity {
    const char *name;
    int32_t text[3]; /* zeros at the end are none */
    uint8_t flags;
} tg__entity;

typedef struct tg__code_run {
    int32_t first, last;
} tg__code_run;

typedef struct tg__code_map {
    int32_t code, text[3]; /* zeros at the end are none */
} tg__code_map;

extern const tg__entity tg__entities[];
extern const tg__code_run tg__decimals[];
extern const tg__code_map tg__widths[];
extern const size_t tg__entities_count, tg__decimals_count, tg__widths_count;

#endif
