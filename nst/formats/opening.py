"""The bytes of a picture file -> an opened file with what it says of itself, or a sentence on why it is not read.

Pillow reads the formats, pillow-heif HEIC, `tiff` the layouts that Pillow has no mode for.  No pixel is decoded here.
"""

import contextlib
import io
import itertools
import math
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

from nst.formats import colors, stripping
from nst.formats.deep import Deep, Rows
from nst.formats.stripping import Stripped
from nst.formats.tiff import Tiff, exif_orientation

MAX_BYTES = 100_000_000  # of the file
MAX_SCANS = 200  # in a JPEG; progressive files have 10, 100 MB have room for 800,000, and each updates all pixels
MAX_JPEG_RATIO = 1024  # pixels to a byte; at least a bit for each 64 is needed, 512 to a byte
MAX_CHUNKS = 200_000  # of a PNG; one of 100 MB in chunks of 1 KB has 100,000
MAX_RLE = 5_000_000  # pixels and bytes of a packed BMP, which Pillow unpacks in Python

READABLE = f"JPEG, PNG, WebP, {'HEIC, ' * (find_spec('pillow_heif') is not None)}GIF, TIFF, BMP, PPM, JPEG 2000 or AVIF"
# Pillow's other readers are never asked: some start programs (EPS), are very slow (QOI) or accept random bytes (TGA).
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_WHOLE_BOXES = (b"ftyp", b"meta", b"mdat", b"moov")  # of a HEIC
_RAW_SIGNATURES = (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"\0MRM", b"FOVb")
_RAW = "is a camera raw file or begins with a small preview of the photo; export the photo as JPEG"
CONVERT = "save it as an ordinary JPEG or PNG"
_JPEG2000 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
_LOSSLESS = {0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}  # JPEG frames, with the hierarchical and JPEG-LS

_PNG_PICTURE, _PNG_NOTES = b"IHDR PLTE IDAT IEND acTL fcTL fdAT".split(), b"tRNS gAMA cHRM sRGB".split()

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
    if data.startswith(b"GIF8"):
        return _of_stripped(stripping.gif(data), "GIF")
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _of_stripped(stripping.webp(data), "WEBP")
    if data.startswith(_JPEG2000):
        return _open_jpeg2000(data)
    with contextlib.suppress(Image.UnidentifiedImageError):
        if data[4:8] == b"ftyp":
            return _open_avif(data)
        if data.startswith(b"BM"):
            return _open_bmp(data, name)
        if re.match(rb"P[1-6f]\s", data):
            return _open_ppm(data)
    raise ImageError(f"{name} is not a picture this program can read; use {READABLE}.")


def _pillow(data: bytes, format: str) -> Image.Image:
    """Read the header; Pillow decodes the pixels on first use."""
    return Image.open(io.BytesIO(data), formats=(format,))


def _of_stripped(stripped: Stripped, format: str) -> Source:
    source = of_pillow(_pillow(stripped.data, format))
    source.frames, source.orientation = stripped.frames, exif_orientation(stripped.exif)
    if stripped.icc_profile:
        source.info["icc_profile"] = stripped.icc_profile
    return source


def of_pillow(image: Image.Image) -> Source:
    held = _MODE_BYTES.get(image.mode, 4) + _DECODER_BYTES.get(image.format or "", 0)
    return Source(image, image.info, bytes_per_pixel=held)


def _open_tiff(data: bytes, name: str) -> Source:
    tiff = Tiff(data)
    if tiff.is_raw:
        raise ImageError(f"{name} {_RAW}.")
    if tiff.for_pillow:
        source = of_pillow(_pillow(tiff.for_decoder(), "TIFF"))
        source.orientation, source.info["icc_profile"] = tiff.orientation, tiff.icc_profile
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
    count = 0
    while kind != b"IEND":
        count += 1
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if end > len(data) or zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError("a chunk is cut off, or its checksum is wrong")
        if kind in _PNG_PICTURE or (kind in _PNG_NOTES and kind not in chunks):
            kept += view[position:end]
        if count > MAX_CHUNKS:
            raise ValueError("it has too many chunks")
        if kind in (*_PNG_NOTES, b"iCCP", b"cICP", b"eXIf"):
            chunks.setdefault(kind, data[position + 8 : end - 4])
        if kind == b"CgBI":
            raise ImageError(f"{name} is a PNG as iPhone apps contain them; save it as an ordinary PNG.")
        position = end
    source = of_pillow(_pillow(bytes(kept), "PNG"))
    source.frames, source.orientation = getattr(source.image, "n_frames", 1), exif_orientation(chunks.get(b"eXIf", b""))
    if profile := chunks.get(b"iCCP"):
        with contextlib.suppress(zlib.error, ValueError):
            packed = profile[profile.index(b"\0") + 2 :]
            source.info["icc_profile"] = zlib.decompressobj().decompress(packed, colors.MAX_PROFILE)
    if len(code := chunks.get(b"cICP", b"")) == 4 and code[1] != 2:  # 2: unspecified
        source.info["cicp"] = code
    depth, color = data[24], data[25]
    clear = source.info.get("transparency")
    if color == 0 and depth in (2, 4) and isinstance(clear, int):  # Pillow widens the pixels, not this value
        source.info["transparency"] = clear * 255 // (2**depth - 1)
    elif color == 2 and depth == 16 and clear:
        source.decode, source.bytes_per_pixel = (lambda: _clear_deep(bytes(kept), clear)), 16
    elif color in (2, 6) and depth == 16:
        alpha = 3 if color == 6 else None
        source.image = Deep(source.image.size, "RGB", lambda: _deep_png(bytes(kept)), 65535.0, alpha=alpha)
        source.bytes_per_pixel = 16
    return source


def _open_jpeg(data: bytes, name: str) -> Source:
    stripped, (marker, bits, channels), first_scan = stripping.jpeg(data)
    kind = "" if channels in (1, 3, 4) else f"a JPEG of {channels} channels"
    kind = kind if bits == 8 else f"a JPEG of {bits} bits a channel"
    kind = "a lossless or hierarchical JPEG" if marker in _LOSSLESS else kind
    if kind:
        raise ImageError(f"{name} is {kind}, which this program cannot read; {CONVERT}.")
    scans = re.finditer(rb"\xff\xda\0[\x08\x0a\x0c\x0e]", data)
    if any(True for _ in itertools.islice(scans, MAX_SCANS, None)):
        raise ImageError(f"{name} has more than {MAX_SCANS} JPEG scans; save it again as a JPEG.")
    source = _of_stripped(stripped, "JPEG")
    image: Any = source.image
    if math.prod(image.size) > MAX_JPEG_RATIO * len(data):
        raise ValueError("most of its pixels are missing")
    if image.info.get("progressive") or stripped.data[first_scan + 4] != image.layers:
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
    stripped = stripping.of_boxes(data)
    _check_boxes(data)
    source = of_pillow(HeifImageFile(io.BytesIO(stripped)))
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


def _open_jpeg2000(data: bytes) -> Source:
    size, beside = stripping.jpeg2000(data)
    source = of_pillow(_pillow(data, "JPEG2000"))
    if source.image.size != size:
        raise ValueError("it has two sizes")
    source.bytes_per_pixel += beside
    return source


def _open_avif(data: bytes) -> Source:
    source = of_pillow(_pillow(stripping.of_boxes(data), "AVIF"))
    at = data.find(b"colrnclx", 0, 65536)
    if at >= 0 and not source.info.get("icc_profile"):
        source.info["cicp"] = struct.unpack_from(">HH", data, at + 8)
    source.frames = getattr(source.image, "n_frames", 1)
    return source


def _open_bmp(data: bytes, name: str) -> Source:
    source = of_pillow(_pillow(data, "BMP"))
    width, height = source.shape[::-1]
    if source.info["compression"] in (1, 2) and max(width * height, 512 * width, len(data)) > MAX_RLE:
        raise ImageError(f"{name} is a packed BMP of more than {MAX_RLE // 10**6} million pixels; save it as PNG.")
    return source


def _open_ppm(data: bytes) -> Source:
    stripping.check_ppm(data)
    source = of_pillow(_pillow(data, "PPM"))
    if source.image.tile[0].codec_name != "raw":  # pyright: ignore
        source.decode = lambda: _ppm_pixels(data, source.image)
        source.bytes_per_pixel += 48  # 16 a channel
    return source


def _ppm_pixels(data: bytes, image: Any) -> Image.Image:
    """What Pillow does in Python, a number at a time."""
    decoder, _, offset, arguments = image.tile[0]
    white, channels = arguments[-1], len(image.getbands())
    count, top = math.prod(image.size) * channels, 65535 if image.mode == "I" else 255
    if decoder == "ppm":
        numbers = np.frombuffer(data, "u1" if white < 256 else ">u2", count, offset)
    else:
        if data.count(b"#", offset) > stripping.MAX_COMMENTS:  # of which `re.sub` makes a list
            raise ValueError("it has too many comments")
        text = re.sub(rb"#[^\r\n]*", b"", data[offset:])
        if image.mode == "1":  # whose digits may have no space between them
            numbers, white = 49 - np.frombuffer(text.translate(None, b" \t\n\v\f\r"), np.uint8, count), 1
        else:
            numbers = np.fromstring(text, np.int64, count, sep=" ")  # pyright: ignore[reportCallIssue]
        if not 0 <= numbers.min() <= numbers.max() <= white:
            raise ValueError("a number is too large")
    numbers = numbers.astype(np.float32)
    numbers *= top / white
    np.minimum(np.rint(numbers, out=numbers), top, out=numbers)
    pixels = numbers.reshape(*image.size[::-1], *[channels] * (channels > 1))
    return Image.fromarray(pixels.astype(np.int32 if image.mode == "I" else np.uint8))


def _halves(png: bytes) -> tuple[Image.Image, Image.Image]:
    """The high and the low bytes of a PNG of 16 bits a channel; Pillow by itself reads the high ones."""
    high, low = _pillow(png, "PNG"), _pillow(png, "PNG")
    low.tile = [tile._replace(args=f"{low.mode};16L") for tile in low.tile]  # pyright: ignore
    return high, low


def _deep_png(png: bytes) -> Rows:
    high, low = map(np.asarray, _halves(png))
    return lambda top, bottom: high[top:bottom].astype(np.uint16) * 256 + low[top:bottom]


def _clear_deep(png: bytes, clear: tuple[int, int, int]) -> Image.Image:
    """A PNG of 16-bit RGB with one clear color, as RGBA; Pillow would compare the high bytes with all 16 bits of it."""
    high, low = _halves(png)
    equal = [np.asarray(part) == np.array(clear) // scale % 256 for part, scale in ((high, 256), (low, 1))]
    opaque = ~(equal[0] & equal[1]).all(axis=-1)
    high.info.pop("transparency")
    high.putalpha(Image.fromarray(opaque.astype(np.uint8) * 255))
    return high
