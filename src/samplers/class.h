/* SPDX-License-Identifier: MIT */
/* How a scheduler class is written.
 *
 * A class is one constant tg__sampler: its name, the keys it has with those defaults that differ
 * between classes, and three functions. prepare makes the list of evaluations; row turns evaluation
 * i into coefficients (so that everything that may be infinite is known before the first step);
 * step applies them. All samples are flat arrays: every scheduler is a linear combination of the
 * sample, of outputs of the network and of noise, apart from clipping.
 *
 * Precision: tables and step sizes are computed in f32 and f64 exactly where diffusers does,
 * because differences of nearly equal numbers make its rounding visible; sums over samples are
 * formed in f64 and rounded once. */
#ifndef TG_SAMPLERS_CLASS_H
#define TG_SAMPLERS_CLASS_H

#include "io/config.h"

typedef struct tg__scheduler tg__scheduler; /* as samplers/scheduler.h has them */
typedef struct tg__steps tg__steps;

typedef enum tg__prediction { TG__EPSILON, TG__V_PREDICTION, TG__SAMPLE } tg__prediction;
typedef enum tg__spacing { TG__LEADING, TG__LINSPACE, TG__TRAILING } tg__spacing;
typedef enum tg__beta_schedule {
    TG__BETAS_LINEAR,
    TG__BETAS_SCALED_LINEAR,
    TG__BETAS_COSINE,
    TG__BETAS_SIGMOID,
    TG__BETAS_EXP,
} tg__beta_schedule;
typedef enum tg__algorithm {
    TG__DPM,
    TG__DPMPP,
    TG__SDE_DPM,
    TG__SDE_DPMPP,
    TG__DEIS,
} tg__algorithm;
typedef enum tg__solver { TG__MIDPOINT, TG__HEUN, TG__LOGRHO, TG__BH1, TG__BH2 } tg__solver;

/* The keys of a config by their values. What a class has no key for keeps the value that the class
 * works with. */
typedef struct tg__keys {
    int train_steps;
    tg__beta_schedule beta_schedule;
    double beta_start, beta_end;
    bool rescale_betas_zero_snr;
    tg__prediction prediction;
    tg__spacing spacing;
    int steps_offset;
    bool karras, lu_lambdas, log_linear, continuous;
    double sigma_min, sigma_max; /* of Karras sigmas; negative: not set */
    bool final_sigma_min;        /* final_sigmas_type is "sigma_min" */
    bool clip_sample, thresholding;
    double clip_range, threshold_ratio, threshold_most;
    bool set_alpha_to_one, skip_prk_steps, fixed_large;
    int solver_order;
    tg__algorithm algorithm;
    tg__solver solver;
    bool lower_order_final, euler_at_final, predict_x0;
    double lambda_min_clipped;
    int original_steps; /* original_inference_steps */
    double timestep_scaling;
} tg__keys;

/* Groups of keys that a class has beside the common ones (betas, prediction_type). */
enum {
    TG__HAS_SPACING = 1 << 0, /* timestep_spacing, steps_offset */
    TG__HAS_ZERO_SNR = 1 << 1,
    TG__HAS_KARRAS = 1 << 2,
    TG__HAS_SIGMA_RANGE = 1 << 3,
    TG__HAS_CLIP = 1 << 4,
    TG__HAS_THRESHOLDING = 1 << 5,
    TG__HAS_ALPHA_TO_ONE = 1 << 6,
    TG__HAS_FINAL_SIGMA = 1 << 7,
    TG__HAS_SOLVER = 1 << 8, /* solver_order, solver_type, lower_order_final */
    TG__HAS_ALGORITHM = 1 << 9,
    TG__HAS_LAMBDA_MIN = 1 << 10,
    TG__HAS_MEAN_OF_VARIANCE = 1 << 11, /* variance_type of DPM-Solver: only the mean is used */
    TG__HAS_VARIANCE = 1 << 12,         /* variance_type of DDPM */
    TG__HAS_SKIP_PRK = 1 << 13,
    TG__HAS_EULER = 1 << 14,         /* interpolation_type, timestep_type */
    TG__HAS_DPM_MULTISTEP = 1 << 15, /* euler_at_final, use_lu_lambdas */
    TG__HAS_UNIPC = 1 << 16,         /* predict_x0, disable_corrector, solver_p */
    TG__HAS_ORIGINAL_STEPS = 1 << 17,
    TG__HAS_TIMESTEP_SCALING = 1 << 18,
};

enum { TG__MOST_TRAIN_STEPS = 100000, TG__MOST_ORDER = 16 };

/* A set of the values of an enumeration. */
#define TG__SET(value) (1u << (value))
#define TG__COMMON_BETAS \
    (TG__SET(TG__BETAS_LINEAR) | TG__SET(TG__BETAS_SCALED_LINEAR) | TG__SET(TG__BETAS_COSINE))
#define TG__ALL_PREDICTIONS (TG__SET(TG__EPSILON) | TG__SET(TG__V_PREDICTION) | TG__SET(TG__SAMPLE))

typedef struct tg__sampler {
    const char *name; /* diffusers' class */
    unsigned keys;    /* TG__HAS_… */
    unsigned betas, predictions;
    /* Of algorithms and solvers, those that the class works with; of algorithms, those too that its
     * constructor replaces by the default (it does so with every other solver). */
    unsigned algorithms, mapped_algorithms, solvers;
    /* Defaults that differ between classes. */
    tg__beta_schedule beta_schedule;
    double beta_start, beta_end;
    tg__spacing spacing;
    bool clip_sample, set_alpha_to_one, final_sigma_min, lower_order_final;
    tg__algorithm algorithm;
    tg__solver solver;
    /* How timesteps and sigmas are made. */
    bool by_sigma;           /* the step is looked up by timestep: the first must be there once */
    bool open_grid;          /* whole timesteps that leave out the last of steps + 1 points */
    bool rounds_timesteps;   /* those of Karras sigmas */
    bool repeats_last_sigma; /* of Karras sigmas, where the final sigma is the least */
    bool custom_timesteps;   /* a request may bring its own */
    bool takes_eta;          /* a request may say how much noise is drawn anew */
    int order;               /* evaluations a step */
    int usual_steps;         /* of a request; 0: as many as the pipeline makes */

    /* Fills timesteps and evaluations, row_size and slot_count; sigmas where there are any. */
    tg_status (*prepare)(tg__scheduler *s, tg__error *error);
    /* The coefficients of evaluation i; zero before. */
    void (*row)(const tg__scheduler *s, int i, double *row);
    void (*step)(tg__scheduler *s, int i, const double *row, const float *output, float *sample,
                 const float *noise);
    /* NULL: none is ever used. */
    bool (*wants_noise)(const tg__scheduler *s, int i);
    /* The sigma by which the network's input is scaled; NULL: it is the sample. */
    float (*input_sigma)(const tg__scheduler *s, int i);
} tg__sampler;

extern const tg__sampler tg__ddim, tg__ddpm, tg__pndm, tg__lms, tg__euler, tg__euler_ancestral,
    tg__heun, tg__kdpm2, tg__dpm_multistep, tg__dpm_singlestep, tg__unipc, tg__deis, tg__lcm,
    tg__tcd;

struct tg__scheduler {
    const tg__sampler *sampler;
    tg__keys keys;
    float *trained_betas; /* NULL: beta_schedule's */
    int *uncorrected;     /* disable_corrector */
    int uncorrected_count;
    float *alphas_cumprod; /* one for each beta */
    int length;            /* of it; train_steps unless there are trained betas */

    /* By set_steps. */
    const tg__steps *request; /* while it runs */
    double eta;
    int steps, evaluations;
    double *timesteps; /* of each evaluation */
    float *sigmas;     /* of each step and the final one */
    int sigma_count;
    float init_noise_sigma;
    double *rows;
    size_t row_size;
    size_t n;
    int count;
    float *slots; /* slot_count arrays of n */
    int slot_count;
};

/* ----------------------------------------------------------------------- for a class's prepare */

/* Room for the timesteps and sigmas of any class. */
tg_status tg__schedule_allocate(tg__scheduler *s, tg__error *error);

/* Timesteps from the largest down, in whole numbers or (not whole) in f32; returns how many, at
 * most steps + 1. last is train_steps, or fewer for an open grid. */
int tg__space_timesteps(const tg__scheduler *s, bool whole, int last, double *dst);

/* For classes that work with alphas_cumprod: whole timesteps, evaluations. */
tg_status tg__prepare_whole(tg__scheduler *s, tg__error *error);
/* For distilled models: the request's own timesteps, or some of count that lie evenly among those
 * of training, evenly chosen from the last down. */
tg_status tg__prepare_distilled(tg__scheduler *s, int count, tg__error *error);
/* original_inference_steps of the request, else of the config. */
int tg__original_steps(const tg__scheduler *s);
/* For classes that work with sigmas: timesteps, evaluations, sigmas, init_noise_sigma. */
tg_status tg__prepare_sigmas(tg__scheduler *s, tg__error *error);

/* Whether there is an alpha for this timestep. -1 is the last, as in Python: with trailing spacing
 * diffusers' rounding gives one step more for some numbers of steps (61 of 1000), at -1. */
bool tg__has_alpha(const tg__scheduler *s, int timestep);
float tg__alpha(const tg__scheduler *s, int timestep);
/* The error for a timestep without. */
tg_status tg__fail_timestep(const tg__scheduler *s, int timestep, tg__error *error);

/* torch.linspace(first, last, count)[i] in f32. */
float tg__linspace_f32(float first, float last, int count, int i);

/* The timestep at which sigma is reached, between those of the logarithms logs[length] (from two
 * up, rising), as the class computes it: f64 with f64 sigmas, f32 with f32 ones. */
double tg__sigma_to_t(double sigma, const float *logs, int length);
float tg__sigma_to_t_f32(float sigma, const float *logs, int length);
/* The logarithms of the sigmas of all alphas; NULL without memory. free() it. */
float *tg__log_sigmas(const tg__scheduler *s);
/* An input_sigma for classes of one evaluation a step. */
float tg__sigma_at(const tg__scheduler *s, int i);

/* alphas_cumprod of the betas; frees nothing on failure. */
tg_status tg__make_alphas(tg__scheduler *s, const char *where, tg__error *error);

/* ---------------------------------------------------------------------------- for a class's row */

/* sample * (the sample) + output * (the network's output). */
typedef struct tg__mix {
    double sample, output;
} tg__mix;

/* The root of alphas_cumprod's alpha. Where it is 0 and the clean sample is restrained, one so
 * small that what is divided by it ends at the limits. */
double tg__signal(const tg__scheduler *s, float alpha);

/* The clean sample where the noisy one is alpha * clean + sigma * noise … */
tg__mix tg__clean_of(tg__prediction prediction, double alpha, double sigma);
/* … and the noise. */
tg__mix tg__noise_of(tg__prediction prediction, double alpha, double sigma);
/* The clean sample where the noisy one is clean + sigma * noise, scaled for the network … */
tg__mix tg__clean_of_sigma(tg__prediction prediction, double sigma);
/* … and (noisy - clean) / sigma. */
tg__mix tg__slope_of_sigma(tg__prediction prediction, double sigma);

/* --------------------------------------------------------------------------- for a class's step */

static inline float *tg__slot(const tg__scheduler *s, int index)
{
    return s->slots + (size_t)index * s->n;
}

typedef struct tg__term {
    double factor;
    const float *values; /* not read where the factor is 0 */
} tg__term;

enum { TG__MOST_TERMS = TG__MOST_ORDER + 4 };

/* dst = the sum of the terms; dst may be among their values. */
void tg__combine(float *dst, size_t n, const tg__term *terms, int count);
#define TG__COMBINE(dst, n, ...)                         \
    tg__combine(dst, n, (const tg__term[]){__VA_ARGS__}, \
                (int)(sizeof((tg__term[]){__VA_ARGS__}) / sizeof(tg__term)))

/* Thresholds or clips a clean sample, if the config says so. */
void tg__restrain(const tg__scheduler *s, float *clean);

/* The row of a class whose step predicts the clean sample, restrains it and goes on from there:
 * CLEAN_* make it (in slot 0), NEXT_* the next sample. */
enum {
    TG__CLEAN_SAMPLE,
    TG__CLEAN_OUTPUT,
    TG__NEXT_CLEAN,
    TG__NEXT_SAMPLE,
    TG__NEXT_OUTPUT,
    TG__NEXT_NOISE,
    TG__CLEAN_ROW,
};
void tg__step_by_clean(tg__scheduler *s, int i, const double *row, const float *output,
                       float *sample, const float *noise);

#endif
