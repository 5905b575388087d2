/* SPDX-License-Identifier: MIT */
#include "attention_tiles_plain.h"

#include "kernels/avx512/vector.h"
#include "kernels/vector/math.h"
#include "tiles_plain.h"

static void tiles_begin(void)
{
    for (int i = 0; i < TILE_COUNT; i++)
        plain_configure(i, TILE_ROWS, TILE_ROW_BYTES);
}

static void tiles_end(void) { plain_release(); }

#define tile_zero plain_zero
#define tile_load plain_load
#define tile_store plain_store
#define tile_multiply plain_multiply

/* The instruction takes denormals as 0. */
static __m256i rounded(vec x)
{
    __mmask16 normal = _mm512_cmp_ps_mask(vec_abs(x), vec_set(FLT_MIN), _CMP_NLT_UQ);
    return vec_to_bf16(_mm512_maskz_mov_ps(normal, x));
}

static __m512i pairs_of(vec low, vec high)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(rounded(low)), rounded(high), 1);
}

static vec pairs_add(vec sum, __m512i pairs)
{
    vec even = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    vec odd = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
    return vec_add(vec_add(sum, odd), even);
}

#include "kernels/amx/attention_tiles.h"

const tg__attention_kernel *const attention_tiles_plain = &attention;
