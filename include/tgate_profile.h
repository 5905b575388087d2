/* SPDX-License-Identifier: MIT */
/* tgate: what a session's operators took, beside what the machine can do. For benchmarks; nobody
 * needs it for pictures. The rules of tgate.h hold. */
#ifndef TGATE_PROFILE_H
#define TGATE_PROFILE_H

#include "tgate.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One kind of operator at one shape, added up over a session with profile set. */
typedef struct tg_profile_row {
    const char *network;       /* "unet", … */
    const char *operator_name; /* "conv2d", "linear", "attention", "group_norm", … */
    const char *shape;         /* "2x64x64x320 k3" */
    int64_t calls;
    double seconds;
    double gmac;    /* 10^9 multiplications, attention's products included */
    double gbytes;  /* 10^9 bytes moved at least: sources, result and weights, each once a call */
    tg_dtype dtype; /* of the factors that are multiplied; never TG_DTYPE_AUTO */
} tg_profile_row;

/* Adds up what was measured so far; *count: of rows. */
TG_API tg_status tg_session_profile(tg_session *session, int *count);
/* Row `index` of it, by falling time, valid until the session's next call; NULL beyond the last. */
TG_API const tg_profile_row *tg_session_profile_row(const tg_session *session, int index);

/* What the machine can do at most with the session's threads and instructions. 10^9 multiplications
 * a second from registers alone, with the fastest instruction for each dtype (bf16 where it has
 * none of its own: f32's), 0 where there is none; 10^9 bytes a second read from memory beyond the
 * caches, 0 if there was no memory to measure with. */
typedef struct tg_peak {
    double f32_gmac_per_s, bf16_gmac_per_s, int8_gmac_per_s;
    double gbytes_per_s;
} tg_peak;

/* Measures it with bare loops; takes about 0.5 s, and for that time 128 MiB to 1 GiB. *peak belongs
 * to the session; NULL on failure. */
TG_API tg_status tg_session_measure_peak(tg_session *session, const tg_peak **peak);

#ifdef __cplusplus
}
#endif

#endif
