/* SPDX-License-Identifier: MIT */
/* UniPC, arXiv 2302.04867, with B(h): a predictor for the next sample, and a corrector that makes
 * the step before again once the network was evaluated at its end. Order 1 to TG__MOST_ORDER. */
#include <math.h>

#include "samplers/dpm.h"

enum { MOST = TG__MOST_ORDER, KEPT = MOST + 1 };
/* A row: the corrector's and then the predictor's weights; those of outputs by their age, of which
 * 0 is this evaluation's. */
enum {
    CORRECTED_SAMPLE = TG__DPM_ROW, /* of the sample before the last step */
    CORRECTED_KEPT,
    NEXT_SAMPLE = CORRECTED_KEPT + MOST + 1,
    NEXT_KEPT,
    ROW = NEXT_KEPT + MOST
};

/* Outputs that have to be kept: those of the corrector's order and this evaluation's. */
static int kept_count(const tg__scheduler *s)
{
    int order = s->keys.solver_order < s->evaluations ? s->keys.solver_order : s->evaluations;
    return order + 1;
}

static tg_status prepare(tg__scheduler *s, tg__error *error)
{
    s->row_size = ROW;
    if (tg__prepare_sigmas(s, error) != TG_OK)
        return error->status;
    s->slot_count = kept_count(s) + 1; /* and the sample before the step */
    return TG_OK;
}

static int order_at(const tg__scheduler *s, int i)
{
    int order = s->keys.solver_order, left = s->evaluations - i;
    if (s->keys.lower_order_final && order > left)
        order = left;
    return order < i + 1 ? order : i + 1;
}

/* Whether evaluation i corrects the sample that it was given. */
static bool corrects(const tg__scheduler *s, int i)
{
    for (int k = 0; k < s->uncorrected_count; k++)
        if (s->uncorrected[k] == i - 1)
            return false;
    return i > 0;
}

/* Solves the n equations sum over j of points[j]^k x[j] = right[k], k from 0; by elimination with
 * row pivoting. Equal points give what is not finite. */
static void solve_powers(int n, const float *points, const double *right, double *x)
{
    double m[MOST][MOST + 1];
    for (int k = 0; k < n; k++) {
        for (int j = 0; j < n; j++)
            m[k][j] = k == 0 ? 1 : (double)powf(points[j], (float)k);
        m[k][n] = right[k];
    }
    for (int c = 0; c < n; c++) {
        int best = c;
        for (int r = c + 1; r < n; r++)
            best = fabs(m[r][c]) > fabs(m[best][c]) ? r : best;
        for (int j = c; j <= n; j++) {
            double swapped = m[c][j];
            m[c][j] = m[best][j];
            m[best][j] = swapped;
        }
        for (int r = c + 1; r < n; r++)
            for (int j = n; j >= c; j--)
                m[r][j] -= m[c][j] * (m[r][c] / m[c][c]);
    }
    for (int c = n - 1; c >= 0; c--) {
        x[c] = m[c][n];
        for (int j = c + 1; j < n; j++)
            x[c] -= m[c][j] * x[j];
        x[c] /= m[c][c];
    }
}

/* A step from `from` to from + 1 of the given order: weights of the sample before it and of the
 * outputs at `from` and earlier, by their age. With `arrived`, that of the output at its end, too:
 * the corrector. */
static void fill_step(const tg__scheduler *s, int from, int order, double *sample, double *kept,
                      double *arrived)
{
    bool data = s->keys.predict_x0;
    tg__dpm_point at = tg__dpm_point_at(s, from), to = tg__dpm_point_at(s, from + 1);
    float h = to.lambda - at.lambda, hh = data ? -h : h;
    float phi = expm1f(hh), b = s->keys.solver == TG__BH1 ? hh : phi;
    double scale = -(double)(data ? to.alpha : to.sigma);
    float points[MOST];
    double right[MOST], rho[MOST] = {0.5};
    float left = phi / hh - 1;
    float factorial = 1;
    for (int k = 0; k < order; k++) {
        points[k] = k == order - 1 ? 1 : (tg__dpm_point_at(s, from - k - 1).lambda - at.lambda) / h;
        right[k] = (double)(left * factorial / b);
        factorial *= (float)(k + 2);
        left = left / hh - 1 / factorial;
    }
    /* The lowest orders are simplified. */
    if (arrived ? order > 1 : order > 2)
        solve_powers(arrived ? order : order - 1, points, right, rho);
    /* NOLINTNEXTLINE(clang-analyzer-core*): sample is never NULL, only arrived may be */
    *sample = (double)(data ? to.sigma / at.sigma : to.alpha / at.alpha);
    kept[0] = scale * (double)phi;
    for (int k = 1; k < order; k++) {
        double weight = scale * (double)b * rho[k - 1] / (double)points[k - 1];
        kept[k] = weight;
        kept[0] -= weight;
    }
    if (arrived) {
        *arrived = scale * (double)b * rho[order - 1];
        kept[0] -= *arrived;
    }
}

static void fill_row(const tg__scheduler *s, int i, double *row)
{
    tg__dpm_row(s, i, s->keys.predict_x0, row);
    if (corrects(s, i))
        fill_step(s, i - 1, order_at(s, i - 1), &row[CORRECTED_SAMPLE], &row[CORRECTED_KEPT + 1],
                  &row[CORRECTED_KEPT]);
    fill_step(s, i, order_at(s, i), &row[NEXT_SAMPLE], &row[NEXT_KEPT], NULL);
}

/* dst = weight * base + the outputs by their age, from this evaluation's on. */
static void apply(const tg__scheduler *s, int i, float *dst, double weight, const float *base,
                  const double *kept, int count)
{
    tg__term terms[TG__MOST_TERMS] = {{weight, base}};
    for (int k = 0; k < count; k++)
        terms[1 + k] = (tg__term){kept[k], tg__slot(s, (i - k) % kept_count(s))};
    tg__combine(dst, s->n, terms, 1 + count);
}

static void step(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise)
{
    float *before = tg__slot(s, kept_count(s));
    (void)noise;
    tg__dpm_keep(s, row, s->keys.predict_x0, output, sample, tg__slot(s, i % kept_count(s)));
    if (corrects(s, i))
        apply(s, i, sample, row[CORRECTED_SAMPLE], before, row + CORRECTED_KEPT,
              1 + order_at(s, i - 1));
    TG__COMBINE(before, s->n, {1, sample});
    apply(s, i, sample, row[NEXT_SAMPLE], before, row + NEXT_KEPT, order_at(s, i));
}

const tg__sampler tg__unipc = {
    .name = "UniPCMultistepScheduler",
    .keys = TG__HAS_SPACING | TG__HAS_ZERO_SNR | TG__HAS_KARRAS | TG__HAS_SIGMA_RANGE |
            TG__HAS_THRESHOLDING | TG__HAS_FINAL_SIGMA | TG__HAS_SOLVER | TG__HAS_UNIPC,
    .betas = TG__COMMON_BETAS,
    .predictions = TG__ALL_PREDICTIONS,
    .solvers = TG__SET(TG__BH1) | TG__SET(TG__BH2),
    .beta_start = 0.0001,
    .beta_end = 0.02,
    .spacing = TG__LINSPACE,
    .lower_order_final = true,
    .solver = TG__BH2,
    .by_sigma = true,
    .open_grid = true,
    .rounds_timesteps = true,
    .repeats_last_sigma = true,
    .order = 1,
    .prepare = prepare,
    .row = fill_row,
    .step = step,
};
