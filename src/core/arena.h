/* SPDX-License-Identifier: MIT */
/* Many small allocations with one lifetime; arrays that grow. */
#ifndef TG_CORE_ARENA_H
#define TG_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tg__arena {
    struct tg__arena_block *blocks;
} tg__arena;

/* Zeroed memory for count elements, aligned for any type; NULL if there is none. */
void *tg__arena_take(tg__arena *arena, size_t count, size_t size);
char *tg__arena_copy(tg__arena *arena, const char *text);
void tg__arena_free(tg__arena *arena);

/* Makes room for one more element in an array of count; its memory, which is malloc's, may move.
 * False if there is none. */
bool tg__grow(void **array, size_t count, size_t *room, size_t size);

#endif
