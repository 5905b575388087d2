# SPDX-License-Identifier: MIT
"""Goldens for tests/unit/test_clip_tokenizer.c: the ids of the slow CLIPTokenizer, in five folders.

    demo     models/demo/tokenizer
    sd1      CLIP's vocabulary with the special tokens of Stable Diffusion 1.x
    sd2      the same with those of 2.x, padded with "!"
    flags    a small vocabulary, whose added tokens have flags, as written today
    legacy   the same as written before: special_tokens_map.json and added_tokens.json

The last two are written to tokenizer/flags and tokenizer/legacy; CLIP's vocabulary follows from the
merges that the library ships.

Pinned: Python 3.11 (Unicode 14), transformers 4.44.2, tokenizers 0.19.1, regex 2026.11.15, and no
ftfy.   python make_tokenizer.py

tokenizer/cases.txt: a line of a text, then for each folder an indented line of its name and ids.
Anything in a text but letters, spaces and printable ASCII is written \\u{HEX}; so is a backslash.
tokenizer/long.txt: texts that are repeated. A line "TIMES TEXT", then lines of name, number of ids,
and a checksum: FNV-1a over the ids' 32-bit little-endian bytes, 64 bits in hex.
tokenizer/padded.txt: the same for padded ones: a text, then lines "NAME LENGTH: ids".
"""

import importlib.util
import json
import pathlib
import random
import struct
import sys
import tempfile
import unicodedata

import regex
import tokenizers
import transformers
from transformers import CLIPTokenizer

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
FOLDER = HERE / "tokenizer"
BEGIN, END = "<|startoftext|>", "<|endoftext|>"

assert unicodedata.unidata_version == "14.0.0"
assert transformers.__version__ == "4.44.2" and tokenizers.__version__ == "0.19.1"
assert regex.__version__ == "2026.11.15"
assert importlib.util.find_spec("ftfy") is None, "ftfy changes what the tokenizer does"


# ------------------------------------------------------------------------------ the tokenizers


def byte_symbols():
    """CLIP's 256 symbols of bytes, in the order of its vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def vocabulary(merges):
    symbols = byte_symbols()
    pieces = symbols + [s + "</w>" for s in symbols] + ["".join(m.split()) for m in merges]
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def write(folder, merges, ids, **files):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    for name, value in {"vocab": ids, **files}.items():
        text = json.dumps(value, indent=None if name == "vocab" else 1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(text + "\n", "utf-8")


def token(content, lstrip=False, rstrip=False, single_word=False, **more):
    return {
        "content": content,
        "lstrip": lstrip,
        "normalized": True,
        "rstrip": rstrip,
        "single_word": single_word,
        **more,
    }


def write_clip(folder, pad):
    merges = (PROJECT / "src/text/clip/merges.txt").read_text("utf-8").strip().split("\n")[1:]
    ids = vocabulary(merges)
    ids |= {BEGIN: len(ids), END: len(ids) + 1}
    assert len(ids) == 49408
    specials = {"bos_token": token(BEGIN), "eos_token": token(END), "unk_token": token(END)}
    typed = {key: {"__type": "AddedToken", **value} for key, value in specials.items()}
    config = {"model_max_length": 77, "do_lower_case": True, "pad_token": END, **typed}
    specials["pad_token"] = pad
    write(folder, merges, ids, tokenizer_config=config, special_tokens_map=specials)


# Merges whose results come in another order than their parts, twice, or not in the vocabulary.
SMALL_MERGES = """
a b|ab c</w>|b c|a bc|abc a|ab c|abc d|c a|t h|th e</w>|i n|in g</w>|c a|ca t</w>|o r|or e</w>|
e r</w>|e e|ee e|eee e</w>|a a|aa a|aaa a</w>|l l|l o|lo l|lol o</w>|' s</w>|' t</w>|1 2|! !</w>|
! !|!! !</w>|Ã ©</w>|Ã ©|Ï ĥ|Ï Ĥ</w>|x y|xy z</w>|z z</w>|q u|qu i|qui z</w>|th in|thin g</w>|n o|
no t</w>|b ab|k v|jkv j|j kv
""".replace("\n", "").split("|")  # fmt: skip
MISSING = {"xyz</w>", "quiz</w>", "lo", "!!!</w>", "Q", "Q</w>"}


def write_small():
    ids = {p: i for p, i in vocabulary(SMALL_MERGES).items() if p not in MISSING}
    ids |= {BEGIN: 800, END: 801, "<unk>": 802, "cat</w>": 5}
    added = {
        BEGIN: token(BEGIN, special=True),
        END: token(END, special=True),
        "<unk>": token("<unk>", special=True),
        "<style>": token("<style>", lstrip=True, rstrip=True),
        "<left>": token("<left>", lstrip=True),
        "<right>": token("<right>", rstrip=True),
        "WORD": token("WORD", single_word=True),
        "word": token("word", single_word=True, lstrip=True, rstrip=True),
        "wordWORD": token("wordWORD"),
        "sWORD": token("sWORD", rstrip=True),
        "abx": token("abx"),
        "b": token("b", single_word=True),
        "extra_1": token("extra_1"),
        "extra_100": token("extra_100"),
        "a_1extra": token("a_1extra"),
        "<é Σ>": token("<é Σ>", special=True, lstrip=True),
        "日本": token("日本", single_word=True),
        "ab": token("ab", single_word=True),
        "k%x": token("k%x"),
        "%": token("%"),
    }
    decoder = {str(800 + i): t for i, t in enumerate(added.values())}
    config = {
        "added_tokens_decoder": decoder,
        "bos_token": BEGIN,
        "eos_token": END,
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": {"__type": "AddedToken", **token("<mask>", lstrip=True)},
        "additional_special_tokens": ["<style>", "<more>"],
        "model_max_length": int(1e30),
        "clean_up_tokenization_spaces": True,
    }
    write(FOLDER / "flags", SMALL_MERGES, ids, tokenizer_config=config)
    specials = {
        "bos_token": token(BEGIN, rstrip=True),
        "eos_token": token(END),
        "unk_token": token("<unk>"),
        "pad_token": "!",
        "sep_token": token(END, lstrip=True),
        "additional_special_tokens": [token("<left>", lstrip=True), "word", "<more>"],
    }
    config = {"bos_token": "overridden", "pad_token": END, "max_len": 9, "cls_token": "<cls>"}
    write(
        FOLDER / "legacy",
        SMALL_MERGES,
        ids,
        tokenizer_config=config,
        special_tokens_map=specials,
        added_tokens={"<left>": 900, "<right>": 901, "word": 902, "Cat": 77},
    )


# --------------------------------------------------------------------------------------- texts

PROMPTS = """
a photograph of an astronaut riding a horse
A Photo Of A CAT, highly detailed, 8k, (masterpiece:1.2), [bad hands], trending on ArtStation!!!
don't can't I'm you're we've she'll he'd it's rock'n'roll o'clock 'tis ''s ''' 's's 'S 'RE 'Ll
'ſ 'ſs it'ſ ſtart <|ſtartoftext|> <|endofteXt|>
un café à l’été, garçon, naïve, Ærøskøbing, Œuvre, Straße, STRASSE, ẞ, Ǆ ǅ ǆ
Привет, мир! Ёлка и ЩУКА
ΟΔΥΣΣΕΥΣ ΣΑΣ Σ ΑΣ. ΑΣ'Α ΑΣ' Α Σ. ΣΣΣ Α\u0301Σ\u0301 ΑΣ\u00adΑ ΑΣ\u200d ὈΔΥΣΣΕΎΣ ᾼΣ ͅΣ ᾳΣ
İstanbul DİYARBAKIR Iğdır ışık İ İ\u0307 I\u0307 i\u0307
東京の夜景、ネオンサイン 한국어 문장입니다 北京ab中文c 𠀀𪜀a豈丽 〆〇 ゟ ヿ
\u1100\u1161\u11a8 \u1112\u1161\u11ab\u1100\u116e\u11a8 가\u11a8 각\u11a8 ㄱㅏ
हिन्दी में चित्र தமிழ் ภาษาไทย ພາສາລາວ မြန်မာ ខ្មែរ ქართული ᲥᲐᲠᲗᲣᲚᲘ አማርኛ
مرحبا بالعالم שלום עולם بِسْمِ ٱللَّٰهِ الرَّحْمَٰنِ ۱۲۳ ١٢٣ ߀߁
😀😃👨‍👩‍👧‍👦👍🏽🏳️‍🌈🇩🇪 ❤️ ☃ ✨✨ 🫠🫡🥹
zero\u200bwidth\u200cjoin\u200der\ufeffbom soft\u00adhyphen word\u2060joiner
tab\tnew\nline\rreturn\x0bvt\x0cff\x1cfs\x1dgs\x1ers\x1fus\x85nel\xa0nbsp\u1680og
\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000
a\u2028b\u2029c a\x01b\x02 \x7f \ufffd a\ufffdb \ue000 \U000e0001 \U0010ffff \u0378 \U0001faf0
é e\u0301 E\u0301 e\u0323\u0301 e\u0301\u0323 \u0344 \u0958 \u212b \u2126 \u212a \u0f73 \uac00
a\u0345b \u0345 !\u0345! α\u0345 ᾳ Α\u0345 1\u03452 \u0345\u0345
½ ² Ⅷ ⅷ ①② ㊿ Ⓐ ⓐ 𝐀𝟘 ٣ 12345 1st 2nd x2 3.14 1,000,000
<|startoftext|> a <|endoftext|> b<|startoftext|>c <|STARTOFTEXT|> !<|endoftext|>! <|endoftext|
!!! ??? ... --- ___ ### $$$ ((( ))) [[[ ]]] {{{ }}} *** +++ === ~~~ ``` "" '' ,,, ;;; ::: /// |||
hello!world hello! !hello a!b!!c !!!!! ! !! ！ 
a b | abx abcx abxb b ab_b xbx b b  a  b\tb abcabcabcd abca bcabcd
extra_1 extra_100 extra_1000 extra_10 xextra_1x a_1extra_100 a_1extra_1 aextra_1 a_extra_100
<style> x<style>y x  <style>\t y <left> x \u3000<left>y <right>  y <right>\x0b\x1cy x\u2028<left>
WORD aWORD WORDb a WORD b \tWORD WORD\t wordWORD word WORD sWORD x sword words sWORD\tb b
word  word\tword xword word x.word word! word\u00a0 a word\u00a0b x\u00a0word\u00a0y
日本 日本語 a日本 日本 a <é Σ> <é σ>x <mask> x <mask> <pad><pad> <more> <cls> <unk> x<unk>y Cat cat
aaaa aaaaa aaaaaaaa eeee eeeeeee lolo lololo the thing thinging not nothing q quiz Quiz xyz xyzxyz
jkvjkvjkv jkvjkvx jkvj kvjkvjkvjkvjkvj
k%x k%vx k%v %x k%%x xk%vxk%x
""".strip("\n").split("\n")  # fmt: skip

POOLS = {
    "ascii": [chr(c) for c in range(32, 127)],
    "latin": [chr(c) for c in range(0xA0, 0x250)],
    "greek": [chr(c) for c in range(0x370, 0x400)] + ["Σ"] * 60 + list("\u0301\u00ad\u0345.' "),
    "case": [chr(c) for c in range(0x20000) if chr(c).lower() != chr(c)] + ["Σ", " ", "\u0307"],
    "marks": [chr(c) for c in range(0x20000) if unicodedata.combining(chr(c))] + list("aeoα "),
    "indic": [chr(c) for c in range(0x900, 0x1200)],
    "jamo": [chr(c) for c in (*range(0x1100, 0x1200), *range(0xAC00, 0xAC40))] + [" "],
    "cjk": [chr(c) for c in (*range(0x2E80, 0x3400, 3), *range(0x3400, 0xA000, 97))],
    "compat": [chr(c) for c in range(0xF900, 0x10000)] + [chr(c) for c in range(0x2F7F0, 0x2FA20)],
    "space": list(" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029")
    + list("\u202f\u205f\u3000\u180e\u200b\ufeff") + list("aB1!"),
    "symbols": [chr(c) for c in range(0x2000, 0x2C00)],
    "emoji": [chr(c) for c in range(0x1F300, 0x1FB00)] + ["\u200d", "\ufe0f", " "],
    "any": [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000],
    "low": [chr(c) for c in range(1, 0x3000)],
    "decomposing": [chr(c) for c in range(0x30000) if unicodedata.decomposition(chr(c))],
    "small": list("abcdabcabc thingeelozqu'st12!!xyz ") + ["é", "σ", "ς"],
    "quotes": ["'", "s", "t", "re", "ve", "m", "ll", "d", "ſ", "S", "RE", " ", "a", "1", "’", "''"],
    "specials": [BEGIN, END, "<|", "|>", "startoftext", "endoftext", "<|STARTOFTEXT|>", *" !a"],
    "added": ["<style>", "<left>", "<right>", "WORD", "word", "wordWORD", "sWORD", "abx", "b", "ab",
              "a", "x", "extra_1", "extra_100", "a_1extra", "<é Σ>", "日本", "<mask>", "<pad>",
              "<more>", "<cls>", "<unk>", "Cat", "s", "0", "_1", " ", "  ", "\t", "\u3000", "\x0b", "!",
              BEGIN, END, "overridden", "k%x", "k%", "%"],
}  # fmt: skip
WORDS = [word for prompt in PROMPTS for word in prompt.split(" ") if word]


def random_text(rng, most):
    pieces = []
    for _ in range(rng.randint(1, 3)):
        if rng.random() < 0.2:
            pieces.append(" ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 6))))
        else:
            pool = POOLS[rng.choice(list(POOLS))]
            pieces.append("".join(rng.choice(pool) for _ in range(rng.randint(1, most))))
    return rng.choice(["", " "]).join(pieces)


def texts():
    rng = random.Random(20240829)
    yield ""
    yield " "
    for prompt in PROMPTS:
        yield prompt
        yield from prompt.split(" ")
        yield prompt.upper()
    for pool in POOLS.values():
        for _ in range(20):
            yield "".join(rng.choice(pool) for _ in range(rng.randint(1, 12)))
    for _ in range(1000):
        yield random_text(rng, 10)


LONG = [
    (30000, "a"), (20000, "ab"), (15000, "abc"), (9000, "the quick "), (9000, "thequickbrown"),
    (20000, "é"), (9000, "日"), (20000, "e\u0301"), (9000, "!?"), (9000, "1"), (6000, "<style> "),
    (6000, "wordWORD"), (9000, "'s"), (5000, "\u0316\u0301"), (9000, "Σ"),
]  # fmt: skip


# ------------------------------------------------------------------------------------- writing


def escape(text):
    def plain(char):
        return " " <= char <= "~" and char != "\\" or unicodedata.category(char)[0] == "L"

    return "".join(c if plain(c) else f"\\u{{{ord(c):X}}}" for c in text)


def checksum(ids):
    value = 0xCBF29CE484222325
    for byte in struct.pack(f"<{len(ids)}i", *ids):
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def numbers(ids):
    return " ".join(map(str, ids))


def load(folders):
    return {name: CLIPTokenizer.from_pretrained(str(path)) for name, path in folders.items()}


def make_folders(scratch):
    write_small()
    write_clip(scratch / "sd1", END)
    write_clip(scratch / "sd2", "!")
    return {
        "demo": PROJECT / "models/demo/tokenizer",
        "sd1": scratch / "sd1",
        "sd2": scratch / "sd2",
        "flags": FOLDER / "flags",
        "legacy": FOLDER / "legacy",
    }


def main():
    with tempfile.TemporaryDirectory() as scratch:
        tokenizers_by_name = load(make_folders(pathlib.Path(scratch)))
    with open(FOLDER / "cases.txt", "w", encoding="utf-8") as out:
        for text in dict.fromkeys(texts()):
            out.write(escape(text) + "\n")
            for name, tokenizer in tokenizers_by_name.items():
                out.write(f" {name} {numbers(tokenizer(text).input_ids)}\n")
    with open(FOLDER / "long.txt", "w", encoding="utf-8") as out:
        for times, text in LONG:
            out.write(f"{times} {escape(text)}\n")
            for name, tokenizer in tokenizers_by_name.items():
                ids = tokenizer(text * times).input_ids
                out.write(f" {name} {len(ids)} {checksum(ids):016x}\n")
    with open(FOLDER / "padded.txt", "w", encoding="utf-8") as out:
        for text in ["", "a cat", *PROMPTS]:
            out.write(escape(text) + "\n")
            for name, tokenizer in tokenizers_by_name.items():
                for length in (5, 16, 77):
                    ids = tokenizer(
                        text, padding="max_length", max_length=length, truncation=True
                    ).input_ids
                    out.write(f" {name} {length}: {numbers(ids)}\n")


if __name__ == "__main__":
    sys.exit(main())
