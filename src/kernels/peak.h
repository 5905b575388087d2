/* SPDX-License-Identifier: MIT */
/* What this machine can do at most, measured with bare loops: multiplications from registers alone,
 * reads from one level of the memory. Profiles and the benchmark compare with it. */
#ifndef TG_KERNELS_PEAK_H
#define TG_KERNELS_PEAK_H

#include "kernels/kernels.h"

/* What a loop of the table's reads is a multiple of. */
enum { TG__READ_BYTES = 4096 };

/* 10^9 multiplications a second of this thread with a loop of the table (kernels->peak_f32 ...);
 * runs for seconds. 0 for NULL: the CPU has no such instruction. */
double tg__peak_gmac(double (*loop)(size_t rounds), double seconds);

/* The same of all threads that tg__threads_enter set, at once. */
double tg__peak_gmac_all(double (*loop)(size_t rounds), double seconds);

/* 10^9 bytes a second that all threads together read, each again and again the `bytes` (rounded
 * down to a multiple of TG__READ_BYTES, at least one) of its own; 0 if there is no memory. */
double tg__peak_gb(const tg__kernels *kernels, size_t bytes, double seconds);

/* Bytes of a cache as one core sees it: level 1 (data), 2 or 3. A usual size where the system does
 * not say. */
size_t tg__cache_bytes(int level);

/* Bytes that each of so many threads reads so that nearly nothing comes from a cache. */
size_t tg__beyond_caches(int threads);

#endif
