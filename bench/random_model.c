/* SPDX-License-Identifier: MIT */
/* Makes a model of real size with random weights from configs alone, to measure with.
 *
 *     random_model CONFIGS FOLDER [f32|f16|bf16]
 *
 * CONFIGS is a folder in diffusers' layout with configs and no weights (src/pipeline/layouts/sd15);
 * its configs are copied to FOLDER, the weights that the networks ask for are written beside them,
 * and the shipped tokenizer for each text encoder that has one. Values are uniform with a spread of
 * 1/sqrt(inputs), norms are 1 and 0.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/file.h"
#include "pipeline/model_index.h"
#include "text/clip_shipped.h"
#include "text/clip_vocabulary.h"

typedef struct wanted {
    char name[200];
    int rank;
    int64_t shape[TG__MAX_RANK];
} wanted;

typedef struct list {
    wanted *items;
    size_t count, room;
} list;

/* A lookup that has every tensor, and remembers which were asked for. */
static bool remember(const void *context, const char *name, int rank, const int64_t *shape,
                     tg__weight *found)
{
    list *l = (list *)(uintptr_t)context;
    if (rank < 0)
        return false;
    if (l->count == l->room) {
        l->room = l->room ? 2 * l->room : 1024;
        l->items = realloc(l->items, l->room * sizeof *l->items);
        if (!l->items)
            return false;
    }
    wanted *w = &l->items[l->count++];
    *w = (wanted){.rank = rank};
    snprintf(w->name, sizeof w->name, "%s", name);
    memcpy(w->shape, shape, (size_t)rank * sizeof *shape);
    *found = tg__weight_in_memory("", "", TG__F32, rank, shape); /* which nobody reads */
    return true;
}

static int64_t count_of(const wanted *w)
{
    int64_t count = 1;
    for (int i = 0; i < w->rank; i++)
        count *= w->shape[i];
    return count;
}

static uint16_t to_f16(float f) /* normal range and zero: all that is needed here */
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    int exponent = (int)(bits >> 23 & 255) - 112;
    return exponent <= 0 ? 0
                         : (uint16_t)(bits >> 16 & 0x8000) | (uint16_t)(exponent << 10) |
                               (uint16_t)(bits >> 13 & 1023);
}

static void write_values(FILE *file, const wanted *w, tg__dtype dtype, uint64_t *random)
{
    int64_t count = count_of(w), inputs = w->rank > 1 ? count / w->shape[0] : 0;
    float spread = inputs ? sqrtf(3.f / (float)inputs) : 0;
    float fixed = !inputs && strstr(w->name, "norm") && strstr(w->name, ".weight") ? 1 : 0;
    for (int64_t i = 0; i < count; i++) {
        *random = *random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        float x = fixed + spread * ((float)(*random >> 40) * 0x1p-23f - 1);
        uint16_t narrow = dtype == TG__F16 ? to_f16(x) : tg__to_bf16(x);
        if (dtype == TG__F32)
            fwrite(&x, sizeof x, 1, file);
        else
            fwrite(&narrow, sizeof narrow, 1, file);
    }
}

static bool write_weights(const char *path, const list *l, tg__dtype dtype)
{
    static const char *const names[] = {"F32", "F16", "BF16"};
    char *header = NULL;
    size_t size = 0;
    int64_t offset = 0, bytes = (int64_t)tg__dtype_size(dtype);
    FILE *text = open_memstream(&header, &size), *file = fopen(path, "wb");
    uint64_t random = 1;
    if (!text || !file)
        return false;
    for (size_t i = 0; i < l->count; i++) {
        const wanted *w = &l->items[i];
        fprintf(text, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? ',' : '{', w->name,
                names[dtype]);
        for (int j = 0; j < w->rank; j++)
            fprintf(text, "%s%lld", j ? "," : "", (long long)w->shape[j]);
        fprintf(text, "],\"data_offsets\":[%lld,%lld]}", (long long)offset,
                (long long)(offset + count_of(w) * bytes));
        offset += count_of(w) * bytes;
    }
    fputc('}', text);
    while (ftell(text) % 8)
        fputc(' ', text);
    fclose(text);
    uint64_t length = size;
    fwrite(&length, sizeof length, 1, file);
    fwrite(header, 1, size, file);
    for (size_t i = 0; i < l->count; i++)
        write_values(file, &l->items[i], dtype, &random);
    free(header);
    return fclose(file) == 0;
}

/* What the network NAME of the configs asks for. */
static bool ask(const char *configs, const char *name, const tg__network_class *class, list *l,
                tg__error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s/config.json", configs, name);
    tg__config *config = tg__config_open(path, name, error);
    tg__weights *weights = tg__weights_from(remember, l, name, error);
    tg__network *network = config && weights ? tg__network_new(class, name, error) : NULL;
    if (network && class->read_config(network, config) == TG_OK)
        class->load(network, weights, error);
    tg__network_free(network);
    tg__weights_close(weights);
    tg__config_close(config);
    return !tg__failed(error);
}

static bool copy(const char *from, const char *to, const char *name)
{
    char source[4096], target[4096];
    tg__error error = {0};
    size_t length;
    snprintf(source, sizeof source, "%s/%s", from, name);
    snprintf(target, sizeof target, "%s/%s", to, name);
    char *text = tg__file_read(source, 1 << 24, &length, &error);
    FILE *file = text ? fopen(target, "wb") : NULL;
    bool good = file && fwrite(text, 1, length, file) == length;
    if (file && fclose(file) != 0)
        good = false;
    free(text);
    return good;
}

static void write_piece(FILE *file, const char *text, int id)
{
    fputs(id ? ",\n\"" : "{\"", file);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', file);
        fputc(*text, file);
    }
    fprintf(file, "\": %d", id);
}

/* CLIP's own tokenizer: the pieces that follow from the shipped merges, and the two ends. */
static bool write_tokenizer(const char *folder, const char *name, tg__error *error)
{
    char path[4096];
    size_t length;
    const char *merges = tg__clip_shipped_merges(&length);
    tg__bpe bpe = {0};
    bool good = tg__clip_vocabulary_shipped(&bpe, error) == TG_OK;
    snprintf(path, sizeof path, "%s/%s/merges.txt", folder, name);
    FILE *file = good ? fopen(path, "wb") : NULL;
    good = file && fwrite(merges, 1, length, file) == length;
    if (file && fclose(file) != 0)
        good = false;
    snprintf(path, sizeof path, "%s/%s/vocab.json", folder, name);
    file = good ? fopen(path, "wb") : NULL;
    int next = 0;
    for (size_t i = 0; file && i < bpe.pieces.count; i++)
        if (bpe.pieces.at[i].id >= 0)
            write_piece(file, bpe.pieces.at[i].text, bpe.pieces.at[i].id), next++;
    if (file) {
        write_piece(file, "<|startoftext|>", next);
        write_piece(file, "<|endoftext|>", next + 1);
        fputs("}\n", file);
    }
    good = file && fclose(file) == 0;
    tg__bpe_free(&bpe);
    return good;
}

/* A part's folder; false with errno. */
static bool make_folder(const char *to, const char *part)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", to, part);
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

/* One network of the pipeline: its config, its weights, its tokenizer. */
static bool write_network(const char *from, const char *to, const tg__role *role,
                          const tg__network_class *class, tg__dtype dtype, tg__error *error)
{
    char path[4096];
    list l = {0};
    snprintf(path, sizeof path, "%s/config.json", role->name);
    bool good = make_folder(to, role->name) && copy(from, to, path) &&
                ask(from, role->name, class, &l, error);
    snprintf(path, sizeof path, "%s/%s/%s.safetensors", to, role->name, class->weights);
    good = good && write_weights(path, &l, dtype);
    free(l.items);
    if (good && role->tokenizer)
        good = make_folder(to, role->tokenizer) && write_tokenizer(to, role->tokenizer, error);
    return good;
}

static bool write_model(const char *from, const char *to, tg__dtype dtype, tg__error *error)
{
    char path[4096];
    tg__model_index index = {0};
    snprintf(path, sizeof path, "%s/model_index.json", from);
    tg__config *config = tg__config_open(path, "model_index.json", error);
    bool good = config && tg__model_index_read(&index, config, tg__pipeline_classes) == TG_OK &&
                make_folder(to, ".") && make_folder(to, "scheduler") &&
                copy(from, to, "model_index.json") &&
                copy(from, to, "scheduler/scheduler_config.json");
    for (int i = 0; good && i < index.class->role_count; i++)
        if (index.networks[i])
            good = write_network(from, to, &index.class->roles[i], index.networks[i], dtype, error);
    tg__config_close(config);
    return good;
}

int main(int argc, char **argv)
{
    tg__error error = {0};
    if (argc < 3)
        return fprintf(stderr, "random_model CONFIGS FOLDER [f32|f16|bf16]\n"), 2;
    const char *format = argc > 3 ? argv[3] : "f16";
    tg__dtype dtype = strcmp(format, "f32") == 0    ? TG__F32
                      : strcmp(format, "bf16") == 0 ? TG__BF16
                                                    : TG__F16;
    if (mkdir(argv[2], 0777) != 0 && errno != EEXIST)
        return perror(argv[2]), 1;
    if (write_model(argv[1], argv[2], dtype, &error))
        return 0;
    fprintf(stderr, "random_model: %s\n", tg__failed(&error) ? error.message : strerror(errno));
    return 1;
}
