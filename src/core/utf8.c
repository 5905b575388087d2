/* SPDX-License-Identifier: MIT */
#include "core/utf8.h"

int32_t tg__utf8_next(const char **text)
{
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *s = (const unsigned char *)*text;
    int length = s[0] < 0x80 ? 1 : s[0] < 0xC0 ? 0 : s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    if (length == 0 || s[0] > 0xF4)
        goto invalid;
    int32_t code = length == 1 ? s[0] : s[0] & (0x7F >> length);
    for (int i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80)
            goto invalid;
        code = code << 6 | (s[i] & 0x3F);
    }
    if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        goto invalid;
    *text += length;
    return code;
invalid:
    *text += 1;
    return -1;
}

int tg__utf8_put(char dst[4], int32_t code)
{
    if (code < 0x80) {
        dst[0] = (char)code;
        return 1;
    }
    int length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (int i = length - 1; i > 0; i--, code >>= 6)
        dst[i] = (char)(0x80 | (code & 0x3F));
    dst[0] = (char)((0xF00 >> length & 0xFF) | code);
    return length;
}
