/* SPDX-License-Identifier: MIT */
/* The tables that tools/unicode/generate.py writes; unicode.h reads them. */
#ifndef TG_TEXT_UNICODE_TABLES_H
#define TG_TEXT_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

/* code << 8 | flags, rising: the flags hold from code on up to the next entry's. The first entry is
 * code 0's; the flags are tg__unicode_flag's. */
extern const uint32_t tg__unicode_flag_runs[];
extern const size_t tg__unicode_flag_run_count;

/* first, first + step, ..., last: each one's lower case is distance away. Rising, no overlaps. */
typedef struct tg__lower_run {
    int32_t first, last, step, distance;
} tg__lower_run;

extern const tg__lower_run tg__unicode_lower_runs[];
extern const size_t tg__unicode_lower_run_count;

#endif
