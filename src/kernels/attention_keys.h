/* SPDX-License-Identifier: MIT */
/* Which keys count. pack takes along the keys that the mask leaves and no others, so that these
 * cost nothing and nothing of them can reach a result; run finds their numbers behind what is
 * packed. Of these keys each row sees the first few, all of them where attention is not causal. */
#ifndef TG_KERNELS_ATTENTION_KEYS_H
#define TG_KERNELS_ATTENTION_KEYS_H

#include <string.h>

#include "kernels/kernels.h"

typedef struct key_list {
    const int *rows; /* of k and v, ascending */
    int count;
    bool dense; /* they are neighbours */
} key_list;

/* Room for all keys' numbers, then how many there are. */
static inline size_t key_list_bytes(const tg__attention *a)
{
    return ((size_t)a->kv_rows + 1) * sizeof(int);
}

/* As key_list_find left it. */
static inline key_list key_list_at(const int *memory, const tg__attention *a)
{
    int count = memory[a->kv_rows];
    return (key_list){.rows = memory,
                      .count = count,
                      .dense = count == 0 || memory[count - 1] - memory[0] == count - 1};
}

static inline key_list key_list_find(int *memory, const tg__attention *a, int image)
{
    const uint8_t *mask = a->mask ? a->mask + (size_t)image * (size_t)a->kv_rows : NULL;
    int count = 0;
    for (int i = 0; i < a->kv_rows; i++)
        if (!mask || mask[i])
            memory[count++] = i;
    memory[a->kv_rows] = count;
    return key_list_at(memory, a);
}

/* How many keys each of `rows` query rows from `row` on sees. */
static inline void count_seen(int *sees, const key_list *keys, const tg__attention *a, int row,
                              int rows)
{
    int n = a->causal && row < keys->count ? row + 1 : keys->count;
    while (a->causal && n > 0 && keys->rows[n - 1] > row)
        n--;
    for (int i = 0; i < rows; i++) {
        while (n < keys->count && keys->rows[n] <= row + i)
            n++;
        sees[i] = n;
    }
}

/* Rows that see no key, the first of their piece, become 0. */
static inline void clear_unseeing(const tg__attention *a, const int *sees, int image, int head,
                                  int row, int rows)
{
    size_t size = a->bf16 ? sizeof(tg__bf16) : sizeof(float);
    for (int i = 0; i < rows && sees[i] == 0; i++) {
        size_t at = ((size_t)image * (size_t)a->q_rows + (size_t)(row + i)) * a->dst_stride;
        at += (size_t)head * (size_t)a->head_dim;
        memset((char *)a->dst + at * size, 0, (size_t)a->head_dim * size);
    }
}

#endif
