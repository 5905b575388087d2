/* SPDX-License-Identifier: MIT */
/* How much memory this process may still take. */
#ifndef TG_CORE_MEMORY_H
#define TG_CORE_MEMORY_H

#include <stddef.h>

/* Bytes: the least of what the kernel calls available, what the limits of this process's control
 * groups (version 1 or 2, with those above) leave, and what its limit on addresses leaves. SIZE_MAX
 * where nothing is known. An estimate: others take memory too. Allocates nothing. */
size_t tg__memory_available(void);

/* The same from the files of a tree that begins with root instead of "/", and with this limit on
 * addresses (SIZE_MAX: none). */
size_t tg__memory_available_at(const char *root, size_t address_limit);

#endif
