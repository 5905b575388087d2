/* SPDX-License-Identifier: MIT */
/* What runs plans: a CPU (src/cpu), later a GPU. A backend lowers a plan to a program of its own,
 * keeps the packed weights that its programs need, and owns the memory that they work on. Above it
 * nobody knows what a handle of memory is.
 *
 * Threads: several sessions may use one backend from different threads at the same time, each with
 * its own programs and memory. A backend holds no lock of its own while it asks a hook, which may
 * wait for another session. */
#ifndef TG_CORE_BACKEND_H
#define TG_CORE_BACKEND_H

#include "core/plan.h"
#include "tgate_profile.h"

typedef struct tg__backend tg__backend;
typedef struct tg__program tg__program; /* each backend has a type of its own by this name */

enum { TG__MAX_NETWORKS = 8 }; /* of a model */

/* Packed weights are kept in groups, one for each network and one for its pass over the text, whose
 * weights are of no use once it has run (models/network.h). */
enum { TG__MAX_GROUPS = 2 * TG__MAX_NETWORKS };

/* Memory of a backend; 0: none. */
typedef uintptr_t tg__memory;

/* How often a request runs a network: what packing it may cost follows from that. */
typedef enum tg__use { TG__USE_ONCE, TG__USE_A_PICTURE, TG__USE_A_STEP } tg__use;

/* How a plan is to be lowered. */
typedef struct tg__lowering {
    int group; /* of its packed weights */
    tg__use use;
    bool rough; /* products that are not sensitive may be in the roughest format of the session */
} tg__lowering;

/* What a program would need, found without packing anything. */
typedef struct tg__needs {
    size_t workspace_bytes;
    int64_t more_weights; /* bytes of packed weights beyond those of the layers in their format */
    int64_t macs;         /* as executed */
} tg__needs;

/* For a program that runs, and for one that is made. */
typedef struct tg__hooks {
    /* Called now and then on the caller's thread, between operators and between pieces of them.
     * False: stop. NULL: nobody asks. */
    bool (*go_on)(void *context);
    void *context;
    bool profile; /* measure each operator */
} tg__hooks;

/* One operator of a program, for profiles. Strings belong to the program. */
typedef struct tg__operator {
    const char *kind, *name, *shape;
    tg_dtype dtype; /* of the factors that are multiplied */
    int64_t calls;
    double seconds, macs, bytes; /* macs and bytes of one call */
} tg__operator;

struct tg__safetensors;
struct tg__log_sink;

/* Where a group's packed weights are kept for later starts. */
typedef struct tg__keep {
    const char *folder, *name;            /* name: the group's */
    struct tg__safetensors *const *files; /* that its weights lie in; they outlive the backend */
    int file_count;
    const struct tg__log_sink *log; /* outlives the backend */
} tg__keep;

/* A program's own memory, where slots are bound. Not -1: by that a network says that it has no such
 * port. */
enum { TG__WORKSPACE = -2 };

typedef struct tg__backend_class {
    const char *name; /* "cpu" */
    void (*close)(tg__backend *backend);

    /* The plan's program, with its weights packed; NULL with an error, TG_ERROR_CANCELLED where a
     * hook stopped it. */
    tg__program *(*lower)(tg__backend *backend, const tg__plan *plan, const tg__lowering *how,
                          const tg__hooks *hooks, tg__error *error);
    void (*free_program)(tg__backend *backend, tg__program *program); /* NULL is fine */
    tg_status (*measure)(tg__backend *backend, const tg__plan *plan, const tg__lowering *how,
                         tg__needs *needs, tg__error *error);
    tg__needs (*needs)(const tg__program *program);
    size_t (*external_bytes)(const tg__program *program, int slot); /* 0: the slot is not used */
    int (*slot_end)(const tg__program *program); /* one more than the largest slot in use */
    /* Slots that the program does not use are ignored. */
    void (*bind)(tg__program *program, int slot, tg__memory memory);
    /* False: stopped by a hook; what the program writes is then of no use. hooks may be NULL. */
    bool (*run)(tg__program *program, const tg__hooks *hooks);
    bool (*describe)(const tg__program *program, int index, tg__operator *op); /* false: no more */

    tg__memory (*allocate)(tg__backend *backend, size_t bytes); /* 0: there is none */
    void (*release)(tg__backend *backend, tg__memory memory);   /* 0 is fine */
    void (*upload)(tg__backend *backend, tg__memory dst, const void *src, size_t bytes);
    void (*download)(tg__backend *backend, void *dst, tg__memory src, size_t bytes);

    /* Gives a group's packed weights back if no program has them. */
    void (*forget)(tg__backend *backend, int group);
    size_t (*packed_bytes)(const tg__backend *backend, int group);
    /* Packed weights on disk, from now on; NULL: this backend keeps none. save: when some of the
     * group may have been packed, before they are forgotten. */
    tg_status (*keep)(tg__backend *backend, int group, const tg__keep *keep, tg__error *error);
    void (*save)(tg__backend *backend, int group);

    /* What the machine can do at most; threads: of the session that asks, which are set. NULL: it
     * is not measured. */
    tg_peak (*peak)(const tg__backend *backend, int threads);
} tg__backend_class;

struct tg__backend {
    const tg__backend_class *class;
};

/* How backends of one class are made. cap: the highest instruction set of a CPU. */
typedef struct tg__backend_opener {
    /* dtype: as a session's option. NULL with an error; TG_ERROR_UNSUPPORTED where the machine
     * lacks what the dtype needs. */
    tg__backend *(*open)(tg_cpu cap, tg_dtype dtype, tg__error *error);
    /* The same for measure alone, whatever the machine has. */
    tg__backend *(*open_to_measure)(tg_cpu cap, tg_dtype dtype, tg__error *error);
    tg_dtype (*usual_dtype)(tg_cpu cap); /* what TG_DTYPE_AUTO comes to */
} tg__backend_opener;

#endif
