/* SPDX-License-Identifier: MIT */
/* For the tests of kernels: memory that ends at a page that cannot be touched and has canaries in
 * front, values in either format, and comparison. */
#ifndef TG_TEST_KERNEL_MEMORY_H
#define TG_TEST_KERNEL_MEMORY_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/dtype.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ULP 0x1p-24 /* half of one, relative: what rounding to f32 loses */
#define BF16_ULP 0x1p-8

enum { CANARY = 0xA5, ROOM = 256 }; /* canary bytes in front */

typedef struct block {
    char *map;
    size_t map_bytes, bytes;
    char *data; /* ends (but for alignment) where the forbidden page begins */
} block;

static inline block block_new(size_t bytes, size_t alignment)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (bytes + ROOM + alignment + page - 1) / page * page;
    block b = {.map_bytes = room + page, .bytes = bytes};
    b.map = mmap(NULL, b.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(b.map != MAP_FAILED);
    assert_int_equal(mprotect(b.map + room, page, PROT_NONE), 0);
    memset(b.map, CANARY, room);
    b.data = b.map + (room - bytes) / alignment * alignment;
    return b;
}

/* Nothing was written in front of the data or between its end and the forbidden page. */
static inline void block_check(const block *b)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (const char *p = b->map; p < b->map + b->map_bytes - page; p++)
        if (p < b->data || p >= b->data + b->bytes)
            assert_int_equal((unsigned char)*p, CANARY);
}

/* Checks and frees blocks. */
#define FINISH(...) finish(COUNT(((block *[]){__VA_ARGS__})), (block *[]){__VA_ARGS__})

static inline void finish(size_t n, block *all[])
{
    for (size_t i = 0; i < n; i++) {
        block_check(all[i]);
        munmap(all[i]->map, all[i]->map_bytes);
    }
}

static inline block values_new(size_t n, bool bf16)
{
    return block_new(n * (bf16 ? 2 : 4), bf16 ? 2 : 4);
}

static inline double value(const void *p, size_t i, bool bf16)
{
    return (double)(bf16 ? tg__from_bf16(((const tg__bf16 *)p)[i]) : ((const float *)p)[i]);
}

static inline void set_value(void *p, size_t i, double x, bool bf16)
{
    if (bf16)
        ((tg__bf16 *)p)[i] = tg__to_bf16((float)x);
    else
        ((float *)p)[i] = (float)x;
}

static uint32_t random_state = 1;

/* From -1 to 1. */
static inline double random_value(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (double)(random_state >> 8) * 0x1p-23 - 1;
}

static inline block random_block(size_t n, double mean, double spread, bool bf16)
{
    block b = values_new(n, bf16);
    for (size_t i = 0; i < n; i++)
        set_value(b.data, i, mean + spread * random_value(), bf16);
    return b;
}

static inline void check_close(double found, double expected, double tolerance, const char *what,
                               size_t i)
{
    if (isnan(expected) ? isnan(found) : found == expected || fabs(found - expected) <= tolerance)
        return;
    fail_msg("%s: value %zu is %.9g, expected %.9g within %.3g", what, i, found, expected,
             tolerance);
}

#endif
