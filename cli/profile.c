/* SPDX-License-Identifier: MIT */
#include "profile.h"

#include <inttypes.h>
#include <stdio.h>

#include "tgate_profile.h"

/* A row beside what the machine could do: its roofline. */
struct line {
    tg_profile_row row;
    double multiplying, at_best; /* seconds at least: multiplications alone, the tighter bound */
    const char *bound;           /* which that is; "-": not known */
};

static struct line compare(const tg_profile_row *row, const tg_peak *peak)
{
    const double peaks[] = {0, peak->f32_gmac_per_s, peak->bf16_gmac_per_s, peak->int8_gmac_per_s};
    struct line line = {.row = *row, .bound = "-"};
    double moving = peak->gbytes_per_s > 0 ? row->gbytes / peak->gbytes_per_s : 0;
    if (peaks[row->dtype] > 0)
        line.multiplying = row->gmac / peaks[row->dtype];
    if (moving > 0 || line.multiplying > 0)
        line.bound = moving > line.multiplying ? "moves" : "muls";
    line.at_best = moving > line.multiplying ? moving : line.multiplying;
    return line;
}

/* A number, or a dash where there is none. */
static void print_number(int width, int decimals, double x)
{
    if (x > 0)
        fprintf(stderr, " %*.*f", width, decimals, x);
    else
        fprintf(stderr, " %*s", width, "-");
}

static double ratio(double x, double y) { return y > 0 ? x / y : 0; }

/* The sum of all rows is of no dtype. */
static void print_line(const struct line *line)
{
    const tg_profile_row *row = &line->row;
    const char *dtype = row->dtype == TG_DTYPE_AUTO ? "-" : tg_dtype_name(row->dtype);
    fprintf(stderr, "%9.4f %8" PRId64, row->seconds, row->calls);
    print_number(10, 3, row->gmac);
    print_number(8, 1, ratio(row->gmac, row->seconds));
    print_number(6, 1, 100 * ratio(line->multiplying, row->seconds));
    print_number(9, 3, row->gbytes);
    print_number(7, 1, ratio(row->gbytes, row->seconds));
    fprintf(stderr, "  %-5s", line->bound);
    print_number(9, 4, line->at_best);
    print_number(6, 2, ratio(row->seconds, line->at_best));
    fprintf(stderr, "  %s %s %s %s\n", dtype, row->network, row->operator_name, row->shape);
}

static void print_head(const struct engine *engine, const tg_peak *peak)
{
    fprintf(stderr, "\n%s, %d threads; at most f32", engine_dtype(engine),
            tg_session_threads(engine->session));
    print_number(0, 0, peak->f32_gmac_per_s);
    fprintf(stderr, ", bf16");
    print_number(0, 0, peak->bf16_gmac_per_s);
    fprintf(stderr, ", int8");
    print_number(0, 0, peak->int8_gmac_per_s);
    fprintf(stderr, " GMAC/s, memory");
    print_number(0, 1, peak->gbytes_per_s);
    fprintf(stderr, " GB/s\n%9s %8s %10s %8s %6s %9s %7s  %-5s %9s %6s  %s\n", "seconds", "calls",
            "GMAC", "GMAC/s", "% peak", "GB", "GB/s", "bound", "at best", "times", "operator");
}

int profile_print(struct engine *engine)
{
    const tg_peak *peak;
    int count = 0;
    int code = engine_session_result(engine, tg_session_measure_peak(engine->session, &peak));
    if (code == 0)
        code = engine_session_result(engine, tg_session_profile(engine->session, &count));
    if (code != 0)
        return code;
    struct line total = {.row = {.network = "all", .operator_name = "operators", .shape = ""},
                         .bound = "-"};
    print_head(engine, peak);
    for (int i = 0; i < count; i++) {
        struct line line = compare(tg_session_profile_row(engine->session, i), peak);
        print_line(&line);
        total.row.calls += line.row.calls;
        total.row.seconds += line.row.seconds;
        total.row.gmac += line.row.gmac;
        total.row.gbytes += line.row.gbytes;
        total.multiplying += line.multiplying;
        total.at_best += line.at_best;
    }
    print_line(&total);
    return code;
}
