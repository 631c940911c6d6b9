"""The bytes of a picture file -> an opened file with what it says of itself, or a sentence on why it is not read.

Pillow reads the formats, pillow-heif HEIC, `tiff` the layouts that Pillow has no mode for.  No pixel is decoded here.
"""

import contextlib
import io
import os
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from nst.formats.deep import Deep
from nst.formats.tiff import Tiff

MAX_BYTES = 100_000_000  # of the file
MAX_SCANS = 200  # in a JPEG; progressive files have 10, 100 MB have room for 800,000, and each updates all pixels
MAX_MARKERS = 10_000  # before the picture of a JPEG

READABLE = f"JPEG, PNG, WebP, {'HEIC, ' * (find_spec('pillow_heif') is not None)}GIF, TIFF, BMP, PPM, JPEG 2000 or AVIF"
# Pillow's other readers are off: some start programs (EPS), are very slow (QOI) or accept random bytes (TGA).
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"\0\0\0\x0cjP  ", *_TIFF)
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_WHOLE_BOXES = (b"ftyp", b"meta", b"mdat", b"moov")  # of a HEIC
_RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"\0MRM", b"FOVb")
_RAW = "is a camera raw file or begins with a small preview of the photo; export the photo as JPEG"
CONVERT = "save it as an ordinary JPEG or PNG"
_LOSSLESS = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}  # JPEG frames, with the hierarchical and JPEG-LS

_PNG_PICTURE, _PNG_NOTES = b"IHDR PLTE IDAT IEND acTL fcTL fdAT".split(), b"tRNS gAMA cHRM sRGB eXIf".split()

# Bytes per pixel: of a decoded image by mode, with NumPy's copy of a deep one; and what decoders hold beside it.
_MODE_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 6, "I;16B": 6, "I": 12, "F": 12}
_DECODER_BYTES = {"WEBP": 8, "AVIF": 8, "HEIF": 12, "JPEG2000": 8, "TIFF": 4}


class ImageError(ValueError):
    """An image cannot be read or written; the message is one sentence for the user that says what to do instead."""


@dataclass
class Source:
    """An opened file, its pixels not decoded yet."""

    image: Image.Image | Deep
    info: Any = field(default_factory=dict)
    frames: int = 1
    orientation: int = 0  # of EXIF; 0: Pillow knows it
    bytes_per_pixel: float = 0  # held once decoded
    full_bytes: float = 0  # per pixel of the file, held while decoding, however far the result is reduced
    largest_tile: int = 0  # pixels
    decode: Callable[[], Image.Image] | None = None  # instead of `image.load`

    def __post_init__(self):
        width, height = self.image.size
        self.shape = height, width  # before `draft` reduces it


def read_bytes(source: str | os.PathLike | BinaryIO, name: str) -> bytes:
    """The bytes of a file, at most MAX_BYTES + 1."""
    try:
        if not isinstance(source, str | os.PathLike):
            if source.seekable():
                source.seek(0)
            return source.read(MAX_BYTES + 1)
        if os.path.exists(source) and not os.path.isfile(source):  # reading a pipe or a device may never end
            raise ImageError(f"{name} is a folder or a device; choose a picture file.")
        with open(source, "rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {name}; check its name and folder.") from error
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a closed file, a NUL in a path
        raise ImageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def open_bytes(data: bytes, name: str) -> Source:
    """Read the headers and refuse by name what cannot be read."""
    if not data:
        raise ImageError(f"{name} is empty; try a fresh copy of it.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name} is too large; use a file of up to {MAX_BYTES // 10**6} MB.")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and b"avif" not in data[:64]:
        return _open_heic(data, name)
    if data.startswith(_RAW_SIGNATURES) or data[4:12] == b"ftypcrx ":
        raise ImageError(f"{name} {_RAW}.")
    if data.startswith(_TIFF):
        return _open_tiff(data, name)
    if data.startswith(b"\x89PNG"):
        return _open_png(data, name)
    if data.startswith(b"\xff\xd8\xff"):
        return _open_jpeg(data, name)
    try:
        source = of_pillow(_pillow(data))
    except Image.UnidentifiedImageError:
        if data.startswith(_SIGNATURES):  # a supported format, but damaged
            raise
        raise ImageError(f"{name} is not a picture this program can read; use {READABLE}.") from None
    at = data.find(b"colrnclx", 0, 65536) if source.image.format == "AVIF" else -1  # pyright: ignore
    if at >= 0 and not source.info.get("icc_profile"):
        source.info["cicp"] = struct.unpack_from(">HH", data, at + 8)
    with contextlib.suppress(Exception):  # later frames may be damaged
        second = _pillow(data)  # because counting seeks to the last frame
        source.frames = getattr(second, "n_frames", 1)
    return source


def _pillow(data: bytes) -> Image.Image:
    """Read the header; Pillow decodes the pixels on first use."""
    return Image.open(io.BytesIO(data), formats=_FORMATS)


def of_pillow(image: Image.Image) -> Source:
    held = _MODE_BYTES.get(image.mode, 4) + _DECODER_BYTES.get(image.format or "", 0)
    return Source(image, image.info, bytes_per_pixel=held)


def _open_tiff(data: bytes, name: str) -> Source:
    tiff = Tiff(data)
    if tiff.is_raw:
        raise ImageError(f"{name} {_RAW}.")
    if tiff.for_pillow:
        source = of_pillow(_pillow(data))
    elif picture := tiff.open():
        info = {"icc_profile": tiff.icc_profile}
        # libtiff's strip, Pillow's image and NumPy's copy of it.
        source = Source(picture, info, orientation=tiff.orientation, bytes_per_pixel=3 * tiff.bytes_per_pixel)
    else:
        kind = f"a TIFF of an unusual kind ({tiff.layout})"
        raise ImageError(f"{name} is {kind}; save it as a TIFF or PNG of 8 or 16 bits in RGB.")
    source.frames, source.largest_tile = tiff.pages, tiff.tile[0] * tiff.tile[1]
    return source


def _open_png(data: bytes, name: str) -> Source:
    """Verify checksums, hide packed texts and profiles from Pillow, which may unpack to anything, and read notes."""
    kept, chunks, position, kind = bytearray(data[:8]), {}, 8, b""
    view = memoryview(data)
    while kind != b"IEND":
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if end > len(data) or zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError("a chunk is cut off, or its checksum is wrong")
        if kind in _PNG_PICTURE or (kind in _PNG_NOTES and kind not in chunks):
            kept += view[position:end]
        if kind in (*_PNG_NOTES, b"iCCP", b"cICP"):
            chunks.setdefault(kind, data[position + 8 : end - 4])
        if kind == b"CgBI":
            raise ImageError(f"{name} is a PNG as iPhone apps contain them; save it as an ordinary PNG.")
        position = end
    source = of_pillow(_pillow(bytes(kept)))
    source.frames = getattr(source.image, "n_frames", 1)
    if profile := chunks.get(b"iCCP"):
        with contextlib.suppress(zlib.error, ValueError):
            packed = profile[profile.index(b"\0") + 2 :]
            source.info["icc_profile"] = zlib.decompressobj().decompress(packed, MAX_BYTES)
    if len(code := chunks.get(b"cICP", b"")) == 4 and code[1] != 2:  # 2: unspecified
        source.info["cicp"] = code
    depth, color = data[24], data[25]
    clear = source.info.get("transparency")
    if color == 0 and depth in (2, 4) and isinstance(clear, int):  # Pillow widens the pixels, not this value
        source.info["transparency"] = clear * 255 // (2**depth - 1)
    elif color == 2 and depth == 16 and clear:
        source.decode, source.bytes_per_pixel = (lambda: _clear_deep(bytes(kept), clear)), 16
    return source


def _open_jpeg(data: bytes, name: str) -> Source:
    marker, bits, channels = _jpeg_frame(data) or (0xC0, 8, 3)
    kind = "" if channels in (1, 3, 4) else f"a JPEG of {channels} channels"
    kind = kind if bits == 8 else f"a JPEG of {bits} bits a channel"
    kind = "a lossless or hierarchical JPEG" if marker in _LOSSLESS else kind
    if kind:
        raise ImageError(f"{name} is {kind}, which this program cannot read; {CONVERT}.")
    image: Any = _pillow(data)
    if len(re.findall(rb"\xff\xda\0[\x08\x0a\x0c\x0e]", data)) > MAX_SCANS:
        raise ImageError(f"{name} has more than {MAX_SCANS} JPEG scans; save it again as a JPEG.")
    source = of_pillow(image)
    first_scan = data.rfind(b"\xff\xda", 0, image.fp.tell())
    if image.info.get("progressive") or data[first_scan + 4] != image.layers:
        # libjpeg holds all coefficients, of 2 bytes, until the last scan.
        factors = [(across, down) for _, across, down, _ in image.layer]
        largest = max(across for across, _ in factors) * max(down for _, down in factors)
        source.full_bytes = 2 * sum(across * down for across, down in factors) / largest
    return source


def _open_heic(data: bytes, name: str) -> Source:
    """libheif applies the container's rotation and mirroring; EXIF, which may repeat them, must be ignored."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        needed = "which this program reads only with pillow-heif (pip install pillow-heif)"
        raise ImageError(f"{name} is a HEIC photo, {needed}; save or share it as JPEG.") from error
    _check_boxes(data)
    source = of_pillow(HeifImageFile(io.BytesIO(data)))
    source.orientation, source.frames = 1, getattr(source.image, "n_frames", 1)
    source.info["thumbnails"] = []  # or `draft` would choose one of them
    nclx = source.info.get("nclx_profile")
    if nclx and not source.info.get("icc_profile"):
        source.info["cicp"] = nclx["color_primaries"], nclx["transfer_characteristics"]
    return source


def _check_boxes(data: bytes) -> None:
    """Raise a ValueError if the file was cut off: libheif would leave the missing tiles gray."""
    position = 0
    while position + 16 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size < 8:  # 0: the rest of the file
            return
        position += size
        if position > len(data) and kind in _WHOLE_BOXES:
            raise ValueError("a box is cut off")


def _jpeg_frame(data: bytes) -> tuple[int, int, int] | None:
    """(marker, bits a channel, channels) of the frame's header, if it is where it should be."""
    position, frame = 2, None
    for _ in range(MAX_MARKERS):
        marker = data[position + 1]
        if data[position] != 0xFF or marker == 0xDA:  # the first scan
            return frame
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            frame = marker, data[position + 4], data[position + 9]
        if marker == 0xFF:  # a fill byte
            position += 1
        elif marker in (0, 1) or 0xD0 <= marker <= 0xD9:  # markers alone
            position += 2
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise ValueError("too much lies before the picture")


def _clear_deep(png: bytes, clear: tuple[int, int, int]) -> Image.Image:
    """A PNG of 16-bit RGB with one clear color, as RGBA; Pillow would compare the high bytes with all 16 bits of it."""
    high, low = _pillow(png), _pillow(png)
    low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]  # pyright: ignore[reportAttributeAccessIssue]
    equal = [np.asarray(part) == np.array(clear) // scale % 256 for part, scale in ((high, 256), (low, 1))]
    opaque = ~(equal[0] & equal[1]).all(axis=-1)
    high.info.pop("transparency")
    high.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return high
