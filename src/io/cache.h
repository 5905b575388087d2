/* SPDX-License-Identifier: MIT */
/* A network's packs in a file, so that the next start need not make them.
 *
 * The file says what its packs were made from and by what; where anything of that differs from what
 * this run would say, it counts as not there and is written anew. All of it is checked, the packs
 * by sums when they are first used: a damaged file costs time, nothing else. Packs are used where
 * the file is mapped. As with weights, nobody may cut a mapped file short; this module never does,
 * a new file takes the old one's name.
 *
 * A cache never fails a request: what goes wrong is said to the log. */
#ifndef TG_IO_CACHE_H
#define TG_IO_CACHE_H

#include "core/log.h"
#include "core/packs.h"
#include "io/safetensors.h"

typedef struct tg__cache tg__cache;

typedef struct tg__cache_spec {
    const char *folder; /* made if it is not there, but its parent is */
    const char *name;   /* what the packs are: "unet-bf16"; the file's name begins with it */
    const char *maker;  /* what decides how packs come out: versions */
    tg__safetensors *const *files; /* packs of their tensors alone are kept; outlive the cache */
    int file_count;
    const tg__log_sink *log; /* outlives the cache */
} tg__cache_spec;

/* Reads nothing yet. NULL: no memory, or a path that is too long. */
tg__cache *tg__cache_new(const tg__cache_spec *spec, tg__error *error);
/* After the packs that have it as their store. NULL is fine. */
void tg__cache_free(tg__cache *cache);

/* What tg__packs looks packs up in. The file is opened when it is first asked. */
tg__pack_store tg__cache_store(tg__cache *cache);

/* Writes all that are ready, and what the file had besides, if some that a file keeps were made
 * since the last time: packs of the files' tensors alone. None is kept of a caller's memory or of a
 * patched weight, or of layers that have such a part: a later run could not tell them again. Under
 * the packs' lock. False with a warning if that fails: trying again would hardly help. NULL is
 * fine. */
bool tg__cache_save(tg__cache *cache, const tg__packs *packs);

#endif
