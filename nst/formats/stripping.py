"""Picture files without what a decoder would read before we know the size: notes, texts, previews, further frames.

Pillow reads all of a file's notes when it opens it, some of them in quadratic time or more than once.  Here each format
is walked once, with a limit on the steps; what is needed of the notes, EXIF's orientation and the color profile, is
handed back beside the file.  What is damaged raises a ValueError or an IndexError.
"""

import itertools
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAX_MARKERS = 10_000  # before the picture of a JPEG
MAX_STEPS = 1_000_000  # over blocks of a GIF or chunks of a WebP; a GIF of 100 MB has 400,000
MAX_HEAD = 65_536  # bytes before the picture of a JPEG, its notes not counted, or of a PPM
MAX_BOXES = 10_000  # of a HEIC, an AVIF or before the picture of a JPEG 2000
MAX_TABLES = 200_000  # bytes of a HEIC's tables of items, each of which libavif looks up one by one
MAX_COMMENTS = 10_000  # in a PPM
MAX_TILES = 10_000  # of a JPEG 2000, of which OpenJPEG holds 7 KB each, and more for each channel
MAX_PROFILES = 100_000_000  # bytes of the profiles in a HEIC, of which each picture gets a copy

_CONTAINERS = (b"meta", b"iprp", b"ipco", b"moov", b"trak", b"mdia", b"minf", b"stbl")
_MARKER = re.compile(rb"\xff([^\0\xff])", re.DOTALL)


@dataclass
class Stripped:
    """A file as its decoder gets it, and what was taken out."""

    data: bytes
    exif: bytes = b""
    icc_profile: bytes = b""
    frames: int = 1


def jpeg(data: bytes) -> tuple[Stripped, tuple[int, int, int], int]:
    """Also (marker, bits a channel, channels) of the frame's header, and where the first scan begins in the result."""
    kept, profile, exif, frame, position = bytearray(b"\xff\xd8"), [], b"", (0, 8, 3), 2
    for _ in range(MAX_MARKERS):
        found = _MARKER.search(data, position)
        if not found or len(kept) > MAX_HEAD:
            break
        marker, position = found[1][0], found.end()
        if marker == 0xDA:
            pieces = sorted(profile)
            whole = bool(pieces) and pieces[0][1] == len(pieces)
            icc = b"".join(piece[2:] for piece in pieces) if whole else b""
            return Stripped(bytes(kept) + data[position - 2 :], exif, icc), frame, len(kept)
        if marker == 1 or 0xD0 <= marker <= 0xD9:  # markers alone
            continue
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2 or position + length > len(data):
            raise ValueError("a segment is cut off")
        body = data[position + 2 : position + length]
        position += length
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            exif = exif or body
        elif marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"):
            profile.append(body[12:])
        elif marker == 0xE0 and body.startswith(b"JFIF\0"):
            kept += struct.pack(">BBH", 0xFF, marker, len(body[:14]) + 2) + body[:14]  # without the preview
        elif marker == 0xEE and body.startswith(b"Adobe"):
            kept += struct.pack(">BBH", 0xFF, marker, len(body[:12]) + 2) + body[:12]
        elif not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
                frame = marker, body[0], body[5]
            kept += data[found.start() : position]
    raise ValueError("there is no picture, or too much before it")


def gif(data: bytes) -> Stripped:
    """Only the first frame; the others are counted, as far as MAX_STEPS go."""
    steps = itertools.count()

    def after_blocks(position: int) -> int:
        while position < len(data) and data[position] and next(steps) < MAX_STEPS:
            position += data[position] + 1
        return position + 1

    position = 13 + (6 << (data[10] & 7) if data[10] & 128 else 0)
    head, control, picture, frames = data[:position], b"", b"", 0
    while position + 10 < len(data) and next(steps) < MAX_STEPS:
        start, kind = position, data[position : position + 1]
        if kind == b";":
            break
        if kind == b"!":
            position = after_blocks(position + 2)
            if data[start + 1] == 0xF9 and not frames:
                control = data[start : start + 3 + data[start + 2]] + b"\0"
        elif kind == b",":
            flags = data[position + 9]
            position = after_blocks(position + 11 + (6 << (flags & 7) if flags & 128 else 0))
            picture, frames = picture or data[start:position], frames + 1
        else:
            position += 1
    if not frames:
        raise ValueError("there is no picture, or too much before it")
    return Stripped(head + control + picture + b";", frames=frames)


def webp(data: bytes) -> Stripped:
    """Only the first frame; the others are counted, as far as MAX_STEPS go."""
    if data[12:16] != b"VP8X":  # nothing but a picture
        return Stripped(data)
    end = 8 + int.from_bytes(data[4:8], "little")
    chunks: dict[bytes, bytes] = {}
    position, frames = 12, 0
    for _ in range(MAX_STEPS):
        if position + 8 > min(end, len(data)):
            break
        kind, length = struct.unpack_from("<4sI", data, position)
        after = position + 8 + length + length % 2
        if kind in (b"VP8X", b"ICCP", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L", b"EXIF") and kind not in chunks:
            chunks[kind] = data[position:after]
        frames += kind == b"ANMF"
        position = after
    if end > len(data) or position > len(data):
        raise ValueError("a chunk is cut off")
    exif, profile = chunks.pop(b"EXIF", b"")[8:], chunks.pop(b"ICCP", b"")[8:]
    head = bytearray(chunks[b"VP8X"])
    head[8] &= 0b11010011  # there is no profile, EXIF or XMP
    body = b"WEBP" + head + b"".join(list(chunks.values())[1:])
    return Stripped(b"RIFF" + struct.pack("<I", len(body)) + body, exif, profile, max(1, frames))


def of_boxes(data: bytes) -> bytes:
    """An AVIF or HEIC whose pictures have no EXIF and XMP, which the container's rotation overrides."""
    if _size_of_tables(data, 0, len(data), itertools.count()) > MAX_TABLES:
        raise ValueError("its tables are too large")
    for kind, start, end in _boxes(data, 0, len(data)):
        if kind != b"meta":
            continue
        meta = data[start:end].replace(b"cdsc", b"none")  # the references from descriptions to pictures
        profiles = [_size_before(meta, found.start()) for found in re.finditer(b"colr(?:prof|rICC)", meta)]
        if profiles and max(profiles) * meta.count(b"infe") > MAX_PROFILES:
            raise ValueError("its profiles are too large")
        return data[:start] + meta + data[end:]
    return data


def jpeg2000(data: bytes) -> tuple[tuple[int, int], float]:
    """(width, height) of the codestream and the bytes per pixel that OpenJPEG holds beside the channels."""
    start = 0
    if not data.startswith(b"\xff\x4f\xff\x51"):
        for kind, start, end in _boxes(data, 0, len(data)):
            if kind == b"jp2h" and [kind for kind, *_ in _boxes(data, start, end)].count(b"pclr") > 1:
                raise ValueError("there are two palettes")
            if kind == b"jp2c":
                break
        else:
            raise ValueError("there is no picture")
    right, bottom, left, top, *tile, channels = struct.unpack_from(">8IH", data, start + 8)
    across, down, tile_left, tile_top = tile
    tiles = -(-(right - tile_left) // across) * -(-(bottom - tile_top) // down)
    if channels > 4 or tiles > MAX_TILES:
        raise ValueError("it has too many tiles or channels")
    beside = 0.0
    for marker, position in _jpeg2000_segments(data, start + 2, tiles):
        if marker == 0x52:  # COD
            beside = max(beside, _bytes_of_blocks(data, data[position + 2], position + 7))
        elif marker == 0x53:  # COC
            beside = max(beside, _bytes_of_blocks(data, data[position + 3], position + 4))
    return (right - left, bottom - top), channels * beside


def check_ppm(data: bytes) -> None:
    """Raise a ValueError if the numbers before the picture are not where they should be."""
    numbers = re.sub(rb"#[^\r\n]*", b"", data[:MAX_HEAD]).split(None, 4)
    if len(data) > MAX_HEAD and len(numbers) < 5:
        raise ValueError("too much lies before the picture")


def _size_of_tables(data: bytes, start: int, end: int, boxes: Iterator[int]) -> int:
    """Bytes of a HEIC's tables; raises a ValueError if there are too many boxes in its containers."""
    total = 0
    for kind, first, last in _boxes(data, start, end):
        if next(boxes) > MAX_BOXES:
            raise ValueError("there are too many boxes")
        if kind in _CONTAINERS:
            total += _size_of_tables(data, first + 4 * (kind == b"meta"), last, boxes)
        elif kind in (b"iloc", b"iinf", b"iref", b"ipma"):
            total += last - first
    return total


def _boxes(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of what is in each box."""
    for _ in range(MAX_BOXES):
        if position + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, position)
        head = 16 if size == 1 else 8
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        after = position + size if size else end
        if after < position + head:
            raise ValueError("a box is too small")
        yield kind, position + head, min(after, end)
        position = after
    raise ValueError("there are too many boxes")


def _size_before(meta: bytes, kind: int) -> int:
    """Of the box whose kind is there."""
    return min(int.from_bytes(meta[max(0, kind - 4) : kind], "big"), len(meta))


def _jpeg2000_segments(data: bytes, position: int, tiles: int) -> Iterator[tuple[int, int]]:
    """(marker, position of its length) of each segment before the picture and before the parts of its tiles."""
    after = len(data)
    for _ in range(MAX_MARKERS + 20 * tiles):
        if position + 4 > len(data):
            return
        _, marker, length = struct.unpack_from(">BBH", data, position)
        if marker == 0xD9:
            return
        if marker == 0x93:  # the data of a part
            position = after
            continue
        if marker == 0x90:  # SOT
            size = int.from_bytes(data[position + 6 : position + 10], "big")
            after = position + size if size > 12 else len(data)
        yield marker, position + 2
        position += 2 + max(2, length)
    raise ValueError("too much lies before the picture")


def _bytes_of_blocks(data: bytes, style: int, position: int) -> float:
    """Per pixel, of OpenJPEG's notes on precincts and code-blocks, which may be as small as 2 x 2 pixels."""
    levels, wide, high = data[position], data[position + 1] + 2, data[position + 2] + 2
    total = 0.0
    for level in range(min(levels, 32) + 1):
        size = data[position + 5 + level] if style & 1 else 0xFF
        across, down = size & 15, size >> 4
        inner = min(wide, max(0, across - 1)) + min(high, max(0, down - 1))
        total += 4.0 ** (level - levels) * (400 / 2 ** (across + down) + 200 / 2**inner)
    return total
