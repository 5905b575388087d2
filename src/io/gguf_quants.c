/* SPDX-License-Identifier: MIT */
#include "io/gguf_quants.h"

static float f16_at(const unsigned char *p) { return tg__from_f16((uint16_t)(p[0] | p[1] << 8)); }

/* f16 scale, 32 bytes. */
static void unpack_q8_0(float *dst, const unsigned char *block)
{
    float scale = f16_at(block);
    for (int i = 0; i < 32; i++)
        dst[i] = (float)(int8_t)block[2 + i] * scale;
}

/* Of eight groups the scales and minima, 6 bits each in 12 bytes. */
static void unpack_scales(const unsigned char packed[12], int scales[8], int minima[8])
{
    for (int i = 0; i < 4; i++) {
        int a = packed[i], b = packed[4 + i], c = packed[8 + i];
        scales[i] = a & 0x3F;
        minima[i] = b & 0x3F;
        scales[4 + i] = (c & 0x0F) | (a >> 2 & 0x30);
        minima[4 + i] = c >> 4 | (b >> 2 & 0x30);
    }
}

/* f16 scale, f16 minimum, 12 bytes of scales, [fifth bits of 32 bytes,] 128 bytes of nibbles. */
static void unpack_k(float *dst, const unsigned char *block, const unsigned char *high,
                     const unsigned char *low)
{
    float scale = f16_at(block), minimum = f16_at(block + 2);
    int scales[8], minima[8];
    unpack_scales(block + 4, scales, minima);
    for (int group = 0; group < 8; group++) {
        float d = scale * (float)scales[group], m = minimum * (float)minima[group];
        for (int i = 0; i < 32; i++) {
            int q = low[group / 2 * 32 + i] >> 4 * (group % 2) & 0x0F;
            if (high)
                q |= (high[i] >> group & 1) << 4;
            dst[group * 32 + i] = d * (float)q - m;
        }
    }
}

static void unpack_q4_k(float *dst, const unsigned char *block)
{
    unpack_k(dst, block, NULL, block + 16);
}

static void unpack_q5_k(float *dst, const unsigned char *block)
{
    unpack_k(dst, block, block + 16, block + 48);
}

/* 128 bytes of nibbles, 64 of two more bits each, 16 scales of a byte, f16 scale. */
static void unpack_q6_k(float *dst, const unsigned char *block)
{
    const unsigned char *low = block, *high = block + 128, *scales = block + 192;
    float scale = f16_at(block + 208);
    for (int i = 0; i < 256; i++) {
        int group = i / 32, half = group / 4, quarter = group % 4, at = i % 32;
        int q = low[half * 64 + quarter % 2 * 32 + at] >> 4 * (quarter / 2) & 0x0F;
        q |= (high[half * 32 + at] >> 2 * quarter & 3) << 4;
        dst[i] = scale * (float)(int8_t)scales[i / 16] * (float)(q - 32);
    }
}

static const tg__gguf_format formats[] = {
    {0, "F32", 1, 4, TG__F32, NULL},
    {1, "F16", 1, 2, TG__F16, NULL},
    {30, "BF16", 1, 2, TG__BF16, NULL},
    {8, "Q8_0", 32, 34, TG__F32, unpack_q8_0},
    {12, "Q4_K", 256, 144, TG__F32, unpack_q4_k},
    {13, "Q5_K", 256, 176, TG__F32, unpack_q5_k},
    {14, "Q6_K", 256, 210, TG__F32, unpack_q6_k},
    {.type = 2, .name = "Q4_0"},
    {.type = 3, .name = "Q4_1"},
    {.type = 6, .name = "Q5_0"},
    {.type = 7, .name = "Q5_1"},
    {.type = 9, .name = "Q8_1"},
    {.type = 10, .name = "Q2_K"},
    {.type = 11, .name = "Q3_K"},
    {.type = 15, .name = "Q8_K"},
    {.type = 16, .name = "IQ2_XXS"},
    {.type = 17, .name = "IQ2_XS"},
    {.type = 18, .name = "IQ3_XXS"},
    {.type = 19, .name = "IQ1_S"},
    {.type = 20, .name = "IQ4_NL"},
    {.type = 21, .name = "IQ3_S"},
    {.type = 22, .name = "IQ2_S"},
    {.type = 23, .name = "IQ4_XS"},
    {.type = 24, .name = "I8"},
    {.type = 25, .name = "I16"},
    {.type = 26, .name = "I32"},
    {.type = 27, .name = "I64"},
    {.type = 28, .name = "F64"},
    {.type = 29, .name = "IQ1_M"},
    {.type = 34, .name = "TQ1_0"},
    {.type = 35, .name = "TQ2_0"},
    {.type = 39, .name = "MXFP4"},
};

const tg__gguf_format *tg__gguf_format_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (formats[i].type == type)
            return &formats[i];
    return NULL;
}
