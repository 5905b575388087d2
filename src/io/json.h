/* SPDX-License-Identifier: MIT */
/* JSON texts as trees: what config.c and safetensors.c read.
 *
 * A reader of our own, because the files are hostile and memory may run out: jansson drops
 * characters, and may crash, when one of its allocations fails; it knows neither Infinity nor NaN;
 * and an element of two bytes costs it a hundred. Here the text is decoded in place, an element
 * takes 24 bytes, and every failure is told. */
#ifndef TG_IO_JSON_H
#define TG_IO_JSON_H

#include "core/error.h"

typedef enum tg__json_type {
    TG__JSON_NULL,
    TG__JSON_BOOL,
    TG__JSON_INTEGER, /* without point and exponent */
    TG__JSON_REAL,
    TG__JSON_STRING, /* valid UTF-8 */
    TG__JSON_LIST,
    TG__JSON_OBJECT,
} tg__json_type;

typedef struct tg__json {
    const char *key; /* of a member of an object; else NULL */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const char *string;
        struct tg__json *items; /* of a list, or of an object in the order of their keys */
    };
    uint32_t count;     /* of items */
    unsigned char type; /* a tg__json_type */
    bool read;          /* false at first; whoever reads may note it here */
} tg__json;

typedef struct tg__json_text tg__json_text;

/* Parses length bytes at text, which were malloc()ed, are followed by a zero byte, and belong to
 * the result from now on (on failure they are freed).
 *
 * Infinity, -Infinity and NaN are numbers. Refused with TG_ERROR_FORMAT: what else is not JSON,
 * integers and numbers that do not fit 64 bits, lone surrogates, zero characters, duplicate keys,
 * more than 200 levels, more than most_values values. Messages: "WHERE: line 3, column 7: found
 * '}', expected a value"; columns are bytes. NULL on failure. */
tg__json_text *tg__json_parse(char *text, size_t length, size_t most_values, const char *where,
                              tg__error *error);
/* NULL is fine. */
void tg__json_free(tg__json_text *text);
tg__json *tg__json_root(tg__json_text *text);

/* The member of an object; NULL if there is none. */
tg__json *tg__json_member(const tg__json *object, const char *key);

/* Numbers are equal by value, 1 to 1.0 too. */
bool tg__json_equal(const tg__json *a, const tg__json *b);

/* Compact JSON for messages, control characters escaped, cut with "..." to size (8 or more). */
const char *tg__json_show(const tg__json *value, char *dst, size_t size);

#endif
