/* SPDX-License-Identifier: MIT */
#include "utf8.h"

int utf8_length(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    /* Least and greatest second byte rule out overlong forms, surrogates and too large codes. */
    unsigned char least = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned char most = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4 || s[1] < least || s[1] > most)
        return 0;
    int length = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    for (int i = 2; i < length; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

bool utf8_valid(const char *text)
{
    for (int length; *text; text += length)
        if ((length = utf8_length(text)) == 0)
            return false;
    return true;
}
