#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/golden/pictures.

  cases.bin      small pictures in files, and the pixels in them. PNG files are written here, byte
                 by byte, with every colour type, depth, interlacing and filter, so that the pixels
                 are known; JPEG and WebP files are made and decoded by Pillow. Alpha is laid over
                 white. Each case: name (1 byte length, text), how far a value may be off (1),
                 width, height (4 each), length of the file (4), the file, the pixels (height,
                 width, 3)
  rounding.bin   a picture of floats, (3, 64, 64), and the bytes (64, 64, 3) that diffusers makes of
                 it; many values lie between two bytes
  animated.webp  what is refused"""

import io
import pathlib
import struct
import zlib

import diffusers
import numpy as np
import PIL
import torch
from PIL import Image
from diffusers.image_processor import VaeImageProcessor

assert PIL.__version__ == "13.0.0" and np.__version__ == "2.4.6"
assert diffusers.__version__ == "0.30.3"
OUT = pathlib.Path(__file__).resolve().parent / "pictures"
RNG = np.random.default_rng(1)

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2)]  # x, y, step in x, step in y


# --------------------------------------------------------------------------------------- PNG


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(row, above, unit, kind):
    """One row after PNG's filter; unit: bytes between a value and its left neighbour."""
    left = np.concatenate([np.zeros(unit, np.int64), row[:-unit]])
    corner = np.concatenate([np.zeros(unit, np.int64), above[:-unit]])
    guess = left + above - corner
    distances = np.stack([abs(guess - left), abs(guess - above), abs(guess - corner)])
    paeth = np.choose(distances.argmin(axis=0), [left, above, corner])
    prediction = [np.zeros_like(row), left, above, (left + above) // 2, paeth][kind]
    return bytes([kind]) + ((row - prediction) % 256).astype(np.uint8).tobytes()


def packed_rows(values, depth, unit):
    """The bytes of (height, width, channels) values."""
    height = len(values)
    flat = values.reshape(height, -1)
    if depth == 16:
        rows = np.stack([flat >> 8, flat & 255], -1).reshape(height, -1)
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    rows = rows.astype(np.int64)
    above = np.zeros_like(rows[0])
    out = b""
    for y, row in enumerate(rows):
        out += filtered(row, above, unit, y % 5)
        above = row
    return out


def png(values, color, depth, interlaced=False, extra=b""):
    height, width, channels = values.shape
    unit = max(1, channels * depth // 8)
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    data = b"".join(packed_rows(part, depth, unit) for x, y, dx, dy in passes
                    if (part := values[y::dy, x::dx]).size)
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    packed = zlib.compress(data)
    half = len(packed) // 2
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", packed[:half])
            + chunk(b"IDAT", packed[half:]) + chunk(b"IEND", b""))


def over_white(color, alpha):
    return alpha[..., None] * color + (1 - alpha[..., None])


def to_bytes(color):
    return np.floor(color * 255 + 0.5).astype(np.uint8)


def png_case(color, depth, interlaced, transparent=False, size=(11, 13)):
    most = (1 << depth) - 1
    values = RNG.integers(0, most + 1, (*size, CHANNELS[color]))
    part = values / most
    extra = b""
    tolerance = 0
    if color == PALETTE:
        colors = RNG.integers(0, 256, (most + 1, 3))
        extra = chunk(b"PLTE", colors.astype(np.uint8).tobytes())
        rgb = colors[values[..., 0]] / 255
        if transparent:  # the table of alphas may be shorter than the palette
            alphas = RNG.integers(0, 256, (most + 2) // 2)
            extra += chunk(b"tRNS", alphas.astype(np.uint8).tobytes())
            full = np.concatenate([alphas, np.full(most + 1 - len(alphas), 255)]) / 255
            rgb = over_white(rgb, full[values[..., 0]])
    elif color in (GREY, RGB):
        rgb = np.broadcast_to(part, (*size, 3))
        if transparent:
            hidden = values[3, 4]
            extra = chunk(b"tRNS", struct.pack(f">{len(hidden)}H", *hidden))
            rgb = np.where((values == hidden).all(-1)[..., None], 1.0, rgb)
    else:
        rgb = over_white(np.broadcast_to(part[..., :-1], (*size, 3)), part[..., -1])
        tolerance = 1 if depth == 16 else 0  # values are cut to 8 bits before they are mixed
    name = f"png {color} {depth}{' interlaced' if interlaced else ''}"
    name += " transparent" if transparent else ""
    return name, tolerance, png(values, color, depth, interlaced, extra), to_bytes(rgb)


def png_cases():
    depths = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16),
              RGBA: (8, 16)}
    for color, each in depths.items():
        for depth in each:
            yield png_case(color, depth, False)
            yield png_case(color, depth, True)
            if color in (GREY, RGB, PALETTE):
                yield png_case(color, depth, False, True)
    yield png_case(RGB, 8, True, size=(1, 1))
    yield png_case(GREY, 1, True, size=(3, 2))
    values = RNG.integers(0, 256, (4, 5, 3))
    yield ("png gamma and text", 0,
           png(values, RGB, 8, extra=chunk(b"gAMA", struct.pack(">I", 100000))
               + chunk(b"tEXt", b"parameters\0a cat")), values.astype(np.uint8))


# ------------------------------------------------------------------------------- JPEG, WebP


def scene(mode, width=45, height=37):
    """Smooth, with an edge."""
    y, x = np.mgrid[:height, :width]
    planes = [128 + 100 * np.sin(x / (5 + c) + y / (7 + 2 * c)) for c in range(len(mode))]
    values = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    values[10:20, 12:30] = 255 - values[10:20, 12:30] // 2
    return Image.fromarray(values[..., 0] if mode == "L" else values, mode)


def pixels(file):
    image = Image.open(io.BytesIO(file))
    if image.mode == "RGBA":
        rgba = np.asarray(image) / 255
        return to_bytes(over_white(rgba[..., :3], rgba[..., 3]))
    return np.asarray(image.convert("RGB"))


def pillow_case(name, mode, kind, tolerance, **options):
    out = io.BytesIO()
    scene(mode).save(out, kind, **options)
    return name, tolerance, out.getvalue(), pixels(out.getvalue())


def pillow_cases():
    yield pillow_case("jpeg grey", "L", "JPEG", 2)
    yield pillow_case("jpeg 4:4:4", "RGB", "JPEG", 2, quality=95, subsampling=0)
    yield pillow_case("jpeg 4:2:2", "RGB", "JPEG", 2, subsampling=1)
    yield pillow_case("jpeg 4:2:0", "RGB", "JPEG", 2, subsampling=2)
    yield pillow_case("jpeg rgb", "RGB", "JPEG", 2, keep_rgb=True)
    yield pillow_case("jpeg progressive", "RGB", "JPEG", 2, progressive=True, comment=b"a cat")
    yield pillow_case("jpeg restart", "RGB", "JPEG", 2, restart_marker_blocks=2)
    yield pillow_case("jpeg cmyk", "CMYK", "JPEG", 3)
    yield pillow_case("webp lossy", "RGB", "WEBP", 1)
    yield pillow_case("webp lossless", "RGB", "WEBP", 0, lossless=True)
    yield pillow_case("webp lossy alpha", "RGBA", "WEBP", 1)
    yield pillow_case("webp lossless alpha", "RGBA", "WEBP", 0, lossless=True, exact=True)


# ---------------------------------------------------------------------------------- rounding


def rounding_case():
    values = RNG.uniform(-1.3, 1.3, 3 * 64 * 64).astype(np.float32)
    middles = (np.arange(255) + 0.5) / 255
    values[:255] = 2 * middles - 1
    values[300:555] = np.nextafter(values[:255], np.float32(2))
    values[600:855] = np.nextafter(values[:255], np.float32(-2))
    values[855:865] = [-1, 1, 0, -0.0, 1e30, -1e30, 1e-30, 2, -2, 0.5]
    values = values.reshape(3, 64, 64)
    processor = VaeImageProcessor()
    image, = processor.postprocess(torch.from_numpy(values)[None], output_type="pil")
    return values.astype("<f4").tobytes() + np.asarray(image).tobytes()


def main():
    OUT.mkdir(exist_ok=True)
    with open(OUT / "cases.bin", "wb") as out:
        for name, tolerance, file, expected in [*png_cases(), *pillow_cases()]:
            if name.startswith("png") and " 16" not in name and "alpha" not in name:
                opened = Image.open(io.BytesIO(file)).convert("RGBA")  # that it is a PNG file
                assert opened.size == expected.shape[1::-1]
            height, width, _ = expected.shape
            out.write(bytes([len(name)]) + name.encode() + bytes([tolerance]))
            out.write(struct.pack("<3I", width, height, len(file)) + file + expected.tobytes())
    (OUT / "rounding.bin").write_bytes(rounding_case())
    frames = [scene("RGB"), scene("RGB").rotate(90)]
    frames[0].save(OUT / "animated.webp", save_all=True, append_images=frames[1:])


main()
