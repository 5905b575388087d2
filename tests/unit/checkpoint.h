/* SPDX-License-Identifier: MIT */
/* Single-file checkpoints to try names and shapes with: sparse files, all of it zeros, so that
 * those of full size take no room. */
#ifndef TG_TEST_CHECKPOINT_H
#define TG_TEST_CHECKPOINT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/safetensors.h"

enum { MAX_TENSORS = 2048 };

typedef struct shape {
    int rank;
    int64_t dims[4];
} shape;

typedef struct entry {
    char name[128];
    shape shape;
} entry;

typedef struct checkpoint {
    entry tensors[MAX_TENSORS];
    int count;
    const char *metadata; /* JSON, or NULL */
} checkpoint;

static char folder[] = "/tmp/tg_single_file_XXXXXX";
static char path[64];

static inline int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    return 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* "4,3" or "-" for a scalar. */
static inline shape parse_shape(const char *text)
{
    shape s = {0};
    if (strcmp(text, "-") == 0)
        return s;
    for (;;) {
        char *end;
        assert_true(s.rank < 4);
        s.dims[s.rank++] = strtoll(text, &end, 10);
        if (*end != ',')
            return s;
        text = end + 1;
    }
}

static inline int64_t bytes_of(shape s)
{
    int64_t bytes = 2;
    for (int i = 0; i < s.rank; i++)
        bytes *= s.dims[i];
    return bytes;
}

static inline void add(checkpoint *c, const char *name, const char *dims)
{
    entry *e = &c->tensors[c->count++];
    assert_true(c->count <= MAX_TENSORS);
    snprintf(e->name, sizeof e->name, "%s", name);
    e->shape = parse_shape(dims);
}

static inline entry *entry_of(checkpoint *c, const char *name)
{
    for (int i = 0; i < c->count; i++)
        if (strcmp(c->tensors[i].name, name) == 0)
            return &c->tensors[i];
    return NULL;
}

/* The file at path, all of it f16 zeros. */
static inline void write_checkpoint(const checkpoint *c)
{
    int64_t at = 0;
    unsigned char size[8];
    char *header = NULL;
    FILE *text = open_memstream(&header, &(size_t){0}), *file = fopen(path, "wb");
    assert_true(text && file);
    fprintf(text, "{\"__metadata__\":%s", c->metadata ? c->metadata : "{}");
    for (int i = 0; i < c->count; i++) {
        const entry *e = &c->tensors[i];
        fprintf(text, ",\"%s\":{\"dtype\":\"F16\",\"shape\":[", e->name);
        for (int j = 0; j < e->shape.rank; j++)
            fprintf(text, "%s%lld", j ? "," : "", (long long)e->shape.dims[j]);
        fprintf(text, "],\"data_offsets\":[%lld,", (long long)at);
        at += bytes_of(e->shape);
        fprintf(text, "%lld]}", (long long)at);
    }
    fputc('}', text);
    uint64_t length = (uint64_t)ftell(text);
    assert_int_equal(fclose(text), 0);
    for (int i = 0; i < 8; i++)
        size[i] = (unsigned char)(length >> 8 * i);
    assert_int_equal(fwrite(size, 1, 8, file), 8);
    assert_int_equal(fwrite(header, 1, length, file), length);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), (off_t)(8 + (int64_t)length + at)), 0);
    assert_int_equal(fclose(file), 0);
    free(header);
}

static inline tg__safetensors *open_checkpoint(const checkpoint *c)
{
    tg__error error = {0};
    write_checkpoint(c);
    tg__safetensors *file = tg__safetensors_open(path, &error);
    assert_string_equal(error.message, "");
    return file;
}

#define UNET "model.diffusion_model."
#define CONV_IN UNET "input_blocks.0.0.weight"
#define CONV_OUT UNET "out.2.weight"
#define TO_K UNET "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
#define CLIP "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
#define OPEN_CLIP_TOKENS "cond_stage_model.model.token_embedding.weight"
#define LABEL UNET "label_emb.0.0.weight"
#define VAE "first_stage_model.decoder.conv_in.weight"

/* The least that passes for Stable Diffusion 1.x. */
static inline checkpoint *least(void)
{
    checkpoint *c = calloc(1, sizeof *c);
    assert_non_null(c);
    add(c, CONV_IN, "8,4,3,3");
    add(c, CONV_OUT, "4,8,3,3");
    add(c, TO_K, "8,768");
    add(c, CLIP, "9,768");
    add(c, VAE, "8,4,3,3");
    return c;
}

static inline void take_away(checkpoint *c, const char *name)
{
    entry *e = entry_of(c, name);
    assert_non_null(e);
    *e = c->tensors[--c->count];
}

#endif
