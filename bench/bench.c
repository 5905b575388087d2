/* SPDX-License-Identifier: MIT */
/* The benchmark: bench [--rounds N] [--only WHAT] [--dtype f32|bf16] MODEL
 *
 * Every row is a process of its own (bench/workload.c, or a peer's bench/peers/peer.py) that does
 * the same work on request. The processes of one comparison are asked in turn, so that a machine
 * whose speed drifts drifts for all; while one works the others sleep. Prints a table and writes
 * build/bench.json. Peers run when the environment's PEERS names a Python that has them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ROUNDS = 100, MAX_CONTESTANTS = 8, MAX_RUNS = 128 };

typedef struct process {
    const char *program;
    pid_t pid;
    FILE *to, *from;
    double gmac, seconds[MAX_ROUNDS];
    int rounds;
    long rss_kib;
} process;

typedef struct run {
    const char *program, *what, *dtype;
    double best, median, gmac, share;
    long rss_mib;
} run;

static run runs[MAX_RUNS];
static int run_count;
static double peaks[2]; /* f32, bf16: 10^9 multiplications a second */

static const char *const dtypes[] = {"f32", "bf16"};
static const char *const whats[] = {"unet_step", "vae_decode", "text_encoder", "loop_plain",
                                    "loop_gated"};
static const char *const peer_programs[] = {"diffusers", "diffusers-channels-last", "openvino"};

/* Starts arguments[0]; false if it did not become ready. */
static bool start(process *p, const char *program, char *const *arguments)
{
    int in[2], out[2];
    *p = (process){.program = program};
    /* closed in the other children, or none would see the end of its input */
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        return false;
    p->pid = fork();
    if (p->pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->to = fdopen(in[1], "w");
    p->from = fdopen(out[0], "r");
    return p->pid > 0 && fscanf(p->from, " ready %lf", &p->gmac) == 1;
}

static bool ask(process *p)
{
    fputs("run\n", p->to);
    fflush(p->to);
    return fscanf(p->from, "%lf", &p->seconds[p->rounds]) == 1 && ++p->rounds;
}

static void finish(process *p)
{
    struct rusage usage = {0};
    fclose(p->to);
    fclose(p->from);
    if (p->pid > 0)
        wait4(p->pid, NULL, 0, &usage);
    p->rss_kib = usage.ru_maxrss;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void keep(process *p, const char *what, int dtype, double gmac)
{
    if (p->rounds == 0 || run_count == MAX_RUNS)
        return;
    qsort(p->seconds, (size_t)p->rounds, sizeof *p->seconds, by_value);
    run *r = &runs[run_count++];
    *r = (run){p->program, what, dtypes[dtype],    p->seconds[0], p->seconds[p->rounds / 2],
               gmac,       0,    p->rss_kib / 1024};
    r->share = peaks[dtype] > 0 ? gmac / r->best / peaks[dtype] : 0;
    printf("%-24s %-13s %-5s %8.3f %8.3f %9.1f %6.1f %% %6ld\n", r->program, r->what, r->dtype,
           r->best, r->median, r->gmac, 100 * r->share, r->rss_mib);
    fflush(stdout);
}

/* Our workload beside the peers', if there are any. */
static void compare(const char *workload, const char *model, const char *what, int dtype,
                    int rounds)
{
    const char *python = getenv("PEERS");
    process all[MAX_CONTESTANTS];
    int count = 0;
    char *ours[] = {(char *)workload, (char *)what, (char *)dtypes[dtype], (char *)model, NULL};
    if (!start(&all[count], "tgate", ours)) {
        finish(&all[count]);
        return;
    }
    count++;
    bool loop = strncmp(what, "loop", 4) == 0;
    for (size_t i = 0; python && !loop && i < sizeof peer_programs / sizeof *peer_programs; i++) {
        char *peer[] = {(char *)python,
                        (char *)"bench/peers/peer.py",
                        (char *)peer_programs[i],
                        (char *)what,
                        (char *)dtypes[dtype],
                        (char *)model,
                        NULL};
        if (start(&all[count], peer_programs[i], peer))
            count++;
        else
            finish(&all[count]);
    }
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++)
            ask(&all[i]);
    double gmac = all[0].gmac; /* the same work for all, as we count it */
    for (int i = 0; i < count; i++) {
        finish(&all[i]);
        keep(&all[i], what, dtype, gmac);
    }
}

static void measure_peak(const char *workload, const char *model, int dtype)
{
    process p;
    char *arguments[] = {(char *)workload, (char *)"peak", (char *)dtypes[dtype], (char *)model,
                         NULL};
    if (start(&p, "tgate", arguments))
        for (int i = 0; i < 3; i++)
            ask(&p);
    finish(&p);
    for (int i = 0; i < p.rounds; i++)
        if (p.seconds[i] > peaks[dtype])
            peaks[dtype] = p.seconds[i];
}

/* "model name" of /proc/cpuinfo. */
static void cpu_name(char *dst, size_t size)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(dst, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon) {
            colon[strcspn(colon, "\"\\\n")] = '\0';
            snprintf(dst, size, "%s", colon + 2);
            break;
        }
    }
    if (file)
        fclose(file);
}

static bool write_json(const char *path)
{
    char cpu[256];
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    cpu_name(cpu, sizeof cpu);
    fprintf(file,
            "{\"machine\": {\"cpu\": \"%s\", \"cores\": %ld,\n \"gmac_per_s\": {\"f32\": %.1f, "
            "\"bf16\": %.1f, \"int8\": null}},\n \"runs\": [",
            cpu, sysconf(_SC_NPROCESSORS_ONLN), peaks[0], peaks[1]);
    for (int i = 0; i < run_count; i++) {
        const run *r = &runs[i];
        fprintf(
            file,
            "%s\n  {\"program\": \"%s\", \"what\": \"%s\", \"dtype\": \"%s\", \"best_s\": %.6f, "
            "\"median_s\": %.6f, \"gmac\": %.3f, \"share\": %.4f, \"peak_rss_mib\": %ld}",
            i ? "," : "", r->program, r->what, r->dtype, r->best, r->median, r->gmac, r->share,
            r->rss_mib);
    }
    fprintf(file, "\n]}\n");
    return fclose(file) == 0;
}

int main(int argc, char **argv)
{
    int rounds = 5;
    const char *only = NULL, *dtype = NULL, *model = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = atoi(argv[++i]);
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (strcmp(argv[i], "--dtype") == 0 && i + 1 < argc)
            dtype = argv[++i];
        else
            model = argv[i];
    }
    if (!model || rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "bench [--rounds 1..%d] [--only WHAT] [--dtype f32|bf16] MODEL\n",
                MAX_ROUNDS);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    for (int d = 0; d < 2; d++)
        measure_peak("build/workload", model, d);
    printf("peaks: f32 %.0f, bf16 %.0f GMAC/s\n", peaks[0], peaks[1]);
    printf("%-24s %-13s %-5s %8s %8s %9s %8s %6s\n", "program", "what", "dtype", "best s",
           "median s", "GMAC", "of peak", "MiB");
    for (size_t w = 0; w < sizeof whats / sizeof *whats; w++)
        for (int d = 1; d >= 0; d--)
            if ((!only || strcmp(only, whats[w]) == 0) && (!dtype || strcmp(dtype, dtypes[d]) == 0))
                compare("build/workload", model, whats[w], d, rounds);
    if (!write_json("build/bench.json")) {
        fprintf(stderr, "bench: build/bench.json: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}
