/* SPDX-License-Identifier: MIT */
#include "text/clip_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "text/clip_shipped.h"
#include "text/token_source.h"

/* The bytes' symbols come first in CLIP's vocabulary, then the merges' results. */
enum { FIRST_MERGE_ID = 512 };

static tg_status take_pieces(tg__bpe *bpe, tg__config *source, tg__error *error)
{
    const tg__json *vocabulary = tg__config_tree(source);
    if (vocabulary->count == 0)
        return tg__fail(error, TG_ERROR_FORMAT, "%s: is empty, expected pieces and their ids",
                        tg__config_where(source));
    for (uint32_t i = 0; i < vocabulary->count; i++) {
        const tg__json *item = &vocabulary->items[i];
        if (!tg__is_token_id(item))
            return tg__config_fail(source, item->key, item, TG__EXPECTED_TOKEN_ID);
        uint32_t piece = tg__pieces_number(&bpe->pieces, item->key, strlen(item->key), "", 0);
        if (piece == TG__NO_VALUE)
            return tg__fail_memory(error);
        bpe->pieces.at[piece].id = (int32_t)item->integer;
    }
    return TG_OK;
}

tg_status tg__clip_vocabulary_read(tg__bpe *bpe, const char *folder, tg__error *error)
{
    char where[TG__WHERE_BYTES];
    size_t length;
    tg__bpe_init(bpe, false, error);
    tg__config *source = tg__token_source_open(folder, "vocab.json", error);
    if (source)
        take_pieces(bpe, source, error);
    tg__config_close(source);
    if (tg__failed(error))
        return error->status;
    char *merges =
        tg__token_file_read(folder, "merges.txt", where, TG__MOST_TOKEN_FILE_BYTES, &length, error);
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
