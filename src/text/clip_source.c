/* SPDX-License-Identifier: MIT */
#include "text/clip_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_BYTES = 16 << 20, MOST_VALUES = 1 << 20, MOST_PATH = 4096, SHOWN_BYTES = 200 };

char *tg__clip_file_read(const char *folder, const char *name, char where[TG__WHERE_BYTES],
                         size_t *length, tg__error *error)
{
    char path[MOST_PATH];
    if (!tg__path_join(path, sizeof path, folder, name, error))
        return NULL;
    tg__path_where(where, TG__WHERE_BYTES, path);
    return tg__file_read_as(path, where, MOST_BYTES, length, error);
}

/* "No limit" is 10^30 to the reference, which writes it out, and integers of that size are none to
 * our reader: gives long integers an exponent. */
static void round_integers(char *text)
{
    bool quoted = false;
    for (char *at = text; *at; at++) {
        size_t digits = quoted ? 0 : strspn(at, "0123456789");
        if (*at == '"') {
            quoted = !quoted;
        } else if (quoted && *at == '\\' && at[1]) {
            at++;
        } else if (digits > 0) {
            bool fraction = at > text && at[-1] == '.';
            at += digits - 1;
            if (digits > 18 && !fraction && !strchr(".eE", at[1]))
                memcpy(at - 2, "e03", 3);
        }
    }
}

tg_status tg__clip_source_read(tg__clip_source *source, const char *folder, const char *name,
                               tg__error *error)
{
    size_t length;
    *source = (tg__clip_source){0};
    char *bytes = tg__clip_file_read(folder, name, source->where, &length, error);
    if (!bytes)
        return error->status;
    round_integers(bytes);
    source->text = tg__json_parse(bytes, length, MOST_VALUES, source->where, error);
    if (!source->text)
        return error->status;
    source->object = tg__json_root(source->text);
    if (source->object->type != TG__JSON_OBJECT)
        return tg__clip_fail_value(source, "its content", source->object, "an object", error);
    return TG_OK;
}

tg_status tg__clip_source_read_if_any(tg__clip_source *source, const char *folder, const char *name,
                                      tg__error *error)
{
    char path[MOST_PATH];
    struct stat status;
    *source = (tg__clip_source){0};
    if (!tg__path_join(path, sizeof path, folder, name, error))
        return error->status;
    /* A link that leads nowhere or a folder of that name is a mistake, not absence. */
    bool absent = lstat(path, &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
    return absent ? TG_OK : tg__clip_source_read(source, folder, name, error);
}

void tg__clip_source_free(tg__clip_source *source)
{
    tg__json_free(source->text);
    *source = (tg__clip_source){0};
}

const tg__json *tg__clip_source_member(const tg__clip_source *source, const char *key)
{
    return source->object ? tg__json_member(source->object, key) : NULL;
}

bool tg__clip_is_id(const tg__json *value)
{
    return value->type == TG__JSON_INTEGER && value->integer >= 0 &&
           value->integer < TG__CLIP_ID_LIMIT;
}

tg_status tg__clip_fail_value(const tg__clip_source *source, const char *key, const tg__json *value,
                              const char *expected, tg__error *error)
{
    char shown_key[SHOWN_BYTES], shown[SHOWN_BYTES];
    return tg__fail(error, TG_ERROR_FORMAT, "%s: %s is %s, expected %s", source->where,
                    tg__printable(shown_key, sizeof shown_key, key),
                    tg__json_show(value, shown, sizeof shown), expected);
}
