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

static tg_dtype dtype_of(const tg__node *node)
{
    if (node->src[0].dtype == TG__U8)
        return TG_DTYPE_INT8;
    return node->src[0].dtype == TG__BF16 ? TG_DTYPE_BF16 : TG_DTYPE_F32;
}

static bool same_row(const tg_profile_row *row, const tg__plan *plan, const tg__node *node)
{
    return strcmp(row->operator_name, node->op->kind) == 0 && row->dtype == dtype_of(node) &&
           strcmp(row->network, tg__plan_network(plan)) == 0 &&
           strcmp(row->shape, node->shape) == 0;
}

static bool add_node(profile *p, const tg__plan *plan, const tg__node *node)
{
    int i = 0;
    while (i < p->count && !same_row(&p->rows[i], plan, node))
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
        p->rows[p->count++] = (tg_profile_row){.network = tg__plan_network(plan),
                                               .operator_name = node->op->kind,
                                               .shape = node->shape,
                                               .dtype = dtype_of(node)};
    p->rows[i].calls += node->calls;
    p->rows[i].seconds += node->seconds;
    p->rows[i].gmac += 1e-9 * (double)node->macs * (double)node->calls;
    p->rows[i].gbytes += 1e-9 * (double)node->bytes * (double)node->calls;
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
        for (int i = 0; i < tg__plan_node_count(c->plan); i++) {
            if (!add_node(p, c->plan, tg__plan_node(c->plan, i))) {
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
