/* SPDX-License-Identifier: MIT */
#include "text/token_source.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_PATH = 4096 };

char *tg__token_file_read(const char *folder, const char *name, char where[TG__WHERE_BYTES],
                          size_t most, size_t *length, tg__error *error)
{
    char path[MOST_PATH];
    if (!tg__path_join(path, sizeof path, folder, name, error))
        return NULL;
    tg__path_where(where, TG__WHERE_BYTES, path);
    return tg__file_read_as(path, where, most, length, error);
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

tg__config *tg__token_source_open(const char *folder, const char *name, tg__error *error)
{
    char where[TG__WHERE_BYTES];
    size_t length;
    char *text =
        tg__token_file_read(folder, name, where, TG__MOST_TOKEN_FILE_BYTES, &length, error);
    if (!text)
        return NULL;
    round_integers(text);
    return tg__config_take(text, length, where, error);
}

tg__config *tg__token_source_open_if_any(const char *folder, const char *name, tg__error *error)
{
    char path[MOST_PATH];
    struct stat status;
    if (!tg__path_join(path, sizeof path, folder, name, error))
        return NULL;
    /* A link that leads nowhere or a folder of that name is a mistake, not absence. */
    bool absent = lstat(path, &status) != 0 && (errno == ENOENT || errno == ENOTDIR);
    return absent ? NULL : tg__token_source_open(folder, name, error);
}

bool tg__is_token_id(const tg__json *value)
{
    return value->type == TG__JSON_INTEGER && value->integer >= 0 &&
           value->integer < TG__TOKEN_ID_LIMIT;
}
