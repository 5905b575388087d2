/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tgate.h"

/* Bytes of the UTF-8 sequence that text begins with, 1 to 4: the shortest beginning that is whole.
 * 0 if it begins with none. */
static int sequence_length(const char *text)
{
    char piece[5] = "";
    for (int i = 0; i < 4 && text[i]; i++) {
        piece[i] = text[i];
        if (tg_text_check(piece, NULL) == TG_OK)
            return i + 1;
    }
    return 0;
}

void json_quote(FILE *out, const char *text)
{
    fputc('"', out);
    while (*text) {
        int length = sequence_length(text);
        if (length == 0) {
            fputs("\\ufffd", out);
            length = 1;
        } else if (*text == '"' || *text == '\\') {
            fprintf(out, "\\%c", *text);
        } else if (length == 1 && ((unsigned char)*text < 0x20 || *text == 0x7F)) {
            fprintf(out, "\\u%04x", (unsigned)*text);
        } else {
            fwrite(text, 1, (size_t)length, out);
        }
        text += length;
    }
    fputc('"', out);
}

static void begin_value(struct json *json, const char *key)
{
    if (json->separate)
        fputs(", ", json->out);
    json->separate = 1;
    if (key) {
        json_quote(json->out, key);
        fputs(": ", json->out);
    }
}

void json_open(struct json *json, const char *key, char bracket)
{
    begin_value(json, key);
    fputc(bracket, json->out);
    json->separate = 0;
}

void json_close(struct json *json, char bracket)
{
    fputc(bracket, json->out);
    json->separate = 1;
}

void json_text(struct json *json, const char *key, const char *value)
{
    begin_value(json, key);
    json_quote(json->out, value);
}

void json_integer(struct json *json, const char *key, int64_t value)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRId64, value);
}

void json_unsigned(struct json *json, const char *key, uint64_t value)
{
    begin_value(json, key);
    fprintf(json->out, "%" PRIu64, value);
}

void json_real(struct json *json, const char *key, double value)
{
    char text[32];
    if (value - value != 0) { /* not finite */
        json_null(json, key);
        return;
    }
    begin_value(json, key);
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    fputs(text, json->out);
}

void json_null(struct json *json, const char *key)
{
    begin_value(json, key);
    fputs("null", json->out);
}
