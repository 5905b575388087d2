/* SPDX-License-Identifier: MIT */
/* What all networks have in common. A network class is a row: which class names mean it, how its
 * config and weights are read, how a pass through it is recorded. A network is a struct of the
 * class's own that begins with a tg__network. */
#ifndef TG_MODELS_NETWORK_H
#define TG_MODELS_NETWORK_H

#include "accel/deepcache.h"
#include "core/backend.h"
#include "io/config.h"
#include "io/layer.h"

typedef struct tg__network_class tg__network_class;
typedef struct tg__translation tg__translation; /* models/original_names.h */

/* One way through a network. Two that are equal are the same plan. Fields that a class has no use
 * for are 0. */
typedef struct tg__pass {
    int kind;           /* which of the class's passes; TG__PASS_RUN is its usual one */
    int n, h, w;        /* pictures or texts; their size: latents', or an encoder's pixels */
    int tokens;         /* of a text */
    int skip;           /* a text encoder's last layers that are left out */
    float factor;       /* what a decoder multiplies its latents by */
    tg__gate_step gate; /* guided: the batch is 2n, negative halves first */
    tg__deep_step deep; /* a UNet's */
} tg__pass;

enum {
    TG__PASS_RUN,
    TG__PASS_TEXT,   /* a denoiser's: what depends on the prompts alone, once for each */
    TG__PASS_ENCODE, /* an autoencoder's */
    TG__PASS_STATES, /* a text encoder's: hidden states before the final norm, and pooled ones */
};

bool tg__pass_same(const tg__pass *a, const tg__pass *b);

typedef struct tg__network tg__network;

/* An input or output by name: the slot that a plan has for it. */
typedef struct tg__port {
    const char *name;
    int slot;
    /* Of a condition: values of a row; 0: the network does not take it. NULL: no condition. */
    int (*width)(const tg__network *network);
    bool of_request; /* a condition that follows from the request, not from the prompt */
} tg__port;

/* Slots below this are ports, bound for each run; from here on they are memory that a session keeps
 * for the network from one pass to the next. */
enum { TG__SLOT_KEPT = 16 };

/* What others must know of a network. */
typedef struct tg__facts {
    int in_channels, out_channels; /* a denoiser's latents; an autoencoder's pictures */
    int patch;                     /* a denoiser's: its latents' sides are multiples of it; 0: 1 */
    int sample_size;               /* a side in training: latents', pixels of an autoencoder; 0: not
                                    * said */
    int text_width;                /* that a denoiser attends to or a text encoder makes */
    int branches; /* of a denoiser: where DeepCache may take the deep feature; 0: nowhere */
    /* A text encoder's. layers: of which the last may be left out; positions: the most tokens, 0:
     * any number. */
    int layers, positions, vocabulary;
    int end_token;    /* a text encoder's: where its first one is, the text is pooled; -1: where the
                       * first of the largest ids is */
    int pooled_width; /* that a denoiser is told or a text encoder makes; 0: none */
    int latent_channels; /* an autoencoder's */
    int factor;          /* pixels that a latent is wide */
    int moments;         /* channels that encoding makes, the mean's first; 0: it only decodes */
    bool encodes_in_f32; /* an autoencoder that 16 bits are too short for */
    double scaling_factor;
    bool old; /* a denoiser's config is of a time when sample_size could be too small */
    /* Of a denoiser's guidance embedding, its port "guidance": it is told the guidance, and there
     * are no negative halves. 0: it is not. */
    int guidance_width;
} tg__facts;

struct tg__network {
    const tg__network_class *class;
    const char *name; /* its role: "unet" */
    tg__facts facts;
    tg__tally tally;
    tg__arena arena;
};

struct tg__network_class {
    const char *const *names; /* "UNet2DConditionModel", … NULL; the first is what info says */
    const char *library;      /* of model_index.json: "diffusers", "transformers" */
    const char *weights;      /* the files' name: "diffusion_pytorch_model" */
    size_t bytes;             /* of its struct */
    tg__use use;
    unsigned rough;        /* bit of a pass's kind: its products may be in a rough format (int8) */
    bool text_pass;        /* a denoiser: it has a pass of kind TG__PASS_TEXT */
    const tg__port *ports; /* ends in a NULL name */
    /* Every key is read; what is not implemented is refused by its name. Fills the facts. */
    tg_status (*read_config)(tg__network *network, tg__config *config);
    /* Checks every tensor's shape; copies nothing. */
    tg_status (*load)(tg__network *network, const tg__weights *weights, tg__error *error);
    void (*record)(tg__plan *plan, const tg__network *network, const tg__pass *pass);
    /* A tensor that a file with the network in it has, and one with another thing does not; NULL:
     * such a file cannot be told. */
    const char *anchor;
    /* From a tensor's name to the one in checkpoints of the original code; false if it has none
     * there. NULL: there are no such checkpoints. The config is read. */
    bool (*original_name)(const tg__network *network, tg__translation *t);
};

/* A network of this class for a role (a string that outlives it), zeroed; NULL without memory. */
tg__network *tg__network_new(const tg__network_class *class, const char *role, tg__error *error);
void tg__network_free(tg__network *network); /* NULL is fine */

/* The slot of an input or output, -1: there is none by this name. */
int tg__network_slot(const tg__network *network, const char *name);
/* Values of a row of the condition; 0: the network takes none by this name. */
int tg__network_condition(const tg__network *network, const char *name);

/* Packed weights of network `number` in its model are group `number`, those of its text pass: */
static inline int tg__text_group(int number) { return TG__MAX_NETWORKS + number; }

/* How a pass is to be lowered. */
tg__lowering tg__network_lowering(const tg__network *network, int number, const tg__pass *pass);

/* The plan of a pass; NULL with an error. */
tg__plan *tg__network_plan(const tg__network *network, const tg__pass *pass, tg__error *error);

/* The latents' size for a picture of h x w: each halving rounds down. */
void tg__latent_size(const tg__network *autoencoder, int h, int w, int *latent_h, int *latent_w);

extern const tg__network_class tg__unet_class, tg__autoencoder_kl_class, tg__clip_text_class,
    tg__clip_text_projection_class, tg__t5_encoder_class, tg__pixart_class;

#endif
