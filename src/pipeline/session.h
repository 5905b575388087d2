/* SPDX-License-Identifier: MIT */
/* A session: programs and working memory, kept from one request to the next. Packed weights are its
 * backend's, which sessions of one model and dtype share. */
#ifndef TG_PIPELINE_SESSION_H
#define TG_PIPELINE_SESSION_H

#include <stdatomic.h>

#include "pipeline/model.h"
#include "pipeline/tiles.h"
#include "tgate_profile.h"

/* A program that was made for a pass; two passes that are equal have the same one. */
typedef struct tg__made {
    int role;
    tg__pass pass;
    tg__program *program;
    unsigned call; /* that used it last */
    struct tg__made *next;
} tg__made;

/* What a network keeps from pass to pass, by slot. */
typedef struct tg__kept {
    tg__memory *slots;
    size_t *bytes;
    int count;
    unsigned call; /* that used it last */
    /* Whose text pass it is of: the prompts' numbers by picture, with their negatives or not. */
    uint64_t *prompts;
    int pictures; /* 0: it is nobody's */
    bool negatives;
} tg__kept;

/* What previews are made with (preview.h). */
typedef struct tg__preview {
    float *map; /* (3, channels + 1), the last for a constant; NULL: not fitted yet */
    float *picture;
    size_t room; /* values that the picture has room for */
} tg__preview;

struct tg_session {
    tg_model *model;
    tg__error error;     /* of the last call */
    tg__error broken;    /* of creation: it stays */
    tg__error unencoded; /* of the first prompt since the last picture that came out as NULL */
    tg_dtype dtype;      /* f32, bf16 or int8 */
    int threads;
    bool profile, caches;
    tg_vae_tiling tiling;
    tg__resident *resident;
    tg__backend *backend; /* the resident's */
    tg__made *made;
    unsigned call; /* the number of this call */
    tg__memory workspace;
    size_t workspace_bytes;
    tg__kept kept[TG__MAX_NETWORKS];
    struct tg__profile *rows;               /* what tg_session_profile handed out last */
    tg_peak peak;                           /* what tg_session_measure_peak found */
    tg_progress_function progress_function; /* NULL: nobody listens */
    void *progress_user;
    tg_progress progress; /* what it is told of this call */
    atomic_bool cancelled;
    tg__preview preview;
};

/* tg_session_new on a backend of the caller's. */
tg_status tg__session_new_on(tg_session **session, tg_model *model,
                             const tg_session_options *options, const tg__backend_opener *opener);

/* A session of the same kind that computes in f32, for as long as this one's call lasts: who
 * listens to or cancels this one, listens to and cancels it. NULL with an error. */
tg_session *tg__session_in_f32(tg_session *session);
/* Ends it; its error is this session's. */
void tg__session_end_f32(tg_session *session, tg_session *precise);

/* What a public call has to undo. */
typedef struct tg__call {
    int threads_before;
} tg__call;

/* Begins a public call: clears the message, takes a turn, sets the threads. Fails for NULL, and,
 * with its first reason, for a session that could not be made. leave: only after an enter that did
 * not. */
tg_status tg__session_enter(tg_session *session, tg__call *call);
tg_status tg__session_leave(tg_session *session, const tg__call *call);

/* Tells the caller's progress function where the call is; false, and an error, if it cancels. */
bool tg__session_report(tg_session *session);
/* The same between operators, where other sessions may take their turn first. */
bool tg__session_go_on(tg_session *session);

/* ------------------------------------------------------------------------------------ programs */

/* The program for this pass, one that is there or new; NULL with the session's error. Of each
 * pass's kind those that this call and the two before it used stay: so a session that goes from one
 * size to another and back plans each once. */
tg__program *tg__session_program(tg_session *session, int role, const tg__pass *pass);
/* What a program for it would need. */
tg_status tg__session_measure(tg_session *session, int role, const tg__pass *pass,
                              tg__needs *needs);
/* Makes the workspace large enough for the program and binds it. */
tg_status tg__session_bind(tg_session *session, tg__program *program);
/* Makes the network's kept memory large enough for the program; binds it. */
tg_status tg__session_reserve_kept(tg_session *session, int role, const tg__program *program);
void tg__session_bind_kept(tg_session *session, int role, tg__program *program);
/* False, and an error, if the call was cancelled. */
bool tg__session_run(tg_session *session, tg__program *program);

/* An array of the caller's at a port of a network: in is uploaded before, out is downloaded after;
 * either may be NULL. */
typedef struct tg__array_port {
    const char *name;
    const void *in;
    void *out;
    size_t bytes;
} tg__array_port;

/* Runs a pass once from arrays to arrays. */
tg_status tg__session_run_pass(tg_session *session, int role, const tg__pass *pass,
                               const tg__array_port *ports, int count);

void tg__session_drop_programs(tg_session *session, int role);
/* The programs and packed weights of its text pass, which has run. */
void tg__session_end_text(tg_session *session, int role);
/* Its programs and, if no other session has any, packed weights; made again when needed. */
void tg__session_release(tg_session *session, int role);
/* Programs of all networks, workspace and kept memory. */
void tg__session_free_memory(tg_session *session);
void tg__session_free_profile(tg_session *session);

tg_status tg__fail_size(tg__error *error, const char *what, size_t bytes);

/* ---------------------------------------------------------------------------------------- text */

/* Token ids of a text by the tokenizer of a role, cut and padded; says what was cut. what: the
 * text's name for messages. ids: the role's context. *count: how many of them are no padding. */
tg_status tg__token_ids(tg_session *session, int role, const char *what, const char *text,
                        int32_t *ids, int *count);
/* Where what a text encoder makes of a text goes. */
typedef struct tg__encoding {
    int kind, skip; /* of the pass */
    float *states;  /* (context, width), rows `stride` apart */
    size_t stride;
    float *pooled; /* (pooled_width); NULL: not wanted */
} tg__encoding;

/* A text through a text encoder with the ports "ids", "hidden_states" and, where it pools,
 * "pooled". */
tg_status tg__encode_text(tg_session *session, tg_prompt *prompt, int role, const char *what,
                          const char *text, const tg__encoding *to);

/* ------------------------------------------------------------------------------------- results */

struct tg_result {
    tg_array latents, pictures; /* data owned */
    tg_seconds seconds;
    int64_t macs, macs_plain;
};

tg_result *tg__result_new(tg__error *error);
/* The end of a call that makes a result: a failed one makes none. */
tg_status tg__result_leave(tg_result **result, tg_session *session, const tg__call *call);
/* dims with new uninitialised data in *array; false without memory. */
bool tg__array_new(tg_array *array, int count, int channels, int height, int width,
                   tg__error *error);

/* ----------------------------------------------------------------------------------------- VAE */

/* How the VAE's pass of this kind goes over h x w latents in AUTO: whole if room bytes hold the
 * workspace, else in as few tiles as need no more; in the smallest there are if none does. */
tg_status tg__session_grid(tg_session *session, int kind, int h, int w, size_t room,
                           tg__grid *grid);
/* pictures of result = the VAE's decoder applied to its latents times factor. */
tg_status tg__session_decode(tg_session *session, tg_result *result, float factor);

#endif
