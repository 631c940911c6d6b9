"""nst.images against some hundred files made here: by Pillow where it can write them, by struct and zlib where not."""

import contextlib
import io
import os
import random
import struct
import time
import warnings
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, features

from nst import images
from nst.formats import colors, decoding, deep, opening, writing
from nst.images import ImageError

SIZE = (20, 16)  # width, height
RED, GREEN, BLUE, WHITE, BLACK = (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1), (0, 0, 0)
EXACT, LOSSY = 0.6 / 255, 6 / 255


def encoded(image: Image.Image, format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def flat(mode: str, color, **info) -> Image.Image:
    image = Image.new(mode, SIZE, color)
    image.info.update(info)
    return image


def palette(**info) -> Image.Image:
    image = flat("P", 1, **info)
    image.putpalette([0, 0, 255, 255, 0, 0, 0, 255, 0])  # blue, red, green
    return image


def floats(value) -> Image.Image:
    return Image.fromarray(np.full(SIZE[::-1], value, np.float32))


# --- PNG, TIFF and ICC by hand ----------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows: bytes, depth: int, color: int, size=SIZE, extra: bytes = b"", interlace: int = 0) -> bytes:
    """A PNG file of rows that each begin with their filter, 0."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, color, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def flat_png(pixel: bytes, depth: int, color: int, extra: bytes = b"") -> bytes:
    return png((b"\0" + pixel * SIZE[0]) * SIZE[1], depth, color, extra=extra)


def interlaced_png() -> bytes:
    """Adam7: seven pictures of every 8th, 4th, 2nd pixel, one after another."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    data = b"".join(
        b"\0" + b"\xff\0\0" * len(range(x, SIZE[0], dx)) for x, y, dx, dy in passes for _ in range(y, SIZE[1], dy)
    )
    return png(data, 8, 2, interlace=1)


def tiff(data: bytes, tags: dict[int, int | bytes | Sequence[int]], order: str = "<", big: bool = False) -> bytes:
    """A TIFF whose strips or tiles lie from offset 8 on (BigTIFF: 16); its tags are LONGs, or bytes."""
    start, long = (16, "Q") if big else (8, "I")
    entries, values = b"", b""
    after = start + len(data) + (16 if big else 6) + len(tags) * (20 if big else 12)
    for tag, value in sorted(tags.items()):
        value = [value] if isinstance(value, int) else value
        kind, packed = (7, value) if isinstance(value, bytes) else (4, struct.pack(f"{order}{len(value)}I", *value))
        entries += struct.pack(f"{order}HH{long}", tag, kind, len(value))
        if len(packed) <= (8 if big else 4):
            entries += packed.ljust(8 if big else 4, b"\0")
        else:
            entries += struct.pack(order + long, after + len(values))
            values += packed
    head = b"II" if order == "<" else b"MM"
    head += (
        struct.pack(f"{order}HHHQ", 43, 8, 0, start + len(data))
        if big
        else struct.pack(f"{order}HI", 42, 8 + len(data))
    )
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return head + data + count + entries + bytes(8 if big else 4) + values


def deep_tiff(planes, bits: int, photometric: int, size=SIZE, order: str = "<", big: bool = False, **more) -> bytes:
    """A TIFF of one strip for each plane: arrays, or bytes; `channels` and `tags` as they are in the file."""
    strips = [plane if isinstance(plane, bytes) else plane.tobytes() for plane in planes]
    channels = more.get("channels", 1)
    starts = [(16 if big else 8) + sum(map(len, strips[:i])) for i in range(len(strips))]
    tags = {256: size[0], 257: size[1], 258: [bits] * channels, 259: 1, 262: photometric, 273: starts, 277: channels}
    tags |= {278: size[1], 279: [len(strip) for strip in strips], 284: 2 if len(strips) > 1 else 1}
    return tiff(b"".join(strips), tags | more.get("tags", {}), order, big)


def alike(values, dtype: str) -> np.ndarray:
    """A flat picture of numbers, (H, W) or with channels."""
    return np.broadcast_to(np.array(values, dtype), (SIZE[1], SIZE[0], *np.shape(values))).copy()


def bmp(pixel: bytes, *masks: int) -> bytes:
    """A BMP with masks for red, green, blue and alpha, in the header of version 5."""
    rows = pixel * SIZE[0] * SIZE[1]
    head = struct.pack("<IiiHHIIiiII4I", 124, *SIZE, 1, 8 * len(pixel), 3, len(rows), 0, 0, 0, 0, *masks).ljust(
        124, b"\0"
    )
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(rows), 0, 0, 14 + len(head)) + head + rows


def profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2.1, from its tags."""
    offset, table, body = 132 + 12 * len(tags), b"", b""
    for name, value in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    d50 = struct.pack(">iii", 63190, 65536, 54061)
    header = struct.pack(">I4sI4s4s4s", offset + len(body), bytes(4), 0x02100000, kind, space, connection)
    header += bytes(12) + b"acsp" + bytes(28) + d50
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in (x, y, z)))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


# sRGB's primaries (adapted to D50), red and green exchanged: its red is our green.
SWAPPED = profile(
    b"mntr",
    b"RGB ",
    b"XYZ ",
    {b"rXYZ": xyz(0.3851, 0.7169, 0.0971), b"gXYZ": xyz(0.4361, 0.2225, 0.0139), b"bXYZ": xyz(0.1431, 0.0606, 0.7141)}
    | {b"wtpt": xyz(0.9642, 1, 0.8249), b"rTRC": gamma(2.2), b"gTRC": gamma(2.2), b"bTRC": gamma(2.2)},
)
LINEAR_GREY = profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": xyz(0.9642, 1, 0.8249), b"kTRC": gamma(1)})
LINEAR_RGB = profile(
    b"mntr",
    b"RGB ",
    b"XYZ ",
    {b"rXYZ": xyz(0.4361, 0.2225, 0.0139), b"gXYZ": xyz(0.3851, 0.7169, 0.0971), b"bXYZ": xyz(0.1431, 0.0606, 0.7141)}
    | {b"wtpt": xyz(0.9642, 1, 0.8249), b"rTRC": gamma(1), b"gTRC": gamma(1), b"bTRC": gamma(1)},
)
# A press on which cyan is black (L 0) and the other inks are invisible (L 100): an 8-bit table with two steps an ink.
RAMP = bytes(range(256))
INK = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
INK += RAMP * 4 + bytes([255, 128, 128]) * 8 + bytes([0, 128, 128]) * 8 + RAMP * 3
CYAN_IS_BLACK = profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": xyz(0.9642, 1, 0.8249), b"A2B0": INK})

# --- What is read, and the color its pixels must have -----------------------------------------------------------------

HALF_RED = (1, 127 / 255, 127 / 255)  # red of alpha 128/255 on white
FIFTH, GREY = (0.2, 0.2, 0.2), (128 / 255,) * 3
LIT = (0.737,) * 3  # what sRGB writes for half of the light, 128/255: 1.055 * 0.502 ** (1 / 2.4) - 0.055
LINEAR_GAMMA = chunk(b"gAMA", struct.pack(">I", 100_000))
P3_GAMMA = chunk(b"gAMA", struct.pack(">I", 45455))
P3_GAMMA += chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))
# Display P3's (200, 100, 50) by the matrix from its light to that of sRGB (W3C, CSS Color 4)
WIDE, OF_P3 = b"\xc8\x64\x32", (0.8428, 0.3632, 0.1211)


def clear(*values: int) -> bytes:
    """A PNG's note that one number of gray, or one color, is transparent."""
    return chunk(b"tRNS", struct.pack(f">{len(values)}H", *values))


def cicp(primaries: int, transfer: int) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def packed(kind: bytes, head: bytes, data: bytes) -> bytes:
    return chunk(kind, head + zlib.compress(data))


ANIMATION = {"save_all": True, "append_images": [flat("RGB", "blue")], "duration": 100}
GOOD = {
    "png 1": (encoded(flat("1", 1), "PNG"), WHITE, EXACT),
    "png L": (encoded(flat("L", 51), "PNG"), (0.2, 0.2, 0.2), EXACT),
    "png L, tRNS": (encoded(flat("L", 51), "PNG", transparency=51), WHITE, EXACT),
    "png L, 2 bits": (png(b"\0\xaa\xaa\xaa\xaa\xaa" * 16, 2, 0), (2 / 3, 2 / 3, 2 / 3), EXACT),
    "png LA": (encoded(flat("LA", (0, 51)), "PNG"), (0.8, 0.8, 0.8), EXACT),
    "png P": (encoded(palette(), "PNG"), RED, EXACT),
    "png P, one color clear": (encoded(palette(), "PNG", transparency=1), WHITE, EXACT),
    "png P, alpha a color": (encoded(palette(), "PNG", transparency=b"\xff\x80\xff"), HALF_RED, EXACT),
    "png RGB": (encoded(flat("RGB", "red"), "PNG"), RED, EXACT),
    "png RGB, tRNS": (encoded(flat("RGB", "red"), "PNG", transparency=(255, 0, 0)), WHITE, EXACT),
    "png RGB, other tRNS": (encoded(flat("RGB", "red"), "PNG", transparency=(254, 0, 0)), RED, EXACT),
    "png RGBA": (encoded(flat("RGBA", (255, 0, 0, 128)), "PNG"), HALF_RED, EXACT),
    "png RGBA, hidden color": (encoded(flat("RGBA", (255, 0, 0, 0)), "PNG"), WHITE, EXACT),
    "png 16-bit grey": (encoded(flat("I;16", 13107), "PNG"), (0.2, 0.2, 0.2), 1e-6),
    "png 16-bit grey, fine": (encoded(flat("I;16", 32768 + 100), "PNG"), (32868 / 65535,) * 3, 1e-6),
    "png 16-bit RGB": (flat_png(b"\xff\xff\x80\x00\x00\x00", 16, 2), (1, 128 / 255, 0), EXACT),
    "png 16-bit RGBA": (flat_png(b"\xff\xff\0\0\0\0\x80\0", 16, 6), HALF_RED, EXACT),
    "png 16-bit LA": (flat_png(b"\0\0\x33\x33", 16, 4), (0.8, 0.8, 0.8), EXACT),
    "png interlaced": (interlaced_png(), RED, EXACT),
    "png animated": (encoded(flat("RGB", "red"), "PNG", **ANIMATION), RED, EXACT),
    "png swapped profile": (encoded(flat("RGB", "red"), "PNG", icc_profile=SWAPPED), GREEN, 3 / 255),
    "png RGBA swapped profile": (
        encoded(flat("RGBA", (255, 0, 0, 255)), "PNG", icc_profile=SWAPPED),
        GREEN,
        3 / 255,
    ),
    "png P swapped profile": (encoded(palette(), "PNG", icc_profile=SWAPPED), GREEN, 3 / 255),
    # sRGB of linear 128/255 = 0.502: 1.055 * 0.502 ** (1 / 2.4) - 0.055 = 0.737
    "png L linear profile": (encoded(flat("L", 128), "PNG", icc_profile=LINEAR_GREY), (0.737,) * 3, 2 / 255),
    "png LA linear profile": (encoded(flat("LA", (128, 255)), "PNG", icc_profile=LINEAR_GREY), (0.737,) * 3, 2 / 255),
    "png broken profile": (encoded(flat("RGB", "red"), "PNG", icc_profile=b"not a profile"), RED, EXACT),
    "png cut profile": (encoded(flat("RGB", "red"), "PNG", icc_profile=SWAPPED[:200]), RED, EXACT),
    "png RGB, grey profile": (encoded(flat("RGB", "red"), "PNG", icc_profile=LINEAR_GREY), RED, EXACT),
    "jpeg RGB": (encoded(flat("RGB", (200, 100, 50)), "JPEG"), (200 / 255, 100 / 255, 50 / 255), LOSSY),
    "jpeg L": (encoded(flat("L", 51), "JPEG"), (0.2, 0.2, 0.2), LOSSY),
    "jpeg L, RGB profile": (encoded(flat("L", 51), "JPEG", icc_profile=SWAPPED), (0.2, 0.2, 0.2), LOSSY),
    "jpeg progressive": (encoded(flat("RGB", "red"), "JPEG", progressive=True), RED, LOSSY),
    "jpeg CMYK": (encoded(flat("CMYK", (255, 0, 0, 0)), "JPEG"), (0, 1, 1), LOSSY),
    "jpeg CMYK, black": (encoded(flat("CMYK", (0, 0, 0, 255)), "JPEG"), BLACK, LOSSY),
    "jpeg CMYK profile": (encoded(flat("CMYK", (255, 0, 0, 0)), "JPEG", icc_profile=CYAN_IS_BLACK), BLACK, LOSSY),
    "jpeg CMYK profile, yellow": (
        encoded(flat("CMYK", (0, 0, 255, 0)), "JPEG", icc_profile=CYAN_IS_BLACK),
        WHITE,
        LOSSY,
    ),
    "jpeg swapped profile": (encoded(flat("RGB", "red"), "JPEG", icc_profile=SWAPPED), GREEN, LOSSY),
    "jpeg broken exif": (encoded(flat("RGB", "red"), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"), RED, LOSSY),
    "png broken exif": (encoded(flat("RGB", "red"), "PNG", exif=b"Exif\0\0no exif"), RED, EXACT),
    "webp broken exif": (encoded(flat("RGB", "red"), "WEBP", exif=b"Exif\0\0no exif"), RED, LOSSY),
    "mpo": (encoded(flat("RGB", "red"), "MPO", save_all=True, append_images=[flat("RGB", "blue")]), RED, LOSSY),
    "gif": (encoded(palette(), "GIF"), RED, EXACT),
    "gif grey": (encoded(flat("L", 51), "GIF"), (0.2, 0.2, 0.2), EXACT),
    "gif clear": (encoded(palette(), "GIF", transparency=1), WHITE, EXACT),
    "gif animated": (encoded(flat("RGB", "red"), "GIF", **ANIMATION), RED, EXACT),
    "webp": (encoded(flat("RGB", "red"), "WEBP"), RED, LOSSY),
    "webp lossless": (encoded(flat("RGB", (1, 2, 3)), "WEBP", lossless=True), (1 / 255, 2 / 255, 3 / 255), EXACT),
    "webp alpha": (encoded(flat("RGBA", (255, 0, 0, 128)), "WEBP", lossless=True), HALF_RED, EXACT),
    "webp animated": (encoded(flat("RGB", "red"), "WEBP", **ANIMATION), RED, LOSSY),
    "webp swapped profile": (encoded(flat("RGB", "red"), "WEBP", icc_profile=SWAPPED), GREEN, LOSSY),
    "tiff RGB": (encoded(flat("RGB", "red"), "TIFF"), RED, EXACT),
    "tiff RGBA": (encoded(flat("RGBA", (255, 0, 0, 128)), "TIFF"), HALF_RED, EXACT),
    "tiff bilevel, group 4": (encoded(flat("1", 1), "TIFF", compression="group4"), WHITE, EXACT),
    "tiff jpeg": (encoded(flat("RGB", "red"), "TIFF", compression="jpeg"), RED, LOSSY),
    "tiff 16-bit": (encoded(flat("I;16", 13107), "TIFF", compression="tiff_lzw"), (0.2, 0.2, 0.2), 1e-6),
    "tiff 32-bit integer": (encoded(flat("I", 13107), "TIFF"), (0.2, 0.2, 0.2), 1e-6),
    "tiff 32-bit integer, large": (encoded(flat("I", 2**30), "TIFF"), WHITE, 1e-6),
    "tiff float": (encoded(floats(0.25), "TIFF"), (0.25, 0.25, 0.25), 1e-6),
    "tiff float, beyond 1": (encoded(floats(8), "TIFF"), WHITE, 1e-6),
    "tiff float, negative": (encoded(floats(-1), "TIFF"), BLACK, 1e-6),
    "tiff float, NaN": (encoded(floats(np.nan), "TIFF"), BLACK, 1e-6),
    "tiff float, infinite": (encoded(floats(np.inf), "TIFF"), WHITE, 1e-6),
    "tiff CMYK": (encoded(flat("CMYK", (0, 255, 0, 0)), "TIFF"), (1, 0, 1), EXACT),
    # CIE L* = 100 * 128 / 255 = 50.2 without color: Y = ((50.2 + 16) / 116) ** 3 = 0.186, which sRGB writes as 0.469
    "tiff LAB": (encoded(flat("LAB", (128, 128, 128)), "TIFF"), (0.469, 0.469, 0.469), 2 / 255),
    "tiff several pages": (
        encoded(flat("RGB", "red"), "TIFF", save_all=True, append_images=[flat("L", 0)]),
        RED,
        EXACT,
    ),
    "bmp": (encoded(flat("RGB", "red"), "BMP"), RED, EXACT),
    "bmp palette": (encoded(palette(), "BMP"), RED, EXACT),
    "ppm": (encoded(flat("RGB", "red"), "PPM"), RED, EXACT),
    "ppm in letters": (b"P3 20 16 255 " + b"255 0 0 " * 320, RED, EXACT),
    "tiff float RGB": (
        deep_tiff([alike((0.2, 0.4, 2), "<f4")], 32, 2, channels=3, tags={339: [3] * 3}),
        (0.1, 0.2, 1),
        EXACT,
    ),
    "tiff 16-bit float": (deep_tiff([alike(0.2, ">f2")], 16, 1, order=">", tags={339: 3}), FIFTH, 1e-3),
    "tiff 64-bit float": (deep_tiff([alike(0.2, "<f8")], 64, 1, tags={339: 3}), FIFTH, 1e-6),
    "tiff 16-bit planes": (
        deep_tiff([alike(number, "<u2") for number in (65535, 13107, 0)], 16, 2, channels=3),
        (1, 0.2, 0),
        1e-6,
    ),
    "tiff 16-bit, white is zero": (deep_tiff([alike(52428, "<u2")], 16, 0), FIFTH, 1e-6),
    "tiff 8-bit, white is zero": (deep_tiff([alike(204, "u1")], 8, 0), FIFTH, EXACT),
    "tiff 12-bit": (deep_tiff([b"\x33\x33\x33" * 160], 12, 1), FIFTH, 1e-6),
    "tiff 12-bit, dim": (deep_tiff([b"\x00\x10\x01" * 160], 12, 1), (1 / 4095,) * 3, 1e-6),
    "tiff 6-bit": (deep_tiff([b"\x55\x55\x55" * 80], 6, 1), (21 / 63,) * 3, 1e-6),
    "tiff 24-bit": (deep_tiff([b"\0\0\x80" * 320], 24, 1), (0.5, 0.5, 0.5), 1e-6),
    "tiff 32-bit unsigned": (deep_tiff([alike(2**32 - 1, "<u4")], 32, 1), WHITE, 1e-6),
    "tiff 32-bit unsigned, dim": (deep_tiff([alike(2**16, "<u4")], 32, 1), (2**-16,) * 3, 1e-6),
    "tiff 16-bit signed": (deep_tiff([alike(51, "<i2")], 16, 1, tags={339: 2}), FIFTH, 1e-6),
    "tiff 16-bit RGBA": (
        deep_tiff([alike((65535, 0, 0, 32896), "<u2")], 16, 2, channels=4, tags={338: 2}),
        HALF_RED,
        EXACT,
    ),
    "tiff 16-bit RGBA, premultiplied": (
        deep_tiff([alike((32896, 0, 0, 32896), "<u2")], 16, 2, channels=4, tags={338: 1}),
        HALF_RED,
        EXACT,
    ),
    "tiff float RGBA, bright": (
        deep_tiff([alike((8, 0, 0, 128 / 255), "<f4")], 32, 2, channels=4, tags={338: 2, 339: [3] * 4}),
        HALF_RED,
        EXACT,
    ),
    "tiff 8-bit gray, premultiplied": (
        deep_tiff([alike((0, 204), "u1")], 8, 1, channels=2, tags={338: 1}),
        FIFTH,
        EXACT,
    ),
    "tiff RGB of five channels": (
        deep_tiff([alike((255, 0, 0, 9, 9), "u1")], 8, 2, channels=5, tags={338: [0, 0]}),
        RED,
        EXACT,
    ),
    "tiff CMYK with alpha": (
        deep_tiff([alike((0, 255, 255, 0, 128), "u1")], 8, 5, channels=5, tags={338: 2}),
        HALF_RED,
        EXACT,
    ),
    "tiff CMYK 16-bit": (deep_tiff([alike((0, 65535, 65535, 0), "<u2")], 16, 5, channels=4), RED, EXACT),
    "tiff LAB 16-bit": (deep_tiff([alike((32896, 0, 0), "<u2")], 16, 8, channels=3), (0.469,) * 3, 2 / 255),
    # sRGB's red is L* 54.3, a* 80.8, b* 69.9 under D50; a and b lie in the file as 256 times that
    "tiff LAB 16-bit, red": (deep_tiff([alike((35579, 20685, 17892), "<u2")], 16, 8, channels=3), RED, 10 / 255),
    "bigtiff": (deep_tiff([alike(51, "u1")], 8, 1, order=">", big=True), FIFTH, EXACT),
    "bigtiff 16-bit": (deep_tiff([alike(13107, "<u2")], 16, 1, big=True), FIFTH, 1e-6),
    "tiff 16-bit linear profile": (deep_tiff([alike(32896, "<u2")], 16, 1, tags={34675: LINEAR_GREY}), LIT, 2 / 255),
    "tiff float linear profile": (
        deep_tiff([alike(128 / 255, "<f4")], 32, 1, tags={339: 3, 34675: LINEAR_GREY}),
        LIT,
        2 / 255,
    ),
    "tiff float RGB linear profile": (
        deep_tiff([alike((128 / 255,) * 3, "<f4")], 32, 2, channels=3, tags={339: [3] * 3, 34675: LINEAR_RGB}),
        LIT,
        2 / 255,
    ),
    "png 16-bit linear profile": (encoded(flat("I;16", 32896), "PNG", icc_profile=LINEAR_GREY), LIT, 2 / 255),
    "png linear gamma": (flat_png(b"\x80\x80\x80", 8, 2, LINEAR_GAMMA), LIT, 2 / 255),
    "png grey linear gamma": (flat_png(b"\x80", 8, 0, LINEAR_GAMMA), LIT, 2 / 255),
    "png 16-bit linear gamma": (flat_png(b"\x80\x80", 16, 0, LINEAR_GAMMA), LIT, 2 / 255),
    "png palette linear gamma": (flat_png(b"\0", 8, 3, LINEAR_GAMMA + chunk(b"PLTE", b"\x80\x80\x80")), LIT, 2 / 255),
    "png gamma of sRGB": (flat_png(b"\x80", 8, 0, P3_GAMMA), GREY, EXACT),
    "png gamma, but sRGB": (flat_png(b"\x80", 8, 0, chunk(b"sRGB", b"\0") + LINEAR_GAMMA), GREY, EXACT),
    "png gamma 0": (flat_png(b"\x80", 8, 0, chunk(b"gAMA", bytes(4))), GREY, EXACT),
    "png chromaticities of P3": (flat_png(WIDE, 8, 2, P3_GAMMA), OF_P3, 1.5 / 255),
    "png chromaticities of nothing": (
        flat_png(b"\x80\x80\x80", 8, 2, P3_GAMMA[:16] + chunk(b"cHRM", bytes(32))),
        GREY,
        EXACT,
    ),
    "png cICP of P3": (flat_png(WIDE, 8, 2, cicp(12, 13)), OF_P3, 1.5 / 255),
    "png cICP, linear": (flat_png(b"\x80\x80\x80", 8, 2, cicp(1, 8)), LIT, 2 / 255),
    "png cICP above gAMA": (flat_png(b"\x80\x80\x80", 8, 2, cicp(1, 13) + LINEAR_GAMMA), GREY, EXACT),
    # 203 cd/m², paper white, is 0.58 in PQ and 0.75 in HLG (ITU-R BT.2408)
    "png cICP, PQ": (flat_png(b"\x94\x94\x94", 8, 2, cicp(9, 16)), WHITE, 3 / 255),
    "png cICP, HLG": (flat_png(b"\xbf\xbf\xbf", 8, 2, cicp(9, 18)), WHITE, 3 / 255),
    "png 1-bit, clear": (png((b"\0" + b"\xff" * 3) * 16, 1, 0, extra=clear(1)), WHITE, EXACT),
    "png 4-bit, clear": (png((b"\0" + b"\x33" * 10) * 16, 4, 0, extra=clear(3)), WHITE, EXACT),
    "png 4-bit, other clear": (png((b"\0" + b"\x33" * 10) * 16, 4, 0, extra=clear(4)), FIFTH, EXACT),
    "png 16-bit, clear": (flat_png(b"\x33\x33", 16, 0, clear(0x3333)), WHITE, EXACT),
    "png 16-bit, other clear": (flat_png(b"\x33\x33", 16, 0, clear(0x3334)), FIFTH, EXACT),
    "png 16-bit RGB, clear": (flat_png(b"\x33\x33" * 3, 16, 2, clear(0x3333, 0x3333, 0x3333)), WHITE, EXACT),
    "png 16-bit RGB, other clear": (flat_png(b"\x33\x33" * 3, 16, 2, clear(0x3333, 0x3333, 0x3334)), FIFTH, EXACT),
    "png with much text": (flat_png(b"\xff\0\0", 8, 2, packed(b"zTXt", b"a\0\0", bytes(2_000_000))), RED, EXACT),
    "png with 70 MB of text": (
        flat_png(b"\xff\0\0", 8, 2, packed(b"iTXt", b"a\0\1\0\0\0", bytes(70_000_000))),
        RED,
        EXACT,
    ),
    "png with a large profile": (
        flat_png(b"\x80" * 3, 8, 2, packed(b"iCCP", b"a\0\0", LINEAR_RGB + bytes(2_000_000))),
        LIT,
        2 / 255,
    ),
    "png with no profile in its chunk": (flat_png(b"\x80" * 3, 8, 2, chunk(b"iCCP", b"a")), GREY, EXACT),
    "bmp alpha": (bmp(b"\0\0\xff\x80", 0xFF0000, 0xFF00, 0xFF, 0xFF000000), HALF_RED, EXACT),
    "bmp alpha never set": (bmp(b"\0\0\xff\0", 0xFF0000, 0xFF00, 0xFF, 0xFF000000), RED, EXACT),
    "pgm 16-bit, dim": (b"P5 20 16 65535 " + b"\0\x64" * 320, (100 / 65535,) * 3, 1e-6),
    "pgm 12-bit, dim": (b"P5 20 16 4095 " + b"\0\x10" * 320, (16 / 4095,) * 3, 1e-5),
    "pgm in letters, dim": (b"P2 20 16 4095 " + b"16 " * 320, (16 / 4095,) * 3, 1e-5),
    "pgm 16-bit": (b"P5 20 16 65535 " + b"\x33\x33" * 320, (0.2, 0.2, 0.2), EXACT),
}
if features.check("jpg_2000"):
    GOOD["jpeg 2000"] = encoded(flat("RGB", "red"), "JPEG2000"), RED, LOSSY
    GOOD["jpeg 2000 alpha"] = encoded(flat("RGBA", (255, 0, 0, 128)), "JPEG2000"), HALF_RED, LOSSY
if features.check("avif"):
    P3_AVIF = encoded(flat("RGB", tuple(WIDE)), "AVIF", quality=100).replace(b"colrnclx\0\1", b"colrnclx\0\x0c")
    GOOD["avif of P3"] = P3_AVIF, OF_P3, LOSSY
    GOOD["avif"] = encoded(flat("RGB", "red"), "AVIF"), RED, LOSSY
    GOOD["avif alpha"] = encoded(flat("RGBA", (255, 0, 0, 0)), "AVIF"), WHITE, LOSSY


def colored(image: np.ndarray, color, tolerance: float) -> bool:
    return bool(np.abs(image - np.array(color, np.float32)).max() <= tolerance)


def assert_is_image(image: np.ndarray) -> None:
    assert image.dtype == np.float32
    assert image.shape == (1, *image.shape[1:3], 3)
    assert image.flags.c_contiguous
    assert 0 <= image.min() <= image.max() <= 1  # false for NaN


@pytest.mark.parametrize("name", GOOD)
def test_every_kind_of_file_becomes_the_same_kind_of_array(name):
    data, color, tolerance = GOOD[name]
    image = images.load(data)
    assert_is_image(image)
    assert image.shape[1:3] == (16, 20)
    assert colored(image, color, tolerance)


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 0, BLACK),
        ("La", (0, 51), (0.8, 0.8, 0.8)),
        ("PA", (0, 255), None),
        ("RGBa", (128, 0, 0, 128), HALF_RED),
        ("RGBX", (255, 0, 0, 0), RED),
        ("YCbCr", (255, 128, 128), WHITE),
        ("HSV", (85, 255, 255), GREEN),
        ("CMYK", (0, 0, 0, 0), WHITE),
        ("LAB", (255, 128, 128), WHITE),
        ("I;16", 65535, WHITE),
        ("I;16B", 13107, (0.2, 0.2, 0.2)),
        ("I", 51, (0.2, 0.2, 0.2)),
        ("F", 0.5, (0.5, 0.5, 0.5)),
    ],
)
def test_pil_images_of_every_mode(mode, color, expected):
    image = images.load(flat(mode, color))
    assert_is_image(image)
    assert expected is None or colored(image, expected, 1.5 / 255)


# Where the upright picture's pixels lie in the file, by EXIF orientation (CIPA DC-008, "Orientation").
STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),  # the viewer turns it clockwise, so it lies turned counterclockwise
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("longest_side", [None, 32])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation(orientation, format, longest_side):
    upright = np.zeros((48, 64, 3), np.uint8)
    upright[:24, :32], upright[:24, 32:], upright[24:, :32], upright[24:, 32:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    image = images.load(encoded(stored, format, exif=exif), longest_side)
    assert image.shape == ((1, 24, 32, 3) if longest_side else (1, 48, 64, 3))
    corners = image[0, 2, 2], image[0, 2, -3], image[0, -3, 2], image[0, -3, -3]
    for corner, color in zip(corners, (RED, GREEN, BLUE, WHITE), strict=True):
        assert colored(corner, color, 10 / 255)


def test_all_kinds_of_sources(tmp_path):
    data = encoded(flat("RGB", "red"), "PNG")
    path = tmp_path / "a picture.with.dots.png"
    path.write_bytes(data)
    buffer = io.BytesIO(data)
    buffer.seek(0, io.SEEK_END)  # as left behind by whoever wrote it
    for source in (path, str(path), data, buffer, flat("RGB", "red")):
        assert colored(images.load(source), RED, 0)
    with open(path, "rb") as file:
        assert colored(images.load(file), RED, 0)


def test_a_lazily_opened_pil_image_is_left_as_it_was():
    with Image.open(io.BytesIO(encoded(Image.new("RGB", (640, 480)), "JPEG"))) as image:
        assert images.load(image, 64).shape == (1, 48, 64, 3)
        assert image.size == (640, 480)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "MPO"])
def test_longest_side_reduces_and_never_enlarges(format):
    ramp = np.broadcast_to(np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None], (480, 640, 3))
    data = encoded(Image.fromarray(np.ascontiguousarray(ramp)), format)
    assert images.load(data, 1000).shape == (1, 480, 640, 3)
    image = images.load(data, 64)
    assert image.shape == (1, 48, 64, 3)
    assert np.abs(image[0, :, :, 0] - (np.arange(64) + 0.5) / 64).max() < 0.02


def test_reduction_is_antialiased_in_deep_grey_too():
    checkerboard = np.indices((64, 64)).sum(0) % 2
    for pixels in (checkerboard.astype(np.uint8) * 255, checkerboard.astype(np.uint16) * 65535):
        image = images.load(encoded(Image.fromarray(pixels), "PNG"), 16)
        assert colored(image, (0.5, 0.5, 0.5), 0.01)


@pytest.mark.parametrize("size", [(16, 16), (16, 5000), (5000, 16)])
def test_any_shape_from_16_pixels_up(size):
    assert images.load(encoded(Image.new("RGB", size), "PNG")).shape == (1, size[1], size[0], 3)


def test_many_threads_at_once():
    data = encoded(flat("RGB", "red"), "JPEG")
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        assert all(colored(image, RED, LOSSY) for image in pool.map(images.load, [data] * 100))
    assert list(warnings.filters) == before


# --- What is refused --------------------------------------------------------------------------------------------------

JPEG_BYTES = encoded(Image.effect_noise((64, 64), 50).convert("RGB"), "JPEG")
PNG_BYTES = encoded(Image.effect_noise((64, 64), 50), "PNG")
GIF_BYTES = encoded(Image.effect_noise((64, 64), 50), "GIF")
WEBP_BYTES = encoded(Image.effect_noise((64, 64), 50), "WEBP")
TIFF_BYTES = encoded(Image.effect_noise((64, 64), 50), "TIFF", compression="tiff_lzw")
PROGRESSIVE = encoded(flat("RGB", "red"), "JPEG", progressive=True)
LAST_SCAN = PROGRESSIVE[PROGRESSIVE.rfind(b"\xff\xc4", 0, PROGRESSIVE.rfind(b"\xff\xda")) : -2]
HUGE_TILE = tiff(
    zlib.compress(bytes(4)),
    {256: 20, 257: 16, 258: 8, 259: 8, 262: 1, 277: 1, 322: 30000, 323: 30000, 324: 8, 325: 12},
)
CFA, PREVIEW, DNG = {33422: b"\0\1\1\2"}, {254: 1, 330: 8}, {50706: b"\1\4\0\0"}
PREVIEWS = {kind: deep_tiff([alike((9, 9, 9), "u1")], 8, 2, channels=3, tags=tags) for kind, tags in
            {"cfa": CFA, "nef": PREVIEW, "dng": DNG}.items()}  # fmt: skip


def frame(data: bytes, offset: int, value: int) -> bytes:
    """A JPEG with a byte of its frame's header changed: 1 is the marker, 4 the bits, 9 the channels."""
    at = data.find(b"\xff\xc0") + offset
    return data[:at] + bytes([value]) + data[at + 1 :]


BAD = {
    "12-bit jpeg": (frame(JPEG_BYTES, 4, 12), "a JPEG of 12 bits a channel, .* save it as an ordinary JPEG or PNG"),
    "lossless jpeg": (frame(JPEG_BYTES, 1, 0xC3), "a lossless or hierarchical JPEG, .* save it"),
    "jpeg-ls": (frame(JPEG_BYTES, 1, 0xF7), "a lossless or hierarchical JPEG, .* save it"),
    "jpeg of two channels": (frame(JPEG_BYTES, 9, 2), "a JPEG of 2 channels, .* save it"),
    "jpeg of comments": (JPEG_BYTES[:2] + b"\xff\xfe\0\2" * 20_000 + JPEG_BYTES[2:], "damaged or incomplete"),
    "png of an iPhone app": (PNG_BYTES[:8] + chunk(b"CgBI", bytes(4)) + PNG_BYTES[8:], "save it as an ordinary PNG"),
    "bmp of four bits a channel": (bmp(b"\0\x0f", 0xF00, 0xF0, 0xF, 0xF000), "a rare kind of picture"),
    "tiff 64-bit integer": (deep_tiff([alike(1, "<i8")], 64, 1, tags={339: 2}), r"unusual kind \(64-bit gray\); save"),
    "tiff complex": (deep_tiff([alike(1, "<c8")], 64, 1, tags={339: 6}), "unusual kind"),
    "tiff 16-bit palette": (deep_tiff([alike(1, "<u2")], 16, 3), r"unusual kind \(16-bit palette\)"),
    "tiff of three grays": (deep_tiff([alike((1, 2, 3), "u1")], 8, 1, channels=3), "8-bit gray in 3 channels"),
    "tiff float LAB": (
        deep_tiff([alike((1, 2, 3), "<f4")], 32, 8, channels=3, tags={339: [3] * 3}),
        "32-bit float LAB",
    ),
    "tiff YCbCr": (deep_tiff([alike((1, 2, 3), "u1")], 8, 6, channels=3), "8-bit YCbCr in 3 channels"),
    "tiff LERC": (deep_tiff([b"Lerc2"], 16, 1, tags={259: 34887}), "16-bit gray, compression 34887"),
    "tiff 16-bit, cut": (deep_tiff([alike(1, "<u2")], 16, 1, tags={273: 100_000}), "damaged or incomplete"),
    **{f"{kind} preview": (data, "camera raw .* export the photo as JPEG") for kind, data in PREVIEWS.items()},
    "cr2": (b"II*\0" + struct.pack("<I", 16) + b"CR\2\0" + bytes(4) + PREVIEWS["nef"][-80:], "camera raw|damaged"),
    "raf": (b"FUJIFILMCCD-RAW 0201" + bytes(60), "camera raw"),
    "cr3": (b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
    "rw2": (b"IIU\0\x18\0\0\0" + bytes(60), "camera raw"),
    "empty": (b"", "is empty"),
    "text": (b"What does a picture taste like?\n" * 9, "is not a picture"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>', "is not a picture"),
    "html": (b"<!DOCTYPE html><html><body>404</body></html>", "is not a picture"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", "is not a picture"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "is not a picture"),
    "zip": (b"PK\x03\x04" + bytes(60), "is not a picture"),
    "mp4": (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(60), "is not a picture"),
    "wav": (b"RIFF\x24\0\0\0WAVEfmt " + bytes(60), "is not a picture"),
    "zeros": (bytes(1000), "is not a picture"),
    "noise": (random.Random(0).randbytes(1000), "is not a picture"),
    "tga": (encoded(flat("RGB", "red"), "TGA"), "is not a picture"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60), "damaged or incomplete|save or share it as JPEG"),
    "heif": (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(60), "damaged or incomplete|save or share it as JPEG"),
    "half a jpeg": (JPEG_BYTES[: len(JPEG_BYTES) // 2], "damaged or incomplete"),
    "start of a jpeg": (JPEG_BYTES[:30], "damaged or incomplete"),
    "half a png": (PNG_BYTES[: len(PNG_BYTES) // 2], "damaged or incomplete"),
    "start of a png": (PNG_BYTES[:20], "damaged or incomplete"),
    "half a gif": (GIF_BYTES[: len(GIF_BYTES) // 2], "damaged or incomplete"),
    "half a webp": (WEBP_BYTES[: len(WEBP_BYTES) // 2], "damaged or incomplete"),
    "half a tiff": (TIFF_BYTES[: len(TIFF_BYTES) // 2], "damaged or incomplete"),
    "png, bad checksum of header": (PNG_BYTES[:30] + b"????" + PNG_BYTES[34:], "damaged or incomplete"),
    "png, bad checksum of pixels": (PNG_BYTES[:-16] + b"????" + PNG_BYTES[-12:], "damaged or incomplete"),
    "png without pixels": (png(b"", 8, 2), "damaged or incomplete"),
    "png without its end": (PNG_BYTES[:-12], "damaged or incomplete"),
    "bomb of 16-bit RGB, one color clear": (
        png(bytes(180001), 16, 2, (30000, 30000), extra=clear(1, 2, 3)),
        "too large|up to (75|100) million",
    ),
    "png of no width": (png(b"", 8, 2, (0, 16)), "0 x 16 pixels|damaged"),
    "bomb": (png(bytes(90001), 8, 2, (30000, 30000)), "too large|up to 100 million"),
    "bomb below Pillow's limit": (png(bytes(33001), 8, 2, (11000, 11000)), "has 121 million pixels; up to 100 million"),
    "gif bomb": (b"GIF89a" + struct.pack("<HH", 65535, 65535) + GIF_BYTES[10:], "too large|up to 100 million"),
    "tiff with a huge tile": (HUGE_TILE, "has 900 million pixels"),
    "jpeg of a thousand scans": (JPEG_BYTES[:-2] + LAST_SCAN * 1000 + b"\xff\xd9", "more than 200 JPEG scans"),
    "15 x 15": (encoded(Image.new("RGB", (15, 15)), "PNG"), "15 x 15 pixels; at least 16"),
    "1 x 5000": (encoded(Image.new("RGB", (1, 5000)), "PNG"), "1 x 5000 pixels; at least 16"),
    "favicon": (encoded(Image.new("RGB", (5000, 15)), "BMP"), "5000 x 15 pixels; at least 16"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_good_picture_gets_one_sentence(name, tmp_path):
    data, words = BAD[name]
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    start = time.thread_time()
    with pytest.raises(ImageError, match=words) as caught:
        images.load(path)
    assert time.thread_time() - start < 10  # never a hang; how fast is not the question
    assert_is_sentence(str(caught.value))
    with pytest.raises(ImageError, match=r"^The file "):
        images.load(data)


def assert_is_sentence(message: str) -> None:
    assert message.startswith(("photo.jpg ", "There is no file photo.jpg"))
    assert message.endswith(".")
    assert not set("\n<>") & set(message)
    assert len(message) < 150


@pytest.mark.parametrize("limit", [None, 200, 10])
def test_pillow_s_own_limit_neither_warns_nor_leaks_nor_counts(limit, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)  # warns above 200 pixels, raises above 400; ours has 320
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert colored(images.load(GOOD["png RGB"][0]), RED, 0)
        with pytest.raises(ImageError, match="up to 100 million"):
            images.load(BAD["bomb"][0])
    assert not seen
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_file_of_too_many_bytes_is_not_read_to_its_end(monkeypatch, tmp_path):
    monkeypatch.setattr(opening, "MAX_BYTES", 1_000_000)
    path = tmp_path / "photo.jpg"
    with open(path, "wb") as file:
        file.truncate(10**12)  # a hole: takes no room on the disk
    with pytest.raises(ImageError, match="up to 1 MB"):
        images.load(path)


def test_missing_files_folders_and_devices(tmp_path):
    photo = tmp_path / "photo.jpg"
    with pytest.raises(ImageError, match="There is no file") as caught:
        images.load(photo)
    assert_is_sentence(str(caught.value))
    for nonsense in ("", "\0", "x" * 5000, "data:image/png;base64,AAAA"):
        with pytest.raises(ImageError):
            images.load(nonsense)
    with pytest.raises(ImageError, match="is a folder"):
        images.load(tmp_path)
    with pytest.raises(ImageError, match="is a folder or a device"):
        images.load(os.devnull)
    if hasattr(os, "mkfifo"):
        os.mkfifo(photo)
        with pytest.raises(ImageError, match="is a folder or a device"):
            images.load(photo)


def test_unreadable_files(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)  # the superuser, as whom tests often run, may read anything
    with pytest.raises(ImageError, match=r"photo.jpg cannot be read: Permission denied\."):
        images.load(tmp_path / "photo.jpg")


@pytest.mark.parametrize("name", GOOD)
def test_damage_never_raises_anything_else(name, monkeypatch):
    """Overwrites bytes of every good file at random, more often near its head, or cuts it."""
    monkeypatch.setattr(decoding, "MAX_MEMORY", 4_000_000)  # damage makes sizes large, and tests slow
    data, *_ = GOOD[name]
    chance = random.Random(name)
    for _ in range(25):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 4)):
            broken[min(chance.randrange(len(data)), chance.randrange(len(data)))] = chance.randrange(256)
        end = chance.choice((len(data), chance.randrange(len(data))))
        with contextlib.suppress(ImageError):
            assert_is_image(images.load(bytes(broken[:end]), 64))


# --- Deep files: tiles and predictors ---------------------------------------------------------------------------------

SLOPES = np.stack(
    [np.arange(40) * 1600 + np.zeros((24, 1)), np.arange(24)[:, None] * 2700 + np.zeros(40), np.full((24, 40), 500)], -1
).astype(np.uint16)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiles_of_16_bits(order, predictor, compression):
    """40 x 24 pixels in 3 x 2 tiles of 16 x 16, the outer ones filled up."""
    filled = np.pad(SLOPES, ((0, 8), (0, 8), (0, 0)))
    tiles = [filled[y : y + 16, x : x + 16] for y in (0, 16) for x in (0, 16, 32)]
    if predictor == 2:  # each number less the one to the left of it
        tiles = [np.concatenate([tile[:, :1], np.diff(tile, axis=1)], axis=1) for tile in tiles]
    packed = [tile.astype(f"{order}u2").tobytes() for tile in tiles]
    packed = [zlib.compress(tile) for tile in packed] if compression == 8 else packed
    starts = [8 + sum(map(len, packed[:i])) for i in range(6)]
    tags = {256: 40, 257: 24, 258: [16] * 3, 259: compression, 262: 2, 277: 3, 317: predictor, 322: 16, 323: 16}
    data = tiff(b"".join(packed), tags | {324: starts, 325: [len(tile) for tile in packed]}, order)
    np.testing.assert_allclose(images.load(data)[0], SLOPES / 65535, atol=1e-6)


def test_strips_of_floats_with_their_predictor():
    """The bytes of a row are sorted by significance, then each is less the one to the left of it."""
    values = (SLOPES[..., 0] / 65535).astype(">f4")
    sorted_bytes = values.view(np.uint8).reshape(24, 40, 4).swapaxes(1, 2).reshape(24, 160)
    differences = np.concatenate([sorted_bytes[:, :1], np.diff(sorted_bytes, axis=1)], axis=1)
    data = deep_tiff([zlib.compress(differences.tobytes())], 32, 1, (40, 24), tags={259: 8, 317: 3, 339: 3})
    np.testing.assert_array_equal(images.load(data)[0, :, :, 0], values)


def test_deep_files_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    gray = Image.fromarray(SLOPES[..., 0])
    np.testing.assert_allclose(
        images.load(encoded(gray, "PNG", exif=exif))[0, :, :, 0], np.rot90(SLOPES[..., 0], -1) / 65535, atol=1e-6
    )
    data = deep_tiff([SLOPES.astype("<u2")], 16, 2, (40, 24), channels=3, tags={274: 6})
    np.testing.assert_allclose(images.load(data)[0], np.rot90(SLOPES, -1) / 65535, atol=1e-6)


@pytest.mark.parametrize("side", [None, 7, 16])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "I;16"])
def test_bands_leave_no_seams(mode, side, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 4), dtype=np.uint8)
    image = Image.fromarray(pixels).convert("RGB" if mode == "P" else "L" if mode == "I;16" else mode).convert(mode)
    whole = images.load(image, side)
    monkeypatch.setattr(deep, "BAND", 1)
    np.testing.assert_array_equal(images.load(image, side), whole)


# --- Large files ------------------------------------------------------------------------------------------------------


def test_a_photo_of_108_megapixels_is_read_reduced():
    photo = encoded(Image.new("L", (12_000, 9000), 128), "JPEG")
    assert images.load(photo, 512).shape == (1, 384, 512, 3)
    with pytest.raises(ImageError, match="108 million pixels; up to 100 million"):
        images.load(photo)


def test_a_jpeg_of_a_few_bytes_has_no_billions_of_pixels():
    start = encoded(Image.new("L", (64, 64)), "JPEG")
    at = start.find(b"\xff\xc0") + 5
    with pytest.raises(ImageError, match="damaged or incomplete"):
        images.load(start[:at] + struct.pack(">HH", 65500, 65500) + start[at + 4 :], 512)


def test_what_counts_is_memory_while_decoding(monkeypatch):
    """A megapixel within 1 MB: a JPEG is decoded reduced, gray takes a byte a pixel, color four."""
    monkeypatch.setattr(decoding, "MAX_MEMORY", 1_000_000)
    monkeypatch.setattr(decoding, "MAX_PIXELS", 10_000)
    color = Image.new("RGB", (1000, 1000), "red")
    for data in (encoded(color, "JPEG"), encoded(color.convert("L"), "PNG"), encoded(color.convert("P"), "GIF")):
        assert images.load(data, 50).shape == (1, 50, 50, 3)
    for format, options in (("PNG", {}), ("WEBP", {}), ("TIFF", {}), ("JPEG", {"progressive": True})):
        with pytest.raises(ImageError, match="has 1 million pixels; up to 0 million"):
            images.load(encoded(color, format, **options), 50)


# --- What is left out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_frames_that_are_left_out_are_told(format):
    frames = [flat("RGB", color) for color in ("red", "lime", "blue")]
    picture = images.read(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
    assert colored(picture.pixels, RED, LOSSY)
    assert picture.notes("a.gif") == ["Only the first of the 3 pictures in a.gif is painted."]


def test_a_chain_of_pages_without_end_is_not_followed():
    data = bytearray(TIFF_BYTES)
    start = struct.unpack_from("<I", data, 4)[0]
    struct.pack_into("<I", data, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], start)
    assert images.read(bytes(data)).frames == 1


def test_transparency_is_told():
    half = flat("RGBA", (255, 0, 0, 255))
    assert images.read(encoded(half, "PNG")).alpha is None
    half.paste((0, 0, 0, 0), (0, 0, 10, 16))
    for format in ("PNG", "WEBP", "TIFF", "GIF"):
        picture = images.read(encoded(half, format))
        assert picture.opacity == (0, 1)
        assert picture.alpha is not None and picture.alpha.shape == picture.pixels.shape[1:3]
        assert (picture.alpha == np.where(np.arange(20) < 10, 0, 255)).all()
    deep = images.read(GOOD["png 16-bit, clear"][0])
    assert deep.opacity == (0, 0) and deep.alpha is not None and not deep.alpha.any()


def test_alpha_is_turned_and_reduced_with_its_picture():
    half = Image.new("RGBA", (400, 320), "red")
    half.paste((0, 0, 0, 0), (0, 0, 200, 320))
    exif = Image.Exif()
    exif[274] = 6  # its left is above
    picture = images.read(encoded(half, "PNG", exif=exif), 40)
    assert picture.alpha is not None and picture.alpha.shape == picture.pixels.shape[1:3] == (40, 32)
    assert not picture.alpha[:18].any() and (picture.alpha[22:] == 255).all()


# --- Arrays -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("height", "width", "size", "expected"),
    [
        (3000, 4000, 512, (384, 512)),
        (4000, 3000, 512, (512, 384)),
        (100, 100, 512, (512, 512)),
        (2, 3, 2048, (1365, 2048)),
        (16, 5000, 512, (2, 512)),
        (1, 5000, 512, (1, 512)),
    ],
)
def test_fit(height, width, size, expected):
    assert images.fit(height, width, size) == expected


@pytest.mark.parametrize(("height", "width"), [(8, 8), (37, 5), (64, 64), (200, 300), (1, 1)])
def test_resize_keeps_a_flat_color_and_the_range(height, width):
    image = np.full((1, 64, 64, 3), (0.25, 0.5, 1), np.float32)
    resized = images.resize(image, height, width)
    assert_is_image(resized)
    assert resized.shape == (1, height, width, 3)
    assert colored(resized, (0.25, 0.5, 1), 1e-5)
    noise = np.random.default_rng(0).integers(0, 2, (1, 64, 64, 3)).astype(np.float32)
    assert_is_image(images.resize(noise, height, width))  # edges of 0 and 1 make the filter overshoot


def test_resize_is_antialiased():
    checkerboard = np.repeat((np.indices((64, 64)).sum(0) % 2)[None, :, :, None], 3, -1).astype(np.float32)
    assert colored(images.resize(checkerboard, 8, 8), (0.5, 0.5, 0.5), 0.01)


def test_to_uint8_rounds_clips_and_survives_nan():
    values = np.array([0, 1, 0.5, 0.1, -3, 7, 1e38, np.nan, np.inf, -np.inf, 0.0019, 0.0020], np.float32)
    expected = [0, 255, 128, 26, 0, 255, 255, 0, 255, 0, 0, 1]
    pixels = images.to_uint8(values.reshape(1, 2, 2, 3))
    assert (pixels.dtype, pixels.shape) == (np.uint8, (2, 2, 3))
    assert pixels.ravel().tolist() == expected


# --- Writing ----------------------------------------------------------------------------------------------------------

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
PICTURE = np.asarray(Image.fromarray(NOISE[:8, :6]).resize((60, 80)))  # smooth enough for lossy formats


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".PNG"])
def test_saved_and_loaded_again_is_the_same(suffix, tmp_path):
    images.save(NOISE, tmp_path / f"out{suffix}")
    assert (images.to_uint8(images.load(tmp_path / f"out{suffix}")) == NOISE).all()


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp", ".JPG"])
def test_saved_and_loaded_again_is_nearly_the_same(suffix, tmp_path):
    images.save(PICTURE, tmp_path / f"out{suffix}")
    difference = images.to_uint8(images.load(tmp_path / f"out{suffix}")).astype(int) - PICTURE
    assert np.abs(difference).mean() < 4


def test_saved_jpeg_keeps_all_color(tmp_path):
    images.save(PICTURE, tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        assert [component[1:3] for component in image.layer] == [(1, 1)] * 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff"])
def test_saved_files_name_their_color_space_and_repeat(suffix, tmp_path, monkeypatch):
    images.save(PICTURE, tmp_path / f"a{suffix}")
    images.save(PICTURE, str(tmp_path / f"b{suffix}"))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.info["icc_profile"][36:40] == b"acsp"
        assert image.info["icc_profile"][24:36] == bytes(12)  # no time of creation


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("shape", [(16, 17, 3), (513, 40, 3), (513, 40, 4)])
def test_sixteen_bits_are_saved_and_loaded_in_full(suffix, shape, tmp_path):
    cv2 = pytest.importorskip("cv2")
    path, pixels = tmp_path / f"out{suffix}", np.random.default_rng(0).integers(0, 65536, shape, np.uint16)
    if shape[-1] == 4:
        pixels[..., 3] = np.where(pixels[..., 3] > 30000, 65535, 257 * 100)
    texts = {"Software": "nst", "Description": "a 日本 b", "nst": '{"nst": "1"}'}
    images.save(pixels, path, texts=texts, dpi=254)
    seen = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert seen is not None and seen.dtype == np.uint16
    assert (seen[..., [2, 1, 0, 3][: shape[-1]]] == pixels).all()
    loaded, opacity = images.read(path), np.float64(1)
    if loaded.alpha is not None:
        assert (loaded.alpha == pixels[..., 3] // 257).all()
        opacity = loaded.alpha[..., np.newaxis] / 255
    assert (loaded.alpha is not None) == (shape[-1] == 4)
    assert np.abs(loaded.pixels[0] * 65535 - (pixels[..., :3] * opacity + 65535 * (1 - opacity))).max() < 1
    assert (images.read_text(path) or "").startswith('{"nst": "1"}')
    with Image.open(path) as image:
        assert image.size == shape[1::-1]
        assert image.info["dpi"] == pytest.approx((254, 254), abs=0.01)
        assert image.info["icc_profile"] == colors.SRGB_BYTES
        image.load()


def test_sixteen_bits_are_resized_in_full(tmp_path):
    ramp = np.repeat(np.linspace(20000, 21000, 40).astype(np.uint16)[np.newaxis, :, np.newaxis], 3, axis=2)
    larger = images.rescale(ramp.repeat(30, axis=0), 60, 80)
    assert (larger.dtype, larger.shape) == (np.uint16, (60, 80, 3))
    assert len(np.unique(larger)) > 70  # of 8 bits there would be five
    assert 19900 < larger.min() < larger.max() < 21100


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_sixteen_bits_need_a_format_that_has_them(suffix, tmp_path):
    with pytest.raises(ImageError, match=r"cannot have 16 bits a channel; name a .png or a .tiff\.$"):
        images.save(np.zeros((20, 20, 3), np.uint16), tmp_path / f"out{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_failing_save_of_sixteen_bits_leaves_the_old_file(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "ROWS", 0)  # fails once the file has begun
    for suffix in (".png", ".tiff"):
        (tmp_path / f"out{suffix}").write_text("old")
        with pytest.raises(ValueError, match="zero"):
            images.save(np.zeros((20, 20, 3), np.uint16), tmp_path / f"out{suffix}")
        assert (tmp_path / f"out{suffix}").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
@pytest.mark.parametrize("texts", [None, {"Software": "nst", "nst": '{"nst": "1"}'}])
def test_the_resolution_is_stated_if_it_is_given(suffix, texts, tmp_path):
    images.save(PICTURE, tmp_path / f"a{suffix}", texts=texts, dpi=254)
    images.save(PICTURE, tmp_path / f"b{suffix}", texts=texts)
    assert (images.read_text(tmp_path / f"a{suffix}") or "").startswith(texts["nst"] if texts else "")
    stated = []
    for name in "ab":
        with Image.open(tmp_path / f"{name}{suffix}") as image:
            stated.append(image.getexif().get(282) if suffix == ".webp" else image.info.get("dpi", (None,))[0])
    assert stated[0] == pytest.approx(254, abs=0.01)
    assert stated[1] in (None, 1, 72)  # what Pillow has if there is none


def test_quality_changes_the_size(tmp_path):
    images.save(PICTURE, tmp_path / "best.jpg")
    images.save(PICTURE, tmp_path / "small.jpg", quality=30)
    assert (tmp_path / "small.jpg").stat().st_size < (tmp_path / "best.jpg").stat().st_size


def test_encode_jpeg():
    image = images.load(images.encode_jpeg(np.full((32, 32, 3), (255, 0, 0), np.uint8)))
    assert colored(image, RED, LOSSY)


def test_a_failing_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")

    def fill_the_disk(_, temporary, **__):
        temporary.write_bytes(b"half a pic")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_the_disk)
    with pytest.raises(ImageError, match=r"could not be written: No space left on device\."):
        images.save(PICTURE, path)
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["out.png"]


def test_an_interrupted_save_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"precious")
    with pytest.raises(KeyboardInterrupt), images.atomic_write(path) as temporary:
        temporary.write_bytes(b"half a pic")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"precious"
    assert os.listdir(tmp_path) == ["out.png"]


def test_saving_replaces_and_obeys_the_umask(tmp_path):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    before = os.umask(0o027)
    try:
        images.save(PICTURE, path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    assert os.listdir(tmp_path) == ["out.png"]
    assert images.load(path).shape == (1, 80, 60, 3)


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("x" * 251 + ".png")
    images.save(PICTURE, path)
    assert images.load(path).shape == (1, 80, 60, 3)
    images.check_writable(path)
    for write in (images.check_writable, lambda path: images.save(PICTURE, path)):
        for name in ("x" * 252, "\U0001d4f6" * 63, "nul\0"):
            with pytest.raises(ImageError, match="cannot be written: .*; choose another name or folder"):
                write(tmp_path / f"{name}.png")
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("existing", [True, False])
def test_a_full_disk_is_found_out_beforehand(tmp_path, monkeypatch, existing):
    def fill_the_disk(*_):
        raise OSError(28, "No space left on device")

    if existing:
        (tmp_path / "out.png").write_bytes(b"precious")
    before = os.listdir(tmp_path)
    monkeypatch.setattr(type(tmp_path), "write_bytes", fill_the_disk)
    with pytest.raises(ImageError, match="cannot be written: No space left on device"):
        images.check_writable(tmp_path / "out.png")
    assert os.listdir(tmp_path) == before


def test_a_folder_that_goes_while_a_file_is_written(tmp_path):
    with (
        pytest.raises(ImageError, match="could not be written"),
        images.atomic_write(tmp_path / "folder/out.png") as temporary,
    ):
        (tmp_path / "folder").touch()  # a file now
        temporary.write_bytes(b"picture")


@pytest.mark.parametrize("write", [images.check_writable, lambda path: images.save(PICTURE, path)])
def test_where_nothing_can_be_written(write, tmp_path, monkeypatch):
    (tmp_path / "folder.png").mkdir()
    for name, words in {
        "out.bmp": "should end in .png, .jpg",
        "out": "should end in .png, .jpg",
        "missing/out.png": "There is no folder",
        "folder.png": "is a folder",
    }.items():
        with pytest.raises(ImageError, match=words):
            write(tmp_path / name)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ImageError, match="is not writable"):
        write(tmp_path / "out.png")
    assert os.listdir(tmp_path) == ["folder.png"]


def test_check_writable_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images.check_writable("out.png")
    images.check_writable(tmp_path / "out.JPEG")
    assert not os.listdir(tmp_path)
