#!/usr/bin/env python3
"""Makes tests/golden/json/cases.bin: what Python's json module (3.11), which wrote the configs that
people publish, makes of small texts, most of them broken. Each case is "A" (accepted) or "R"
(refused), then the text and what json.dumps makes of it ("" if refused), each behind four bytes of
length (little endian). All texts are objects."""
import json
import pathlib
import random
import struct
import sys

assert sys.version_info[:2] == (3, 11), sys.version
OUT = pathlib.Path(__file__).parent / "json"

SOUND = """{
  "_class_name": "DPMSolverMultistepScheduler",
  "beta_end": 0.012, "lambda_min_clipped": -Infinity, "sample_max_value": 1.5e+3,
  "solver_order": 2, "thresholding": false, "trained_betas": null, "up": true,
  "block_out_channels": [320, -640, [], {}, 1E-7, "a\\"\\\\\\n\\u00e4\\ud83d\\ude00\u00e9"]
}"""

BY_HAND = """
{}|{ } |{"a":1}|{"a":1,}|{,}|{"a"}|{"a":}|{"a" 1}|{"a":1 "b":2}|{a:1}|{'a':1}|{"a":01}|{"a":-01}
{"a":-0}|{"a":0}|{"a":-}|{"a":+1}|{"a":1.}|{"a":.5}|{"a":1.5}|{"a":1e5}|{"a":1e}|{"a":1e+}|{"a":1E-5}
{"a":0x10}|{"a":1_000}|{"a":1.5.5}|{"a":--1}|{"a":1e5.5}|{"a":0e0}|{"a":0.0e-0}|{"a":00}|{"a":-0.0}
{"a":9223372036854775807}|{"a":-9223372036854775808}|{"a":9007199254740993}|{"a":1e308}
{"a":1.7976931348623157e308}|{"a":5e-324}|{"a":1e-999}|{"a":0.1}|{"a":123456789.123456789}
{"a":Infinity}|{"a":-Infinity}|{"a":+Infinity}|{"a":infinity}|{"a":Inf}|{"a":-NaN}|{"a":nan}|{"a":-I}
{"a":"Infinity"}|{"a":"NaN"}|{"a":Infinityx}|{"a":Infinity1}|{"a":True}|{"a":nul}|{"a":nulll}
{"a":[1,2]}|{"a":[1,]}|{"a":[,1]}|{"a":[1 2]}|{"a":[}|{"a":[]]}|{"a":]}|{"a":[[[]]]}|{"a":{}}
{"a":"\\u00e4"}|{"a":"\\u00E4"}|{"a":"\\u00g4"}|{"a":"\\u12"}|{"a":"\\u"}|{"a":"\\x41"}|{"a":"\\/"}
{"a":"\\b\\f\\n\\r\\t\\"\\\\"}|{"a":"\\0"}|{"a":"\\a"}|{"a":"\\ud83d\\ude00"}|{"a":"\\uD83D\\uDE00"}
{"a":"\\uffff"}|{"a":"\\u0001"}|{"a":"tab\there"}|{"a":"\x7f"}|{"a":"\x01"}|{"a":"\u0080\u2028"}
{"a":"\U0001f600"}|{"\\u0061":1}|{"a":"x}|{"a":"x\\"}|{"a":"x\\|{"a":1}}|{"a":1}{}|{"a":1} x
{"a":1}//c|/**/{"a":1}|{"a":/**/1}|{"a":1}\x00|\x00{}|\x0b{}|{\u00a0}|\ufeff{}|{"":{"":{"":[]}}}
""".strip("\n").replace("\n", "|").split("|")


def mutants(count):
    rng = random.Random(2)
    pieces = "0123456789[]{},:\"\\ -.eEuNaInfity\n"
    for _ in range(count):
        text = list(SOUND)
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(text))
            kind = rng.randrange(3)
            if kind == 0:
                text[at] = rng.choice(pieces)
            elif kind == 1:
                del text[at]
            else:
                text.insert(at, rng.choice(pieces))
        yield "".join(text)


def case(text):
    raw = text.encode()
    try:
        value = json.loads(text)
        assert isinstance(value, dict)
        dumped = json.dumps(value).encode()
    except (ValueError, AssertionError):
        return b"R" + struct.pack("<I", len(raw)) + raw + struct.pack("<I", 0)
    return b"A" + struct.pack("<I", len(raw)) + raw + struct.pack("<I", len(dumped)) + dumped


def main():
    OUT.mkdir(exist_ok=True)
    (OUT / "cases.bin").write_bytes(b"".join(map(case, [SOUND, *BY_HAND, *mutants(200)])))


main()
