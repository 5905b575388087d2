/* SPDX-License-Identifier: MIT */
/* The house's order: a folder of src/ includes only folders above it in the list, dnnl.h is known
 * in one folder alone, the command includes nothing of src/, and no modules include each other in
 * circles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char *const order[] = {"core", "io",    "text",   "ops",      "kernels", "onednn",
                                    "cpu",  "accel", "models", "samplers", "pipeline"};
enum { FOLDERS = sizeof order / sizeof *order };

/* The place of a path's first folder in the order; -1: not one of them. */
static int rank_of(const char *path)
{
    const char *slash = strchr(path, '/');
    for (int i = 0; slash && i < FOLDERS; i++)
        if (strlen(order[i]) == (size_t)(slash - path) &&
            strncmp(order[i], path, (size_t)(slash - path)) == 0)
            return i;
    return -1;
}

typedef struct tally {
    int files, includes, faults;
} tally;

static void check_include(tally *t, const char *file, int rank, const char *name, bool quoted)
{
    int target = rank_of(name);
    bool dnnl = strstr(name, "dnnl") && !strstr(name, "onednn/");
    t->includes++;
    bool fault = (dnnl && (rank < 0 || strcmp(order[rank], "onednn") != 0)) ||
                 (quoted && rank >= 0 && target > rank) || (quoted && rank < 0 && target >= 0);
    if (fault) {
        print_error("%s includes %s\n", file, name);
        t->faults++;
    }
}

static void check_file(tally *t, const char *path, int rank)
{
    char line[512], name[256], open;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    t->files++;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, " # include %c%255[^\">]", &open, name) == 2)
            check_include(t, path, rank, name, open == '"');
    fclose(file);
}

/* rank -1 with src true: at the top of src/, the first folder decides. */
static void check_folder(tally *t, const char *folder, int rank, bool src)
{
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        char path[1024], inside[300];
        struct stat status;
        size_t n = strlen(entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        snprintf(inside, sizeof inside, "%s/", entry->d_name);
        assert_int_equal(stat(path, &status), 0);
        if (S_ISDIR(status.st_mode)) {
            int inner = src && rank < 0 ? rank_of(inside) : rank;
            if (src && inner < 0)
                print_error("%s is not in the order of folders\n", path);
            t->faults += src && inner < 0;
            check_folder(t, path, inner, src);
        } else if (n > 2 && (strcmp(entry->d_name + n - 2, ".c") == 0 ||
                             strcmp(entry->d_name + n - 2, ".h") == 0)) {
            check_file(t, path, rank);
        }
    }
    closedir(dir);
}

static void folders(void **state)
{
    (void)state;
    tally t = {0};
    check_folder(&t, TG_PROJECT "/src", -1, true);
    check_folder(&t, TG_PROJECT "/cli", -1, false);
    check_folder(&t, TG_PROJECT "/examples", -1, false);
    assert_true(t.files > 40 && t.includes > 100);
    assert_int_equal(t.faults, 0);
}

/* ------------------------------------------------------------------------------------ circles */

enum { MODULES = 512 };

/* A module is a header and the source file of its name, "src/core/plan". */
typedef struct graph {
    int count;
    char name[MODULES][128];
    bool includes[MODULES][MODULES]; /* by way of others, too, once closed */
} graph;

static int module_of(graph *g, const char *root, const char *path)
{
    char name[128];
    int i = 0, n = snprintf(name, sizeof name, "%s/%s", root, path);
    assert_in_range(n, 3, sizeof name - 1);
    name[n - 2] = '\0'; /* .c or .h */
    while (i < g->count && strcmp(g->name[i], name) != 0)
        i++;
    assert_true(i < MODULES);
    if (i == g->count)
        strcpy(g->name[g->count++], name);
    return i;
}

/* A file's includes are named from the root of its tree, as the build has it. */
static void add_file(graph *g, const char *root, const char *path)
{
    char line[512], name[256], full[2048];
    int from = module_of(g, root, path);
    snprintf(full, sizeof full, TG_PROJECT "/%s/%s", root, path);
    FILE *file = fopen(full, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, " # include \"%255[^\"]", name) != 1 || !strstr(name, ".h"))
            continue;
        int to = module_of(g, root, name);
        g->includes[from][to] |= from != to;
    }
    fclose(file);
}

/* inside: a folder's path in the tree, with a slash behind it, or "". */
static void add_folder(graph *g, const char *root, const char *inside)
{
    char path[1024];
    snprintf(path, sizeof path, TG_PROJECT "/%s/%s", root, inside);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        size_t n = strlen(entry->d_name);
        snprintf(path, sizeof path, "%s%s", inside, entry->d_name);
        if (n > 2 && (strcmp(entry->d_name + n - 2, ".c") == 0 ||
                      strcmp(entry->d_name + n - 2, ".h") == 0)) {
            add_file(g, root, path);
        } else if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
            strcat(path, "/");
            add_folder(g, root, path);
        }
    }
    closedir(dir);
}

static void close_over(graph *g)
{
    for (int by = 0; by < g->count; by++)
        for (int from = 0; from < g->count; from++)
            for (int to = 0; g->includes[from][by] && to < g->count; to++)
                g->includes[from][to] |= g->includes[by][to];
}

static void circles(void **state)
{
    (void)state;
    static graph g;
    int faults = 0;
    add_folder(&g, "src", "");
    add_folder(&g, "cli", "");
    close_over(&g);
    for (int a = 0; a < g.count; a++)
        for (int b = 0; b < a; b++) {
            if (!g.includes[a][b] || !g.includes[b][a])
                continue;
            print_error("%s and %s include each other, by way of others or not\n", g.name[a],
                        g.name[b]);
            faults++;
        }
    assert_true(g.count > 100);
    assert_int_equal(faults, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(folders), cmocka_unit_test(circles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
