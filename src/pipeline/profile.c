/* SPDX-License-Identifier: MIT */
/* What a session's operators took, added up by kind and shape. */
#include <stdlib.h>
#include <string.h>

#include "pipeline/session.h"

typedef struct tg__profile {
    tg_profile_row *rows;
    int count;
    size_t room;
} profile;

static bool same_row(const tg_profile_row *row, const char *network, const tg__operator *op)
{
    return strcmp(row->operator_name, op->kind) == 0 && row->dtype == op->dtype &&
           strcmp(row->network, network) == 0 && strcmp(row->shape, op->shape) == 0;
}

static bool add_operator(profile *p, const char *network, const tg__operator *op)
{
    int i = 0;
    while (i < p->count && !same_row(&p->rows[i], network, op))
        i++;
    if (!tg__grow((void **)&p->rows, (size_t)i, &p->room, sizeof *p->rows))
        return false;
    if (i == p->count)
        p->rows[p->count++] = (tg_profile_row){
            .network = network, .operator_name = op->kind, .shape = op->shape, .dtype = op->dtype};
    double calls = (double)op->calls;
    p->rows[i].calls += op->calls;
    p->rows[i].seconds += op->seconds;
    p->rows[i].gmac += 1e-9 * op->macs * calls;
    p->rows[i].gbytes += 1e-9 * op->bytes * calls;
    return true;
}

static bool add_program(profile *p, const tg_session *s, const tg__made *made)
{
    tg__operator op;
    const char *network = s->model->networks[made->role]->name;
    for (int i = 0; s->backend->class->describe(made->program, i, &op); i++)
        if (!add_operator(p, network, &op))
            return false;
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

static void add_up(tg_session *s)
{
    profile *p = calloc(1, sizeof *p);
    bool added = p != NULL;
    for (const tg__made *made = s->made; added && made; made = made->next)
        added = add_program(p, s, made);
    if (!added) {
        free_profile(p);
        tg__fail_memory(&s->error);
        return;
    }
    if (p->count)
        qsort(p->rows, (size_t)p->count, sizeof *p->rows, by_falling_time);
    s->rows = p;
}

tg_status tg_session_profile(tg_session *s, int *count)
{
    tg__call call;
    if (count)
        *count = 0;
    if (tg__session_enter(s, &call) != TG_OK)
        return s ? s->error.status : TG_ERROR_ARGUMENT;
    if (tg__given(count, "count", &s->error))
        add_up(s);
    if (count && s->rows)
        *count = s->rows->count;
    return tg__session_leave(s, &call);
}

const tg_profile_row *tg_session_profile_row(const tg_session *s, int index)
{
    return s && s->rows && index >= 0 && index < s->rows->count ? &s->rows->rows[index] : NULL;
}

void tg__session_free_profile(tg_session *s)
{
    free_profile(s->rows);
    s->rows = NULL;
}

/* ----------------------------------------------------------------------------------------- peak */

tg_status tg_session_measure_peak(tg_session *s, const tg_peak **peak)
{
    tg__call call;
    if (peak)
        *peak = NULL;
    if (tg__session_enter(s, &call) != TG_OK)
        return s ? s->error.status : TG_ERROR_ARGUMENT;
    if (tg__given(peak, "peak", &s->error)) {
        const tg__backend_class *backend = s->backend->class;
        s->peak = backend->peak ? backend->peak(s->backend, s->threads) : (tg_peak){0};
        *peak = &s->peak;
    }
    return tg__session_leave(s, &call);
}
