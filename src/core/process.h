/* SPDX-License-Identifier: MIT */
/* What all sessions of the process share: a budget of threads and one of memory. */
#ifndef TG_CORE_PROCESS_H
#define TG_CORE_PROCESS_H

#include "core/error.h"

/* A call that computes takes a turn for so many threads and gives it back; it waits until the
 * others leave enough of the budget. A call that asks for more than the budget takes all of it. */
void tg__turn_take(int threads);
void tg__turn_give(int threads);
/* Lets waiting calls go first, if there are any; between two operators. */
void tg__turn_pass(int threads);

/* Counts bytes that are to be held; false, and nothing is counted, if the budget does not have
 * them.
 */
bool tg__memory_take(size_t bytes);
void tg__memory_give(size_t bytes);
/* The error of what could not be taken, and whether an error is one. what: "the workspace". */
tg_status tg__fail_budget(tg__error *error, const char *what, size_t bytes);
bool tg__over_budget(const tg__error *error);
/* What the budget still has; SIZE_MAX where there is none. */
size_t tg__memory_left(void);

#endif
