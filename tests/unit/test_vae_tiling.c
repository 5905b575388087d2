/* SPDX-License-Identifier: MIT */
/* Where the VAE's tiles lie, when there are any, how much memory there is, and that no seam shows.
 * That tiles are diffusers' is tested with goldens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "pipeline/session.h"
#include "scratch.h"

#define MIB ((size_t)1 << 20)

/* ------------------------------------------------------------------------------------ geometry */

/* Tiles follow one another without a hole, share what they say, and end where the map does. */
static void check_axis(tg__axis axis)
{
    int kept = 0, shared = 0;
    for (int i = 0; i < axis.count; i++) {
        tg__span s = tg__axis_at(&axis, i);
        assert_int_equal(s.start, kept);
        assert_true(s.length >= 1 && s.length <= axis.tile && s.keep >= 1 && s.keep <= s.length);
        assert_int_equal(s.blend, shared);
        assert_true(s.blend <= s.length);
        kept += s.keep;
        shared = s.length - s.keep;
    }
    assert_int_equal(kept, axis.size);
    assert_int_equal(shared, 0);
}

static void fixed_tiles(void **state)
{
    (void)state;
    for (int tile = 4; tile <= 64; tile += 4)
        for (int size = 1; size < 300; size++)
            check_axis(tg__axis_fixed(size, tile));
    tg__axis axis = tg__axis_fixed(100, 64); /* 0 to 64, 48 to 100, 96 to 100 */
    assert_int_equal(axis.count, 3);
    assert_int_equal(tg__axis_at(&axis, 1).length, 52);
    assert_int_equal(tg__axis_at(&axis, 2).blend, 4);
}

static void even_tiles(void **state)
{
    (void)state;
    for (int size = 1; size < 3000; size += 1 + size / 50) {
        for (int count = 1; count < 40; count++) {
            tg__axis axis = tg__axis_even(size, count);
            if (axis.tile < TG__LEAST_TILE && axis.count > 1)
                break;
            check_axis(axis);
            if (axis.count == 1) {
                assert_int_equal(axis.tile, size);
                continue;
            }
            assert_int_equal(axis.count, count);
            for (int i = 0; i < count; i++)
                assert_int_equal(tg__axis_at(&axis, i).length, axis.tile);
            for (int i = 1; i < count; i++)
                assert_true(4 * tg__axis_at(&axis, i).blend >= axis.tile);
        }
    }
}

static void splitting(void **state)
{
    (void)state;
    tg__grid grid = {tg__axis_whole(64), tg__axis_whole(2048)};
    int splits = 0;
    while (tg__grid_split(&grid))
        splits++;
    assert_true(splits > 50);
    assert_true(grid.rows.tile >= TG__LEAST_TILE && grid.columns.tile >= TG__LEAST_TILE);
    assert_true(grid.rows.tile < 64 && grid.columns.tile < 40);
    grid = (tg__grid){tg__axis_whole(33), tg__axis_whole(20)};
    assert_false(tg__grid_split(&grid));
    grid = (tg__grid){tg__axis_whole(128), tg__axis_whole(100)};
    assert_true(tg__grid_split(&grid));
    assert_int_equal(grid.rows.count, 2);
    assert_int_equal(grid.columns.count, 1);
}

/* ---------------------------------------------------------------------------------- the decision
 */

static tg_model *open_demo(tg_session **session, tg_vae_tiling tiling)
{
    tg_model *model;
    tg_session_options options;
    tg_session_options_init(&options);
    assert_int_equal(options.vae_tiling, TG_VAE_TILING_AUTO);
    options.vae_tiling = tiling;
    options.dtype = TG_DTYPE_F32;
    options.threads = 1; /* several tests run at once */
    assert_int_equal(tg_model_open(&model, TG_PROJECT "/models/demo", NULL), TG_OK);
    assert_int_equal(tg_session_new(session, model, &options), TG_OK);
    return model;
}

static size_t workspace(tg_session *s, int kind, int h, int w)
{
    int unit = kind == TG__PASS_ENCODE ? 8 : 1;
    tg__pass pass = {.kind = kind, .n = 1, .h = h * unit, .w = w * unit, .factor = 1};
    tg__needs needs;
    assert_int_equal(tg__session_measure(s, s->model->class->autoencoder, &pass, &needs), TG_OK);
    return needs.workspace_bytes;
}

/* Whole to the last byte; with less, ever smaller tiles that fit; the smallest if none does. */
static void decision(void **state)
{
    (void)state;
    tg_session *s;
    tg_model *model = open_demo(&s, TG_VAE_TILING_AUTO);
    for (int kind = TG__PASS_RUN; kind <= TG__PASS_ENCODE; kind += TG__PASS_ENCODE) {
        tg__grid grid;
        size_t whole = workspace(s, kind, 128, 96);
        assert_int_equal(tg__session_grid(s, kind, 128, 96, whole, &grid), TG_OK);
        assert_int_equal(grid.rows.count * grid.columns.count, 1);
        int tiles = 1;
        for (size_t room = whole - 1; room > whole / 6; room -= whole / 20) {
            assert_int_equal(tg__session_grid(s, kind, 128, 96, room, &grid), TG_OK);
            assert_true(grid.rows.count * grid.columns.count >= tiles);
            tiles = grid.rows.count * grid.columns.count;
            assert_true(tiles > 1);
            assert_true(workspace(s, kind, grid.rows.tile, grid.columns.tile) <= room);
        }
        assert_true(tiles > 4);
        assert_int_equal(tg__session_grid(s, kind, 128, 96, 0, &grid), TG_OK);
        assert_true(grid.rows.tile >= TG__LEAST_TILE && grid.rows.tile < TG__LEAST_TILE + 12);
    }
    tg_session_free(s);
    tg_model_close(model);
}

static void wrong_option(void **state)
{
    (void)state;
    tg_model *model;
    tg_session *s;
    tg_session_options options;
    tg_session_options_init(&options);
    options.vae_tiling = (tg_vae_tiling)7;
    assert_int_equal(tg_model_open(&model, TG_PROJECT "/models/demo", NULL), TG_OK);
    assert_int_equal(tg_session_new(&s, model, &options), TG_ERROR_ARGUMENT);
    assert_string_equal(tg_session_message(s),
                        "vae_tiling is 7, expected TG_VAE_TILING_AUTO, _ON or _OFF");
    tg_session_free(s);
    tg_model_close(model);
}

/* ------------------------------------------------------------------------------ available memory
 */

static void put(scratch *s, const char *folders, const char *name, const char *text)
{
    char path[256], copy[256];
    snprintf(copy, sizeof copy, "%s", folders);
    path[0] = '\0';
    for (char *at = copy, *part; (part = strsep(&at, "/"));) {
        size_t n = strlen(path);
        snprintf(path + n, sizeof path - n, "%s%s", n ? "/" : "", part);
        scratch_folder(s, path);
    }
    snprintf(path, sizeof path, "%s/%s", folders, name);
    scratch_write(s, path, text, strlen(text));
}

static void available(void **state)
{
    scratch *s = *state;
    const size_t none = SIZE_MAX;
    assert_true(tg__memory_available_at(s->folder, none) == none);
    assert_true(tg__memory_available_at(s->folder, 4096) == none); /* nothing says what is used */
    put(s, "proc", "meminfo", "MemTotal:   9000 kB\nMemFree:  10 kB\nMemAvailable:   8000 kB\n");
    assert_int_equal(tg__memory_available_at(s->folder, none), 8000 << 10);
    /* version 2, with a limit in the group above */
    put(s, "proc/self", "cgroup", "0::/user.slice/job\n");
    put(s, "sys/fs/cgroup/user.slice/job", "memory.max", "max\n");
    put(s, "sys/fs/cgroup/user.slice", "memory.max", "4096000\n");
    put(s, "sys/fs/cgroup/user.slice", "memory.current", "3000000\n");
    assert_int_equal(tg__memory_available_at(s->folder, none), 1096000);
    put(s, "sys/fs/cgroup/user.slice", "memory.stat",
        "anon 1\ninactive_file 500000\nactive_file 400000\n");
    assert_int_equal(tg__memory_available_at(s->folder, none), 1996000);
    put(s, "sys/fs/cgroup/user.slice/job", "memory.max", "1000\n");
    put(s, "sys/fs/cgroup/user.slice/job", "memory.current", "2000\n");
    assert_int_equal(tg__memory_available_at(s->folder, none), 0);
    /* version 1 */
    put(s, "proc/self", "cgroup",
        "3:cpu,cpuacct:/a\n5:pids,memory:/b/c\nno colons\n7:memoryx:/d\n");
    put(s, "sys/fs/cgroup/memory/b/c", "memory.limit_in_bytes", "700000\n");
    put(s, "sys/fs/cgroup/memory/b/c", "memory.usage_in_bytes", "100000\n");
    assert_int_equal(tg__memory_available_at(s->folder, none), 600000);
    put(s, "sys/fs/cgroup/memory", "memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(tg__memory_available_at(s->folder, none), 600000);
    /* addresses */
    put(s, "proc/self", "statm", "100 50 30 20 0 10 0\n");
    size_t used = 100 * (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(tg__memory_available_at(s->folder, used + 5000), 5000);
    assert_int_equal(tg__memory_available_at(s->folder, used - 1), 0);
    /* this machine has some, and less than there can be */
    assert_true(tg__memory_available() > MIB && tg__memory_available() < SIZE_MAX / 2);
}

/* ----------------------------------------------------------------------------------------- seams
 */

/* Discs of all colours on a gradient. */
static float *draw(int h, int w)
{
    float *picture = malloc(3 * (size_t)h * (size_t)w * sizeof *picture), *p = picture;
    for (int c = 0; c < 3; c++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                int dx = x % 70 - 35, dy = y % 60 - 30;
                bool disc = dx * dx + dy * dy < 500;
                *p++ = disc ? (float)((x / 70 + y / 60 * (c + 1)) % 3 - 1) * 0.8f
                            : (float)(c == 0 ? x : y) / (float)w - 0.3f;
            }
    return picture;
}

/* Mean difference of neighbouring columns over those that border on a tile's start or on the end of
 * its overlap (border), or over all others. */
static double steps(const float *x, int h, int w, const tg__axis *axis, bool border)
{
    double sum = 0, count = 0;
    for (int column = 1; column < w; column++) {
        bool found = false;
        for (int i = 1; i < axis->count; i++) {
            tg__span s = tg__axis_at(axis, i);
            found = found || column == 8 * s.start || column == 8 * (s.start + s.blend);
        }
        for (int y = 0; found == border && y < 3 * h; y++) {
            const float *at = x + (size_t)y * (size_t)w + (size_t)column;
            sum += fabs((double)at[0] - (double)at[-1]);
            count++;
        }
    }
    assert_true(count > 0);
    return sum / count;
}

static void no_seams(void **state)
{
    (void)state;
    enum { H = 192, W = 448 };
    tg_session *tiled, *whole;
    tg_model *a = open_demo(&tiled, TG_VAE_TILING_ON), *b = open_demo(&whole, TG_VAE_TILING_OFF);
    tg_result *latents, *parts, *all;
    float *picture = draw(H, W);
    tg_array drawn = {1, 3, H, W, picture};
    assert_int_equal(tg_encode(&latents, whole, &drawn, false), TG_OK);
    tg_array z = tg_result_latents(latents);
    assert_int_equal(tg_decode(&parts, tiled, &z, false), TG_OK);
    assert_int_equal(tg_decode(&all, whole, &z, false), TG_OK);
    const float *x = tg_result_pictures(parts).data, *y = tg_result_pictures(all).data;
    double squares = 0;
    float *difference = malloc(3 * (size_t)H * W * sizeof *difference);
    for (size_t i = 0; i < 3 * (size_t)H * W; i++) {
        difference[i] = x[i] - y[i];
        squares += (double)difference[i] * (double)difference[i];
    }
    double decibels = 10 * log10(4 * 3.0 * H * W / squares);
    tg__axis columns = tg__axis_fixed(W / 8, 16); /* the demo VAE was trained at 128 pixels */
    double at_border = steps(difference, H, W, &columns, true);
    double inside = steps(difference, H, W, &columns, false);
    print_message("%.1f dB; steps of the difference: %.2g at borders, %.2g inside\n", decibels,
                  at_border, inside);
    assert_true(decibels > 30);
    assert_true(squares > 0 && at_border < 1.25 * inside);
    assert_true(steps(x, H, W, &columns, true) < 1.25 * steps(y, H, W, &columns, true));
    free(difference);
    free(picture);
    tg_result_free(latents);
    tg_result_free(parts);
    tg_result_free(all);
    tg_session_free(tiled);
    tg_session_free(whole);
    tg_model_close(a);
    tg_model_close(b);
}

/* A last tile of a single pixel, which makes no latent, is left to the one before. */
static void odd_sizes(void **state)
{
    (void)state;
    tg_session *s;
    tg_model *model = open_demo(&s, TG_VAE_TILING_ON);
    tg_result *result;
    float *picture = draw(193, 289);
    for (int h = 1; h <= 193; h += 96) {
        tg_array x = {1, 3, h, 289, picture};
        tg_status status = tg_encode(&result, s, &x, false);
        assert_int_equal(status, h < 8 ? TG_ERROR_ARGUMENT : TG_OK);
        if (result)
            assert_int_equal(tg_result_latents(result).height, h / 8);
        tg_result_free(result);
    }
    free(picture);
    tg_session_free(s);
    tg_model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fixed_tiles),  cmocka_unit_test(even_tiles),
                                       cmocka_unit_test(splitting),    cmocka_unit_test(decision),
                                       cmocka_unit_test(wrong_option), cmocka_unit_test(available),
                                       cmocka_unit_test(no_seams),     cmocka_unit_test(odd_sizes)};
    return cmocka_run_group_tests(tests, scratch_make, scratch_remove);
}
