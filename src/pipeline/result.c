/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "pipeline/session.h"

tg_result *tg__result_new(tg__error *error)
{
    tg_result *result = calloc(1, sizeof *result);
    if (!result)
        tg__fail_memory(error);
    return result;
}

bool tg__array_new(tg_array *array, int count, int channels, int height, int width,
                   tg__error *error)
{
    size_t n = (size_t)count * (size_t)channels * (size_t)height * (size_t)width;
    *array = (tg_array){count, channels, height, width, malloc(n * sizeof(float))};
    if (!array->data)
        tg__fail_size(error, "an array of latents or pictures", n * sizeof(float));
    return array->data != NULL;
}

void tg_result_free(tg_result *result)
{
    if (!result)
        return;
    free((float *)result->latents.data);
    free((float *)result->pictures.data);
    free(result);
}

tg_status tg__result_leave(tg_result **result, tg_session *s, const tg__call *call)
{
    if (result && tg__failed(&s->error)) {
        tg_result_free(*result);
        *result = NULL;
    }
    return tg__session_leave(s, call);
}

static const tg_result no_result;

static const tg_result *given(const tg_result *result) { return result ? result : &no_result; }

tg_array tg_result_latents(const tg_result *result) { return given(result)->latents; }
tg_array tg_result_pictures(const tg_result *result) { return given(result)->pictures; }
const tg_seconds *tg_result_seconds(const tg_result *result) { return &given(result)->seconds; }
double tg_result_gmac(const tg_result *result) { return 1e-9 * (double)given(result)->macs; }
double tg_result_gmac_plain(const tg_result *result)
{
    return 1e-9 * (double)given(result)->macs_plain;
}

tg_array tg_result_image(const tg_result *result, int index)
{
    tg_array picture = given(result)->pictures;
    size_t size = (size_t)picture.channels * (size_t)picture.height * (size_t)picture.width;
    if (index < 0 || index >= picture.count || !picture.data)
        return (tg_array){0};
    picture.count = 1;
    picture.data += (size_t)index * size;
    return picture;
}
