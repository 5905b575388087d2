/* SPDX-License-Identifier: MIT */
#include "models/original_names.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const tg__part tg__same_part[] = {{"", ""}, {0}};

/* ------------------------------------------------------------------- reading and writing names */

void tg__put(tg__translation *t, const char *format, ...)
{
    size_t room = sizeof t->name - t->length;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(t->name + t->length, room, format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= room)
        t->fits = false;
    else
        t->length += (size_t)n;
}

bool tg__take(tg__translation *t, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(t->rest, word, n) != 0)
        return false;
    t->rest += n;
    return true;
}

bool tg__take_index(tg__translation *t, int limit, int *index)
{
    const char *p = t->rest;
    int value = 0;
    if (*p == '0' && p[1] != '.')
        return false;
    while (*p >= '0' && *p <= '9' && value < limit)
        value = 10 * value + (*p++ - '0');
    if (p == t->rest || *p != '.' || value >= limit)
        return false;
    t->rest = p + 1;
    *index = value;
    return true;
}

int tg__put_part(tg__translation *t, const tg__part *parts)
{
    for (int i = 0; parts[i].from; i++) {
        if (!tg__take(t, parts[i].from))
            continue;
        tg__put(t, "%s%s", parts[i].to, t->rest);
        return i;
    }
    return -1;
}

bool tg__names_tensor(const tg__translation *t, const char *rest)
{
    tg__translation longer = *t;
    tg__put(&longer, "%s", rest);
    return longer.fits && tg__safetensors_find(t->file, longer.name);
}

bool tg__put_known_part(tg__translation *t, const tg__part *parts)
{
    for (int i = 0; parts[i].from; i++) {
        tg__translation tried = *t;
        const tg__part one[] = {parts[i], {0}};
        if (tg__put_part(&tried, one) >= 0 && tg__names_tensor(&tried, "")) {
            *t = tried;
            return true;
        }
    }
    return false;
}

/* --------------------------------------------------------------------------------------- views */

static void drop_ones(tg__weight *tensor)
{
    for (int i = 2; i < tensor->rank; i++)
        if (tensor->shape[i] != 1)
            return;
    if (tensor->rank > 2)
        tensor->rank = 2;
}

static void add_ones(tg__weight *tensor)
{
    if (tensor->rank != 2)
        return;
    tensor->shape[2] = tensor->shape[3] = 1;
    tensor->rank = 4;
}

static void apply_view(tg__weight *tensor, tg__view how)
{
    switch (how) {
    case TG__AS_IS:
        return;
    case TG__AS_MATRIX:
        drop_ones(tensor);
        return;
    case TG__AS_CONVOLUTION:
        add_ones(tensor);
        return;
    case TG__THIRD_0:
    case TG__THIRD_1:
    case TG__THIRD_2:
        tg__weight_take_part(tensor, (int)(how - TG__THIRD_0), 3);
        return;
    case TG__HALF_0:
    case TG__HALF_1:
        tg__weight_take_part(tensor, (int)(how - TG__HALF_0), 2);
        return;
    case TG__TRANSPOSED:
        tg__weight_transpose(tensor);
        return;
    }
}

/* -------------------------------------------------------------------------------------- lookup */

bool tg__original_lookup(const void *context, const char *name, int rank, const int64_t *shape,
                         tg__weight *found)
{
    (void)rank; /* the caller checks the shape, and names what is off */
    (void)shape;
    const tg__original *original = context;
    const tg__network *network = original->network;
    tg__translation t = {.file = original->file, .fits = true, .rest = name};
    tg__put(&t, "%s", original->place.prefix);
    if (original->place.own)
        tg__put(&t, "%s", name);
    else if (!network->class->original_name(network, &t))
        return false;
    if (!t.fits)
        return false;
    const tg__weight *tensor = tg__safetensors_find(t.file, t.name);
    if (!tensor)
        return false;
    *found = *tensor;
    apply_view(found, t.view);
    return true;
}
