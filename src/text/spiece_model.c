/* SPDX-License-Identifier: MIT */
#include "text/spiece_model.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "text/token_source.h"

enum { MOST_PIECE_BYTES = 4096 };

/* ---------------------------------------------------------------------------- the wire's format */

/* A field: its number, and a number or bytes. */
typedef struct field {
    uint64_t number;
    int wire;
    uint64_t value;
    const char *bytes;
    size_t length;
} field;

typedef struct reader {
    const char *at, *end;
} reader;

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

static bool read_varint(reader *r, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        unsigned char byte = (unsigned char)*r->at++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool read_fixed(reader *r, int bytes, uint64_t *value)
{
    *value = 0;
    if (r->end - r->at < bytes)
        return false;
    for (int i = 0; i < bytes; i++)
        *value |= (uint64_t)(unsigned char)*r->at++ << 8 * i;
    return true;
}

static bool read_field(reader *r, field *f)
{
    uint64_t key;
    *f = (field){0};
    if (!read_varint(r, &key))
        return false;
    f->number = key >> 3;
    f->wire = (int)(key & 7);
    switch (f->wire) {
    case VARINT:
        return read_varint(r, &f->value);
    case FIXED64:
        return read_fixed(r, 8, &f->value);
    case FIXED32:
        return read_fixed(r, 4, &f->value);
    case BYTES:
        if (!read_varint(r, &f->value) || f->value > (uint64_t)(r->end - r->at))
            return false;
        f->bytes = r->at;
        f->length = (size_t)f->value;
        r->at += f->length;
        return true;
    default:
        return false;
    }
}

/* ----------------------------------------------------------------------------------- the messages
 */

static bool read_piece(const field *message, tg__spiece *piece)
{
    reader r = {message->bytes, message->bytes + message->length};
    field f;
    *piece = (tg__spiece){.type = TG__SPIECE_NORMAL};
    while (r.at < r.end) {
        if (!read_field(&r, &f))
            return false;
        if (f.number == 1 && f.wire == BYTES) {
            piece->text = f.bytes;
            piece->length = f.length;
        } else if (f.number == 2 && f.wire == FIXED32) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&piece->score, &bits, sizeof bits);
        } else if (f.number == 3 && f.wire == VARINT) {
            piece->type = f.value >= TG__SPIECE_NORMAL && f.value <= TG__SPIECE_BYTE
                              ? (tg__spiece_type)f.value
                              : TG__SPIECE_NORMAL;
        }
    }
    return true;
}

static bool read_trainer(const field *message, tg__spiece_model *model)
{
    reader r = {message->bytes, message->bytes + message->length};
    field f;
    while (r.at < r.end) {
        if (!read_field(&r, &f))
            return false;
        if (f.number == 3 && f.wire == VARINT)
            model->type = f.value <= 4 ? (int)f.value : 0;
    }
    return true;
}

static bool read_normalizer(const field *message, tg__spiece_model *model)
{
    reader r = {message->bytes, message->bytes + message->length};
    field f;
    while (r.at < r.end) {
        if (!read_field(&r, &f))
            return false;
        if (f.number == 2 && f.wire == BYTES) {
            model->charsmap = f.bytes;
            model->charsmap_bytes = f.length;
        }
    }
    return true;
}

static tg_status add_piece(tg__spiece_model *m, const tg__spiece *piece, const char *where,
                           tg__error *error)
{
    bool text = piece->length > 0 && piece->length <= MOST_PIECE_BYTES &&
                !memchr(piece->text, '\0', piece->length);
    if (!text || !isfinite(piece->score))
        return tg__fail(error, TG_ERROR_FORMAT,
                        "%s: piece %zu is %zu bytes long with the score %g, expected 1 to %d "
                        "without a zero byte and a finite score",
                        where, m->count, piece->length, (double)piece->score, MOST_PIECE_BYTES);
    if (m->count >= TG__TOKEN_ID_LIMIT)
        return tg__fail(error, TG_ERROR_FORMAT, "%s: has more than %d pieces", where,
                        TG__TOKEN_ID_LIMIT);
    if (!tg__grow((void **)&m->pieces, m->count, &m->room, sizeof *m->pieces))
        return tg__fail_memory(error);
    m->pieces[m->count++] = *piece;
    return TG_OK;
}

static tg_status read_all(tg__spiece_model *m, const char *where, tg__error *error)
{
    reader r = {m->data, m->data + m->bytes};
    while (r.at < r.end) {
        field f;
        tg__spiece piece;
        size_t at = (size_t)(r.at - m->data);
        bool ok = read_field(&r, &f), message = ok && f.wire == BYTES;
        if (message && f.number == 1) {
            ok = read_piece(&f, &piece);
            if (ok && add_piece(m, &piece, where, error) != TG_OK)
                return error->status;
        } else if (message && f.number == 2) {
            ok = read_trainer(&f, m);
        } else if (message && f.number == 3) {
            ok = read_normalizer(&f, m);
        }
        if (!ok)
            return tg__fail(error, TG_ERROR_FORMAT,
                            "%s: is cut off or damaged at byte %zu of %zu, expected a "
                            "sentencepiece model",
                            where, at, m->bytes);
    }
    return TG_OK;
}

tg_status tg__spiece_model_read(tg__spiece_model *m, const char *data, size_t bytes,
                                const char *where, tg__error *error)
{
    enum { UNIGRAM = 1 };
    static const char *const types[] = {"unknown", "unigram", "bpe", "word", "char"};
    *m = (tg__spiece_model){.data = data, .bytes = bytes, .type = UNIGRAM};
    if (read_all(m, where, error) != TG_OK)
        return error->status;
    if (m->count == 0)
        return tg__fail(error, TG_ERROR_FORMAT, "%s: has no pieces, expected a sentencepiece model",
                        where);
    if (m->type != UNIGRAM)
        return tg__fail(error, TG_ERROR_UNSUPPORTED,
                        "%s: is a sentencepiece model of the type %s, expected unigram", where,
                        types[m->type]);
    size_t unknown = 0;
    for (size_t i = 0; i < m->count; i++)
        if (m->pieces[i].type == TG__SPIECE_UNKNOWN) {
            m->unknown = i;
            unknown++;
        }
    if (unknown != 1)
        return tg__fail(error, TG_ERROR_FORMAT, "%s: has %zu unknown pieces, expected one", where,
                        unknown);
    tg__charsmap map;
    return tg__charsmap_open(&map, m->charsmap, m->charsmap_bytes, where, error);
}

void tg__spiece_model_free(tg__spiece_model *model)
{
    free(model->pieces);
    *model = (tg__spiece_model){0};
}
