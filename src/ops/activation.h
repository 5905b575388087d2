/* SPDX-License-Identifier: MIT */
#ifndef TG_OPS_ACTIVATION_H
#define TG_OPS_ACTIVATION_H

#include <stdbool.h>

typedef enum tg__activation {
    TG__LINEAR, /* none */
    TG__SILU,
    TG__GELU,       /* x * Phi(x), with erf */
    TG__QUICK_GELU, /* x * sigmoid(1.702 x) */
    TG__RELU,
    TG__MISH,       /* x * tanh(log(1 + e^x)) */
    TG__GELU_TANH,  /* x * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
    TG__GEGLU,      /* half as many channels: the first half times the gelu of the second */
    TG__GEGLU_TANH, /* the same with gelu by tanh */
} tg__activation;

/* Half as many channels come out as go in. */
static inline bool tg__activation_halves(tg__activation activation)
{
    return activation == TG__GEGLU || activation == TG__GEGLU_TANH;
}

#endif
