/* SPDX-License-Identifier: MIT */
/* A file's content in the making. */
#ifndef TG_IO_BUFFER_H
#define TG_IO_BUFFER_H

#include "core/error.h"

/* All zero is an empty one. */
typedef struct tg__buffer {
    unsigned char *data;
    size_t bytes, room;
} tg__buffer;

/* Whether the bytes could be added; else the error says that memory lacks. */
bool tg__buffer_add(tg__buffer *buffer, const void *data, size_t bytes, tg__error *error);
/* The beginning of a public function that returns a file's content: whether it was told where to,
 * NULL and 0 there. */
bool tg__buffer_asked(void **data, size_t *bytes, tg__error *error);
/* The end of one: its content becomes the caller's (tg_free), NULL and 0 after an
 * error. The buffer is empty then. */
tg_status tg__buffer_hand_out(tg__buffer *buffer, void **data, size_t *bytes,
                              const tg__error *error);
void tg__buffer_free(tg__buffer *buffer);

#endif
