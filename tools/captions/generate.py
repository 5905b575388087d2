# SPDX-License-Identifier: MIT
"""Writes src/text/caption_tables.c: what bs4, html and ftfy know of characters and entities.

    python generate.py > ../../src/text/caption_tables.c

Needs Python 3.11, beautifulsoup4 and ftfy 6.
"""

import html.entities
import sys

from bs4.dammit import EntitySubstitution
from ftfy import chardata

SEMICOLON, BARE, SOUP, FTFY = 1, 2, 4, 8


def entities():
    """{(name, text): flags}: which of the four take the name for the text."""
    found = {}
    def add(name, text, flag):
        found[(name, text)] = found.get((name, text), 0) | flag
    for name, text in html.entities.html5.items():
        add(name.removesuffix(";"), text, SEMICOLON if name.endswith(";") else BARE)
    for name, text in EntitySubstitution.HTML_ENTITY_TO_CHARACTER.items():
        add(name, text, SOUP)
    for name, text in chardata.HTML_ENTITIES.items():
        add(name.removeprefix("&").removesuffix(";"), text, FTFY)
    return found


def runs(test):
    """[first, last] of the code points that pass."""
    found = []
    for code in range(sys.maxunicode + 1):
        if test(code):
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return found


def write(name, kind, rows, comment):
    print(f"/* {comment} */\nconst {kind} tg__{name}[] = {{")
    line = "   "
    for row in rows:
        if len(line) + len(row) + 2 > 99:
            print(line)
            line = "   "
        line += f" {row},"
    print(f"{line}\n}};\nconst size_t tg__{name}_count = {len(rows)};\n")


def main():
    print("/* SPDX-License-Identifier: MIT */\n/* Made by tools/captions/generate.py. */")
    print('#include "text/caption_tables.h"\n\n/* clang-format off */')
    rows = []
    for (name, text), flags in sorted(entities().items(), key=lambda e: e[0][0].encode()):
        codes = ", ".join(hex(ord(c)) for c in text)
        assert len(text) <= 3
        rows.append(f'{{"{name}", {{{codes}}}, {flags}}}')
    write("entities", "tg__entity", rows, "By name, in strcmp's order.")
    digits = runs(lambda code: chr(code).isdecimal())
    assert all(last - first in (9, 49) for first, last in digits)
    write("decimals", "tg__code_run", [f"{{{hex(a)}, {hex(b)}}}" for a, b in digits],
          "str.isdecimal().")
    map_of = lambda table: [f"{{{hex(code)}, {{{', '.join(hex(ord(c)) for c in text)}}}}}"
                            for code, text in sorted(table.items())]
    table = {code: text for code, text in (chardata.LIGATURES | chardata.WIDTH_MAP).items()}
    assert not set(chardata.LIGATURES) & set(chardata.WIDTH_MAP)
    # One after the other, but what ligatures become has no other width.
    assert not {ord(c) for t in chardata.LIGATURES.values() for c in t} & set(chardata.WIDTH_MAP)
    assert max(map(len, table.values())) <= 3
    write("widths", "tg__code_map", map_of(table),
          "Ligatures and characters of another width, and what they become.")
    print("/* clang-format on */")


main()
