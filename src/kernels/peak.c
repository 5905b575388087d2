/* SPDX-License-Identifier: MIT */
#include "kernels/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/packs.h"
#include "core/parallel.h"

enum { MAX_THREADS = 1024 };

/* The best of many short runs: other programs can only make one slower. */
double tg__peak_gmac(double (*loop)(size_t rounds), double seconds)
{
    double begin = tg__seconds(), now = begin, best = 0;
    for (size_t rounds = 1; loop && now - begin < seconds;) {
        double before = now, products = loop(rounds);
        now = tg__seconds();
        if (now - before < 1e-3) /* too short to be measured */
            rounds *= 2;
        else if (products / (now - before) > best)
            best = products / (now - before);
    }
    return best * 1e-9;
}

typedef struct gmac_job {
    double (*loop)(size_t rounds);
    double seconds, sum[MAX_THREADS];
} gmac_job;

static void measure_gmac(void *context, size_t i, int thread)
{
    (void)thread;
    gmac_job *job = context;
    job->sum[i] = tg__peak_gmac(job->loop, job->seconds);
}

double tg__peak_gmac_all(double (*loop)(size_t rounds), double seconds)
{
    gmac_job job = {.loop = loop, .seconds = seconds};
    int threads = tg__threads() < MAX_THREADS ? tg__threads() : MAX_THREADS;
    double sum = 0;
    tg__parallel_for((size_t)threads, measure_gmac, &job);
    for (int i = 0; i < threads; i++)
        sum += job.sum[i];
    return sum;
}

typedef struct read_job {
    const tg__kernels *kernels;
    char *data;
    size_t bytes, rounds; /* a thread's */
} read_job;

/* By the threads, so that the memory is near those that read it. */
static void touch(void *context, size_t i, int thread)
{
    (void)thread;
    const read_job *job = context;
    memset(job->data + i * job->bytes, 1, job->bytes);
}

static void read_own(void *context, size_t i, int thread)
{
    (void)i;
    const read_job *job = context;
    for (size_t round = 0; round < job->rounds; round++)
        job->kernels->read(job->data + (size_t)thread * job->bytes, job->bytes);
}

/* All threads by one clock: where they share a bus, the sum of each one's best would say more than
 * there is. A run reads enough that beginning and ending it take no time beside. */
double tg__peak_gb(const tg__kernels *kernels, size_t bytes, double seconds)
{
    const size_t run = 256u << 20;
    size_t threads = (size_t)tg__threads(), whole = bytes / TG__READ_BYTES;
    read_job job = {.kernels = kernels, .bytes = (whole ? whole : 1) * TG__READ_BYTES};
    job.rounds = job.bytes < run ? run / job.bytes : 1;
    job.data = tg__aligned(threads * job.bytes);
    if (!job.data)
        return 0;
    tg__parallel_for(threads, touch, &job);
    double begin = tg__seconds(), now = begin, best = 0;
    while (now - begin < seconds) {
        double before = now, total = (double)threads * (double)job.bytes * (double)job.rounds;
        tg__parallel_for(threads, read_own, &job);
        now = tg__seconds();
        if (total / (now - before) > best)
            best = total / (now - before);
    }
    free(job.data);
    return best * 1e-9;
}

/* A line of /sys/devices/system/cpu/cpu0/cache/indexINDEX/NAME; "" if there is none. */
static void cache_line(char line[32], int index, const char *name)
{
    char path[80];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
    FILE *file = fopen(path, "r");
    if (!file || !fgets(line, 32, file))
        *line = '\0';
    if (file)
        fclose(file);
}

size_t tg__cache_bytes(int level)
{
    static const size_t usual[] = {0, 32 << 10, 1 << 20, 16 << 20};
    char line[32];
    for (int index = 0; index < 8; index++) {
        cache_line(line, index, "level");
        if (strtol(line, NULL, 10) != level)
            continue;
        cache_line(line, index, "type");
        if (strncmp(line, "Instruction", 11) == 0)
            continue;
        cache_line(line, index, "size"); /* "32K" */
        unsigned long kib = strtoul(line, NULL, 10);
        if (kib >= 1 && kib <= 4ul << 20 && strchr(line, 'K'))
            return kib << 10;
    }
    return usual[level];
}

size_t tg__beyond_caches(int threads)
{
    const size_t least = 128u << 20, most = 1u << 30;
    size_t bytes = 4 * tg__cache_bytes(3);
    bytes = bytes < least ? least : bytes > most ? most : bytes;
    return bytes / (size_t)threads;
}
