"""PNG and TIFF files of 16 bits a channel, which Pillow cannot write.

Both take uint16 (H, W, 3) sRGB, or (H, W, 4) with alpha that is not premultiplied.
"""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

ROWS = 256  # of the picture that are packed at once


def png(
    path: Path, pixels: np.ndarray, profile: bytes, chunks: list[tuple[bytes, bytes]], dpi: float | None = None
) -> None:
    """Write a PNG; `chunks` are further ones, such as texts, with their names."""
    height, width, channels = pixels.shape
    with path.open("wb") as file:

        def write(name: bytes, data: bytes) -> None:
            file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))

        file.write(b"\x89PNG\r\n\x1a\n")
        write(b"IHDR", struct.pack(">2I5B", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0))
        write(b"iCCP", b"sRGB\0\0" + zlib.compress(profile))
        if dpi:
            per_meter = round(dpi / 0.0254)
            write(b"pHYs", struct.pack(">2IB", per_meter, per_meter, 1))
        for name, data in chunks:
            write(name, data)
        packer, above = zlib.compressobj(), np.zeros((1, 2 * width * channels), np.uint8)
        for top in range(0, height, ROWS):
            rows = pixels[top : top + ROWS].astype(">u2").view(np.uint8).reshape(-1, above.size)
            filtered = np.diff(rows, axis=0, prepend=above)  # filter 2: the difference from the row above
            above = rows[-1:]
            if packed := packer.compress(np.insert(filtered, 0, 2, axis=1).tobytes()):
                write(b"IDAT", packed)
        write(b"IDAT", packer.flush())
        write(b"IEND", b"")


def tiff(
    path: Path, pixels: np.ndarray, profile: bytes, texts: Mapping[int, str | bytes], dpi: float | None = None
) -> None:
    """Write a TIFF; `texts` are the values of further tags."""
    height, width, channels = pixels.shape
    with path.open("wb") as file:
        file.write(b"II*\0" + bytes(4))  # the directory's place is filled in at the end
        tags = {}  # number -> kind, count, and 4 bytes: the value or its place

        def put(tag: int, kind: int, data: bytes) -> None:
            count = len(data) // {2: 1, 3: 2, 4: 4, 5: 8, 7: 1}[kind]
            if len(data) > 4:
                file.write(bytes(file.tell() % 2))
                place = struct.pack("<I", file.tell())
                file.write(data)
            tags[tag] = kind, count, place if len(data) > 4 else data.ljust(4, b"\0")

        for tag, text in texts.items():  # first: only so much of a large file is read as a recipe needs
            put(tag, 7 if isinstance(text, bytes) else 2, text if isinstance(text, bytes) else text.encode() + b"\0")
        put(34675, 7, profile)
        offsets, counts = [], []
        for top in range(0, height, ROWS):
            rows = pixels[top : top + ROWS].astype("<u2")
            rows[:, 1:] = np.diff(rows, axis=1)
            strip = zlib.compress(rows.tobytes())
            offsets.append(file.tell())
            counts.append(file.write(strip))
        longs = {256: [width], 257: [height], 273: offsets, 278: [ROWS], 279: counts}
        # Of shorts: the bits, deflate, RGB, the channels, and the difference from the pixel to the left.
        shorts = {258: [16] * channels, 259: [8], 262: [2], 277: [channels], 317: [2]}
        if channels == 4:
            shorts[338] = [2]  # alpha
        if dpi:
            shorts[296] = [2]  # an inch
            for tag in (282, 283):
                put(tag, 5, struct.pack("<2I", round(1000 * dpi), 1000))
        for kind, letter, numbers in ((4, "I", longs), (3, "H", shorts)):
            for tag, values in numbers.items():
                put(tag, kind, struct.pack(f"<{len(values)}{letter}", *values))
        file.write(bytes(file.tell() % 2))
        directory = file.tell()
        entries = [struct.pack("<2HI", tag, *tags[tag][:2]) + tags[tag][2] for tag in sorted(tags)]
        file.write(struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
        file.seek(4)
        file.write(struct.pack("<I", directory))
