#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/npy: what numpy itself writes and how it reads what others may write.

  saved.bin    files that numpy.save wrote; value i of each array is i / 8 - 1
  headers.bin  files with a header written by hand or changed at random. "A": numpy reads it as an
               <f4 array in C order with four sizes above 0, and nothing is left over; "R": not so;
               "S": so, but the library is stricter

Each file: its letter, four sizes (4 bytes each, 0 for "R"), its length (4), and itself."""

import io
import pathlib
import random
import struct

import numpy as np

assert np.__version__ == "2.4.6", np.__version__
OUT = pathlib.Path(__file__).resolve().parent / "npy"

SHAPES = [(1, 1, 1, 1), (1, 4, 8, 8), (2, 3, 5, 7), (12, 1, 1, 1), (1, 1, 1, 1000), (3, 2, 1, 100)]
SOUND = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 1, 3), }"
DATA = np.arange(6, dtype="<f4").tobytes()

ACCEPTED = [
    SOUND,
    SOUND + "\n",
    SOUND + " " * 100 + "\n",
    '{"descr": "<f4", "fortran_order": False, "shape": (1, 2, 1, 3)}',
    "{'shape':(1,2,1,3),'fortran_order':False,'descr':'<f4'}",
    "{ 'fortran_order' : False ,\n 'shape' : ( 1 , 2 ,\t1 , 3 , ) , \"descr\" : '<f4' , }  \n",
    "  " + SOUND,
]
# As Python literals the same, but no program writes them.
STRICTER = [
    "{'descr': '<' 'f4', 'fortran_order': False, 'shape': (1, 2, 1, 3)}",
    "{'descr': '''<f4''', 'fortran_order': False, 'shape': (1, 2, 1, 3)}",
    "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (1, 2, 1, 3)}",
    "{'descr': u'<f4', 'fortran_order': False, 'shape': (1, 2, 1, 3)}",
    "{'descr': '=f4', 'fortran_order': False, 'shape': (1, 2, 1, 3)}",
    "{'descr': 'f4', 'fortran_order': False, 'shape': (1, 2, 1, 3)}",
    "{'descr': 'float32', 'fortran_order': False, 'shape': (1, 2, 1, 3)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 0x2, 1, 3)}",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 1, +3)}",
    SOUND + "# end",
    "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 1, 3)}",
    SOUND.replace("(1, 2, 1, 3)", "((1, 2, 1, 3))"),
]
REFUSED = [
    "", " ", "{", "{}", "[]", "()", "None", SOUND[:-1], SOUND + "}", SOUND + "x", SOUND + "\0",
    SOUND.replace("descr", "dtype"), SOUND.replace("<f4", "<f8"), SOUND.replace("<f4", ">f4"),
    SOUND.replace("<f4", "<i4"), SOUND.replace("<f4", "|O"), SOUND.replace("<f4", ""),
    SOUND.replace("'<f4'", "4"), SOUND.replace("'<f4'", "[('a', '<f4')]"),
    SOUND.replace("False", "True"), SOUND.replace("False", "0"), SOUND.replace("False", "false"),
    SOUND.replace("(1, 2, 1, 3)", "6"), SOUND.replace("(1, 2, 1, 3)", "[1, 2, 1, 3]"),
    SOUND.replace("(1, 2, 1, 3)", "(6,)"), SOUND.replace("(1, 2, 1, 3)", "()"),
    SOUND.replace("(1, 2, 1, 3)", "(1, 1, 2, 1, 3)"), SOUND.replace("(1, 2, 1, 3)", "(1, 2, 3)"),
    SOUND.replace("(1, 2, 1, 3)", "(1, 2, 0, 3)"), SOUND.replace("(1, 2, 1, 3)", "(1, 2, -1, -3)"),
    SOUND.replace("(1, 2, 1, 3)", "(1, 2, 1.0, 3)"), SOUND.replace("(1, 2, 1, 3)", "(1,, 2, 1, 3)"),
    SOUND.replace("(1, 2, 1, 3)", "(,1, 2, 1, 3)"), SOUND.replace("(1, 2, 1, 3)", "(1 2, 1, 3)"),
    SOUND.replace("(1, 2, 1, 3)", "(1, 2, 1, 03)"), SOUND.replace("(1, 2, 1, 3)", "(1, 2, 1, 4)"),
    SOUND.replace("(1, 2, 1, 3)", "(1, 2, 1, 2)"), SOUND.replace("(1, 2, 1, 3)", "(1, 2, 1, 3"),
    SOUND.replace("(1, 2, 1, 3)", "(1, 2, 1, 3]"), SOUND.replace(", 'shape'", " 'shape'"),
    SOUND.replace("(1, 2, 1, 3)", "(4294967297, 2, 1, 3)"),
    SOUND.replace("(1, 2, 1, 3)", "(65536, 65536, 65536, 65536)"),
    SOUND.replace("(1, 2, 1, 3)", "(99999999999999999999999, 2, 1, 3)"),
    SOUND.replace("}", "'more': 1}"), SOUND.replace("'shape'", "shape"),
]


def pack(header, version=(1, 0), data=DATA):
    text = header if isinstance(header, bytes) else header.encode()
    length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + length + text + data


def shape_read(file):
    """What numpy makes of it, or None where it is not what we want."""
    stream = io.BytesIO(file)
    try:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    except Exception:
        return None
    sound = (array.dtype == np.dtype("<f4") and array.ndim == 4 and array.size > 0
             and array.flags.c_contiguous and stream.read(1) == b"")
    return array.shape if sound and b"True" not in file else None


def by_hand():
    for version in ((1, 0), (2, 0), (3, 0)):
        for letter, headers in (("A", ACCEPTED), ("S", STRICTER), ("R", REFUSED)):
            for header in headers:
                yield letter, pack(header, version)
    for version in ((1, 0), (2, 0)):
        yield "S", pack(SOUND.replace("1, 2, 1, 3", "1, 2, 1L, 3"), version)  # Python 2
    yield "R", pack(SOUND, (4, 0))
    yield "R", pack(SOUND, (0, 0))
    yield "R", pack(SOUND, (1, 1))
    yield "R", pack(SOUND, data=DATA[:-1])
    yield "R", pack(SOUND, data=DATA + b"\0")
    yield "R", pack(SOUND, data=b"")
    yield "A", pack(SOUND + " " * (10000 - len(SOUND)))
    yield "R", pack(SOUND + " " * (10001 - len(SOUND)))
    for length in range(len(pack(SOUND)) - len(DATA)):
        yield "R", pack(SOUND)[:length]


def mutants(count):
    rng = random.Random(1)
    letters = b"0123456789()[]{},:'\"\\ -+.<>f4Fals\n\t\0\xc3"
    for _ in range(count):
        text = bytearray(SOUND.encode())
        for _ in range(rng.choice((1, 1, 1, 2))):
            at, kind = rng.randrange(len(text)), rng.randrange(3)
            if kind == 0:
                text[at] = rng.choice(letters)
            elif kind == 1:
                del text[at]
            else:
                text.insert(at, rng.choice(letters))
        yield pack(bytes(text), rng.choice(((1, 0), (2, 0), (3, 0))))


def write(out, letter, file, shape):
    out.write(letter.encode() + struct.pack("<5I", *(shape or (0,) * 4), len(file)) + file)


def main():
    OUT.mkdir(exist_ok=True)
    with open(OUT / "saved.bin", "wb") as out:
        for shape in SHAPES:
            stream = io.BytesIO()
            values = np.arange(np.prod(shape)) / 8 - 1
            np.save(stream, values.astype("<f4").reshape(shape))
            write(out, "A", stream.getvalue(), shape)
    with open(OUT / "headers.bin", "wb") as out:
        for letter, file in by_hand():
            shape = shape_read(file)
            assert (shape is None) == (letter == "R"), (letter, file)
            write(out, letter, file, None if letter == "R" else shape)
        for file in mutants(400):
            shape = shape_read(file)
            write(out, "S" if shape else "R", file, shape)


main()
