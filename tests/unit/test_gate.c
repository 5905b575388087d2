/* SPDX-License-Identifier: MIT */
/* The gate's rules, row by row, and whole schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <string.h>

#include "accel/gate.h"

enum { MAX_EVALUATIONS = 64 };

/* One letter an evaluation: C compute, S store, M store the mean, R reuse. */
static void check(tg_gate gate, int evaluations, int steps, int order, bool guidance,
                  const char *guided, const char *cross, const char *self)
{
    static const char letters[] = "CSMR";
    tg__gate_step rules[MAX_EVALUATIONS];
    char got[3][MAX_EVALUATIONS + 1] = {{0}};
    tg__gate_schedule(rules, evaluations, steps, order, &gate, guidance);
    for (int i = 0; i < evaluations; i++) {
        got[0][i] = rules[i].guided ? '2' : '1';
        got[1][i] = letters[rules[i].cross];
        got[2][i] = letters[rules[i].self];
    }
    assert_string_equal(got[0], guided);
    assert_string_equal(got[1], cross);
    assert_string_equal(got[2], self);
}

static void rules_of_a_step(void **state)
{
    (void)state;
    tg_gate v2 = {10, 5, 1, 2}, slow = {10, 5, 3, 2}, off = {0, 1, 1, 0};
    assert_true(
        tg__gate_same(tg__gate_at(&v2, 0, true), (tg__gate_step){true, TG__COMPUTE, TG__COMPUTE}));
    assert_true(
        tg__gate_same(tg__gate_at(&v2, 2, true), (tg__gate_step){true, TG__COMPUTE, TG__STORE}));
    assert_true(
        tg__gate_same(tg__gate_at(&v2, 4, true), (tg__gate_step){true, TG__COMPUTE, TG__REUSE}));
    assert_true(
        tg__gate_same(tg__gate_at(&v2, 5, true), (tg__gate_step){true, TG__COMPUTE, TG__STORE}));
    assert_true(tg__gate_same(tg__gate_at(&v2, 9, true),
                              (tg__gate_step){true, TG__STORE_MEAN, TG__STORE_MEAN}));
    assert_true(
        tg__gate_same(tg__gate_at(&v2, 9, false), (tg__gate_step){false, TG__STORE, TG__STORE}));
    assert_true(
        tg__gate_same(tg__gate_at(&v2, 10, true), (tg__gate_step){false, TG__REUSE, TG__STORE}));
    assert_true(
        tg__gate_same(tg__gate_at(&slow, 10, true), (tg__gate_step){false, TG__REUSE, TG__REUSE}));
    assert_true(
        tg__gate_same(tg__gate_at(&slow, 12, true), (tg__gate_step){false, TG__REUSE, TG__STORE}));
    assert_true(
        tg__gate_same(tg__gate_at(&v2, -1, true), (tg__gate_step){true, TG__COMPUTE, TG__COMPUTE}));
    assert_true(tg__gate_same(tg__gate_at(&off, 20, true),
                              (tg__gate_step){true, TG__COMPUTE, TG__COMPUTE}));
}

/* In schedules a store that nobody reads is a plain computation. */
static void schedules(void **state)
{
    (void)state;
    check((tg_gate){0, 1, 1, 0}, 5, 5, 1, true, "22222", "CCCCC", "CCCCC");
    /* v1 */
    check((tg_gate){3, 1, 1, 0}, 6, 6, 1, true, "222111", "CCMRRR", "CCCCCC");
    /* v2's defaults on 14 steps */
    check((tg_gate){10, 5, 1, 2}, 14, 14, 1, true, "22222222221111", "CCCCCCCCCMRRRR",
          "CCSRRSRRRCCCCC");
    /* the gate at the first step, at the last, beyond the last */
    check((tg_gate){1, 1, 1, 0}, 4, 4, 1, true, "2111", "MRRR", "CCCC");
    check((tg_gate){4, 2, 1, 0}, 4, 4, 1, true, "2222", "CCCC", "SRCC");
    check((tg_gate){9, 2, 1, 1}, 6, 6, 1, true, "222222", "CCCCCC", "CCSRSR");
    /* warm-up reaches the gate: nothing is kept before it */
    check((tg_gate){3, 2, 2, 7}, 6, 6, 1, true, "222111", "CCMRRR", "CCMRSR");
    /* fi_interval */
    check((tg_gate){2, 1, 3, 0}, 8, 8, 1, true, "22111111", "CMRRRRRR", "CMRSRRSR");
    /* without guidance the batch stays and the store keeps it whole */
    check((tg_gate){2, 1, 2, 0}, 5, 5, 1, false, "11111", "CSRRR", "CCSRC");
    /* PNDM: N + 1 evaluations, the first before step 0 */
    check((tg_gate){2, 1, 1, 0}, 6, 5, 1, true, "222111", "CCMRRR", "CCCCCC");
    /* two evaluations a step: both follow its row, the later store is kept */
    check((tg_gate){2, 1, 1, 0}, 7, 4, 2, true, "2222111", "CCCMRRR", "CCCCCCC");
    check((tg_gate){3, 5, 1, 0}, 9, 5, 2, true, "222222111", "CCCCCMRRR", "CSRRCCCCC");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_of_a_step),
                                       cmocka_unit_test(schedules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
