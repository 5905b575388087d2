/* SPDX-License-Identifier: MIT */
#include "text/clip_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "text/clip_shipped.h"
#include "text/clip_source.h"

/* The bytes' symbols come first in CLIP's vocabulary, then the merges' results. */
enum { FIRST_MERGE_ID = 512 };

static tg_status take_pieces(tg__bpe *bpe, const tg__clip_source *source, tg__error *error)
{
    const tg__json *vocabulary = source->object;
    if (vocabulary->count == 0)
        return tg__fail(error, TG_ERROR_FORMAT, "%s: is empty, expected pieces and their ids",
                        source->where);
    for (uint32_t i = 0; i < vocabulary->count; i++) {
        const tg__json *item = &vocabulary->items[i];
        if (!tg__clip_is_id(item))
            return tg__clip_fail_value(source, item->key, item, TG__CLIP_EXPECTED_ID, error);
        uint32_t piece = tg__pieces_number(&bpe->pieces, item->key, strlen(item->key), "", 0);
        if (piece == TG__NO_VALUE)
            return tg__fail_memory(error);
        bpe->pieces.at[piece].id = (int32_t)item->integer;
    }
    return TG_OK;
}

tg_status tg__clip_vocabulary_read(tg__bpe *bpe, const char *folder, tg__error *error)
{
    tg__clip_source source;
    char where[TG__WHERE_BYTES];
    size_t length;
    tg__bpe_init(bpe, false, error);
    if (tg__clip_source_read(&source, folder, "vocab.json", error) == TG_OK)
        take_pieces(bpe, &source, error);
    tg__clip_source_free(&source);
    if (tg__failed(error))
        return error->status;
    char *merges = tg__clip_file_read(folder, "merges.txt", where, &length, error);
    if (merges)
        tg__bpe_read_merges(bpe, merges, length, -1, where, error);
    free(merges);
    return error->status;
}

tg_status tg__clip_vocabulary_shipped(tg__bpe *bpe, tg__error *error)
{
    size_t length;
    const char *merges = tg__clip_shipped_merges(&length);
    if (tg__bpe_init(bpe, true, error) != TG_OK)
        return error->status;
    return tg__bpe_read_merges(bpe, merges, length, FIRST_MERGE_ID, "CLIP's merges", error);
}
