/* SPDX-License-Identifier: MIT */
/* A JSON config (a network's, a scheduler's, a tokenizer's): typed reads with a sentence for
 * everything that is wrong, and a record of which keys were read.
 *
 * Bare Infinity, -Infinity and NaN are accepted (Python writes them). Big integers, lone
 * surrogates, zero characters, duplicate keys, anything but one object at the top, more than 16 MiB
 * or 2^20 values: an error.
 *
 * Reads never fail by themselves: the first error sticks in the error given to tg__config_open, and
 * reads return the default then. Message: "unet/config.json: layers_per_block is "two", expected an
 * integer from 1 to 64". */
#ifndef TG_IO_CONFIG_H
#define TG_IO_CONFIG_H

#include "core/error.h"
#include "io/json.h"

typedef struct tg__config tg__config;

/* path: the file; where: what messages call it ("unet/config.json"). error must outlive the config.
 * NULL on failure. */
tg__config *tg__config_open(const char *path, const char *where, tg__error *error);
/* The same from a text that was malloc()ed and ends in a zero byte behind its length; it belongs to
 * the config from now on, and is freed on failure. */
tg__config *tg__config_take(char *text, size_t length, const char *where, tg__error *error);
/* The same from a copy of a text. */
tg__config *tg__config_parse(const char *text, size_t length, const char *where, tg__error *error);
void tg__config_close(tg__config *config);
const char *tg__config_where(const tg__config *config);
tg__error *tg__config_error(const tg__config *config);

/* The key is there; null counts as there. Does not mark it as read. */
bool tg__config_has(const tg__config *config, const char *key);
/* The key is there and neither null nor false. Does not mark it as read. */
bool tg__config_is_set(const tg__config *config, const char *key);

/* Each takes the default where the key is absent. null: the default too where the caller allows it
 * by _or_null, else an error. A whole number is a number; true and false are not. */
int64_t tg__config_int(tg__config *config, const char *key, int64_t least, int64_t most,
                       int64_t otherwise);
int64_t tg__config_int_or_null(tg__config *config, const char *key, int64_t least, int64_t most,
                               int64_t otherwise);
/* Finite unless infinite is allowed by least or most being infinite; NaN never. */
double tg__config_number(tg__config *config, const char *key, double least, double most,
                         double otherwise);
double tg__config_number_or_null(tg__config *config, const char *key, double least, double most,
                                 double otherwise);
bool tg__config_bool(tg__config *config, const char *key, bool otherwise);
/* null or absent: otherwise. The string belongs to the config. */
const char *tg__config_string(tg__config *config, const char *key, const char *otherwise);

/* Whether the value is a list of two strings. Does not mark it as read. */
bool tg__config_is_pair(const tg__config *config, const char *key);

/* A string among choices (a list that ends in NULL): its index, or otherwise (-1 allowed) where it
 * is absent or null. Another one is TG_ERROR_UNSUPPORTED and named. */
int tg__config_choice(tg__config *config, const char *key, const char *const *choices,
                      int otherwise);

/* Lists. The number of elements, -1 where the key is absent or null; error if it is no list or
 * longer than most. Elements are then read by index. */
int tg__config_list(tg__config *config, const char *key, int most);
int64_t tg__config_list_int(tg__config *config, const char *key, int index, int64_t least,
                            int64_t most);
double tg__config_list_number(tg__config *config, const char *key, int index);
const char *tg__config_list_string(tg__config *config, const char *key, int index);

/* null is an error, unlike absence; expected: "a string". For keys whose read takes null for
 * absent. */
void tg__config_refuse_null(tg__config *config, const char *key, const char *expected);

/* An integer, or a list of exactly n: fills dst. Absent: every element otherwise (and true is
 * returned only when the key was there and not null). */
bool tg__config_ints(tg__config *config, const char *key, int n, int64_t least, int64_t most,
                     int64_t otherwise, int *dst);
/* The same where an element of the list may be a list of its own, of counts[i] integers or more, of
 * which the first are read: row i of dst, `stride` apart, has counts[i] of them. */
bool tg__config_int_lists(tg__config *config, const char *key, int n, const int *counts,
                          int64_t least, int64_t most, int64_t otherwise, int *dst, int stride);
/* The same as tg__config_ints for booleans. */
bool tg__config_bools(tg__config *config, const char *key, int n, bool otherwise, bool *dst);

/* An object inside this one, as a config of its own that belongs to this one; NULL if absent or
 * null, or with an error if it is no object. Messages: "index.json: weight_map: x is 1, …". */
tg__config *tg__config_object(tg__config *config, const char *key);

/* The key must be absent, null, false, or equal to the short JSON text given (NULL: nothing but
 * those); else TG_ERROR_UNSUPPORTED: "unet/config.json: class_embed_type "timestep" is not
 * implemented". */
void tg__config_refuse(tg__config *config, const char *key, const char *accepted);

/* For files whose keys are data: the object itself, and a value of it without any check; NULL where
 * the config is NULL or the key absent. Marks nothing as read. */
const tg__json *tg__config_tree(const tg__config *config);
const tg__json *tg__config_value(const tg__config *config, const char *key);
/* What all reads say of a value that is wrong: "WHERE: KEY is VALUE, expected EXPECTED". */
tg_status tg__config_fail(tg__config *config, const char *key, const tg__json *value,
                          const char *expected);

/* Marks a key as read, whatever its value: it is known and changes nothing. */
void tg__config_ignore(tg__config *config, const char *key);

/* Iteration over keys in their strcmp() order, index from 0; NULL at the end. */
const char *tg__config_key(const tg__config *config, int index);
/* Whether a read of this key took place. */
bool tg__config_was_read(const tg__config *config, const char *key);
/* The value as compact JSON, cut to size (8 or more), for messages; "absent". Returns dst. */
const char *tg__config_show(const tg__config *config, const char *key, char *dst, size_t size);

#endif
