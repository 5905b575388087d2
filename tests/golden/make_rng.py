#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/rng: normals that the library's generators must draw.

  cpu.bin    by torch's own CPU generator, on a machine with AVX2 (torch's other kernels differ)
  cuda.bin   by the definition of CUDA's stream in numpy, in double precision, rounded at the end

Each is a row of cases: seed (8 bytes), number of draws (4), their sizes (4 each), and the values of
all draws one after the other (f32). Little endian."""

import pathlib
import struct

import numpy as np
import torch

OUT = pathlib.Path(__file__).resolve().parent / "rng"
assert torch.__version__.split("+")[0] == "2.13.0", torch.__version__
assert torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


class Philox:
    """Philox4x32-10; column i of the counters belongs to element i."""

    MULTIPLIERS = np.array([[0xD2511F53], [0xCD9E8D57]], np.uint64)
    WEYL = (0x9E3779B9, 0xBB67AE85)
    MASK = np.uint64(0xFFFFFFFF)

    @classmethod
    def words(cls, counters, seed):
        c = np.asarray(counters, np.uint64).reshape(4, -1)
        for i in range(10):
            keys = [(half + i * step) % 2**32
                    for half, step in zip((seed % 2**32, seed >> 32), cls.WEYL)]
            product = c[0::2] * cls.MULTIPLIERS
            high, low = product >> np.uint64(32), product & cls.MASK
            key = np.array(keys, np.uint64)[:, None]
            mixed = high[::-1] ^ c[1::2] ^ key
            c = np.stack([mixed[0], low[1], mixed[1], low[0]])
        return c

    def __init__(self, seed):
        self.seed, self.draws = seed, 0

    def normals(self, n):
        counters = np.zeros((4, n), np.uint64)
        counters[0] = self.draws
        counters[2] = np.arange(n)
        self.draws += 1
        x = self.words(counters, self.seed).astype(np.float64)
        u = x[0] * 2.0**-32 + 2.0**-33
        v = (x[1] + 0.5) * (2 * np.pi) * 2.0**-32
        return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)


def check_philox():
    """Test vectors of the authors' own library, Random123."""
    for counter, key, expected in [
        ("00000000 00000000 00000000 00000000", "00000000 00000000",
         "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
         "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
         "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ]:
        low, high = (int(word, 16) for word in key.split())
        words = Philox.words([int(word, 16) for word in counter.split()], low | high << 32)
        assert " ".join(f"{int(word):08x}" for word in words[:, 0]) == expected


class Torch:
    def __init__(self, seed):
        signed = seed - 2**64 if seed >= 2**63 else seed
        self.generator = torch.Generator("cpu").manual_seed(signed)

    def normals(self, n):
        return torch.randn(n, generator=self.generator, dtype=torch.float32).numpy()


CPU = [
    (0, [5, 7, 20, 3]),  # spares kept across a draw of 20
    (1, [1, 16, 1, 17, 1, 1]),
    (2, [15, 0, 31, 2, 32, 2, 33]),
    (42, [4 * 8 * 8, 4 * 8 * 8]),
    (12345, [4 * 9 * 7, 3 * 5 * 7, 13, 624, 625]),
    (2**32 - 1, [20, 3]),
    (2**32 + 5, [20, 3]),  # the low 32 bits count
    (2**64 - 1, [3, 20]),
]
CUDA = [
    (0, [64, 1, 3]),
    (1, [4 * 9 * 7, 4 * 9 * 7, 16, 5]),
    (2**32 - 1, [20]),
    (2**32, [20]),  # all 64 bits count
    (2**64 - 1, [33, 17]),
    (0x123456789ABCDEF0, [500]),
]


def write(name, generator, cases):
    with open(OUT / name, "wb") as out:
        for seed, sizes in cases:
            source = generator(seed)
            out.write(struct.pack(f"<QI{len(sizes)}I", seed, len(sizes), *sizes))
            for n in sizes:
                out.write(source.normals(n).astype("<f4").tobytes())


def main():
    check_philox()
    OUT.mkdir(exist_ok=True)
    write("cpu.bin", Torch, CPU)
    write("cuda.bin", Philox, CUDA)


main()
