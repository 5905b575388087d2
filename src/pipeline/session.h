/* SPDX-License-Identifier: MIT */
/* A session: packed weights, plans and memory, kept from one request to the next. */
#ifndef TG_PIPELINE_SESSION_H
#define TG_PIPELINE_SESSION_H

#include "cpu/lower.h"
#include "pipeline/model.h"
#include "pipeline/tiles.h"

/* What a plan was made for; two plans with the same key are the same. */
typedef struct tg__plan_key {
    tg__network network;
    int kind; /* the network's own number: which of its passes */
    tg__gate_step gate;
    int n, h, w, skip;
    float factor;
    int tile_h, tile_w; /* of the h x w map this part alone; 0: all of it */
} tg__plan_key;

typedef struct tg__cached_plan {
    tg__plan_key key;
    tg__program *plan;
    struct tg__cached_plan *next;
} tg__cached_plan;

struct tg_session {
    tg_model *model;
    tg__error error;             /* of the last call */
    tg_dtype dtype, activations; /* activations: f32 or bf16 */
    int threads;
    bool profile;
    tg_vae_tiling tiling;
    tg__grid grids[2]; /* how the VAE went over its last latents: decoding, encoding */
    tg__dnnl *dnnl;    /* NULL: plain C */
    tg__context contexts[TG__NETWORKS];
    struct tg__cache *caches[TG__NETWORKS]; /* NULL: none */
    bool caches_fail;                       /* writing one failed: no more attempts */
    tg__cached_plan *plans;
    void *workspace;
    size_t workspace_bytes;
    void **slots; /* the UNet's external memory, by slot */
    size_t *slot_bytes;
    int slot_count;
    struct tg__profile *rows; /* what tg_session_profile handed out last */
};

/* An encoded prompt. */
struct tg_prompt {
    const tg_session *session; /* that encoded it */
    int tokens, width;
    size_t bytes; /* of one half, in f32 */
    void *positive, *negative;
    double seconds, load_seconds;
};

enum {
    TG__PASS_RUN,    /* the UNet's evaluation, the VAE's decoder, the text encoder */
    TG__PASS_TEXT,   /* the UNet's keys and values */
    TG__PASS_ENCODE, /* the VAE's encoder */
};

tg__dtype tg__session_dtype(const tg_session *session);

/* Begins a public call: clears the message, sets the threads; returns what tg__session_leave wants.
 */
int tg__session_enter(tg_session *session);
tg_status tg__session_leave(tg_session *session, int before);

/* Packed weights on disk: looked up there from now on; new ones added, which tg__session_leave does
 * if the call succeeded; freed after the packs. */
tg_status tg__session_open_caches(tg_session *session, const char *folder);
void tg__session_save_caches(tg_session *session);
void tg__session_free_caches(tg_session *session);

/* The plan for this key, one that is there or new; NULL with the session's error. Plans of the same
 * network and kind for another size of the whole are dropped. */
tg__program *tg__session_plan(tg_session *session, const tg__plan_key *key);
/* The context's winograd_positions for a network of a session. */
int tg__winograd_positions(tg__network network, tg_dtype dtype);
/* Records a key's plan without preparing it (for its size and multiplications). int8: the UNet's
 * products are, where they may. */
tg__program *tg__record_plan(const tg_model *model, tg__context *context, const tg__plan_key *key,
                             tg__dtype dtype, bool int8, tg__error *error);
/* Makes the workspace large enough for the plan and binds it. */
tg_status tg__session_bind(tg_session *session, tg__program *plan);
/* Makes the memory of the slots from `first` on large enough for the plan. */
tg_status tg__session_reserve_slots(tg_session *session, const tg__program *plan, int first);
void tg__session_bind_slots(tg_session *session, tg__program *plan, int first);
void tg__session_free_profile(tg_session *session);
void tg__session_drop_plans(tg_session *session, tg__network network);
/* Its plans and packed weights; they are made again when needed. */
void tg__session_release(tg_session *session, tg__network network);

/* Results. */
struct tg_result {
    tg_array latents, pictures; /* data owned */
    tg_seconds seconds;
    int64_t macs, macs_plain;
};

tg_result *tg__result_new(tg__error *error);
/* dims with new uninitialised data in *array; false without memory. */
bool tg__array_new(tg_array *array, int count, int channels, int height, int width,
                   tg__error *error);

/* How the VAE's pass of this kind goes over h x w latents in AUTO: whole if room bytes hold the
 * workspace, else in as few tiles as need no more; in the smallest there are if none does. */
tg_status tg__session_grid(tg_session *session, int kind, int h, int w, size_t room,
                           tg__grid *grid);

/* pictures of result = the VAE's decoder applied to its latents times factor. */
tg_status tg__session_decode(tg_session *session, tg_result *result, float factor);

#endif
