/* SPDX-License-Identifier: MIT */
/* All kernels in plain C: the oracle of the tests, and the path that sanitizers can follow. Simple
 * and exact before fast; sums are doubles. */
#include <math.h>

#include "kernels/kernels.h"

static float get(const void *p, size_t i, bool bf16)
{
    return bf16 ? tg__from_bf16(((const tg__bf16 *)p)[i]) : ((const float *)p)[i];
}

static void put(void *p, size_t i, double x, bool bf16)
{
    if (bf16)
        ((tg__bf16 *)p)[i] = tg__to_bf16((float)x);
    else
        ((float *)p)[i] = (float)x;
}

/* ---------------------------------------------------------------------------------- attention */

enum { QUERY_BLOCK = 32 };

static size_t packed_bytes(const tg__attention *a)
{
    (void)a;
    return 0;
}

/* The weights of one row's keys and the sums of its output. */
static size_t scratch_bytes(const tg__attention *a)
{
    return ((size_t)a->kv_rows + (size_t)a->head_dim) * sizeof(double);
}

static void pack(void *packed, const tg__attention *a, int image, int head)
{
    (void)packed, (void)a, (void)image, (void)head;
}

static double score_of(const tg__attention *a, size_t q, size_t k)
{
    double score = 0;
    for (size_t c = 0; c < (size_t)a->head_dim; c++)
        score += (double)get(a->q, q + c, a->bf16) * (double)get(a->k, k + c, a->bf16);
    return score * (double)a->scale;
}

/* Softmax of one row's scores over the first `keys` keys, from k on; returns the weights' sum. */
static double attention_weights(double *weights, const tg__attention *a, size_t q, size_t k,
                                int keys, const uint8_t *mask, const float *bias)
{
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < keys; i++, k += a->k_stride) {
        if (mask && !mask[i])
            continue;
        weights[i] = score_of(a, q, k) + (bias ? (double)bias[i] : 0);
        top = weights[i] > top ? weights[i] : top;
    }
    for (int i = 0; i < keys; i++) {
        weights[i] = mask && !mask[i] ? 0 : exp(weights[i] - top);
        sum += weights[i];
    }
    return sum;
}

static void attend_row(const tg__attention *a, double *scratch, size_t image, size_t head,
                       size_t row)
{
    size_t q_row = image * (size_t)a->q_rows + row, kv_rows = (size_t)a->kv_rows;
    size_t head_dim = (size_t)a->head_dim, first = head * head_dim;
    size_t v = image * kv_rows * a->v_stride + first;
    int keys = a->causal && row < kv_rows ? (int)row + 1 : a->kv_rows;
    const uint8_t *mask = a->mask ? a->mask + image * kv_rows : NULL;
    const float *bias = a->bias ? a->bias + (head * (size_t)a->q_rows + row) * kv_rows : NULL;
    double *weights = scratch, *sums = scratch + kv_rows;
    double total = attention_weights(weights, a, q_row * a->q_stride + first,
                                     image * kv_rows * a->k_stride + first, keys, mask, bias);
    for (size_t c = 0; c < head_dim; c++)
        sums[c] = 0;
    for (int i = 0; i < keys; i++, v += a->v_stride) {
        if (mask && !mask[i])
            continue;
        for (size_t c = 0; c < head_dim; c++)
            sums[c] += weights[i] * (double)get(a->v, v + c, a->bf16);
    }
    for (size_t c = 0; c < head_dim; c++)
        put(a->dst, q_row * a->dst_stride + first + c, total == 0 ? 0 : sums[c] / total, a->bf16);
}

static void attend(const tg__attention *a, const void *packed, void *scratch, int image, int head,
                   int row, int rows)
{
    (void)packed;
    for (int i = row; i < row + rows; i++)
        attend_row(a, scratch, (size_t)image, (size_t)head, (size_t)i);
}

/* -------------------------------------------------------------------------------------- norms */

/* The vector of g is in x and in the shift alike, and so in neither. */
static void sum_source(double *sums, double *squares, const void *src, size_t c, size_t row,
                       size_t rows, bool bf16)
{
    for (size_t i = row * c; i < (row + rows) * c; i++) {
        double x = (double)get(src, i, bf16) - (double)get(src, i % c, bf16);
        sums[i % c] += x;
        squares[i % c] += x * x;
    }
}

static void group_norm_sums(double *sums, const tg__group_norm *g, size_t row, size_t rows)
{
    size_t a_c = (size_t)g->a_c, b_c = (size_t)g->b_c, c = a_c + b_c;
    memset(sums, 0, 2 * c * sizeof *sums);
    sum_source(sums, sums + c, g->a, a_c, row, rows, g->bf16);
    sum_source(sums + a_c, sums + c + a_c, g->b, b_c, row, rows, g->bf16);
}

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static void group_norm_apply(const tg__group_norm *g, const float *scale, const float *offset,
                             size_t row, size_t rows)
{
    size_t a_c = (size_t)g->a_c, b_c = (size_t)g->b_c, c = a_c + b_c;
    for (size_t end = row + rows; row < end; row++) {
        for (size_t i = 0; i < c; i++) {
            float x = i < a_c ? get(g->a, row * a_c + i, g->bf16)
                              : get(g->b, row * b_c + i - a_c, g->bf16);
            double y = (double)x * (double)scale[i] + (double)offset[i];
            put(g->dst, row * c + i, g->silu ? y * sigmoid(y) : y, g->bf16);
        }
    }
}

static void layer_norm(void *dst, const void *src, size_t rows, int c, const float *weight,
                       const float *bias, float eps, bool bf16)
{
    size_t n = (size_t)c;
    for (size_t row = 0; row < rows; row++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < n; i++)
            sum += (double)get(src, row * n + i, bf16);
        double mean = sum / c;
        for (size_t i = 0; i < n; i++) {
            double x = (double)get(src, row * n + i, bf16) - mean;
            squares += x * x;
        }
        double factor = 1 / sqrt(squares / c + (double)eps);
        for (size_t i = 0; i < n; i++) {
            double y = ((double)get(src, row * n + i, bf16) - mean) * factor;
            y = y * (weight ? (double)weight[i] : 1) + (bias ? (double)bias[i] : 0);
            put(dst, row * n + i, y, bf16);
        }
    }
}

static void rms_norm(void *dst, const void *src, size_t rows, int c, const float *weight, float eps,
                     bool bf16)
{
    size_t n = (size_t)c;
    for (size_t first = 0; first < rows * n; first += n) {
        double squares = 0;
        for (size_t i = first; i < first + n; i++)
            squares += (double)get(src, i, bf16) * (double)get(src, i, bf16);
        double factor = 1 / sqrt(squares / c + (double)eps);
        for (size_t i = 0; i < n; i++)
            put(dst, first + i,
                (double)get(src, first + i, bf16) * factor * (weight ? (double)weight[i] : 1),
                bf16);
    }
}

/* -------------------------------------------------------------------------------- elementwise */

static double gelu_of(double x) { return 0.5 * x * erfc(-x * 0.70710678118654752); }

/* As x times a sigmoid, which does not cancel where the tangent is near -1. */
static double gelu_tanh_of(double x)
{
    return x * sigmoid(2 * 0.79788456080286536 * (x + 0.044715 * x * x * x));
}

static void gated(void *dst, const void *src, size_t rows, int c, bool bf16,
                  double (*function)(double))
{
    size_t n = (size_t)c;
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < n; i++) {
            double x = (double)get(src, row * 2 * n + i, bf16);
            double gate = (double)get(src, (row * 2 + 1) * n + i, bf16);
            put(dst, row * n + i, x * function(gate), bf16);
        }
    }
}

static void geglu(void *dst, const void *src, size_t rows, int c, bool bf16)
{
    gated(dst, src, rows, c, bf16, gelu_of);
}

static void geglu_tanh(void *dst, const void *src, size_t rows, int c, bool bf16)
{
    gated(dst, src, rows, c, bf16, gelu_tanh_of);
}

static void gated_add(void *dst, const void *residual, const void *x, const float *gate,
                      size_t rows, int c, bool bf16)
{
    size_t n = (size_t)c;
    for (size_t i = 0; i < rows * n; i++)
        put(dst, i, (double)get(residual, i, bf16) + (double)get(x, i, bf16) * (double)gate[i % n],
            bf16);
}

static void add(void *dst, const void *a, const void *b, size_t n, bool bf16)
{
    for (size_t i = 0; i < n; i++)
        put(dst, i, (double)(get(a, i, bf16) + get(b, i, bf16)), bf16);
}

static void mean(void *dst, const void *a, const void *b, size_t n, bool bf16)
{
    for (size_t i = 0; i < n; i++)
        put(dst, i, (double)((get(a, i, bf16) + get(b, i, bf16)) * 0.5f), bf16);
}

static void silu(void *dst, const void *src, size_t n, bool bf16)
{
    for (size_t i = 0; i < n; i++) {
        double x = (double)get(src, i, bf16);
        put(dst, i, x * sigmoid(x), bf16);
    }
}

static void gelu(void *dst, const void *src, size_t n, bool bf16)
{
    for (size_t i = 0; i < n; i++)
        put(dst, i, gelu_of((double)get(src, i, bf16)), bf16);
}

static void gelu_tanh(void *dst, const void *src, size_t n, bool bf16)
{
    for (size_t i = 0; i < n; i++)
        put(dst, i, gelu_tanh_of((double)get(src, i, bf16)), bf16);
}

static void quick_gelu(void *dst, const void *src, size_t n, bool bf16)
{
    for (size_t i = 0; i < n; i++) {
        double x = (double)get(src, i, bf16);
        put(dst, i, x * sigmoid(1.702 * x), bf16);
    }
}

static void bf16_from_f32(tg__bf16 *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = tg__to_bf16(src[i]);
}

static void f32_from_bf16(float *dst, const tg__bf16 *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = tg__from_bf16(src[i]);
}

static void f32_from_f16(float *dst, const void *src, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint16_t x;
        memcpy(&x, (const char *)src + 2 * i, sizeof x);
        dst[i] = tg__from_f16(x);
    }
}

/* ----------------------------------------------------------------------------------- products */

/* dst += x * weight: the innermost loop of both products, over neighbours, which compilers turn
 * into vectors. */
static void add_scaled(float *restrict dst, const float *restrict weight, float x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] += x * weight[i];
}

static void set_bias(float *dst, const float *bias, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = bias ? bias[i] : 0;
}

static void conv2d_row(float *dst, const float *src, const float *weight, const float *bias, int h,
                       int w, int c, int dst_w, int dst_c, int k, int stride, int pad_top,
                       int pad_left, int y)
{
    size_t in = (size_t)c, out = (size_t)dst_c;
    for (int x = 0; x < dst_w; x++, dst += out) {
        set_bias(dst, bias, out);
        for (int tap = 0; tap < k * k; tap++) {
            int from_y = y * stride - pad_top + tap / k, from_x = x * stride - pad_left + tap % k;
            if (from_y < 0 || from_y >= h || from_x < 0 || from_x >= w)
                continue;
            const float *pixel = src + ((size_t)from_y * (size_t)w + (size_t)from_x) * in;
            for (size_t i = 0; i < in; i++)
                add_scaled(dst, weight + ((size_t)tap * in + i) * out, pixel[i], out);
        }
    }
}

static void range(float *low, float *high, const void *src, size_t n, bool bf16)
{
    for (size_t i = 0; i < n; i++) {
        float x = get(src, i, bf16);
        *low = x >= *low ? *low : x;
        *high = x <= *high ? *high : x;
        if (isnan(x))
            break;
    }
}

static void quantize(uint8_t *dst, const void *src, size_t n, float factor, float zero, bool bf16)
{
    for (size_t i = 0; i < n; i++) {
        float x = nearbyintf(fmaf(get(src, i, bf16), factor, zero));
        dst[i] = x >= 255 ? 255 : x > 0 ? (uint8_t)x : 0; /* 0 for what is not a number */
    }
}

/* One output of one row, `output` in the packed order. */
static double int8_value(const tg__int8_product *p, const uint8_t *src, size_t output, float scale,
                         int32_t zero)
{
    size_t block = output / TG__INT8_BLOCK * TG__INT8_BLOCK;
    const int8_t *weights = p->weights;
    weights += block * (size_t)p->taps * p->depth + output % TG__INT8_BLOCK * 4;
    int32_t sum = 0;
    for (int tap = 0; tap < p->taps; tap++)
        for (size_t k = 0; k < p->depth; k += 4, weights += 4 * TG__INT8_BLOCK)
            for (size_t i = 0; i < 4; i++)
                sum += src[p->tap[tap] + k + i] * weights[i];
    double value = (double)sum - zero * (double)p->weight_sum[output];
    return value * (double)scale * (double)p->weight_scale[output] +
           (p->bias ? (double)p->bias[output] : 0);
}

static void int8_product(const tg__int8_product *p, const uint8_t *src, const float *scale,
                         const int32_t *zero, size_t scale_step, size_t row, size_t rows, int block)
{
    size_t width = p->glu ? TG__INT8_BLOCK / 2 : TG__INT8_BLOCK, first = (size_t)block * width;
    size_t out = (size_t)p->out, count = out - first < width ? out - first : width;
    for (; rows > 0; rows--, src += p->step, scale += scale_step, zero += scale_step) {
        for (size_t i = 0; i < count; i++) {
            size_t output = (size_t)block * TG__INT8_BLOCK + i, at = row * out + first + i;
            double x = int8_value(p, src, output, *scale, *zero);
            if (p->glu)
                x *= gelu_of(int8_value(p, src, output + width, *scale, *zero));
            x += p->residual ? (double)get(p->residual, at, p->bf16) : 0;
            put(p->dst, at, x, p->bf16);
        }
        row += p->dst_step;
    }
}

static double peak(size_t rounds)
{
    enum { SUMS = 32 };
    float sums[SUMS] = {0}, total = 0;
    for (size_t round = 0; round < rounds; round++)
        for (int i = 0; i < SUMS; i++)
            sums[i] = sums[i] * 0.5f + 0.5f;
    for (int i = 0; i < SUMS; i++)
        total += sums[i];
    volatile float used = total; /* or the compiler drops all of it */
    (void)used;
    return (double)rounds * SUMS;
}

static void read_bytes(const void *data, size_t bytes)
{
    const uint64_t *from = data;
    for (size_t i = 0; i < bytes / sizeof *from; i += 4)
        __asm__ volatile("" ::"r"(from[i]), "r"(from[i + 1]), "r"(from[i + 2]), "r"(from[i + 3]));
}

void tg__kernels_init_c(tg__kernels *kernels)
{
    static const tg__attention_kernel attention = {packed_bytes, scratch_bytes, pack, attend,
                                                   QUERY_BLOCK};
    *kernels = (tg__kernels){
        .attention_f32 = attention,
        .attention_bf16 = attention,
        .group_norm_sums = group_norm_sums,
        .group_norm_apply = group_norm_apply,
        .layer_norm = layer_norm,
        .rms_norm = rms_norm,
        .gated_add = gated_add,
        .geglu = geglu,
        .geglu_tanh = geglu_tanh,
        .add = add,
        .mean = mean,
        .silu = silu,
        .gelu = gelu,
        .gelu_tanh = gelu_tanh,
        .quick_gelu = quick_gelu,
        .range = range,
        .quantize = quantize,
        .int8_product = int8_product,
        .bf16_from_f32 = bf16_from_f32,
        .f32_from_bf16 = f32_from_bf16,
        .f32_from_f16 = f32_from_f16,
        .conv2d_row = conv2d_row,
        .peak_f32 = peak,
        .peak_bf16 = peak,
        .read = read_bytes,
    };
}
