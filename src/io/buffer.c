/* SPDX-License-Identifier: MIT */
#include "io/buffer.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 1 << 12 };

/* Room for so many more bytes. */
static bool grow(tg__buffer *b, size_t bytes)
{
    size_t needed, room = b->room ? b->room : FIRST_BYTES;
    if (__builtin_add_overflow(b->bytes, bytes, &needed))
        return false;
    if (b->data && needed <= b->room)
        return true;
    room = needed > 2 * room ? needed : 2 * room;
    unsigned char *larger = realloc(b->data, room);
    if (!larger)
        return false;
    b->data = larger;
    b->room = room;
    return true;
}

bool tg__buffer_add(tg__buffer *buffer, const void *data, size_t bytes, tg__error *error)
{
    if (!grow(buffer, bytes)) {
        tg__fail_memory(error);
        return false;
    }
    if (bytes > 0)
        memcpy(buffer->data + buffer->bytes, data, bytes);
    buffer->bytes += bytes;
    return true;
}

bool tg__buffer_asked(void **data, size_t *bytes, tg__error *error)
{
    if (data)
        *data = NULL;
    if (bytes)
        *bytes = 0;
    return tg__given(data, "data", error) && tg__given(bytes, "bytes", error);
}

tg_status tg__buffer_hand_out(tg__buffer *buffer, void **data, size_t *bytes,
                              const tg__error *error)
{
    if (tg__failed(error))
        tg__buffer_free(buffer);
    *data = buffer->data;
    *bytes = buffer->bytes;
    *buffer = (tg__buffer){0};
    return error->status;
}

void tg__buffer_free(tg__buffer *buffer)
{
    free(buffer->data);
    *buffer = (tg__buffer){0};
}
