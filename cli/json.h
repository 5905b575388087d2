/* SPDX-License-Identifier: MIT */
/* Writes JSON on one line. The output is valid whatever the values: bytes that are not UTF-8 become
 * U+FFFD, numbers that are not finite null. */
#ifndef TG_CLI_JSON_H
#define TG_CLI_JSON_H

#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    int separate; /* something stands before the next value in its object or array */
};

/* bracket: '{' or '['. key is NULL within an array and for the outermost value, here as below. */
void json_open(struct json *json, const char *key, char bracket);
void json_close(struct json *json, char bracket);
void json_text(struct json *json, const char *key, const char *value);
void json_integer(struct json *json, const char *key, int64_t value);
void json_unsigned(struct json *json, const char *key, uint64_t value);
void json_real(struct json *json, const char *key, double value);
void json_null(struct json *json, const char *key);

/* One string in its quotes. */
void json_quote(FILE *out, const char *text);

#endif
