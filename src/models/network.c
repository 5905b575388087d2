/* SPDX-License-Identifier: MIT */
#include "models/network.h"

#include <stdlib.h>

bool tg__pass_same(const tg__pass *a, const tg__pass *b)
{
    return a->kind == b->kind && a->n == b->n && a->h == b->h && a->w == b->w &&
           a->tokens == b->tokens && a->skip == b->skip && a->factor == b->factor &&
           tg__gate_same(a->gate, b->gate) && tg__deep_same(a->deep, b->deep);
}

tg__network *tg__network_new(const tg__network_class *class, const char *role, tg__error *error)
{
    tg__network *network = calloc(1, class->bytes);
    if (!network) {
        tg__fail_memory(error);
        return NULL;
    }
    network->class = class;
    network->name = role;
    return network;
}

void tg__network_free(tg__network *network)
{
    if (!network)
        return;
    tg__arena_free(&network->arena);
    free(network);
}

static const tg__port *find_port(const tg__network *network, const char *name)
{
    for (const tg__port *port = network->class->ports; port->name; port++)
        if (strcmp(port->name, name) == 0)
            return port;
    return NULL;
}

int tg__network_slot(const tg__network *network, const char *name)
{
    const tg__port *port = find_port(network, name);
    return port ? port->slot : -1;
}

int tg__network_condition(const tg__network *network, const char *name)
{
    const tg__port *port = find_port(network, name);
    return port && port->width ? port->width(network) : 0;
}

tg__lowering tg__network_lowering(const tg__network *network, int number, const tg__pass *pass)
{
    bool text = network->class->text_pass && pass->kind == TG__PASS_TEXT;
    return (tg__lowering){.group = text ? tg__text_group(number) : number,
                          .use = network->class->use,
                          .rough = network->class->rough >> pass->kind & 1};
}

tg__plan *tg__network_plan(const tg__network *network, const tg__pass *pass, tg__error *error)
{
    tg__plan *plan = tg__plan_new(network->name, error);
    if (plan)
        network->class->record(plan, network, pass);
    if (!tg__failed(error))
        return plan;
    tg__plan_free(plan);
    return NULL;
}

void tg__latent_size(const tg__network *autoencoder, int h, int w, int *latent_h, int *latent_w)
{
    *latent_h = h / autoencoder->facts.factor;
    *latent_w = w / autoencoder->facts.factor;
}
