/* SPDX-License-Identifier: MIT */
/*
 * tgate: text-to-image diffusion models, read as published, run on the CPU, accelerated by T-GATE.
 *
 * How to use it: open a model, make a session, encode a prompt, generate, write the picture:
 *
 *     tg_model *model = NULL;
 *     tg_session *session = NULL;
 *     tg_prompt *prompt = NULL;
 *     tg_result *result = NULL;
 *     tg_generate_options options;
 *     tg_model_open(&model, "models/demo", NULL);
 *     tg_session_new(&session, model, NULL);
 *     tg_prompt_encode(&prompt, session, "a fox", "", NULL);
 *     tg_generate_options_init(&options, model);
 *     if (tg_generate(&result, session, &prompt, 1, &options) == TG_OK)
 *         tg_image_write(tg_result_image(result, 0), "fox.png", NULL, true, NULL);
 *     else
 *         fprintf(stderr, "%s\n", tg_session_message(session));
 *
 * Errors. Every function that can fail returns a tg_status; a tg_error has besides the sentence
 * that says what was found, what was expected and where. It is in the handle (tg_model_error,
 * tg_session_error), or in the tg_error that the call was given, which may be NULL. The library
 * never prints, never exits, never aborts on input. What failed stays usable as an argument: every
 * function takes NULL and handles whose making failed, does nothing, and answers with a status and
 * the first reason. So a sequence like the one above needs one check, at its end: a session of a
 * model that could not be opened says why the model could not be.
 *
 * Options. A struct of options is set to its defaults by its _init, which also notes its size, and
 * then changed; so a program that was compiled against an older header keeps working. A struct
 * that was not initialised is TG_ERROR_ARGUMENT. NULL stands for the defaults.
 *
 * Ownership. What a function returns through its first argument belongs to the caller and is given
 * back with the _free or _close function of its type; these accept NULL. A model must outlive its
 * sessions and its prompts. Strings, arrays and structs that a function returns a pointer to belong
 * to the handle they came from, and live until its next call unless it says otherwise; read their
 * fields, never copy or compare them as a whole: they may grow.
 *
 * Threads. Different models and sessions may be used from different threads at the same time. A
 * model is read-only once open; its sessions may run side by side, and share one set of packed
 * weights for each dtype. Prompts and results are read-only once made. One session is used by one
 * thread at a time, but for tg_session_cancel. A process has one budget of threads and one of
 * memory for all its sessions (tg_process_configure).
 *
 * Waiting. The library computes in OpenMP's threads (oneDNN's are the same), which wait for each
 * other between pieces of work. libgomp's spin for milliseconds before they sleep, which is right
 * on an idle machine and makes everything many times slower where something else wants the cores.
 * While threads of this process stand in the scheduler's queue (Linux's schedstat says so), a call
 * therefore holds one more team of threads that do nothing: with more threads than cores libgomp
 * spins for microseconds alone. They end with the call. OMP_WAIT_POLICY and GOMP_SPINCOUNT hold as
 * always; other OpenMP libraries wait as they do.
 *
 * Files. Weights and packed weights are mapped, not read. While they are, nobody may shorten these
 * files: the kernel answers a read behind the end with the signal SIGBUS. Replacing a file by
 * renaming another onto it is safe. All writing goes to a temporary name and is then renamed.
 *
 * Pictures and latents are float32 arrays in (count, channels, height, width) order.
 */
#ifndef TGATE_H
#define TGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TG_API __attribute__((visibility("default")))
#else
#define TG_API
#endif

#define TG_VERSION "0.2.0"
#define TG_VERSION_NUMBER 200 /* major * 10000 + minor * 100 + patch */

/* ------------------------------------------------------------------------------------ status */

/* X(code, text): every status that a call can return. */
#define TG_STATUS_MAP(X)                                \
    X(TG_OK, "ok")                                      \
    X(TG_ERROR_ARGUMENT, "unusable argument")           \
    X(TG_ERROR_NOT_FOUND, "file not found")             \
    X(TG_ERROR_IO, "file cannot be read or written")    \
    X(TG_ERROR_FORMAT, "file is not what it should be") \
    X(TG_ERROR_UNSUPPORTED, "not supported")            \
    X(TG_ERROR_MEMORY, "out of memory")                 \
    X(TG_ERROR_NUMERIC, "result is not finite")         \
    X(TG_ERROR_CANCELLED, "cancelled")                  \
    X(TG_ERROR_INTERNAL, "internal error")

typedef enum tg_status {
#define TG_STATUS_CODE(code, text) code,
    TG_STATUS_MAP(TG_STATUS_CODE)
#undef TG_STATUS_CODE
} tg_status;

/* The short text of a status, such as "out of memory". Never NULL. */
TG_API const char *tg_status_text(tg_status status);

/* What went wrong. All zero means nothing did; the struct never grows. */
typedef struct tg_error {
    tg_status status;
    char subject[256];  /* what the message is about: an argument, an option's field, or a file;
                         * "" where there is no such thing. UTF-8, cut with "..." if longer */
    char message[1024]; /* the sentence, without a full stop; most begin with the subject */
} tg_error;

/* The version of the library, such as "0.2.0" and 200: TG_VERSION and TG_VERSION_NUMBER of the
 * header that it was built with. */
TG_API const char *tg_version(void);
TG_API int tg_version_number(void);

/* TG_ERROR_ARGUMENT unless text is UTF-8, strictly: no overlong forms, no surrogates. For error,
 * here and below: it may be NULL; what it held is overwritten, by zeros if nothing is wrong. */
TG_API tg_status tg_text_check(const char *text, tg_error *error);

/* Gives back what a function has allocated for its caller, where it says so. NULL is fine. */
TG_API void tg_free(void *data);

/* ------------------------------------------------------------------------------------- model */

/* Arithmetic of a session. */
typedef enum tg_dtype {
    TG_DTYPE_AUTO, /* bf16 where the CPU multiplies it faster than f32, else f32 */
    TG_DTYPE_F32,
    TG_DTYPE_BF16,
    TG_DTYPE_INT8, /* the UNet's convolutions and linear layers in int8, weights with a scale for
                    * each output, activations with one for each row or image that is taken anew at
                    * every step; the rest as with TG_DTYPE_AUTO. The first and the last
                    * convolution, the time embedding, the text's keys and values and the shortcuts,
                    * which are sensitive and small, belong to the rest */
} tg_dtype;

/* The highest instruction set that may be used, by our kernels and by oneDNN. */
typedef enum tg_cpu {
    TG_CPU_AUTO, /* whatever the CPU has */
    TG_CPU_C,    /* plain C alone */
    TG_CPU_AVX2,
    TG_CPU_AVX512,
    TG_CPU_AVX512_BF16,
    TG_CPU_AMX,
} tg_cpu;

/* "auto", "f32", …; "auto", "c", "avx2", …; "unknown" for another value. And the value of a name:
 * false, and the value is left alone, if there is none. */
TG_API const char *tg_dtype_name(tg_dtype dtype);
TG_API bool tg_dtype_from_name(const char *name, tg_dtype *dtype);
TG_API const char *tg_cpu_name(tg_cpu cpu);
TG_API bool tg_cpu_from_name(const char *name, tg_cpu *cpu);

typedef enum tg_log_level { TG_LOG_WARNING, TG_LOG_INFO } tg_log_level;

/* Receives sentences meant for the user (a prompt that was cut, a config key that is not known).
 * Called on the thread that called the library, in the middle of a call: from inside it no function
 * may be called with a session. */
typedef void (*tg_log_function)(void *user, tg_log_level level, const char *message);

/* An array of float32, (count, channels, height, width), row-major. Never grows. */
typedef struct tg_array {
    int count, channels, height, width;
    const float *data;
} tg_array;

typedef enum tg_phase {
    TG_PHASE_OPEN, /* reading a model's files */
    TG_PHASE_LOAD, /* packing weights, building programs */
    TG_PHASE_TEXT,
    TG_PHASE_DENOISE,
    TG_PHASE_DECODE,
    TG_PHASE_ENCODE,
} tg_phase;

/* Where a call is. */
typedef struct tg_progress {
    tg_phase phase;
    int step, steps; /* done, of how many: inference steps, else networks, texts, pictures */
    double seconds_per_step; /* median so far; 0 before the first */
    double seconds_left;     /* of this phase; 0 where not known */
    /* While denoising, between steps: the sample as it is (noisy; data NULL elsewhere), and, with
     * the option preview, a small picture of it for each picture, one pixel a latent, -1 to 1. */
    tg_array latents, preview;
} tg_progress;

/* Told where a call is: at the beginning of each phase, behind each step, and besides about fifty
 * times a second between operators and pieces of them, on the thread that made the call. Returns
 * false to cancel: the call then returns TG_ERROR_CANCELLED within a fraction of a second. progress
 * belongs to the library and lives until the function returns. From inside it no function may be
 * called with this session (its error included) but tg_session_cancel; other sessions, and
 * functions without a session, may. */
typedef bool (*tg_progress_function)(void *user, const tg_progress *progress);

/* Limits for all sessions of the process together. */
typedef struct tg_process_options {
    size_t size;          /* set by tg_process_options_init */
    int threads;          /* that compute at the same time; 0: one a core that may be used. Sessions
                           * that want more together take turns between operators */
    int64_t memory_bytes; /* of packed weights, workspaces and what layers keep; 0: no limit. Where
                           * something would not fit, a session first gives back what its earlier
                           * calls left; then it is TG_ERROR_MEMORY about "memory_bytes" */
} tg_process_options;

#define tg_process_options_init(options) tg_process_options_init_sized(options, sizeof *(options))
TG_API void tg_process_options_init_sized(tg_process_options *options, size_t size);

/* May be called at any time, from any thread; holds for what begins after it. */
TG_API tg_status tg_process_configure(const tg_process_options *options, tg_error *error);
/* Bytes that count against memory_bytes now. */
TG_API int64_t tg_process_memory(void);

/* A network that is not the model's own. Never grows. */
typedef struct tg_network_path {
    const char *role; /* what it takes the place of: "unet", "vae", "text_encoder", … */
    /* Its folder, or that of a pipeline whose network of this role it is; or a .safetensors file:
     * the network alone, under diffusers' or the original names, or a checkpoint that has it. A
     * config that lies with it counts, else the model's for the role does */
    const char *path;
} tg_network_path;

typedef struct tg_model_options {
    size_t size;               /* set by tg_model_options_init */
    const char *variant;       /* weights' variant, such as "fp16"; NULL: none, then fp16 */
    const char *config_dir;    /* folder with the configs of a single file; NULL: shipped ones */
    const char *tokenizer_dir; /* folder with the tokenizer's files, or with such a folder for each
                                * tokenizer ("tokenizer", "tokenizer_2"); NULL: the model's */
    const char *scheduler;     /* diffusers' class name or a short one; NULL: the model's */
    int karras;                /* use_karras_sigmas: 1 on, 0 off, -1 (default) as the model says */
    const char *prediction_type; /* "epsilon", "v_prediction", "sample"; NULL: the model's */
    tg_cpu cpu;          /* TG_CPU_AUTO; the cap holds for the whole process (oneDNN's does) */
    tg_log_function log; /* NULL: no messages */
    void *log_user;
    tg_progress_function progress; /* of opening; NULL: none */
    void *progress_user;
    const char *timestep_spacing;    /* "leading", "linspace", "trailing" (which models distilled to
                                      * few steps want); NULL: the model's */
    const tg_network_path *networks; /* that take the place of the model's own, each role at most
                                      * once; a role that the pipeline does not have is
                                      * TG_ERROR_ARGUMENT about its name */
    int network_count;
} tg_model_options;

typedef struct tg_model tg_model;

/* Sets every field to its default. */
#define tg_model_options_init(options) tg_model_options_init_sized(options, sizeof *(options))
TG_API void tg_model_options_init_sized(tg_model_options *options, size_t size);

/* Opens a diffusers folder or a single .safetensors checkpoint, checks every config and every
 * tensor's shape, and maps the weights; nothing is copied yet.
 * Whatever is returned, *model is a handle for tg_model_error and tg_model_close; it is NULL only
 * when there was no memory for the handle itself. */
TG_API tg_status tg_model_open(tg_model **model, const char *path, const tg_model_options *options);
TG_API void tg_model_close(tg_model *model);

/* Why opening failed, all zero if it did not; TG_ERROR_MEMORY, "out of memory" for NULL. The
 * message alone: the error's. */
TG_API const tg_error *tg_model_error(const tg_model *model);
TG_API const char *tg_model_message(const tg_model *model);

/* One network of a model. */
typedef struct tg_network_info {
    const char *name;       /* its role: "unet", "vae", "text_encoder" */
    const char *class_name; /* "UNet2DConditionModel", … */
    const char *dtype;      /* of the weights on disk: "f32", "f16", "bf16", "f64", "f8_e4m3",
                             * "f8_e5m2" or "mixed" */
    int64_t parameters;
    int64_t bytes; /* of the weights on disk */
} tg_network_info;

typedef struct tg_model_info {
    const char *pipeline; /* "StableDiffusionPipeline" */
    const char *layout;   /* "diffusers folder" or "single file" */
    int network_count;
    const char *scheduler; /* diffusers' class name */
    const char *prediction_type;
    int width, height; /* default size in pixels */
    int size_multiple; /* width and height must be multiples of this, unless they go by bins */
    int latent_channels;
    double guidance;    /* default guidance scale */
    int context;        /* text tokens, begin and end included */
    int64_t memory_f32; /* bytes that a session needs at the default size with guidance */
    int64_t memory_bf16;
    int64_t memory_int8;
    double step_gmac; /* 10^9 multiplications of a step in f32 at that size with guidance */
    int latent_size;  /* pixels on a side of a latent */
} tg_model_info;

/* What there is to know of an open model; lives as long as it. Of one that is not open: all zero,
 * strings "". Never NULL. */
TG_API const tg_model_info *tg_model_describe(const tg_model *model);
/* Network `index`, from 0; NULL beyond network_count. Lives as long as the model. */
TG_API const tg_network_info *tg_model_network(const tg_model *model, int index);

/* --------------------------------------------------------------------------------- tokenizer */

typedef struct tg_tokenizer tg_tokenizer;

typedef struct tg_tokens {
    const int32_t *ids;        /* with begin and end token, neither cut nor padded */
    const char *const *pieces; /* the vocabulary's entry of each id */
    int count;
    int context;      /* how many fit, begin and end included */
    const char *lost; /* the text that would be cut; "" if all fits */
} tg_tokens;

/* Opens the tokenizer of a model (folder or single file), or a tokenizer's folder alone.
 * tokenizer_dir overrides; NULL for none. *tokenizer is a handle whatever is returned, as for
 * tg_model_open. */
TG_API tg_status tg_tokenizer_open(tg_tokenizer **tokenizer, const char *path,
                                   const char *tokenizer_dir);
TG_API void tg_tokenizer_close(tg_tokenizer *tokenizer);
TG_API const tg_error *tg_tokenizer_error(const tg_tokenizer *tokenizer);
TG_API const char *tg_tokenizer_message(const tg_tokenizer *tokenizer);

/* Splits text (UTF-8; anything else is TG_ERROR_ARGUMENT). *tokens stays valid until the next call
 * with this tokenizer; NULL on failure. */
TG_API tg_status tg_tokenize(tg_tokenizer *tokenizer, const char *text, const tg_tokens **tokens);

/* ----------------------------------------------------------------------------------- session */

/* Whether the VAE goes over a picture in tiles: that takes less memory, but each tile is normalised
 * by itself, so that colours change a little from tile to tile (over their overlaps gradually). */
typedef enum tg_vae_tiling {
    TG_VAE_TILING_AUTO, /* if the memory that this process may still take does not hold the whole:
                           as few and as large tiles as it does hold */
    TG_VAE_TILING_ON,   /* diffusers' tiles: as large as the pictures of the VAE's training (its
                           config's sample_size, rounded down to four latents), neighbours sharing
                           a quarter; a picture no larger than one tile is whole */
    TG_VAE_TILING_OFF,
} tg_vae_tiling;

typedef struct tg_session_options {
    size_t size;              /* set by tg_session_options_init */
    tg_dtype dtype;           /* TG_DTYPE_AUTO */
    int threads;              /* 0: one a core that this process may use; 1 to 1024 */
    bool profile;             /* measure every operator; costs a few microseconds each */
    tg_vae_tiling vae_tiling; /* TG_VAE_TILING_AUTO */
    /* Folder for packed weights, so that later starts need not make them; NULL: none. Made if its
     * parent is there. It gets a file for each network, dtype and instruction set, as large as the
     * packed weights are in memory (Stable Diffusion 1.5 in bf16: 1.9 GB in three files; more when
     * several picture sizes want different layouts). A file is written at the end of the first call
     * that packed something, and replaced when the weights' files, the library or oneDNN differ
     * from what it was made from. It may be deleted at any time. What cannot be read or written is
     * a message to the model's log, never an error; a path that is too long is TG_ERROR_ARGUMENT.
     * Sessions that share packed weights have the folder of the first. */
    const char *cache_dir;
    tg_progress_function progress; /* of every call with the session; NULL: none */
    void *progress_user;
} tg_session_options;

typedef struct tg_session tg_session;

#define tg_session_options_init(options) tg_session_options_init_sized(options, sizeof *(options))
TG_API void tg_session_options_init_sized(tg_session_options *options, size_t size);

/* A session owns working memory and shares packed weights with the model's other sessions of its
 * dtype; both are made when first needed and kept for the next request. TG_ERROR_UNSUPPORTED if the
 * CPU lacks what the dtype needs. *session is a handle whatever is returned, as for tg_model_open.
 */
TG_API tg_status tg_session_new(tg_session **session, tg_model *model,
                                const tg_session_options *options);
TG_API void tg_session_free(tg_session *session);
/* Of the last call; where the session could not be made, always why. */
TG_API const tg_error *tg_session_error(const tg_session *session);
TG_API const char *tg_session_message(const tg_session *session);

/* What TG_DTYPE_AUTO and 0 threads came to; TG_DTYPE_AUTO and 0 of a session that could not be
 * made.
 */
TG_API tg_dtype tg_session_dtype(const tg_session *session);
TG_API int tg_session_threads(const tg_session *session);

/* Another progress function from the next call on. */
TG_API void tg_session_set_progress(tg_session *session, tg_progress_function progress, void *user);
/* The call that runs now, if one does, returns TG_ERROR_CANCELLED soon. From any thread, from a
 * progress function, or from a signal handler. */
TG_API void tg_session_cancel(tg_session *session);

/* What tg_session_trim gives back; it is made again when needed. */
enum {
    TG_TRIM_TEXT_ENCODERS = 1, /* their packed weights (once no session needs them) and programs */
    TG_TRIM_PROGRAMS = 2,      /* programs of all networks, workspace, what layers keep */
    TG_TRIM_ALL = 3 | 4,       /* and all packed weights that no other session needs */
};
TG_API tg_status tg_session_trim(tg_session *session, unsigned what);

/* ------------------------------------------------------------------------------------ prompt */

/* What a denoiser is told besides the sample, for one picture: belongs to the model, works with all
 * of its sessions. */
typedef struct tg_prompt tg_prompt;

typedef struct tg_prompt_options {
    size_t size;   /* set by tg_prompt_options_init */
    int clip_skip; /* as in diffusers: 0 the last layer, 1 the penultimate, up to the number of
                    * layers; it holds for the positive text only. Stable Diffusion XL takes the
                    * penultimate with 0, the one before it with 1 */
    /* For the second text encoder of a model that has two; NULL or "": the same as the first. */
    const char *text_2, *negative_2;
    /* false: PixArt's texts are put in lower case alone, as diffusers does without its optional
     * packages. true: they are cleaned as it does with them, of addresses, markup, file names and
     * what else captions from the web are full of, up to 4096 characters. TG_ERROR_ARGUMENT for
     * other models. */
    bool clean_caption;
} tg_prompt_options;

#define tg_prompt_options_init(options) tg_prompt_options_init_sized(options, sizeof *(options))
TG_API void tg_prompt_options_init_sized(tg_prompt_options *options, size_t size);

/* Encodes a prompt and its negative, both UTF-8. No negative (NULL) is "", but for Stable Diffusion
 * XL where model_index.json sets force_zeros_for_empty_prompt: there it is zeros. A text that is
 * longer than the context is cut, and a warning names the lost words. *prompt is NULL on failure,
 * and tg_generate answers such a prompt with the reason. */
TG_API tg_status tg_prompt_encode(tg_prompt **prompt, tg_session *session, const char *text,
                                  const char *negative, const tg_prompt_options *options);
TG_API void tg_prompt_free(tg_prompt *prompt);

/* One condition of a prompt: (rows, width) values for the prompt and for its negative. Never grows.
 */
typedef struct tg_embedding {
    const char *name; /* "text": the text encoders' hidden states; "pooled": the pooled text */
    int rows, width;
    const float *positive, *negative; /* negative NULL: zeros */
} tg_embedding;

/* A prompt of embeddings of the caller's own, which are copied; finite, one for each condition that
 * the model's denoiser takes of a prompt: "text", and "pooled" for Stable Diffusion XL. */
TG_API tg_status tg_prompt_from_embeddings(tg_prompt **prompt, const tg_model *model,
                                           const tg_embedding *embeddings, int count,
                                           tg_error *error);
/* Condition `index`, from 0, for as long as the prompt lives; false beyond the last. */
TG_API bool tg_prompt_embedding(const tg_prompt *prompt, int index, tg_embedding *embedding);

/* ---------------------------------------------------------------------------------- generate */

typedef enum tg_rng {
    TG_RNG_TORCH_CPU,  /* torch.Generator("cpu") */
    TG_RNG_TORCH_CUDA, /* the CUDA generator's Philox stream */
} tg_rng;

/* T-GATE, arXiv 2404.02747. Never grows. */
typedef struct tg_gate {
    int gate_step;   /* 1 or more: from this step on cross-attention is reused; 0: no gate at all */
    int sp_interval; /* before the gate, self-attention is computed every so many steps; 1 or more
                      */
    int fi_interval; /* the same after the gate */
    int warm_up;     /* steps before the first reuse of self-attention; 0 or more */
} tg_gate;

/* What Stable Diffusion XL is told of the picture that it imagines (arXiv 2307.01952, 2.2), pixels:
 * how large it was, where it was cut, how large it was after that. 0 x 0: the size of the pictures
 * that are made. Never grows. */
typedef struct tg_sizes {
    int original_width, original_height; /* both 0, or 1 to 2^24, as the target's */
    int crop_top, crop_left;             /* 0 to 2^24 */
    int target_width, target_height;
} tg_sizes;

/* DeepCache, arXiv 2312.00858, as version 0.1.1 of its package. Never grows. */
typedef struct tg_deepcache {
    int interval; /* one evaluation of the UNet in so many runs in full; 0 or 1: all of them. With a
                   * gate, gate_step - 1 and gate_step run in full too, and it is counted anew from
                   * there */
    int branch;   /* the others run only the layers outside it: block branch / 3, layer branch % 3
                   * of the way up, counted from its end; 0, the least work, to three times the
                   * UNet's blocks - 1 */
} tg_deepcache;

typedef struct tg_generate_options {
    size_t size;             /* set by tg_generate_options_init */
    int steps;               /* 25, 4 for latent consistency models; 1 to num_train_timesteps */
    double guidance;         /* the model's (7.5; XL 5); classifier-free guidance is on above 1. A
                              * denoiser with a guidance embedding (time_cond_proj_dim) is told it
                              * instead, whatever it is (8.5; XL 5): then there is no negative side
                              */
    double guidance_rescale; /* 0; 0 to 1, arXiv 2305.08891 section 3.4 */
    int width, height;       /* the model's; multiples of its size_multiple, any for PixArt */
    int count;               /* 1; pictures, made as one batch */
    uint64_t seed;           /* 0; of one generator for the whole batch */
    const uint64_t *seeds;   /* NULL; else count of them: picture i has a generator of its own, and
                              * comes out as it does alone with seeds[i] */
    tg_rng rng;              /* TG_RNG_TORCH_CPU */
    const tg_array *latents; /* starting noise of unit variance; sets count, width and height.
                                NULL: drawn from the seed */
    tg_gate gate;            /* 10, 5, 1, 2 for Stable Diffusion; 1, 1, 1, 0 for latent consistency
                              * models */
    bool decode;             /* true; false stops at the latents */
    bool release_denoiser;   /* false; true gives the denoiser's packed weights back before
                                decoding, which lowers the peak of memory: for the last request
                                of a session, since they are made again when needed. Has no
                                effect with profile or cache_dir, which want them later */
    bool preview;            /* false; true: progress has a small picture at each step. It is a
                                linear map of the latents, fitted once a session to what the VAE
                                makes of a few, which takes a sixteenth of what decoding a
                                picture of 64 x 64 latents does */
    /* All 0. Of a model that is not told sizes anything else is TG_ERROR_ARGUMENT. The negative
     * side has sizes of its own where its original and its target size are given, else the positive
     * ones. With count above 1 and own negative sizes, a step with guidance tells them by turns, as
     * diffusers does: pictures then differ from those made alone. */
    tg_sizes sizes, negative_sizes;
    tg_deepcache deepcache; /* 0, 0; TG_ERROR_UNSUPPORTED for a denoiser that is no UNet. The gate
                               that goes with it is tg_gate_default's */
    double eta;             /* 0; 0 to 1: how much of the noise DDIM and TCD draw anew at each
                             * step; other schedulers take 0 alone */
    int original_steps;     /* 0: the scheduler's original_inference_steps, from whose timesteps
                             * LCM takes its own; other numbers with LCM and TCD alone */
    const int *timesteps;   /* NULL; else timestep_count whole timesteps, falling, 0 to
                             * num_train_timesteps - 1, in place of the scheduler's own; they set
                             * steps. For DDPM, Euler, Heun, DPM++ 2M and 2S, LCM and TCD */
    int timestep_count;
    bool no_resolution_binning; /* false: PixArt makes its picture in the size that it has been
                                   trained with whose aspect ratio is nearest to the one asked for,
                                   then scales and cuts it. true, or with latents: the size itself.
                                   TG_ERROR_ARGUMENT for a model without bins */
} tg_generate_options;

typedef struct tg_result tg_result;

typedef struct tg_seconds {
    double load; /* packing weights, building programs */
    double text, denoise, decode;
} tg_seconds;

/* The defaults for this model; those of Stable Diffusion for one that is not open. */
#define tg_generate_options_init(options, model) \
    tg_generate_options_init_sized(options, sizeof *(options), model)
TG_API void tg_generate_options_init_sized(tg_generate_options *options, size_t size,
                                           const tg_model *model);

/* The gate of the model's defaults, or the one recommended beside DeepCache, which leaves
 * self-attention alone: gate_step as it is, 1, 1, 0. Of a model that is not open: Stable
 * Diffusion's. */
TG_API tg_gate tg_gate_default(const tg_model *model, bool deepcache);

/* Whether the options can be carried out, without computing anything. TG_ERROR_ARGUMENT names the
 * field. Either may be NULL. */
TG_API tg_status tg_generate_check(const tg_model *model, const tg_generate_options *options,
                                   const tg_prompt_options *prompt_options, tg_error *error);

/* Makes count pictures of prompt_count prompts: one for all, or one for each picture; of this
 * session's model. TG_ERROR_ARGUMENT for an unusable option, TG_ERROR_NUMERIC when the latents are
 * not finite, TG_ERROR_CANCELLED. *result is NULL on failure. */
TG_API tg_status tg_generate(tg_result **result, tg_session *session, tg_prompt *const *prompts,
                             int prompt_count, const tg_generate_options *options);
TG_API void tg_result_free(tg_result *result);

/* What follows takes NULL, which has no data and zeros. */
/* After the loop, before the VAE, not divided by the scaling factor. */
TG_API tg_array tg_result_latents(const tg_result *result);
/* The VAE's output for all pictures, not clamped, about -1 to 1; data is NULL without decode. */
TG_API tg_array tg_result_pictures(const tg_result *result);
/* One picture of it (count 1); index from 0; data NULL beyond the last. */
TG_API tg_array tg_result_image(const tg_result *result, int index);
TG_API const tg_seconds *tg_result_seconds(const tg_result *result);
/* 10^9 multiplications of the denoising loop: done, and what it takes without gate and DeepCache.
 */
TG_API double tg_result_gmac(const tg_result *result);
TG_API double tg_result_gmac_plain(const tg_result *result);

/* ----------------------------------------------------------------------------------- the VAE */

/* Latents to pictures. unscaled: the latents are not divided by the scaling factor. */
TG_API tg_status tg_decode(tg_result **result, tg_session *session, const tg_array *latents,
                           bool unscaled);
/* Pictures (3 channels, -1 to 1) to latents, the mean of the posterior, times the scaling factor
 * unless unscaled. Any size that the convolutions take. tg_result_latents has them. */
TG_API tg_status tg_encode(tg_result **result, tg_session *session, const tg_array *pictures,
                           bool unscaled);

/* ------------------------------------------------------------------------------------- files */

typedef enum tg_image_format {
    TG_IMAGE_PNG,
    TG_IMAGE_JPEG, /* quality 95, full chroma */
    TG_IMAGE_WEBP, /* lossy, quality 90 */
    TG_IMAGE_NPY,  /* the values as they are, see tg_npy_write */
} tg_image_format;

/* The format that a path's suffix stands for: .png, .jpg or .jpeg, .webp, .npy, in upper or lower
 * case. False, and *format is left alone, for another, or where nothing stands before it. */
TG_API bool tg_image_format_from_path(const char *path, tg_image_format *format);

/* Makes a file's content of one picture: (1, 3, height, width), values about -1 to 1, which the
 * formats but .npy clamp. text (UTF-8), if not NULL, is kept as the field "parameters" (png). A
 * value that is not finite is TG_ERROR_NUMERIC. *data is given back with tg_free; on failure it is
 * NULL and *bytes 0. */
TG_API tg_status tg_image_encode(void **data, size_t *bytes, tg_array picture,
                                 tg_image_format format, const char *text, tg_error *error);

/* Reads the content of a PNG, JPEG, WebP or .npy file, told apart by how it begins, into
 * (1, 3, height, width), -1 to 1 but for .npy; at most 2^26 pixels. Alpha is laid over white;
 * colour profiles and orientation are ignored. *picture's data is given back with tg_array_free;
 * on failure it is all zero. */
TG_API tg_status tg_image_decode(tg_array *picture, const void *data, size_t bytes,
                                 tg_error *error);

/* The same to a file, in the format of its suffix, by tg_file_write. */
TG_API tg_status tg_image_write(tg_array picture, const char *path, const char *text,
                                bool overwrite, tg_error *error);
/* The same from a file, whatever its name. */
TG_API tg_status tg_image_read(tg_array *picture, const char *path, tg_error *error);

/* Any array in NumPy's format, '<f4', C order, 4 dimensions, finite; to and from memory and files
 * as above. */
TG_API tg_status tg_npy_encode(void **data, size_t *bytes, tg_array array, tg_error *error);
TG_API tg_status tg_npy_decode(tg_array *array, const void *data, size_t bytes, tg_error *error);
TG_API tg_status tg_npy_write(tg_array array, const char *path, bool overwrite, tg_error *error);
TG_API tg_status tg_npy_read(tg_array *array, const char *path, tg_error *error);
TG_API void tg_array_free(tg_array *array);

/* Writes a file that appears whole or not at all; an existing one is replaced only with overwrite,
 * and only if it is a regular file. data may be NULL with 0 bytes. */
TG_API tg_status tg_file_write(const char *path, const void *data, size_t bytes, bool overwrite,
                               tg_error *error);

#ifdef __cplusplus
}
#endif

#endif
