#!/usr/bin/env python3
"""Makes tests/golden/safetensors: what the format's own library (safetensors 0.8.0) writes and what
it accepts.

  all.safetensors   one tensor of each number format, written by the library
  cases.bin         small files, most of them broken: each is "A" (the library accepts it) or "R"
                    (it refuses), four bytes length (little endian), and the file
"""
import json
import pathlib
import random
import struct

import safetensors
import torch
from safetensors.torch import save

assert safetensors.__version__ == "0.8.0", safetensors.__version__
OUT = pathlib.Path(__file__).parent / "safetensors"

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32,
          torch.int16, torch.int8, torch.uint8, torch.bool, torch.float8_e4m3fn,
          torch.float8_e5m2, torch.uint16, torch.uint32, torch.uint64, torch.complex64]


def pack(header, data):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def accepts(file):
    try:
        safetensors.deserialize(file)
        return True
    except Exception:
        return False


def by_hand():
    """Files that differ from a sound one in one thing."""
    def tensor(dtype="F32", shape=(2, 3), offsets=(0, 24)):
        return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}
    sound = tensor()
    zeros = bytes(24)
    yield pack({"a": sound}, zeros)
    yield pack(json.dumps({"a": sound}).encode() + b"   ", zeros)
    yield pack(b"  " + json.dumps({"a": sound}).encode(), zeros)
    yield pack(json.dumps({"a": sound}).encode() + b"x", zeros)
    yield pack(json.dumps({"a": sound}).encode() + b"\0", zeros)
    yield pack({"a": sound}, zeros[:-1])
    yield pack({"a": sound}, zeros + b"\0")
    yield pack({}, b"")
    yield pack({}, b"\0")
    yield pack([], b"")
    yield pack(b"", b"")
    for size in range(9):
        yield bytes(size)
    for length in (1 << 63, (1 << 64) - 1, (1 << 64) - 8, 1 << 32, 100_000_001, 25):
        yield struct.pack("<Q", length) + b'{"a":1}'
    for metadata in (None, {}, {"format": "pt"}, {"a": 1}, {"a": None}, [], "x", 1):
        yield pack({"__metadata__": metadata, "a": sound}, zeros)
    for dtype in ("F64", "F16", "BF16", "I64", "U8", "f32", "", "F31", None, 5, "F4", "F6_E2M3"):
        yield pack({"a": tensor(dtype=dtype)}, zeros)
    yield pack({"a": tensor("F4", (3, 16))}, zeros)
    yield pack({"a": tensor("F6_E3M2", (32,))}, zeros)
    for shape in ((6,), (), (2, 3, 1), (-2, -3), (2.0, 3), (0, 0), (2, 3, 0), (7,), (1 << 62, 8),
                  (1 << 32, 1 << 32), (1 << 61,), ("2", 3), (None,), (True, 6), (1,) * 7 + (6,)):
        yield pack({"a": tensor(shape=shape)}, zeros)
    for offsets in ((24, 0), (0, 25), (1, 25), (-1, 23), (0,), (0, 24, 24), (0.0, 24), ("0", 24),
                    (0, 1 << 62), (8, 24)):
        yield pack({"a": tensor(offsets=offsets)}, zeros)
    for key in ("dtype", "shape", "data_offsets"):
        yield pack({"a": {k: v for k, v in sound.items() if k != key}}, zeros)
    yield pack({"a": sound | {"more": [1, {"x": None}]}}, zeros)
    for other in ((0, 24), (24, 48), (23, 47), (25, 49), (12, 36), (24, 24)):
        for bytes_ in (24, 48, 49):
            entry = tensor(offsets=other, shape=(6,) if other[0] != other[1] else (0,))
            yield pack({"a": sound, "b": entry}, bytes(bytes_))
    yield pack({"z": tensor(offsets=(24, 48)), "empty": tensor(shape=(0,), offsets=(24, 24)),
                "a": sound, "empty_end": tensor(shape=(3, 0), offsets=(48, 48))}, bytes(48))
    yield pack({"a": sound, "empty": tensor(shape=(0,), offsets=(8, 8))}, zeros)
    yield pack(b'{"\xff": 1}', b"")
    yield pack(json.dumps({"n\u00e4\U0001f600": sound}).encode(), zeros)
    yield pack(json.dumps({"n\u00e4\U0001f600": sound}, ensure_ascii=False).encode(), zeros)
    yield pack({"": sound}, zeros)


def mutants(count):
    """A sound file with a few bytes changed, cut out or doubled."""
    rng = random.Random(1)
    sound = pack({"__metadata__": {"k": "v"},
                  "a": {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]},
                  "b": {"dtype": "U8", "shape": [3], "data_offsets": [8, 11]}}, b"0123456789a")
    for _ in range(count):
        file = bytearray(sound)
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(file))
            kind = rng.randrange(4)
            if kind == 0:
                file[at] = rng.choice(b'0123456789[]{},:"\\ -.eFUB')
            elif kind == 1:
                del file[at]
            elif kind == 2:
                file.insert(at, rng.choice(b'0123456789[]{},:"\\ -.eFUB'))
            else:
                file[at] ^= 1 << rng.randrange(8)
            if kind and rng.random() < 0.8:  # keep the header's length right
                length = 8 + struct.unpack("<Q", sound[:8])[0] + len(file) - len(sound)
                file[:8] = struct.pack("<Q", length - 8)
        yield bytes(file)


def main():
    OUT.mkdir(exist_ok=True)
    tensors = {str(d)[6:]: torch.arange(6).reshape(2, 3).to(torch.float32).to(d) for d in DTYPES}
    tensors["scalar"] = torch.tensor(2.5)
    tensors["empty"] = torch.zeros(3, 0)
    (OUT / "all.safetensors").write_bytes(save(tensors, {"format": "pt", "note": 'a "b" \u00e4'}))
    with open(OUT / "cases.bin", "wb") as out:
        for file in [*by_hand(), *mutants(300)]:
            out.write((b"A" if accepts(file) else b"R") + struct.pack("<I", len(file)) + file)


main()
