/* SPDX-License-Identifier: MIT */
/* What the public enumerations' values are called. */
#include <string.h>

#include "tgate.h"

#define COUNT(list) ((int)(sizeof(list) / sizeof *(list)))

static const char *const dtypes[] = {
    [TG_DTYPE_AUTO] = "auto",
    [TG_DTYPE_F32] = "f32",
    [TG_DTYPE_BF16] = "bf16",
    [TG_DTYPE_INT8] = "int8",
};

static const char *const cpus[] = {
    [TG_CPU_AUTO] = "auto",     [TG_CPU_C] = "c",     [TG_CPU_AVX2] = "avx2",
    [TG_CPU_AVX512] = "avx512", [TG_CPU_AMX] = "amx", [TG_CPU_AVX512_BF16] = "avx512_bf16",
};

static const char *name_of(const char *const *names, int count, int value)
{
    return value >= 0 && value < count ? names[value] : "unknown";
}

/* -1: no such name. */
static int value_of(const char *const *names, int count, const char *name)
{
    for (int i = 0; name && i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return i;
    return -1;
}

const char *tg_dtype_name(tg_dtype dtype) { return name_of(dtypes, COUNT(dtypes), (int)dtype); }
const char *tg_cpu_name(tg_cpu cpu) { return name_of(cpus, COUNT(cpus), (int)cpu); }

bool tg_dtype_from_name(const char *name, tg_dtype *dtype)
{
    int value = value_of(dtypes, COUNT(dtypes), name);
    if (value >= 0 && dtype)
        *dtype = (tg_dtype)value;
    return value >= 0;
}

bool tg_cpu_from_name(const char *name, tg_cpu *cpu)
{
    int value = value_of(cpus, COUNT(cpus), name);
    if (value >= 0 && cpu)
        *cpu = (tg_cpu)value;
    return value >= 0;
}
