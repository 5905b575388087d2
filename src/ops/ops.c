/* SPDX-License-Identifier: MIT */
#include "ops/ops.h"

#include <math.h>

#include "ops/kinds.h"

enum { MAX_HEAD_DIM = 512 };

static const tg__tensor null_tensor;

/* Two tensors that an operator wants alike are not: our own fault or a config's. */
static void shape_error(tg__plan *plan, const char *name, tg__tensor a, tg__tensor b)
{
    tg__fail(tg__plan_error(plan), TG_ERROR_INTERNAL,
             "%s: %s: (%d, %d, %d, %d) does not go with (%d, %d, %d, %d)", tg__plan_network(plan),
             name, a.n, a.h, a.w, a.c, b.n, b.h, b.w, b.c);
}

/* A node that makes dst of x; NULL on a failed plan. */
static tg__node *record(tg__plan *plan, tg__kind kind, const char *name, const void *parameters,
                        size_t bytes, tg__tensor dst, tg__tensor x)
{
    tg__node *node =
        dst.id && x.id ? tg__plan_record(plan, (int)kind, name, parameters, bytes) : NULL;
    if (!node)
        return NULL;
    node->dst = dst;
    node->src[TG__X] = x;
    return node;
}

static tg__tensor like(tg__plan *plan, tg__tensor x)
{
    return tg__plan_tensor(plan, x.dtype, x.n, x.h, x.w, x.c);
}

static bool unusable(const tg__plan *plan, tg__tensor x) { return tg__plan_failed(plan) || !x.id; }

/* Whether v is a vector of `channels` (from first on) for each of x's images or for all of them. */
static bool is_vector_of(tg__slice v, tg__tensor x, int channels)
{
    return v.tensor.dtype == TG__F32 && (v.tensor.n == 1 || v.tensor.n == x.n) && v.tensor.h == 1 &&
           v.tensor.w == 1 && v.first >= 0 && v.first + channels <= v.tensor.c;
}

/* ------------------------------------------------------------- convolutions and linear layers */

static bool output_size(tg__plan *plan, tg__tensor x, const tg__product_parameters *p, int *h,
                        int *w)
{
    int kernel = p->layer->kernel, room = p->pad_before + p->pad_after - kernel;
    *h = x.h + room;
    *w = x.w + room;
    if (*h < 0 || *w < 0) {
        tg__fail(tg__plan_error(plan), TG_ERROR_ARGUMENT,
                 "%s: %s: a feature map of %d x %d is smaller than the kernel of %d x %d",
                 tg__plan_network(plan), p->layer->name, x.w, x.h, kernel, kernel);
        return false;
    }
    *h = *h / p->stride + 1;
    *w = *w / p->stride + 1;
    return true;
}

static tg__tensor product(tg__plan *plan, tg__tensor x, tg__tensor y, const tg__layer *layer,
                          tg__product_options o)
{
    tg__product_parameters p = {.layer = layer,
                                .stride = o.stride ? o.stride : 1,
                                .pad_before = o.own_padding ? o.pad_before : layer->kernel / 2,
                                .pad_after = o.own_padding ? o.pad_after : layer->kernel / 2,
                                .activation = o.activation,
                                .exact = o.exact};
    int h, w, c = tg__activation_halves(o.activation) ? layer->out / 2 : layer->out;
    if (unusable(plan, x) || !output_size(plan, x, &p, &h, &w))
        return null_tensor;
    if (x.c + y.c != layer->in || (y.id && (y.n != x.n || y.h != x.h || y.w != x.w)))
        shape_error(plan, layer->name, x, y.id ? y : (tg__tensor){.c = layer->in});
    tg__tensor dst =
        o.into.id ? o.into : tg__plan_tensor(plan, o.f32 ? TG__F32 : TG__ACTIVATIONS, x.n, h, w, c);
    size_t count = (size_t)x.n * (size_t)h * (size_t)w * (size_t)c;
    if (dst.id && (tg__count(dst) != count || (o.residual.id && tg__count(o.residual) != count)))
        shape_error(plan, layer->name, o.residual.id ? o.residual : dst,
                    (tg__tensor){.n = x.n, .h = h, .w = w, .c = c});
    tg__node *node = record(plan, TG__PRODUCT, layer->name, &p, sizeof p, dst, x);
    if (!node)
        return null_tensor;
    node->src[TG__Y] = y;
    node->src[TG__RESIDUAL] = o.residual;
    node->macs = (int64_t)x.n * h * w * layer->out * layer->in * layer->kernel * layer->kernel;
    return dst;
}

tg__tensor tg__conv2d(tg__plan *plan, tg__tensor x, const tg__layer *layer,
                      tg__product_options options)
{
    return product(plan, x, null_tensor, layer, options);
}

tg__tensor tg__linear(tg__plan *plan, tg__tensor x, const tg__layer *layer,
                      tg__product_options options)
{
    return product(plan, x, null_tensor, layer, options);
}

tg__tensor tg__conv2d_pair(tg__plan *plan, tg__tensor a, tg__tensor b, const tg__layer *layer)
{
    return product(plan, a, b, layer, (tg__product_options){.exact = true});
}

tg__tensor tg__upsample_conv2d(tg__plan *plan, tg__tensor x, const tg__layer *layer, int h, int w)
{
    return tg__conv2d(plan, tg__upsample(plan, layer->name, x, h, w), layer,
                      (tg__product_options){0});
}

/* -------------------------------------------------------------------------------------- norms */

tg__tensor tg__group_norm_op(tg__plan *plan, tg__tensor a, tg__tensor b, const tg__norm *norm,
                             tg__group_norm_options o)
{
    if (unusable(plan, a))
        return null_tensor;
    tg__group_norm_parameters p = {norm, o.groups, o.eps, o.silu};
    if (a.c + b.c != norm->c || norm->c % o.groups != 0 ||
        (b.id && (b.h != a.h || b.w != a.w || b.n != a.n)) ||
        (o.vector.id && !is_vector_of((tg__slice){o.vector, 0}, a, norm->c)) ||
        (o.modulate.id && !is_vector_of((tg__slice){o.modulate, 0}, a, 2 * norm->c)))
        shape_error(plan, norm->name, a, b);
    tg__tensor dst = tg__plan_tensor(plan, a.dtype, a.n, a.h, a.w, norm->c);
    tg__node *node = record(plan, TG__GROUP_NORM, norm->name, &p, sizeof p, dst, a);
    if (!node)
        return null_tensor;
    node->src[TG__Y] = b;
    node->src[TG__VECTOR] = o.vector;
    node->src[TG__MODULATE] = o.modulate;
    return dst;
}

static tg__tensor row_norm(tg__plan *plan, tg__kind kind, tg__tensor x, const tg__norm *norm,
                           tg__row_norm_options o)
{
    if (unusable(plan, x))
        return null_tensor;
    tg__row_norm_parameters p = {norm, o.eps, o.shift.first, o.scale.first};
    tg__tensor dst = o.into.id ? o.into : like(plan, x);
    bool modulated = o.shift.tensor.id || o.scale.tensor.id;
    if (x.c != norm->c || (dst.id && (tg__count(x) != tg__count(dst) || dst.dtype != x.dtype)))
        shape_error(plan, norm->name, x, (tg__tensor){.c = norm->c});
    if (modulated && (!is_vector_of(o.shift, x, x.c) || !is_vector_of(o.scale, x, x.c)))
        shape_error(plan, norm->name, o.shift.tensor, o.scale.tensor);
    tg__node *node = record(plan, kind, norm->name, &p, sizeof p, dst, x);
    if (!node)
        return null_tensor;
    node->src[TG__SHIFT_SOURCE] = o.shift.tensor;
    node->src[TG__SCALE_SOURCE] = o.scale.tensor;
    return dst;
}

tg__tensor tg__layer_norm(tg__plan *plan, tg__tensor x, const tg__norm *norm,
                          tg__row_norm_options options)
{
    return row_norm(plan, TG__LAYER_NORM, x, norm, options);
}

tg__tensor tg__rms_norm(tg__plan *plan, tg__tensor x, const tg__norm *norm, float eps)
{
    return row_norm(plan, TG__RMS_NORM, x, norm, (tg__row_norm_options){.eps = eps});
}

/* ---------------------------------------------------------------------------------- attention */

static bool attends(tg__slice q, tg__slice k, tg__slice v, const tg__attention_options *o)
{
    tg__tensor x = q.tensor, y = k.tensor, z = v.tensor;
    int c = o->heads * o->head_dim, keys = y.h * y.w, rows = x.h * x.w;
    bool masked = !o->mask.id || (o->mask.dtype == TG__F32 && o->mask.n == x.n &&
                                  tg__count(o->mask) == (size_t)x.n * (size_t)keys);
    bool biased =
        !o->bias.id || (o->bias.dtype == TG__F32 && o->bias.n == o->heads &&
                        tg__count(o->bias) == (size_t)o->heads * (size_t)rows * (size_t)keys);
    return q.first + c <= x.c && k.first + c <= y.c && v.first + c <= z.c && x.n == y.n &&
           y.n == z.n && keys == z.h * z.w && x.dtype == y.dtype && y.dtype == z.dtype && masked &&
           biased && o->head_dim >= 1 && o->head_dim <= MAX_HEAD_DIM;
}

tg__tensor tg__attention_op(tg__plan *plan, const char *name, tg__slice q, tg__slice k, tg__slice v,
                            tg__attention_options o)
{
    tg__tensor x = q.tensor, y = k.tensor;
    if (unusable(plan, x) || !y.id || !v.tensor.id)
        return null_tensor;
    if (!attends(q, k, v, &o))
        shape_error(plan, name, x, y);
    float scale = o.scale != 0 ? o.scale : 1.f / sqrtf((float)o.head_dim);
    tg__attention_parameters p = {o.heads, o.head_dim, q.first, k.first, v.first, scale, o.causal};
    tg__tensor dst = tg__plan_tensor(plan, x.dtype, x.n, x.h, x.w, (int64_t)o.heads * o.head_dim);
    tg__node *node = record(plan, TG__ATTENTION, name, &p, sizeof p, dst, x);
    if (!node)
        return null_tensor;
    node->src[TG__K] = y;
    node->src[TG__V] = v.tensor;
    node->src[TG__MASK] = o.mask;
    node->src[TG__BIAS] = o.bias;
    node->macs = 2 * (int64_t)tg__count(dst) * y.h * y.w;
    return dst;
}

/* -------------------------------------------------------------------------------- elementwise */

tg__tensor tg__add(tg__plan *plan, const char *name, tg__tensor a, tg__tensor b)
{
    if (unusable(plan, a) || !b.id)
        return null_tensor;
    size_t images = b.n == a.n ? 1 : (size_t)a.n;
    if (tg__count(a) != images * tg__count(b) || a.dtype != b.dtype || (b.n != a.n && b.n != 1))
        shape_error(plan, name, a, b);
    tg__node *node = record(plan, TG__ADD, name, NULL, 0, like(plan, a), a);
    if (!node)
        return null_tensor;
    node->src[TG__Y] = b;
    return node->dst;
}

tg__tensor tg__gated_add(tg__plan *plan, const char *name, tg__tensor residual, tg__tensor x,
                         tg__slice gate)
{
    if (unusable(plan, x) || !residual.id || !gate.tensor.id)
        return null_tensor;
    if (tg__count(x) != tg__count(residual) || x.dtype != residual.dtype ||
        !is_vector_of(gate, x, x.c))
        shape_error(plan, name, x, residual);
    tg__gated_add_parameters p = {gate.first};
    tg__node *node = record(plan, TG__GATED_ADD, name, &p, sizeof p, like(plan, x), x);
    if (!node)
        return null_tensor;
    node->src[TG__RESIDUAL] = residual;
    node->src[TG__GATE] = gate.tensor;
    return node->dst;
}

tg__tensor tg__add_table(tg__plan *plan, const char *name, tg__tensor x, const tg__weight *table,
                         int values)
{
    if (unusable(plan, x))
        return null_tensor;
    if (x.dtype != TG__F32 || x.h != 1 || x.w != 1 || values % x.c != 0)
        shape_error(plan, name, x, (tg__tensor){.c = values});
    tg__table_parameters p = {table};
    tg__tensor dst = tg__plan_tensor(plan, TG__F32, x.n, 1, 1, values);
    return record(plan, TG__ADD_TABLE, name, &p, sizeof p, dst, x) ? dst : null_tensor;
}

tg__tensor tg__join(tg__plan *plan, const char *name, tg__tensor a, tg__tensor b)
{
    if (unusable(plan, a) || !b.id)
        return null_tensor;
    if (a.n != b.n || a.h * a.w != 1 || b.h * b.w != 1 || a.dtype != b.dtype)
        shape_error(plan, name, a, b);
    tg__tensor dst = tg__plan_tensor(plan, a.dtype, a.n, 1, 1, (int64_t)a.c + b.c);
    tg__node *node = record(plan, TG__JOIN, name, NULL, 0, dst, a);
    if (!node)
        return null_tensor;
    node->src[TG__Y] = b;
    return dst;
}

tg__tensor tg__scale(tg__plan *plan, const char *name, tg__tensor x, float factor)
{
    if (unusable(plan, x) || factor == 1.f)
        return x;
    tg__scale_parameters p = {factor};
    tg__node *node = record(plan, TG__SCALE, name, &p, sizeof p, like(plan, x), x);
    return node ? node->dst : null_tensor;
}

tg__tensor tg__mean_halves(tg__plan *plan, const char *name, tg__tensor x, tg__tensor into)
{
    if (unusable(plan, x) || !into.id)
        return null_tensor;
    if (tg__count(x) != 2 * tg__count(into) || x.dtype != into.dtype)
        shape_error(plan, name, x, into);
    return record(plan, TG__MEAN_HALVES, name, NULL, 0, into, x) ? into : null_tensor;
}

tg__tensor tg__activate(tg__plan *plan, const char *name, tg__tensor x, tg__activation activation)
{
    if (unusable(plan, x) || activation == TG__LINEAR)
        return x;
    tg__activate_parameters p = {activation};
    int c = tg__activation_halves(activation) ? x.c / 2 : x.c;
    tg__tensor dst = tg__plan_tensor(plan, x.dtype, x.n, x.h, x.w, c);
    return record(plan, TG__ACTIVATE, name, &p, sizeof p, dst, x) ? dst : null_tensor;
}

tg__tensor tg__to_activations(tg__plan *plan, const char *name, tg__tensor x)
{
    if (unusable(plan, x) || x.dtype == TG__ACTIVATIONS)
        return x;
    tg__tensor dst = tg__plan_tensor(plan, TG__ACTIVATIONS, x.n, x.h, x.w, x.c);
    return record(plan, TG__CONVERT, name, NULL, 0, dst, x) ? dst : null_tensor;
}

void tg__copy(tg__plan *plan, const char *name, tg__tensor x, tg__tensor into)
{
    if (unusable(plan, x) || !into.id)
        return;
    if (tg__count(x) != tg__count(into) || into.dtype != x.dtype)
        shape_error(plan, name, x, into);
    record(plan, TG__CONVERT, name, NULL, 0, into, x);
}

tg__tensor tg__to_f32(tg__plan *plan, const char *name, tg__tensor x, tg__tensor into)
{
    if (unusable(plan, x) || !into.id)
        return null_tensor;
    if (tg__count(x) != tg__count(into) || into.dtype != TG__F32)
        shape_error(plan, name, x, into);
    return record(plan, TG__CONVERT, name, NULL, 0, into, x) ? into : null_tensor;
}

/* ------------------------------------------------------------------------------------- layout */

tg__tensor tg__external_nchw(tg__plan *plan, int slot, int64_t n, int64_t c, int64_t h, int64_t w)
{
    tg__tensor x = tg__plan_external(plan, slot, TG__F32, n, c, h, w);
    return (tg__tensor){x.id, x.n, x.w, x.c, x.h, x.dtype};
}

tg__tensor tg__from_nchw(tg__plan *plan, tg__tensor x, int copies, float factor, float offset)
{
    if (unusable(plan, x))
        return null_tensor;
    tg__from_nchw_parameters p = {copies, factor, offset};
    tg__tensor dst = tg__plan_tensor(plan, TG__ACTIVATIONS, (int64_t)copies * x.n, x.h, x.w, x.c);
    return record(plan, TG__FROM_NCHW, "input", &p, sizeof p, dst, x) ? dst : null_tensor;
}

tg__tensor tg__to_nchw(tg__plan *plan, tg__tensor x, tg__tensor into)
{
    if (unusable(plan, x) || !into.id)
        return null_tensor;
    int p = into.w / x.w;
    if (x.dtype != TG__F32 || x.n != into.n || p < 1 || into.h != p * x.h || into.w != p * x.w ||
        x.c % (p * p) != 0 || x.c / (p * p) < into.c)
        shape_error(plan, "output", x, into);
    return record(plan, TG__TO_NCHW, "output", NULL, 0, into, x) ? into : null_tensor;
}

tg__tensor tg__upsample(tg__plan *plan, const char *name, tg__tensor x, int h, int w)
{
    if (unusable(plan, x))
        return null_tensor;
    tg__tensor dst = tg__plan_tensor(plan, x.dtype, x.n, h, w, x.c);
    return record(plan, TG__UPSAMPLE, name, NULL, 0, dst, x) ? dst : null_tensor;
}

/* ------------------------------------------------------------------------------------- inputs */

tg__tensor tg__timestep_embedding(tg__plan *plan, tg__tensor numbers, int c, bool flip_sin_to_cos,
                                  float freq_shift)
{
    if (unusable(plan, numbers))
        return null_tensor;
    tg__timestep_parameters p = {flip_sin_to_cos, freq_shift};
    tg__tensor dst =
        tg__plan_tensor(plan, TG__ACTIVATIONS, numbers.n, 1, 1, (int64_t)numbers.c * c);
    return record(plan, TG__TIMESTEP_EMBEDDING, "time_proj", &p, sizeof p, dst, numbers)
               ? dst
               : null_tensor;
}

tg__tensor tg__grid_embedding(tg__plan *plan, int h, int w, int c, int base, float scale)
{
    tg__grid_parameters p = {base, scale};
    tg__tensor dst = tg__plan_tensor(plan, TG__ACTIVATIONS, 1, h, w, c);
    if (!dst.id)
        return null_tensor;
    if (c % 4 != 0)
        shape_error(plan, "grid", dst, (tg__tensor){.c = 4});
    tg__node *node = tg__plan_record(plan, TG__GRID_EMBEDDING, "pos_embed.pos_embed", &p, sizeof p);
    if (!node)
        return null_tensor;
    node->dst = dst;
    return dst;
}

tg__tensor tg__embed_tokens(tg__plan *plan, tg__tensor ids, const tg__weight *table,
                            const tg__weight *positions, int c)
{
    if (unusable(plan, ids))
        return null_tensor;
    tg__embed_parameters p = {table, positions};
    tg__tensor dst = tg__plan_tensor(plan, TG__ACTIVATIONS, ids.n, 1, ids.w, c);
    return record(plan, TG__EMBED_TOKENS, "embeddings", &p, sizeof p, dst, ids) ? dst : null_tensor;
}

tg__tensor tg__relative_bias(tg__plan *plan, const tg__weight *table, tg__relative_buckets buckets,
                             int heads, int tokens)
{
    if (tg__plan_failed(plan))
        return null_tensor;
    tg__relative_bias_parameters p = {table, buckets};
    tg__tensor dst = tg__plan_tensor(plan, TG__F32, heads, 1, tokens, tokens);
    tg__node *node =
        dst.id ? tg__plan_record(plan, TG__RELATIVE_BIAS, "relative_attention_bias", &p, sizeof p)
               : NULL;
    if (!node)
        return null_tensor;
    node->dst = dst;
    return dst;
}

const char *tg__kind_name(const tg__node *node)
{
    static const char *const names[TG__KINDS] = {
        [TG__GROUP_NORM] = "group_norm",
        [TG__LAYER_NORM] = "layer_norm",
        [TG__RMS_NORM] = "rms_norm",
        [TG__ATTENTION] = "attention",
        [TG__ADD] = "add",
        [TG__GATED_ADD] = "gated_add",
        [TG__SCALE] = "scale",
        [TG__ACTIVATE] = "activation",
        [TG__ADD_TABLE] = "add_table",
        [TG__JOIN] = "join",
        [TG__CONVERT] = "convert",
        [TG__MEAN_HALVES] = "mean",
        [TG__FROM_NCHW] = "from_nchw",
        [TG__TO_NCHW] = "to_nchw",
        [TG__UPSAMPLE] = "upsample",
        [TG__TIMESTEP_EMBEDDING] = "timestep_embedding",
        [TG__GRID_EMBEDDING] = "grid_embedding",
        [TG__EMBED_TOKENS] = "embedding",
        [TG__RELATIVE_BIAS] = "relative_bias",
    };
    if (node->kind != TG__PRODUCT)
        return names[node->kind];
    const tg__product_parameters *p = node->parameters;
    return p->layer->kernel == 1 ? "linear" : "conv2d";
}
