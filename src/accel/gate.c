/* SPDX-License-Identifier: MIT */
#include "accel/gate.h"

/* Before the gate: computed while warming up, then stored every sp_interval steps and reused. */
static tg__gate_action planning_self(const tg_gate *gate, int step)
{
    if (step < gate->warm_up)
        return TG__COMPUTE;
    if (step == gate->warm_up || step % gate->sp_interval == 0)
        return TG__STORE;
    return TG__REUSE;
}

tg__gate_step tg__gate_at(const tg_gate *gate, int step, bool guidance)
{
    if (gate->gate_step == 0 || step < 0)
        return (tg__gate_step){guidance, TG__COMPUTE, TG__COMPUTE};
    if (step < gate->gate_step - 1)
        return (tg__gate_step){guidance, TG__COMPUTE, planning_self(gate, step)};
    if (step == gate->gate_step - 1) {
        tg__gate_action store = guidance ? TG__STORE_MEAN : TG__STORE;
        return (tg__gate_step){guidance, store, store};
    }
    return (tg__gate_step){false, TG__REUSE, step % gate->fi_interval == 0 ? TG__STORE : TG__REUSE};
}

static void resolve(tg__gate_action *action, bool *stored)
{
    if (*action == TG__REUSE && !*stored)
        *action = TG__COMPUTE;
    else if (*action == TG__STORE || *action == TG__STORE_MEAN)
        *stored = true;
}

int tg__gate_step_of(int i, int evaluations, int steps, int order)
{
    return order == 2 ? i / 2 : i - (evaluations - steps);
}

/* What is stored and never read again need not be: the plan without stores fuses more. */
static void drop_store(tg__gate_action *action, bool *read)
{
    bool stores = *action == TG__STORE || *action == TG__STORE_MEAN;
    if (stores && !*read)
        *action = TG__COMPUTE;
    else if (stores)
        *read = false;
    else if (*action == TG__REUSE)
        *read = true;
}

void tg__gate_schedule_some(tg__gate_step *rules, const bool *runs, int evaluations, int steps,
                            int order, const tg_gate *gate, bool guidance)
{
    bool cross_stored = false, self_stored = false, cross_read = false, self_read = false;
    for (int i = 0; i < evaluations; i++) {
        rules[i] = tg__gate_at(gate, tg__gate_step_of(i, evaluations, steps, order), guidance);
        if (runs && !runs[i])
            rules[i].cross = rules[i].self = TG__COMPUTE;
        resolve(&rules[i].cross, &cross_stored);
        resolve(&rules[i].self, &self_stored);
    }
    for (int i = evaluations - 1; i >= 0; i--) {
        drop_store(&rules[i].cross, &cross_read);
        drop_store(&rules[i].self, &self_read);
    }
}

void tg__gate_schedule(tg__gate_step *rules, int evaluations, int steps, int order,
                       const tg_gate *gate, bool guidance)
{
    tg__gate_schedule_some(rules, NULL, evaluations, steps, order, gate, guidance);
}
