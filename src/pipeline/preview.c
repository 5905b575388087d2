/* SPDX-License-Identifier: MIT */
#include "pipeline/preview.h"

#include <math.h>
#include <stdlib.h>

#include "core/rng.h"

/* What is decoded for the fit: patches of one colour each, as pictures have them. */
enum { SIDE = 16, PATCH = 4, PATCHES = (SIDE / PATCH) * (SIDE / PATCH) };
enum { COLOURS = 3, MOST_CHANNELS = PATCHES - 1, MOST_TERMS = MOST_CHANNELS + 1 };

/* Latents (channels, SIDE, SIDE) of which each patch has one random value a channel. */
static void draw_patches(float *latents, int channels)
{
    float values[MOST_CHANNELS * PATCHES];
    tg__rng rng;
    tg__rng_seed(&rng, TG_RNG_TORCH_CPU, 0);
    tg__rng_normal(&rng, values, (size_t)channels * PATCHES);
    for (int c = 0; c < channels; c++)
        for (int y = 0; y < SIDE; y++)
            for (int x = 0; x < SIDE; x++)
                latents[(c * SIDE + y) * SIDE + x] =
                    values[c * PATCHES + y / PATCH * (SIDE / PATCH) + x / PATCH];
}

/* The mean of a decoded picture's pixels within latent (y, x). */
static double mean_of(const float *picture, int colour, int y, int x, int factor)
{
    double sum = 0;
    size_t width = (size_t)SIDE * (size_t)factor;
    const float *plane = picture + (size_t)colour * width * width;
    for (int i = 0; i < factor; i++)
        for (int j = 0; j < factor; j++)
            sum += plane[((size_t)y * (size_t)factor + (size_t)i) * width +
                         (size_t)x * (size_t)factor + (size_t)j];
    return sum / factor / factor;
}

/* Solves a x = b by elimination with pivots; a is (n, n), both are used up. Near-singular
 * directions, which nothing was learned of, become 0. */
static void solve(double a[MOST_TERMS][MOST_TERMS], double b[MOST_TERMS], int n)
{
    const double least = 1e-9;
    for (int i = 0; i < n; i++) {
        int pivot = i;
        for (int r = i + 1; r < n; r++)
            if (fabs(a[r][i]) > fabs(a[pivot][i]))
                pivot = r;
        for (int c = 0; c < n; c++) {
            double swap = a[i][c];
            a[i][c] = a[pivot][c];
            a[pivot][c] = swap;
        }
        double swap = b[i];
        b[i] = b[pivot];
        b[pivot] = swap;
        for (int r = 0; r < n; r++) {
            double factor = r != i && fabs(a[i][i]) > least ? a[r][i] / a[i][i] : 0;
            for (int c = i; c < n; c++)
                a[r][c] -= factor * a[i][c];
            b[r] -= factor * b[i];
        }
    }
    for (int i = 0; i < n; i++)
        b[i] = fabs(a[i][i]) > least ? b[i] / a[i][i] : 0;
}

/* Least squares of one colour over all latents. */
static void fit(float *map, const float *latents, const float *picture, int channels, int colour,
                int factor)
{
    double a[MOST_TERMS][MOST_TERMS] = {{0}}, b[MOST_TERMS] = {0}, terms[MOST_TERMS];
    int n = channels + 1;
    for (int y = 0; y < SIDE; y++) {
        for (int x = 0; x < SIDE; x++) {
            double wanted = mean_of(picture, colour, y, x, factor);
            for (int c = 0; c < channels; c++)
                terms[c] = (double)latents[(c * SIDE + y) * SIDE + x];
            terms[channels] = 1;
            for (int i = 0; i < n; i++) {
                b[i] += terms[i] * wanted;
                for (int j = 0; j < n; j++)
                    a[i][j] += terms[i] * terms[j];
            }
        }
    }
    solve(a, b, n);
    for (int i = 0; i < n; i++)
        map[i] = (float)b[i];
}

static tg_status fit_map(tg_session *s, int channels)
{
    const tg__facts *vae = &tg__autoencoder(s->model)->facts;
    size_t side = (size_t)SIDE * (size_t)vae->factor, n = (size_t)channels * SIDE * SIDE;
    float *latents = malloc(n * sizeof *latents);
    float *picture = malloc(COLOURS * side * side * sizeof *picture);
    float *map = calloc(COLOURS * (size_t)(channels + 1), sizeof *map);
    tg__pass pass = {.n = 1, .h = SIDE, .w = SIDE, .factor = (float)(1 / vae->scaling_factor)};
    tg__array_port ports[] = {{"input", latents, NULL, n * sizeof *latents},
                              {"output", NULL, picture, COLOURS * side * side * sizeof *picture}};
    if (!latents || !picture || !map)
        tg__fail_memory(&s->error);
    else
        draw_patches(latents, channels);
    if (latents && picture && map &&
        tg__session_run_pass(s, s->model->class->autoencoder, &pass, ports, 2) == TG_OK) {
        for (int colour = 0; colour < COLOURS; colour++)
            fit(map + colour * (channels + 1), latents, picture, channels, colour, vae->factor);
        s->preview.map = map;
        map = NULL;
    }
    free(latents);
    free(picture);
    free(map);
    return s->error.status;
}

tg_status tg__preview_prepare(tg_session *s, int count, int h, int w)
{
    int channels = tg__denoiser(s->model)->facts.in_channels;
    size_t room = (size_t)count * COLOURS * (size_t)h * (size_t)w;
    if (channels > MOST_CHANNELS)
        return tg__fail_about(&s->error, TG_ERROR_UNSUPPORTED, "preview",
                              "preview: latents have %d channels, expected at most %d", channels,
                              MOST_CHANNELS);
    if (room > s->preview.room) {
        free(s->preview.picture);
        s->preview.picture = malloc(room * sizeof(float));
        s->preview.room = s->preview.picture ? room : 0;
        if (!s->preview.picture)
            return tg__fail_memory(&s->error);
    }
    return s->preview.map ? TG_OK : fit_map(s, channels);
}

tg_array tg__preview_make(tg_session *s, const float *latents, int count, int h, int w)
{
    int channels = tg__denoiser(s->model)->facts.in_channels;
    size_t plane = (size_t)h * (size_t)w;
    for (int n = 0; n < count; n++) {
        for (int colour = 0; colour < COLOURS; colour++) {
            const float *map = s->preview.map + colour * (channels + 1);
            const float *src = latents + (size_t)n * (size_t)channels * plane;
            float *dst = s->preview.picture + ((size_t)n * COLOURS + (size_t)colour) * plane;
            for (size_t i = 0; i < plane; i++) {
                float sum = map[channels];
                for (int c = 0; c < channels; c++)
                    sum += map[c] * src[(size_t)c * plane + i];
                dst[i] = sum < -1 ? -1 : sum > 1 ? 1 : sum;
            }
        }
    }
    return (tg_array){count, COLOURS, h, w, s->preview.picture};
}
