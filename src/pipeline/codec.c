/* SPDX-License-Identifier: MIT */
/* The VAE alone: latents to pictures and back. */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "core/parallel.h"
#include "core/process.h"
#include "pipeline/check.h"
#include "pipeline/session.h"

/* One of the VAE's passes over pictures of one size: from in to out, one at a time. Latents are 1
 * unit apart and pictures as many as a latent is wide. */
typedef struct pass {
    tg_session *session;
    tg__pass pass; /* over all of it */
    tg__grid grid;
    int in_unit, out_unit;
    tg__picture in, out;                /* the whole ones */
    float *input, *tile, *left, *below; /* with tiles: see allocate_tiles */
} pass;

/* ------------------------------------------------------------------------------ how many tiles */

static bool is_whole(const tg__grid *grid)
{
    return grid->rows.count == 1 && grid->columns.count == 1;
}

/* Workspace of a pass over a map of h x w; SIZE_MAX where it cannot be planned. */
static size_t workspace_of(tg_session *s, int kind, int h, int w)
{
    int role = s->model->class->autoencoder;
    int unit = kind == TG__PASS_ENCODE ? s->model->networks[role]->facts.factor : 1;
    tg__pass over = {.kind = kind, .n = 1, .h = h * unit, .w = w * unit, .factor = 1};
    tg__needs needs;
    return tg__session_measure(s, role, &over, &needs) == TG_OK ? needs.workspace_bytes : SIZE_MAX;
}

tg_status tg__session_grid(tg_session *s, int kind, int h, int w, size_t room, tg__grid *grid)
{
    *grid = (tg__grid){tg__axis_whole(h), tg__axis_whole(w)};
    do {
        size_t bytes = workspace_of(s, kind, grid->rows.tile, grid->columns.tile);
        if (tg__failed(&s->error) || bytes <= room)
            return s->error.status;
    } while (tg__grid_split(grid));
    return TG_OK;
}

/* What the workspace may take: an eighth of what there is, the weights that are not packed yet and
 * the picture are kept free. */
static size_t room_of(const pass *p)
{
    tg_session *s = p->session;
    size_t available = tg__memory_available(), budget = tg__memory_left(), needed = 0;
    available = available < budget ? available : budget;
    if (available == SIZE_MAX)
        return SIZE_MAX;
    int role = s->model->class->autoencoder;
    size_t size = s->dtype == TG_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t);
    if (s->backend->class->packed_bytes(s->backend, role) == 0)
        needed = (size_t)s->model->networks[role]->tally.parameters * size;
    needed += (size_t)p->out.channels * (size_t)p->out.h * (size_t)p->out.w * sizeof(float);
    available -= available / 8;
    available += s->workspace_bytes; /* given back for a larger one */
    return available > needed ? available - needed : 0;
}

/* diffusers' tile, in latents. */
static int fixed_tile(const tg__facts *vae)
{
    int tile = vae->sample_size / vae->factor / 4 * 4;
    return tile < 4 ? 4 : tile;
}

static tg_status choose_grid(pass *p)
{
    tg_session *s = p->session;
    int h = p->out.h / p->out_unit, w = p->out.w / p->out_unit;
    int tile = fixed_tile(&tg__autoencoder(s->model)->facts);
    bool larger = p->in.h > tile * p->in_unit || p->in.w > tile * p->in_unit;
    p->grid = (tg__grid){tg__axis_whole(h), tg__axis_whole(w)};
    if (h < 1 || w < 1)
        return TG_OK; /* the plan will say that it is too small */
    if (s->tiling == TG_VAE_TILING_ON && larger)
        p->grid = (tg__grid){tg__axis_fixed(h, tile), tg__axis_fixed(w, tile)};
    else if (s->tiling == TG_VAE_TILING_AUTO)
        tg__session_grid(s, p->pass.kind, h, w, room_of(p), &p->grid);
    if (!is_whole(&p->grid))
        tg__log(&s->model->log, TG_LOG_INFO, "vae: %d x %d tiles of %d x %d latents",
                p->grid.columns.count, p->grid.rows.count, p->grid.columns.tile, p->grid.rows.tile);
    return s->error.status;
}

/* ------------------------------------------------------------------------------------- running */

/* How many of the input's rows (columns) a tile is made of; behind the last latent there may be a
 * few pixels more. */
static int input_length(const tg__axis *axis, int index, int whole, int unit)
{
    int left = whole - tg__axis_at(axis, index).start * unit, most = axis->tile * unit;
    return index + 1 == axis->count || left < most ? left : most;
}

/* The pass over one tile. */
static tg__pass pass_of_tile(const pass *p, int row, int column)
{
    tg__pass tile = p->pass;
    if (!is_whole(&p->grid)) {
        tile.h = input_length(&p->grid.rows, row, p->in.h, p->in_unit);
        tile.w = input_length(&p->grid.columns, column, p->in.w, p->in_unit);
    }
    return tile;
}

static tg_status run_tile_pass(const pass *p, int row, int column, tg__picture in, tg__picture out)
{
    tg__pass tile = pass_of_tile(p, row, column);
    size_t read = (size_t)in.channels * (size_t)in.h * (size_t)in.w * sizeof(float);
    size_t made = (size_t)out.channels * (size_t)out.h * (size_t)out.w * sizeof(float);
    tg__array_port ports[] = {{"input", in.data, NULL, read}, {"output", NULL, out.data, made}};
    return tg__session_run_pass(p->session, p->session->model->class->autoencoder, &tile, ports, 2);
}

/* Everything that may fail: one program for each size of tile, and the workspace for all of them.
 */
static tg_status make_programs(const pass *p)
{
    tg_session *s = p->session;
    int role = s->model->class->autoencoder;
    for (int i = 0; i < p->grid.rows.count; i++)
        for (int j = 0; j < p->grid.columns.count; j++) {
            tg__pass tile = pass_of_tile(p, i, j);
            tg__program *program = tg__session_program(s, role, &tile);
            if (!program || tg__session_bind(s, program) != TG_OK)
                return s->error.status;
        }
    return TG_OK;
}

static size_t most_blended(const tg__axis *axis)
{
    int most = 0;
    for (int i = 0; i < axis->count; i++)
        if (most < tg__axis_at(axis, i).blend)
            most = tg__axis_at(axis, i).blend;
    return (size_t)most;
}

/* Room for what a tile is made of, for its picture, and for what its neighbours need of that: the
 * last columns of the one on the left, the last rows of all above. */
static tg_status allocate_tiles(pass *p)
{
    const tg__axis *rows = &p->grid.rows, *columns = &p->grid.columns;
    size_t in = (size_t)p->in_unit, out = (size_t)p->out_unit, h = (size_t)rows->tile;
    size_t w = (size_t)columns->tile, wide = 0;
    size_t made = (size_t)p->out.channels * out * out * sizeof(float);
    for (int i = 0; i < columns->count; i++)
        wide += (size_t)tg__axis_at(columns, i).length;
    /* the pixels behind the last latent are fewer than one latent's */
    p->input = malloc((size_t)p->in.channels * (h + 1) * in * (w + 1) * in * sizeof(float));
    p->tile = malloc(made * h * w);
    p->left = malloc(made * h * most_blended(columns) + 1);
    p->below = malloc(made * wide * most_blended(rows) + 1);
    if (!p->input || !p->tile || !p->left || !p->below)
        return tg__fail_memory(&p->session->error);
    return TG_OK;
}

/* below: where the last rows of the tile above are, and then this one's. */
static void run_tile(const pass *p, int i, int j, float *below)
{
    tg__span row = tg__axis_at(&p->grid.rows, i), column = tg__axis_at(&p->grid.columns, j);
    int u = p->out_unit, in_h = input_length(&p->grid.rows, i, p->in.h, p->in_unit);
    int in_w = input_length(&p->grid.columns, j, p->in.w, p->in_unit);
    tg__picture input = {p->input, p->in.channels, in_h, in_w};
    tg__picture tile = {p->tile, p->out.channels, row.length * u, column.length * u};
    tg__picture above = {below, tile.channels, row.blend * u, tile.w};
    tg__picture left = {p->left, tile.channels, tile.h, column.blend * u};
    tg__copy_area(input, 0, 0, p->in, row.start * p->in_unit, column.start * p->in_unit, in_h,
                  in_w);
    run_tile_pass(p, i, j, input, tile);
    tg__blend_rows(tile, above);
    tg__blend_columns(tile, left);
    tg__copy_area(p->out, row.start * u, column.start * u, tile, 0, 0, row.keep * u,
                  column.keep * u);
    above.h = tile.h - row.keep * u;
    left.w = tile.w - column.keep * u;
    tg__copy_area(above, 0, 0, tile, row.keep * u, 0, above.h, above.w);
    tg__copy_area(left, 0, 0, tile, 0, column.keep * u, left.h, left.w);
}

/* One picture, by programs that are there already. */
static tg_status run_pass(const pass *p)
{
    size_t strip = (size_t)p->out.channels * most_blended(&p->grid.rows) * (size_t)p->out_unit;
    if (is_whole(&p->grid))
        return run_tile_pass(p, 0, 0, p->in, p->out);
    for (int i = 0; i < p->grid.rows.count && !tg__failed(&p->session->error); i++) {
        float *below = p->below;
        for (int j = 0; j < p->grid.columns.count; j++) {
            run_tile(p, i, j, below);
            below += strip * (size_t)(tg__axis_at(&p->grid.columns, j).length * p->out_unit);
        }
    }
    return p->session->error.status;
}

static tg_status prepare_pass(pass *p)
{
    if (choose_grid(p) == TG_OK && make_programs(p) == TG_OK && !is_whole(&p->grid))
        allocate_tiles(p);
    return p->session->error.status;
}

static void release_pass(pass *p)
{
    free(p->input);
    free(p->tile);
    free(p->left);
    free(p->below);
}

/* Picture i of count begins; false if the call was cancelled. */
static bool report_picture(tg_session *s, tg_phase phase, int i, int count)
{
    s->progress = (tg_progress){.phase = phase, .step = i, .steps = count};
    return tg__session_report(s);
}

static size_t first_broken(const tg_result *result)
{
    tg_array x = result->pictures;
    size_t picture = (size_t)x.channels * (size_t)x.height * (size_t)x.width;
    return tg__first_not_finite(x.data, (size_t)x.count * picture) / picture;
}

/* One picture at a time: the decoder's maps are the largest of all, and gain nothing in a batch.
 * Where pictures are there already, those that are not finite are made again. */
static void decode_pictures(tg_session *s, tg_result *result, float factor)
{
    const tg__facts *c = &tg__autoencoder(s->model)->facts;
    tg_array x = result->latents;
    int scale = c->factor;
    double start = tg__seconds(), loaded = start;
    pass p = {.session = s,
              .pass = {.n = 1, .h = x.height, .w = x.width, .factor = factor},
              .in_unit = 1,
              .out_unit = scale,
              .in = {(float *)(uintptr_t)x.data, x.channels, x.height, x.width},
              .out = {NULL, c->out_channels, x.height * scale, x.width * scale}};
    size_t latent = (size_t)x.channels * (size_t)x.height * (size_t)x.width;
    size_t picture = (size_t)p.out.channels * (size_t)p.out.h * (size_t)p.out.w;
    bool again = result->pictures.data != NULL;
    if (prepare_pass(&p) == TG_OK &&
        (again ||
         tg__array_new(&result->pictures, x.count, p.out.channels, p.out.h, p.out.w, &s->error))) {
        loaded = tg__seconds();
        p.out.data = (float *)(uintptr_t)result->pictures.data;
        for (int i = 0; i < x.count && report_picture(s, TG_PHASE_DECODE, i, x.count); i++) {
            if (!again || tg__first_not_finite(p.out.data, picture) < picture)
                run_pass(&p);
            p.in.data += latent;
            p.out.data += picture;
        }
    }
    result->seconds.load += loaded - start;
    result->seconds.decode += tg__seconds() - loaded;
    release_pass(&p);
}

/* What 16 bits could not hold. */
static void decode_again(tg_session *s, tg_result *result, float factor)
{
    if (!s->profile && !s->caches)
        tg__session_release(s, s->model->class->autoencoder);
    tg_session *precise = tg__session_in_f32(s);
    if (!precise)
        return;
    decode_pictures(precise, result, factor);
    tg__session_end_f32(s, precise);
}

tg_status tg__session_decode(tg_session *s, tg_result *result, float factor)
{
    size_t count = (size_t)result->latents.count;
    decode_pictures(s, result, factor);
    size_t broken = tg__failed(&s->error) ? count : first_broken(result);
    if (broken < count && s->dtype != TG_DTYPE_F32) {
        tg__log(&s->model->log, TG_LOG_WARNING,
                "vae: picture %zu is not finite in %s: decoded again in f32", broken + 1,
                tg_dtype_name(s->dtype));
        decode_again(s, result, factor);
        broken = tg__failed(&s->error) ? count : first_broken(result);
    }
    if (broken < count)
        tg__fail(&s->error, TG_ERROR_NUMERIC,
                 "vae: picture %zu is not finite, expected finite numbers", broken + 1);
    return s->error.status;
}

static bool usable(const tg_array *x, const char *what, int channels, int most, tg__error *error)
{
    if (!tg__given(x, what, error))
        return false;
    if (!x->data || x->count < 1 || x->channels != channels || x->height < 1 || x->width < 1 ||
        x->height > most || x->width > most) {
        tg__fail(error, TG_ERROR_ARGUMENT,
                 "%s are (%d, %d, %d, %d), expected %d channels and at most %d x %d", what,
                 x->count, x->channels, x->height, x->width, channels, most, most);
        return false;
    }
    size_t n = (size_t)x->count * (size_t)x->channels * (size_t)x->height * (size_t)x->width;
    size_t bad = tg__first_not_finite(x->data, n);
    if (bad < n)
        tg__fail(error, TG_ERROR_ARGUMENT, "%s hold %g at %zu, expected finite numbers", what,
                 (double)x->data[bad], bad);
    return bad == n;
}

static void decode(tg_result **result, tg_session *s, const tg_array *latents, bool unscaled)
{
    const tg__facts *vae = &tg__autoencoder(s->model)->facts;
    if (!usable(latents, "latents", vae->latent_channels, TG__MAX_SIDE / vae->factor, &s->error))
        return;
    *result = tg__result_new(&s->error);
    if (!*result || !tg__array_new(&(*result)->latents, latents->count, latents->channels,
                                   latents->height, latents->width, &s->error))
        return;
    size_t n = (size_t)latents->count * (size_t)latents->channels * (size_t)latents->height *
               (size_t)latents->width;
    memcpy((float *)(uintptr_t)(*result)->latents.data, latents->data, n * sizeof(float));
    tg__session_decode(s, *result, unscaled ? 1.f : (float)(1 / vae->scaling_factor));
}

tg_status tg_decode(tg_result **result, tg_session *s, const tg_array *latents, bool unscaled)
{
    tg__call call;
    if (result)
        *result = NULL;
    if (tg__session_enter(s, &call) != TG_OK)
        return s ? s->error.status : TG_ERROR_ARGUMENT;
    if (tg__given(result, "result", &s->error))
        decode(result, s, latents, unscaled);
    return tg__result_leave(result, s, &call);
}

/* The mean is the first half of the moments' channels. */
static void run_encoder(pass *p, tg_result *result, const tg_array *pictures, float factor)
{
    size_t latent = (size_t)result->latents.channels * (size_t)p->out.h * (size_t)p->out.w;
    float *dst = (float *)(uintptr_t)result->latents.data;
    for (int i = 0; i < pictures->count; i++, dst += latent) {
        if (!report_picture(p->session, TG_PHASE_ENCODE, i, pictures->count) ||
            run_pass(p) != TG_OK)
            return;
        for (size_t j = 0; j < latent; j++)
            dst[j] = p->out.data[j] * factor;
        if (tg__first_not_finite(dst, latent) < latent) {
            tg__fail(&p->session->error, TG_ERROR_NUMERIC,
                     "vae: the mean of picture %d is not finite, expected finite numbers", i + 1);
            return;
        }
        p->in.data += (size_t)p->in.channels * (size_t)p->in.h * (size_t)p->in.w;
    }
}

static tg_status encode_pictures(tg_session *s, tg_result *result, const tg_array *pictures,
                                 float factor)
{
    const tg__facts *c = &tg__autoencoder(s->model)->facts;
    pass p = {
        .session = s,
        .pass = {.kind = TG__PASS_ENCODE, .n = 1, .h = pictures->height, .w = pictures->width},
        .in_unit = c->factor,
        .out_unit = 1,
        .in = {(float *)(uintptr_t)pictures->data, 3, pictures->height, pictures->width},
        .out = {.channels = c->moments}};
    tg__latent_size(tg__autoencoder(s->model), p.in.h, p.in.w, &p.out.h, &p.out.w);
    if (prepare_pass(&p) == TG_OK) {
        size_t moments = (size_t)p.out.channels * (size_t)p.out.h * (size_t)p.out.w;
        p.out.data = calloc(moments, sizeof(float));
        if (!p.out.data)
            tg__fail_memory(&s->error);
        else if (tg__array_new(&result->latents, pictures->count, c->latent_channels, p.out.h,
                               p.out.w, &s->error))
            run_encoder(&p, result, pictures, factor);
        free(p.out.data);
    }
    release_pass(&p);
    return s->error.status;
}

static void encode(tg_result **result, tg_session *s, const tg_array *pictures, bool unscaled)
{
    double start = tg__seconds();
    float factor = unscaled ? 1.f : (float)tg__autoencoder(s->model)->facts.scaling_factor;
    if (!usable(pictures, "pictures", 3, TG__MAX_SIDE, &s->error))
        return;
    if (tg__autoencoder(s->model)->facts.moments == 0) {
        tg__fail(&s->error, TG_ERROR_UNSUPPORTED, "%s: has no encoder, expected one to encode with",
                 tg__autoencoder(s->model)->name);
        return;
    }
    bool exact = tg__autoencoder(s->model)->facts.encodes_in_f32 && s->dtype != TG_DTYPE_F32;
    tg_session *on = exact ? tg__session_in_f32(s) : s;
    *result = on ? tg__result_new(&s->error) : NULL;
    if (*result && encode_pictures(on, *result, pictures, factor) == TG_OK)
        (*result)->seconds.decode = tg__seconds() - start;
    if (on != s)
        tg__session_end_f32(s, on);
}

tg_status tg_encode(tg_result **result, tg_session *s, const tg_array *pictures, bool unscaled)
{
    tg__call call;
    if (result)
        *result = NULL;
    if (tg__session_enter(s, &call) != TG_OK)
        return s ? s->error.status : TG_ERROR_ARGUMENT;
    if (tg__given(result, "result", &s->error))
        encode(result, s, pictures, unscaled);
    return tg__result_leave(result, s, &call);
}
