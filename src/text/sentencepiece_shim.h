/* SPDX-License-Identifier: MIT */
/* The sentencepiece library, for C. Nothing that it throws gets through. */
#ifndef TG_TEXT_SENTENCEPIECE_SHIM_H
#define TG_TEXT_SENTENCEPIECE_SHIM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tg__sentencepiece tg__sentencepiece;

typedef enum tg__sentencepiece_status {
    TG__SENTENCEPIECE_OK,
    TG__SENTENCEPIECE_MEMORY,
    TG__SENTENCEPIECE_FAILED,
} tg__sentencepiece_status;

/* model: a serialized ModelProto. A failure's reason goes to message, of `size` bytes. */
tg__sentencepiece_status tg__sentencepiece_open(tg__sentencepiece **processor, const void *model,
                                                size_t bytes, char *message, size_t size);
void tg__sentencepiece_close(tg__sentencepiece *processor); /* NULL is fine */

/* One piece, not zero-terminated; end: how many bytes of the text are spent with it. False: stop,
 * for want of memory. */
typedef bool (*tg__sentencepiece_take)(void *context, const char *piece, size_t length, size_t end);

/* Splits a text, which is UTF-8. Any thread. */
tg__sentencepiece_status tg__sentencepiece_encode(const tg__sentencepiece *processor,
                                                  const char *text, size_t length,
                                                  tg__sentencepiece_take take, void *context);

#ifdef __cplusplus
}
#endif

#endif
