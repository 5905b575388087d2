/* SPDX-License-Identifier: MIT */
/* Programs: buffers that live at the same time never share memory, results survive, errors stick.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <stdlib.h>

#include "core/packs.h"
#include "cpu/program.h"

/* dst = sum of the sources + 1, on tensors of one value a channel. */
static void sum_run(const tg__program *program, const tg__task *task)
{
    float *dst = tg__program_data(program, task->dst);
    for (size_t i = 0; i < tg__count(task->dst); i++) {
        float sum = 1;
        for (int j = 0; j < TG__TASK_SOURCES; j++)
            if (task->src[j].id)
                sum +=
                    ((float *)tg__program_data(program, task->src[j]))[i % tg__count(task->src[j])];
        dst[i] = sum;
    }
}

/* Takes the first source's place where it may. */
static void sum_prepare(tg__program *program, tg__task *task)
{
    if (task->src[0].id && tg__bytes(task->src[0]) == tg__bytes(task->dst) &&
        tg__program_dies(program, task, task->src[0]) && tg__program_is_inner(program, task->dst))
        tg__program_alias(program, task->dst, task->src[0]);
    task->scratch_bytes = 100;
}

static const tg__op sum_op = {"sum", NULL, sum_run, NULL};
static const tg__op sum_in_place_op = {"sum", sum_prepare, sum_run, NULL};

static tg__tensor sum(tg__program *program, const tg__op *op, tg__tensor a, tg__tensor b, int c)
{
    tg__tensor dst = tg__program_tensor(program, TG__F32, 1, 1, 1, c);
    tg__task *task = tg__program_record(program, op, "sum", 0);
    if (!task)
        return (tg__tensor){0};
    task->dst = dst;
    task->src[0] = a;
    task->src[1] = b;
    task->macs = 10;
    return dst;
}

/* What a task moves: the weights that its operator named, the result, each source once. */
static void moved_bytes(void **state)
{
    (void)state;
    tg__error error = {0};
    tg__program *program = tg__program_new(NULL, "test", TG__F32, &error);
    tg__tensor in = tg__program_external(program, 0, TG__F32, 1, 1, 1, 3);
    tg__tensor a = sum(program, &sum_op, in, (tg__tensor){0}, 5);
    tg__tensor b = sum(program, &sum_op, a, in, 7);
    sum(program, &sum_op, b, b, 2);
    tg__task *last = (tg__task *)(uintptr_t)tg__program_task(program, 2);
    last->bytes = 1000;
    assert_int_equal(tg__program_finish(program, NULL), TG_OK);
    assert_int_equal(tg__program_task(program, 0)->bytes, (3 + 5) * sizeof(float));
    assert_int_equal(tg__program_task(program, 1)->bytes, (5 + 3 + 7) * sizeof(float));
    assert_int_equal(last->bytes, 1000 + (7 + 2) * sizeof(float));
    tg__program_free(program);
}

/* A random graph run in a packed workspace gives what it gives with every buffer on its own. */
static void random_graph(unsigned seed, const tg__op *op)
{
    enum { NODES = 60 };
    tg__error error = {0};
    tg__program *program = tg__program_new(NULL, "test", TG__F32, &error);
    tg__tensor x[NODES + 1];
    double expected[NODES + 1] = {2};
    float in[7] = {2, 2, 2, 2, 2, 2, 2}, out[7];
    x[0] = tg__program_external(program, 0, TG__F32, 1, 1, 1, 7);
    srand(seed);
    for (int i = 1; i <= NODES; i++) {
        int a = i - 1 - rand() % (i < 5 ? i : 5), b = rand() % 3 ? i - 1 : rand() % i;
        x[i] = sum(program, op, x[a], x[b], 7 * (1 + rand() % 9));
        expected[i] = 1 + expected[a] + expected[b];
    }
    tg__tensor last = tg__program_external(program, 1, TG__F32, 1, 1, 1, 7);
    tg__task *task = tg__program_record(program, op, "last", 0);
    task->dst = last;
    task->src[0] = x[NODES];
    assert_int_equal(tg__program_finish(program, NULL), TG_OK);
    assert_int_equal(tg__program_macs(program), NODES * 10);
    void *workspace = tg__aligned(tg__program_workspace_bytes(program));
    tg__program_bind_workspace(program, workspace);
    tg__program_bind(program, 0, in);
    tg__program_bind(program, 1, out);
    tg__program_run(program, &(tg__hooks){.profile = true});
    assert_float_equal(out[3] / (expected[NODES] + 1), 1, 1e-5);
    for (int i = 0; i < 7; i++)
        assert_float_equal(in[i], 2, 0);
    free(workspace);
    tg__program_free(program);
}

static void packing(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 50; seed++) {
        random_graph(seed, &sum_op);
        random_graph(seed, &sum_in_place_op);
    }
}

/* A chain needs two buffers, whatever its length. */
static void chain_is_small(void **state)
{
    (void)state;
    tg__error error = {0};
    tg__program *program = tg__program_new(NULL, "test", TG__F32, &error);
    tg__tensor x = sum(program, &sum_op, (tg__tensor){0}, (tg__tensor){0}, 1024);
    for (int i = 0; i < 100; i++)
        x = sum(program, &sum_op, x, (tg__tensor){0}, 1024);
    assert_int_equal(tg__program_finish(program, NULL), TG_OK);
    assert_int_equal(tg__program_workspace_bytes(program), 2 * 4096);
    tg__program_free(program);
}

/* Sees each task's result, and puts another in its place. */
static void take_ten(void *context, const tg__program *program, const tg__task *task)
{
    float *seen = context, *made = tg__program_data(program, task->dst);
    *seen = *seen * 100 + *made;
    *made += 10;
}

static void observer(void **state)
{
    (void)state;
    tg__error error = {0};
    float out = 0, seen = 0;
    tg__program *program = tg__program_new(NULL, "test", TG__F32, &error);
    tg__tensor x = sum(program, &sum_op, (tg__tensor){0}, (tg__tensor){0}, 1);
    tg__task *task = tg__program_record(program, &sum_op, "last", 0);
    task->src[0] = x;
    task->dst = tg__program_external(program, 0, TG__F32, 1, 1, 1, 1);
    assert_int_equal(tg__program_finish(program, NULL), TG_OK);
    void *workspace = tg__aligned(tg__program_workspace_bytes(program));
    tg__program_bind_workspace(program, workspace);
    tg__program_bind(program, 0, &out);
    tg__program_observe(program, take_ten, &seen);
    tg__program_run(program, NULL);
    assert_float_equal(seen, 112, 0); /* 1, then 1 + 10 + 1 */
    assert_float_equal(out, 22, 0);
    tg__program_observe(program, NULL, NULL);
    tg__program_run(program, NULL);
    assert_float_equal(seen, 112, 0);
    assert_float_equal(out, 2, 0);
    free(workspace);
    tg__program_free(program);
}

static void absurd_sizes(void **state)
{
    (void)state;
    tg__error error = {0};
    tg__program *program = tg__program_new(NULL, "test", TG__F32, &error);
    tg__tensor x = tg__program_tensor(program, TG__F32, 1 << 20, 1 << 20, 1 << 20, 1 << 20);
    assert_int_equal(x.id, 0);
    assert_int_equal(error.status, TG_ERROR_ARGUMENT);
    assert_string_equal(error.message, "test: a feature map of 1048576 x 1048576 x 1048576 x "
                                       "1048576 is too large or empty");
    assert_null(tg__program_record(program, &sum_op, "later", 0));
    assert_int_equal(tg__program_finish(program, NULL), TG_ERROR_ARGUMENT);
    tg__program_free(program);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(packing), cmocka_unit_test(chain_is_small),
                                       cmocka_unit_test(observer), cmocka_unit_test(absurd_sizes),
                                       cmocka_unit_test(moved_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
