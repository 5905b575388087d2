/* SPDX-License-Identifier: MIT */
/* utf8proc decomposes and composes code points. Its own loop over a text would lose where they came
 * from, and sorts marks in quadratic time; here the text is cut wherever normalizing cannot reach
 * across, so that nearly every piece is one code point. */
#include "text/nfc.h"

#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "text/unicode.h"

enum {
    FIRST_UNSTABLE = 0x300, /* alone, code points below it are their own NFC */
    MOST_PARTS = 4,         /* of a canonical decomposition */
    CLASSES = 256,
};

typedef struct piece {
    int32_t *codes, *sorted;
    size_t room;
} piece;

static bool reserve(piece *p, size_t count)
{
    if (count <= p->room)
        return true;
    free(p->codes);
    free(p->sorted);
    p->codes = malloc(count * sizeof *p->codes);
    p->sorted = malloc(count * sizeof *p->sorted);
    p->room = p->codes && p->sorted ? count : 0;
    return p->room > 0;
}

static int combining_class(int32_t code) { return utf8proc_get_property(code)->combining_class; }

/* Stable, by combining class. sorted: room for count. */
static void sort_marks(int32_t *codes, int32_t *sorted, size_t count)
{
    size_t begins[CLASSES + 1] = {0};
    for (size_t i = 0; i < count; i++)
        begins[combining_class(codes[i]) + 1]++;
    for (int c = 1; c <= CLASSES; c++)
        begins[c] += begins[c - 1];
    for (size_t i = 0; i < count; i++)
        sorted[begins[combining_class(codes[i])]++] = codes[i];
    memcpy(codes, sorted, count * sizeof *codes);
}

static void sort_all_marks(piece *p, size_t count)
{
    for (size_t i = 0; i < count;) {
        size_t start = i++;
        if (combining_class(p->codes[start]) == 0)
            continue;
        while (i < count && combining_class(p->codes[i]) != 0)
            i++;
        if (i - start > 1)
            sort_marks(p->codes + start, p->sorted, i - start);
    }
}

/* Appends one piece, src[0, count); what precedes it spent before bytes. */
static bool normalize(tg__chars *dst, const tg__char *src, size_t count, uint32_t before, piece *p)
{
    size_t parts = 0;
    if (!reserve(p, MOST_PARTS * count))
        return false;
    for (size_t i = 0; i < count; i++) {
        int boundclass = 0;
        parts += (size_t)utf8proc_decompose_char(src[i].code, p->codes + parts, MOST_PARTS,
                                                 UTF8PROC_DECOMPOSE, &boundclass);
    }
    sort_all_marks(p, parts);
    parts = (size_t)utf8proc_normalize_utf32(p->codes, (utf8proc_ssize_t)parts,
                                             UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    for (size_t i = 0; i < parts; i++)
        if (!tg__chars_push(dst, p->codes[i], i + 1 < parts ? before : src[count - 1].end))
            return false;
    return true;
}

bool tg__nfc(tg__chars *dst, const tg__chars *src)
{
    piece p = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < src->count;) {
        size_t start = i++;
        while (i < src->count && tg__unicode_flags(src->at[i].code) & TG__JOINS)
            i++;
        if (i - start == 1 && src->at[start].code < FIRST_UNSTABLE)
            ok = tg__chars_push(dst, src->at[start].code, src->at[start].end);
        else
            ok = normalize(dst, src->at + start, i - start, tg__chars_before(src, start), &p);
    }
    free(p.codes);
    free(p.sorted);
    return ok;
}
