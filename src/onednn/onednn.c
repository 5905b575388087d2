/* SPDX-License-Identifier: MIT */
/* oneDNN 2.x. Activations are always plain nhwc; only weights take the layout that a primitive
 * prefers. Scratchpads are the plan's memory. */
#include "onednn/onednn.h"

#include "core/parallel.h"
#include "onednn/pairs.h"

#include <dnnl.h>
#include <stdio.h>
#include <stdlib.h>

struct tg__dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    const tg__kernels *kernels;
    void *plain; /* a layer's weights on their way; under the packs' lock */
    size_t plain_bytes;
};

struct tg__product {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_memory_t src, weights, bias, dst, scratchpad;
    size_t scratch_bytes;
    char implementation[48];
};

static tg_status refuse(tg__error *error, dnnl_status_t status, const char *what)
{
    if (status == dnnl_out_of_memory)
        return tg__fail_memory(error);
    return tg__fail(error, TG_ERROR_INTERNAL, "%s: oneDNN's status is %d", what, (int)status);
}

static dnnl_cpu_isa_t isa_of(tg_cpu cap)
{
    switch (cap) {
    case TG_CPU_AVX2:
        return dnnl_cpu_isa_avx2;
    case TG_CPU_AVX512:
        return dnnl_cpu_isa_avx512_core_vnni;
    case TG_CPU_AVX512_BF16:
        return dnnl_cpu_isa_avx512_core_bf16;
    default:
        return dnnl_cpu_isa_all;
    }
}

tg__dnnl *tg__dnnl_new(const tg__kernels *kernels, tg_cpu cap, tg__error *error)
{
    tg__dnnl *dnnl = calloc(1, sizeof *dnnl);
    if (!dnnl) {
        tg__fail_memory(error);
        return NULL;
    }
    dnnl->kernels = kernels;
    /* Refused after oneDNN's first use: the cap of that first use stays. */
    if (cap != TG_CPU_AUTO)
        dnnl_set_max_cpu_isa(isa_of(cap));
    dnnl_status_t status = dnnl_engine_create(&dnnl->engine, dnnl_cpu, 0);
    if (status == dnnl_success)
        status = dnnl_stream_create(&dnnl->stream, dnnl->engine, dnnl_stream_default_flags);
    if (status != dnnl_success) {
        refuse(error, status, "engine");
        tg__dnnl_free(dnnl);
        return NULL;
    }
    return dnnl;
}

void tg__dnnl_describe(char *dst, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(dst, size, "oneDNN %d.%d.%d %s, instructions %#x", v->major, v->minor, v->patch,
             v->hash, (unsigned)dnnl_get_effective_cpu_isa());
}

void tg__dnnl_free(tg__dnnl *dnnl)
{
    if (!dnnl)
        return;
    tg__dnnl_trim(dnnl);
    if (dnnl->stream)
        dnnl_stream_destroy(dnnl->stream);
    if (dnnl->engine)
        dnnl_engine_destroy(dnnl->engine);
    free(dnnl);
}

/* ------------------------------------------------------------------------ primitive descriptors */

static dnnl_data_type_t type_of(tg__dtype dtype)
{
    return dtype == TG__BF16 ? dnnl_bf16 : dnnl_f32;
}

static bool is_matmul(const tg__product_spec *s)
{
    return s->layer->kernel == 1 && s->stride == 1 && s->out_h == s->h && s->out_w == s->w;
}

typedef struct shapes {
    dnnl_memory_desc_t src, weights, bias, dst;
    bool has_bias;
} shapes;

static shapes shapes_of(const tg__product_spec *s)
{
    shapes d = {.has_bias = s->bias && s->layer->has_bias};
    dnnl_data_type_t type = type_of(s->dtype), dst_type = type_of(s->dst_dtype);
    int64_t out = s->layer->out, in = s->in_count, k = tg__product_kernel(s);
    if (is_matmul(s)) {
        int64_t rows = (int64_t)s->n * s->h * s->w;
        dnnl_memory_desc_init_by_tag(&d.src, 2, (dnnl_dims_t){rows, in}, type, dnnl_ab);
        dnnl_memory_desc_init_by_tag(&d.weights, 2, (dnnl_dims_t){in, out}, type,
                                     dnnl_format_tag_any);
        dnnl_memory_desc_init_by_tag(&d.bias, 2, (dnnl_dims_t){1, out}, dnnl_f32, dnnl_ab);
        dnnl_memory_desc_init_by_tag(&d.dst, 2, (dnnl_dims_t){rows, out}, dst_type, dnnl_ab);
    } else {
        dnnl_memory_desc_init_by_tag(&d.src, 4, (dnnl_dims_t){s->n, in, s->h, s->w}, type,
                                     dnnl_nhwc);
        dnnl_memory_desc_init_by_tag(&d.weights, 4, (dnnl_dims_t){out, in, k, k}, type,
                                     dnnl_format_tag_any);
        dnnl_memory_desc_init_by_tag(&d.bias, 1, (dnnl_dims_t){out}, dnnl_f32, dnnl_a);
        dnnl_memory_desc_init_by_tag(&d.dst, 4, (dnnl_dims_t){s->n, out, s->out_h, s->out_w},
                                     dst_type, dnnl_nhwc);
    }
    return d;
}

static dnnl_status_t add_post_ops(dnnl_primitive_attr_t attr, const tg__product_spec *s)
{
    dnnl_post_ops_t ops;
    dnnl_status_t status = dnnl_post_ops_create(&ops);
    if (status != dnnl_success)
        return status;
    if (s->activation == TG__SILU)
        status = dnnl_post_ops_append_eltwise(ops, 1.f, dnnl_eltwise_swish, 1.f, 0.f);
    else if (s->activation == TG__QUICK_GELU)
        status = dnnl_post_ops_append_eltwise(ops, 1.f, dnnl_eltwise_swish, 1.702f, 0.f);
    else if (s->activation == TG__GELU)
        status = dnnl_post_ops_append_eltwise(ops, 1.f, dnnl_eltwise_gelu_erf, 0.f, 0.f);
    else if (s->activation == TG__GELU_TANH)
        status = dnnl_post_ops_append_eltwise(ops, 1.f, dnnl_eltwise_gelu_tanh, 0.f, 0.f);
    else if (s->activation == TG__RELU)
        status = dnnl_post_ops_append_eltwise(ops, 1.f, dnnl_eltwise_relu, 0.f, 0.f);
    else if (s->activation == TG__MISH)
        status = dnnl_post_ops_append_eltwise(ops, 1.f, dnnl_eltwise_mish, 0.f, 0.f);
    if (status == dnnl_success && s->accumulate)
        status = dnnl_post_ops_append_sum(ops, 1.f);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_post_ops(attr, ops);
    dnnl_post_ops_destroy(ops);
    return status;
}

static dnnl_status_t describe(dnnl_primitive_desc_t *pd, const tg__dnnl *dnnl,
                              const tg__product_spec *s, const shapes *d)
{
    const dnnl_memory_desc_t *bias = d->has_bias ? &d->bias : NULL;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_status_t status = dnnl_primitive_attr_create(&attr);
    if (status == dnnl_success)
        status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (status == dnnl_success)
        status = add_post_ops(attr, s);
    if (status == dnnl_success && is_matmul(s)) {
        dnnl_matmul_desc_t desc;
        status = dnnl_matmul_desc_init(&desc, &d->src, &d->weights, bias, &d->dst);
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(pd, &desc, attr, dnnl->engine, NULL);
    } else if (status == dnnl_success) {
        dnnl_convolution_desc_t desc;
        status = dnnl_convolution_forward_desc_init(
            &desc, dnnl_forward_inference, dnnl_convolution_direct, &d->src, &d->weights, bias,
            &d->dst, (dnnl_dims_t){s->stride, s->stride}, (dnnl_dims_t){s->pad_top, s->pad_left},
            (dnnl_dims_t){s->pad_bottom, s->pad_right});
        if (status == dnnl_success)
            status = dnnl_primitive_desc_create(pd, &desc, attr, dnnl->engine, NULL);
    }
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return status;
}

/* ------------------------------------------------------------------------------------- weights */

static dnnl_status_t reorder(const tg__dnnl *dnnl, const dnnl_memory_desc_t *from, void *src,
                             const dnnl_memory_desc_t *to, void *dst)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_memory_t a = NULL, b = NULL;
    dnnl_status_t status =
        dnnl_reorder_primitive_desc_create(&pd, from, dnnl->engine, to, dnnl->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_primitive_create(&primitive, pd);
    if (status == dnnl_success)
        status = dnnl_memory_create(&a, from, dnnl->engine, src);
    if (status == dnnl_success)
        status = dnnl_memory_create(&b, to, dnnl->engine, dst);
    if (status == dnnl_success)
        status = dnnl_primitive_execute(primitive, dnnl->stream, 2,
                                        (dnnl_exec_arg_t[]){{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}});
    if (status == dnnl_success)
        status = dnnl_stream_wait(dnnl->stream);
    dnnl_memory_destroy(b);
    dnnl_memory_destroy(a);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
    return status;
}

typedef struct gather_job {
    tg__conversions conversions;
    const tg__product_spec *spec;
    tg__layer_part part;
    size_t row_bytes;
    char *rows;    /* plain, all of them or some for each thread */
    tg__bf16 *dst; /* pairs */
    size_t width;  /* of the layout in pairs */
} gather_job;

static void gather_row(const gather_job *job, char *dst, size_t row)
{
    tg__gather_row(dst, job->spec->dtype, &job->part, row, &job->conversions);
}

static void gather_plain(void *context, size_t row, int thread)
{
    (void)thread;
    const gather_job *job = context;
    gather_row(job, job->rows + row * job->row_bytes, row);
}

static void gather_pairs(void *context, size_t i, int thread)
{
    const gather_job *job = context;
    size_t k = (size_t)tg__product_kernel(job->spec), first = i * TG__PAIR_ROWS;
    char *rows = job->rows + (size_t)thread * TG__PAIR_ROWS * job->row_bytes;
    for (size_t r = 0; r < TG__PAIR_ROWS; r++)
        gather_row(job, rows + r * job->row_bytes, first + r);
    tg__pairs_write(job->dst, (const tg__bf16 *)(const void *)rows, first, job->width,
                    (size_t)job->spec->in_count, k * k);
}

/* Memory for a layer's plain weights, kept for the next layer; NULL if there is none. */
static void *plain_memory(tg__dnnl *dnnl, size_t bytes)
{
    if (bytes > dnnl->plain_bytes) {
        tg__dnnl_trim(dnnl);
        dnnl->plain = tg__aligned(bytes);
        dnnl->plain_bytes = dnnl->plain ? bytes : 0;
    }
    return dnnl->plain;
}

void tg__dnnl_trim(tg__dnnl *dnnl)
{
    if (!dnnl)
        return;
    free(dnnl->plain);
    dnnl->plain = NULL;
    dnnl->plain_bytes = 0;
}

/* The weights by way of oneDNN's reorder, for any layout. */
static tg_status reorder_weights(tg__dnnl *dnnl, tg__pack *pack, gather_job *job, tg__error *error)
{
    const tg__product_spec *s = job->spec;
    int64_t out = s->layer->out, in = s->in_count, k = tg__product_kernel(s);
    job->rows = plain_memory(dnnl, (size_t)out * job->row_bytes);
    if (!job->rows)
        return tg__fail_memory(error);
    tg__parallel_for((size_t)out, gather_plain, job);
    dnnl_memory_desc_t from;
    if (is_matmul(s))
        dnnl_memory_desc_init_by_tag(&from, 2, (dnnl_dims_t){in, out}, type_of(s->dtype), dnnl_ba);
    else
        dnnl_memory_desc_init_by_tag(&from, 4, (dnnl_dims_t){out, in, k, k}, type_of(s->dtype),
                                     dnnl_abcd);
    dnnl_status_t status = reorder(dnnl, &from, job->rows, pack->layout, pack->data);
    return status == dnnl_success ? TG_OK : refuse(error, status, s->layer->name);
}

static tg_status fill_weights(tg__dnnl *dnnl, tg__pack *pack, const tg__product_spec *s,
                              tg__error *error)
{
    const tg__layer *layer = s->layer;
    size_t k = (size_t)tg__product_kernel(s);
    gather_job job = {.conversions = tg__kernels_conversions(dnnl->kernels),
                      .spec = s,
                      .part = tg__product_part(s),
                      .dst = pack->data};
    job.row_bytes = (size_t)s->in_count * k * k * tg__dtype_size(s->dtype);
    if (tg__pairs_match(pack->layout, &job.width)) {
        job.rows = plain_memory(dnnl, (size_t)tg__threads() * TG__PAIR_ROWS * job.row_bytes);
        if (!job.rows)
            return tg__fail_memory(error);
        tg__parallel_for((size_t)layer->out / TG__PAIR_ROWS, gather_pairs, &job);
    } else if (reorder_weights(dnnl, pack, &job, error) != TG_OK) {
        return error->status;
    }
    tg__layer_drop(layer);
    return TG_OK;
}

/* A primitive descriptor whose weights are packed already, or are then packed the way it likes. */
static tg__pack *find_or_pack(tg__dnnl *dnnl, tg__packs *packs, const tg__product_spec *s,
                              shapes *d, dnnl_primitive_desc_t *pd, tg__error *error)
{
    const tg__layer_part part = tg__product_part(s);
    tg__form form = s->dtype == TG__BF16 ? TG__FORM_DNNL_BF16 : TG__FORM_DNNL_F32;
    tg__pack_key key = tg__part_key(&part, form, s->phase);
    dnnl_memory_desc_t any = d->weights;
    tg__pack *pack;
    for (int i = 0; (pack = tg__packs_find(packs, key, i)); i++) {
        d->weights = *(dnnl_memory_desc_t *)pack->layout;
        if (describe(pd, dnnl, s, d) == dnnl_success)
            return pack;
    }
    d->weights = any;
    dnnl_status_t status = describe(pd, dnnl, s, d);
    if (status != dnnl_success) {
        refuse(error, status, s->layer->name);
        return NULL;
    }
    d->weights = *dnnl_primitive_desc_query_md(*pd, dnnl_query_weights_md, 0);
    pack = tg__packs_add(packs, key, dnnl_memory_desc_get_size(&d->weights), &d->weights,
                         sizeof d->weights, error);
    if (pack && !pack->ready)
        pack->ready = fill_weights(dnnl, pack, s, error) == TG_OK;
    return pack && pack->ready ? pack : NULL;
}

/* ------------------------------------------------------------------------------------ products */

static dnnl_status_t make(tg__product *product, const tg__dnnl *dnnl, dnnl_primitive_desc_t pd,
                          const shapes *d, const void *weights, const void *bias)
{
    const dnnl_memory_desc_t *scratchpad =
        dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    const char *implementation = "";
    dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&implementation);
    strncpy(product->implementation, implementation, sizeof product->implementation - 1);
    product->stream = dnnl->stream;
    product->scratch_bytes = dnnl_memory_desc_get_size(scratchpad);
    dnnl_status_t status = dnnl_primitive_create(&product->primitive, pd);
    if (status == dnnl_success)
        status = dnnl_memory_create(&product->src, &d->src, dnnl->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_memory_create(&product->weights, &d->weights, dnnl->engine,
                                    (void *)(uintptr_t)weights);
    if (status == dnnl_success && bias)
        status =
            dnnl_memory_create(&product->bias, &d->bias, dnnl->engine, (void *)(uintptr_t)bias);
    if (status == dnnl_success)
        status = dnnl_memory_create(&product->dst, &d->dst, dnnl->engine, NULL);
    if (status == dnnl_success)
        status = dnnl_memory_create(&product->scratchpad, scratchpad, dnnl->engine, NULL);
    return status;
}

tg__product *tg__product_new(tg__dnnl *dnnl, tg__packs *packs, const tg__product_spec *spec,
                             tg__error *error)
{
    shapes d = shapes_of(spec);
    dnnl_primitive_desc_t pd = NULL;
    const float *bias = NULL;
    tg__product *product = calloc(1, sizeof *product);
    tg__pack *weights = product ? find_or_pack(dnnl, packs, spec, &d, &pd, error) : NULL;
    const tg__conversions c = tg__kernels_conversions(dnnl->kernels);
    if (weights && d.has_bias)
        bias = tg__packed_bias(packs, spec->layer, &c, error);
    if (!product)
        tg__fail_memory(error);
    if (!weights || (d.has_bias && !bias))
        goto fail;
    dnnl_status_t status = make(product, dnnl, pd, &d, weights->data, bias);
    if (status != dnnl_success) {
        refuse(error, status, spec->layer->name);
        goto fail;
    }
    dnnl_primitive_desc_destroy(pd);
    return product;
fail:
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    tg__product_free(product);
    return NULL;
}

void tg__product_free(tg__product *product)
{
    if (!product)
        return;
    dnnl_memory_t memories[] = {product->src, product->weights, product->bias, product->dst,
                                product->scratchpad};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
        if (memories[i])
            dnnl_memory_destroy(memories[i]);
    if (product->primitive)
        dnnl_primitive_destroy(product->primitive);
    free(product);
}

size_t tg__product_scratch_bytes(const tg__product *product) { return product->scratch_bytes; }

const char *tg__product_implementation(const tg__product *product)
{
    return product->implementation;
}

void tg__product_run(tg__product *product, void *dst, const void *src, void *scratch)
{
    dnnl_exec_arg_t arguments[5];
    int n = 0;
    dnnl_memory_set_data_handle(product->src, (void *)(uintptr_t)src);
    dnnl_memory_set_data_handle(product->dst, dst);
    dnnl_memory_set_data_handle(product->scratchpad, scratch);
    arguments[n++] = (dnnl_exec_arg_t){DNNL_ARG_SRC, product->src};
    arguments[n++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, product->weights};
    arguments[n++] = (dnnl_exec_arg_t){DNNL_ARG_DST, product->dst};
    arguments[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, product->scratchpad};
    if (product->bias)
        arguments[n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, product->bias};
    dnnl_primitive_execute(product->primitive, product->stream, n, arguments);
    dnnl_stream_wait(product->stream);
}
