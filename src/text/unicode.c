/* SPDX-License-Identifier: MIT */
#include "text/unicode.h"

#include "text/unicode_tables.h"

unsigned tg__unicode_flags(int32_t code)
{
    size_t low = 0, high = tg__unicode_flag_run_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (tg__unicode_flag_runs[middle] >> 8 <= (uint32_t)code)
            low = middle;
        else
            high = middle;
    }
    return tg__unicode_flag_runs[low] & 0xFF;
}

int32_t tg__unicode_lower(int32_t code)
{
    size_t low = 0, high = tg__unicode_lower_run_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const tg__lower_run *run = &tg__unicode_lower_runs[middle];
        if (code < run->first)
            high = middle;
        else if (code > run->last)
            low = middle + 1;
        else
            return (code - run->first) % run->step == 0 ? code + run->distance : code;
    }
    return code;
}
