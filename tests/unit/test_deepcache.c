/* SPDX-License-Identifier: MIT */
/* Which evaluations are full, what the deep layers do in them, and what a request computes and
 * keeps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "accel/deepcache.h"
#include "pipeline/session.h"
#include "sessions.h"

enum { MAX_EVALUATIONS = 64 };

typedef struct loop {
    int evaluations, steps, order, interval;
    tg_gate gate;
    bool guidance;
} loop;

static tg_deepcache cache_of(const loop *l) { return (tg_deepcache){l->interval, 0}; }

/* F full, s shallow. */
static void depths_of(const loop *l, char *depths)
{
    bool full[MAX_EVALUATIONS];
    tg_deepcache cache = cache_of(l);
    tg__deepcache_schedule(full, l->evaluations, l->steps, l->order, &cache, &l->gate);
    for (int i = 0; i < l->evaluations; i++)
        depths[i] = full[i] ? 'F' : 's';
    depths[l->evaluations] = '\0';
}

static void check_depths(loop l, const char *expected)
{
    char depths[MAX_EVALUATIONS + 1];
    depths_of(&l, depths);
    assert_string_equal(depths, expected);
}

static void depths(void **state)
{
    (void)state;
    check_depths((loop){16, 16, 1, 3, {7, 1, 1, 0}, true}, "FssFssFFssFssFss");
    check_depths((loop){10, 10, 1, 3, {0, 1, 1, 0}, true}, "FssFssFssF");
    check_depths((loop){6, 6, 1, 1, {3, 1, 1, 0}, true}, "FFFFFF");
    check_depths((loop){7, 7, 1, 50, {0, 1, 1, 0}, true}, "Fssssss");
    /* the gate at the first step, the last, and beyond */
    check_depths((loop){7, 7, 1, 3, {1, 1, 1, 0}, true}, "FFssFss");
    check_depths((loop){7, 7, 1, 3, {7, 1, 1, 0}, true}, "FssFssF");
    check_depths((loop){6, 6, 1, 3, {6, 1, 1, 0}, true}, "FssFsF");
    check_depths((loop){7, 7, 1, 3, {8, 1, 1, 0}, true}, "FssFssF");
    check_depths((loop){7, 7, 1, 4, {INT32_MAX, 1, 1, 0}, true}, "FsssFss");
    /* without guidance the gate drops what is kept just the same */
    check_depths((loop){7, 7, 1, 3, {3, 1, 1, 0}, false}, "FsFFssF");
    /* PNDM: the first evaluation is before step 0, or the first nine are */
    check_depths((loop){8, 7, 1, 3, {3, 1, 1, 0}, true}, "FssFFssF");
    check_depths((loop){8, 7, 1, 3, {1, 1, 1, 0}, true}, "FFFssFss");
    check_depths((loop){14, 5, 1, 4, {2, 1, 1, 0}, true}, "FsssFsssFsFFss");
    /* two evaluations a step: both of the two steps, then evaluations are counted */
    check_depths((loop){11, 6, 2, 3, {0, 1, 1, 0}, true}, "FssFssFssFs");
    check_depths((loop){11, 6, 2, 3, {3, 1, 1, 0}, true}, "FssFFFFFssF");
    check_depths((loop){7, 4, 2, 2, {1, 1, 1, 0}, true}, "FFFFsFs");
}

/* The same said otherwise: full steps are 0, interval, … up to the gate, then gate_step - 1, then
 * gate_step, gate_step + interval, …. */
static void depths_everywhere(void **state)
{
    (void)state;
    for (int steps = 1; steps <= 30; steps++)
        for (int gate = 0; gate <= steps + 2; gate++)
            for (int interval = 1; interval <= 7; interval++) {
                loop l = {steps, steps, 1, interval, {gate, 1, 1, 0}, true};
                char expected[MAX_EVALUATIONS + 1];
                memset(expected, 's', sizeof expected);
                for (int i = 0; i < steps && (gate == 0 || i < gate - 1); i += interval)
                    expected[i] = 'F';
                if (gate > 0 && gate <= steps)
                    expected[gate - 1] = 'F';
                for (int i = gate; gate > 0 && i < steps; i += interval)
                    expected[i] = 'F';
                expected[steps] = '\0';
                check_depths(l, expected);
            }
}

/* One letter an evaluation: C compute, S store, M store the mean, R reuse, - not run; and of each
 * pass: p plain, f full, k the deep feature is kept, s shallow. */
static void check_rules(loop l, const char *cross, const char *self, const char *passes)
{
    static const char letters[] = "CSMR", depth_letters[] = "pfks";
    bool full[MAX_EVALUATIONS];
    tg__gate_step rules[MAX_EVALUATIONS], deep[MAX_EVALUATIONS];
    char got[3][MAX_EVALUATIONS + 1] = {{0}};
    tg_deepcache cache = cache_of(&l);
    tg__deepcache_schedule(full, l.evaluations, l.steps, l.order, &cache, &l.gate);
    tg__gate_schedule(rules, l.evaluations, l.steps, l.order, &l.gate, l.guidance);
    tg__gate_schedule_some(deep, full, l.evaluations, l.steps, l.order, &l.gate, l.guidance);
    for (int i = 0; i < l.evaluations; i++) {
        tg__deep_step step = tg__deepcache_at(i, l.evaluations, full, 0, rules, deep);
        assert_int_equal(deep[i].guided, rules[i].guided);
        got[0][i] = full[i] ? letters[deep[i].cross] : '-';
        got[1][i] = full[i] ? letters[deep[i].self] : '-';
        got[2][i] = depth_letters[step.depth];
        if (step.depth == TG__DEPTH_FULL || step.depth == TG__DEPTH_KEEP)
            assert_true(tg__gate_same(step.gate, deep[i]));
    }
    assert_string_equal(got[0], cross);
    assert_string_equal(got[1], self);
    assert_string_equal(got[2], passes);
}

static void deep_rules(void **state)
{
    (void)state;
    /* without a gate nothing is kept but the deep feature, and that only where it is wanted */
    check_rules((loop){7, 7, 1, 3, {0, 1, 1, 0}, true}, "C--C--C", "C--C--C", "ksskssp");
    /* v1: cross-attention alone, and at the two steps of the gate no feature is kept in vain */
    check_rules((loop){8, 8, 1, 3, {4, 1, 1, 0}, true}, "C--MR--R", "C--CC--C", "ksspkssp");
    /* no full step behind the gate's store: nobody reads what the deep layers would store */
    check_rules((loop){4, 4, 1, 3, {4, 1, 1, 0}, true}, "C--C", "C--C", "kssp");
    /* a store at warm_up that the deep layers miss: they compute where the others reuse */
    check_rules((loop){7, 7, 1, 3, {20, 50, 1, 1}, true}, "C--C--C", "C--C--C", "ksskssf");
    /* one that nothing reads before the next is none; a later one is read at the next full step */
    check_rules((loop){9, 9, 1, 2, {20, 4, 1, 2}, true}, "C-C-C-C-C", "C-C-S-R-C", "ksksksksp");
    /* fi_interval stores on shallow steps alone: the deep layers have the mean of the gate */
    check_rules((loop){10, 10, 1, 2, {3, 1, 4, 0}, true}, "C-MR-R-R-R", "C-MR-R-R-R", "kspksksksp");
    /* without guidance */
    check_rules((loop){6, 6, 1, 2, {2, 1, 2, 0}, false}, "CSR-R-", "CCC-C-", "ppksks");
    /* two evaluations a step: the later store is kept, and read by both of the next */
    check_rules((loop){7, 4, 2, 3, {2, 1, 1, 0}, true}, "C-CMRR-", "C-CCCC-", "kspppks");
}

/* ---------------------------------------------------------------------------------------- plans */

enum { UNET, BLOCK = 3 };

/* Whether a shallow pass with this branch runs the layer: down, up, or neither. */
static bool runs(const char *name, const int *layers, int levels, int branch)
{
    int block, layer, at = branch / BLOCK, most = branch % BLOCK;
    if (sscanf(name, "down_blocks.%d.%*[a-z].%d", &block, &layer) == 2) {
        if (strstr(name, "downsamplers"))
            return block < at;
        return block < at || (block == at && layer < most);
    }
    if (sscanf(name, "up_blocks.%d.%*[a-z].%d", &block, &layer) == 2) {
        block = levels - 1 - block;
        if (strstr(name, "upsamplers"))
            return block <= at;
        return block < at || (block == at && layers[block] - layer <= most);
    }
    return strncmp(name, "mid_block", 9) != 0;
}

static int layer_count(const tg__plan *plan)
{
    int count = 0;
    for (int i = 0; i < tg__plan_node_count(plan); i++)
        count += strcmp(tg__plan_node(plan, i)->name, "deep_feature") != 0;
    return count;
}

static tg__plan *plan_of(const tg_model *m, tg__depth depth, int branch)
{
    tg__error error = {0};
    tg__pass pass = {.n = 1, .h = 9, .w = 11, .tokens = 5, .gate.guided = true};
    pass.deep = (tg__deep_step){depth, branch, pass.gate};
    tg__plan *plan = tg__network_plan(m->networks[UNET], &pass, &error);
    if (!plan)
        fail_msg("branch %d: %s", branch, error.message);
    return plan;
}

/* A shallow plan holds the layers outside the branch and no others; keeping adds a copy. */
static void check_plans(const char *path, const int *layers, int levels)
{
    tg_model *m = open_model(path, NULL, TG_CPU_AUTO);
    tg__plan *full = plan_of(m, TG__DEPTH_PLAIN, 0);
    assert_int_equal(m->networks[UNET]->facts.branches, BLOCK * levels);
    for (int branch = 0; branch < BLOCK * levels; branch++) {
        tg__plan *keep = plan_of(m, TG__DEPTH_KEEP, branch);
        tg__plan *shallow = plan_of(m, TG__DEPTH_SHALLOW, branch);
        int expected = 0;
        for (int i = 0; i < tg__plan_node_count(full); i++)
            expected += runs(tg__plan_node(full, i)->name, layers, levels, branch);
        for (int i = 0; i < tg__plan_node_count(shallow); i++)
            if (!runs(tg__plan_node(shallow, i)->name, layers, levels, branch))
                fail_msg("%s: branch %d: %s", path, branch, tg__plan_node(shallow, i)->name);
        assert_int_equal(tg__plan_node_count(shallow), expected);
        assert_int_equal(layer_count(keep), tg__plan_node_count(full));
        assert_int_equal(tg__plan_node_count(keep), tg__plan_node_count(full) + 1);
        tg__plan_free(keep);
        tg__plan_free(shallow);
    }
    tg__plan_free(full);
    tg_model_close(m);
}

#define GOLDEN(name) TG_TEST_DATA "/golden/models/" name

static void plans(void **state)
{
    (void)state;
    check_plans(GOLDEN("sd1"), (int[]){2, 2, 2, 2}, 4);
    check_plans(GOLDEN("sd2"), (int[]){2, 2, 2}, 3);
    check_plans(GOLDEN("odd1"), (int[]){1, 3, 2}, 3);
    check_plans(GOLDEN("odd2"), (int[]){1, 1}, 2);
    check_plans(GOLDEN("odd3"), (int[]){2}, 1);
    check_plans(GOLDEN("xl2"), (int[]){2, 2, 2}, 3);
    check_plans(GOLDEN("lcm"), (int[]){1, 1, 1}, 3);
}

/* ------------------------------------------------------------------------------------- requests */

static size_t kept_bytes(const tg_session *s)
{
    size_t sum = 0;
    for (int i = 0; i < s->kept[UNET].count; i++)
        sum += s->kept[UNET].bytes[i];
    return sum;
}

/* A picture of 8 x 8 latents in a new session: its result, and the bytes that its layers keep. */
static tg_result *picture(tg_model *m, tg_deepcache cache, tg_gate gate, size_t *kept)
{
    tg_session *s = open_session(m, TG_DTYPE_F32, 1);
    tg_prompt *prompt = encode_prompt(s, "a red circle", "");
    tg_generate_options o = picture_options(m, 64, 5);
    o.decode = false;
    o.gate = gate;
    o.deepcache = cache;
    tg_result *result = make_pictures(s, &prompt, 1, &o);
    *kept = kept_bytes(s);
    tg_prompt_free(prompt);
    tg_session_free(s);
    return result;
}

/* The deep feature takes memory where a request has shallow passes, for the batch that these have;
 * what multiplications are compared with is the same loop in full. */
static void memory(void **state)
{
    (void)state;
    static const tg_gate off = {0, 1, 1, 0}, first = {1, 1, 1, 0};
    static const size_t feature = sizeof(float) * 8 * 8 * 16;
    tg_model *m = open_model(GOLDEN("sd1"), "ddim", TG_CPU_AUTO);
    size_t plain_kept, kept;
    tg_result *plain = picture(m, (tg_deepcache){1, 3}, off, &plain_kept);
    tg_result *cached = picture(m, (tg_deepcache){3, 0}, off, &kept);
    assert_int_equal(kept, plain_kept + 2 * feature);
    assert_true(tg_result_gmac(cached) < tg_result_gmac(plain));
    assert_true(tg_result_gmac_plain(cached) == tg_result_gmac_plain(plain));
    assert_true(tg_result_gmac_plain(plain) == tg_result_gmac(plain));
    tg_result_free(plain);
    tg_result_free(cached);
    plain = picture(m, (tg_deepcache){0, 0}, first, &plain_kept);
    cached = picture(m, (tg_deepcache){2, 0}, first, &kept);
    assert_int_equal(kept, plain_kept + feature);
    assert_true(tg_result_gmac(cached) < tg_result_gmac(plain));
    assert_true(tg_result_gmac_plain(cached) == tg_result_gmac_plain(plain));
    tg_result_free(plain);
    tg_result_free(cached);
    tg_model_close(m);
}

/* Nothing of a request is left for the next: plain, cached and gated ones by turns are what each is
 * in a session of its own. */
static void by_turns(void **state)
{
    (void)state;
    static const tg_gate gates[] = {{0, 1, 1, 0}, {3, 2, 2, 1}};
    static const tg_deepcache caches[] = {{0, 0}, {2, 1}, {3, 4}};
    tg_model *m = open_model(GOLDEN("sd1"), "ddim", TG_CPU_AUTO);
    tg_session *s = open_session(m, TG_DTYPE_F32, 1);
    tg_prompt *prompt = encode_prompt(s, "a red circle", "");
    for (int i = 0; i < 12; i++) {
        size_t kept;
        tg_generate_options o = picture_options(m, 64, 5);
        o.decode = false;
        o.gate = gates[i % 2];
        o.deepcache = caches[i % 3];
        tg_result *one = make_pictures(s, &prompt, 1, &o);
        tg_result *alone = picture(m, o.deepcache, o.gate, &kept);
        assert_same(tg_result_latents(one), tg_result_latents(alone));
        tg_result_free(one);
        tg_result_free(alone);
    }
    tg_prompt_free(prompt);
    tg_session_free(s);
    tg_model_close(m);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        tg_deepcache cache;
        const char *message;
    } table[] = {
        {{-1, 0}, "deepcache_interval is -1, expected 0 to 2147483647"},
        {{3, -1}, "deepcache_branch is -1, expected 0 to 11"},
        {{3, 12}, "deepcache_branch is 12, expected 0 to 11"},
        {{3, INT32_MAX}, "deepcache_branch is 2147483647, expected 0 to 11"},
    };
    tg_model *m = open_model(GOLDEN("sd1"), NULL, TG_CPU_AUTO);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        tg_error error;
        tg_generate_options o = picture_options(m, 64, 5);
        o.deepcache = table[i].cache;
        assert_int_equal(tg_generate_check(m, &o, NULL, &error), TG_ERROR_ARGUMENT);
        assert_string_equal(error.message, table[i].message);
    }
    tg_gate beside = tg_gate_default(m, true), alone = tg_gate_default(m, false);
    assert_memory_equal(&beside, &((tg_gate){10, 1, 1, 0}), sizeof beside);
    assert_memory_equal(&alone, &((tg_gate){10, 5, 1, 2}), sizeof alone);
    tg_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depths),     cmocka_unit_test(depths_everywhere),
        cmocka_unit_test(deep_rules), cmocka_unit_test(plans),
        cmocka_unit_test(memory),     cmocka_unit_test(by_turns),
        cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
