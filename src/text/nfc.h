/* SPDX-License-Identifier: MIT */
/* Unicode's normal form C. */
#ifndef TG_TEXT_NFC_H
#define TG_TEXT_NFC_H

#include "text/chars.h"

/* Appends src in NFC to dst. Code points that Unicode 14 leaves unassigned are not expected. False
 * without memory. */
bool tg__nfc(tg__chars *dst, const tg__chars *src);

#endif
