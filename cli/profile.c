/* SPDX-License-Identifier: MIT */
#include "profile.h"

#include <inttypes.h>
#include <stdio.h>

/* What does not multiply has no speed to compare. */
static void print_row(const tg_profile_row *row, double peak)
{
    fprintf(stderr, "%10.4f %9" PRId64 " ", row->seconds, row->calls);
    if (row->gmac > 0 && row->seconds > 0) {
        double speed = row->gmac / row->seconds;
        fprintf(stderr, "%10.3f %8.1f ", row->gmac, speed);
        if (peak > 0)
            fprintf(stderr, "%6.1f %%", 100 * speed / peak);
        else
            fprintf(stderr, "%8s", "-");
    } else {
        fprintf(stderr, "%10s %8s %8s", "-", "-", "-");
    }
    fprintf(stderr, "  %s %s %s\n", row->network, row->operator_name, row->shape);
}

int profile_print(struct engine *engine)
{
    const tg_profile_row *rows;
    int count;
    double peak = tg_session_measure_peak(engine->session);
    int code = engine_session_result(engine, tg_session_profile(engine->session, &rows, &count));
    if (code != 0)
        return code;
    tg_profile_row total = {.network = "all", .operator_name = "operators", .shape = ""};
    fprintf(stderr, "\n%10s %9s %10s %8s %8s  %s, %d threads, peak %.0f GMAC/s\n", "seconds",
            "calls", "GMAC", "GMAC/s", "of peak", engine_dtype(engine),
            tg_session_threads(engine->session), peak);
    for (int i = 0; i < count; i++) {
        print_row(&rows[i], peak);
        total.calls += rows[i].calls;
        total.seconds += rows[i].seconds;
        total.gmac += rows[i].gmac;
    }
    print_row(&total, peak);
    return code;
}
