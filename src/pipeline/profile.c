/* SPDX-License-Identifier: MIT */
/* What a session's operators took, added up by kind and shape. */
#include <stdlib.h>
#include <string.h>

#include "kernels/peak.h"
#include "pipeline/session.h"

typedef struct tg__profile {
    tg_profile_row *rows;
    int count, room;
} profile;

static tg_dtype dtype_of(const tg__task *task)
{
    if (task->src[0].dtype == TG__U8)
        return TG_DTYPE_INT8;
    return task->src[0].dtype == TG__BF16 ? TG_DTYPE_BF16 : TG_DTYPE_F32;
}

static bool same_row(const tg_profile_row *row, const tg__program *plan, const tg__task *task)
{
    return strcmp(row->operator_name, task->op->kind) == 0 && row->dtype == dtype_of(task) &&
           strcmp(row->network, tg__program_network(plan)) == 0 &&
           strcmp(row->shape, task->shape) == 0;
}

static bool add_task(profile *p, const tg__program *plan, const tg__task *task)
{
    int i = 0;
    while (i < p->count && !same_row(&p->rows[i], plan, task))
        i++;
    if (i == p->room) {
        int room = p->room ? 2 * p->room : 64;
        tg_profile_row *rows = realloc(p->rows, (size_t)room * sizeof *rows);
        if (!rows)
            return false;
        p->rows = rows;
        p->room = room;
    }
    if (i == p->count)
        p->rows[p->count++] = (tg_profile_row){.network = tg__program_network(plan),
                                               .operator_name = task->op->kind,
                                               .shape = task->shape,
                                               .dtype = dtype_of(task)};
    p->rows[i].calls += task->calls;
    p->rows[i].seconds += task->seconds;
    p->rows[i].gmac += 1e-9 * (double)task->macs * (double)task->calls;
    p->rows[i].gbytes += 1e-9 * (double)task->bytes * (double)task->calls;
    return true;
}

static int by_falling_time(const void *a, const void *b)
{
    double x = ((const tg_profile_row *)a)->seconds, y = ((const tg_profile_row *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void free_profile(struct tg__profile *p)
{
    if (p)
        free(p->rows);
    free(p);
}

tg_status tg_session_profile(tg_session *s, const tg_profile_row **rows, int *count)
{
    s->error = (tg__error){0};
    free_profile(s->rows);
    s->rows = NULL;
    *rows = NULL;
    *count = 0;
    profile *p = calloc(1, sizeof *p);
    if (!p)
        return tg__fail_memory(&s->error);
    for (const tg__cached_plan *c = s->plans; c; c = c->next) {
        for (int i = 0; i < tg__program_task_count(c->plan); i++) {
            if (!add_task(p, c->plan, tg__program_task(c->plan, i))) {
                free_profile(p);
                return tg__fail_memory(&s->error);
            }
        }
    }
    if (p->count)
        qsort(p->rows, (size_t)p->count, sizeof *p->rows, by_falling_time);
    s->rows = p;
    *rows = p->rows;
    *count = p->count;
    return TG_OK;
}

void tg__session_free_profile(tg_session *s)
{
    free_profile(s->rows);
    s->rows = NULL;
}

/* ----------------------------------------------------------------------------------------- peak */

tg_peak tg_session_measure_peak(tg_session *s)
{
    const double seconds = 0.1;
    const tg__kernels *k = s->contexts[TG__UNET].kernels;
    if (!k)
        return (tg_peak){0}; /* the session did not open */
    int before = tg__session_enter(s);
    tg_peak peak = {
        .f32_gmac_per_s = tg__peak_gmac_all(k->peak_f32, seconds),
        .bf16_gmac_per_s = tg__peak_gmac_all(k->peak_bf16, seconds),
        .int8_gmac_per_s = tg__peak_gmac_all(k->peak_int8, seconds),
        .gbytes_per_s = tg__peak_gb(k, tg__beyond_caches(s->threads), seconds),
    };
    tg__session_leave(s, before);
    return peak;
}
