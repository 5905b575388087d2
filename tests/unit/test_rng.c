/* SPDX-License-Identifier: MIT */
/* Noise against torch's own, and CUDA's stream against its definition
 * (tests/golden/make_rng.py). */
#include "core/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST_DRAWS = 16, MOST_VALUES = 1024 };

/* How many floats lie between two of them. */
static int64_t ulps_between(float a, float b)
{
    int32_t i, k;
    memcpy(&i, &a, sizeof i);
    memcpy(&k, &b, sizeof k);
    int64_t from = i < 0 ? -(int64_t)(i & INT32_MAX) : i;
    int64_t to = k < 0 ? -(int64_t)(k & INT32_MAX) : k;
    return llabs(from - to);
}

static bool close_to_torch(float found, float expected, size_t n)
{
    return ulps_between(found, expected) <= (n < 16 ? 1 : 4);
}

static bool close_to_cuda(float found, float expected, size_t n)
{
    (void)n;
    return fabsf(found - expected) <= 2e-6f;
}

static void read_or_fail(void *dst, size_t bytes, FILE *file)
{
    assert_int_equal(fread(dst, 1, bytes, file), bytes);
}

/* Every draw of every case, with canaries behind it. */
static void check_cases(const char *path, tg_rng kind, bool (*close)(float, float, size_t))
{
    uint64_t seed;
    int cases = 0;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    for (; fread(&seed, sizeof seed, 1, file) == 1; cases++) {
        uint32_t draws, sizes[MOST_DRAWS];
        read_or_fail(&draws, sizeof draws, file);
        assert_in_range(draws, 1, MOST_DRAWS);
        read_or_fail(sizes, draws * sizeof *sizes, file);
        tg__rng rng;
        memset(&rng, 0x55, sizeof rng);
        tg__rng_seed(&rng, kind, seed);
        for (uint32_t i = 0; i < draws; i++) {
            float expected[MOST_VALUES], found[MOST_VALUES + 1];
            assert_in_range(sizes[i], 0, MOST_VALUES);
            read_or_fail(expected, sizes[i] * sizeof *expected, file);
            found[sizes[i]] = 1234;
            tg__rng_normal(&rng, found, sizes[i]);
            assert_true(found[sizes[i]] == 1234);
            for (uint32_t k = 0; k < sizes[i]; k++)
                if (!close(found[k], expected[k], sizes[i]))
                    fail_msg("seed %llu draw %u of %u, element %u: %.9g, expected %.9g",
                             (unsigned long long)seed, i, sizes[i], k, (double)found[k],
                             (double)expected[k]);
        }
    }
    fclose(file);
    assert_int_not_equal(cases, 0);
}

static void test_cpu(void **state)
{
    (void)state;
    check_cases(TG_TEST_DATA "/golden/rng/cpu.bin", TG_RNG_TORCH_CPU, close_to_torch);
}

static void test_cuda(void **state)
{
    (void)state;
    check_cases(TG_TEST_DATA "/golden/rng/cuda.bin", TG_RNG_TORCH_CUDA, close_to_cuda);
}

static uint32_t tempered(uint32_t x)
{
    x ^= x >> 11;
    x ^= (x << 7) & 0x9D2C5680u;
    x ^= (x << 15) & 0xEFC60000u;
    return x ^ x >> 18;
}

/* The C++ standard (mt19937, [rand.predef]) says what the 10000th word for seed 5489 is. */
static void test_mersenne_twister(void **state)
{
    (void)state;
    static float values[10000];
    tg__rng rng;
    tg__rng_seed(&rng, TG_RNG_TORCH_CPU, 5489);
    tg__rng_normal(&rng, values, 10000);
    assert_int_equal(tempered(rng.mt[rng.mt_at - 1]), 4123659995u);
}

/* Random123's test vectors. */
static void test_philox(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4];
        uint64_t key;
        uint32_t expected[4];
    } cases[] = {
        {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         0xffffffffffffffff,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         0x299f31d0a4093822,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t words[4];
        memcpy(words, cases[i].counter, sizeof words);
        tg__philox(words, cases[i].key);
        assert_memory_equal(words, cases[i].expected, sizeof words);
    }
}

/* Whatever the generator was used for before: seeding it starts anew, without the spare. */
static void test_seeding_again(void **state)
{
    (void)state;
    static const tg_rng kinds[] = {TG_RNG_TORCH_CPU, TG_RNG_TORCH_CUDA};
    for (int i = 0; i < 2; i++) {
        float first[5], again[5];
        tg__rng rng;
        tg__rng_seed(&rng, kinds[i], 7);
        tg__rng_normal(&rng, first, 5);
        tg__rng_seed(&rng, kinds[i], 7);
        tg__rng_normal(&rng, again, 5);
        assert_memory_equal(first, again, sizeof first);
        tg__rng_normal(&rng, again, 5);
        assert_memory_not_equal(first, again, sizeof first);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpu),
        cmocka_unit_test(test_cuda),
        cmocka_unit_test(test_mersenne_twister),
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_seeding_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
