/* SPDX-License-Identifier: MIT */
#include "io/patch.h"

typedef struct patched {
    tg__weight base;
    const tg__patch *patches;
    int count;
} patched;

static size_t row_of(const tg__weight *weight)
{
    size_t n = 1;
    for (int i = 1; i < weight->rank; i++)
        n *= (size_t)weight->shape[i];
    return n;
}

/* ----------------------------------------------------------------------------------- reading */

enum { PIECE = 512, RANKS = 64, AT_ONCE = 4, SHOWN_BYTES = 200 };

/* sum += factors[0] * rows[0] + … one after the other, so that the sum passes through registers
 * once for all. */
static void add_rows(float *sum, float rows[AT_ONCE][PIECE], const float factors[AT_ONCE], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float x = sum[i];
        for (int j = 0; j < AT_ONCE; j++)
            x += factors[j] * rows[j][i];
        sum[i] = x;
    }
}

/* sum += scale * up[row] @ down[:, at … at + n) */
static void add_patch(float *sum, const tg__patch *patch, size_t row, size_t at, size_t n,
                      const tg__conversions *c)
{
    float factors[RANKS], rows[AT_ONCE][PIECE];
    size_t rank = (size_t)patch->down.shape[0], length = row_of(&patch->down);
    for (size_t j = 0; j < rank; j += AT_ONCE) {
        size_t left = rank - j, here = j % RANKS;
        if (here == 0) {
            memset(factors, 0, sizeof factors);
            tg__weight_read(&patch->up, factors, TG__F32, row * rank + j,
                            left < RANKS ? left : RANKS, c);
            for (int i = 0; i < RANKS; i++)
                factors[i] *= patch->scale;
        }
        for (size_t i = 0; i < AT_ONCE; i++) {
            if (i < left)
                tg__weight_read(&patch->down, rows[i], TG__F32, (j + i) * length + at, n, c);
            else
                memset(rows[i], 0, n * sizeof *rows[i]);
        }
        add_rows(sum, rows, factors + here, n);
    }
}

static void read(const tg__weight *weight, void *dst, tg__dtype dtype, size_t first, size_t count,
                 const tg__conversions *c)
{
    const patched *p = weight->data;
    float sum[PIECE];
    size_t length = row_of(weight), n;
    for (size_t done = 0; done < count; done += n) {
        size_t row = (first + done) / length, at = (first + done) % length;
        n = count - done < PIECE ? count - done : PIECE;
        n = n < length - at ? n : length - at;
        tg__weight_read(&p->base, sum, TG__F32, first + done, n, c);
        for (int i = 0; i < p->count; i++)
            add_patch(sum, &p->patches[i], row, at, n, c);
        if (dtype == TG__BF16)
            c->bf16_from_f32((tg__bf16 *)dst + done, sum, n);
        else
            memcpy((float *)dst + done, sum, n * sizeof *sum);
    }
}

static void drop(const tg__weight *weight)
{
    const patched *p = weight->data;
    tg__weight_drop(&p->base);
    for (int i = 0; i < p->count; i++) {
        tg__weight_drop(&p->patches[i].up);
        tg__weight_drop(&p->patches[i].down);
    }
}

/* ---------------------------------------------------------------------------------- a new one */

static uint64_t scramble(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
    return x ^ x >> 31;
}

/* 127 bits of all that goes into it, and one that no counted identity has. */
static void mix(tg__identity *identity, uint64_t word)
{
    identity->source = scramble(identity->source + word) | UINT64_C(1) << 63;
    identity->at = scramble((identity->at ^ word) + UINT64_C(0x9E3779B97F4A7C15));
}

static tg__identity identify(const tg__weight *base, const tg__patch *patches, int count)
{
    tg__identity identity = {base->identity.source, base->identity.at};
    for (int i = 0; i < count; i++) {
        uint32_t scale;
        memcpy(&scale, &patches[i].scale, sizeof scale);
        const tg__identity up = patches[i].up.identity, down = patches[i].down.identity;
        const uint64_t words[] = {up.source, up.at, down.source, down.at, scale};
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            mix(&identity, words[w]);
    }
    return identity;
}

/* A matrix: what is behind the first dimension counts as one. */
static bool check_matrix(const tg__weight *weight, tg__error *error)
{
    char name[SHOWN_BYTES], shape[SHOWN_BYTES];
    if (weight->dtype == TG__OTHER)
        tg__fail(error, TG_ERROR_UNSUPPORTED,
                 "%s: %s is %s, expected F64, F32, F16, BF16 or plain F8", weight->file,
                 tg__printable(name, sizeof name, weight->name), weight->dtype_name);
    else if (weight->rank < 2)
        tg__fail(error, TG_ERROR_FORMAT, "%s: %s is %s, expected two dimensions or more",
                 weight->file, tg__printable(name, sizeof name, weight->name),
                 tg__show_shape(shape, sizeof shape, weight->rank, weight->shape));
    return weight->dtype != TG__OTHER && weight->rank >= 2;
}

static bool check_shape(const tg__weight *weight, int64_t rows, size_t row, const tg__weight *base,
                        tg__error *error)
{
    char name[SHOWN_BYTES], base_name[SHOWN_BYTES], shape[SHOWN_BYTES], base_shape[SHOWN_BYTES];
    if (weight->shape[0] == rows && row_of(weight) == row)
        return true;
    tg__fail(error, TG_ERROR_FORMAT, "%s: %s is %s, expected [%lld,%zu] for %s, which is %s",
             weight->file, tg__printable(name, sizeof name, weight->name),
             tg__show_shape(shape, sizeof shape, weight->rank, weight->shape), (long long)rows, row,
             tg__printable(base_name, sizeof base_name, base->name),
             tg__show_shape(base_shape, sizeof base_shape, base->rank, base->shape));
    return false;
}

static bool check(const tg__weight *base, const tg__patch *patch, tg__error *error)
{
    int64_t rank = patch->down.shape[0];
    return check_matrix(&patch->up, error) && check_matrix(&patch->down, error) &&
           check_shape(&patch->down, rank, row_of(base), base, error) &&
           check_shape(&patch->up, base->shape[0], (size_t)rank, base, error);
}

tg__weight tg__weight_patched(tg__arena *arena, const tg__weight *base, const tg__patch *patches,
                              int count, tg__error *error)
{
    static const tg__weight_source source = {read, drop};
    if (count == 0)
        return *base;
    if (!check_matrix(base, error))
        return (tg__weight){0};
    for (int i = 0; i < count; i++)
        if (!check(base, &patches[i], error))
            return (tg__weight){0};
    patched *p = tg__arena_take(arena, 1, sizeof *p);
    tg__patch *copies = tg__arena_take(arena, (size_t)count, sizeof *copies);
    if (!p || !copies) {
        tg__fail_memory(error);
        return (tg__weight){0};
    }
    memcpy(copies, patches, (size_t)count * sizeof *copies);
    *p = (patched){*base, copies, count};
    tg__weight weight = *base;
    weight.identity = identify(base, patches, count);
    weight.source = &source;
    weight.data = p;
    return weight;
}
