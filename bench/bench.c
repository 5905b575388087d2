/* SPDX-License-Identifier: MIT */
/* The benchmark; `bench --help` says how to call it.
 *
 * First the machine's own peaks (bench/peaks.c). Then every row is a process of its own
 * (bench/workload.c, or a peer's bench/peers/peer.py) that does the same work on request. The
 * processes of one comparison are asked in turn, so that a machine whose speed drifts drifts for
 * all; while one works the others sleep. Where memory is too short for all of them, the peers come
 * in groups, ours beside each. Prints a table and writes bench.json into this program's folder.
 * Peers run when the environment's PEERS names a Python that has them. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_ROUNDS = 100, MAX_RUNS = 128, MAX_FIGURES = 32, MAX_PATH = 4096 };
enum { ROOM_MIB = 9000 }; /* what the largest peer takes */
enum { NOT_HERE = 3 };    /* the workload's exit code where the dtype is not supported */

enum { F32, BF16, INT8, DTYPES };
static const char *const dtypes[DTYPES] = {"f32", "bf16", "int8"};

enum { WHATS = 6, FIRST_LOOP = 3 };
static const char *const whats[WHATS] = {"unet_step",  "vae_decode", "text_encoder",
                                         "loop_plain", "loop_gated", "loop_deepcache"};

enum { PEERS = 4, OPENVINO = 3 };
static const char *const peers[PEERS] = {"diffusers", "diffusers-channels-last",
                                         "diffusers-compiled", "openvino"};

static const char usage[] =
    "usage: bench [--rounds N] [--only WHAT,...] [--dtype DTYPE,...] [--peers PEER,...] MODEL\n"
    "  --rounds N   1 to 100, default 5\n"
    "  --only       unet_step, vae_decode, text_encoder, loop_plain, loop_gated, loop_deepcache;\n"
    "               default all\n"
    "  --dtype      f32, bf16, int8; default all\n"
    "  --peers      diffusers, diffusers-channels-last, diffusers-compiled, openvino; default all\n"
    "Peers need a Python that has them (bench/peers/requirements.txt) in the environment's "
    "PEERS.\n";

typedef struct settings {
    int rounds;
    unsigned only, dtype, peers; /* bit i: element i of the list above */
    const char *model, *python;  /* python NULL: no peers */
    char folder[MAX_PATH];       /* where this program is */
} settings;

typedef struct process {
    const char *program;
    pid_t pid;
    FILE *to, *from;
    double gmac, seconds[MAX_ROUNDS * (PEERS + 1)];
    int rounds, status;
    long rss_kib;
} process;

typedef struct run {
    const char *program, *what;
    int dtype;
    double best, median, gmac, share;
    long rss_mib;
} run;

/* What bench/peaks.c found. */
typedef struct figure {
    char kind[16], name[16];
    double value;
} figure;

static run runs[MAX_RUNS];
static figure figures[MAX_FIGURES];
static int run_count, figure_count;
static bool failed;

/* ---------------------------------------------------------------------------------- processes */

static bool launch(process *p, const char *program, char *const *arguments)
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
        fprintf(stderr, "bench: %s: %s\n", arguments[0], strerror(errno));
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    p->to = fdopen(in[1], "w");
    p->from = fdopen(out[0], "r");
    return p->pid > 0 && p->to && p->from;
}

/* Once or twice. */
static void finish(process *p)
{
    struct rusage used = {0};
    if (p->to)
        fclose(p->to);
    if (p->from)
        fclose(p->from);
    p->to = p->from = NULL;
    if (p->pid > 0 && wait4(p->pid, &p->status, 0, &used) == p->pid)
        p->rss_kib = used.ru_maxrss;
    p->pid = 0;
}

/* False, and finished, if it did not become ready; it has said why. */
static bool start(process *p, const char *program, char *const *arguments)
{
    if (launch(p, program, arguments) && fscanf(p->from, " ready %lf", &p->gmac) == 1)
        return true;
    finish(p);
    return false;
}

static void ask(process *p)
{
    if (!p->to)
        return;
    fputs("run\n", p->to);
    fflush(p->to);
    if (fscanf(p->from, "%lf", &p->seconds[p->rounds]) == 1) {
        p->rounds++;
        return;
    }
    fprintf(stderr, "bench: %s ended in round %d, left out\n", p->program, p->rounds + 1);
    p->rounds = 0;
    finish(p);
}

/* --------------------------------------------------------------------------------------- rows */

static double peak_of(const char *dtype)
{
    for (int i = 0; i < figure_count; i++)
        if (strcmp(figures[i].kind, "gmac_per_s") == 0 && strcmp(figures[i].name, dtype) == 0)
            return figures[i].value;
    return 0;
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
    *r = (run){p->program, what, dtype, p->seconds[0], p->seconds[p->rounds / 2], gmac, 0, 0};
    double peak = peak_of(dtypes[dtype]);
    r->share = peak > 0 ? gmac / r->best / peak : 0;
    r->rss_mib = p->rss_kib / 1024;
    printf("%-24s %-14s %-5s %8.3f %8.3f %9.1f ", r->program, r->what, dtypes[r->dtype], r->best,
           r->median, r->gmac);
    if (r->share > 0)
        printf("%6.1f %% %6ld\n", 100 * r->share, r->rss_mib);
    else
        printf("%8s %6ld\n", "-", r->rss_mib);
    fflush(stdout);
}

/* Whether one more peer has room. */
static bool room(void)
{
    char line[128];
    long kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "MemAvailable:", 13) == 0)
            kib = strtol(line + 13, NULL, 10);
    if (file)
        fclose(file);
    return kib / 1024 >= ROOM_MIB;
}

/* Ours and the peers from `first` on, in turn; ends the peers. */
static void run_group(process *all, int first, int count, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        ask(&all[0]);
        for (int i = first; i < count; i++)
            ask(&all[i]);
    }
    for (int i = first; i < count; i++)
        finish(&all[i]);
}

static void start_ours(process *p, const settings *s, int what, int dtype)
{
    char program[MAX_PATH + 16];
    snprintf(program, sizeof program, "%s/workload", s->folder);
    char *arguments[] = {program, (char *)whats[what], (char *)dtypes[dtype], (char *)s->model,
                         NULL};
    if (start(p, "tgate", arguments))
        return;
    fprintf(stderr, "bench: tgate %s %s is left out\n", whats[what], dtypes[dtype]);
    if (!WIFEXITED(p->status) || WEXITSTATUS(p->status) != NOT_HERE)
        failed = true;
}

static bool start_peer(process *p, const settings *s, int peer, int what, int dtype)
{
    char kept[MAX_PATH + 16];
    snprintf(kept, sizeof kept, "%s/peers", s->folder);
    char *arguments[] = {(char *)s->python,
                         (char *)"bench/peers/peer.py",
                         (char *)peers[peer],
                         (char *)whats[what],
                         (char *)dtypes[dtype],
                         (char *)s->model,
                         kept,
                         NULL};
    if (start(p, peers[peer], arguments))
        return true;
    fprintf(stderr, "bench: %s %s %s is left out\n", peers[peer], whats[what], dtypes[dtype]);
    return false;
}

static bool wanted(const settings *s, int peer, int what, int dtype)
{
    return s->python && what < FIRST_LOOP && (s->peers >> peer & 1) &&
           (dtype != INT8 || peer == OPENVINO);
}

/* Our workload beside the peers'. */
static void compare(const settings *s, int what, int dtype)
{
    static process all[PEERS + 1];
    int count = 1, first = 1;
    start_ours(&all[0], s, what, dtype);
    for (int peer = 0; peer < PEERS; peer++) {
        if (!wanted(s, peer, what, dtype))
            continue;
        if (first < count && !room()) {
            run_group(all, first, count, s->rounds);
            first = count;
        }
        if (start_peer(&all[count], s, peer, what, dtype))
            count++;
    }
    if (first < count || count == 1)
        run_group(all, first, count, s->rounds);
    finish(&all[0]);
    for (int i = 0; i < count; i++)
        keep(&all[i], whats[what], dtype, all[i].gmac);
}

/* What an acceleration gains in time beside what it saves in multiplications. */
static void print_ratios(void)
{
    for (int i = 0; i < run_count; i++)
        for (int j = 0; j < run_count; j++) {
            const run *loop = &runs[i], *plain = &runs[j];
            if (strcmp(plain->what, whats[FIRST_LOOP]) == 0 && loop->dtype == plain->dtype &&
                strncmp(loop->what, "loop", 4) == 0 && loop != plain)
                printf("%-24s %-14s %-5s %.3f of the time, %.3f of the multiplications\n",
                       loop->program, loop->what, dtypes[loop->dtype], loop->median / plain->median,
                       loop->gmac / plain->gmac);
        }
}

/* -------------------------------------------------------------------------------------- peaks */

static void measure_peaks(const settings *s)
{
    process p;
    char program[MAX_PATH + 16];
    snprintf(program, sizeof program, "%s/peaks", s->folder);
    char *arguments[] = {program, NULL};
    if (launch(&p, "peaks", arguments)) {
        figure *f = figures;
        while (f < figures + MAX_FIGURES &&
               fscanf(p.from, " %15s %15s %lf", f->kind, f->name, &f->value) == 3)
            f++;
        figure_count = (int)(f - figures);
    }
    finish(&p);
    for (int i = 0; i < figure_count; i++)
        printf("%-12s %-10s %8.1f\n", figures[i].kind, figures[i].name, figures[i].value);
}

/* --------------------------------------------------------------------------------------- JSON */

/* "model name" of /proc/cpuinfo. */
static void cpu_name(char *dst, size_t size)
{
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(dst, size, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon && colon[1] == ' ') {
            colon[strcspn(colon, "\"\\\n")] = '\0';
            snprintf(dst, size, "%s", colon + 2);
            break;
        }
    }
    if (file)
        fclose(file);
}

static void write_figures(FILE *file, const char *key, const char *kind)
{
    const char *separator = "";
    fprintf(file, ",\n \"%s\": {", key);
    for (int i = 0; i < figure_count; i++) {
        if (strcmp(figures[i].kind, kind) != 0)
            continue;
        fprintf(file, "%s\"%s\": %.1f", separator, figures[i].name, figures[i].value);
        separator = ", ";
    }
    fputc('}', file);
}

static void write_machine(FILE *file)
{
    char cpu[256];
    cpu_set_t set;
    int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    cpu_name(cpu, sizeof cpu);
    fprintf(file, "{\"machine\": {\"cpu\": \"%s\", \"cores\": %d,\n \"gmac_per_s\": {", cpu, cores);
    for (int d = 0; d < DTYPES; d++) {
        double peak = peak_of(dtypes[d]);
        fprintf(file, "%s\"%s\": ", d ? ", " : "", dtypes[d]);
        if (peak > 0)
            fprintf(file, "%.1f", peak);
        else
            fputs("null", file);
    }
    fputc('}', file);
    write_figures(file, "instruction_gmac_per_s", "instruction");
    write_figures(file, "bandwidth_gb_per_s", "gb_per_s");
    fputs("},\n \"runs\": [", file);
}

static void write_run(FILE *file, const run *r)
{
    fprintf(file,
            "\n  {\"program\": \"%s\", \"what\": \"%s\", \"dtype\": \"%s\", \"best_s\": %.6f, "
            "\"median_s\": %.6f, \"gmac\": %.3f, \"share\": ",
            r->program, r->what, dtypes[r->dtype], r->best, r->median, r->gmac);
    if (r->share > 0)
        fprintf(file, "%.4f", r->share);
    else
        fputs("null", file);
    fprintf(file, ", \"peak_rss_mib\": %ld}", r->rss_mib);
}

/* The file appears whole or not at all. */
static bool write_json(const char *path)
{
    char part[MAX_PATH + 32];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *file = fopen(part, "w");
    if (!file)
        return false;
    write_machine(file);
    for (int i = 0; i < run_count; i++) {
        fputs(i ? "," : "", file);
        write_run(file, &runs[i]);
    }
    fputs("\n]}\n", file);
    bool good = !ferror(file);
    good = fclose(file) == 0 && good;
    return good && rename(part, path) == 0;
}

/* ------------------------------------------------------------------------------------ options */

static int wrong(const char *option, const char *value)
{
    fprintf(stderr, "bench: %s %s: not understood\n%s", option, value, usage);
    return 2;
}

/* Names with commas between them, each of the list: a bit each. */
static bool parse_list(const char *text, const char *const *list, int count, unsigned *bits)
{
    for (*bits = 0;; text++) {
        size_t length = strcspn(text, ",");
        int i = 0;
        while (i < count && !(strlen(list[i]) == length && strncmp(text, list[i], length) == 0))
            i++;
        if (i == count)
            return false;
        *bits |= 1u << i;
        text += length;
        if (!*text)
            return true;
    }
}

static bool parse_rounds(const char *text, int *rounds)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    *rounds = (int)value;
    return *text >= '0' && *text <= '9' && !*end && errno == 0 && value >= 1 && value <= MAX_ROUNDS;
}

static bool parse_option(settings *s, const char *option, const char *value)
{
    if (strcmp(option, "--rounds") == 0)
        return parse_rounds(value, &s->rounds);
    if (strcmp(option, "--only") == 0)
        return parse_list(value, whats, WHATS, &s->only);
    if (strcmp(option, "--dtype") == 0)
        return parse_list(value, dtypes, DTYPES, &s->dtype);
    return strcmp(option, "--peers") == 0 && parse_list(value, peers, PEERS, &s->peers);
}

/* An exit code, or -1 to go on. */
static int parse(settings *s, int argc, char **argv)
{
    const char *python = getenv("PEERS"), *slash = strrchr(argv[0], '/');
    *s = (settings){.rounds = 5, .only = ~0u, .dtype = ~0u, .peers = ~0u};
    s->python = python && *python ? python : NULL;
    snprintf(s->folder, sizeof s->folder, "%.*s", slash ? (int)(slash - argv[0]) : 1,
             slash ? argv[0] : ".");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return fputs(usage, stdout), 0;
        if (argv[i][0] != '-') {
            if (s->model)
                return wrong(s->model, argv[i]);
            s->model = argv[i];
        } else if (i + 1 == argc || !parse_option(s, argv[i], argv[i + 1])) {
            return wrong(argv[i], i + 1 < argc ? argv[i + 1] : "");
        } else {
            i++;
        }
    }
    if (s->model)
        return -1;
    fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static settings s;
    char json[MAX_PATH + 16];
    int code = parse(&s, argc, argv);
    if (code >= 0)
        return code;
    signal(SIGPIPE, SIG_IGN);
    measure_peaks(&s);
    printf("%-24s %-14s %-5s %8s %8s %9s %8s %6s\n", "program", "what", "dtype", "best s",
           "median s", "GMAC", "of peak", "MiB");
    fflush(stdout);
    for (int what = 0; what < WHATS; what++)
        for (int dtype = DTYPES - 1; dtype >= 0; dtype--)
            if ((s.only >> what & 1) && (s.dtype >> dtype & 1))
                compare(&s, what, dtype);
    print_ratios();
    snprintf(json, sizeof json, "%s/bench.json", s.folder);
    if (!write_json(json)) {
        fprintf(stderr, "bench: %s: %s\n", json, strerror(errno));
        return 1;
    }
    return failed;
}
