/* SPDX-License-Identifier: MIT */
/* Noise that equals torch's for the same seed, with two generators.
 *
 * torch.Generator("cpu") is a Mersenne twister. torch draws 16 normals or more in single precision
 * with vector code, fewer in double precision one pair at a time; the two agree in nothing but the
 * words they consume, so both are here. The words and the uniforms made from them are exact. The
 * logarithm, sine and cosine are those of the C library in double precision, rounded once: nearer
 * to the truth than torch's own, and the same on every machine but for a rare last bit.
 *
 * The CUDA stream is counter-based (Philox): every element of every draw stands by itself.
 *
 * Matsumoto and Nishimura, "Mersenne twister", 1998; Salmon et al., "Parallel random numbers: as
 * easy as 1, 2, 3", 2011; Box and Muller, 1958. */
#include "core/rng.h"

#include <math.h>

#define TWO_PI 6.283185307179586476925

/* --------------------------------------------------------------------------- Mersenne twister */

enum { MT_WORDS = 624, MT_SHIFT = 397 };

static void mt_seed(tg__rng *rng, uint32_t seed)
{
    rng->mt[0] = seed;
    for (uint32_t i = 1; i < MT_WORDS; i++)
        rng->mt[i] = 1812433253u * (rng->mt[i - 1] ^ rng->mt[i - 1] >> 30) + i;
    rng->mt_at = MT_WORDS;
}

static void mt_refill(tg__rng *rng)
{
    uint32_t *mt = rng->mt;
    for (int i = 0; i < MT_WORDS; i++) {
        uint32_t joined = (mt[i] & 0x80000000u) | (mt[(i + 1) % MT_WORDS] & 0x7FFFFFFFu);
        uint32_t twisted = joined >> 1 ^ (joined & 1 ? 0x9908B0DFu : 0);
        mt[i] = mt[(i + MT_SHIFT) % MT_WORDS] ^ twisted;
    }
    rng->mt_at = 0;
}

static uint32_t mt_next(tg__rng *rng)
{
    if (rng->mt_at >= MT_WORDS)
        mt_refill(rng);
    uint32_t x = rng->mt[rng->mt_at++];
    x ^= x >> 11;
    x ^= x << 7 & 0x9D2C5680u;
    x ^= x << 15 & 0xEFC60000u;
    return x ^ x >> 18;
}

/* [0, 1), as many bits as the type has. */
static float mt_uniform_f32(tg__rng *rng) { return (float)(mt_next(rng) & 0xFFFFFFu) * 0x1p-24f; }

static double mt_uniform_f64(tg__rng *rng)
{
    uint64_t high = mt_next(rng);
    uint64_t word = high << 32 | mt_next(rng);
    return (double)(word & 0x1FFFFFFFFFFFFFu) * 0x1p-53;
}

/* ------------------------------------------------------------------------- torch's CPU normals */

enum { BLOCK = 16 };

/* 16 uniforms become 16 normals: x[i] and x[i + 8] are a pair. */
static void box_muller_block(float x[BLOCK])
{
    for (int i = 0; i < BLOCK / 2; i++) {
        float u = 1 - x[i];                             /* (0, 1] */
        float theta = (float)TWO_PI * x[i + BLOCK / 2]; /* rounded here, as torch does */
        double radius = sqrt(-2 * log((double)u));
        x[i] = (float)(radius * cos((double)theta));
        x[i + BLOCK / 2] = (float)(radius * sin((double)theta));
    }
}

/* n >= BLOCK. What does not fill a block is made by drawing the last 16 anew, the end of the block
 * before it included. */
static void normal_blocks(tg__rng *rng, float *dst, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = mt_uniform_f32(rng);
    for (size_t i = 0; i + BLOCK <= n; i += BLOCK)
        box_muller_block(dst + i);
    if (n % BLOCK != 0) {
        float *last = dst + n - BLOCK;
        for (int i = 0; i < BLOCK; i++)
            last[i] = mt_uniform_f32(rng);
        box_muller_block(last);
    }
}

static double normal_f64(tg__rng *rng)
{
    if (rng->has_spare) {
        rng->has_spare = false;
        return rng->spare;
    }
    double theta = TWO_PI * mt_uniform_f64(rng);
    double radius = sqrt(-2 * log1p(-mt_uniform_f64(rng)));
    rng->spare = radius * sin(theta);
    rng->has_spare = true;
    return radius * cos(theta);
}

/* ------------------------------------------------------------------------------ CUDA's normals */

void tg__philox(uint32_t counter[4], uint64_t key)
{
    uint32_t low = (uint32_t)key, high = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)counter[0] * 0xD2511F53u;
        uint64_t b = (uint64_t)counter[2] * 0xCD9E8D57u;
        counter[0] = (uint32_t)(b >> 32) ^ counter[1] ^ low;
        counter[1] = (uint32_t)b;
        counter[2] = (uint32_t)(a >> 32) ^ counter[3] ^ high;
        counter[3] = (uint32_t)a;
        low += 0x9E3779B9u;
        high += 0xBB67AE85u;
    }
}

static float normal_philox(const tg__rng *rng, uint64_t element)
{
    uint32_t x[4] = {rng->draw, 0, (uint32_t)element, (uint32_t)(element >> 32)};
    tg__philox(x, rng->seed);
    double u = ((double)x[0] + 0.5) * 0x1p-32;
    double theta = ((double)x[1] + 0.5) * (TWO_PI * 0x1p-32);
    return (float)(sqrt(-2 * log(u)) * sin(theta));
}

/* ---------------------------------------------------------------------------------- interface */

void tg__rng_seed(tg__rng *rng, tg_rng kind, uint64_t seed)
{
    *rng = (tg__rng){.kind = kind, .seed = seed};
    if (kind == TG_RNG_TORCH_CPU)
        mt_seed(rng, (uint32_t)seed);
}

void tg__rng_normal(tg__rng *rng, float *dst, size_t n)
{
    if (rng->kind == TG_RNG_TORCH_CUDA) {
        for (size_t i = 0; i < n; i++)
            dst[i] = normal_philox(rng, i);
        rng->draw++;
    } else if (n >= BLOCK) {
        normal_blocks(rng, dst, n);
    } else {
        for (size_t i = 0; i < n; i++)
            dst[i] = (float)normal_f64(rng);
    }
}
