/* SPDX-License-Identifier: MIT */
#include "models/config_keys.h"

#include <string.h>
#include <strings.h>

tg__activation tg__read_activation(tg__config *config, const char *key, const char *otherwise)
{
    static const struct {
        const char *name;
        tg__activation activation;
    } names[] = {{"silu", TG__SILU},
                 {"swish", TG__SILU},
                 {"gelu", TG__GELU},
                 {"relu", TG__RELU},
                 {"quick_gelu", TG__QUICK_GELU},
                 {"mish", TG__MISH}};
    if (otherwise)
        tg__config_refuse_null(config, key, "a string");
    const char *name = tg__config_string(config, key, otherwise);
    if (!name)
        return TG__LINEAR;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(name, names[i].name) == 0)
            return names[i].activation;
    char shown[80];
    tg__fail(tg__config_error(config), TG_ERROR_UNSUPPORTED,
             "%s: %s %s is not implemented, expected \"silu\", \"gelu\", \"quick_gelu\", \"relu\" "
             "or \"mish\"",
             tg__config_where(config), key, tg__config_show(config, key, shown, sizeof shown));
    return TG__LINEAR;
}

void tg__check_groups(tg__config *config, int groups, int channels, const char *place)
{
    if (!tg__failed(tg__config_error(config)) && channels % groups != 0)
        tg__fail(tg__config_error(config), TG_ERROR_FORMAT,
                 "%s: norm_num_groups is %d, expected a divisor of the %d channels in %s",
                 tg__config_where(config), groups, channels, place);
}

void tg__check_class(tg__config *config, const char *expected)
{
    const char *name = tg__config_string(config, "_class_name", expected);
    char shown[80];
    if (!tg__failed(tg__config_error(config)) && strcmp(name, expected) != 0)
        tg__fail(tg__config_error(config), TG_ERROR_UNSUPPORTED,
                 "%s: _class_name is %s, expected \"%s\"", tg__config_where(config),
                 tg__config_show(config, "_class_name", shown, sizeof shown), expected);
}
