/* SPDX-License-Identifier: MIT */
#include "pipeline/bins.h"

#include <math.h>
#include <string.h>

/* The ratio as published, of height to width: rounded, so that it is not that of the sizes. */
typedef struct bin {
    double ratio;
    int h, w;
} bin;

/* clang-format off */
static const bin bins_256[] = {
    {0.25, 128, 512}, {0.28, 128, 464}, {0.32, 144, 448}, {0.33, 144, 432}, {0.35, 144, 416},
    {0.4, 160, 400}, {0.42, 160, 384}, {0.48, 176, 368}, {0.5, 176, 352}, {0.52, 176, 336},
    {0.57, 192, 336}, {0.6, 192, 320}, {0.68, 208, 304}, {0.72, 208, 288}, {0.78, 224, 288},
    {0.82, 224, 272}, {0.88, 240, 272}, {0.94, 240, 256}, {1.0, 256, 256}, {1.07, 256, 240},
    {1.13, 272, 240}, {1.21, 272, 224}, {1.29, 288, 224}, {1.38, 288, 208}, {1.46, 304, 208},
    {1.67, 320, 192}, {1.75, 336, 192}, {2.0, 352, 176}, {2.09, 368, 176}, {2.4, 384, 160},
    {2.5, 400, 160}, {3.0, 432, 144}, {4.0, 512, 128},
};

static const bin bins_512[] = {
    {0.25, 256, 1024}, {0.28, 256, 928}, {0.32, 288, 896}, {0.33, 288, 864}, {0.35, 288, 832},
    {0.4, 320, 800}, {0.42, 320, 768}, {0.48, 352, 736}, {0.5, 352, 704}, {0.52, 352, 672},
    {0.57, 384, 672}, {0.6, 384, 640}, {0.68, 416, 608}, {0.72, 416, 576}, {0.78, 448, 576},
    {0.82, 448, 544}, {0.88, 480, 544}, {0.94, 480, 512}, {1.0, 512, 512}, {1.07, 512, 480},
    {1.13, 544, 480}, {1.21, 544, 448}, {1.29, 576, 448}, {1.38, 576, 416}, {1.46, 608, 416},
    {1.67, 640, 384}, {1.75, 672, 384}, {2.0, 704, 352}, {2.09, 736, 352}, {2.4, 768, 320},
    {2.5, 800, 320}, {3.0, 864, 288}, {4.0, 1024, 256},
};

static const bin bins_1024[] = {
    {0.25, 512, 2048}, {0.28, 512, 1856}, {0.32, 576, 1792}, {0.33, 576, 1728}, {0.35, 576, 1664},
    {0.4, 640, 1600}, {0.42, 640, 1536}, {0.48, 704, 1472}, {0.5, 704, 1408}, {0.52, 704, 1344},
    {0.57, 768, 1344}, {0.6, 768, 1280}, {0.68, 832, 1216}, {0.72, 832, 1152}, {0.78, 896, 1152},
    {0.82, 896, 1088}, {0.88, 960, 1088}, {0.94, 960, 1024}, {1.0, 1024, 1024}, {1.07, 1024, 960},
    {1.13, 1088, 960}, {1.21, 1088, 896}, {1.29, 1152, 896}, {1.38, 1152, 832}, {1.46, 1216, 832},
    {1.67, 1280, 768}, {1.75, 1344, 768}, {2.0, 1408, 704}, {2.09, 1472, 704}, {2.4, 1536, 640},
    {2.5, 1600, 640}, {3.0, 1728, 576}, {4.0, 2048, 512},
};

static const bin bins_2048[] = {
    {0.25, 1024, 4096}, {0.26, 1024, 3968}, {0.27, 1024, 3840}, {0.28, 1024, 3712},
    {0.32, 1152, 3584}, {0.33, 1152, 3456}, {0.35, 1152, 3328}, {0.4, 1280, 3200},
    {0.42, 1280, 3072}, {0.48, 1408, 2944}, {0.5, 1408, 2816}, {0.52, 1408, 2688},
    {0.57, 1536, 2688}, {0.6, 1536, 2560}, {0.68, 1664, 2432}, {0.72, 1664, 2304},
    {0.78, 1792, 2304}, {0.82, 1792, 2176}, {0.88, 1920, 2176}, {0.94, 1920, 2048},
    {1.0, 2048, 2048}, {1.07, 2048, 1920}, {1.13, 2176, 1920}, {1.21, 2176, 1792},
    {1.29, 2304, 1792}, {1.38, 2304, 1664}, {1.46, 2432, 1664}, {1.67, 2560, 1536},
    {1.75, 2688, 1536}, {2.0, 2816, 1408}, {2.09, 2944, 1408}, {2.4, 3072, 1280},
    {2.5, 3200, 1280}, {2.89, 3328, 1152}, {3.0, 3456, 1152}, {3.11, 3584, 1152},
    {3.62, 3712, 1024}, {3.75, 3840, 1024}, {3.88, 3968, 1024}, {4.0, 4096, 1024},
};
/* clang-format on */

static const struct {
    const bin *bins;
    int count, sample_size;
} tables[] = {
    {bins_256, sizeof bins_256 / sizeof *bins_256, 32},
    {bins_512, sizeof bins_512 / sizeof *bins_512, 64},
    {bins_1024, sizeof bins_1024 / sizeof *bins_1024, 128},
    {bins_2048, sizeof bins_2048 / sizeof *bins_2048, 256},
};
enum { TABLES = sizeof tables / sizeof *tables };

bool tg__has_bins(int sample_size)
{
    for (int i = 0; i < TABLES; i++)
        if (tables[i].sample_size == sample_size)
            return true;
    return false;
}

void tg__bin_of(int sample_size, int h, int w, int *bin_h, int *bin_w)
{
    double ratio = (double)h / w, least = INFINITY;
    for (int i = 0; i < TABLES; i++) {
        if (tables[i].sample_size != sample_size)
            continue;
        for (int j = 0; j < tables[i].count; j++) {
            const bin *b = &tables[i].bins[j];
            if (!(fabs(b->ratio - ratio) < least)) /* of two the first */
                continue;
            least = fabs(b->ratio - ratio);
            *bin_h = b->h;
            *bin_w = b->w;
        }
    }
}

/* ------------------------------------------------------------------------------------- fitting */

/* One side of a picture: `from` pixels become `scaled`, of which those from `first` on are kept. */
typedef struct side {
    int from, scaled, first;
} side;

static side side_of(int from, int to, double ratio)
{
    int scaled = (int)(from * ratio);
    scaled = scaled < to ? to : scaled; /* where from * (to / from) rounds to less than to */
    return (side){from, scaled, (scaled - to) / 2};
}

/* Pixel i of the result lies between *before and the one behind it, at the weight *behind. In f32,
 * as torch has it. */
static void locate(const side *s, int i, int *before, int *step, float *behind)
{
    float scale = (float)s->from / (float)s->scaled;
    float at = scale * ((float)(i + s->first) + 0.5f) - 0.5f;
    at = at < 0 ? 0 : at;
    *before = (int)at < s->from - 1 ? (int)at : s->from - 1;
    *step = *before < s->from - 1 ? 1 : 0;
    *behind = at - (float)*before;
    *behind = *behind > 1 ? 1 : *behind;
}

static void fit_row(float *dst, int to_w, const side *columns, const float *above,
                    const float *below, float down)
{
    for (int i = 0; i < to_w; i++) {
        int at, step;
        float right;
        locate(columns, i, &at, &step, &right);
        float upper = (1 - right) * above[at] + right * above[at + step];
        float lower = (1 - right) * below[at] + right * below[at + step];
        dst[i] = (1 - down) * upper + down * lower;
    }
}

void tg__fit_picture(float *dst, int to_h, int to_w, const float *src, int channels, int h, int w)
{
    double by_h = (double)to_h / h, by_w = (double)to_w / w, ratio = by_h > by_w ? by_h : by_w;
    side rows = side_of(h, to_h, ratio), columns = side_of(w, to_w, ratio);
    if (h == to_h && w == to_w) {
        memcpy(dst, src, (size_t)channels * (size_t)h * (size_t)w * sizeof *dst);
        return;
    }
    for (int c = 0; c < channels; c++, src += (size_t)h * (size_t)w)
        for (int i = 0; i < to_h; i++, dst += to_w) {
            int at, step;
            float down;
            locate(&rows, i, &at, &step, &down);
            const float *above = src + (size_t)at * (size_t)w;
            fit_row(dst, to_w, &columns, above, above + (size_t)step * (size_t)w, down);
        }
}
