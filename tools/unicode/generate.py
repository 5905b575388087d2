# SPDX-License-Identifier: MIT
"""Writes src/text/unicode_tables.c: what CLIP's tokenizer has to know of Unicode 14.

    python3.11 tools/unicode/generate.py > src/text/unicode_tables.c

Python 3.11 is required, because its unicodedata is Unicode 14.0.0, and because its str.lower() and
str.isspace() are what the tokenizer has to agree with.
"""

import sys
import unicodedata

assert unicodedata.unidata_version == "14.0.0", "expected Python 3.11"

CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
FLAGS = ["LETTER", "NUMBER", "SPACE", "CONTROL", "CASED", "CASE_IGNORABLE", "JOINS", "IDEOGRAPH"]
# The ranges that BERT's tokenizer calls Chinese characters.
IDEOGRAPHS = [
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0x2F800, 0x2FA1F),
]  # fmt: skip


def final(text):
    """Whether str.lower() takes the capital sigma that ends the text for a word's last letter."""
    return text.lower().endswith("\u03c2")


def case_flags(char):
    """str.lower() skips case-ignorable characters before it looks for a cased one."""
    if not final("A" + char + "\u03a3"):
        return 0
    return flag("CASED") if final(char + "\u03a3") else flag("CASE_IGNORABLE")


def flag(name):
    return 1 << FLAGS.index(name)


def second_parts():
    """Starters that compose with what stands before them."""
    parts = {chr(c) for c in range(0x1161, 0x1176)} | {chr(c) for c in range(0x11A8, 0x11C3)}
    for code in CODES:
        pair = unicodedata.decomposition(chr(code)).split()
        canonical = len(pair) == 2 and not pair[0].startswith("<")
        if canonical and unicodedata.normalize("NFC", chr(code)) == chr(code):
            parts.add(chr(int(pair[1], 16)))
    return parts


def flags_of(code, seconds):
    char = chr(code)
    category = unicodedata.category(char)
    first = unicodedata.normalize("NFD", char)[0]
    flags = case_flags(char)
    if category.startswith("L"):
        flags |= flag("LETTER")
    if category.startswith("N"):
        flags |= flag("NUMBER")
    if char.isspace():
        flags |= flag("SPACE")
    if (category.startswith("C") and char not in "\t\n\r") or code == 0xFFFD:
        flags |= flag("CONTROL")
    if unicodedata.combining(first) != 0 or first in seconds:
        flags |= flag("JOINS")
    if any(first <= code <= last for first, last in IDEOGRAPHS):
        flags |= flag("IDEOGRAPH")
    return flags


def flag_runs():
    seconds = second_parts()
    runs = []
    for code in CODES:
        flags = flags_of(code, seconds)
        if not runs or runs[-1][1] != flags:
            runs.append((code, flags))
    return runs


def lower_runs():
    """[first, last, step, distance]: every step-th code point's lower case is that far away."""
    runs = []
    for code in CODES:
        lower = chr(code).lower()
        if code == 0x130:
            assert lower == "i\u0307"
            continue
        assert len(lower) == 1
        distance = ord(lower) - code
        if distance == 0:
            continue
        if runs:
            first, last, step, same = runs[-1]
            if same == distance and code - last in ({1, 2} if first == last else {step}):
                runs[-1] = [first, code, code - last, distance]
                continue
        runs.append([code, code, 1, distance])
    return runs


def rows(items, width):
    line = ""
    for item in items:
        if len(line) + len(item) + 2 > width:
            yield line.rstrip()
            line = ""
        line += item + ", "
    yield line.rstrip()


def main():
    out = sys.stdout.write
    runs, lower = flag_runs(), lower_runs()
    out("/* SPDX-License-Identifier: MIT */\n")
    out("/* Written by tools/unicode/generate.py from the Unicode Character Database 14.0.0. */\n")
    out('#include "text/unicode_tables.h"\n\n')
    out("/* clang-format off */\n")
    out(f"const uint32_t tg__unicode_flag_runs[{len(runs)}] = {{\n")
    for row in rows((f"0x{code << 8 | flags:x}" for code, flags in runs), 96):
        out(f"    {row}\n")
    out("};\n")
    out(f"const size_t tg__unicode_flag_run_count = {len(runs)};\n\n")
    out(f"const tg__lower_run tg__unicode_lower_runs[{len(lower)}] = {{\n")
    for row in rows((f"{{0x{a:x}, 0x{b:x}, {step}, {d}}}" for a, b, step, d in lower), 96):
        out(f"    {row}\n")
    out("};\n")
    out(f"const size_t tg__unicode_lower_run_count = {len(lower)};\n")


main()
