/* SPDX-License-Identifier: MIT */
/* Every packed form of weights from every source: a patched weight's packs are, byte by byte, those
 * of a weight that holds the sum, also where the plain one's are there already; no cache mixes them
 * up; and what is no mapping's stays in memory. Numbers are such that sums are exact. */
#include <stdlib.h>

#include "core/parallel.h"
#include "cpu/tasks.h"
#include "io/cache.h"
#include "io/patch.h"
#include "kernel_memory.h"
#include "scratch.h"

/* ---------------------------------------------------------------------------- ways of packing */

/* How a program packs its weights. */
typedef struct way {
    const char *name;
    tg_cpu least, cap; /* levels */
    bool dnnl, int8, winograd;
    tg__dtype dtype;
    tg__form form; /* of at least one pack of those layers that can be packed so */
} way;

static const way ways[] = {
    {"plain C", TG_CPU_C, TG_CPU_C, false, false, false, TG__F32, TG__FORM_PLAIN},
    {"oneDNN f32", TG_CPU_C, TG_CPU_AUTO, true, false, false, TG__F32, TG__FORM_DNNL_F32},
    {"oneDNN bf16", TG_CPU_AVX512, TG_CPU_AUTO, true, false, false, TG__BF16, TG__FORM_DNNL_BF16},
    {"int8, plain C", TG_CPU_C, TG_CPU_C, false, true, false, TG__F32, TG__FORM_INT8},
    {"int8", TG_CPU_C, TG_CPU_AUTO, false, true, false, TG__F32, TG__FORM_INT8},
    {"int8 bf16", TG_CPU_AVX512, TG_CPU_AUTO, true, true, false, TG__BF16, TG__FORM_INT8},
    {"winograd f32, AVX2", TG_CPU_AVX2, TG_CPU_AVX2, true, false, true, TG__F32, TG__FORM_WINOGRAD},
    {"winograd bf16, AVX2", TG_CPU_AVX2, TG_CPU_AVX2, false, false, true, TG__BF16,
     TG__FORM_WINOGRAD},
    {"winograd f32", TG_CPU_AVX512, TG_CPU_AVX512, true, false, true, TG__F32, TG__FORM_WINOGRAD},
    {"winograd bf16", TG_CPU_AVX512, TG_CPU_AVX512_BF16, true, false, true, TG__BF16,
     TG__FORM_WINOGRAD},
};

typedef struct kit {
    const way *way;
    tg__kernels kernels;
    tg__dnnl *dnnl;
    tg__context context;
} kit;

/* False where the CPU lacks it. */
static bool kit_new(kit *k, const way *w)
{
    tg__error error = {0};
    if (tg__cpu_level() < w->least)
        return false;
    *k = (kit){.way = w};
    tg__kernels_init(&k->kernels, w->cap);
    if (w->dnnl)
        k->dnnl = tg__dnnl_new(&k->kernels, TG_CPU_AUTO, &error);
    k->context = (tg__context){
        .kernels = &k->kernels, .dnnl = k->dnnl, .winograd_positions = w->winograd ? 64 : 0};
    return true;
}

static void kit_free(kit *k)
{
    tg__packs_free(&k->context.packs);
    tg__dnnl_free(k->dnnl);
}

/* -------------------------------------------------------------------------------------- layers */

typedef enum kind { CONV, PAIR, UP, LINEAR, GATED } kind;

/* patched: a bit for each part. */
typedef struct shape {
    kind kind;
    int in, out, kernel, parts, patched;
} shape;

static const shape shapes[] = {
    {CONV, 48, 64, 3, 1, 1},   {CONV, 160, 33, 3, 1, 1}, /* rows longer than a piece */
    {CONV, 33, 50, 3, 2, 2},   {CONV, 4, 16, 3, 1, 1},
    {PAIR, 96, 64, 1, 1, 1},   {PAIR, 96, 32, 1, 2, 2},
    {UP, 64, 64, 3, 1, 1},     {LINEAR, 64, 96, 1, 3, 6}, /* the first part is plain */
    {LINEAR, 64, 96, 1, 3, 4}, {LINEAR, 1100, 32, 1, 1, 1},
    {GATED, 64, 128, 1, 1, 1},
};

enum { PATCHES = 2, MEMORIES = 64, LORA_RANK = 66 };

/* A layer in three forms. */
typedef struct layers {
    tg__layer plain, patched, sum;
    tg__arena arena;
    void *memory[MEMORIES];
    int count;
    unsigned random;
} layers;

/* Multiples of a half up to two. */
static float *exact_values(layers *l, size_t n)
{
    float *values = malloc(n * sizeof *values);
    for (size_t i = 0; i < n; i++)
        values[i] = (float)((int)(scratch_random(&l->random) % 9) - 4) * 0.5F;
    assert_true(l->count < MEMORIES);
    return l->memory[l->count++] = values;
}

static tg__weight weight_of(const float *values, int rank, const int64_t *dims)
{
    return tg__weight_in_memory("w", values, TG__F32, rank, dims);
}

/* The part's sum with random patches of ranks 3 and LORA_RANK. */
static void patch_part(layers *l, int part, const float *base, int out, int row)
{
    size_t n = (size_t)out * (size_t)row;
    tg__error error = {0};
    tg__patch patches[PATCHES];
    float *sum = exact_values(l, n);
    memcpy(sum, base, n * sizeof *sum);
    for (int p = 0; p < PATCHES; p++) {
        int rank = p ? LORA_RANK : 3;
        float scale = p ? -0.25F : 0.5F;
        const float *up = exact_values(l, (size_t)(out * rank));
        const float *down = exact_values(l, (size_t)(rank * row));
        patches[p] = (tg__patch){weight_of(up, 2, (int64_t[]){out, rank}),
                                 weight_of(down, 2, (int64_t[]){rank, row}), scale};
        for (int o = 0; o < out; o++)
            for (int j = 0; j < rank; j++)
                for (int i = 0; i < row; i++)
                    sum[o * row + i] += scale * up[o * rank + j] * down[j * row + i];
    }
    const tg__weight *plain = &l->plain.weight[part];
    l->patched.weight[part] = tg__weight_patched(&l->arena, plain, patches, PATCHES, &error);
    l->sum.weight[part] = weight_of(sum, plain->rank, plain->shape);
    assert_false(tg__failed(&error));
}

/* base (may be NULL): the plain weights and biases to be patched. */
static layers layers_new(const shape *s, const tg__layer *base, const float *const *values)
{
    layers l = {.random = 1};
    int out = s->out / s->parts, row = s->in * s->kernel * s->kernel;
    const int64_t dims[] = {out, s->in, s->kernel, s->kernel};
    const float *plain[TG__MAX_PARTS];
    l.plain = (tg__layer){.name = "layer",
                          .parts = s->parts,
                          .out = s->out,
                          .in = s->in,
                          .kernel = s->kernel,
                          .has_bias = true};
    for (int p = 0; p < s->parts; p++) {
        plain[p] = values ? values[p] : exact_values(&l, (size_t)(out * row));
        l.plain.weight[p] =
            base ? base->weight[p] : weight_of(plain[p], s->kernel == 1 ? 2 : 4, dims);
        l.plain.bias[p] = base ? base->bias[p] : weight_of(exact_values(&l, (size_t)out), 1, dims);
    }
    l.patched = l.sum = l.plain;
    for (int p = 0; p < s->parts; p++)
        if (s->patched >> p & 1)
            patch_part(&l, p, plain[p], out, row);
    return l;
}

static void layers_free(layers *l)
{
    for (int i = 0; i < l->count; i++)
        free(l->memory[i]);
    tg__arena_free(&l->arena);
}

/* ------------------------------------------------------------------------------------- packing */

/* Packs the layer as a program does that has this one product. */
static void pack(kit *k, const shape *s, const tg__layer *layer)
{
    tg__error error = {0};
    tg__dtype dtype = k->way->dtype;
    tg__program *program = tg__program_new(&k->context, "test", dtype, &error);
    if (k->way->int8)
        tg__program_allow_int8(program);
    tg__product_options o = {.activation = s->kind == GATED ? TG__GEGLU : TG__LINEAR};
    int in = s->kind == PAIR ? s->in / 3 : s->in;
    tg__tensor x = tg__program_external(program, 0, dtype, 1, 12, 12, in);
    if (s->kind == PAIR)
        tg__cpu_conv2d_pair(program, x,
                            tg__program_external(program, 1, dtype, 1, 12, 12, s->in - in), layer);
    else if (s->kind == UP)
        tg__cpu_upsample_conv2d(program, x, layer, 24, 24);
    else
        tg__cpu_conv2d(program, x, layer, o);
    if (tg__program_finish(program, NULL) != TG_OK)
        fail_msg("%s: %s", k->way->name, error.message);
    tg__program_free(program);
}

/* Whether the way has its form for it. */
static bool takes(const kit *k, const shape *s)
{
    bool winograd = s->kind == CONV && s->kernel == 3 && s->in >= 16;
    bool int8 = s->kind != PAIR && s->in >= 32;
    return k->way->winograd ? winograd : k->way->int8 ? int8 : true;
}

/* The pack that was added as number `order`. */
static const tg__pack *pack_at(const tg__packs *packs, size_t order)
{
    for (size_t b = 0; b < COUNT(packs->buckets); b++)
        for (const tg__pack *pack = packs->buckets[b]; pack; pack = pack->next)
            if (pack->order == order)
                return pack;
    return NULL;
}

/* The next pack of weights at *order or behind it, NULL if there are no more. */
static const tg__pack *next_weights(const tg__packs *packs, size_t *order)
{
    const tg__pack *pack = NULL;
    do
        pack = pack_at(packs, (*order)++);
    while (pack && pack->key.form == TG__FORM_VALUES);
    return pack;
}

/* Packs of weights from `first` on are those of `expected`; how many are of the form. */
static int compare(const tg__packs *found, size_t first, const tg__packs *expected, tg__form form)
{
    size_t a = first, b = 0;
    int count = 0;
    for (;;) {
        const tg__pack *x = next_weights(found, &a), *y = next_weights(expected, &b);
        assert_true(!x == !y);
        if (!x)
            return count;
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
        assert_int_equal(x->key.form, y->key.form);
        assert_int_equal(x->key.variant, y->key.variant);
        count +=
            x->key.form == form || (form == TG__FORM_INT8 && x->key.form == TG__FORM_INT8_GATED);
    }
}

/* Patched, behind the plain one in the same packs, and the sum alone; then all again, from what is
 * there. */
static void check_packs(const way *w, const shape *s)
{
    kit a, b;
    if (!kit_new(&a, w))
        return;
    kit_new(&b, w);
    if (takes(&a, s)) {
        layers l = layers_new(s, NULL, NULL);
        pack(&a, s, &l.plain);
        size_t plain = a.context.packs.added;
        pack(&a, s, &l.patched);
        pack(&b, s, &l.sum);
        assert_true(compare(&a.context.packs, plain, &b.context.packs, w->form) > 0);
        size_t all = a.context.packs.added;
        pack(&a, s, &l.patched);
        pack(&a, s, &l.plain);
        assert_int_equal(a.context.packs.added, all);
        layers_free(&l);
    }
    kit_free(&a);
    kit_free(&b);
}

static void test_patched(void **state)
{
    (void)state;
    for (size_t w = 0; w < COUNT(ways); w++)
        for (size_t s = 0; s < COUNT(shapes); s++)
            check_packs(&ways[w], &shapes[s]);
}

/* Phases are oneDNN's and int8's: four packs. */
static void test_phases(void **state)
{
    (void)state;
    static const tg__form forms[] = {TG__FORM_DNNL_F32, TG__FORM_DNNL_BF16, TG__FORM_INT8};
    const shape up = {UP, 64, 64, 3, 1, 1};
    for (size_t w = 0; w < COUNT(ways); w++) {
        kit k;
        if (ways[w].winograd || ways[w].cap == TG_CPU_C || !kit_new(&k, &ways[w]))
            continue;
        layers l = layers_new(&up, NULL, NULL);
        pack(&k, &up, &l.patched);
        int seen = 0;
        for (size_t at = 0; at < k.context.packs.added; at++) {
            const tg__pack *pack = pack_at(&k.context.packs, at);
            for (size_t f = 0; f < COUNT(forms); f++)
                if (pack->key.form == forms[f])
                    seen |= 1 << pack->key.variant;
        }
        assert_int_equal(seen, k.kernels.level == TG_CPU_C ? 1 : 0x1E);
        layers_free(&l);
        kit_free(&k);
    }
}

/* A part that begins where the whole does, and layers stacked on the same first one. */
static void test_beginnings(void **state)
{
    (void)state;
    const shape s = {LINEAR, 64, 96, 1, 3, 0};
    for (size_t w = 0; w < COUNT(ways); w++) {
        kit k;
        if (ways[w].winograd || ways[w].int8 || !kit_new(&k, &ways[w]))
            continue;
        layers l = layers_new(&s, NULL, NULL);
        tg__layer one = l.plain, turned = l.plain, part = l.plain;
        one.parts = 1;
        one.out = 32;
        turned.weight[1] = l.plain.weight[2];
        turned.weight[2] = l.plain.weight[1];
        part.parts = 1;
        part.out = 16;
        tg__weight_take_part(&part.weight[0], 0, 2);
        tg__weight_take_part(&part.bias[0], 0, 2);
        const tg__layer *all[] = {&l.plain, &one, &turned, &part};
        size_t before = 0;
        for (size_t i = 0; i < COUNT(all); i++) {
            size_t added = k.context.packs.added;
            pack(&k, &s, all[i]);
            const tg__pack *found = next_weights(&k.context.packs, &added);
            assert_non_null(found);
            assert_true(found->bytes >= (size_t)(all[i]->out * 64) * tg__dtype_size(ways[w].dtype));
            assert_true(k.context.packs.added > before);
            before = k.context.packs.added;
        }
        layers_free(&l);
        kit_free(&k);
    }
}

/* ----------------------------------------------------------------------------------- the pages */

/* Private memory that the system would hand back as zeros. */
static float *private_copy(const float *values, size_t n)
{
    float *copy =
        mmap(NULL, n * sizeof *copy, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(copy != MAP_FAILED);
    return memcpy(copy, values, n * sizeof *copy);
}

static void test_private_memory_stays(void **state)
{
    (void)state;
    enum { N = 64 * 48 * 9 };
    for (size_t w = 0; w < COUNT(ways); w++) {
        kit k;
        if (!kit_new(&k, &ways[w]))
            continue;
        layers l = layers_new(&shapes[0], NULL, NULL);
        const float *values = l.plain.weight[0].data;
        float *memory = private_copy(values, N);
        tg__layer base = l.plain;
        base.weight[0] = weight_of(memory, 4, l.plain.weight[0].shape);
        layers over = layers_new(&shapes[0], &base, (const float *const[]){memory});
        pack(&k, &shapes[0], &over.plain);
        assert_memory_equal(memory, values, N * sizeof *memory);
        pack(&k, &shapes[0], &over.patched);
        assert_memory_equal(memory, values, N * sizeof *memory);
        munmap(memory, N * sizeof *memory);
        layers_free(&over);
        layers_free(&l);
        kit_free(&k);
    }
}

/* A source of the test's own that counts what it is told to drop. */
static int drops;

static void count_drop(const tg__weight *weight)
{
    (void)weight;
    drops++;
}

static void test_mappings_are_dropped(void **state)
{
    (void)state;
    static const tg__weight_source counted = {tg__weight_read_stored, count_drop};
    for (size_t w = 0; w < COUNT(ways); w++) {
        kit k;
        if (!kit_new(&k, &ways[w]))
            continue;
        layers l = layers_new(&shapes[0], NULL, NULL);
        tg__layer base = l.plain;
        base.weight[0].source = &counted;
        layers over = layers_new(&shapes[0], &base, (const float *const[]){base.weight[0].data});
        drops = 0;
        pack(&k, &shapes[0], &over.plain);
        assert_int_equal(drops, 1);
        pack(&k, &shapes[0], &over.patched);
        assert_int_equal(drops, 2);
        pack(&k, &shapes[0], &over.plain);
        assert_int_equal(drops, 2);
        layers_free(&over);
        layers_free(&l);
        kit_free(&k);
    }
}

/* ------------------------------------------------------------------------- norms and tables */

enum { ROWS = 12, WIDTH = 48, GROUPS = 4 };

typedef enum small { LAYER_NORM, GROUP_NORM, MODULATED, ROWS_ALONE, ROWS_AT } small;

/* What one operator makes of `input`. *packs: how many it needed. */
static void run_small(float *dst, tg_cpu level, small what, const tg__norm *norm,
                      const tg__weight *table, const void *input, size_t *packs)
{
    tg__error error = {0};
    tg__kernels kernels;
    tg__kernels_init(&kernels, level);
    tg__context context = {.kernels = &kernels};
    tg__program *program = tg__program_new(&context, "test", TG__F32, &error);
    tg__tensor x = tg__program_external(program, 0, TG__F32, 1, 1, ROWS, WIDTH), y;
    tg__tensor vector = tg__program_external(program, 1, TG__F32, 1, 1, 1, 2 * WIDTH);
    tg__tensor ids = tg__program_external(program, 2, TG__F32, 1, 1, ROWS, 1);
    tg__group_norm_options o = {.groups = GROUPS, .eps = 1e-5F};
    o.modulate = what == MODULATED ? vector : (tg__tensor){0};
    if (what == LAYER_NORM)
        y = tg__cpu_layer_norm(program, x, norm, (tg__row_norm_options){.eps = 1e-5F});
    else if (what == ROWS_ALONE || what == ROWS_AT)
        y = tg__cpu_embed_tokens(program, ids, table, what == ROWS_AT ? table : NULL, WIDTH);
    else
        y = tg__cpu_group_norm(program, x, (tg__tensor){0}, norm, o);
    assert_int_equal(tg__program_finish(program, NULL), TG_OK);
    void *workspace = tg__aligned(tg__program_workspace_bytes(program));
    tg__program_bind_workspace(program, workspace);
    for (int slot = 0; slot < 3; slot++)
        tg__program_bind(program, slot, (void *)(uintptr_t)input);
    tg__program_run(program, false);
    memcpy(dst, tg__program_data(program, y), (size_t)(ROWS * WIDTH) * sizeof *dst);
    *packs = context.packs.added;
    tg__program_free(program);
    tg__packs_free(&context.packs);
    free(workspace);
}

/* A missing weight is 1, a missing bias 0, and neither takes a pack. */
static void test_bare_norms(void **state)
{
    (void)state;
    static float input[ROWS * WIDTH], found[ROWS * WIDTH], expected[ROWS * WIDTH];
    float ones[WIDTH], zeros[WIDTH] = {0};
    unsigned random = 3;
    size_t packs;
    for (size_t i = 0; i < COUNT(input); i++)
        input[i] = (float)(scratch_random(&random) % 1000) / 500 - 1;
    for (int i = 0; i < WIDTH; i++)
        ones[i] = 1;
    const tg__norm whole = {.name = "norm",
                            .weight = weight_of(ones, 1, (int64_t[]){WIDTH}),
                            .bias = weight_of(zeros, 1, (int64_t[]){WIDTH}),
                            .c = WIDTH};
    for (int level = TG_CPU_C; level <= (int)tg__cpu_level(); level++)
        for (small what = LAYER_NORM; what <= MODULATED; what++)
            for (int has = 0; has < 3; has++) {
                tg__norm norm = whole;
                if (!(has & 1))
                    norm.weight = (tg__weight){0};
                if (!(has & 2))
                    norm.bias = (tg__weight){0};
                run_small(expected, (tg_cpu)level, what, &whole, NULL, input, &packs);
                assert_int_equal(packs, 2);
                run_small(found, (tg_cpu)level, what, &norm, NULL, input, &packs);
                assert_int_equal(packs, (has & 1) + (has >> 1));
                assert_memory_equal(found, expected, sizeof found);
            }
}

/* Rows of a table that is patched, alone and with positions (the table again). */
static void test_patched_table(void **state)
{
    (void)state;
    const shape s = {LINEAR, WIDTH, 2 * ROWS, 1, 1, 1};
    static float found[ROWS * WIDTH];
    layers l = layers_new(&s, NULL, NULL);
    const float *sum = l.sum.weight[0].data;
    int32_t ids[ROWS];
    size_t packs;
    for (int i = 0; i < ROWS; i++)
        ids[i] = i * 7 % (2 * ROWS);
    for (small what = ROWS_ALONE; what <= ROWS_AT; what++) {
        run_small(found, TG_CPU_AUTO, what, NULL, &l.patched.weight[0], ids, &packs);
        for (int i = 0; i < ROWS * WIDTH; i++)
            assert_true(found[i] ==
                        sum[ids[i / WIDTH] * WIDTH + i % WIDTH] + (what == ROWS_AT ? sum[i] : 0));
    }
    layers_free(&l);
}

/* ------------------------------------------------------------------------------------ the cache */

enum { CACHED_IN = 64, CACHED_OUT = 32, CACHED_PARTS = 3, CACHED = CACHED_IN * CACHED_OUT };

/* Three linear layers' weights and biases in one file, "0" to "5". */
static void write_weights(scratch *s)
{
    unsigned random = 5;
    size_t at = 0, bytes = CACHED_PARTS * (CACHED + CACHED_OUT) * sizeof(float);
    char *file = calloc(1, 4096 + bytes);
    int length = snprintf(file + 8, 4088, "{");
    for (int i = 0; i < 2 * CACHED_PARTS; i++) {
        size_t end = at + (i % 2 ? CACHED_OUT : CACHED) * sizeof(float);
        length += snprintf(file + 8 + length, 4088 - (size_t)length,
                           "%s\"%d\":{\"dtype\":\"F32\",\"shape\":[%d%s],\"data_offsets\":[%zu,"
                           "%zu]}",
                           i ? "," : "", i, CACHED_OUT, i % 2 ? "" : ",64", at, end);
        at = end;
    }
    length += snprintf(file + 8 + length, 4088 - (size_t)length, "}");
    while (length % 8)
        file[8 + length++] = ' ';
    memcpy(file, &length, sizeof length);
    float *values = (float *)(void *)(file + 8 + length);
    for (size_t i = 0; i < bytes / sizeof *values; i++)
        values[i] = (float)((int)(scratch_random(&random) % 9) - 4) * 0.5F;
    scratch_write(s, "weights.safetensors", file, 8 + (size_t)length + bytes);
    free(file);
}

/* A layer of the file's tensors. */
static tg__layer file_layer(const tg__safetensors *file, const float *values[CACHED_PARTS])
{
    tg__layer layer = {.name = "layer",
                       .parts = CACHED_PARTS,
                       .out = CACHED_PARTS * CACHED_OUT,
                       .in = CACHED_IN,
                       .kernel = 1,
                       .has_bias = true};
    for (int p = 0; p < CACHED_PARTS; p++) {
        layer.weight[p] = *tg__safetensors_find(file, (char[]){(char)('0' + 2 * p), '\0'});
        layer.bias[p] = *tg__safetensors_find(file, (char[]){(char)('1' + 2 * p), '\0'});
        values[p] = layer.weight[p].data;
    }
    return layer;
}

/* A start with this cache: packs layers patched as `patched` says, or the sum's; compares. How many
 * packs of weights had to be made. */
static size_t start(scratch *s, const way *w, int patched)
{
    char folder[128];
    kit k, expected;
    tg__error error = {0};
    tg__log_sink log = {0};
    const shape linear = {LINEAR, CACHED_IN, CACHED_PARTS * CACHED_OUT, 1, CACHED_PARTS, patched};
    tg__safetensors *file = tg__safetensors_open(scratch_path(s, "weights.safetensors"), &error);
    assert_non_null(file);
    snprintf(folder, sizeof folder, "%s/cache", s->folder);
    tg__cache_spec spec = {folder, "net", w->name, &file, 1, &log};
    tg__cache *cache = tg__cache_new(&spec, &error);
    const float *values[CACHED_PARTS];
    tg__layer base = file_layer(file, values);
    layers l = layers_new(&linear, &base, values);
    kit_new(&k, w);
    kit_new(&expected, w);
    k.context.packs.store = tg__cache_store(cache);
    pack(&k, &linear, &l.patched);
    pack(&expected, &linear, &l.sum);
    compare(&k.context.packs, 0, &expected.context.packs, w->form);
    assert_true(tg__cache_save(cache, &k.context.packs));
    size_t made = k.context.packs.made;
    kit_free(&k);
    kit_free(&expected);
    layers_free(&l);
    tg__cache_free(cache);
    tg__safetensors_close(file);
    return made;
}

/* Bytes of all that the folder of caches holds, which is removed. */
static size_t cached_bytes;

static int remove_counted(const char *path, const struct stat *status, int type, struct FTW *place)
{
    cached_bytes += S_ISREG(status->st_mode) ? (size_t)status->st_size : 0;
    return scratch_remove_one(path, status, type, place);
}

static size_t remove_cache(const scratch *s)
{
    char folder[128];
    snprintf(folder, sizeof folder, "%s/cache", s->folder);
    cached_bytes = 0;
    nftw(folder, remove_counted, 8, FTW_DEPTH | FTW_PHYS);
    return cached_bytes;
}

/* Whichever was first and whichever part is patched: a patched layer's packs are made anew, but for
 * its bias's, which nobody patched; the plain one's come from the file. */
static void test_cache(void **state)
{
    scratch *s = *state;
    write_weights(s);
    for (size_t w = 0; w < COUNT(ways); w++) {
        kit k;
        if (ways[w].winograd || !kit_new(&k, &ways[w]))
            continue;
        kit_free(&k);
        bool own_bias = !ways[w].int8; /* else it is part of the weights' pack */
        for (int patched = 1; patched < 8; patched++) {
            size_t all = own_bias ? 2 : 1;
            assert_int_equal(start(s, &ways[w], patched), all);
            assert_true(remove_cache(s) < (own_bias ? CACHED : 1)); /* of weights nothing */
            start(s, &ways[w], patched);
            assert_int_equal(start(s, &ways[w], patched), 1);
            assert_int_equal(start(s, &ways[w], 0), 1);
            assert_int_equal(start(s, &ways[w], 0), 0);
            assert_int_equal(start(s, &ways[w], patched), 1);
            assert_int_equal(start(s, &ways[w], 0), 0);
            remove_cache(s);
        }
    }
}

int main(void)
{
    for (size_t w = 0; w < COUNT(ways); w++)
        if (tg__cpu_level() < ways[w].least)
            print_message("skipped: this CPU cannot pack as %s\n", ways[w].name);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patched),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_beginnings),
        cmocka_unit_test(test_private_memory_stays),
        cmocka_unit_test(test_mappings_are_dropped),
        cmocka_unit_test(test_bare_norms),
        cmocka_unit_test(test_patched_table),
        cmocka_unit_test(test_cache),
    };
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
